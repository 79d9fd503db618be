//! Environment variables as settings: `USHER_HTTP_ADDRESS` is the flag `--http-address`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
};

const PREFIX: &str = "USHER_";

/// The maximum edit distance of a typo.
const TYPO: usize = 2;

/// The environment variables whose names start with `USHER_`.
///
/// Empty variables count as not set, since environment files often list all variables.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// Selects the variables of the program.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let ours = variables.into_iter().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            (name.starts_with(PREFIX) && !value.is_empty()).then_some((name, value))
        });
        Self(ours.collect())
    }

    /// The value of a flag's variable.
    pub fn of_flag(&self, flag: &str) -> Option<&OsStr> {
        self.0.get(&variable(flag)).map(OsString::as_os_str)
    }

    /// Warnings about variables that do not belong to a flag.
    pub fn warnings(&self, flags: &BTreeSet<String>) -> Vec<String> {
        let known: Vec<String> = flags.iter().map(|flag| variable(flag)).collect();
        let unknown = self.0.keys().filter(|name| !known.contains(name));
        unknown.map(|name| warning(name, &known)).collect()
    }
}

/// The name of a flag's variable.
pub fn variable(flag: &str) -> String {
    format!("{PREFIX}{}", flag.replace('-', "_").to_uppercase())
}

fn warning(name: &str, known: &[String]) -> String {
    let distance = |known: &&String| strsim::damerau_levenshtein(name, known);
    let closest = known
        .iter()
        .min_by_key(distance)
        .filter(|known| distance(known) <= TYPO);
    match closest {
        Some(closest) => format!("{name} is not a setting; did you mean {closest}?"),
        None => format!("{name} is not a setting and has no effect"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::new(
            variables
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        )
    }

    #[test]
    fn a_flag_has_the_variable_of_its_name() {
        let environment = environment(&[("USHER_HTTP_ADDRESS", ":80"), ("HTTP_ADDRESS", ":81")]);

        assert_eq!(environment.of_flag("http-address"), Some(":80".as_ref()));
        assert_eq!(environment.of_flag("access-url"), None);
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let environment = environment(&[("USHER_ACCESS_URL", "")]);

        assert_eq!(environment.of_flag("access-url"), None);
        assert!(environment.warnings(&BTreeSet::new()).is_empty());
    }

    #[test]
    fn an_unknown_variable_is_a_warning() {
        let environment = environment(&[
            ("PATH", "/bin"),
            ("USHER_ACCESS_URL", "http://x"),
            ("USHER_ACESS_URL", "http://x"),
            ("USHER_OIDC_CLIENT_ID", "x"),
        ]);
        let flags = BTreeSet::from(["access-url".to_owned()]);

        assert_eq!(
            environment.warnings(&flags),
            [
                "USHER_ACESS_URL is not a setting; did you mean USHER_ACCESS_URL?",
                "USHER_OIDC_CLIENT_ID is not a setting and has no effect",
            ]
        );
    }
}
