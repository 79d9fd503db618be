//! Black-box tests of the real `usher` binary: started as an operator would start it,
//! asked over HTTP, on a real Postgres.
//!
//! Most of what Usher promises is in `recordings`: exchanges with the reference server,
//! which Usher has to answer alike. `tests/recordings.rs` replays them. What they cannot
//! show, such as restarts, several replicas and attacks, has tests of its own there.
//!
//! This crate does not test what a smaller test can: a rule is tested in `domain`, a
//! handler on mocks in `api`, a query in `postgres`. It knows the server from outside
//! only, as any client does.
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
//! let answer = server.send(&Request::new("GET", "/api/v2/users/first")).await?;
//! assert_eq!(answer.status, 404);
//! # Ok(())
//! # }
//! ```
//!
//! [`Setup`](server::Setup) changes settings and puts several servers on one database.
//! To have one more recording replayed, put its file into `recordings`. Where people come from
//! elsewhere, `usher_fake_provider` is the GitHub or OpenID provider that they come from.

pub mod binary;
pub mod browser;
pub mod comparing;
pub mod cookie_browser;
pub mod database;
pub mod deployment;
pub mod exchange;
pub mod reading;
pub mod recording;
pub mod replay;
pub mod routes;
pub mod server;
pub mod variables;
