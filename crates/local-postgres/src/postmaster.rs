//! The main process of Postgres, started here or left running by an earlier owner.

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

/// How often to check whether Postgres is ready or has exited.
const INTERVAL: Duration = Duration::from_millis(10);
/// How long an immediate shutdown may take.
const IMMEDIATE_TIMEOUT: Duration = Duration::from_secs(10);

/// A child process. Dropping it sends a fast shutdown.
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

    /// Waits until it accepts connections. `log` is the path of its log, for the error.
    pub(crate) fn wait_until_ready(
        &mut self,
        data: &Path,
        log: &Path,
        timeout: Duration,
    ) -> Result<(), Error> {
        let start = Instant::now();
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
            if start.elapsed() > timeout {
                return Err(failure(format!("was not ready after {timeout:?}")));
            }
            sleep(INTERVAL);
        }
    }

    /// Sends a fast shutdown, after `timeout` an immediate shutdown, and finally SIGKILL.
    pub(crate) async fn stop(mut self, timeout: Duration) -> Result<(), Error> {
        for (signal, timeout) in [
            (Signal::INT, timeout),
            (Signal::QUIT, IMMEDIATE_TIMEOUT),
            (Signal::KILL, IMMEDIATE_TIMEOUT),
        ] {
            self.send(signal);
            if self.has_exited_within(timeout).await {
                return Ok(());
            }
            tracing::warn!(?signal, "Postgres does not stop; escalating");
        }
        Err(Error::Stop { process: self.id })
    }

    async fn has_exited_within(&mut self, timeout: Duration) -> bool {
        let start = Instant::now();
        while let Some(process) = &mut self.process {
            match process.try_wait() {
                Ok(Some(_)) => self.process = None,
                _ if start.elapsed() > timeout => return false,
                _ => tokio::time::sleep(INTERVAL).await,
            }
        }
        true
    }

    /// The child has not been waited for, so its process ID cannot have been reused.
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

/// The file `postmaster.pid` in the data directory.
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

    /// The lines are: process ID, data directory, start time, port, socket directory, listen
    /// address, shared memory, status.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        Some(Self {
            process: lines.first()?.parse().ok()?,
            socket_directory: lines.get(4).copied().unwrap_or_default().into(),
            is_ready: lines.get(7) == Some(&"ready"),
        })
    }

    /// The file, if its process is running and is a postmaster on `data`. After a reboot, the
    /// process ID may belong to another process.
    pub(crate) fn read_live(data: &Path) -> Option<Self> {
        Self::read(data).filter(|file| works_in(file.process, data))
    }
}

/// Whether the working directory of the process is `data`, as that of postmasters is. On systems
/// without /proc, whether its command line contains `data`.
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

/// Stops a postmaster that an earlier owner left running on `data`. It is not adopted, since its
/// settings, socket and log may differ.
///
/// `pg_ctl` runs as the account of the cluster, so that a process ID in a file which that account
/// can write cannot make root signal another process.
///
/// Returns the process ID in a stale `postmaster.pid`, which the next postmaster must ignore.
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
        "stopping the Postgres that an earlier owner left running"
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
    fn a_postmaster_is_ready_if_its_status_line_is_ready() {
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
    fn a_reused_process_id_is_not_a_postmaster() {
        let data = tempfile::tempdir().unwrap();
        let ours = std::process::id();
        fs::write(data.path().join("postmaster.pid"), format!("{ours}\n")).unwrap();

        assert!(PidFile::read(data.path()).is_some());
        assert_eq!(PidFile::read_live(data.path()), None);
    }
}
