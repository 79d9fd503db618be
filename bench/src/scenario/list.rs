//! `GET /users` in all its ways.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, millis, number};
use crate::{
    goals::reference,
    load::{Load, get},
    pgbench,
    plot::Plot,
    postgres::value,
    report::{Facts, Section, Table},
    seed::{self, owner},
    server::Limits,
};

/// How many requests of a kind there are at most.
const MOST: usize = 2000;

const TEXT: &str = "\
`GET /api/v2/users` by an owner on one connection, 25 people a page, each with the count of
all that match: the first page, the page at the middle by `offset` and by `after_id`, and the
first page of each filter. The reference took the time in the last column at a million.";

/// The lists with their queries, given how many people there are and who is in the middle.
fn lists(people: usize, middle: &str, username: &str) -> [(&'static str, String); 8] {
    [
        ("first page", "limit=25".to_owned()),
        ("offset", format!("limit=25&offset={}", people / 2)),
        ("after_id", format!("limit=25&after_id={middle}")),
        ("q=ann", "limit=25&q=ann".to_owned()),
        ("status:suspended", "limit=25&q=status:suspended".to_owned()),
        ("role:owner", "limit=25&q=role:owner".to_owned()),
        (
            "last_seen_before",
            "limit=25&q=last_seen_before:%222026-01-01T00:00:00Z%22".to_owned(),
        ),
        ("one username", format!("limit=25&q={username}")),
    ]
}

pub(super) async fn measure(bench: &mut Bench, facts: &mut Facts) -> Result<Section> {
    let mut tables = Vec::new();
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = reference::LISTS
        .iter()
        .map(|(name, _)| ((*name).to_owned(), Vec::new()))
        .collect();
    for people in bench.people.clone() {
        let database = bench.database(people).await?;
        let server = bench.server(&database, Limits::Counted).await?;
        let client = bench.postgres.connect(&database).await?;
        let middle = |column: &str| {
            let offset = people / 2;
            format!(
                "SELECT {column} FROM users WHERE NOT deleted AND NOT is_system \
                 ORDER BY lower(username) OFFSET {offset} LIMIT 1"
            )
        };
        let id = value(&client, &middle("id")).await?;
        let username = value(&client, &middle("username")).await?;
        let mut table = Table::new([
            &format!("{} people", number(people as f64)),
            "p50",
            "p99",
            "server",
            "Postgres",
            "÷ `pgbench`",
            "the reference",
        ]);
        let mut slowest = 0.0_f64;
        for (at, (name, query)) in lists(people, &id, &username).into_iter().enumerate() {
            let path = format!("/api/v2/users?{query}");
            let requests = move |_: usize, _: usize, out: &mut Vec<u8>| get(out, &path, &owner());
            let mut text = Vec::new();
            requests(0, 0, &mut text);
            let statements = pgbench::statements(&bench.postgres, "page AS (", async || {
                server.send(&text).await.map(drop)
            })
            .await?;
            let statements: Vec<String> = statements
                .iter()
                .map(pgbench::Statement::with_values)
                .collect();
            let duration = bench.duration.min(Duration::from_secs(2));
            let reached = bench
                .best_of_pgbench(&database, &[super::script(&statements)], 1, duration)
                .await?;
            let load = Load {
                most: MOST,
                ..bench.load(&server, 1)
            };
            let cost = bench.best(&server, load, |_| requests.clone()).await?;
            let (p50, p99) = (cost.latencies.quantile(0.5), cost.latencies.quantile(0.99));
            lines[at].1.push((people as f64, p50));
            slowest = slowest.max(p99);
            if at == 0 && people == bench.least() {
                facts.insert("list.first.least".to_owned(), p50);
            }
            if at == 0 && people == seed::MOST {
                facts.insert("list.first.p99".to_owned(), p99);
            }
            if people == seed::MOST {
                facts.insert(format!("list.{name}"), p50);
            }
            let there = reference::LISTS[at].1;
            let [_, p50, p99, of_server, of_postgres] = cost.cells();
            let [beside, _] = cost.beside(reached);
            table.row([
                name.to_owned(),
                p50,
                p99,
                of_server,
                of_postgres,
                beside,
                if people == seed::MOST {
                    millis(there)
                } else {
                    String::new()
                },
            ]);
        }
        if people == seed::MOST {
            facts.insert("list.p99".to_owned(), slowest);
        }
        server.stop().await?;
        tables.push(table);
    }
    Ok(Section {
        title: "Lists",
        text: TEXT,
        tables,
        plot: Some(Plot {
            name: "latency",
            title: "GET /users: p50 by the number of people",
            x: "people",
            y: "milliseconds",
            lines,
        }),
    })
}
