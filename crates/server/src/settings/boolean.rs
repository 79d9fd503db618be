//! Boolean settings, declared with `#[arg(long, boolean())]`.

use clap::{Arg, ArgAction};

use super::parse;

/// Turns an argument into a boolean setting, which is also set by a value: `--flag`,
/// `--flag=false`, `USHER_FLAG=1`.
pub(super) trait BooleanArg: Sized {
    /// `false` by default.
    fn boolean(self) -> Self;

    /// Without a default.
    fn optional_boolean(self) -> Self;
}

impl BooleanArg for Arg {
    fn boolean(self) -> Self {
        self.optional_boolean().default_value("false")
    }

    fn optional_boolean(self) -> Self {
        self.value_name("BOOL")
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(parse::boolean)
    }
}
