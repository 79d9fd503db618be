//! Whether the duration of a rejected sign-in reveals anything about the account.
//!
//! Ignored by default, since noise could make it fail: `make timing` runs it and prints
//! Welch's t of each pair, which must be below 4.5.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use usher_tests::{deployment::PASSWORD, exchange::Request, server::Server};

/// The number of measured sign-ins of each kind.
const SAMPLES: usize = 2000;
/// Above this the means differ (the threshold of test vector leakage assessment, ISO 17825).
const BOUND: f64 = 4.5;
const KINDS: [&str; 4] = ["unknown", "passwordless", "wrong", "suspended"];

#[tokio::test]
#[ignore = "takes minutes and needs a quiet machine: make timing"]
async fn the_duration_of_a_sign_in_does_not_reveal_whether_an_account_exists() -> Result<()> {
    let server = Server::start().await?;
    create_accounts(&server).await?;
    let mut times = [const { Vec::<f64>::new() }; KINDS.len()];
    // Interleaved, so that noise affects all kinds equally.
    for round in 0..SAMPLES + 50 {
        for (kind, times) in KINDS.iter().zip(&mut times) {
            let request = login(&format!("{kind}@example.com"), "NotThePassword!1");
            let start = Instant::now();
            let response = server.send(&request).await?;
            let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
            ensure!(response.status == 401, "{kind}: {}", response.status);
            if round >= 50 {
                times.push(milliseconds);
            }
        }
    }
    let mut worst = 0.0_f64;
    for (at, kind) in KINDS.iter().enumerate() {
        let (mean, variance) = moments(&times[at]);
        println!("{kind:13} {mean:8.3} ms ± {:.3}", variance.sqrt());
    }
    for one in 0..KINDS.len() {
        for other in one + 1..KINDS.len() {
            let t = welch(&times[one], &times[other]);
            println!("{:>13} | {:13} t = {t:.2}", KINDS[one], KINDS[other]);
            worst = worst.max(t.abs());
        }
    }
    ensure!(worst < BOUND, "t = {worst:.2} distinguishes the accounts");
    Ok(())
}

async fn create_accounts(server: &Server) -> Result<()> {
    let first = json!({"email": "o@example.com", "username": "o", "password": PASSWORD});
    let first = Request::new("POST", "/api/v2/users/first").json(&first);
    let first = server.send(&first).await?.json().context("no body")?;
    let response = server.send(&login("o@example.com", PASSWORD)).await?;
    let response = response.json().context("no body")?;
    let token = response["session_token"].as_str().context("no session")?;
    for kind in &KINDS[1..] {
        let mut user = json!({
            "email": format!("{kind}@example.com"),
            "username": kind,
            "organization_ids": [first["organization_id"]],
        });
        if *kind == "passwordless" {
            user["login_type"] = "none".into();
        } else {
            user["password"] = PASSWORD.into();
        }
        let status = send(server, token, "POST", "/api/v2/users", &user).await?;
        ensure!(status == 201, "{kind}: {status}");
    }
    let path = "/api/v2/users/suspended/status/suspend";
    ensure!(send(server, token, "PUT", path, &json!({})).await? == 200);
    Ok(())
}

async fn send(server: &Server, token: &str, method: &str, path: &str, body: &Value) -> Result<u16> {
    let request = Request::new(method, path).token(token).json(body);
    Ok(server.send(&request).await?.status)
}

fn login(email: &str, password: &str) -> Request {
    Request::new("POST", "/api/v2/users/login").json(&json!({"email": email, "password": password}))
}

/// Returns the mean and the variance.
#[expect(clippy::cast_precision_loss, reason = "some thousand samples")]
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, squares / (count - 1.0))
}

/// Returns Welch's t: the difference of two means in standard errors.
#[expect(clippy::cast_precision_loss, reason = "some thousand samples")]
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let ((mean, variance), (other_mean, other_variance)) = (moments(one), moments(other));
    let error = (variance / one.len() as f64 + other_variance / other.len() as f64).sqrt();
    (mean - other_mean) / error
}

#[test]
fn equal_samples_have_a_t_of_zero_and_shifted_ones_a_large_one() {
    let one: Vec<f64> = (0..100).map(|at| f64::from(at % 10)).collect();
    let shifted: Vec<f64> = one.iter().map(|value| value + 3.0).collect();
    assert!(welch(&one, &one).abs() < f64::EPSILON);
    assert!(welch(&one, &shifted).abs() > BOUND);
}
