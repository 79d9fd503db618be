//! The directory of a cluster, and its lock.
//!
//! ```text
//! <directory>/         mode 0700, or 0711 if root runs Postgres as another account
//!     lock             locked while the cluster is open; contains the owner's process ID
//!     postgres.log     the log of Postgres
//!     data/            the data directory, owned by the account that runs Postgres
//!     socket/          the socket, unless its path would be too long
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::Error;
use crate::account::Account;

/// A longer log is truncated at the next start.
const LOG_LIMIT: u64 = 10 * 1024 * 1024;

/// The maximum length of a socket path on all systems (macOS: 103 bytes).
const SOCKET_PATH_LIMIT: usize = 100;
const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// A directory that is locked until it is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    account: Account,
    lock: File,
}

impl Directory {
    /// Creates the directory if it is missing, and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, Error> {
        let absolute = std::path::absolute(path).map_err(Error::io("resolve", path))?;
        let account = Account::for_cluster(&data(&absolute))?;
        create_directory(&absolute, account.is_switched())?;
        let path = absolute
            .canonicalize()
            .map_err(Error::io("resolve", &absolute))?;
        if account.is_switched() {
            fs::set_permissions(&path, Permissions::from_mode(0o711))
                .map_err(Error::io("change the mode of", &path))?;
        }
        account.check_reach(&path)?;
        let lock = lock(&path)?;
        let data = data(&path);
        if data.exists() {
            account.give_from_root(&data)?;
            account.check_reach(&data)?;
        }
        Ok(Self {
            path,
            account,
            lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    pub(crate) fn data(&self) -> PathBuf {
        data(&self.path)
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    /// The major version that created the cluster; `None` before it is created.
    pub(crate) fn major(&self) -> Result<Option<u32>, Error> {
        let data = self.data();
        let version = data.join("PG_VERSION");
        match fs::read_to_string(&version) {
            Ok(text) => match text.trim().split('.').next().map(str::parse) {
                Some(Ok(major)) => Ok(Some(major)),
                _ => Err(Error::NotACluster { directory: data }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_empty = fs::read_dir(&data).map_or(true, |mut files| files.next().is_none());
                if is_empty {
                    Ok(None)
                } else {
                    Err(Error::NotACluster { directory: data })
                }
            }
            Err(error) => Err(Error::io("read", &version)(error)),
        }
    }

    /// Opens the log for appending, and truncates it if it is too long.
    pub(crate) fn log(&self) -> Result<File, Error> {
        let path = self.log_path();
        let log = open_private(&path)?;
        let length = log.metadata().map_err(Error::io("read", &path))?.len();
        if length > LOG_LIMIT {
            log.set_len(0).map_err(Error::io("truncate", &path))?;
        }
        Ok(log)
    }

    /// Creates a directory for the socket. If the path of the cluster is too long for a socket,
    /// this is a private temporary directory, also returned as the second value, which the
    /// caller must remove.
    pub(crate) fn socket_directory(&self) -> Result<(PathBuf, Option<PathBuf>), Error> {
        let inside = self.path.join("socket");
        if is_valid_for_socket(&inside) {
            self.create_for_account(&inside)?;
            return Ok((inside, None));
        }
        for parent in [std::env::temp_dir(), PathBuf::from("/tmp")] {
            let directory = tempfile::Builder::new()
                .prefix("usher-")
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(&parent);
            let Ok(directory) = directory else { continue };
            let Ok(path) = directory.path().canonicalize() else {
                continue;
            };
            if is_valid_for_socket(&path) && self.account.check_reach(&parent).is_ok() {
                self.account.give(&path)?;
                let _ = directory.keep();
                return Ok((path.clone(), Some(path)));
            }
        }
        Err(Error::NoSocketDirectory)
    }

    /// Creates a directory that only the account can enter, unless it exists.
    pub(crate) fn create_for_account(&self, path: &Path) -> Result<(), Error> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::io("create", path)(error))
            }
            _ => self.account.give(path),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing the file is not enough if a process that is being forked has inherited it.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// The data directory of the cluster, with symbolic links resolved.
pub(crate) fn data(directory: &Path) -> PathBuf {
    let data = directory.join("data");
    data.canonicalize().unwrap_or(data)
}

/// Creates a directory and its missing ancestors. Other accounts can enter them only if
/// `is_shared`, and cannot list them.
pub(crate) fn create_directory(path: &Path, is_shared: bool) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_directory(parent, is_shared)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::io("create", path)(error));
        }
        _ => {}
    }
    let mode = if is_shared { 0o711 } else { 0o700 };
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(Error::io("change the mode of", path))
}

/// Runs blocking work outside of the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join("lock");
    let mut file = open_private(&path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut process = String::new();
            let _ = file.read_to_string(&mut process);
            return Err(Error::InUse {
                directory: directory.to_owned(),
                process: match process.trim() {
                    "" => "?".to_owned(),
                    process => process.to_owned(),
                },
            });
        }
        Err(error) => return Err(Error::io("lock", &path)(error.into())),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(Error::io("write", &path))?;
    Ok(file)
}

/// Opens a private file for appending. Does not follow symbolic links, which another user could
/// have created.
pub(crate) fn open_private(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .map_err(Error::io("open", path))
}

/// Whether a socket in the directory has a path that is short enough and without commas, which
/// clients read as separators of hosts.
fn is_valid_for_socket(directory: &Path) -> bool {
    directory.to_str().is_some_and(|text| {
        text.len() + 1 + SOCKET_NAME.len() <= SOCKET_PATH_LIMIT && !text.contains([',', '"'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_truncated() {
        let parent = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(parent.path(), Permissions::from_mode(0o711)).unwrap();
        let directory = Directory::lock(&parent.path().join("cluster")).unwrap();
        writeln!(directory.log().unwrap(), "short").unwrap();
        assert_eq!(directory.log().unwrap().metadata().unwrap().len(), 6);
        directory.log().unwrap().set_len(LOG_LIMIT + 1).unwrap();

        let log = directory.log().unwrap();

        assert_eq!(log.metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_directory_with_other_files_is_not_a_cluster() {
        let parent = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(parent.path(), Permissions::from_mode(0o711)).unwrap();
        let path = parent.path().join("cluster");
        fs::create_dir_all(data(&path)).unwrap();
        let directory = Directory::lock(&path).unwrap();
        assert_eq!(directory.major().unwrap(), None);
        fs::write(data(&path).join("letter.txt"), "dear").unwrap();

        let error = directory.major().unwrap_err();

        assert!(matches!(error, Error::NotACluster { .. }), "{error:?}");
    }

    #[test]
    fn a_socket_path_is_short_and_without_commas() {
        assert!(is_valid_for_socket(Path::new("/var/lib/my usher/socket")));
        assert!(!is_valid_for_socket(Path::new("/a,b")));
        assert!(!is_valid_for_socket(&Path::new("/").join("x".repeat(90))));
    }
}
