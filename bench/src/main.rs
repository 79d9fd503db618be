//! Measures the speed and memory use of the `usher` binary: `make bench`.
//!
//! Drives the real binary over loopback on a durable Postgres cluster of its own, with up to
//! a million users, and runs `pgbench` with the same statements on the same database. A
//! complete run writes `docs/performance.md`.
//!
//! To add a measurement: write a module in [`scenario`], add it to [`scenario::Scenario`],
//! and add its target to [`goals`].

#![expect(clippy::print_stdout, reason = "results are printed")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "measured values are far from the bounds of their types"
)]

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Parser, ValueEnum as _};

use crate::{bench::Bench, scenario::Scenario};

mod bench;
mod cpu;
mod format;
mod goals;
mod load;
mod machine;
mod pgbench;
mod plot;
mod postgres;
mod reference;
mod report;
mod scenario;
mod seed;
mod server;

/// Measures the speed and memory use of the usher binary.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure; everything by default.
    scenarios: Vec<Scenario>,

    /// The largest number of users.
    #[arg(long, default_value_t = seed::MOST)]
    users: usize,

    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,

    /// The binary.
    #[arg(long, default_value = "target/dist/usher")]
    binary: PathBuf,

    /// Where to write the report and its images. A complete run writes them to `docs`.
    #[arg(long)]
    docs: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::parse();
    let is_complete = arguments.scenarios.is_empty() && arguments.users >= seed::MOST;
    if arguments.scenarios.is_empty() {
        arguments.scenarios = Scenario::value_variants().to_vec();
    }
    arguments.scenarios.sort_unstable();
    arguments.scenarios.dedup();
    let docs = arguments
        .docs
        .or_else(|| is_complete.then(|| PathBuf::from("docs")));

    let duration = Duration::from_secs_f64(arguments.seconds);
    let mut bench = Bench::start(&arguments.binary, duration, arguments.users).await?;
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
