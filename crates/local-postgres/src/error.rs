//! The errors of a cluster.

use std::io;
use std::path::{Path, PathBuf};

use crate::MINIMUM_MAJOR;

/// Why a cluster could not be found, started, used or stopped. The messages are for operators
/// and suggest a fix.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No Postgres programs are installed, and downloads are disabled.
    #[error(
        "Postgres {MINIMUM_MAJOR} or later is not installed: install the package `postgresql`, set \
         the directory of initdb, pg_ctl and postgres, or set a database URL"
    )]
    NoBinaries,
    /// The configured directory does not contain usable programs.
    #[error(
        "{} does not contain Postgres {MINIMUM_MAJOR} or later ({reason}): set the directory of \
         initdb, pg_ctl and postgres",
        directory.display()
    )]
    NotBinaries {
        /// The configured directory.
        directory: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The programs could not be downloaded or unpacked.
    #[error(
        "could not download Postgres {version}: install the package `postgresql`, or set a \
         database URL"
    )]
    Fetch {
        /// The version to download.
        version: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Other users can write to the directory of the downloaded programs.
    #[error(
        "{} is writable by other users, so programs in it are not run: choose a directory that \
         only you can write to",
        directory.display()
    )]
    Untrusted {
        /// The directory of the downloaded programs.
        directory: PathBuf,
    },
    /// The data was written by a different major version than the available programs.
    #[error(
        "the cluster in {} was created by Postgres {cluster}, but the available version is \
         {found}: install Postgres {cluster}, or migrate the data: run `pg_dump` with the old \
         version, move the directory away, start again and restore the dump with `psql`",
        directory.display()
    )]
    OtherMajor {
        /// The directory of the cluster.
        directory: PathBuf,
        /// The major version that wrote the data.
        cluster: u32,
        /// The major versions that are available, or `none`.
        found: String,
    },
    /// The data directory contains other files.
    #[error(
        "{} contains files but is not a Postgres cluster: choose another directory, or move them \
         away",
        directory.display()
    )]
    NotACluster {
        /// The data directory.
        directory: PathBuf,
    },
    /// Another process owns the cluster.
    #[error(
        "the cluster in {} is in use by process {process}: stop that process, or choose another \
         directory",
        directory.display()
    )]
    InUse {
        /// The directory of the cluster.
        directory: PathBuf,
        /// The process ID, or `?`.
        process: String,
    },
    /// A Postgres that an earlier owner left running does not stop.
    #[error(
        "Postgres (process {process}) still runs on the cluster in {} and does not stop: kill it, \
         then start again",
        directory.display()
    )]
    Leftover {
        /// The directory of the cluster.
        directory: PathBuf,
        /// The process ID of the postmaster.
        process: u32,
    },
    /// The cluster belongs to another account, and the current user is not root.
    #[error(
        "the cluster in {} belongs to user ID {owner}: start as that user or as root, or choose \
         another directory",
        directory.display()
    )]
    OtherOwner {
        /// The directory of the cluster.
        directory: PathBuf,
        /// The user ID of the owner.
        owner: u32,
    },
    /// The unprivileged account cannot enter a directory.
    #[error(
        "Postgres refuses to run as root, and the account `{account}` cannot enter {}, which \
         contains {}: choose another directory (such as /var/lib/usher), run `chmod o+x '{}'`, or \
         start as an ordinary user",
        barrier.display(),
        wanted.display(),
        barrier.display()
    )]
    Unreachable {
        /// The account that runs Postgres.
        account: String,
        /// The directory that the account cannot enter.
        barrier: PathBuf,
        /// The path that the account needs.
        wanted: PathBuf,
    },
    /// Started by root, without an unprivileged account on the machine.
    #[error(
        "Postgres refuses to run as root, and the accounts `postgres` and `nobody` do not exist: \
         create one, or start as an ordinary user"
    )]
    NoAccount,
    /// The paths of all candidate directories for the socket are too long.
    #[error(
        "the path of the Postgres socket would be too long: choose a directory with a shorter \
         path, or set TMPDIR to one"
    )]
    NoSocketDirectory,
    /// `initdb` failed.
    #[error("could not create a cluster in {}: {output}", directory.display())]
    Initialize {
        /// The data directory.
        directory: PathBuf,
        /// The output of `initdb`.
        output: String,
    },
    /// Postgres exited, or was not ready in time.
    #[error("Postgres {what}; the last lines of {}:\n{tail}", log.display())]
    Start {
        /// What happened.
        what: String,
        /// The log of Postgres.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// Postgres does not exit, not even after SIGKILL.
    #[error("Postgres (process {process}) does not stop: stop it manually")]
    Stop {
        /// The process ID of the postmaster.
        process: u32,
    },
    /// Creating or dropping a database failed.
    #[error("could not {action}")]
    Sql {
        /// What failed.
        action: String,
        /// The error of Postgres.
        source: tokio_postgres::Error,
    },
    /// An operation on a file, directory or process failed.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What failed.
        action: &'static str,
        /// The file, directory or program.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl Error {
    /// Adds the failed action and its path to an error of the system.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
