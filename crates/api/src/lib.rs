//! The users API over HTTP, as an axum router over the storage traits of `usher-store`.
//!
//! Each resource has a file named after it. Handlers extract, validate, authorize, call the
//! store once and respond, or follow another order where the API specifies one. They know only
//! traits, so their tests run on mocks.
//!
//! ```no_run
//! # fn state() -> usher_api::AppState { unimplemented!() }
//! let app: axum::Router = usher_api::router(state());
//! ```
//!
//! To add an endpoint, write its handler with `#[utoipa::path]` in the file of its resource, and
//! add it to the `routes` of that resource. A route must be in the OpenAPI document, and needs a
//! credential unless it is declared `.public()`.

mod access;
pub mod audit;
mod audit_context;
mod authentication;
pub mod authorization;
mod body;
mod caller;
mod cookies;
mod credential;
mod csrf;
pub mod deployment;
mod envelope;
mod error;
pub mod hashing;
mod issuing;
mod json;
pub mod limits;
pub mod notifications;
mod openapi;
pub mod organizations;
mod password;
mod paths;
mod query;
pub mod renewal;
mod request;
mod role_lists;
mod router;
mod routes;
pub mod sessions;
mod ssh_keys;
mod state;
mod target;
pub mod users;

pub use access::require_caller;
pub use audit_context::Audit;
pub use body::RequestBody;
pub use caller::Caller;
pub use csrf::CsrfToken;
pub use error::ApiError;
pub use json::Json;
pub use query::QueryParameters;
pub use request::RequestFacts;
pub use router::{openapi, router, router_with_pages};
pub use sessions::providers::{Provider, Providers};
pub use state::{AppParts, AppState, SameSite, Settings, Store};
pub use target::{TargetOrganization, TargetUser};
