//! The JSON of the users API: request and response bodies, with their OpenAPI schemas.
//!
//! One file for each resource. The bodies hold plain values and no rules; the API turns
//! requests into types of `usher-domain`, which do. Field names, their order, and what is
//! left out when empty are those of the wire, so nothing here is renamed lightly.
//!
//! Every field of a request may be absent, `null`, or empty: all three mean the same.

pub mod api_key;
pub mod audit;
pub mod authorization;
pub mod convert_login;
pub mod deployment;
pub mod notification;
pub mod object;
pub mod organization;
pub mod response;
pub mod role;
pub mod secret;
pub mod session;
pub mod settings;
pub mod ssh_key;
pub mod timestamp;
pub mod user;

pub use response::{Response, ValidationError};
pub use secret::Secret;
pub use timestamp::Timestamp;
