//! Runs a private local Postgres cluster.
//!
//! `usher server` without a database URL and every test that needs a database use it. A
//! [`Cluster`] is an ordinary Postgres in its own directory, on a Unix socket that only the
//! owner can open. It runs the installed Postgres programs, or downloads a pinned version if
//! there are none ([`Binaries`]). If the owner is root, Postgres runs as an unprivileged
//! account.
//!
//! Guarantees:
//!
//! - Data is durable. Only clusters created for tests are deleted.
//! - One owner at a time: the directory is locked, and a second owner gets
//!   [`Error::InUse`].
//! - Postgres does not outlive its owner. [`Cluster::stop`] stops it cleanly; a small watchdog
//!   process stops it when the owner dies, even by `kill -9`. A Postgres that is left running
//!   nevertheless is stopped by the next start.
//! - Ctrl-C is sent to the owner only, which can finish its work before it stops Postgres.
//!   (Under systemd this requires `KillMode=mixed`.)
//!
//! Out of scope: upgrades between major versions, backups, and listening on the network.
//!
//! ```no_run
//! # async fn example() -> Result<(), usher_local_postgres::Error> {
//! use usher_local_postgres::{Cluster, Options};
//!
//! let cluster = Cluster::open(Options::new("/var/lib/usher/postgres")).await?;
//! cluster.ensure_database("usher").await?;
//! let url = cluster.url("usher"); // for tokio-postgres, diesel-async, psql
//! // …
//! cluster.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`testing::TestCluster`] provides a separate database for each test.

mod account;
mod binaries;
mod cluster;
mod directory;
mod endpoint;
mod error;
mod fetch;
mod postmaster;
pub mod testing;
mod watchdog;

pub use binaries::{Binaries, MINIMUM_MAJOR};
pub use cluster::{Cluster, Options};
pub use endpoint::{Endpoint, SUPERUSER};
pub use error::Error;
pub use fetch::{FETCHED_VERSION, Progress};
