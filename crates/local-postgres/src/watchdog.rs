//! A small process that cleans up after us when we cannot.
//!
//! It waits for the end of a pipe whose other end only we hold. That end comes
//! when we close it or die, however we die; then it stops the Postgres it was told
//! of, if that still runs, and removes what is not meant to stay. It has a process
//! group of its own, so that Ctrl-C does not take it before its work is done.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::Error;

/// `$1`: the signal; `$2`: the data; the others: what to remove.
///
/// The process id in `postmaster.pid` is compared before the signal, lest it has
/// gone to somebody else. The file goes when Postgres has ended.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
pid=
while read -r line; do pid=$line; done
signal=$1 data=$2
shift 2
signalled() {
    [ "$(head -n 1 "$data/postmaster.pid" 2>/dev/null)" = "$pid" ] && kill -s "$1" "$pid" 2>/dev/null
}
if [ -n "$pid" ] && signalled "$signal"; then
    tries=0
    while [ $tries -lt 600 ] && signalled 0; do sleep 0.1; tries=$((tries + 1)); done
fi
[ $# -gt 0 ] || exit 0
rm -rf -- "$@" || { sleep 2; rm -rf -- "$@"; } # an `initdb` may still have been writing
"#;

/// How Postgres is stopped when its owner has died.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Farewell {
    /// Its clients are cut off and its data is written.
    Fast,
    /// It ends at once; the data is about to be removed.
    Immediate,
}

/// The process and our end of the pipe. Dropping it lets the work begin.
#[derive(Debug)]
pub(crate) struct Watchdog {
    process: Option<Child>,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts to watch over `data`; `remove` is removed at the end.
    pub(crate) fn start(farewell: Farewell, data: &Path, remove: &[&Path]) -> Result<Self, Error> {
        let shell = Path::new("/bin/sh");
        let signal = match farewell {
            Farewell::Fast => "INT",
            Farewell::Immediate => "QUIT",
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
            .stdout(Stdio::null()) // a pipe of ours would be kept open for its reader
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(Error::io("start", shell))?;
        Ok(Self {
            pipe: process.stdin.take(),
            process: Some(process),
        })
    }

    /// Tells it of the process to stop.
    pub(crate) fn watch(&mut self, pid: u32) -> Result<(), Error> {
        match &mut self.pipe {
            Some(pipe) => writeln!(pipe, "{pid}").map_err(Error::io("write to", Path::new("sh"))),
            None => Ok(()),
        }
    }

    /// Lets it do its work, and waits until that is done.
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

/// Collects a process that ends on its own, without waiting for it here.
pub(crate) fn reap(mut process: Child) {
    std::thread::spawn(move || process.wait());
}
