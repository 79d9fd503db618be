//! The server as a child process, on its own database.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::binary;
use crate::database::Database;
use crate::exchange::{self, Request, Response};

/// How long a server may take to start or stop.
const TIMEOUT: Duration = Duration::from_secs(90);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How often to start a server if another process takes its port.
const ATTEMPTS: usize = 5;

/// The setup of a server. By default it has a new, migrated database and no rate limits.
#[derive(Clone, Default)]
pub struct Setup {
    settings: Vec<(String, String)>,
    has_rate_limits: bool,
    database: Option<Database>,
}

impl Setup {
    /// Changes a setting, named without `USHER_`. `{{base}}` in its value becomes the
    /// server's base URL.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Enables rate limits.
    pub fn with_rate_limits(mut self) -> Self {
        self.has_rate_limits = true;
        self
    }

    /// Uses the cheapest password hashes, for tests that are not about hashing.
    pub fn with_cheap_hashes(self) -> Self {
        self.set("PASSWORD_HASH_MEMORY", "8")
            .set("PASSWORD_HASH_PASSES", "1")
    }

    /// Uses this database, which several servers can share.
    pub fn on(mut self, database: &Database) -> Self {
        self.database = Some(database.clone());
        self
    }

    /// Starts the server and waits until it is ready.
    pub async fn start(self) -> Result<Server> {
        let database = match self.database {
            Some(database) => database,
            None => Database::migrated().await,
        };
        let limits = if self.has_rate_limits {
            "false"
        } else {
            "true"
        };
        let mut settings = vec![
            ("PG_CONNECTION_URL".to_owned(), database.url().to_owned()),
            (
                "DANGEROUS_DISABLE_RATE_LIMITS".to_owned(),
                limits.to_owned(),
            ),
        ];
        settings.extend(self.settings);
        let mut server = Server {
            child: None,
            base: String::new(),
            port: 0,
            settings,
            home: TempDir::new()?,
            database,
        };
        fs::create_dir(server.data())?;
        let mut attempts = 1..=ATTEMPTS;
        loop {
            attempts.next();
            server.port = free_port()?;
            server.base = format!("http://127.0.0.1:{}", server.port);
            match server.launch().await {
                Err(_) if !attempts.is_empty() && server.port_is_taken() => {}
                result => return result.map(|()| server),
            }
        }
    }
}

/// A running server. It is killed when the value is dropped.
pub struct Server {
    child: Option<Child>,
    base: String,
    port: u16,
    settings: Vec<(String, String)>,
    home: TempDir,
    database: Database,
}

impl Server {
    /// Starts a server with the default setup.
    pub async fn start() -> Result<Self> {
        Setup::default().start().await
    }

    /// The server's base URL, `http://host:port`.
    pub fn base_url(&self) -> &str {
        &self.base
    }

    /// The server's database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The server's data directory.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Sends a request.
    pub async fn send(&self, request: &Request) -> Result<Response> {
        exchange::send(&self.base, request).await
    }

    /// The process ID, or `None` if the server was stopped.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Returns the output of the server since its first start.
    pub fn log(&self) -> String {
        fs::read(self.log_file())
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// Kills the process, as a crash would.
    pub fn kill_hard(&mut self) {
        if let Some(mut child) = self.child.take() {
            // These fail only if the process has exited already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops the process with `SIGTERM` and waits until it exits.
    pub async fn stop_gracefully(&mut self) -> Result<ExitStatus> {
        let child = self.child.as_ref().context("the server is not running")?;
        kill_process(Pid::from_child(child), Signal::TERM)?;
        self.wait().await
    }

    /// Waits until the process exits.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("the server is not running")?;
        let end = Instant::now() + TIMEOUT;
        while Instant::now() < end {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(status);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        bail!("the server did not stop:\n{}", self.log())
    }

    /// Kills the server if it runs and starts it again with the same address, settings, data
    /// directory and database.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill_hard();
        self.launch().await
    }

    async fn launch(&mut self) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())?;
        let mut command = usher("server")?;
        command
            .env("USHER_HTTP_ADDRESS", format!("127.0.0.1:{}", self.port))
            .env("USHER_ACCESS_URL", &self.base)
            .env("USHER_DATA_DIR", self.data())
            .current_dir(self.home.path())
            .stdout(log.try_clone()?)
            .stderr(log);
        for (name, value) in &self.settings {
            let value = value.replace("{{base}}", &self.base);
            command.env(format!("USHER_{name}"), value);
        }
        self.child = Some(command.spawn()?);
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let health = Request::new("GET", "/healthz");
        let end = Instant::now() + TIMEOUT;
        while Instant::now() < end {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                self.child = None;
                bail!("the server exited with {status}:\n{}", self.log());
            }
            // Another process may have the port and not respond.
            let response = tokio::time::timeout(Duration::from_secs(1), self.send(&health));
            if let Ok(Ok(response)) = response.await
                && response.status == 200
            {
                return Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        self.kill_hard();
        bail!("the server did not become ready:\n{}", self.log())
    }

    fn port_is_taken(&self) -> bool {
        self.child.is_none() && TcpListener::bind(("127.0.0.1", self.port)).is_err()
    }

    fn log_file(&self) -> PathBuf {
        self.home.path().join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill_hard();
    }
}

/// Returns a command of the binary, without settings from the environment of the tests.
pub fn usher(subcommand: &str) -> Result<Command> {
    let mut command = Command::new(binary::usher()?);
    command.arg(subcommand).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("USHER_") || text.starts_with("CODER_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// Returns a free port that no other server of this process was given. Another process may
/// still take it first, which the caller detects.
fn free_port() -> Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut given = GIVEN.lock().expect("nothing panics while it is locked");
        if given.insert(port) {
            return Ok(port);
        }
    }
}
