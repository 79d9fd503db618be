//! The settings of the log.

use clap::Args;
use tracing_subscriber::filter::Targets;

use super::parse;

/// What is logged to standard error, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logging")]
pub struct LogSettings {
    /// The log filter: a level (`error`, `warn`, `info`, `debug`, `trace`), and levels of
    /// single modules, separated by commas.
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "warn,usher=info",
        value_parser = parse::log_filter
    )]
    pub log: Targets,

    /// The log format: `human` or `json`.
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "human",
        value_parser = parse::log_format
    )]
    pub log_format: LogFormat,
}

/// The log format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Human-readable lines.
    Human,
    /// One JSON object per line.
    Json,
}
