//! `GET /users/me`: what every request pays for its credential, and little else.

use anyhow::Result;

use super::Bench;
use crate::{
    load::{get, request},
    pgbench::{self, Reached},
    plot::Plot,
    report::{Facts, Section, Table},
    seed::{FIRST_KEY, MEMBERS, member},
    server::{Limits, Server},
};

const PATH: &str = "/api/v2/users/me";
const CONNECTIONS: [usize; 6] = [1, 4, 16, 64, 128, 256];
/// As many connections as Postgres takes with the settings that it comes with.
const CLIENTS: [usize; 5] = [1, 4, 8, 16, 64];
/// How many there are in the goal.
const MANY: usize = 64;

const TEXT: &str = "\
`GET /api/v2/users/me` by 64 members with a token each, with the limit on requests counted
and never reached. `pgbench` looks up one token at a time by the statement that the server
looks up many with.";

pub(super) async fn measure(bench: &mut Bench, facts: &mut Facts) -> Result<Section> {
    let database = bench.database(bench.least()).await?;
    let server = bench.server(&database, Limits::Counted).await?;
    let script = [one_row(bench, &server).await?];

    let mut alone = Table::new(["`pgbench`, clients", "statements/s", "Postgres"]);
    let mut alone_line = Vec::new();
    let mut best = None::<Reached>;
    for clients in CLIENTS {
        let reached = bench
            .best_of_pgbench(&database, &script, clients, bench.duration)
            .await?;
        if let Some(reached) = reached {
            if best.is_none_or(|best| reached.per_second > best.per_second) {
                best = Some(reached);
            }
            alone_line.push((clients as f64, reached.per_second));
            alone.row([
                clients.to_string(),
                super::number(reached.per_second),
                super::micros(reached.micros),
            ]);
        }
    }

    let tokens: Vec<String> = (0..MEMBERS).map(member).collect();
    let requests = move |connection: usize, n: usize, out: &mut Vec<u8>| {
        get(out, PATH, &tokens[(connection + n) % MEMBERS]);
    };
    let mut table = Table::new([
        "connections",
        "requests/s",
        "p50",
        "p99",
        "server",
        "Postgres",
        "÷ best of `pgbench`",
    ]);
    let mut line = Vec::new();
    // The first time, plans are made and connections opened.
    bench
        .cost(&server, bench.load(&server, MANY), requests.clone())
        .await?;
    for connections in CONNECTIONS {
        let load = bench.load(&server, connections);
        let cost = bench.best(&server, load, |_| requests.clone()).await?;
        let rate = cost.latencies.per_second();
        line.push((connections as f64, rate));
        if connections == MANY {
            facts.insert("me.rate".to_owned(), rate);
            facts.insert("me.micros".to_owned(), cost.server + cost.postgres);
        }
        let [rate_cell, p50, p99, of_server, of_postgres] = cost.cells();
        let [beside, _] = cost.beside(best);
        table.row([
            connections.to_string(),
            rate_cell,
            p50,
            p99,
            of_server,
            of_postgres,
            beside,
        ]);
    }
    if let Some(best) = best {
        facts.insert("me.pgbench".to_owned(), best.per_second);
        facts.insert("me.pgbench.micros".to_owned(), best.micros);
    }
    server.stop().await?;
    Ok(Section {
        title: "Who am I",
        text: TEXT,
        tables: vec![table, alone],
        plot: Some(Plot {
            name: "throughput",
            title: "GET /users/me: requests in a second by connections",
            x: "connections",
            y: "in a second",
            lines: vec![
                ("usher".to_owned(), line),
                ("pgbench, one row".to_owned(), alone_line),
            ],
        }),
    })
}

/// The statement by which the server looks up credentials, for one of them.
async fn one_row(bench: &Bench, server: &Server) -> Result<String> {
    let mut text = Vec::new();
    request(&mut text, "GET", PATH, &member(0), "");
    let statements = pgbench::statements(&bench.postgres, "FROM api_keys k", async || {
        server.send(&text).await.map(drop)
    })
    .await?;
    let statements: Vec<String> = statements
        .iter()
        .map(|one| {
            one.with(|_, _| ":key".to_owned())
                .replace("ANY(:key)", ":key")
        })
        .collect();
    Ok(format!(
        "\\set key random({FIRST_KEY}, {})\n{}",
        FIRST_KEY + MEMBERS - 1,
        super::script(&statements)
    ))
}
