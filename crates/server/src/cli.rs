//! The command line.
//!
//! Every flag but `--help` and `--version` has an environment variable. Variables are inserted
//! before the flags as if they were flags, so that both are parsed alike and flags win.

use std::{collections::BTreeSet, error::Error as _, ffi::OsString, process::ExitCode};

use clap::{
    CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    admin::{CreateAdminUser, ResetPassword},
    database::Migrate,
    environment::{self, Environment},
    settings::{LogSettings, ServerSettings},
    terminal,
    user_count::Recount,
};

/// The parsed command line.
#[derive(Debug)]
pub struct Cli {
    /// The command.
    pub command: Command,
    /// Warnings for the operator.
    pub warnings: Vec<String>,
}

#[derive(Debug, Parser)]
#[command(
    name = "usher",
    version,
    about = "A users service: users, organizations, roles, sessions and tokens over HTTP",
    after_help = "Start with `usher server`. It needs no configuration: without a database URL \
                  it runs a local Postgres.",
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// A command with its flags.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    #[command(after_help = SERVER_EXAMPLES)]
    Server(Box<ServerSettings>),
    /// Migrate the database to the schema of this version, as `server` does at its start.
    #[command(after_help = MIGRATE_EXAMPLES)]
    Migrate(Migrate),
    /// Create a user with the role owner.
    #[command(after_help = CREATE_EXAMPLES)]
    CreateAdminUser(CreateAdminUser),
    /// Set a user's password and revoke their sessions and tokens.
    #[command(after_help = RESET_EXAMPLES)]
    ResetPassword(ResetPassword),
    /// Check the settings and everything they refer to, and suggest fixes.
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(Box<ServerSettings>),
    /// Check the maintained user counts against the users, and fix them if they differ.
    #[command(after_help = RECOUNT_EXAMPLES)]
    Recount(Recount),
    /// Print the OpenAPI document of the API.
    Openapi,
    /// Print the version.
    Version,
}

const SERVER_EXAMPLES: &str = "\
Every flag is also an environment variable: --http-address is USHER_HTTP_ADDRESS. Flags take
precedence.

Examples:
  usher server
      Listen on http://127.0.0.1:3000, with a local Postgres
  usher server --http-address :8080 --access-url https://users.example.com
      Listen on all interfaces, behind a proxy that terminates TLS
  USHER_PG_CONNECTION_URL='postgres://usher:secret@db/usher?sslmode=verify-full' usher server
      Use an existing database";

const MIGRATE_EXAMPLES: &str = "\
Examples:
  usher migrate
      Migrate the local Postgres, whether a server is running or not
  USHER_PG_CONNECTION_URL=postgres://usher:secret@db/usher usher migrate
      Migrate an existing database before an upgrade of its servers";

const CREATE_EXAMPLES: &str = "\
A password on the command line is visible to other users of the machine.

Examples:
  usher create-admin-user --username alice --email alice@example.com
  usher create-admin-user --username alice --email alice@example.com < password.txt";

const RESET_EXAMPLES: &str = "\
A password on the command line is visible to other users of the machine.

Examples:
  usher reset-password alice
  usher reset-password alice@example.com < password.txt";

const DOCTOR_EXAMPLES: &str = "\
Takes the settings of `usher server`. Starts and changes nothing. Prints one line per check,
which begins with ok, warning or error. The exit status is 0 unless there is an error.

Examples:
  usher doctor
      Check the settings in the environment
  usher doctor | grep -v ^ok
      Show only problems";

const RECOUNT_EXAMPLES: &str = "\
Triggers maintain the counts. Run this after an import that disabled triggers.

Examples:
  usher recount
      Check the local Postgres, whether a server is running or not
  USHER_PG_CONNECTION_URL=postgres://usher:secret@db/usher usher recount
      Check an existing database; its servers may be running";

impl Command {
    /// The log settings, if the command logs.
    pub fn log(&self) -> Option<&LogSettings> {
        match self {
            Self::Server(settings) | Self::Doctor(settings) => Some(&settings.log),
            Self::Migrate(command) => Some(&command.log),
            Self::CreateAdminUser(command) => Some(&command.log),
            Self::ResetPassword(command) => Some(&command.log),
            Self::Recount(command) => Some(&command.log),
            Self::Openapi | Self::Version => None,
        }
    }
}

