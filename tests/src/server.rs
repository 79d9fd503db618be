//! The real server as a child process, on a database of its own.

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
use crate::exchange::{self, Answer, Request};

/// How long a server may take until it is ready, or until it has stopped.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(20);

/// How often to try again when somebody else has taken the port.
const ATTEMPTS: usize = 5;

/// How a server is to be set up. Unless told otherwise it gets a fresh, migrated
/// database and does not limit the rate of requests.
#[derive(Clone, Default)]
pub struct Setup {
    settings: Vec<(String, String)>,
    has_rate_limits: bool,
    database: Option<Database>,
}

impl Setup {
    /// Changes a setting, named without `USHER_`. `{{base}}` in its value becomes the
    /// server's address.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets the server limit the rate of requests.
    pub fn with_rate_limits(mut self) -> Self {
        self.has_rate_limits = true;
        self
    }

    /// Uses this database, which several servers may share.
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
                done => return done.map(|()| server),
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
    /// Starts a server that is set up as most tests want it.
    pub async fn start() -> Result<Self> {
        Setup::default().start().await
    }

    /// The server's address, `http://host:port`.
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
    pub async fn send(&self, request: &Request) -> Result<Answer> {
        exchange::send(&self.base, request).await
    }

    /// The id of the process, or `None` if it was stopped.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What the server has written since its first start.
    pub fn log(&self) -> String {
        fs::read(self.log_file())
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// Kills the process without a word, as a crash would.
    pub fn kill_hard(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Either may fail only if the process is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks the process to stop (`SIGTERM`) and waits until it has.
    pub async fn stop_gracefully(&mut self) -> Result<ExitStatus> {
        let child = self.child.as_ref().context("the server is not running")?;
        kill_process(Pid::from_child(child), Signal::TERM)?;
        self.wait().await
    }

    /// Waits until the process has ended.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("the server is not running")?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(status);
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("the server does not stop:\n{}", self.log())
    }

    /// Starts the server again, killing it first if it runs, with the same address,
    /// settings, data directory and database.
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
        self.become_ready().await
    }

    async fn become_ready(&mut self) -> Result<()> {
        let health = Request::new("GET", "/healthz");
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                self.child = None;
                bail!("the server has ended with {status}:\n{}", self.log());
            }
            // Whoever else may have the port need not answer at all.
            let asked = tokio::time::timeout(Duration::from_secs(1), self.send(&health));
            if let Ok(Ok(answer)) = asked.await
                && answer.status == 200
            {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.kill_hard();
        bail!("the server does not become ready:\n{}", self.log())
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

/// Returns the binary with a subcommand, and with no settings from whoever runs the tests.
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

/// Returns a port that nobody listens on and that no other server here was given.
/// Somebody else may still be faster, which the caller notices.
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
