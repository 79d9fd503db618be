//! The database: whether it answers, is of this version, and can be read; or where the
//! Postgres of our own would keep it.

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

const ABOUT: &str = "database";
/// How long looking at the database may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How far clocks may be apart before sessions and codes end visibly early or late.
const MAX_SKEW: TimeDelta = TimeDelta::seconds(10);
/// How far they may be apart before identity providers' tokens are refused.
const FATAL_SKEW: TimeDelta = TimeDelta::minutes(5);

/// Looks at the database that the server would use. A Postgres of our own that is not
/// running is left so.
pub(super) async fn look(settings: &DatabaseSettings) -> Vec<Finding> {
    match Database::find(settings) {
        Err(error) => vec![Finding::error(ABOUT, format!("{error:#}"))],
        Ok(None) => look_at_directory(settings),
        Ok(Some(database)) => look_at(&database, settings).await,
    }
}

async fn look_at(database: &Database, settings: &DatabaseSettings) -> Vec<Finding> {
    let inspected = timeout(PATIENCE, database.inspect()).await;
    let inspected = inspected.unwrap_or_else(|_| {
        Err(PgError::TimedOut(
            "no answer to what it is asked".to_owned(),
        ))
    });
    let inspection = match inspected {
        Ok(inspection) => inspection,
        Err(error) => return vec![unusable(&error)],
    };
    let text = format!(
        "Postgres {} answers; the data is {}",
        inspection.server_version,
        database.describe()
    );
    let mut findings = vec![
        Finding::ok(ABOUT, text),
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
        PgError::ServerTooOld { .. } => "move to a later version of Postgres",
        _ => {
            "see that Postgres runs, that this machine may reach it, and that host, role and \
              password in USHER_PG_CONNECTION_URL are right"
        }
    };
    Finding::error(ABOUT, format!("{error}; {remedy}"))
}

fn migrations(inspection: &Inspection) -> Finding {
    const ABOUT: &str = "migrations";
    let Inspection {
        pending, unknown, ..
    } = inspection;
    if !unknown.is_empty() {
        let text = format!(
            "a later version has migrated the database ({}), so this one does not start; run \
             that version, or a later one",
            unknown.join(", ")
        );
        return Finding::error(ABOUT, text);
    }
    let how_many = match pending.len() {
        0 => return Finding::ok(ABOUT, "the database has the schema of this version"),
        1 => "1 is missing".to_owned(),
        many => format!("{many} are missing"),
    };
    if !inspection.may_migrate {
        let text = format!(
            "{how_many}, and the role may not create tables; let it own the database, or run \
             `usher migrate` as one that does"
        );
        return Finding::error(ABOUT, text);
    }
    let text = format!("{how_many}; run `usher migrate`, or start the server, which does that");
    Finding::warning(ABOUT, text)
}

fn clock(theirs: DateTime<Utc>, ours: DateTime<Utc>) -> Finding {
    const ABOUT: &str = "clock";
    let skew = (theirs - ours).abs();
    if skew <= MAX_SKEW {
        return Finding::ok(ABOUT, "this machine and the database agree");
    }
    let text = format!(
        "this machine and the database are {} seconds apart; set both by NTP",
        skew.num_seconds()
    );
    if skew > FATAL_SKEW {
        Finding::error(ABOUT, text)
    } else {
        Finding::warning(ABOUT, text)
    }
}

async fn keys(database: &Database, settings: &DatabaseSettings) -> Finding {
    const ABOUT: &str = "encryption keys";
    let store = match database.connect().await {
        Ok(store) => store,
        Err(error) => return Finding::error(ABOUT, format!("{error:#}")),
    };
    match store.list_missing_secret_keys().await {
        Err(error) => Finding::error(ABOUT, format!("they cannot be read: {error}")),
        Ok(missing) if !missing.is_empty() => Finding::error(
            ABOUT,
            format!(
                "secrets in the database are encrypted with keys that are not given ({}); add \
                 those to USHER_EXTERNAL_TOKEN_ENCRYPTION_KEYS, behind the first",
                missing.join(", ")
            ),
        ),
        Ok(_) if settings.external_token_encryption_keys.is_none() => Finding::ok(
            ABOUT,
            "none is given, so secrets are encrypted with one that is kept in the database",
        ),
        Ok(_) => Finding::ok(ABOUT, "every secret in the database can be read"),
    }
}

