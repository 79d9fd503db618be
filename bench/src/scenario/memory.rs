//! What the process keeps.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use super::{Bench, millis, number};
use crate::{
    load::{Client, get, request},
    report::{Facts, Section, Table},
    seed::{self, MEMBERS, PASSWORD, member, owner},
    server::{Limits, Server},
};

/// How long after the last request it is looked at: memory is given back when it was of no
/// use for a while.
const REST: Duration = Duration::from_secs(5);

/// How long the whole list may take.
const PATIENCE: Duration = Duration::from_mins(5);

const TEXT: &str = "\
Resident memory of one process, one thing after the other: when it has been ready for a
while, after each of the others above, and while it sends the whole list, which is streamed.";

pub(super) async fn measure(bench: &mut Bench, facts: &mut Facts) -> Result<Section> {
    let most = bench.most();
    let database = bench.database(most).await?;
    let addresses = {
        let client = bench.postgres.connect(&database).await?;
        seed::member_addresses(&client).await?
    };
    let server = bench.server(&database, Limits::Off).await?;
    let mut table = Table::new(["after", "resident", "at most meanwhile"]);
    let look = async |name: String, table: &mut Table| -> Result<f64> {
        tokio::time::sleep(REST).await;
        let memory = server.memory()?;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let cell = |bytes: u64| number(mib(bytes)) + " MiB";
        table.row([name, cell(memory.resident), cell(memory.peak)]);
        server.forget_peak()?;
        Ok(mib(memory.resident))
    };
    let idle = look("the start".to_owned(), &mut table).await?;

    let requests = |connection: usize, n: usize, out: &mut Vec<u8>| {
        get(out, "/api/v2/users/me", &member(connection + n));
    };
    bench.load(&server, 64).run(requests).await?;
    look("`GET /users/me`, 64 connections".to_owned(), &mut table).await?;

    let requests = |_: usize, n: usize, out: &mut Vec<u8>| {
        let q = ["", "ann", "role:owner", "status:suspended"][n % 4];
        get(out, &format!("/api/v2/users?limit=25&q={q}"), &owner());
    };
    bench.load(&server, 16).run(requests).await?;
    look("lists, 16 connections".to_owned(), &mut table).await?;

    let bodies: Vec<String> = addresses
        .iter()
        .map(|email| json!({"email": email, "password": PASSWORD}).to_string())
        .collect();
    let requests = move |connection: usize, n: usize, out: &mut Vec<u8>| {
        let body = &bodies[(connection + n * 8) % MEMBERS];
        request(out, "POST", "/api/v2/users/login", "", body);
    };
    bench.load(&server, 8).run(requests).await?;
    look("signing in, 8 connections".to_owned(), &mut table).await?;

    let requests = |connection: usize, n: usize, out: &mut Vec<u8>| {
        let body = json!({"token_name": format!("m{connection}-{n}")}).to_string();
        let token = member(connection + n * 16);
        request(out, "POST", "/api/v2/users/me/keys/tokens", &token, &body);
    };
    bench.load(&server, 16).run(requests).await?;
    look("new tokens, 16 connections".to_owned(), &mut table).await?;

    let whole = whole_list(&server).await?;
    let after = look(
        format!("the whole list of {} people", number(most as f64)),
        &mut table,
    )
    .await?;
    server.stop().await?;

    facts.insert("memory.idle".to_owned(), idle);
    facts.insert("memory.after".to_owned(), after);
    if most == seed::MOST {
        facts.insert("whole.growth".to_owned(), whole.growth);
        facts.insert("whole.first_byte".to_owned(), whole.first_byte);
    }
    let mut list = Table::new(["the whole list", "first byte", "in all", "memory grew by"]);
    list.row([
        format!("{} MB", number(whole.megabytes)),
        millis(whole.first_byte),
        millis(whole.all),
        number(whole.growth) + " MiB",
    ]);
    Ok(Section {
        title: "Memory",
        text: TEXT,
        tables: vec![table, list],
        plot: None,
    })
}

struct Whole {
    /// Milliseconds.
    first_byte: f64,
    /// Milliseconds.
    all: f64,
    /// MiB.
    growth: f64,
    megabytes: f64,
}

async fn whole_list(server: &Server) -> Result<Whole> {
    let mut text = Vec::new();
    get(&mut text, "/api/v2/users", &owner());
    let before = server.memory()?.resident;
    server.forget_peak()?;
    let mut client = Client::connect(server.address).await?;
    let begin = Instant::now();
    let answer = client.send_within(PATIENCE, &text).await?;
    let all = begin.elapsed();
    anyhow::ensure!(answer.status == 200, "the whole list: {}", answer.status);
    let first_byte = answer.first_byte.map_or(all, |at| at - begin);
    let growth = server.memory()?.peak.saturating_sub(before);
    Ok(Whole {
        first_byte: first_byte.as_secs_f64() * 1000.0,
        all: all.as_secs_f64() * 1000.0,
        growth: growth as f64 / f64::from(1 << 20),
        megabytes: answer.bytes as f64 / 1e6,
    })
}
