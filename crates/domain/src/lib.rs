//! What users, organizations, roles and keys *are*, and which rules they obey.
//!
//! Pure: no I/O, no async, no clock and no randomness of its own; times and random
//! bytes come in as arguments, so that every rule is tested without sleeping. It knows
//! neither JSON bodies nor SQL: the wire lives in `usher-api-types`, rows in
//! `usher-postgres`.
//!
//! Text from outside becomes a type that cannot hold a bad value ([`Username`],
//! [`Email`], [`Password`], …); [`policy`] decides who may do what from constant tables.
//!
//! To add a rule, find the file that is named after the thing that it is about.

pub mod allow_list;
pub mod api_key;
pub mod audit;
pub mod audit_filter;
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
pub mod ssh_key;
pub mod time;
pub mod user;
pub mod user_filter;
pub mod username;
pub mod validation;

pub use allow_list::{AllowEntry, AllowList};
pub use api_key::{ApiKey, ApiKeyId, ApiKeySecret, ApiToken, TokenName};
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
