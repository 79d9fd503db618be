//! The statements that the server runs, run by `pgbench` instead.
//!
//! They are read from the log of Postgres together with their values.

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::NamedTempFile;
use tokio::process::Command;

use crate::postgres::{Postgres, value};

/// How long to wait for a statement to appear in the log.
const LOG_TIMEOUT: Duration = Duration::from_secs(20);

/// A statement as the server ran it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    process: String,
    sql: String,
    parameters: Vec<Option<String>>,
}

impl Statement {
    /// The statement with its values in place of its parameters.
    pub(crate) fn with_values(&self) -> String {
        self.with(|_, value| match value {
            Some(text) => quoted(text),
            None => "NULL".to_owned(),
        })
    }

    /// The statement with other expressions in place of its parameters, numbered from 1.
    pub(crate) fn with(&self, write: impl Fn(usize, Option<&str>) -> String) -> String {
        let mut sql = self.sql.clone();
        // The last one first, so that `$1` does not match the beginning of `$12`.
        for (at, value) in self.parameters.iter().enumerate().rev() {
            let written = write(at + 1, value.as_deref());
            // The only place where Postgres cannot infer the type of a literal.
            let array = format!("unnest(${})", at + 1);
            sql = sql.replace(&array, &format!("unnest({written}::text[])"));
            sql = sql.replace(&format!("${}", at + 1), &written);
        }
        sql
    }
}

/// A literal in a `pgbench` script, where a colon would begin a variable.
pub(crate) fn quoted(text: &str) -> String {
    let text = text.replace('\'', "''");
    if text.contains(':') {
        let escaped = text.replace('\\', "\\\\").replace(':', "\\072");
        format!("E'{escaped}'")
    } else {
        format!("'{text}'")
    }
}

/// The statements as a script.
pub(crate) fn script(statements: &[String]) -> String {
    statements.join(";\n") + ";\n"
}

/// The statement containing `word` that the server runs for a request, and the other
/// statements of its transaction, if there is one.
pub(crate) async fn statements(
    postgres: &Postgres,
    word: &str,
    send: impl AsyncFn() -> Result<()>,
) -> Result<Vec<Statement>> {
    let client = postgres.connect("postgres").await?;
    let set = async |setting: &str| -> Result<()> {
        client
            .batch_execute(&format!("ALTER SYSTEM {setting}"))
            .await?;
        client.batch_execute("SELECT pg_reload_conf()").await?;
        Ok(())
    };
    set("SET log_statement = 'all'").await?;
    let end = Instant::now() + LOG_TIMEOUT;
    let found = loop {
        let before = postgres.log()?.len();
        send().await?;
        // Backends read the setting before their next statement.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let log = postgres.log()?;
        let found = transaction_with(&parse(&log[before..]), word);
        if !found.is_empty() || Instant::now() > end {
            break found;
        }
    };
    set("RESET log_statement").await?;
    ensure!(!found.is_empty(), "no statement with {word:?} was logged");
    // Logging would slow the measurement down, so wait until it is off.
    while value(&client, "SHOW log_statement").await? != "none" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(found)
}

fn transaction_with(statements: &[Statement], word: &str) -> Vec<Statement> {
    let Some(hit) = statements.iter().find(|one| one.sql.contains(word)) else {
        return Vec::new();
    };
    let own: Vec<&Statement> = statements
        .iter()
        .filter(|one| one.process == hit.process)
        .collect();
    let at = own.iter().position(|one| *one == hit).unwrap_or_default();
    let begin = own[..=at].iter().rposition(|one| one.sql == "BEGIN");
    let ended = begin.is_some_and(|begin| own[begin..at].iter().any(|one| one.sql == "COMMIT"));
    let (Some(begin), false) = (begin, ended) else {
        return vec![hit.clone()];
    };
    let Some(commit) = own[at..].iter().position(|one| one.sql == "COMMIT") else {
        return Vec::new();
    };
    own[begin..=at + commit].iter().copied().cloned().collect()
}

/// Parses a log with `log_line_prefix = '%a|%p|'`.
fn parse(log: &str) -> Vec<Statement> {
    // Continuation lines start with a tab.
    let log = log.replace("\n\t", "\0");
    let mut statements: Vec<Statement> = Vec::new();
    for line in log.lines() {
        let ours = line.strip_prefix("usher|");
        let Some((process, text)) = ours.and_then(|rest| rest.split_once('|')) else {
            continue;
        };
        let text = text.replace('\0', "\n");
        let executed = text.strip_prefix("LOG:  execute ");
        let executed = executed.and_then(|rest| rest.split_once(": "));
        let sql = executed.map(|(_, sql)| sql);
        if let Some(sql) = sql.or_else(|| text.strip_prefix("LOG:  statement: ")) {
            statements.push(Statement {
                process: process.to_owned(),
                sql: sql.to_owned(),
                parameters: Vec::new(),
            });
        } else if let Some(parameters) = text.strip_prefix("DETAIL:  parameters: ") {
            let of_process = |one: &&mut Statement| one.process == process;
            if let Some(last) = statements.iter_mut().rev().find(of_process) {
                last.parameters = values(parameters);
            }
        }
    }
    statements
}

