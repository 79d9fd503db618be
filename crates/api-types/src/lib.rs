//! The request and response bodies of the users API, with their OpenAPI schemas.
//!
//! One file for each resource. The bodies have no rules; the API parses requests into
//! types of `usher-domain`, which do. Field names, their order, and which fields are
//! omitted when empty are part of the API.
//!
//! Unless documented otherwise, absent, `null` and empty mean the same for a field of a
//! request.

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
