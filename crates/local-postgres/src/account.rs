//! The account that Postgres runs as: the caller's own, unless that is root.
//!
//! Postgres refuses to run as root, so root hands it to an unprivileged account:
//! the owner of an existing cluster, else `postgres`, else `nobody`.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Error;

/// Variables that a Postgres program may need from us. All others stay here, since
/// the environment of a server holds secrets and the account is another one.
const PASSED_VARIABLES: [&str; 7] = [
    "PATH",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "LOCPATH",
    "LOCALE_ARCHIVE",
];

/// Who runs the programs of Postgres.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    name: String,
    uid: u32,
    gid: u32,
    /// We are root and change to this account for each program.
    is_switched: bool,
}

impl Account {
    /// The account for the cluster whose data is, or will be, in `data`.
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

    /// Whether it is another account than ours.
    pub(crate) fn is_switched(&self) -> bool {
        self.is_switched
    }

    /// A program of Postgres, to be run as this account: quiet, in a process group
    /// of its own (out of reach of Ctrl-C), and with a small environment.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir("/") // ours may be closed to the account
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

    /// Makes the account the owner of `path`.
    pub(crate) fn give(&self, path: &Path) -> Result<(), Error> {
        if !self.is_switched {
            return Ok(());
        }
        lchown(path, Some(self.uid), Some(self.gid)).map_err(Error::io("change the owner of", path))
    }

    /// Makes the account the owner of a cluster that root has put there, such as one
    /// from a backup. What already belongs to the account is not walked through: it
    /// could lead us elsewhere while we do.
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

    /// Makes sure that the account can get to `path`, so that a closed directory on
    /// the way is named instead of a program that fails for no visible reason.
    ///
    /// What does not exist yet is taken to be open.
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
            if metadata.is_dir() && !self.may_pass(&metadata) {
                return Err(Error::Unreachable {
                    account: self.name.clone(),
                    barrier: ancestor.to_owned(),
                    wanted: path.to_owned(),
                });
            }
        }
        Ok(())
    }

    fn may_pass(&self, directory: &Metadata) -> bool {
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

/// The user and group id of a name in the text of `/etc/passwd`.
fn ids(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        let uid = id(fields.nth(1)?)?;
        let gid = id(fields.next()?)?;
        (uid != 0).then_some((uid, gid))
    })
}

/// macOS writes `nobody` as -2, which is the same bits.
fn id(text: &str) -> Option<u32> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:\npostgres:x:101:104:a,,,:/:\n";

        assert_eq!(ids(passwd, "postgres"), Some((101, 104)));
        assert_eq!(ids(passwd, "nobody"), None);
    }

    #[test]
    fn a_negative_id_is_read_as_the_system_reads_it() {
        let passwd = "nobody:*:-2:-2:Unprivileged User:/var/empty:/usr/bin/false";

        assert_eq!(ids(passwd, "nobody"), Some((u32::MAX - 1, u32::MAX - 1)));
    }

    #[test]
    fn an_account_that_is_root_by_another_name_is_not_taken() {
        assert_eq!(ids("postgres:x:0:0::/root:/bin/sh", "postgres"), None);
    }

    #[test]
    fn a_program_does_not_see_our_environment() {
        let command = Account::for_cluster(Path::new("/nonexistent/data"))
            .unwrap()
            .command(Path::new("env"));

        let names: Vec<_> = command.get_envs().map(|(name, _)| name).collect();

        assert!(names.contains(&"LC_ALL".as_ref()));
        assert!(!names.contains(&"CARGO_MANIFEST_DIR".as_ref()), "{names:?}");
    }
}
