//! The program `usher`: settings, wiring, logging, shutdown and the operators' commands.
//!
//! This is the only crate that depends on both the API and Postgres. It reads the settings
//! ([`settings`]), finds or starts the database ([`database`]), creates the store and the API,
//! and serves it ([`serve`]).
//!
//! To add a setting, add a field to its section of [`settings`], with a doc comment for the
//! operator; its flag, its environment variable and its row in `docs/configuration.md` follow.
//! To add a command, add a variant to [`cli::Command`] and a function for it.

use std::{ffi::OsString, process::ExitCode};

use anyhow::{Context as _, Result};

pub mod admin;
pub mod cli;
pub mod database;
pub mod doctor;
pub mod duration;
pub mod environment;
pub mod serve;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod terminal;
pub mod user_count;
mod welcome;

use cli::{Cli, Command};
use environment::Environment;

/// Runs the program with its arguments, the first of which is its name, and its environment
/// variables.
///
/// The exit status is 0 for success, 1 for a failure and 2 for a usage error.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let environment = Environment::new(variables);
    let cli = match cli::parse(arguments, &environment) {
        Ok(cli) => cli,
        Err(exit) => return exit.print(),
    };
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::print_error(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn execute(Cli { command, warnings }: Cli) -> Result<()> {
    if let Some(log) = command.log() {
        telemetry::start(log);
    }
    // `doctor` reports them as findings.
    if !matches!(command, Command::Doctor(_)) {
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
    }
    match command {
        Command::Server(settings) => block_on(serve::serve(*settings)),
        Command::Migrate(command) => block_on(database::migrate(command)),
        Command::CreateAdminUser(command) => block_on(admin::create_admin_user(command)),
        Command::ResetPassword(command) => block_on(admin::reset_password(command)),
        Command::Doctor(settings) => block_on(doctor::run(*settings, warnings)),
        Command::Recount(command) => block_on(user_count::recount(command)),
        Command::Openapi => {
            let document = usher_api::openapi().to_pretty_json();
            terminal::print(&document.context("could not serialize the OpenAPI document")?)
        }
        Command::Version => terminal::print(&cli::long_version()),
    }
}

fn block_on(command: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the tokio runtime")?
        .block_on(command)
}
