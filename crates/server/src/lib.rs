//! The program `usher`: settings, wiring, logs, shutdown, and the commands of operators.
//!
//! This is the one crate that knows both the API and Postgres. It decides nothing about
//! users: it reads settings ([`settings`]), finds or starts the database ([`database`]),
//! puts the store under the API, and serves it ([`serve`]).
//!
//! To add a setting: a field in its section of [`settings`], with a comment for the
//! operator; its flag, its variable and its row in `docs/configuration.md` follow from
//! that. To add a command: a variant of [`cli::Command`] and a function for it.

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

/// Runs the program with its arguments, the first of which is its name, and its
/// environment.
///
/// Ends with 0 if it did what it was asked, 1 if it could not, and 2 if it was not asked
/// right.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let environment = Environment::new(variables);
    let cli = match cli::parse(arguments, &environment) {
        Ok(cli) => cli,
        Err(refusal) => return refusal.tell(),
    };
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn execute(Cli { command, warnings }: Cli) -> Result<()> {
    if let Some(log) = command.log() {
        telemetry::start(log);
    }
    // To the doctor they are findings.
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
        Command::Doctor(settings) => block_on(doctor::examine(*settings, warnings)),
        Command::Recount(command) => block_on(user_count::recount(command)),
        Command::Openapi => {
            let document = usher_api::openapi().to_pretty_json();
            terminal::print(&document.context("could not write the OpenAPI document")?)
        }
        Command::Version => terminal::print(&cli::long_version()),
    }
}

fn block_on(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the threads of the program")?
        .block_on(work)
}
