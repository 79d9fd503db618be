//! The domain model: users, organizations, roles and API keys, and the rules that apply
//! to them.
//!
//! Pure functions and types: no I/O and no async. Times and random bytes are arguments,
//! so tests need not sleep. JSON bodies are in `usher-api-types`, SQL is in
//! `usher-postgres`.
//!
//! Input is parsed into types that cannot hold invalid values ([`Username`], [`Email`],
//! [`Password`], …). [`policy`] authorizes requests from constant tables.
//!
//! Each file is named after the resource that its rules are about.

pub mod allow_list;
pub mod api_key;
pub mod audit;
pub mod audit_filter;
pub mod credential;
pub mod error_chain;
pub mod external_login;
pub mod id;
pub mod initiator;
pub mod notification;
pub mod organization;
pub mod page;
pub mod password;
pub mod password_hash;
pub mod policy;
pub mod random;
pub mod resource;
pub mod role;
pub mod scope;
pub mod search;
pub mod settings;
pub mod sign_in;
pub mod ssh_key;
pub mod time;
pub mod user;
pub mod user_change;
pub mod user_filter;
pub mod username;
pub mod validation;

#[cfg(test)]
mod testing;

pub use allow_list::{AllowEntry, AllowList};
pub use api_key::{ApiKey, ApiKeyId, ApiKeySecret, ApiToken, TokenName};
pub use credential::{Credential, CredentialError, VerifiedCredential};
pub use id::{OrganizationId, RequestId, UserId};
pub use initiator::{AuditContext, Initiator};
pub use organization::{Membership, Organization, OrganizationName};
pub use page::{Listing, Page};
pub use password::Password;
pub use password_hash::PasswordHash;
pub use policy::{Actor, Object};
pub use resource::{Action, Resource};
pub use role::{OrganizationRole, SiteRole};
pub use scope::Scope;
pub use user::{DisplayName, Email, LoginType, User, UserStatus, Username};
pub use user_filter::UserFilter;
pub use validation::{FieldError, Invalid, Violations};
