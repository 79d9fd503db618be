//! The database: an existing one that the operator configured, or a local Postgres.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, sleep};
use usher_local_postgres::{Cluster, Options};
use usher_postgres::{Inspection, PgError, PgOptions, PgStore, SecretKeys};

use crate::{
    settings::{DatabaseSettings, LogSettings},
    terminal,
};

/// The name of the database in a local Postgres.
const NAME: &str = "usher";

/// How long a starting server waits for an unavailable database.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// The first and the longest pause between connection attempts.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(4)];

/// The flags of `usher migrate`.
#[derive(Args, Clone, Debug)]
pub struct Migrate {
    /// Database.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Logging.
    #[command(flatten)]
    pub log: LogSettings,
}

/// Migrates the database to the schema of this version.
pub async fn migrate(command: Migrate) -> Result<()> {
    let database = Database::open_or_join(&command.database).await?;
    let migrated = database.migrate().await;
    database.close().await?;
    migrated?;
    terminal::print("The database schema is up to date.")
}

/// A database, and the local Postgres that was started for it.
pub struct Database {
    url: SecretString,
    max_connections: usize,
    secret_keys: SecretKeys,
    location: Location,
}

enum Location {
    /// Configured by the operator.
    Configured,
    /// In the local Postgres of a running server.
    Shared,
    /// In a local Postgres that this process runs, with the data directory.
    Local(Box<Cluster>, PathBuf),
}

impl Database {
    /// Returns the configured database, or starts a local Postgres.
    ///
    /// # Errors
    ///
    /// If a setting is invalid, or the local Postgres does not start or is in use by another
    /// server.
    pub async fn open(settings: &DatabaseSettings) -> Result<Self> {
        let secret_keys = secret_keys(settings)?;
        let (url, location) = match configured(settings) {
            Some(url) => (url, Location::Configured),
            None => start(settings).await?,
        };
        Ok(Self {
            url,
            max_connections: settings.pg_max_connections,
            secret_keys,
            location,
        })
    }

    /// Like [`open`](Self::open), but shares the local Postgres of a running server.
    ///
    /// # Errors
    ///
    /// If a setting is invalid or the local Postgres does not start.
    pub async fn open_or_join(settings: &DatabaseSettings) -> Result<Self> {
        match Self::find(settings)? {
            Some(found) => Ok(found),
            None => Self::open(settings).await,
        }
    }

    /// Returns the configured database, or the local Postgres of a running server. Starts
    /// nothing.
    ///
    /// # Errors
    ///
    /// If a setting is invalid.
    pub fn find(settings: &DatabaseSettings) -> Result<Option<Self>> {
        let secret_keys = secret_keys(settings)?;
        let (url, location) = match configured(settings) {
            Some(url) => (url, Location::Configured),
            None => match Cluster::running(&cluster_directory(&data_directory(settings)?)) {
                Some(running) => (running.url(NAME).into(), Location::Shared),
                None => return Ok(None),
            },
        };
        Ok(Some(Self {
            url,
            max_connections: settings.pg_max_connections,
            secret_keys,
            location,
        }))
    }

    /// Inspects the database without changing it.
    ///
    /// # Errors
    ///
    /// If the database is unavailable.
    pub async fn inspect(&self) -> Result<Inspection, PgError> {
        usher_postgres::inspect(self.url.expose_secret()).await
    }

    /// Migrates the database to the schema of this version, which takes one statement if it is
    /// up to date. Waits for an unavailable database.
    ///
    /// # Errors
    ///
    /// If the database stays unavailable or a migration fails.
    pub async fn migrate(&self) -> Result<()> {
        let migrated = retrying(async || usher_postgres::migrate(self.url.expose_secret()).await);
        migrated.await.with_context(|| self.unusable())
    }

    /// Opens the store on it.
    ///
    /// # Errors
    ///
    /// If it cannot be reached.
    pub async fn connect(&self) -> Result<PgStore> {
        let connected = PgStore::connect(self.options()).await;
        connected.with_context(|| self.unusable())
    }

