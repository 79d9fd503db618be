//! A private Postgres cluster: found or fetched, started, and stopped with its owner.
//!
//! `usher server` without a database URL and every test that needs a database
//! start here. A [`Cluster`] is an ordinary Postgres in a directory of its own,
//! reached through a Unix socket that only its owner may open. The programs are
//! those of the machine; where there are none, a pinned version is fetched once
//! ([`Binaries`]). Started by root, Postgres runs as an unprivileged account.
//!
//! What it promises:
//!
//! - Data is kept. Nothing here deletes a cluster, except one made for tests.
//! - One owner at a time. The directory is locked; a second owner is told so.
//! - Postgres does not outlive its owner. [`Cluster::stop`] is the orderly way; a
//!   small watchdog process stops Postgres when the owner dies without it, even by
//!   `kill -9`. A Postgres that lives on all the same is stopped by the next start.
//! - Ctrl-C reaches the owner only, who may drain before stopping Postgres.
//!   (Under systemd that takes `KillMode=mixed`.)
//!
//! What it deliberately does not do: upgrade a cluster between major versions,
//! back it up, listen on the network, or know anything of users and migrations.
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
//! Tests take a database of their own from [`testing::TestCluster`].

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