/// Parses `$1 = 'it''s', $2 = NULL`.
fn values(text: &str) -> Vec<Option<String>> {
    let mut values = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(" = ") {
        let Some(quoted) = after.strip_prefix('\'') else {
            values.push(None);
            rest = after;
            continue;
        };
        let mut value = String::new();
        let mut chars = quoted.char_indices().peekable();
        let mut end = quoted.len();
        while let Some((at, c)) = chars.next() {
            match (c, chars.peek()) {
                ('\'', Some((_, '\''))) => {
                    value.push('\'');
                    chars.next();
                }
                ('\'', _) => {
                    end = at + 1;
                    break;
                }
                _ => value.push(c),
            }
        }
        values.push(Some(value));
        rest = &quoted[end..];
    }
    values
}

/// The result of a `pgbench` run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    pub(crate) per_second: f64,
    /// CPU time of Postgres per transaction, in microseconds.
    pub(crate) micros: f64,
}

/// Runs `pgbench` with the scripts, each transaction with a random one of them. `None` if it
/// is not installed or rejects a script.
pub(crate) async fn run(
    postgres: &Postgres,
    database: &str,
    scripts: &[String],
    clients: usize,
    duration: Duration,
) -> Result<Option<Reached>> {
    let installed = postgres.program("pgbench");
    let program = if installed.exists() {
        installed
    } else {
        PathBuf::from("pgbench")
    };
    let mut files = Vec::new();
    for script in scripts {
        let file = NamedTempFile::new()?;
        std::fs::write(file.path(), script)?;
        files.push(file);
    }
    let before = postgres.cpu()?;
    let output = Command::new(program)
        .args(["--no-vacuum", "--protocol=prepared", "--username=usher"])
        .arg("--host")
        .arg(postgres.socket_directory())
        .arg(format!("--client={clients}"))
        .arg(format!("--jobs={}", clients.min(2)))
        .arg(format!("--time={}", duration.as_secs().max(1)))
        .args(
            files
                .iter()
                .map(|file| format!("--file={}", file.path().display())),
        )
        .arg(database)
        .stdin(Stdio::null())
        .output()
        .await;
    let Ok(output) = output else {
        return Ok(None);
    };
    let spent = postgres.cpu()?.saturating_sub(before);
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        println!("  pgbench: {}", errors.lines().next().unwrap_or_default());
        return Ok(None);
    }
    let number = |begin: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(begin));
        let number = line.and_then(|line| line.split([' ', '/']).next());
        let number = number.with_context(|| format!("pgbench did not print {begin:?}: {text}"))?;
        Ok(number.parse()?)
    };
    let count = number("number of transactions actually processed: ")?;
    Ok(Some(Reached {
        per_second: number("tps = ")?,
        micros: spent.as_secs_f64() * 1e6 / count.max(1.0),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
usher|7|LOG:  statement: BEGIN
psql|9|LOG:  statement: SELECT other
usher|7|LOG:  execute s1: INSERT INTO keys
\tVALUES ($1, $2)
usher|8|LOG:  execute s1: SELECT $1
usher|7|DETAIL:  parameters: $1 = 'it''s, 
	$2 = ', $2 = NULL
usher|8|DETAIL:  parameters: $1 = '5'
usher|7|LOG:  statement: COMMIT
usher|7|LOG:  execute s2: SELECT later
";

    fn sql(word: &str) -> Vec<String> {
        let found = transaction_with(&parse(LOG), word);
        found.iter().map(Statement::with_values).collect()
    }

    #[test]
    fn a_transaction_is_read_from_the_log_with_its_values() {
        let insert = "INSERT INTO keys\nVALUES ('it''s, \n$2 = ', NULL)";
        assert_eq!(sql("INSERT"), ["BEGIN", insert, "COMMIT"]);
    }

    #[test]
    fn a_colon_in_a_literal_is_not_a_variable() {
        assert_eq!(quoted(r"it's \x"), r"'it''s \x'");
        assert_eq!(quoted(r"coder:all \"), r"E'coder\072all \\'");
    }

    #[test]
    fn a_statement_outside_a_transaction_is_returned_alone() {
        assert_eq!(sql("SELECT $1"), ["SELECT '5'"]);
        assert_eq!(sql("later"), ["SELECT later"]);
        assert!(sql("other").is_empty());
    }
}
