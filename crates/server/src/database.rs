//! The database: the one that the operator names, or a Postgres of our own.

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

/// The name of the database in a Postgres of our own.
const NAME: &str = "usher";

/// How long a server waits for a database that cannot be reached when it starts.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first and the longest pause between attempts.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(4)];

/// The flags of `usher migrate`.
#[derive(Args, Clone, Debug)]
pub struct Migrate {
    /// Database.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Logs.
    #[command(flatten)]
    pub log: LogSettings,
}

/// Brings the database to the schema of this version.
pub async fn migrate(command: Migrate) -> Result<()> {
    let database = Database::open_or_join(&command.database).await?;
    let migrated = database.migrate().await;
    database.close().await?;
    migrated?;
    terminal::print("The database has the schema of this version.")
}

/// A database that can be reached, and the Postgres that was started for it.
pub struct Database {
    url: SecretString,
    max_connections: usize,
    secret_keys: SecretKeys,
    place: Place,
}

enum Place {
    /// The operator named it.
    Named,
    /// In a Postgres of our own, which a server beside us runs.
    Beside,
    /// In a Postgres of our own that we run.
    Own(Box<Cluster>, PathBuf),
}

impl Database {
    /// Finds the database that was named, or starts a Postgres of our own.
    ///
    /// # Errors
    ///
    /// If that does not start, also because another server runs it, or a setting cannot be
    /// used.
    pub async fn open(settings: &DatabaseSettings) -> Result<Self> {
        let secret_keys = secret_keys(settings)?;
        let (url, place) = match named(settings) {
            Some(url) => (url, Place::Named),
            None => start(settings).await?,
        };
        Ok(Self {
            url,
            max_connections: settings.pg_max_connections,
            secret_keys,
            place,
        })
    }

    /// The same, for a command that may run beside a server.
    ///
    /// # Errors
    ///
    /// If a Postgres of our own does not start.
    pub async fn open_or_join(settings: &DatabaseSettings) -> Result<Self> {
        match Self::find(settings)? {
            Some(found) => Ok(found),
            None => Self::open(settings).await,
        }
    }

    /// Finds the database that was named, or a Postgres of our own if a server runs it.
    /// Starts nothing.
    ///
    /// # Errors
    ///
    /// If a setting cannot be used.
    pub fn find(settings: &DatabaseSettings) -> Result<Option<Self>> {
        let secret_keys = secret_keys(settings)?;
        let (url, place) = match named(settings) {
            Some(url) => (url, Place::Named),
            None => match Cluster::running(&cluster_directory(&data_directory(settings)?)) {
                Some(running) => (running.url(NAME).into(), Place::Beside),
                None => return Ok(None),
            },
        };
        Ok(Some(Self {
            url,
            max_connections: settings.pg_max_connections,
            secret_keys,
            place,
        }))
    }

    /// Looks at it without changing it.
    ///
    /// # Errors
    ///
    /// If it cannot be reached.
    pub async fn inspect(&self) -> Result<Inspection, PgError> {
        usher_postgres::inspect(self.url.expose_secret()).await
    }

    /// Brings it to the schema of this version, which takes one statement if it has that.
    /// Waits a while for a database that cannot be reached yet.
    ///
    /// # Errors
    ///
    /// If it cannot be reached or a migration fails.
    pub async fn migrate(&self) -> Result<()> {
        let migrated = patiently(async || usher_postgres::migrate(self.url.expose_secret()).await);
        migrated.await.with_context(|| self.trouble())
    }

    /// Opens the store on it.
    ///
    /// # Errors
    ///
    /// If it cannot be reached.
    pub async fn connect(&self) -> Result<PgStore> {
        let connected = PgStore::connect(self.options()).await;
        connected.with_context(|| self.trouble())
    }

    /// Opens the store on it with the schema of this version, with one connection where it
    /// has that already: opening another takes longer than all else at the start. Waits a
    /// while for a database that cannot be reached yet.
    ///
    /// # Errors
    ///
    /// If it cannot be reached or a migration fails.
    pub async fn connect_migrated(&self) -> Result<PgStore> {
        let store = PgStore::lazy(&self.options()).with_context(|| self.trouble())?;
        // Whatever is wrong, trying to migrate tells it best.
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

    /// Whether nobody else can have migrated it: we run the Postgres that it is in.
    pub fn is_own(&self) -> bool {
        matches!(self.place, Place::Own(..))
    }

    /// Where the data is, for the operator.
    pub fn describe(&self) -> String {
        match &self.place {
            Place::Named => "in the database of USHER_PG_CONNECTION_URL".to_owned(),
            Place::Beside => "in the Postgres of a running server".to_owned(),
            Place::Own(cluster, directory) => format!(
                "in {} (Postgres {}, which stops with the server)",
                directory.display(),
                cluster.binaries().version()
            ),
        }
    }

    /// Stops the Postgres that was started for it.
    ///
    /// # Errors
    ///
    /// If it does not stop.
    pub async fn close(self) -> Result<()> {
        match self.place {
            Place::Own(cluster, _) => cluster.stop().await.context("could not stop Postgres"),
            Place::Named | Place::Beside => Ok(()),
        }
    }

    fn trouble(&self) -> &'static str {
        match self.place {
            Place::Named => {
                "the database of --pg-connection-url (USHER_PG_CONNECTION_URL) cannot be used"
            }
            Place::Beside | Place::Own(..) => "the Postgres of our own cannot be used",
        }
    }
}

