//! Signing in by password, and its effect on other requests.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use secrecy::SecretString;
use serde_json::json;
use usher_domain::{
    PasswordHash,
    password_hash::{HashCost, Scratch},
};

use crate::{
    bench::Bench,
    format::{millis, number},
    load::{Latencies, Load, get, request},
    machine,
    report::{Section, Table},
    seed::{self, MEMBERS, PASSWORD, member},
    server::Limits,
};

/// Concurrent sign-ins: more than there are cores to hash on.
const CONNECTIONS: usize = 8;
/// The interval between the requests of the other client: 50 per second.
const PACE: Duration = Duration::from_millis(20);
/// The other client sends few requests, so it is measured longer.
const LONGER: u32 = 3;

const TEXT: &str = "\
Signing in by password (`POST /api/v2/users/login`, 64 users, 8 connections), and Argon2id
alone with the same cost on all cores and with reused memory; then one connection that sends
50 `GET /users/me` per second, on an otherwise idle server and while others sign in as fast as
they can.";

pub(super) async fn measure(bench: &mut Bench) -> Result<Section> {
    let database = bench.database(bench.least()).await?;
    let server = bench.server(&database, Limits::Off).await?;
    let client = bench.postgres.connect(&database).await?;
    let emails = seed::member_emails(&client).await?;

    let bare = bare(bench.duration)?;
    let bodies: Vec<String> = emails
        .iter()
        .map(|email| json!({"email": email, "password": PASSWORD}).to_string())
        .collect();
    let sign_in = move |connection: usize, n: usize, out: &mut Vec<u8>| {
        let body = &bodies[(connection + n * CONNECTIONS) % bodies.len()];
        request(out, "POST", "/api/v2/users/login", "", body);
    };
    let sign_ins = bench
        .cost(&server, bench.load(&server, CONNECTIONS), sign_in.clone())
        .await?;

    let tokens: Vec<String> = (0..MEMBERS).map(member).collect();
    let me = move |_: usize, n: usize, out: &mut Vec<u8>| {
        get(out, "/api/v2/users/me", &tokens[n % MEMBERS]);
    };
    let paced = Load {
        pace: Some(PACE),
        ..Load::new(server.address, 1, LONGER * bench.duration)
    };
    let calm = paced.run(me.clone()).await?;
    let hashing = Load::new(server.address, CONNECTIONS, paced.duration);
    let (busy, beside) = tokio::try_join!(paced.run(me), hashing.run(sign_in))?;
    server.stop().await?;

    let mut rates = Table::new(["", "per second", "p50", "p99", "server", "Postgres"]);
    let mut row = [const { String::new() }; 6];
    row[0] = format!("Argon2id alone, {} threads", machine::cores());
    row[1] = number(bare);
    rates.row(row);
    let [rate, p50, p99, of_server, of_postgres] = sign_ins.cells();
    let name = "sign-ins".to_owned();
    rates.row([name, rate, p50, p99, of_server, of_postgres]);

    let mut others = Table::new(["50 `GET /users/me` per second", "p50", "p99", "slowest"]);
    let mut row = |name: String, latencies: &Latencies| {
        others.row([
            name,
            millis(latencies.quantile(0.5)),
            millis(latencies.quantile(0.99)),
            millis(latencies.quantile(1.0)),
        ]);
    };
    row("alone".to_owned(), &calm);
    let beside = number(beside.per_second());
    row(format!("beside {beside} sign-ins per second"), &busy);
    Ok(Section {
        title: "Signing in",
        text: TEXT,
        tables: vec![rates, others],
        plot: None,
    })
}

/// Hashes per second on all cores.
fn bare(duration: Duration) -> Result<f64> {
    let begin = Instant::now();
    let threads: Vec<_> = (0..machine::cores())
        .map(|_| {
            std::thread::spawn(move || {
                let secret = SecretString::from(PASSWORD);
                let mut scratch = Scratch::default();
                let mut count = 0_u32;
                while begin.elapsed() < duration {
                    let hash =
                        PasswordHash::argon2id(&secret, [1; 16], HashCost::default(), &mut scratch);
                    std::hint::black_box(hash);
                    count += 1;
                }
                f64::from(count) / begin.elapsed().as_secs_f64()
            })
        })
        .collect();
    let mut sum = 0.0;
    for thread in threads {
        sum += thread.join().ok().context("a thread panicked")?;
    }
    Ok(sum)
}
