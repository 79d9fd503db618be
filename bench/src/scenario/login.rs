//! Signing in by password, and what others feel of it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use secrecy::SecretString;
use serde_json::json;
use usher_domain::{
    PasswordHash,
    password_hash::{HashCost, Scratch},
};

use super::{Bench, millis, number};
use crate::{
    load::{Latencies, Load, get, request},
    machine,
    report::{Facts, Section, Table},
    seed::{self, MEMBERS, PASSWORD, member},
    server::Limits,
};

/// How many sign in at once: more than there are cores to hash on.
const CONNECTIONS: usize = 8;
/// From one request to the next of the one who goes on working: 50 in a second.
const PACE: Duration = Duration::from_millis(20);
/// How much longer than others this is measured, since its requests are few.
const LONGER: u32 = 3;

const TEXT: &str = "\
Signing in by password (`POST /api/v2/users/login`, 64 people, 8 connections) beside Argon2id
alone with the same cost on all cores and with memory that is used again; and one connection
that asks for `GET /users/me` 50 times a second, in peace and while others sign in as fast as
they can.";

pub(super) async fn measure(bench: &mut Bench, facts: &mut Facts) -> Result<Section> {
    let database = bench.database(bench.least()).await?;
    let server = bench.server(&database, Limits::Off).await?;
    let client = bench.postgres.connect(&database).await?;
    let addresses = seed::member_addresses(&client).await?;

    let bare = bare(bench.duration)?;
    let bodies: Vec<String> = addresses
        .iter()
        .map(|email| json!({"email": email, "password": PASSWORD}).to_string())
        .collect();
    let sign_in = move |connection: usize, n: usize, out: &mut Vec<u8>| {
        let body = &bodies[(connection + n * CONNECTIONS) % bodies.len()];
        request(out, "POST", "/api/v2/users/login", "", body);
    };
    let logins = bench
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

    for (name, number) in [
        ("login.rate", logins.latencies.per_second()),
        ("login.bare", bare),
        ("login.calm", calm.quantile(0.99)),
        ("login.busy", busy.quantile(0.99)),
    ] {
        facts.insert(name.to_owned(), number);
    }
    let mut rates = Table::new(["", "in a second", "p50", "p99", "server", "Postgres"]);
    rates.row([
        format!("Argon2id alone, {} threads", machine::cores()),
        number(bare),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
    ]);
    let [rate, p50, p99, of_server, of_postgres] = logins.cells();
    rates.row([
        "signing in".to_owned(),
        rate,
        p50,
        p99,
        of_server,
        of_postgres,
    ]);
    let mut others = Table::new(["50 `GET /users/me` a second", "p50", "p99", "slowest"]);
    let mut row = |name: String, latencies: &Latencies| {
        others.row([
            name,
            millis(latencies.quantile(0.5)),
            millis(latencies.quantile(0.99)),
            millis(latencies.quantile(1.0)),
        ]);
    };
    row("in peace".to_owned(), &calm);
    let beside = number(beside.per_second());
    row(format!("beside {beside} sign-ins a second"), &busy);
    Ok(Section {
        title: "Signing in",
        text: TEXT,
        tables: vec![rates, others],
        plot: None,
    })
}

/// How many hashes the cores make in a second.
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
