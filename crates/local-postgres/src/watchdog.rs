//! A small process that stops Postgres when its owner dies.
//!
//! It reads from a pipe until the owner closes it or dies for any reason. Then it stops Postgres
//! if that is still running, and removes temporary directories. It has its own process group, so
//! that Ctrl-C does not signal it.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::Error;

/// `$1`: the signal; `$2`: the data directory; the others: the directories to remove.
///
/// The process ID in `postmaster.pid` is compared before the signal is sent, since it may have
/// been reused. Postgres removes the file when it exits.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
pid=
while read -r line; do pid=$line; done
signal=$1 data=$2
shift 2
signaled() {
    [ "$(head -n 1 "$data/postmaster.pid" 2>/dev/null)" = "$pid" ] && kill -s "$1" "$pid" 2>/dev/null
}
if [ -n "$pid" ] && signaled "$signal"; then
    tries=0
    while [ $tries -lt 600 ] && signaled 0; do sleep 0.1; tries=$((tries + 1)); done
fi
[ $# -gt 0 ] || exit 0
rm -rf -- "$@" || { sleep 2; rm -rf -- "$@"; } # an `initdb` may still have been writing
"#;

/// How Postgres is stopped when its owner dies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StopMode {
    /// Fast shutdown: clients are disconnected and data is written.
    Fast,
    /// Immediate shutdown, for data that is about to be removed.
    Immediate,
}

/// The process and the writing end of its pipe. Dropping it closes the pipe.
#[derive(Debug)]
pub(crate) struct Watchdog {
    process: Option<Child>,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts the process. It removes the directories in `remove` at the end.
    pub(crate) fn start(mode: StopMode, data: &Path, remove: &[&Path]) -> Result<Self, Error> {
        let shell = Path::new("/bin/sh");
        let signal = match mode {
            StopMode::Fast => "INT",
            StopMode::Immediate => "QUIT",
        };
        let mut process = Command::new(shell)
            .args(["-c", SCRIPT, "usher-watchdog", signal])
            .arg(data)
            .args(remove)
            .current_dir("/")
            .env_clear()
            .env(
                "PATH",
                "/usr/bin:/bin:/usr/sbin:/sbin:/run/current-system/sw/bin",
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::null()) // an inherited pipe would stay open
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(Error::io("start", shell))?;
        Ok(Self {
            pipe: process.stdin.take(),
            process: Some(process),
        })
    }

    /// Sends it the process ID of Postgres.
    pub(crate) fn watch(&mut self, pid: u32) -> Result<(), Error> {
        match &mut self.pipe {
            Some(pipe) => writeln!(pipe, "{pid}").map_err(Error::io("write to", Path::new("sh"))),
            None => Ok(()),
        }
    }

    /// Closes the pipe and waits for its exit.
    pub(crate) fn finish(mut self) {
        self.pipe = None;
        if let Some(mut process) = self.process.take() {
            let _ = process.wait();
        }
    }

    #[cfg(test)]
    pub(crate) fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.pipe = None;
        if let Some(process) = self.process.take() {
            reap(process);
        }
    }
}

/// Waits for a process in the background.
pub(crate) fn reap(mut process: Child) {
    std::thread::spawn(move || process.wait());
}
