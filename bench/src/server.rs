//! The server under measurement.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::{
    cpu,
    load::{Client, request},
};

/// How long a server may take to be ready or to stop.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running server. It is killed when the value is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first answer of 200.
    pub(crate) started_in: Duration,
    home: TempDir,
}

/// Whether the server counts requests. It always does so where that is part of what is
/// measured, with a limit that nobody reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limits {
    /// It counts.
    Counted,
    /// It does not, since sign-ins have a limit that cannot be set.
    Off,
}

impl Server {
    /// Starts a server on a database and waits for its first answer.
    pub(crate) async fn start(binary: &Path, database: &str, limits: Limits) -> Result<Self> {
        let home = TempDir::new()?;
        let log = File::create(home.path().join("log"))?;
        // Free a moment ago; nobody else takes ports at this rate.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(binary);
        command.arg("server").stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("USHER_") || text.starts_with("CODER_") {
                command.env_remove(name);
            }
        }
        command
            .env("USHER_HTTP_ADDRESS", address.to_string())
            .env("USHER_PG_CONNECTION_URL", database)
            .env("USHER_DATA_DIR", home.path())
            .stdout(log.try_clone()?)
            .stderr(log);
        match limits {
            Limits::Counted => command.env("USHER_API_RATE_LIMIT", "2000000000"),
            Limits::Off => command.env("USHER_DANGEROUS_DISABLE_RATE_LIMITS", "true"),
        };
        let begin = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("could not run {}", binary.display()))?;
        let mut server = Self {
            child,
            address,
            started_in: Duration::ZERO,
            home,
        };
        server.wait().await?;
        server.started_in = begin.elapsed();
        Ok(server)
    }

    async fn wait(&mut self) -> Result<()> {
        let mut health = Vec::new();
        request(&mut health, "GET", "/healthz", "", "");
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let log = || std::fs::read_to_string(self.home.path().join("log"));
            if let Some(status) = self.child.try_wait()? {
                let log = log().unwrap_or_default();
                anyhow::bail!("the server has ended with {status}: {log}");
            }
            let answer = async { Client::connect(self.address).await?.send(&health).await };
            if answer.await.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
        }
        anyhow::bail!("the server does not become ready")
    }

    /// The CPU time that it has taken.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu::of_process(self.child.id())
    }

    /// The memory that it has.
    pub(crate) fn memory(&self) -> Result<cpu::Memory> {
        cpu::memory(self.child.id())
    }

    /// Has the peak of its memory begin anew.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        cpu::forget_peak(self.child.id())
    }

    /// Sends one request, which must be answered by 2xx.
    pub(crate) async fn send(&self, request: &[u8]) -> Result<String> {
        let mut client = Client::connect(self.address).await?;
        let answer = client.send(request).await?;
        let text = String::from_utf8_lossy(client.rest()).into_owned();
        ensure!((200..300).contains(&answer.status), "{text}");
        Ok(text)
    }

    /// Stops it in order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::bail!("the server does not stop")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
