//! The command line: commands, and how flags and variables come together.
//!
//! Every flag but `--help` and `--version` has a variable of its name. The variables are
//! put before the flags as if they had been typed there, so that both are read alike and a
//! flag wins.

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

/// What was asked for.
#[derive(Debug)]
pub struct Cli {
    /// The command.
    pub command: Command,
    /// What the operator should know about how it was asked for.
    pub warnings: Vec<String>,
}

#[derive(Debug, Parser)]
#[command(
    name = "usher",
    version,
    about = "A users service: people, organizations, roles, sessions and tokens over HTTP",
    after_help = "Start with `usher server`. It needs no configuration: without the URL of a \
                  database it runs a Postgres of its own.",
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
    /// Serve the API.
    #[command(after_help = SERVER_EXAMPLES)]
    Server(Box<ServerSettings>),
    /// Bring the database to the schema of this version, as `server` does when it starts.
    #[command(after_help = MIGRATE_EXAMPLES)]
    Migrate(Migrate),
    /// Create a user who is an owner, whether there are users or not.
    #[command(after_help = CREATE_EXAMPLES)]
    CreateAdminUser(CreateAdminUser),
    /// Set the password of a user and end all their sessions and tokens.
    #[command(after_help = RESET_EXAMPLES)]
    ResetPassword(ResetPassword),
    /// Find out whether the server can run as it is set up, and how to mend what is wrong.
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(Box<ServerSettings>),
    /// Compare the kept numbers of users with the users themselves, and put right what differs.
    #[command(after_help = RECOUNT_EXAMPLES)]
    Recount(Recount),
    /// Print the OpenAPI document of the API.
    Openapi,
    /// Print the version.
    Version,
}

const SERVER_EXAMPLES: &str = "\
Every flag is also a variable: --http-address is USHER_HTTP_ADDRESS. A flag wins.

Examples:
  usher server
      Listen on http://127.0.0.1:3000, with a Postgres of our own
  usher server --http-address :8080 --access-url https://users.example.com
      Listen on every address, behind a proxy that does TLS
  USHER_PG_CONNECTION_URL='postgres://usher:secret@db/usher?sslmode=verify-full' usher server
      Keep the data in a database elsewhere";

const MIGRATE_EXAMPLES: &str = "\
Examples:
  usher migrate
      The Postgres of our own, whether a server runs on it or not
  USHER_PG_CONNECTION_URL=postgres://usher:secret@db/usher usher migrate
      A database elsewhere, before its servers are replaced";

const CREATE_EXAMPLES: &str = "\
Others on the machine can see a password that is on the command line.

Examples:
  usher create-admin-user --username alice --email alice@example.com
  usher create-admin-user --username alice --email alice@example.com < password.txt";

const RESET_EXAMPLES: &str = "\
Others on the machine can see a password that is on the command line.

Examples:
  usher reset-password alice
  usher reset-password alice@example.com < password.txt";

const DOCTOR_EXAMPLES: &str = "\
Takes the settings of `usher server`, and starts and changes nothing. Prints a line for each
thing that it looked at, which begins with ok, warning or error; ends with status 0 unless
there is an error.

Examples:
  usher doctor
      Where the server is set up by variables
  usher doctor | grep -v ^ok
      Only what deserves a look";

const RECOUNT_EXAMPLES: &str = "\
The numbers keep themselves right. An import that turned triggers off went past them.

Examples:
  usher recount
      The Postgres of our own, whether a server runs on it or not
  USHER_PG_CONNECTION_URL=postgres://usher:secret@db/usher usher recount
      A database elsewhere, while its servers run";

impl Command {
    /// How the command logs, if it does.
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

/// Reads the command line and the variables.
///
/// # Errors
///
/// A [`Refusal`], which is also what `--help` gives.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
) -> Result<Cli, Refusal> {
    let mut definition = definition();
    let arguments = with_variables(&definition, arguments.into_iter().collect(), environment);
    let parsed = definition
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let Arguments { command } = parsed.map_err(|error| Refusal::from_clap(&error))?;
    let mut warnings = environment.warnings(&flags(&definition));
    if let Command::Server(settings) = &command {
        match settings.check() {
            Ok(more) => warnings.extend(more),
            Err(error) => return Err(Refusal::usage(&format!("{error:#}"))),
        }
    }
    Ok(Cli { command, warnings })
}

/// The commands and flags, with the variable of each flag named in its help.
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

/// The version, and that of the API.
pub fn long_version() -> String {
    format!(
        "usher {} (API {})",
        env!("CARGO_PKG_VERSION"),
        usher_api::Settings::default().build_version
    )
}

/// The flags of all commands that have a variable.
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

/// The arguments with those variables, as flags, that are not given as flags already.
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

/// Why the program does not do what was typed: it is not clear, or help was asked for.
#[derive(Debug)]
pub struct Refusal {
    /// What to tell.
    pub text: String,
    /// Whether that is what was asked for.
    pub is_answer: bool,
}

impl Refusal {
    fn usage(text: &str) -> Self {
        Self {
            text: format!("error: {text}"),
            is_answer: false,
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
            is_answer: !error.use_stderr(),
        }
    }

    /// Tells it, and gives the status that the program ends with.
    pub fn tell(&self) -> ExitCode {
        if !self.is_answer {
            terminal::complain(&self.text);
            return ExitCode::from(2);
        }
        match terminal::print(&self.text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }
}

/// A value that cannot be read, with the flag and the variable that it may be from.
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
