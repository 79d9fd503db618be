//! `GET /users/me`: what every request spends on its credential, and little else.

use anyhow::Result;

use crate::{
    bench::Bench,
    format::{micros, number},
    goals::Facts,
    load::{get, request},
    pgbench::{self, Reached},
    plot::Plot,
    reference,
    report::{Section, Table},
    seed::{FIRST_KEY, MEMBERS, member},
    server::{Limits, Server},
};

const PATH: &str = "/api/v2/users/me";
const CONNECTIONS: [usize; 6] = [1, 4, 16, 64, 128, 256];
/// Up to what Postgres accepts with its default settings.
const CLIENTS: [usize; 5] = [1, 4, 8, 16, 64];
/// The number of connections of the targets.
const MANY: usize = 64;

const TEXT: &str = "\
`GET /api/v2/users/me` by 64 members with a token each. Requests count towards a rate limit
that is never reached. `pgbench` reads one token at a time with the statement that the server
uses to read several.";

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
                number(reached.per_second),
                micros(reached.micros),
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
    // Warms up: opens connections and plans statements.
    bench
        .cost(&server, bench.load(&server, MANY), requests.clone())
        .await?;
    for connections in CONNECTIONS {
        let load = bench.load(&server, connections);
        let cost = bench.best(&server, load, |_| requests.clone()).await?;
        line.push((connections as f64, cost.per_second()));
        let share = cost.share_of(best);
        if connections == MANY {
            let times = cost.per_second() / reference::ME;
            facts.insert("me ÷ reference".to_owned(), times);
            facts.extend(share.map(|share| ("me ÷ pgbench".to_owned(), share)));
        }
        let [rate, p50, p99, of_server, of_postgres] = cost.cells();
        let share = share.map(number).unwrap_or_default();
        table.row([
            connections.to_string(),
            rate,
            p50,
            p99,
            of_server,
            of_postgres,
            share,
        ]);
    }
    server.stop().await?;
    Ok(Section {
        title: "The signed-in user",
        text: TEXT,
        tables: vec![table, alone],
        plot: Some(Plot {
            name: "throughput",
            title: "GET /users/me: requests per second by connections",
            x: "connections",
            y: "requests per second",
            lines: vec![
                ("usher".to_owned(), line),
                ("pgbench, one row".to_owned(), alone_line),
            ],
        }),
    })
}

/// A `pgbench` script of the statement that reads credentials, for one random token.
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
        pgbench::script(&statements)
    ))
}
