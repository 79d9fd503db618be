//! What changes something.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Bench, Cost, number};
use crate::{
    goals::reference,
    load::request,
    pgbench::{self, Reached, Statement},
    report::{Facts, Section, Table},
    seed::{self, FIRST_KEY, member, owner},
    server::{Limits, Server},
};

const CONNECTIONS: usize = 16;

const TEXT: &str = "\
16 connections that change something, each change in one transaction that is on the disk when
the answer comes: a new token (with its row in the audit log), a preference, a new user
without a password (with their membership, their SSH key and the audit log). Owners are not
told of new users here: each of them costs a message, and there are 947 at a million people.
`pgbench` runs the same transactions with 16 clients.

Below it is what `pgbench` reaches with the rows alone, that is, without a look at who asks,
and without a server or a client that would want a share of the cores. A server can only be
faster if it writes several changes in one transaction.";

/// The least that a change can be, with `MEMBER` for whose it is.
const BARE: [Bare; 2] = [
    Bare {
        name: "a row in `api_keys`, a row in `audit_logs`",
        fact: "tokens",
        there: reference::TOKENS,
        sql: "WITH key AS (
                  INSERT INTO api_keys (id, hashed_secret, user_id, login_type, token_name,
                      created_at, updated_at, last_used, expires_at)
                  VALUES (left(md5('bare' || :unique), 10), 'bare', 'MEMBER', 'token',
                      'bare' || :unique, now(), now(), now(), now()))
              INSERT INTO audit_logs (id, time, user_id, organization_id, resource_type,
                  resource_id, resource_target, resource_icon, action, diff, status_code,
                  request_id)
              VALUES (gen_random_uuid(), now(), 'MEMBER',
                  '00000000-0000-0000-0000-000000000000', 'api_key', 'MEMBER',
                  'bare' || :unique, '', 'create', '{}', 201, gen_random_uuid());",
    },
    Bare {
        name: "a row in `user_configs`",
        fact: "preferences",
        there: reference::PREFERENCES,
        sql: "INSERT INTO user_configs (user_id, key, value) VALUES ('MEMBER', 'bare', :unique)
              ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value;",
    },
];

/// What a change is at least.
struct Bare {
    name: &'static str,
    /// What the facts are called.
    fact: &'static str,
    /// What the reference does in a second, with all that belongs to it.
    there: f64,
    sql: &'static str,
}

/// Has a script begin with a number that is new each time.
const UNIQUE: &str = "\\set unique random(1, 1000000000000)\n";

/// Has owners not told of new users.
const QUIET: &str = "UPDATE notification_templates SET enabled_by_default = false \
                     WHERE id = '4e19c0ac-94e1-4532-9515-d1801aa283b2'";

/// A kind of change.
struct Change {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    /// What the facts are called.
    fact: &'static str,
    /// A word of the statement that makes the change.
    word: &'static str,
    token: fn(usize) -> String,
    body: fn(&str) -> String,
}

const CHANGES: [Change; 3] = [
    Change {
        name: "new token",
        method: "POST",
        path: "/api/v2/users/me/keys/tokens",
        fact: "tokens",
        word: "INSERT INTO api_keys",
        token: member,
        body: |unique| json!({"token_name": unique}).to_string(),
    },
    Change {
        name: "preference",
        method: "PUT",
        path: "/api/v2/users/me/preferences",
        fact: "preferences",
        word: "user_configs",
        token: member,
        body: |unique| {
            let is_dismissed = unique.ends_with(['0', '2', '4', '6', '8']);
            json!({"task_notification_alert_dismissed": is_dismissed}).to_string()
        },
    },
    Change {
        name: "new user",
        method: "POST",
        path: "/api/v2/users",
        fact: "users",
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
    },
];

pub(super) async fn measure(bench: &mut Bench, facts: &mut Facts) -> Result<Section> {
    let mut table = Table::new([
        "change",
        "people",
        "changes/s",
        "p50",
        "p99",
        "server",
        "Postgres",
        "÷ `pgbench`",
        "Postgres by `pgbench`",
    ]);
    let mut bare = Table::new([
        "`pgbench` alone, 16 clients",
        "in a second",
        "Postgres",
        "÷ the reference",
    ]);
    let mut sizes = vec![bench.least(), bench.most()];
    sizes.dedup();
    for people in sizes {
        let database = bench.database(people).await?;
        let client = bench.postgres.connect(&database).await?;
        client.batch_execute(QUIET).await?;
        let server = bench.server(&database, Limits::Off).await?;
        for change in &CHANGES {
            let is_about_people = change.fact == "users";
            if people != bench.least() && !is_about_people {
                continue;
            }
            let (cost, reached) = measure_one(bench, &server, &database, change).await?;
            if people == bench.least() {
                let rate = cost.latencies.per_second();
                facts.insert(format!("{}.rate", change.fact), rate);
                let micros = cost.server + cost.postgres;
                facts.insert(format!("{}.micros", change.fact), micros);
            }
            if is_about_people && people == bench.least() {
                facts.insert("users.micros.least".to_owned(), cost.postgres);
            }
            if is_about_people && people == seed::MOST {
                facts.insert("users.micros.most".to_owned(), cost.postgres);
            }
            let [rate, p50, p99, of_server, of_postgres] = cost.cells();
            let [beside, beside_micros] = cost.beside(reached);
            table.row([
                change.name.to_owned(),
                number(people as f64),
                rate,
                p50,
                p99,
                of_server,
                of_postgres,
                beside,
                beside_micros,
            ]);
        }
        server.stop().await?;
        if people == bench.least() {
            measure_bare(bench, &database, &mut bare, facts).await?;
        }
    }
    Ok(Section {
        title: "Changes",
        text: TEXT,
        tables: vec![table, bare],
        plot: None,
    })
}

