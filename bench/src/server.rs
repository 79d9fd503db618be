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

/// The timeout of a start or a stop.
const TIMEOUT: Duration = Duration::from_mins(2);

/// A running server. Dropping it kills the process.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// The time from exec to the first 200.
    pub(crate) started_in: Duration,
    home: TempDir,
}

/// Whether the server limits the rate of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limits {
    /// It counts requests, with a limit that is not reached.
    Counted,
    /// It does not count, since the limit of sign-ins cannot be set.
    Off,
}

impl Server {
    /// Starts a server on a database and waits until it is ready.
    pub(crate) async fn start(binary: &Path, database: &str, limits: Limits) -> Result<Self> {
        let home = TempDir::new()?;
        let log = File::create(home.path().join("log"))?;
        // The port could be taken in between, but nothing else here opens ports.
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
        let end = Instant::now() + TIMEOUT;
        while Instant::now() < end {
            let log = || std::fs::read_to_string(self.home.path().join("log"));
            if let Some(status) = self.child.try_wait()? {
                let log = log().unwrap_or_default();
                anyhow::bail!("the server exited with {status}: {log}");
            }
            let response = async { Client::connect(self.address).await?.send(&health).await };
            if response.await.is_ok_and(|response| response.status == 200) {
                return Ok(());
            }
        }
        anyhow::bail!("the server did not become ready")
    }

    /// Its CPU time so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu::of_process(self.child.id())
    }

    /// Its memory.
    pub(crate) fn memory(&self) -> Result<cpu::Memory> {
        cpu::memory(self.child.id())
    }

    /// Resets the peak of its memory.
    pub(crate) fn reset_peak(&self) -> Result<()> {
        cpu::reset_peak(self.child.id())
    }

    /// Sends one request and fails if the response is not 2xx.
    pub(crate) async fn send(&self, request: &[u8]) -> Result<String> {
        let mut client = Client::connect(self.address).await?;
        let response = client.send(request).await?;
        let text = String::from_utf8_lossy(client.rest()).into_owned();
        ensure!((200..300).contains(&response.status), "{text}");
        Ok(text)
    }

    /// Shuts it down gracefully.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let end = Instant::now() + TIMEOUT;
        while Instant::now() < end {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::bail!("the server did not stop")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
