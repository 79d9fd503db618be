//! `usher doctor`: checks the settings of the server and suggests fixes.
//!
//! It connects to everything the settings name: the database, the mail server, the webhook and
//! the identity providers. It starts nothing, sends no messages and does not affect a running
//! server. Findings contain no secrets.
//!
//! Each check is a function that returns its findings.

use std::fmt;

use anyhow::{Result, bail};
use uuid::Uuid;

use crate::{settings::ServerSettings, terminal};

mod addresses;
mod database;
mod services;

/// Runs all checks and prints a line for each finding, including the warnings of the command
/// line parser.
///
/// # Errors
///
/// If at least one finding is an error.
pub async fn run(settings: ServerSettings, warnings: Vec<String>) -> Result<()> {
    let mut findings = check_settings(&settings, warnings);
    findings.extend(addresses::check(&settings));
    let (database, notifications, providers) = tokio::join!(
        database::check(&settings.database),
        services::check_notifications(&settings.notifications),
        services::check_providers(&settings),
    );
    findings.extend(database);
    findings.extend(notifications);
    findings.extend(providers);
    for finding in &findings {
        terminal::print(&finding.to_string())?;
    }
    match count(&findings, Level::Error) {
        0 => Ok(()),
        1 => bail!("1 problem found"),
        errors => bail!("{errors} problems found"),
    }
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    level: Level,
    subject: String,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// No problem.
    Ok,
    /// It works, but perhaps not as intended.
    Warning,
    /// It does not work.
    Error,
}

impl Finding {
    fn ok(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Level::Ok, subject, text)
    }

    fn warning(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Level::Warning, subject, text)
    }

    fn error(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Level::Error, subject, text)
    }

    fn new(level: Level, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            level,
            subject: subject.into(),
            text: text.into(),
        }
    }
}

/// One line, so that scripts can filter by the first word.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        write!(f, "{level:<8}{}:", self.subject)?;
        for word in self.text.split_whitespace() {
            write!(f, " {word}")?;
        }
        Ok(())
    }
}

fn count(findings: &[Finding], level: Level) -> usize {
    let of_level = findings.iter().filter(|finding| finding.level == level);
    of_level.count()
}

fn check_settings(settings: &ServerSettings, warnings: Vec<String>) -> Vec<Finding> {
    const SUBJECT: &str = "settings";
    let checked = settings.check().and_then(|more| {
        settings.for_api(Uuid::nil(), &addresses::local_url(settings)?)?;
        Ok(more)
    });
    let mut findings: Vec<_> = warnings
        .into_iter()
        .map(|warning| Finding::warning(SUBJECT, warning))
        .collect();
    match checked {
        Ok(more) => findings.extend(more.into_iter().map(|text| Finding::warning(SUBJECT, text))),
        Err(error) => findings.push(Finding::error(SUBJECT, format!("{error:#}"))),
    }
    if findings.is_empty() {
        findings.push(Finding::ok(SUBJECT, "all settings are valid"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli, environment::Environment};

    /// The settings of a server with these flags.
    pub(super) fn settings(flags: &[&str]) -> ServerSettings {
        let arguments = ["usher", "doctor"].iter().chain(flags).map(Into::into);
        match cli::parse(arguments, &Environment::default())
            .unwrap()
            .command
        {
            cli::Command::Doctor(settings) => *settings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_finding_is_one_line() {
        let finding = Finding::warning("mail", "connection\n  refused");

        assert_eq!(finding.to_string(), "warning mail: connection refused");
        assert_eq!(
            Finding::ok("mail", "fine").to_string(),
            "ok      mail: fine"
        );
    }

    #[test]
    fn conflicting_settings_are_findings() {
        let unknown = vec!["USHER_X is not a setting".to_owned()];
        let found = check_settings(
            &settings(&["--password-hash-memory=1", "--samesite-auth-cookie=none"]),
            unknown,
        );
        assert_eq!(count(&found, Level::Error), 1, "{found:?}");
        assert_eq!(count(&found, Level::Warning), 1, "{found:?}");

        let found = check_settings(&settings(&["--samesite-auth-cookie=none"]), Vec::new());
        assert_eq!(count(&found, Level::Warning), 1, "{found:?}");
        let found = check_settings(&settings(&[]), Vec::new());
        assert_eq!((found.len(), found[0].level), (1, Level::Ok));
    }
}
