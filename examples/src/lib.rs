//! Services of one's own on the crates of Usher, one in each file of `bin`.
//!
//! `own_routes` serves the whole API beside a route of its own:
//!
//! ```sh
//! cargo run -p usher-examples --bin own_routes
//! curl http://127.0.0.1:3000/hello
//! curl http://127.0.0.1:3000/api/v2/users/first
//! ```
//!
//! `who_is_it` tells, without HTTP, who a token belongs to and what they may do. Both use
//! the same database, and it may run while the other does:
//!
//! ```sh
//! USHER_TOKEN=… cargo run -p usher-examples --bin who_is_it
//! ```
//!
//! This library is what they share, a database.

use std::{env, path::PathBuf};

use anyhow::Context as _;
use usher_local_postgres::{Cluster, Options};
use usher_postgres::{PgOptions, PgStore};

/// A database with the schema of Usher: the one that `USHER_PG_CONNECTION_URL` names, or
/// else one in a Postgres of our own, in a directory for temporary files.
#[derive(Debug)]
pub struct Database {
    /// The storage traits on it.
    pub store: PgStore,
    cluster: Option<Cluster>,
}

impl Database {
    /// Finds the database or makes it, and migrates it.
    pub async fn open() -> anyhow::Result<Self> {
        let (url, cluster) = match env::var("USHER_PG_CONNECTION_URL") {
            Ok(url) => (url, None),
            Err(_) => private().await?,
        };
        usher_postgres::migrate(&url)
            .await
            .context("the database cannot be migrated")?;
        let store = PgStore::connect(PgOptions::new(url)).await?;
        Ok(Self { store, cluster })
    }

    /// Stops the Postgres that was started for it.
    pub async fn close(self) -> anyhow::Result<()> {
        if let Some(cluster) = self.cluster {
            cluster.stop().await?;
        }
        Ok(())
    }
}

/// The URL of a database in a Postgres of our own, and that Postgres unless another
/// example runs it.
async fn private() -> anyhow::Result<(String, Option<Cluster>)> {
    const NAME: &str = "usher";
    let directory: PathBuf = env::temp_dir().join("usher-examples").join("postgres");
    if let Some(endpoint) = Cluster::running(&directory) {
        return Ok((endpoint.url(NAME), None));
    }
    let cluster = Cluster::open(Options::new(directory))
        .await
        .context("no Postgres could be started; USHER_PG_CONNECTION_URL names another")?;
    cluster.ensure_database(NAME).await?;
    Ok((cluster.url(NAME), Some(cluster)))
}
