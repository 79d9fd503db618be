//! The main process of Postgres: ours, or one that an earlier owner left behind.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::account::Account;
use crate::watchdog::reap;
use crate::{Binaries, Error};

/// How often we look whether Postgres is ready or has ended.
const INTERVAL: Duration = Duration::from_millis(10);
/// How long it may take to end once it has been told to drop everything.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// The Postgres that we have started. Dropped, it is told to stop.
#[derive(Debug)]
pub(crate) struct Postmaster {
    process: Option<Child>,
    id: u32,
}

impl Postmaster {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self, Error> {
        let process = command
            .spawn()
            .map_err(Error::io("start", Path::new(command.get_program())))?;
        Ok(Self {
            id: process.id(),
            process: Some(process),
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Waits until it takes connections. `log` is what it writes to.
    pub(crate) fn wait_until_ready(
        &mut self,
        data: &Path,
        log: &Path,
        patience: Duration,
    ) -> Result<(), Error> {
        let begin = Instant::now();
        let failure = |what: String| Error::Start {
            what,
            log: log.to_owned(),
            tail: tail(log),
        };
        loop {
            if let Some(file) = PidFile::read(data)
                && file.process == self.id
                && file.is_ready
            {
                return Ok(());
            }
            if let Some(process) = &mut self.process
                && let Some(status) = process.try_wait().ok().flatten()
            {
                return Err(failure(format!("did not start ({status})")));
            }
            if begin.elapsed() > patience {
                return Err(failure(format!("was not ready after {patience:?}")));
            }
            sleep(INTERVAL);
        }
    }

    /// Stops it: fast, and after `patience` with ever less regard.
    pub(crate) async fn stop(mut self, patience: Duration) -> Result<(), Error> {
        for (signal, patience) in [
            (Signal::INT, patience),
            (Signal::QUIT, LAST_PATIENCE),
            (Signal::KILL, LAST_PATIENCE),
        ] {
            self.send(signal);
            if self.has_ended_within(patience).await {
                return Ok(());
            }
            tracing::warn!(?signal, "Postgres does not stop, trying harder");
        }
        Err(Error::Stop { process: self.id })
    }

    async fn has_ended_within(&mut self, patience: Duration) -> bool {
        let begin = Instant::now();
        while let Some(process) = &mut self.process {
            match process.try_wait() {
                Ok(Some(_)) => self.process = None,
                _ if begin.elapsed() > patience => return false,
                _ => tokio::time::sleep(INTERVAL).await,
            }
        }
        true
    }

    /// The process is our child and not collected, so its id is still its own.
    fn send(&self, signal: Signal) {
        if self.process.is_some()
            && let Some(pid) = pid(self.id)
        {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        self.send(Signal::INT);
        if let Some(process) = self.process.take() {
            reap(process);
        }
    }
}

/// What a postmaster writes about itself into its data directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) process: u32,
    pub(crate) socket_directory: PathBuf,
    pub(crate) is_ready: bool,
}

impl PidFile {
    pub(crate) fn read(data: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(data.join("postmaster.pid")).ok()?)
    }

    /// The lines are: process, data, start, port, socket directory, address, shared
    /// memory, status.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        Some(Self {
            process: lines.first()?.parse().ok()?,
            socket_directory: lines.get(4).copied().unwrap_or_default().into(),
            is_ready: lines.get(7) == Some(&"ready"),
        })
    }

    /// The file, if the process it names is alive and is a postmaster on `data`.
    /// After a restart of the machine or container the number may be anybody's.
    pub(crate) fn read_live(data: &Path) -> Option<Self> {
        Self::read(data).filter(|file| works_in(file.process, data))
    }
}

/// Whether the process has `data` as its working directory, as postmasters have.
/// Systems without /proc tell less: whether it was started on that directory.
fn works_in(process: u32, data: &Path) -> bool {
    let proc = Path::new("/proc");
    if proc.join("self/cwd").exists() {
        let directory = fs::read_link(proc.join(process.to_string()).join("cwd"));
        return directory.is_ok_and(|directory| directory == data);
    }
    Command::new("ps")
        .args(["-o", "command=", "-p", &process.to_string()])
        .output()
        .is_ok_and(|output| {
            String::from_utf8_lossy(&output.stdout).contains(&*data.to_string_lossy())
        })
}

/// Stops a postmaster that an earlier owner left on `data`. It is not taken over as
/// it is, since its settings, its socket and its log may be those of another time.
///
/// It is stopped with `pg_ctl`, as its own account: then a number in a file that
/// this account can write never makes us, perhaps root, signal somebody else.
///
/// Returns the number in a `postmaster.pid` that nobody has cleared away, which the
/// next postmaster is to disregard.
pub(crate) fn stop_leftover(
    data: &Path,
    account: &Account,
    binaries: &Binaries,
) -> Result<Option<u32>, Error> {
    let Some(live) = PidFile::read_live(data) else {
        return Ok(PidFile::read(data).map(|stale| stale.process));
    };
    tracing::info!(
        postgres.process = live.process,
        "an earlier owner left Postgres running, stopping it first"
    );
    let pg_ctl = binaries.program("pg_ctl");
    for (mode, seconds) in [("fast", "60"), ("immediate", "20")] {
        let output = account
            .command(&pg_ctl)
            .args(["stop", "-w", "-m", mode, "-t", seconds, "-D"])
            .arg(data)
            .output()
            .map_err(Error::io("run", &pg_ctl))?;
        tracing::debug!(?output, mode, "stopped the Postgres of an earlier owner");
        if PidFile::read_live(data).is_none() {
            return Ok(PidFile::read(data).map(|stale| stale.process));
        }
    }
    Err(Error::Leftover {
        directory: data.to_owned(),
        process: live.process,
    })
}

fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(id.try_into().ok()?)
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    const LENGTH: u64 = 2048;
    let mut bytes = Vec::new();
    if let Ok(mut file) = fs::File::open(log) {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(LENGTH)));
        let _ = file.read_to_end(&mut bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postmaster_is_ready_when_its_last_line_says_so() {
        let text = "4711\n/d\n1700000000\n5432\n/s p\n\n  54321  7\nstarting\n";
        let starting = PidFile {
            process: 4711,
            socket_directory: "/s p".into(),
            is_ready: false,
        };

        assert_eq!(PidFile::parse(text), Some(starting));
        assert!(
            PidFile::parse(&text.replace("starting", "ready   "))
                .unwrap()
                .is_ready
        );
        assert_eq!(PidFile::parse(""), None);
    }

    #[test]
    fn a_number_that_now_belongs_to_somebody_else_is_no_postmaster() {
        let data = tempfile::tempdir().unwrap();
        let ours = std::process::id();
        fs::write(data.path().join("postmaster.pid"), format!("{ours}\n")).unwrap();

        assert!(PidFile::read(data.path()).is_some());
        assert_eq!(PidFile::read_live(data.path()), None);
    }
}
