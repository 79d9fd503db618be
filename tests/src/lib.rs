//! Black-box tests of the `usher` binary: started as an operator starts it, called over
//! HTTP, on a real Postgres.
//!
//! Most of Usher's behavior is specified by `recordings`: exchanges with the reference
//! server, which Usher must reproduce. `tests/recordings.rs` replays them. Restarts, several
//! replicas, attacks and the like have tests of their own in `tests/`.
//!
//! This crate does not test what a smaller test can: rules are tested in `domain`, handlers
//! on mocks in `api`, and queries in `postgres`. It uses the server only as a client does.
//!
//! To add a black-box test, write a function in a file of `tests/`:
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use usher_tests::exchange::Request;
//! use usher_tests::server::Server;
//!
//! let mut server = Server::start().await?; // on a fresh database
//! server.restart().await?;
//! let response = server.send(&Request::new("GET", "/api/v2/users/first")).await?;
//! assert_eq!(response.status, 404);
//! # Ok(())
//! # }
//! ```
//!
//! [`Setup`](server::Setup) changes settings and starts several servers on one database.
//! A recording is replayed once its file is in `recordings`. `usher_fake_provider` is a fake
//! GitHub and OpenID provider, and `usher_test_browser` drives a real browser.

pub mod binary;
pub mod compare;
pub mod cookie_browser;
pub mod database;
pub mod deployment;
pub mod exchange;
pub mod normalize;
pub mod recording;
pub mod replay;
pub mod routes;
pub mod server;
pub mod variables;