/// Looks at where the Postgres of our own would be.
fn look_at_directory(settings: &DatabaseSettings) -> Vec<Finding> {
    const ABOUT: &str = "data directory";
    let directory = match data_directory(settings) {
        Ok(directory) => directory,
        Err(error) => return vec![Finding::error(ABOUT, format!("{error:#}"))],
    };
    let shown = directory.display();
    let mut findings = Vec::new();
    if let Err(error) = Cluster::check_directory(&cluster_directory(&directory)) {
        let text = format!("{error}; set USHER_DATA_DIR to another");
        findings.push(Finding::error(ABOUT, text));
    } else if let Some(closed) = closed(&directory) {
        let text = format!(
            "{} may not be written to; change its owner, or set USHER_DATA_DIR to another",
            closed.display()
        );
        findings.push(Finding::error(ABOUT, text));
    } else {
        let text = format!(
            "{shown} can be written to; the Postgres of our own is not running, and starts \
             with the server"
        );
        findings.push(Finding::ok(ABOUT, text));
    }
    findings.push(programs(settings.postgres_bin_dir.as_deref()));
    findings
}

/// What of the directory, or of the way to it where it is not there yet, may not be written
/// to.
fn closed(directory: &Path) -> Option<&Path> {
    let mut way = directory.ancestors();
    let there = way.find(|path| path.exists())?;
    let is_open = there.is_dir() && access(there, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    (!is_open).then_some(there)
}

fn programs(given: Option<&Path>) -> Finding {
    const ABOUT: &str = "Postgres";
    match Binaries::find(given) {
        Ok(found) => Finding::ok(ABOUT, format!("version {} is installed", found.version())),
        Err(error) if given.is_some() => {
            Finding::error(ABOUT, format!("{error}; correct USHER_POSTGRES_BIN_DIR"))
        }
        Err(_) => Finding::warning(
            ABOUT,
            "none is installed, so the first start fetches one; install the package postgresql, \
             or set USHER_PG_CONNECTION_URL",
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
    fn a_schema_is_this_ones_an_earlier_or_a_later_ones() {
        let versions = |version: &str| vec![version.to_owned()];
        assert_eq!(migrations(&inspection()).level, Level::Ok);

        let behind = Inspection {
            pending: versions("1"),
            ..inspection()
        };
        let found = migrations(&behind);
        assert_eq!(found.level, Level::Warning);
        assert!(found.text.contains("usher migrate"));

        let stuck = Inspection {
            may_migrate: false,
            ..behind
        };
        assert_eq!(migrations(&stuck).level, Level::Error);

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
    fn clocks_may_be_a_little_apart(#[case] seconds: i64, #[case] level: Level) {
        let ours = DateTime::UNIX_EPOCH;

        let found = clock(ours + TimeDelta::seconds(seconds), ours);

        assert_eq!(found.level, level, "{found:?}");
    }

    #[tokio::test]
    async fn a_url_that_makes_no_sense_is_an_error_without_its_password() {
        let url = "--pg-connection-url=postgres://u:secret@h/d?sslmode=sometimes";

        let found = look(&settings(&[url]).database).await;

        assert_eq!((found.len(), found[0].level), (1, Level::Error));
        assert!(
            found[0].text.contains("USHER_PG_CONNECTION_URL"),
            "{found:?}"
        );
        assert!(!found[0].text.contains("secret"), "{found:?}");
    }

    #[tokio::test]
    async fn keys_that_are_none_are_an_error_without_telling_them() {
        let flag = "--external-token-encryption-keys=c2VjcmV0";

        let found = look(&settings(&[flag]).database).await;

        assert_eq!((found.len(), found[0].level), (1, Level::Error));
        assert!(found[0].text.contains("key 1 has 6 bytes"), "{found:?}");
        assert!(!found[0].text.contains("c2VjcmV0"), "{found:?}");
    }

    #[test]
    fn programs_are_looked_for_where_the_operator_says() {
        let found = programs(Some(Path::new("/nowhere")));

        assert_eq!(found.level, Level::Error);
        assert!(found.text.contains("USHER_POSTGRES_BIN_DIR"), "{found:?}");
    }

    #[test]
    fn a_file_in_the_way_is_found() {
        let way = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");

        assert_eq!(closed(&way.join("a/b")), Some(way.as_path()));
        assert_eq!(closed(&std::env::temp_dir().join("a/b")), None);
    }
}