fn named(settings: &DatabaseSettings) -> Option<SecretString> {
    let url = settings.pg_connection_url.as_ref()?;
    (!url.expose_secret().is_empty()).then(|| url.clone())
}

fn secret_keys(settings: &DatabaseSettings) -> Result<SecretKeys> {
    let given = settings.external_token_encryption_keys.as_ref();
    let keys = given.map(SecretKeys::parse).transpose().context(
        "--external-token-encryption-keys (USHER_EXTERNAL_TOKEN_ENCRYPTION_KEYS) cannot be used",
    )?;
    Ok(keys.unwrap_or_default())
}

async fn start(settings: &DatabaseSettings) -> Result<(SecretString, Place)> {
    let directory = data_directory(settings)?;
    let mut options = Options::new(cluster_directory(&directory));
    options
        .binaries_directory
        .clone_from(&settings.postgres_bin_dir);
    let cluster = Cluster::open(options)
        .await
        .context("could not start a Postgres of our own")?;
    cluster
        .ensure_database(NAME)
        .await
        .context("could not prepare the Postgres of our own")?;
    let url = cluster.url(NAME).into();
    Ok((url, Place::Own(Box::new(cluster), directory)))
}

/// Where the Postgres of our own is in the data directory.
pub(crate) fn cluster_directory(data_directory: &Path) -> PathBuf {
    data_directory.join("postgres")
}

/// The data directory, as an absolute path.
pub(crate) fn data_directory(settings: &DatabaseSettings) -> Result<PathBuf> {
    let directory = match &settings.data_dir {
        Some(directory) => directory.clone(),
        None => default_data_directory()?,
    };
    std::path::absolute(&directory).with_context(|| format!("cannot find {}", directory.display()))
}

fn default_data_directory() -> Result<PathBuf> {
    let variable = |name| env::var_os(name).map(PathBuf::from);
    let home =
        data_home(variable("XDG_DATA_HOME"), variable("HOME")).map(|data| data.join("usher"));
    if !rustix::process::geteuid().is_root() {
        return home.ok_or_else(|| {
            anyhow!("there is no home directory to keep data in: set --data-dir (USHER_DATA_DIR)")
        });
    }
    // Postgres does not run as root, so another account must get there.
    let open = home.filter(|home| Cluster::check_directory(&cluster_directory(home)).is_ok());
    Ok(open.unwrap_or_else(|| "/var/lib/usher".into()))
}

/// Where programs of this user keep data (XDG Base Directory Specification). A path that
/// is not absolute does not count.
fn data_home(xdg_data_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    xdg_data_home
        .filter(|path| path.is_absolute())
        .or_else(|| Some(home.filter(|path| path.is_absolute())?.join(".local/share")))
}

/// Tries again for a while if the database cannot be reached.
async fn patiently(work: impl AsyncFn() -> Result<(), PgError>) -> Result<(), PgError> {
    let end = Instant::now() + PATIENCE;
    let [mut pause, longest] = PAUSES;
    loop {
        match work().await {
            Err(error) if may_pass(&error) && Instant::now() + pause < end => {
                tracing::warn!(%error, "the database cannot be reached yet, trying again");
                sleep(pause).await;
                pause = longest.min(pause * 2);
            }
            outcome => return outcome,
        }
    }
}

fn may_pass(error: &PgError) -> bool {
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
    fn data_is_kept_where_programs_of_the_user_keep_it() {
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
    fn a_key_that_cannot_be_used_is_named_and_not_told() {
        let settings = |keys: &str| DatabaseSettings {
            pg_connection_url: None,
            pg_max_connections: 1,
            data_dir: None,
            postgres_bin_dir: None,
            external_token_encryption_keys: Some(keys.into()),
        };
        let good = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

        let keys = secret_keys(&settings(good)).unwrap();
        let error = secret_keys(&settings(&format!("{good},c2hvcnQ="))).unwrap_err();

        assert_eq!(keys.ids().count(), 1);
        let text = format!("{error:#}");
        assert!(
            text.contains("USHER_EXTERNAL_TOKEN_ENCRYPTION_KEYS"),
            "{text}"
        );
        assert!(
            text.contains("key 2 has 5 bytes, and must have 32"),
            "{text}"
        );
        assert!(!text.contains("c2hvcnQ"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_waited_out() {
        let attempts = Cell::new(0);

        let outcome = patiently(async || {
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
    async fn an_outage_is_not_waited_out_for_ever() {
        let start = Instant::now();

        let outcome = patiently(async || Err(PgError::TimedOut("no answer".into()))).await;

        assert!(matches!(outcome, Err(PgError::TimedOut(_))));
        assert!(start.elapsed() <= PATIENCE, "{:?}", start.elapsed());
        assert!(start.elapsed() > PATIENCE / 2, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_that_stays_is_told_at_once() {
        let start = Instant::now();

        let outcome = patiently(async || Err(PgError::Configuration("bad".into()))).await;

        assert!(matches!(outcome, Err(PgError::Configuration(_))));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
