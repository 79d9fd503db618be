//! The settings of the second and further OpenID providers, whose names contain a number.

use std::{collections::BTreeMap, ffi::OsString, ops::RangeInclusive};

use clap::{
    Arg, ArgMatches, Args, Command, FromArgMatches,
    builder::{Resettable, ValueParser},
};

use super::OidcSettings;
use crate::environment;

/// The numbers of the second and further OpenID providers.
const NUMBERS: RangeInclusive<usize> = 2..=9;

/// The second and further OpenID providers by their numbers.
#[derive(Clone, Debug, Default)]
pub struct NumberedOidcSettings(pub(super) BTreeMap<usize, OidcSettings>);

impl NumberedOidcSettings {
    fn flags(number: usize) -> impl Iterator<Item = Arg> {
        OidcSettings::augment_args(Command::new("oidc"))
            .get_arguments()
            .cloned()
            .collect::<Vec<_>>()
            .into_iter()
            .map(move |flag| {
                let long = numbered(flag.get_long().unwrap_or_default(), number);
                flag.long(long)
            })
    }
}

/// The environment variable of a flag of the OpenID provider with this number; the first has
/// none in its name.
pub(super) fn variable(flag: &str, number: usize) -> String {
    match number {
        1 => environment::variable(flag),
        _ => environment::variable(&numbered(flag, number)),
    }
}

fn numbered(flag: &str, number: usize) -> String {
    flag.replacen("oidc-", &format!("oidc-{number}-"), 1)
}

fn id(flag: &Arg, number: usize) -> String {
    format!("{}_{number}", flag.get_id())
}

impl Args for NumberedOidcSettings {
    fn augment_args(command: Command) -> Command {
        // Hidden, since they would fill the help, and read as plain strings: their own parsers
        // run when it is known which providers exist.
        NUMBERS.fold(command, |command, number| {
            command.args(Self::flags(number).map(|flag| {
                let id = id(&flag, number);
                flag.id(id)
                    .hide(true)
                    .default_value(Resettable::Reset)
                    .value_parser(ValueParser::os_string())
            }))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for NumberedOidcSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut all = BTreeMap::new();
        for number in NUMBERS {
            let given: Vec<OsString> = Self::flags(number)
                .filter_map(|flag| {
                    let value = matches.get_one::<OsString>(&id(&flag, number))?;
                    let mut argument = OsString::from(format!("--{}=", flag.get_long()?));
                    argument.push(value);
                    Some(argument)
                })
                .collect();
            if given.is_empty() {
                continue;
            }
            let command = Command::new("oidc")
                .no_binary_name(true)
                .args(Self::flags(number));
            let matches = command.try_get_matches_from(given)?;
            all.insert(number, OidcSettings::from_arg_matches(&matches)?);
        }
        Ok(Self(all))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
