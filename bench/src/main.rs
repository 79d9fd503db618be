//! How fast and how small the `usher` binary is: `make bench`.
//!
//! Drives the real binary over loopback on a durable Postgres of its own, seeded with
//! thousands to a million people, and compares it with `pgbench` on the same statement and
//! database in the same run. A run of everything writes `docs/performance.md`.
//!
//! To add a measurement: a module in [`scenario`], a word in [`Scenario`], and what it
//! must reach in [`goals`].

#![expect(clippy::print_stdout, reason = "what was measured is printed")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of a measurement are far from the bounds of their types"
)]

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, ValueEnum};

mod cpu;
mod goals;
mod limits;
mod load;
mod machine;
mod pgbench;
mod plot;
mod postgres;
mod report;
mod scenario;
mod seed;
mod server;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Scenario {
    /// From exec to the first answer.
    Start,
    /// `GET /users/me`.
    Me,
    /// Signing in, and what others feel of it.
    Login,
    /// `GET /users` in all its ways.
    List,
    /// Tokens, preferences and new users.
    Write,
    /// What the process keeps.
    Memory,
}

/// Measures how fast and how small the usher binary is.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure; everything if nothing is named.
    scenarios: Vec<Scenario>,

    /// The greatest number of people.
    #[arg(long, default_value_t = 1_000_002)]
    people: usize,

    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,

    /// The binary.
    #[arg(long, default_value = "target/release/usher")]
    binary: PathBuf,

    /// Where to write the report and its images, also if not everything was measured.
    #[arg(long)]
    docs: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::parse();
    let is_whole = arguments.scenarios.is_empty() && arguments.people >= seed::MOST;
    if arguments.scenarios.is_empty() {
        arguments.scenarios = Scenario::value_variants().to_vec();
    }
    arguments.scenarios.sort_unstable();
    arguments.scenarios.dedup();
    let docs = arguments
        .docs
        .clone()
        .or_else(|| is_whole.then(|| PathBuf::from("docs")));

    let mut bench = scenario::Bench::start(&arguments).await?;
    let report = scenario::run(&mut bench, &arguments.scenarios).await;
    bench.stop().await?;

    println!("\n{}", report.to_markdown());
    if report.has_failed {
        return Ok(ExitCode::FAILURE);
    }
    if let Some(docs) = docs {
        report.write(&docs)?;
        println!("Written: {}", docs.join("performance.md").display());
    }
    Ok(ExitCode::SUCCESS)
}
