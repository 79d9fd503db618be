//! Services built on Usher's crates, one in each file of `bin`.
//!
//! `own_routes` serves the API and a route of its own:
//!
//! ```sh
//! cargo run -p usher-examples --bin own_routes
//! curl http://127.0.0.1:3000/hello
//! curl http://127.0.0.1:3000/api/v2/users/first
//! ```
//!
//! `who_is_it` prints, without HTTP, the user that a token belongs to and what they may do. It
//! uses the same database, also while the other runs:
//!
//! ```sh
//! USHER_TOKEN=… cargo run -p usher-examples --bin who_is_it
//! ```
//!
//! This library opens the database that they share.

use std::{env, path::PathBuf};

use anyhow::Context as _;
use usher_local_postgres::{Cluster, Options};
use usher_postgres::{PgOptions, PgStore};

/// A database with Usher's schema: the one of `USHER_PG_CONNECTION_URL`, or one in a private
/// Postgres in the directory for temporary files.
#[derive(Debug)]
pub struct Database {
    /// Implements the storage traits.
    pub store: PgStore,
    cluster: Option<Cluster>,
}

impl Database {
    /// Opens or creates the database, and migrates it.
    pub async fn open() -> anyhow::Result<Self> {
        let (url, cluster) = match env::var("USHER_PG_CONNECTION_URL") {
            Ok(url) => (url, None),
            Err(_) => private().await?,
        };
        usher_postgres::migrate(&url)
            .await
            .context("could not migrate the database")?;
        let store = PgStore::connect(PgOptions::new(url)).await?;
        Ok(Self { store, cluster })
    }

    /// Stops the private Postgres, if there is one.
    pub async fn close(self) -> anyhow::Result<()> {
        if let Some(cluster) = self.cluster {
            cluster.stop().await?;
        }
        Ok(())
    }
}

/// The URL of a database in a private Postgres, and the Postgres unless another example runs
/// it.
async fn private() -> anyhow::Result<(String, Option<Cluster>)> {
    const NAME: &str = "usher";
    let directory: PathBuf = env::temp_dir().join("usher-examples").join("postgres");
    if let Some(endpoint) = Cluster::running(&directory) {
        return Ok((endpoint.url(NAME), None));
    }
    let cluster = Cluster::open(Options::new(directory))
        .await
        .context("could not start Postgres; set USHER_PG_CONNECTION_URL to use another")?;
    cluster.ensure_database(NAME).await?;
    Ok((cluster.url(NAME), Some(cluster)))
}
