//! Resident memory, as the kernel reports it for the process.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::{
    bench::Bench,
    format::{mebibytes, millis, number},
    goals::Facts,
    load::{Client, get, request},
    report::{Section, Table},
    seed::{self, MEMBERS, PASSWORD, member, owner},
    server::{Limits, Server},
};

/// How long the server is idle before its memory is read again: freed memory is returned to
/// the system after a short while.
const REST: Duration = Duration::from_secs(5);

/// The timeout for the whole list.
const LIST_TIMEOUT: Duration = Duration::from_mins(5);

const TEXT: &str = "\
Resident memory of one server process, from `/proc`: after it has been idle since its start,
then after each load in turn, immediately and after five idle seconds. The target for memory
\"after everything\" is for the largest value after five seconds.";

pub(super) async fn measure(bench: &mut Bench, facts: &mut Facts) -> Result<Section> {
    let most = bench.most();
    let database = bench.database(most).await?;
    let emails = {
        let client = bench.postgres.connect(&database).await?;
        seed::member_emails(&client).await?
    };
    let server = bench.server(&database, Limits::Off).await?;
    let mut table = Table::new(["after", "immediately", "after 5 s", "peak"]);
    let mut record = async |name: &str| -> Result<f64> {
        let right_after = server.memory()?.resident;
        tokio::time::sleep(REST).await;
        let memory = server.memory()?;
        table.row([
            name.to_owned(),
            mebibytes(mib(right_after)),
            mebibytes(mib(memory.resident)),
            mebibytes(mib(memory.peak)),
        ]);
        server.reset_peak()?;
        Ok(mib(memory.resident))
    };
    let idle = record("start").await?;

    let mut after = 0.0_f64;
    let me = |connection: usize, n: usize, out: &mut Vec<u8>| {
        get(out, "/api/v2/users/me", &member(connection + n));
    };
    bench.load(&server, 64).run(me).await?;
    after = after.max(record("`GET /users/me`, 64 connections").await?);

    let lists = |_: usize, n: usize, out: &mut Vec<u8>| {
        let q = ["", "ann", "role:owner", "status:suspended"][n % 4];
        get(out, &format!("/api/v2/users?limit=25&q={q}"), &owner());
    };
    bench.load(&server, 16).run(lists).await?;
    after = after.max(record("lists, 16 connections").await?);

    let bodies: Vec<String> = emails
        .iter()
        .map(|email| json!({"email": email, "password": PASSWORD}).to_string())
        .collect();
    let sign_ins = move |connection: usize, n: usize, out: &mut Vec<u8>| {
        let body = &bodies[(connection + n * 8) % MEMBERS];
        request(out, "POST", "/api/v2/users/login", "", body);
    };
    for _ in 0..2 {
        bench.load(&server, 64).run(sign_ins.clone()).await?;
        after = after.max(record("sign-ins, 64 connections").await?);
    }

    let tokens = |connection: usize, n: usize, out: &mut Vec<u8>| {
        let body = json!({"token_name": format!("m{connection}-{n}")}).to_string();
        let token = member(connection + n * 16);
        request(out, "POST", "/api/v2/users/me/keys/tokens", &token, &body);
    };
    bench.load(&server, 16).run(tokens).await?;
    after = after.max(record("new tokens, 16 connections").await?);

    let whole = whole_list(&server).await?;
    let name = format!("the whole list of {} users", number(most as f64));
    after = after.max(record(&name).await?);

    bench.load(&server, 64).run(me).await?;
    after = after.max(record("`GET /users/me` again, 64 connections").await?);
    server.stop().await?;

    facts.insert("memory.idle".to_owned(), idle);
    facts.insert("memory.after".to_owned(), after);
    let mut list = Table::new(["the whole list", "first byte", "total", "memory growth"]);
    list.row([
        format!("{} MB", number(whole.megabytes)),
        millis(whole.first_byte),
        millis(whole.total),
        mebibytes(whole.growth),
    ]);
    Ok(Section {
        title: "Memory",
        text: TEXT,
        tables: vec![table, list],
        plot: None,
    })
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

struct WholeList {
    /// In milliseconds.
    first_byte: f64,
    /// In milliseconds.
    total: f64,
    /// Of the server's peak memory, in MiB.
    growth: f64,
    megabytes: f64,
}

async fn whole_list(server: &Server) -> Result<WholeList> {
    let mut text = Vec::new();
    get(&mut text, "/api/v2/users", &owner());
    let before = server.memory()?.resident;
    server.reset_peak()?;
    let mut client = Client::connect(server.address).await?;
    let begin = Instant::now();
    let response = client.send_within(LIST_TIMEOUT, &text).await?;
    let total = begin.elapsed();
    anyhow::ensure!(
        response.status == 200,
        "the whole list: {}",
        response.status
    );
    let first_byte = response.first_byte.map_or(total, |at| at - begin);
    Ok(WholeList {
        first_byte: first_byte.as_secs_f64() * 1000.0,
        total: total.as_secs_f64() * 1000.0,
        growth: mib(server.memory()?.peak.saturating_sub(before)),
        megabytes: response.bytes as f64 / 1e6,
    })
}
