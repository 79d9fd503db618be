//! `GET /users` with and without filters.

use std::time::Duration;

use anyhow::Result;

use crate::{
    bench::{Bench, Cost},
    format::{millis, number},
    goals::Facts,
    load::{Load, get},
    pgbench::{self, Reached},
    plot::Plot,
    postgres::value,
    reference,
    report::{Section, Table},
    seed::{self, owner},
    server::Limits,
};

/// The most requests of a kind.
const MOST: usize = 2000;

const TEXT: &str = "\
`GET /api/v2/users` by an owner on one connection, 25 users per page, each with the count of
all matches: the first page, the page in the middle by `offset` and by `after_id`, and the
first page of each filter. \"After load\" is the first page right after all users were inserted
by one SQL statement, while a lock prevents the server from folding the changed counts. The
last column is the time of the reference at 1,000,002 users.";

/// The queries of [`reference::LISTS`], in the same order.
fn queries(users: usize, middle: &str, username: &str) -> [String; 8] {
    [
        "limit=25".to_owned(),
        format!("limit=25&offset={}", users / 2),
        format!("limit=25&after_id={middle}"),
        "limit=25&q=ann".to_owned(),
        "limit=25&q=status:suspended".to_owned(),
        "limit=25&q=role:owner".to_owned(),
        "limit=25&q=last_seen_before:%222026-01-01T00:00:00Z%22".to_owned(),
        format!("limit=25&q={username}"),
    ]
}

pub(super) async fn measure(bench: &mut Bench, facts: &mut Facts) -> Result<Section> {
    let mut tables = Vec::new();
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = reference::LISTS
        .iter()
        .map(|(name, _)| ((*name).to_owned(), Vec::new()))
        .collect();
    for users in bench.sizes.clone() {
        let database = bench.database(users).await?;
        let server = bench.server(&database, Limits::Counted).await?;
        let client = bench.postgres.connect(&database).await?;
        let middle = |column: &str| {
            let offset = users / 2;
            format!(
                "SELECT {column} FROM users WHERE NOT deleted AND NOT is_system \
                 ORDER BY lower(username) OFFSET {offset} LIMIT 1"
            )
        };
        let id = value(&client, &middle("id")).await?;
        let username = value(&client, &middle("username")).await?;
        let mut table = Table::new([
            &format!("{} users", number(users as f64)),
            "p50",
            "p99",
            "server",
            "Postgres",
            "÷ `pgbench`",
            "reference",
        ]);
        let mut row = |name: &str, reference: f64, cost: &Cost, reached: Option<Reached>| {
            let [_, p50, p99, of_server, of_postgres] = cost.cells();
            let share = cost.share_of(reached).map(number).unwrap_or_default();
            let is_comparable = users == seed::MOST;
            let there = if is_comparable {
                millis(reference)
            } else {
                String::new()
            };
            table.row([
                name.to_owned(),
                p50,
                p99,
                of_server,
                of_postgres,
                share,
                there,
            ]);
            is_comparable.then(|| reference / cost.p50())
        };
        let queries = queries(users, &id, &username);
        for (at, ((name, there), query)) in reference::LISTS.into_iter().zip(queries).enumerate() {
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
            let script = [pgbench::script(&statements)];
            let reached = bench
                .best_of_pgbench(&database, &script, 1, duration)
                .await?;
            let load = Load {
                most: MOST,
                ..bench.load(&server, 1)
            };
            let cost = bench.best(&server, load, |_| requests.clone()).await?;
            lines[at].1.push((users as f64, cost.p50()));
            if let Some(times) = row(name, there, &cost, reached) {
                facts.insert(format!("list.{name}"), times);
            }
        }
        if let Some(cost) = bench.first_page_after_load(users) {
            let times = row("first page after load", reference::LISTS[0].1, cost, None);
            facts.extend(times.map(|times| ("list.loaded".to_owned(), times)));
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
            title: "GET /users: p50 by number of users",
            x: "users",
            y: "milliseconds",
            lines,
        }),
    })
}
