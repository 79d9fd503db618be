//! What can go wrong around a cluster, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::MINIMUM_MAJOR;

/// Why a cluster could not be found, started, used or stopped.
///
/// The texts are for the operator: each says what to do, where something can be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There are no usable programs on this machine, and fetching was not allowed.
    #[error(
        "found no Postgres {MINIMUM_MAJOR} or newer on this machine: install the package \
         `postgresql`, name the directory that holds initdb, pg_ctl and postgres, or give the URL \
         of a database"
    )]
    NoBinaries,
    /// The named directory does not hold usable programs.
    #[error(
        "{} does not hold the programs of Postgres {MINIMUM_MAJOR} or newer ({reason}): name the \
         directory that holds initdb, pg_ctl and postgres",
        directory.display()
    )]
    NotBinaries {
        /// The directory that was named.
        directory: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The programs could not be downloaded or unpacked.
    #[error(
        "could not fetch Postgres {version}: install the package `postgresql`, or give the URL of \
         a database"
    )]
    Fetch {
        /// The version that was to be fetched.
        version: &'static str,
        /// What stood in the way.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A directory from which programs would be run belongs to somebody else.
    #[error(
        "{} can be written by others, so the programs in it are not run: choose a directory that \
         only you can write",
        directory.display()
    )]
    Untrusted {
        /// The directory of the fetched programs.
        directory: PathBuf,
    },
    /// The data was written by another major version than the programs at hand.
    #[error(
        "the cluster in {} was made by Postgres {cluster}, but the programs found are of Postgres \
         {found}: install Postgres {cluster}, or move the data: start it with the old version, \
         save it with `pg_dump`, move the directory away, start again and load it with `psql`",
        directory.display()
    )]
    OtherMajor {
        /// The directory of the cluster.
        directory: PathBuf,
        /// The major version that wrote the data.
        cluster: u32,
        /// The major versions that were found, or `none`.
        found: String,
    },
    /// The place of the data holds something else.
    #[error(
        "{} holds files but is not a Postgres cluster: choose another directory, or move them away",
        directory.display()
    )]
    NotACluster {
        /// Where the data would be.
        directory: PathBuf,
    },
    /// Another process has the cluster open.
    #[error(
        "the cluster in {} is in use by process {process}: stop that one, or choose another \
         directory",
        directory.display()
    )]
    InUse {
        /// The directory of the cluster.
        directory: PathBuf,
        /// The id of the process, or `?`.
        process: String,
    },
    /// A Postgres that an earlier owner left behind does not stop.
    #[error(
        "process {process} still runs Postgres on the cluster in {} and does not stop: end it, \
         then start again",
        directory.display()
    )]
    Leftover {
        /// The directory of the cluster.
        directory: PathBuf,
        /// The id of the postmaster.
        process: u32,
    },
    /// The cluster belongs to another account, and only root may act for it.
    #[error(
        "the cluster in {} belongs to the account {owner}: start as that account or as root, or \
         choose another directory",
        directory.display()
    )]
    OtherOwner {
        /// The directory of the cluster.
        directory: PathBuf,
        /// The numeric id of the owner.
        owner: u32,
    },
    /// The unprivileged account cannot get to a directory it needs.
    #[error(
        "Postgres does not run as root, and the account `{account}` which runs it instead cannot \
         pass through {} to {}: choose a directory elsewhere (such as /var/lib/usher), run `chmod \
         o+x '{}'`, or start as an ordinary user",
        barrier.display(),
        wanted.display(),
        barrier.display()
    )]
    Unreachable {
        /// The account that runs Postgres.
        account: String,
        /// The directory that the account may not pass.
        barrier: PathBuf,
        /// The directory that the account needs.
        wanted: PathBuf,
    },
    /// Started by root, on a machine without an unprivileged account.
    #[error(
        "Postgres does not run as root, and there is no account `postgres` or `nobody` to run it \
         instead: create one, or start as an ordinary user"
    )]
    NoAccount,
    /// No directory for the socket is short enough.
    #[error(
        "no directory for the socket of Postgres is short enough: choose a shorter directory for \
         the cluster, or set TMPDIR to a short one"
    )]
    NoSocketDirectory,
    /// `initdb` refused.
    #[error("could not make a cluster in {}: {output}", directory.display())]
    Initialize {
        /// Where the data would be.
        directory: PathBuf,
        /// What `initdb` said.
        output: String,
    },
    /// Postgres ended, or was not ready in time.
    #[error("Postgres {what}; the end of {} says:\n{tail}", log.display())]
    Start {
        /// What happened.
        what: String,
        /// The log of Postgres.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// Postgres does not stop, not even when killed.
    #[error("Postgres (process {process}) does not stop: end it by hand")]
    Stop {
        /// The id of the postmaster.
        process: u32,
    },
    /// The cluster answered an administrative statement with an error.
    #[error("could not {action}")]
    Sql {
        /// What was to be done.
        action: String,
        /// What Postgres said.
        source: tokio_postgres::Error,
    },
    /// A file, directory or process could not be handled.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// The file, directory or program.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// Says what was being done to which path when the system refused.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
