//! The Postgres of the measurements: durable, with default settings.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use usher_local_postgres::{Cluster, Options};

use crate::cpu;

/// A running cluster, removed by [`Postgres::stop`].
pub(crate) struct Postgres {
    cluster: Cluster,
    postmaster: u32,
    // Dropped last.
    directory: TempDir,
}

impl Postgres {
    /// Creates and starts a cluster.
    pub(crate) async fn start() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("usher-bench-").tempdir()?;
        // As root, Postgres runs as another account, which must reach its directory.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711))?;
        let cluster = directory.path().join("postgres");
        let cluster = Cluster::open(Options::new(cluster)).await?;
        let pid_file = cluster.directory().join("data/postmaster.pid");
        let text = fs::read_to_string(&pid_file).with_context(|| pid_file.display().to_string())?;
        let postmaster = text.lines().next().unwrap_or_default().trim().parse()?;
        let postgres = Self {
            cluster,
            postmaster,
            directory,
        };
        let client = postgres.connect("postgres").await?;
        for setting in [
            // For reading statements from the log, see `pgbench`.
            "log_line_prefix = '%a|%p|'",
            "track_activity_query_size = 16384",
        ] {
            client
                .batch_execute(&format!("ALTER SYSTEM SET {setting}"))
                .await?;
        }
        client.batch_execute("SELECT pg_reload_conf()").await?;
        Ok(postgres)
    }

    pub(crate) fn version(&self) -> &str {
        self.cluster.binaries().version()
    }

    /// The CPU time of all its processes so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu::of_family(self.postmaster)
    }

    /// Creates a database and migrates it with the binary.
    pub(crate) async fn create(&self, name: &str, binary: &Path) -> Result<()> {
        self.cluster.create_database(name, None).await?;
        let done = Command::new(binary)
            .arg("migrate")
            .env("USHER_PG_CONNECTION_URL", self.url(name))
            .output()
            .with_context(|| format!("could not run {}", binary.display()))?;
        ensure!(
            done.status.success(),
            "usher migrate: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(())
    }

    pub(crate) fn url(&self, name: &str) -> String {
        self.cluster.url(name)
    }

    pub(crate) async fn connect(&self, name: &str) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.url(name), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub(crate) fn socket_directory(&self) -> &Path {
        self.cluster.endpoint().socket_directory()
    }

    /// The path of one of its programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.cluster.binaries().directory().join(name)
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> Result<String> {
        let path = self.cluster.directory().join("postgres.log");
        let log = fs::read(&path).with_context(|| path.display().to_string())?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    /// Stops it and removes its data.
    pub(crate) async fn stop(self) -> Result<()> {
        self.cluster.stop().await?;
        self.directory.close()?;
        Ok(())
    }
}

/// The first value that a query returns, as text.
pub(crate) async fn value(client: &Client, query: &str) -> Result<String> {
    let messages = client.simple_query(query).await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    });
    row.with_context(|| format!("no rows: {query}"))
}
