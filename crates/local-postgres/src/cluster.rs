//! Creating, starting and stopping a cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use crate::account::Account;
use crate::directory::{Directory, blocking, data};
use crate::endpoint::Endpoint;
use crate::fetch::{self, FETCHED_MAJOR};
use crate::postmaster::{PidFile, Postmaster, stop_leftover};
use crate::watchdog::{StopMode, Watchdog};
use crate::{Binaries, Error, SUPERUSER};

/// How durable the data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    /// The data survives a power failure.
    #[default]
    Durable,
    /// For tests: nothing is synced to disk, many connections are allowed, and the **whole
    /// directory is removed** when the cluster is stopped or its owner dies.
    Disposable,
}

/// Options of [`Cluster::open`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The directory of the cluster, for its exclusive use; created if missing.
    pub directory: PathBuf,
    /// The directory of the Postgres programs; `None` searches the usual directories.
    pub binaries_directory: Option<PathBuf>,
    /// The directory for downloaded programs; `None` never downloads. The default is
    /// `postgres-binaries` next to the cluster.
    pub cache_directory: Option<PathBuf>,
    pub(crate) mode: Mode,
    /// How long Postgres may take to start: 5 minutes, since it may have to recover from a
    /// crash.
    pub start_timeout: Duration,
    /// How long a fast shutdown may take before an immediate one: 30 seconds.
    pub stop_timeout: Duration,
}

impl Options {
    /// A durable cluster in `directory`, with installed or else downloaded programs.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        Self {
            cache_directory: Some(directory.with_file_name("postgres-binaries")),
            directory,
            binaries_directory: None,
            mode: Mode::default(),
            start_timeout: Duration::from_mins(5),
            stop_timeout: Duration::from_secs(30),
        }
    }
}

/// A running cluster that this process owns. Dropping it stops Postgres without waiting.
#[derive(Debug)]
pub struct Cluster {
    // Fields are dropped in this order: the directory is unlocked last.
    postmaster: Postmaster,
    watchdog: Watchdog,
    endpoint: Endpoint,
    binaries: Binaries,
    stop_timeout: Duration,
    directory: Directory,
}

impl Cluster {
    /// Starts the cluster in the directory, and creates it if it does not exist.
    ///
    /// A Postgres that an earlier owner left running there is stopped first.
    pub async fn open(options: Options) -> Result<Self, Error> {
        let (directory, programs, options) = blocking(move || {
            let directory = Directory::lock(&options.directory)?;
            let programs = choose(&options, &directory)?;
            Ok::<_, Error>((directory, programs, options))
        })
        .await?;
        let binaries = match (programs, &options.cache_directory) {
            (Programs::Found(binaries), _) => binaries,
            (Programs::Download, Some(cache)) => {
                Binaries::fetch(cache, |progress| tracing::info!("{progress}")).await?
            }
            (Programs::Download, None) => return Err(Error::NoBinaries),
        };
        blocking(move || start(&options, directory, binaries)).await
    }

    /// Returns the endpoint of the cluster in `directory` if it is running, also if another
    /// process owns it.
    pub fn running(directory: &Path) -> Option<Endpoint> {
        let data = data(&directory.canonicalize().ok()?);
        PidFile::read_live(&data)
            .filter(|file| file.is_ready)
            .map(|file| Endpoint::new(file.socket_directory))
    }

    /// Checks whether the account that would run Postgres can enter `directory`.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] names the directory that the account cannot enter.
    pub fn check_directory(directory: &Path) -> Result<(), Error> {
        let directory = std::path::absolute(directory).map_err(Error::io("resolve", directory))?;
        Account::for_cluster(&data(&directory))?.check_reach(&directory)
    }

    /// The directory of the cluster.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The endpoint of the cluster.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The Postgres programs in use.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Returns the URL of a database; see [`Endpoint::url`].
    pub fn url(&self, database: &str) -> String {
        self.endpoint.url(database)
    }

