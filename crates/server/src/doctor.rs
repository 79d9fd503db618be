//! `usher doctor`: whether the server can run as it is set up, and how to mend what is wrong.
//!
//! It takes the settings of the server and looks at everything that they name: it connects
//! to the database, the mail server, the webhook and the identity providers. It starts
//! nothing, sends nobody a message, and leaves a running server alone. No finding tells a
//! secret.
//!
//! One function looks at one thing and says what it found, also when all is well.

use std::fmt;

use anyhow::{Result, bail};
use uuid::Uuid;

use crate::{settings::ServerSettings, terminal};

mod addresses;
mod database;
mod services;

/// Looks at everything and prints a line for each finding. Warnings about the variables
/// come from whoever read them.
///
/// # Errors
///
/// If something would keep the server, or a part of it, from working.
pub async fn examine(settings: ServerSettings, warnings: Vec<String>) -> Result<()> {
    let mut findings = look_at_settings(&settings, warnings);
    findings.extend(addresses::look(&settings));
    let (database, notifications, providers) = tokio::join!(
        database::look(&settings.database),
        services::look_at_notifications(&settings.notifications),
        services::look_at_providers(&settings),
    );
    findings.extend(database);
    findings.extend(notifications);
    findings.extend(providers);
    for finding in &findings {
        terminal::print(&finding.to_string())?;
    }
    match count(&findings, Level::Error) {
        0 => Ok(()),
        1 => bail!("1 thing must be mended"),
        errors => bail!("{errors} things must be mended"),
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    level: Level,
    about: String,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// It is as it should be.
    Ok,
    /// It works, but perhaps not as it was meant.
    Warning,
    /// It does not work.
    Error,
}

impl Finding {
    fn ok(about: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Level::Ok, about, text)
    }

    fn warning(about: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Level::Warning, about, text)
    }

    fn error(about: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Level::Error, about, text)
    }

    fn new(level: Level, about: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            level,
            about: about.into(),
            text: text.into(),
        }
    }
}

/// In one line, so that scripts can pick lines by their first word.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        write!(f, "{level:<8}{}:", self.about)?;
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

fn look_at_settings(settings: &ServerSettings, warnings: Vec<String>) -> Vec<Finding> {
    const ABOUT: &str = "settings";
    let checked = settings.check().and_then(|more| {
        settings.for_api(Uuid::nil(), &addresses::local_url(settings)?)?;
        Ok(more)
    });
    let mut findings: Vec<_> = warnings
        .into_iter()
        .map(|warning| Finding::warning(ABOUT, warning))
        .collect();
    match checked {
        Ok(more) => findings.extend(more.into_iter().map(|text| Finding::warning(ABOUT, text))),
        Err(error) => findings.push(Finding::error(ABOUT, format!("{error:#}"))),
    }
    if findings.is_empty() {
        findings.push(Finding::ok(ABOUT, "each can be used, and they agree"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli, environment::Environment};

    /// The settings of a server that is started with these flags.
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
        let finding = Finding::warning("mail", "no talk:\n  refused");

        assert_eq!(finding.to_string(), "warning mail: no talk: refused");
        assert_eq!(
            Finding::ok("mail", "fine").to_string(),
            "ok      mail: fine"
        );
    }

    #[test]
    fn settings_that_do_not_go_together_are_found() {
        let unknown = vec!["USHER_X is not a setting".to_owned()];
        let found = look_at_settings(
            &settings(&["--password-hash-memory=1", "--samesite-auth-cookie=none"]),
            unknown,
        );
        assert_eq!(count(&found, Level::Error), 1, "{found:?}");
        assert_eq!(count(&found, Level::Warning), 1, "{found:?}");

        let found = look_at_settings(&settings(&["--samesite-auth-cookie=none"]), Vec::new());
        assert_eq!(count(&found, Level::Warning), 1, "{found:?}");
        let found = look_at_settings(&settings(&[]), Vec::new());
        assert_eq!((found.len(), found[0].level), (1, Level::Ok));
    }
}
