//! Changes: tokens, preferences and new users.

use std::{cell::Cell, collections::BTreeSet};

use anyhow::Result;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::{
    bench::{Bench, Cost},
    format::{micros, number},
    goals::Facts,
    load::request,
    pgbench::{self, Reached, Statement},
    postgres::value,
    reference,
    report::{Section, Table},
    seed::{FIRST_KEY, member, owner},
    server::{Limits, Server},
};

const CONNECTIONS: usize = 16;

const TEXT: &str = "\
16 connections, each change in one transaction that is durable when its response arrives: a new
token with its row in the audit log, a changed preference, and a new user without a password,
with their membership, SSH key and audit row. The notification of owners about new users is
off, since it writes one message per owner, and there are 947 of them at a million users.
`pgbench` runs the same statements with 16 clients, one transaction for each change, and without
a server or client beside it that need the cores.";

/// The first line of each script: a number that is different in each transaction.
const UNIQUE: &str = "\\set unique random(1, 1000000000000)\n";

/// Turns the notification of owners about new users off.
const NO_NOTIFICATION: &str = "UPDATE notification_templates SET enabled_by_default = false \
                               WHERE id = '4e19c0ac-94e1-4532-9515-d1801aa283b2'";

/// A kind of change.
struct Change {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    /// A word of the statement that makes the change.
    word: &'static str,
    token: fn(usize) -> String,
    /// The body for a unique name.
    body: fn(&str) -> String,
    /// The name of its facts, and what the reference reaches.
    target: Option<(&'static str, f64)>,
}

const CHANGES: [Change; 3] = [
    Change {
        name: "new token",
        method: "POST",
        path: "/api/v2/users/me/keys/tokens",
        word: "INSERT INTO api_keys",
        token: member,
        body: |unique| json!({"token_name": unique}).to_string(),
        target: Some(("tokens", reference::TOKENS)),
    },
    Change {
        name: "preference",
        method: "PUT",
        path: "/api/v2/users/me/preferences",
        word: "user_configs",
        token: member,
        body: |unique| {
            let is_dismissed = unique.ends_with(['0', '2', '4', '6', '8']);
            json!({"task_notification_alert_dismissed": is_dismissed}).to_string()
        },
        target: Some(("preferences", reference::PREFERENCES)),
    },
    Change {
        name: "new user",
        method: "POST",
        path: "/api/v2/users",
        word: "INSERT INTO \"users\"",
        token: |_| owner(),
        body: |unique| {
            json!({
                "username": unique,
                "email": format!("{unique}@example.org"),
                "login_type": "none",
                "user_status": "active",
                "organization_ids": ["00000000-0000-0000-0000-000000000000"],
            })
            .to_string()
        },
        target: None,
    },
];

pub(super) async fn measure(bench: &mut Bench, facts: &mut Facts) -> Result<Section> {
    let mut table = Table::new([
        "change",
        "users",
        "changes/s",
        "p50",
        "p99",
        "server",
        "Postgres",
        "÷ `pgbench`",
        "Postgres by `pgbench`",
    ]);
    let (least, most) = (bench.least(), bench.most());
    let mut sizes = vec![least, most];
    sizes.dedup();
    for users in sizes {
        let database = bench.database(users).await?;
        let client = bench.postgres.connect(&database).await?;
        client.batch_execute(NO_NOTIFICATION).await?;
        let server = bench.server(&database, Limits::Off).await?;
        // Only new users depend on how many there are.
        for change in CHANGES
            .iter()
            .filter(|change| users == least || change.target.is_none())
        {
            let (cost, reached) = measure_one(bench, &server, &database, change).await?;
            let share = cost.share_of(reached);
            if let Some((name, there)) = change.target {
                facts.insert(format!("{name} ÷ reference"), cost.per_second() / there);
                facts.extend(share.map(|share| (format!("{name} ÷ pgbench"), share)));
            }
            let [rate, p50, p99, of_server, of_postgres] = cost.cells();
            table.row([
                change.name.to_owned(),
                number(users as f64),
                rate,
                p50,
                p99,
                of_server,
                of_postgres,
                share.map(number).unwrap_or_default(),
                reached
                    .map(|reached| micros(reached.micros))
                    .unwrap_or_default(),
            ]);
        }
        server.stop().await?;
    }
    Ok(Section {
        title: "Changes",
        text: TEXT,
        tables: vec![table],
        plot: None,
    })
}

async fn measure_one(
    bench: &Bench,
    server: &Server,
    database: &str,
    change: &'static Change,
) -> Result<(Cost, Option<Reached>)> {
    let attempt = Cell::new(0);
    let statements = pgbench::statements(&bench.postgres, change.word, async || {
        let unique = format!("{LOGGED}{}", attempt.replace(attempt.get() + 1));
        let mut text = Vec::new();
        let body = (change.body)(&unique);
        request(
            &mut text,
            change.method,
            change.path,
            &(change.token)(0),
            &body,
        );
        server.send(&text).await.map(drop)
    })
    .await?;
    let client = bench.postgres.connect(database).await?;
    let existing = existing_ids(&client).await?;
    let statements: Vec<String> = statements
        .iter()
        .map(|one| with_new_values(one, &existing))
        .collect();
    let script = UNIQUE.to_owned() + &pgbench::script(&statements);
    let scripts = for_members(&client, &script).await?;
    let reached = bench
        .best_of_pgbench(database, &scripts, CONNECTIONS, bench.duration)
        .await?;
    let changes = |round| {
        move |connection: usize, n: usize, out: &mut Vec<u8>| {
            let unique = format!("r{round}-c{connection}-n{n}");
            let token = (change.token)(connection + n * CONNECTIONS);
            let body = (change.body)(&unique);
            request(out, change.method, change.path, &token, &body);
        }
    };
    let load = bench.load(server, CONNECTIONS);
    Ok((bench.best(server, load, changes).await?, reached))
}

/// The ids of as many members as there are connections.
async fn members(client: &Client) -> Result<Vec<String>> {
    let query = "SELECT string_agg(user_id::text, ' ' ORDER BY id) FROM api_keys \
                 WHERE id ~ '^1[0-9]{9}$'";
    let members = value(client, query).await?;
    let members = members.split(' ').take(CONNECTIONS);
    Ok(members.map(str::to_owned).collect())
}

/// One script per connection, each for another member, so that they do not wait for the lock
/// of one row. Scripts of an owner stay one.
async fn for_members(client: &Client, script: &str) -> Result<Vec<String>> {
    let members = members(client).await?;
    let key = |n: usize| (FIRST_KEY + n).to_string();
    let mut scripts: Vec<String> = members
        .iter()
        .enumerate()
        .map(|(n, member)| {
            script
                .replace(&members[0], member)
                .replace(&key(0), &key(n))
        })
        .collect();
    scripts.dedup();
    Ok(scripts)
}

/// The prefix of the names in requests whose statements are read from the log.
const LOGGED: &str = "logged";

/// Identifiers of existing rows, which must stay the same in every transaction.
async fn existing_ids(client: &Client) -> Result<String> {
    let query = "SELECT string_agg(id::text, ' ') FROM (
                     SELECT user_id AS id FROM api_keys WHERE id ~ '^[0-9]{10}$'
                     UNION ALL SELECT id FROM organizations
                     UNION ALL SELECT id FROM notification_templates
                     UNION ALL SELECT id FROM users WHERE is_system) AS existing";
    value(client, query).await
}