/// Parses the command line and the environment variables.
///
/// # Errors
///
/// An [`Exit`] for a usage error, and for `--help` and `--version`.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
) -> Result<Cli, Exit> {
    let mut definition = definition();
    let arguments = with_variables(&definition, arguments.into_iter().collect(), environment);
    let parsed = definition
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let Arguments { command } = parsed.map_err(|error| Exit::from_clap(&error))?;
    let mut warnings = environment.warnings(&flags(&definition));
    if let Command::Server(settings) = &command {
        match settings.check() {
            Ok(more) => warnings.extend(more),
            Err(error) => return Err(Exit::usage(&format!("{error:#}"))),
        }
    }
    Ok(Cli { command, warnings })
}

/// The commands and flags, with each flag's environment variable in its help.
pub fn definition() -> clap::Command {
    Arguments::command().mut_subcommands(|command| {
        command.mut_args(|argument| {
            let (Some(flag), Some(help)) = (argument.get_long(), argument.get_help()) else {
                return argument;
            };
            let help = format!("{help} [env: {}]", environment::variable(flag));
            argument.help(help)
        })
    })
}

/// The version of the program and of the API.
pub fn long_version() -> String {
    format!(
        "usher {} (API {})",
        env!("CARGO_PKG_VERSION"),
        usher_api::Settings::default().build_version
    )
}

/// The flags of all commands that have an environment variable.
fn flags(definition: &clap::Command) -> BTreeSet<String> {
    definition
        .get_subcommands()
        .flat_map(settings_of)
        .map(str::to_owned)
        .collect()
}

fn settings_of(command: &clap::Command) -> impl Iterator<Item = &str> {
    command
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .filter(|flag| !matches!(*flag, "help" | "version"))
}

/// Inserts the environment variables as flags, unless the flag is given.
fn with_variables(
    definition: &clap::Command,
    mut arguments: Vec<OsString>,
    environment: &Environment,
) -> Vec<OsString> {
    let Some(command) = arguments
        .get(1)
        .and_then(|name| definition.find_subcommand(name))
    else {
        return arguments;
    };
    let is_given = |flag: &str| {
        arguments
            .iter()
            .filter_map(|given| given.to_str())
            .any(|given| {
                given
                    .strip_prefix("--")
                    .and_then(|given| given.strip_prefix(flag))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
            })
    };
    let variables: Vec<OsString> = settings_of(command)
        .filter(|flag| !is_given(flag))
        .filter_map(|flag| {
            let mut argument = OsString::from(format!("--{flag}="));
            argument.push(environment.of_flag(flag)?);
            Some(argument)
        })
        .collect();
    arguments.splice(2..2, variables);
    arguments
}

/// A text to print instead of running a command.
#[derive(Debug)]
pub struct Exit {
    /// The text.
    pub text: String,
    /// Whether the text is a usage error, and not the output of `--help` or `--version`.
    pub is_error: bool,
}

impl Exit {
    fn usage(text: &str) -> Self {
        Self {
            text: format!("error: {text}"),
            is_error: true,
        }
    }

    fn from_clap(error: &clap::Error) -> Self {
        if error.kind() == ErrorKind::ValueValidation
            && let Some(text) = bad_value(error)
        {
            return Self::usage(&text);
        }
        Self {
            text: error.render().to_string(),
            is_error: error.use_stderr(),
        }
    }

    /// Prints the text and returns the exit status.
    pub fn print(&self) -> ExitCode {
        if self.is_error {
            terminal::print_error(&self.text);
            return ExitCode::from(2);
        }
        match terminal::print(&self.text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }
}

/// The message for an invalid value, with its flag and environment variable.
fn bad_value(error: &clap::Error) -> Option<String> {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg)?;
    let flag = argument.strip_prefix("--")?.split([' ', '=', '[']).next()?;
    let value = context(ContextKind::InvalidValue)?;
    let rule = error.source()?;
    Some(format!(
        "--{flag} ({}) {rule}; it is {value:?}",
        environment::variable(flag)
    ))
}