    /// Creates a database; see [`Endpoint::create_database`].
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), Error> {
        self.endpoint.create_database(name, template).await
    }

    /// Creates a database unless it exists; see [`Endpoint::ensure_database`].
    pub async fn ensure_database(&self, name: &str) -> Result<bool, Error> {
        self.endpoint.ensure_database(name).await
    }

    /// Drops a database; see [`Endpoint::drop_database`].
    pub async fn drop_database(&self, name: &str) -> Result<(), Error> {
        self.endpoint.drop_database(name).await
    }

    /// Stops Postgres and waits for its exit. Clients are disconnected; committed data is safe.
    ///
    /// # Errors
    ///
    /// [`Error::Stop`] if Postgres does not exit even after SIGKILL.
    pub async fn stop(self) -> Result<(), Error> {
        let Self {
            postmaster,
            watchdog,
            stop_timeout,
            directory,
            ..
        } = self;
        postmaster.stop(stop_timeout).await?;
        blocking(move || watchdog.finish()).await;
        tracing::info!(postgres.directory = %directory.path().display(), "stopped Postgres");
        Ok(())
    }
}

/// The source of the Postgres programs.
#[derive(Debug)]
enum Programs {
    Found(Binaries),
    Download,
}

/// Finds programs of the cluster's major version: the configured ones, or any that the account
/// can execute.
fn choose(options: &Options, directory: &Directory) -> Result<Programs, Error> {
    let account = directory.account();
    let major = directory.major()?;
    let matches = |binaries: &Binaries| major.is_none_or(|major| major == binaries.major());
    let mismatch = |found: String| match major {
        Some(cluster) => Error::OtherMajor {
            directory: directory.path().to_owned(),
            cluster,
            found,
        },
        None => Error::NoBinaries,
    };

    if let Some(explicit) = &options.binaries_directory {
        let binaries = Binaries::in_directory(explicit)?;
        account.check_reach(&binaries.program("postgres"))?;
        return if matches(&binaries) {
            Ok(Programs::Found(binaries))
        } else {
            Err(mismatch(binaries.major().to_string()))
        };
    }

    let mut known = Binaries::known();
    known.retain(|binaries| account.check_reach(&binaries.program("postgres")).is_ok());
    let cache = options.cache_directory.as_deref();
    if let Some(downloaded) = cache.map(fetch::cached).transpose()?.flatten() {
        known.push(downloaded);
    }
    if let Some(position) = known.iter().position(matches) {
        return Ok(Programs::Found(known.swap_remove(position)));
    }
    if let Some(cache) = cache
        && major.is_none_or(|major| major == FETCHED_MAJOR)
    {
        account.check_reach(cache)?;
        return Ok(Programs::Download);
    }
    let majors: Vec<String> = known
        .iter()
        .map(|found| found.major().to_string())
        .collect();
    Err(mismatch(match majors.as_slice() {
        [] => "no version".to_owned(),
        majors => majors.join(", "),
    }))
}

fn start(options: &Options, directory: Directory, binaries: Binaries) -> Result<Cluster, Error> {
    let account = directory.account();
    let data = directory.data();
    let (socket_directory, temporary) = directory.socket_directory()?;
    let mut to_remove: Vec<&Path> = temporary.as_deref().into_iter().collect();
    let stop_mode = match options.mode {
        Mode::Durable => StopMode::Fast,
        Mode::Disposable => {
            to_remove.push(directory.path());
            StopMode::Immediate
        }
    };
    let mut watchdog = Watchdog::start(stop_mode, &data, &to_remove)?;
    if directory.major()?.is_none() {
        initialize(options.mode, &directory, &binaries)?;
    }
    let stale = stop_leftover(&data, account, &binaries)?;

    let log = directory.log()?;
    let errors = log
        .try_clone()
        .map_err(Error::io("open", &directory.log_path()))?;
    let mut command = account.command(&binaries.program("postgres"));
    command.arg("-D").arg(&data).stdout(log).stderr(errors);
    for (name, value) in settings(options.mode, &socket_directory) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    if let Some(stale) = stale {
        // Tells Postgres (as pg_ctl does) that this process is not a postmaster, so that a
        // stale lock file does not prevent the start. It still checks the shared memory.
        command.env("PG_GRANDPARENT_PID", stale.to_string());
    }
    let mut postmaster = Postmaster::spawn(&mut command)?;
    watchdog.watch(postmaster.id())?;
    postmaster.wait_until_ready(&data, &directory.log_path(), options.start_timeout)?;
    tracing::info!(
        postgres.version = binaries.version(),
        postgres.directory = %directory.path().display(),
        postgres.process = postmaster.id(),
        "started Postgres"
    );
    Ok(Cluster {
        postmaster,
        watchdog,
        endpoint: Endpoint::new(socket_directory),
        binaries,
        stop_timeout: options.stop_timeout,
        directory,
    })
}

