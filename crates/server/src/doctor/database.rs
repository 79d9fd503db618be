//! Checks the database, or the data directory of a local Postgres that is not running.

use std::{path::Path, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use rustix::fs::{Access, access};
use tokio::time::timeout;
use usher_local_postgres::{Binaries, Cluster};
use usher_postgres::{Inspection, PgError};

use super::Finding;
use crate::{
    database::{Database, cluster_directory, data_directory},
    settings::DatabaseSettings,
};

const SUBJECT: &str = "database";
const TIMEOUT: Duration = Duration::from_secs(15);
/// The clock skew from which users notice that sessions and passcodes expire early or late.
const MAX_SKEW: TimeDelta = TimeDelta::seconds(10);
/// The clock skew from which tokens of identity providers are rejected.
const FATAL_SKEW: TimeDelta = TimeDelta::minutes(5);

/// Checks the database that the server would use. Does not start a local Postgres.
pub(super) async fn check(settings: &DatabaseSettings) -> Vec<Finding> {
    match Database::find(settings) {
        Err(error) => vec![Finding::error(SUBJECT, format!("{error:#}"))],
        Ok(None) => check_directory(settings),
        Ok(Some(database)) => inspect(&database, settings).await,
    }
}

async fn inspect(database: &Database, settings: &DatabaseSettings) -> Vec<Finding> {
    let inspected = timeout(TIMEOUT, database.inspect()).await;
    let inspected = inspected
        .unwrap_or_else(|_| Err(PgError::TimedOut("the inspection took too long".to_owned())));
    let inspection = match inspected {
        Ok(inspection) => inspection,
        Err(error) => return vec![unusable(&error)],
    };
    let text = format!(
        "connected to Postgres {}; the data is {}",
        inspection.server_version,
        database.describe()
    );
    let mut findings = vec![
        Finding::ok(SUBJECT, text),
        migrations(&inspection),
        clock(inspection.clock, Utc::now()),
    ];
    if inspection.pending.is_empty() && inspection.unknown.is_empty() {
        findings.push(keys(database, settings).await);
    }
    findings
}

fn unusable(error: &PgError) -> Finding {
    let remedy = match error {
        PgError::Configuration(_) => "correct USHER_PG_CONNECTION_URL",
        PgError::ServerTooOld { .. } => "upgrade Postgres",
        _ => {
            "check that Postgres is running and reachable, and the host, role and password in \
             USHER_PG_CONNECTION_URL"
        }
    };
    Finding::error(SUBJECT, format!("{error}; {remedy}"))
}

fn migrations(inspection: &Inspection) -> Finding {
    const SUBJECT: &str = "migrations";
    let Inspection {
        pending, unknown, ..
    } = inspection;
    if !unknown.is_empty() {
        let text = format!(
            "the database was migrated by a later version ({}), so this version cannot start; \
             run that version or a later one",
            unknown.join(", ")
        );
        return Finding::error(SUBJECT, text);
    }
    let how_many = match pending.len() {
        0 => return Finding::ok(SUBJECT, "the database schema is up to date"),
        1 => "1 is pending".to_owned(),
        many => format!("{many} are pending"),
    };
    if !inspection.may_migrate {
        let text = format!(
            "{how_many}, and the role may not create tables; make it the owner of the \
             database, or run `usher migrate` as the owner"
        );
        return Finding::error(SUBJECT, text);
    }
    let text = format!("{how_many}; run `usher migrate`, or start the server, which migrates too");
    Finding::warning(SUBJECT, text)
}

fn clock(theirs: DateTime<Utc>, ours: DateTime<Utc>) -> Finding {
    const SUBJECT: &str = "clock";
    let skew = (theirs - ours).abs();
    if skew <= MAX_SKEW {
        return Finding::ok(SUBJECT, "this machine and the database are in sync");
    }
    let text = format!(
        "this machine and the database are {} seconds apart; synchronize both with NTP",
        skew.num_seconds()
    );
    if skew > FATAL_SKEW {
        Finding::error(SUBJECT, text)
    } else {
        Finding::warning(SUBJECT, text)
    }
}

async fn keys(database: &Database, settings: &DatabaseSettings) -> Finding {
    const SUBJECT: &str = "encryption keys";
    let store = match database.connect().await {
        Ok(store) => store,
        Err(error) => return Finding::error(SUBJECT, format!("{error:#}")),
    };
    match store.list_missing_secret_keys().await {
        Err(error) => Finding::error(SUBJECT, format!("could not check them: {error}")),
        Ok(missing) if !missing.is_empty() => Finding::error(
            SUBJECT,
            format!(
                "stored secrets are encrypted with keys that are not set ({}); append those to \
                 USHER_EXTERNAL_TOKEN_ENCRYPTION_KEYS",
                missing.join(", ")
            ),
        ),
        Ok(_) if settings.external_token_encryption_keys.is_none() => Finding::ok(
            SUBJECT,
            "not set; secrets are encrypted with a key stored in the database",
        ),
        Ok(_) => Finding::ok(SUBJECT, "all stored secrets can be decrypted"),
    }
}

/// Checks the data directory of a local Postgres.
fn check_directory(settings: &DatabaseSettings) -> Vec<Finding> {
    const SUBJECT: &str = "data directory";
    let directory = match data_directory(settings) {
        Ok(directory) => directory,
        Err(error) => return vec![Finding::error(SUBJECT, format!("{error:#}"))],
    };
    let shown = directory.display();
    let mut findings = Vec::new();
    if let Err(error) = Cluster::check_directory(&cluster_directory(&directory)) {
        let text = format!("{error}; set USHER_DATA_DIR to another directory");
        findings.push(Finding::error(SUBJECT, text));
    } else if let Some(unwritable) = unwritable(&directory) {
        let text = format!(
            "{} is not writable; change its owner, or set USHER_DATA_DIR to another directory",
            unwritable.display()
        );
        findings.push(Finding::error(SUBJECT, text));
    } else {
        let text = format!(
            "{shown} is writable; the local Postgres is not running, and starts with the server"
        );
        findings.push(Finding::ok(SUBJECT, text));
    }
    findings.push(programs(settings.postgres_bin_dir.as_deref()));
    findings
}

/// Returns the directory, or its closest existing ancestor, if it is not writable.
fn unwritable(directory: &Path) -> Option<&Path> {
    let existing = directory.ancestors().find(|path| path.exists())?;
    let is_writable =
        existing.is_dir() && access(existing, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    (!is_writable).then_some(existing)
}

fn programs(given: Option<&Path>) -> Finding {
    const SUBJECT: &str = "Postgres";
    match Binaries::find(given) {
        Ok(found) => Finding::ok(SUBJECT, format!("version {} is installed", found.version())),
        Err(error) if given.is_some() => {
            Finding::error(SUBJECT, format!("{error}; correct USHER_POSTGRES_BIN_DIR"))
        }
        Err(_) => Finding::warning(
            SUBJECT,
            "not installed, so the first start downloads it; install the package postgresql, or \
             set USHER_PG_CONNECTION_URL",
        ),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::doctor::{Level, tests::settings};

    fn inspection() -> Inspection {
        Inspection {
            server_version: "15.1".to_owned(),
            clock: DateTime::UNIX_EPOCH,
            pending: Vec::new(),
            unknown: Vec::new(),
            may_migrate: true,
        }
    }

    #[test]
    fn pending_and_unknown_migrations_are_findings() {
        let versions = |version: &str| vec![version.to_owned()];
        assert_eq!(migrations(&inspection()).level, Level::Ok);

        let behind = Inspection {
            pending: versions("1"),
            ..inspection()
        };
        let found = migrations(&behind);
        assert_eq!(found.level, Level::Warning);
        assert!(found.text.contains("usher migrate"));

        let without_permission = Inspection {
            may_migrate: false,
            ..behind
        };
        assert_eq!(migrations(&without_permission).level, Level::Error);

        let ahead = Inspection {
            unknown: versions("2099"),
            ..inspection()
        };
        let found = migrations(&ahead);
        assert_eq!(found.level, Level::Error);
        assert!(found.text.contains("2099"));
    }

    #[rstest]
    #[case(0, Level::Ok)]
    #[case(-10, Level::Ok)]
    #[case(11, Level::Warning)]
    #[case(-11, Level::Warning)]
    #[case(301, Level::Error)]
    #[case(-301, Level::Error)]
    fn clock_skew_is_a_warning_or_an_error(#[case] seconds: i64, #[case] level: Level) {
        let ours = DateTime::UNIX_EPOCH;

        let found = clock(ours + TimeDelta::seconds(seconds), ours);

        assert_eq!(found.level, level, "{found:?}");
    }

    #[tokio::test]
    async fn an_invalid_url_is_an_error_without_its_password() {
        let url = "--pg-connection-url=postgres://u:secret@h/d?sslmode=sometimes";

        let found = check(&settings(&[url]).database).await;

        assert_eq!((found.len(), found[0].level), (1, Level::Error));
        assert!(
            found[0].text.contains("USHER_PG_CONNECTION_URL"),
            "{found:?}"
        );
        assert!(!found[0].text.contains("secret"), "{found:?}");
    }

    #[tokio::test]
    async fn invalid_keys_are_an_error_without_their_values() {
        let flag = "--external-token-encryption-keys=c2VjcmV0";

        let found = check(&settings(&[flag]).database).await;

        assert_eq!((found.len(), found[0].level), (1, Level::Error));
        assert!(
            found[0].text.contains("key 1 must be 32 bytes long, not 6"),
            "{found:?}"
        );
        assert!(!found[0].text.contains("c2VjcmV0"), "{found:?}");
    }

    #[test]
    fn a_missing_postgres_directory_is_an_error() {
        let found = programs(Some(Path::new("/nowhere")));

        assert_eq!(found.level, Level::Error);
        assert!(found.text.contains("USHER_POSTGRES_BIN_DIR"), "{found:?}");
    }

    #[test]
    fn a_file_in_place_of_a_directory_is_not_writable() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");

        assert_eq!(unwritable(&file.join("a/b")), Some(file.as_path()));
        assert_eq!(unwritable(&std::env::temp_dir().join("a/b")), None);
    }
}
