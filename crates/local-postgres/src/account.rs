//! The account that runs Postgres: the current user, unless that is root.
//!
//! Postgres refuses to run as root. Root runs it as an unprivileged account: the owner of an
//! existing cluster, or else `postgres`, or else `nobody`.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Error;

/// The environment variables that Postgres programs inherit. Others are not passed on, since
/// the server's environment contains secrets and the account may be a different one.
const PASSED_VARIABLES: [&str; 7] = [
    "PATH",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "LOCPATH",
    "LOCALE_ARCHIVE",
];

/// The account that runs the Postgres programs.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    name: String,
    uid: u32,
    gid: u32,
    /// Whether root switches to this account for each program.
    is_switched: bool,
}

impl Account {
    /// The account for the cluster with this data directory, which need not exist.
    pub(crate) fn for_cluster(data: &Path) -> Result<Self, Error> {
        let uid = rustix::process::geteuid().as_raw();
        let owner = fs::metadata(data).ok();
        if uid != 0 {
            return match owner {
                Some(owner) if owner.uid() != uid => Err(Error::OtherOwner {
                    directory: data.to_owned(),
                    owner: owner.uid(),
                }),
                _ => Ok(Self {
                    name: uid.to_string(),
                    uid,
                    gid: rustix::process::getegid().as_raw(),
                    is_switched: false,
                }),
            };
        }
        if let Some(owner) = owner.filter(|owner| owner.uid() != 0) {
            return Ok(Self {
                name: owner.uid().to_string(),
                uid: owner.uid(),
                gid: owner.gid(),
                is_switched: true,
            });
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (name, (uid, gid)) = ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| Some((name, ids(&passwd, name)?)))
            .ok_or(Error::NoAccount)?;
        Ok(Self {
            name: name.to_owned(),
            uid,
            gid,
            is_switched: true,
        })
    }

    /// Whether the account is not the current user.
    pub(crate) fn is_switched(&self) -> bool {
        self.is_switched
    }

    /// A command that runs a Postgres program as this account, with a minimal environment and
    /// in its own process group, so that Ctrl-C does not signal it.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir("/") // the account may not enter ours
            .env_clear()
            .envs(passed_variables())
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .process_group(0);
        if self.is_switched {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Changes the owner of `path` to the account.
    pub(crate) fn give(&self, path: &Path) -> Result<(), Error> {
        if !self.is_switched {
            return Ok(());
        }
        lchown(path, Some(self.uid), Some(self.gid)).map_err(Error::io("change the owner of", path))
    }

    /// Changes the owner of a cluster that root copied there, such as a restored backup.
    /// Directories that belong to the account are skipped: the account could replace them
    /// with symbolic links in the meantime.
    pub(crate) fn give_from_root(&self, path: &Path) -> Result<(), Error> {
        let metadata = fs::symlink_metadata(path).map_err(Error::io("read", path))?;
        if !self.is_switched || metadata.uid() != 0 {
            return Ok(());
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(path).map_err(Error::io("read", path))? {
                self.give_from_root(&entry.map_err(Error::io("read", path))?.path())?;
            }
        }
        self.give(path)
    }

    /// Checks that the account can enter all ancestors of `path`, so that the error names the
    /// inaccessible directory.
    ///
    /// Directories that do not exist are ignored.
    pub(crate) fn check_reach(&self, path: &Path) -> Result<(), Error> {
        if !self.is_switched {
            return Ok(());
        }
        let existing = path
            .ancestors()
            .find_map(|ancestor| ancestor.canonicalize().ok())
            .unwrap_or_default();
        for ancestor in existing.ancestors() {
            let metadata = fs::metadata(ancestor).map_err(Error::io("read", ancestor))?;
            if metadata.is_dir() && !self.may_enter(&metadata) {
                return Err(Error::Unreachable {
                    account: self.name.clone(),
                    barrier: ancestor.to_owned(),
                    wanted: path.to_owned(),
                });
            }
        }
        Ok(())
    }

    fn may_enter(&self, directory: &Metadata) -> bool {
        let bit = if directory.uid() == self.uid {
            0o100
        } else if directory.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        directory.mode() & bit != 0
    }
}

fn passed_variables() -> impl Iterator<Item = (&'static str, OsString)> {
    PASSED_VARIABLES
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
}

/// The user and group ID of a name in the content of `/etc/passwd`.
fn ids(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        let uid = id(fields.nth(1)?)?;
        let gid = id(fields.next()?)?;
        (uid != 0).then_some((uid, gid))
    })
}

/// On macOS the ID of `nobody` is written as -2.
fn id(text: &str) -> Option<u32> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_full_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:\npostgres:x:101:104:a,,,:/:\n";

        assert_eq!(ids(passwd, "postgres"), Some((101, 104)));
        assert_eq!(ids(passwd, "nobody"), None);
    }

    #[test]
    fn a_negative_id_wraps_around() {
        let passwd = "nobody:*:-2:-2:Unprivileged User:/var/empty:/usr/bin/false";

        assert_eq!(ids(passwd, "nobody"), Some((u32::MAX - 1, u32::MAX - 1)));
    }

    #[test]
    fn an_account_with_the_id_of_root_is_ignored() {
        assert_eq!(ids("postgres:x:0:0::/root:/bin/sh", "postgres"), None);
    }

    #[test]
    fn a_program_does_not_inherit_the_environment() {
        let command = Account::for_cluster(Path::new("/nonexistent/data"))
            .unwrap()
            .command(Path::new("env"));

        let names: Vec<_> = command.get_envs().map(|(name, _)| name).collect();

        assert!(names.contains(&"LC_ALL".as_ref()));
        assert!(!names.contains(&"CARGO_MANIFEST_DIR".as_ref()), "{names:?}");
    }
}