/// Creates the cluster in a temporary directory and renames it, so that an interrupted `initdb`
/// leaves no partial cluster.
fn initialize(mode: Mode, directory: &Directory, binaries: &Binaries) -> Result<(), Error> {
    let data = directory.data();
    let fresh = directory.path().join("data.new");
    if fresh.exists() {
        // Left by an interrupted `initdb`.
        fs::remove_dir_all(&fresh).map_err(Error::io("remove", &fresh))?;
    }
    directory.create_for_account(&fresh)?;
    tracing::info!(
        postgres.version = binaries.version(),
        postgres.directory = %directory.path().display(),
        "creating a Postgres cluster"
    );

    let initdb = binaries.program("initdb");
    let run = |locale: &[&str]| -> Result<Output, Error> {
        let mut command = directory.account().command(&initdb);
        command
            .arg("-D")
            .arg(&fresh)
            .args(["--username", SUPERUSER, "--encoding=UTF8"])
            .args(["--auth-local=trust", "--auth-host=reject"])
            .args(locale);
        if mode == Mode::Disposable {
            command.arg("--no-sync");
        }
        command.output().map_err(Error::io("run", &initdb))
    };
    let mut output = run(&["--locale=C.UTF-8"])?;
    for fallback in locale_fallbacks(binaries.major()) {
        let is_about_locale = String::from_utf8_lossy(&output.stderr).contains("locale");
        if !output.status.success() && is_about_locale {
            output = run(fallback)?;
        }
    }
    if !output.status.success() {
        return Err(Error::Initialize {
            directory: data,
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    fs::rename(&fresh, &data).map_err(Error::io("create", &data))
}

/// For systems without the locale C.UTF-8 (macOS, old distributions). Postgres 17 has a builtin
/// one; before, non-ASCII letters have no case there.
fn locale_fallbacks(major: u32) -> &'static [&'static [&'static str]] {
    const BUILTIN: &[&str] = &[
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    ];
    const PLAIN: &[&str] = &["--locale=C"];
    if major >= 17 {
        &[BUILTIN, PLAIN]
    } else {
        &[PLAIN]
    }
}

fn settings(mode: Mode, socket_directory: &Path) -> Vec<(&'static str, String)> {
    let socket = format!("\"{}\"", socket_directory.display());
    let mut settings = vec![
        ("listen_addresses", String::new()),
        ("unix_socket_directories", socket),
        ("unix_socket_permissions", "0700".to_owned()),
        ("port", "5432".to_owned()),
        ("log_destination", "stderr".to_owned()),
        ("logging_collector", "off".to_owned()),
    ];
    if mode == Mode::Disposable {
        settings.extend(
            [
                ("fsync", "off"),
                ("synchronous_commit", "off"),
                ("full_page_writes", "off"),
                ("wal_level", "minimal"),
                ("max_wal_senders", "0"),
                ("max_connections", "400"),
                ("shared_buffers", "32MB"),
                ("autovacuum", "on"),
            ]
            .map(|(name, value)| (name, value.to_owned())),
        );
    }
    settings
}

#[cfg(test)]
mod tests;
