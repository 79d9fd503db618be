//! The programs of Postgres on this machine, and which of them fit a cluster.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, Progress, fetch};

/// The oldest major version that a cluster is run with.
pub const MINIMUM_MAJOR: u32 = 13;

/// What a directory must hold. `psql` is not among them: fetched binaries lack it.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// A directory with the programs of one Postgres version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    directory: PathBuf,
    version: String,
    major: u32,
}

impl Binaries {
    /// Returns the programs in `explicit`, or else the first of [`known`](Self::known).
    ///
    /// # Errors
    ///
    /// [`Error::NotBinaries`] if the named directory does not hold them,
    /// [`Error::NoBinaries`] if none was named and none is known.
    pub fn find(explicit: Option<&Path>) -> Result<Self, Error> {
        match explicit {
            Some(directory) => Self::in_directory(directory),
            None => Self::known().into_iter().next().ok_or(Error::NoBinaries),
        }
    }

    /// Returns the programs in `directory`.
    ///
    /// # Errors
    ///
    /// [`Error::NotBinaries`] if one is missing, does not run, or is too old.
    pub fn in_directory(directory: &Path) -> Result<Self, Error> {
        let refuse = |reason: String| Error::NotBinaries {
            directory: directory.to_owned(),
            reason,
        };
        let absolute = std::path::absolute(directory).map_err(|error| refuse(error.to_string()))?;
        for program in PROGRAMS {
            if !absolute.join(program).is_file() {
                return Err(refuse(format!("there is no {program}")));
            }
        }
        let output = Command::new(absolute.join("postgres"))
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| refuse(format!("postgres does not run: {error}")))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (version, major) = parse_version(&text).ok_or_else(|| {
            let errors = String::from_utf8_lossy(&output.stderr);
            refuse(format!(
                "`postgres --version` says {:?}",
                format!("{text}{errors}").trim()
            ))
        })?;
        if major < MINIMUM_MAJOR {
            return Err(refuse(format!("it is Postgres {version}")));
        }
        Ok(Self {
            directory: absolute,
            version,
            major,
        })
    }

    /// Returns the programs in all places where they usually are: the one on the
    /// `PATH` first, then those of the system and of Homebrew, the newest first.
    pub fn known() -> Vec<Self> {
        let mut known = Vec::<Self>::new();
        let mut add_newest_first = |directories: Vec<PathBuf>| {
            let mut found: Vec<Self> = directories
                .iter()
                .filter_map(|directory| Self::in_directory(directory).ok())
                .filter(|found| !known.iter().any(|other| other.is_same_place(found)))
                .collect();
            found.sort_by_key(|binaries| Reverse(binaries.major));
            known.append(&mut found);
        };
        add_newest_first(on_path().into_iter().collect());
        add_newest_first(
            [
                ("/usr/lib/postgresql", "", "bin"),
                ("/opt/homebrew/opt", "postgresql@", "bin"),
                ("/usr/local/opt", "postgresql@", "bin"),
            ]
            .into_iter()
            .flat_map(|(parent, prefix, inside)| children(Path::new(parent), prefix, inside))
            .collect(),
        );
        known
    }

    /// Downloads the programs once and keeps them in `cache_directory`; later calls
    /// find them there. `progress` is told of each step.
    ///
    /// # Errors
    ///
    /// [`Error::Fetch`] if they cannot be downloaded, do not have the pinned
    /// checksum, or do not run here; [`Error::Untrusted`] if others can write the
    /// directory.
    pub async fn fetch(
        cache_directory: &Path,
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<Self, Error> {
        fetch::fetch(cache_directory, progress).await
    }

    /// The directory that holds the programs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The whole version, such as `15.13`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The major version, which decides which clusters they can run.
    pub fn major(&self) -> u32 {
        self.major
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn is_same_place(&self, other: &Self) -> bool {
        let real = |binaries: &Self| binaries.program("postgres").canonicalize().ok();
        real(self) == real(other)
    }
}

/// The first directory of the `PATH` with all programs.
fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|directory| {
        directory.is_absolute() && PROGRAMS.iter().all(|name| directory.join(name).is_file())
    })
}

/// `parent/prefix*/inside`, for every child that exists.
fn children(parent: &Path, prefix: &str, inside: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(inside))
        .filter(|directory| directory.is_dir())
        .collect()
}

/// Reads `postgres (PostgreSQL) 15.13 (Debian 15.13-1)`; betas are `18beta1`.
fn parse_version(text: &str) -> Option<(String, u32)> {
    let version = text
        .split("(PostgreSQL) ")
        .nth(1)?
        .split_whitespace()
        .next()?;
    let digits = version.split(|character: char| !character.is_ascii_digit());
    Some((version.to_owned(), digits.take(1).next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn versions_are_read_as_postgres_prints_them() {
        let parse = |text| parse_version(text).map(|(_, major)| major);

        assert_eq!(
            parse("postgres (PostgreSQL) 15.13 (Debian 15.13-0)\n"),
            Some(15)
        );
        assert_eq!(parse("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse("postgres (PostgreSQL) 9.6.24\n"), Some(9));
        assert_eq!(parse("something else 15"), None);
    }

    #[test]
    fn the_machine_has_binaries_and_the_newest_is_before_the_older_of_its_place() {
        let known = Binaries::known();

        assert!(known.iter().all(|found| found.major() >= MINIMUM_MAJOR));
        assert!(
            known
                .iter()
                .skip(1)
                .is_sorted_by_key(|found| Reverse(found.major()))
        );
    }

    #[test]
    fn a_directory_without_the_programs_is_refused_with_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();

        let error = Binaries::find(Some(directory.path())).unwrap_err();

        assert!(error.to_string().contains("there is no initdb"), "{error}");
    }

    #[test]
    fn a_version_that_is_too_old_is_refused() {
        let directory = pretend_binaries("9.6.24");

        let error = Binaries::find(Some(directory.path())).unwrap_err();

        assert!(
            error.to_string().contains("it is Postgres 9.6.24"),
            "{error}"
        );
    }

    fn pretend_binaries(version: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("script");
        let text = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n");
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        for program in PROGRAMS {
            // Written by another process: a file that is open for writing does not run,
            // and a test that starts a process meanwhile would keep it open.
            let target = directory.path().join(program);
            let copied = Command::new("cp").arg(&script).arg(&target).status();
            assert!(copied.unwrap().success());
        }
        directory
    }
}
