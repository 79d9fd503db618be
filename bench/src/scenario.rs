//! What is measured, one module each.

use clap::ValueEnum;

use crate::{bench::Bench, machine, report::Report};

mod list;
mod login;
mod me;
mod memory;
mod start;
mod write;

/// A group of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scenario {
    /// From exec to the first response.
    Start,
    /// `GET /users/me`.
    Me,
    /// Signing in, and its effect on other requests.
    Login,
    /// `GET /users` with and without filters.
    List,
    /// Tokens, preferences and new users.
    Write,
    /// Resident memory.
    Memory,
}

/// Runs the scenarios. One that fails is reported and does not stop the others.
pub(crate) async fn run(bench: &mut Bench, scenarios: &[Scenario]) -> Report {
    let mut report = Report {
        circumstances: circumstances(bench),
        ..Report::default()
    };
    for scenario in scenarios {
        println!("{scenario:?} …");
        let facts = &mut report.facts;
        let measured = match scenario {
            Scenario::Start => start::measure(bench, facts).await,
            Scenario::Me => me::measure(bench, facts).await,
            Scenario::Login => login::measure(bench).await,
            Scenario::List => list::measure(bench, facts).await,
            Scenario::Write => write::measure(bench, facts).await,
            Scenario::Memory => memory::measure(bench, facts).await,
        };
        match measured {
            Ok(section) => report.sections.push(section),
            Err(error) => {
                println!("  failed: {error:#}");
                report.has_failed = true;
            }
        }
    }
    report
}

fn circumstances(bench: &Bench) -> Vec<(&'static str, String)> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = match arguments.as_slice() {
        [] => "`make bench`".to_owned(),
        arguments => format!("`make bench ARGS=\"{}\"`", arguments.join(" ")),
    };
    vec![
        ("Machine", machine::describe()),
        ("Postgres", bench.postgres.version().to_owned()),
        ("Date", format!("{}", chrono::Utc::now().format("%Y-%m-%d"))),
        ("Commit", machine::commit()),
        ("Command", command),
        ("Load average before the run", machine::load()),
    ]
}