/// The statement with expressions for what was new in it: the same in all statements of a
/// transaction, and different in every transaction.
fn with_new_values(statement: &Statement, existing: &str) -> String {
    statement.with(|_, value| {
        let Some(value) = value else {
            return "NULL".to_owned();
        };
        let quoted = pgbench::quoted(value);
        match serde_json::from_str(value) {
            Ok(records @ Value::Array(_)) => {
                let mut texts = BTreeSet::new();
                collect_strings(&records, &mut texts);
                texts
                    .into_iter()
                    .fold(quoted, |whole, text| match new_value(text, existing) {
                        Some(new) => {
                            format!("replace({whole}, {}, {new}::text)", pgbench::quoted(text))
                        }
                        None => whole,
                    })
            }
            _ => new_value(value, existing).unwrap_or(quoted),
        }
    })
}

/// An expression for a new value in place of one that the request created; `None` for others.
fn new_value(value: &str, existing: &str) -> Option<String> {
    let quoted = pgbench::quoted(value);
    if is_uuid(value) && !existing.contains(value) && !value.starts_with("00000000-") {
        return Some(format!("md5({quoted} || :unique)::uuid"));
    }
    let is_key = value.len() == 10 && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_key && !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(format!("left(md5({quoted} || :unique), 10)"));
    }
    value
        .starts_with(LOGGED)
        .then(|| format!("('p' || :unique || {quoted})"))
}

fn collect_strings<'a>(value: &'a Value, strings: &mut BTreeSet<&'a str>) {
    match value {
        Value::String(string) => {
            strings.insert(string);
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| collect_strings(value, strings)),
        Value::Object(fields) => fields
            .values()
            .for_each(|value| collect_strings(value, strings)),
        _ => {}
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_distinguished_from_other_text() {
        assert!(is_uuid("c42fdf75-3097-471c-8c33-fb52454d81c0"));
        assert!(!is_uuid("c42fdf75-3097-471c-8c33-fb52454d81cx"));
        assert!(!is_uuid("c42fdf75"));
    }
}