    /// Opens a store and migrates the database. If the schema is up to date, this opens a single
    /// connection: opening another would take most of the start. Waits for an unavailable
    /// database.
    ///
    /// # Errors
    ///
    /// If the database stays unavailable or a migration fails.
    pub async fn connect_migrated(&self) -> Result<PgStore> {
        let store = PgStore::lazy(&self.options()).with_context(|| self.unusable())?;
        // If the check fails, the migration fails with a better error.
        if !matches!(store.is_migrated().await, Ok(true)) {
            self.migrate().await?;
        }
        Ok(store)
    }

    fn options(&self) -> PgOptions {
        let mut options = PgOptions::new(self.url.clone());
        options.max_connections = self.max_connections;
        options.secret_keys = self.secret_keys.clone();
        options
    }

    /// Whether the database is in a local Postgres that this process runs.
    pub fn is_local(&self) -> bool {
        matches!(self.location, Location::Local(..))
    }

    /// Describes to the operator where the data is.
    pub fn describe(&self) -> String {
        match &self.location {
            Location::Configured => "in the database of USHER_PG_CONNECTION_URL".to_owned(),
            Location::Shared => "in the local Postgres of a running server".to_owned(),
            Location::Local(cluster, directory) => format!(
                "in {} (local Postgres {})",
                directory.display(),
                cluster.binaries().version()
            ),
        }
    }

    /// Stops the local Postgres that was started for the database.
    ///
    /// # Errors
    ///
    /// If Postgres does not stop.
    pub async fn close(self) -> Result<()> {
        match self.location {
            Location::Local(cluster, _) => cluster
                .stop()
                .await
                .context("could not stop the local Postgres"),
            Location::Configured | Location::Shared => Ok(()),
        }
    }

    fn unusable(&self) -> &'static str {
        match self.location {
            Location::Configured => {
                "cannot use the database of --pg-connection-url (USHER_PG_CONNECTION_URL)"
            }
            Location::Shared | Location::Local(..) => "cannot use the local Postgres",
        }
    }
}

fn configured(settings: &DatabaseSettings) -> Option<SecretString> {
    let url = settings.pg_connection_url.as_ref()?;
    (!url.expose_secret().is_empty()).then(|| url.clone())
}

fn secret_keys(settings: &DatabaseSettings) -> Result<SecretKeys> {
    let given = settings.external_token_encryption_keys.as_ref();
    let keys = given.map(SecretKeys::parse).transpose().context(
        "invalid --external-token-encryption-keys (USHER_EXTERNAL_TOKEN_ENCRYPTION_KEYS)",
    )?;
    Ok(keys.unwrap_or_default())
}

async fn start(settings: &DatabaseSettings) -> Result<(SecretString, Location)> {
    let directory = data_directory(settings)?;
    let mut options = Options::new(cluster_directory(&directory));
    options
        .binaries_directory
        .clone_from(&settings.postgres_bin_dir);
    let cluster = Cluster::open(options)
        .await
        .context("could not start the local Postgres")?;
    cluster
        .ensure_database(NAME)
        .await
        .context("could not create the database in the local Postgres")?;
    let url = cluster.url(NAME).into();
    Ok((url, Location::Local(Box::new(cluster), directory)))
}

/// The directory of the local Postgres.
pub(crate) fn cluster_directory(data_directory: &Path) -> PathBuf {
    data_directory.join("postgres")
}

/// The data directory, as an absolute path.
pub(crate) fn data_directory(settings: &DatabaseSettings) -> Result<PathBuf> {
    let directory = match &settings.data_dir {
        Some(directory) => directory.clone(),
        None => default_data_directory()?,
    };
    std::path::absolute(&directory)
        .with_context(|| format!("cannot resolve {}", directory.display()))
}

