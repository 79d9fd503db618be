//! The clients against providers that run in the test's process.

mod bounds;
mod discovery;
mod github;
mod oidc;
mod refresh;
mod support;