async fn measure_one(
    bench: &Bench,
    server: &Server,
    database: &str,
    change: &'static Change,
) -> Result<(Cost, Option<Reached>)> {
    let attempt = std::cell::Cell::new(0);
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
    let known = known(bench, database).await?;
    let statements: Vec<String> = statements.iter().map(|one| anew(one, &known)).collect();
    let script = UNIQUE.to_owned() + &super::script(&statements);
    let scripts = for_members(bench, database, &script).await?;
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

async fn measure_bare(
    bench: &Bench,
    database: &str,
    table: &mut Table,
    facts: &mut Facts,
) -> Result<()> {
    let members = members(bench, database).await?;
    for bare in BARE {
        let scripts: Vec<String> = members
            .iter()
            .map(|member| format!("{UNIQUE}{}\n", one_line(bare.sql).replace("MEMBER", member)))
            .collect();
        let reached = bench
            .best_of_pgbench(database, &scripts, CONNECTIONS, bench.duration)
            .await?;
        let Some(reached) = reached else {
            continue;
        };
        facts.insert(format!("{}.bare", bare.fact), reached.per_second);
        table.row([
            bare.name.to_owned(),
            number(reached.per_second),
            super::micros(reached.micros),
            number(reached.per_second / bare.there),
        ]);
    }
    Ok(())
}

fn one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// As many members as there are connections.
async fn members(bench: &Bench, database: &str) -> Result<Vec<String>> {
    let client = bench.postgres.connect(database).await?;
    let query = "SELECT string_agg(user_id::text, ' ' ORDER BY id) FROM api_keys \
                 WHERE id ~ '^1[0-9]{9}$'";
    let members = crate::postgres::value(&client, query).await?;
    Ok(members
        .split(' ')
        .take(CONNECTIONS)
        .map(str::to_owned)
        .collect())
}

/// The same script for as many members as there are connections, so that they do not wait
/// for the row of one; what an owner does, they do.
async fn for_members(bench: &Bench, database: &str, script: &str) -> Result<Vec<String>> {
    let members = members(bench, database).await?;
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

/// What a name begins with whose statements are read from the log.
const LOGGED: &str = "logged";

/// Identifiers that stand for what is there, and so must stay as they are.
async fn known(bench: &Bench, database: &str) -> Result<String> {
    let client = bench.postgres.connect(database).await?;
    let query = "SELECT string_agg(id::text, ' ') FROM (
                     SELECT user_id AS id FROM api_keys WHERE id ~ '^[0-9]{10}$'
                     UNION ALL SELECT id FROM organizations
                     UNION ALL SELECT id FROM notification_templates
                     UNION ALL SELECT id FROM users WHERE is_system) AS known";
    crate::postgres::value(&client, query).await
}

/// The statement, with something new for what was new in it.
///
/// The same new value is the same in all statements of the transaction, and another one in
/// each of its runs.
fn anew(statement: &Statement, known: &str) -> String {
    statement.with(|_, value| {
        let Some(value) = value else {
            return "NULL".to_owned();
        };
        let quoted = pgbench::quoted(value);
        match serde_json::from_str(value) {
            Ok(records @ Value::Array(_)) => {
                let mut texts = BTreeSet::new();
                collect_texts(&records, &mut texts);
                texts
                    .into_iter()
                    .fold(quoted, |whole, text| match new_value(text, known) {
                        Some(new) => {
                            format!("replace({whole}, {}, {new}::text)", pgbench::quoted(text))
                        }
                        None => whole,
                    })
            }
            _ => new_value(value, known).unwrap_or(quoted),
        }
    })
}

/// An expression for something new in the place of what was; `None` if it was not.
fn new_value(value: &str, known: &str) -> Option<String> {
    let quoted = pgbench::quoted(value);
    if is_uuid(value) && !known.contains(value) && !value.starts_with("00000000-") {
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

/// The texts in records of JSON.
fn collect_texts<'a>(value: &'a Value, texts: &mut BTreeSet<&'a str>) {
    match value {
        Value::String(text) => {
            texts.insert(text);
        }
        Value::Array(values) => values.iter().for_each(|value| collect_texts(value, texts)),
        Value::Object(fields) => fields
            .values()
            .for_each(|value| collect_texts(value, texts)),
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
    fn identifiers_are_told_from_other_text() {
        assert!(is_uuid("c42fdf75-3097-471c-8c33-fb52454d81c0"));
        assert!(!is_uuid("c42fdf75-3097-471c-8c33-fb52454d81cx"));
        assert!(!is_uuid("c42fdf75"));
    }
}