fn default_data_directory() -> Result<PathBuf> {
    let variable = |name| env::var_os(name).map(PathBuf::from);
    let home =
        data_home(variable("XDG_DATA_HOME"), variable("HOME")).map(|data| data.join("usher"));
    if !rustix::process::geteuid().is_root() {
        return home.ok_or_else(|| {
            anyhow!("no home directory for the data: set --data-dir (USHER_DATA_DIR)")
        });
    }
    // Postgres refuses to run as root, so another account must be able to enter the directory.
    let accessible = home.filter(|home| Cluster::check_directory(&cluster_directory(home)).is_ok());
    Ok(accessible.unwrap_or_else(|| "/var/lib/usher".into()))
}

/// The user's data directory (XDG Base Directory Specification), which ignores relative paths.
fn data_home(xdg_data_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    xdg_data_home
        .filter(|path| path.is_absolute())
        .or_else(|| Some(home.filter(|path| path.is_absolute())?.join(".local/share")))
}

/// Retries while the database is unavailable, up to [`CONNECT_DEADLINE`].
async fn retrying(work: impl AsyncFn() -> Result<(), PgError>) -> Result<(), PgError> {
    let end = Instant::now() + CONNECT_DEADLINE;
    let [mut pause, longest] = PAUSES;
    loop {
        match work().await {
            Err(error) if is_transient(&error) && Instant::now() + pause < end => {
                tracing::warn!(%error, "the database is unavailable; retrying");
                sleep(pause).await;
                pause = longest.min(pause * 2);
            }
            outcome => return outcome,
        }
    }
}

fn is_transient(error: &PgError) -> bool {
    matches!(
        error,
        PgError::Unavailable(_) | PgError::TimedOut(_) | PgError::ConnectionLost(_)
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_data_directory_follows_the_xdg_specification() {
        let home = |xdg: Option<&str>, home: Option<&str>| {
            data_home(xdg.map(PathBuf::from), home.map(PathBuf::from))
        };

        assert_eq!(home(Some("/x"), Some("/home/a")), Some("/x".into()));
        assert_eq!(
            home(None, Some("/home/a")),
            Some("/home/a/.local/share".into())
        );
        assert_eq!(
            home(Some("relative"), Some("/home/a")),
            Some("/home/a/.local/share".into())
        );
        assert_eq!(home(None, None), None);
    }

    #[test]
    fn an_invalid_key_is_named_without_its_value() {
        let settings = |keys: &str| DatabaseSettings {
            pg_connection_url: None,
            pg_max_connections: 1,
            data_dir: None,
            postgres_bin_dir: None,
            external_token_encryption_keys: Some(keys.into()),
        };
        let valid = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

        let keys = secret_keys(&settings(valid)).unwrap();
        let error = secret_keys(&settings(&format!("{valid},c2hvcnQ="))).unwrap_err();

        assert_eq!(keys.ids().count(), 1);
        let text = format!("{error:#}");
        assert!(
            text.contains("USHER_EXTERNAL_TOKEN_ENCRYPTION_KEYS"),
            "{text}"
        );
        assert!(
            text.contains("key 2 must be 32 bytes long, not 5"),
            "{text}"
        );
        assert!(!text.contains("c2hvcnQ"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_outage_is_retried() {
        let attempts = Cell::new(0);

        let outcome = retrying(async || {
            attempts.update(|attempts| attempts + 1);
            match attempts.get() {
                ..5 => Err(PgError::Unavailable("starting".into())),
                _ => Ok(()),
            }
        })
        .await;

        assert!(outcome.is_ok());
        assert_eq!(attempts.get(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_outage_fails() {
        let start = Instant::now();

        let outcome = retrying(async || Err(PgError::TimedOut("no answer".into()))).await;

        assert!(matches!(outcome, Err(PgError::TimedOut(_))));
        assert!(start.elapsed() <= CONNECT_DEADLINE, "{:?}", start.elapsed());
        assert!(
            start.elapsed() > CONNECT_DEADLINE / 2,
            "{:?}",
            start.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_error_is_not_retried() {
        let start = Instant::now();

        let outcome = retrying(async || Err(PgError::Configuration("bad".into()))).await;

        assert!(matches!(outcome, Err(PgError::Configuration(_))));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
