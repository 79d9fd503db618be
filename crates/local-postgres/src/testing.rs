//! Databases for tests.
//!
//! A test process has one cluster, which the first test starts and which stops with the process,
//! even if that is killed. Each test has its own database, a copy of a template that is created
//! once.
//!
//! ```no_run
//! # async fn example() {
//! use usher_local_postgres::testing::TestCluster;
//!
//! let database = TestCluster::shared()
//!     .await
//!     .database_from_template("migrated", async |url| {
//!         // run the migrations on `url`
//! #       let _ = url;
//!     })
//!     .await;
//! let url = database.url(); // dropped with `database`
//! # }
//! ```
//!
//! `USHER_POSTGRES_BIN_DIR` sets the directory of the Postgres programs, as for the server.
//!
//! Everything here panics on errors: a test cannot run without its database.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::cluster::Mode;
use crate::{Cluster, Endpoint, Options};

/// A cluster for tests.
#[derive(Debug)]
pub struct TestCluster {
    cluster: Cluster,
    templates: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
    databases: AtomicU32,
    discarded: Sender<String>,
}

impl TestCluster {
    /// Returns the cluster of this process; the first call starts it.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<TestCluster> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Starts a separate cluster in a temporary directory.
    pub async fn start() -> Self {
        let mut options = Options::new(temporary_directory());
        options.mode = Mode::Disposable;
        use_test_binaries(&mut options);
        let cluster = Cluster::open(options)
            .await
            .unwrap_or_else(|error| panic!("cannot start Postgres for tests: {error} ({error:?})"));
        let (discarded, receiver) = mpsc::channel();
        let endpoint = cluster.endpoint().clone();
        std::thread::spawn(move || drop_discarded(&receiver, &endpoint));
        Self {
            cluster,
            templates: Mutex::default(),
            databases: AtomicU32::new(0),
            discarded,
        }
    }

    /// The cluster itself.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Creates an empty database.
    pub async fn database(&self) -> TestDatabase {
        self.copy(None).await
    }

    /// Creates a database as a copy of the template of that name. The first call of the process
    /// creates the template by calling `prepare` with its URL; other calls wait for it.
    pub async fn database_from_template<Prepare, Prepared>(
        &self,
        template: &str,
        prepare: Prepare,
    ) -> TestDatabase
    where
        Prepare: FnOnce(String) -> Prepared,
        Prepared: Future<Output = ()>,
    {
        let prepared = self
            .templates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(template.to_owned())
            .or_default()
            .clone();
        let name = format!("template_{template}");
        prepared
            .get_or_init(|| async {
                let endpoint = self.cluster.endpoint();
                let fail = |error| panic!("could not create the template: {error:?}");
                // It exists already if `prepare` panicked in another test.
                endpoint.drop_database(&name).await.unwrap_or_else(fail);
                endpoint
                    .create_database(&name, None)
                    .await
                    .unwrap_or_else(fail);
                prepare(endpoint.url(&name)).await;
                endpoint.close_template(&name).await.unwrap_or_else(fail);
            })
            .await;
        self.copy(Some(&name)).await
    }

    /// Stops and removes the cluster. The shared one is stopped automatically.
    pub async fn stop(self) {
        if let Err(error) = self.cluster.stop().await {
            panic!("{error:?}");
        }
    }

    async fn copy(&self, template: Option<&str>) -> TestDatabase {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.cluster
            .create_database(&name, template)
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
        TestDatabase {
            url: self.cluster.url(&name),
            name,
            discarded: self.discarded.clone(),
        }
    }
}

/// A database of one test, dropped shortly after the value is.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    discarded: Sender<String>,
}

impl TestDatabase {
    /// The name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL to connect to.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let _ = self.discarded.send(std::mem::take(&mut self.name));
    }
}

/// Drops databases, outside of the runtimes of the tests.
fn drop_discarded(discarded: &Receiver<String>, endpoint: &Endpoint) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else { return };
    for name in discarded {
        if let Err(error) = runtime.block_on(endpoint.drop_database(&name)) {
            tracing::debug!(?error, "could not drop a test database");
        }
    }
}

/// Uses the configured or installed programs, or else downloaded ones that all test processes of
/// the user share.
pub(crate) fn use_test_binaries(options: &mut Options) {
    options.binaries_directory = std::env::var_os("USHER_POSTGRES_BIN_DIR").map(PathBuf::from);
    let user = rustix::process::geteuid().as_raw();
    let cache = format!("usher-postgres-binaries-{user}");
    options.cache_directory = Some(std::env::temp_dir().join(cache));
}

/// A new directory that the account which runs Postgres can enter. The watchdog of the cluster
/// removes it.
fn temporary_directory() -> PathBuf {
    let parent = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()]
        .into_iter()
        .find(|parent| parent.is_dir() && Cluster::check_directory(parent).is_ok())
        .unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::Builder::new()
        .prefix("usher-test-")
        .tempdir_in(&parent)
        .and_then(|directory| {
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711))?;
            Ok(directory.keep())
        });
    directory.unwrap_or_else(|error| {
        panic!(
            "could not create a directory in {}: {error}",
            parent.display()
        )
    })
}

#[cfg(test)]
mod tests;
