//! The Postgres programs on this machine.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, Progress, fetch};

/// The oldest supported major version.
pub const MINIMUM_MAJOR: u32 = 13;

/// The required programs. `psql` is not one of them: the downloaded archive does not include it.
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
    /// [`Error::NotBinaries`] if they are not in the given directory, [`Error::NoBinaries`] if
    /// no directory is given and none is known.
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
    /// [`Error::NotBinaries`] if a program is missing, does not run, or is too old.
    pub fn in_directory(directory: &Path) -> Result<Self, Error> {
        let not_binaries = |reason: String| Error::NotBinaries {
            directory: directory.to_owned(),
            reason,
        };
        let absolute =
            std::path::absolute(directory).map_err(|error| not_binaries(error.to_string()))?;
        for program in PROGRAMS {
            if !absolute.join(program).is_file() {
                return Err(not_binaries(format!("{program} is missing")));
            }
        }
        let output = Command::new(absolute.join("postgres"))
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| not_binaries(format!("postgres does not run: {error}")))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (version, major) = parse_version(&text).ok_or_else(|| {
            let errors = String::from_utf8_lossy(&output.stderr);
            not_binaries(format!(
                "`postgres --version` prints {:?}",
                format!("{text}{errors}").trim()
            ))
        })?;
        if major < MINIMUM_MAJOR {
            return Err(not_binaries(format!("it is Postgres {version}")));
        }
        Ok(Self {
            directory: absolute,
            version,
            major,
        })
    }

    /// Returns the programs on the `PATH` and then those in the usual directories of Linux
    /// distributions and Homebrew, newest first.
    pub fn known() -> Vec<Self> {
        let mut known = Vec::<Self>::new();
        let mut add_newest_first = |directories: Vec<PathBuf>| {
            let mut found: Vec<Self> = directories
                .iter()
                .filter_map(|directory| Self::in_directory(directory).ok())
                .filter(|found| !known.iter().any(|other| other.is_same_installation(found)))
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

    /// Downloads the programs to `cache_directory`, unless they are there already. Calls
    /// `progress` for each step.
    ///
    /// # Errors
    ///
    /// [`Error::Fetch`] if the download fails, does not match the pinned checksum, or does not
    /// run; [`Error::Untrusted`] if other users can write to the directory.
    pub async fn fetch(
        cache_directory: &Path,
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<Self, Error> {
        fetch::fetch(cache_directory, progress).await
    }

    /// The directory of the programs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The version, such as `15.13`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The major version, which must match that of the cluster.
    pub fn major(&self) -> u32 {
        self.major
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn is_same_installation(&self, other: &Self) -> bool {
        let real = |binaries: &Self| binaries.program("postgres").canonicalize().ok();
        real(self) == real(other)
    }
}

/// The first directory on the `PATH` with all programs.
fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|directory| {
        directory.is_absolute() && PROGRAMS.iter().all(|name| directory.join(name).is_file())
    })
}

/// The existing directories `parent/prefix*/inside`.
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

/// Parses `postgres (PostgreSQL) 15.13 (Debian 15.13-1)`; betas are `18beta1`.
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
    fn the_version_is_parsed_from_the_output_of_postgres() {
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
    fn known_binaries_are_supported_and_sorted_newest_first() {
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
    fn a_missing_program_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();

        let error = Binaries::find(Some(directory.path())).unwrap_err();

        assert!(error.to_string().contains("initdb is missing"), "{error}");
    }

    #[test]
    fn an_unsupported_version_is_an_error() {
        let directory = fake_binaries("9.6.24");

        let error = Binaries::find(Some(directory.path())).unwrap_err();

        assert!(
            error.to_string().contains("it is Postgres 9.6.24"),
            "{error}"
        );
    }

    fn fake_binaries(version: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("script");
        let text = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n");
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        for program in PROGRAMS {
            // Copied by another process: a file that is open for writing cannot be executed, and
            // a test that forks in the meantime would inherit the open file.
            let target = directory.path().join(program);
            let copied = Command::new("cp").arg(&script).arg(&target).status();
            assert!(copied.unwrap().success());
        }
        directory
    }
}
