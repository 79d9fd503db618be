//! The storage traits, one for each aggregate.
//!
//! The traits are dyn-compatible and use only types of `usher-domain`. One method is one
//! transaction, including its audit log entry: it commits as a whole or not at all, and
//! handlers hold no transaction. The store checks what a change depends on under its own
//! locks and constraints.
//!
//! A missing row is `None`, on reads and on writes. A [`Conflict`] names the rule that a
//! change would violate.
//!
//! An `# Errors` section lists the conflicts that a method can return. Besides those, every
//! change on behalf of a caller with a key is rejected with [`Conflict::StaleCredential`] if
//! the key or the caller is no longer valid; only signing in, signing out and recording a
//! failure do not depend on it.
//!
//! With the feature `mock` every trait has a mock (`MockUserStore`, …).
//!
//! To add an operation: name it by verb and noun (`find_`, `list_`, `create_`, `set_`,
//! `delete_`, `consume_`), document what is atomic, and implement it in the file of the
//! same name in `usher-postgres`.

mod api_key;
mod audit;
mod build_parameter;
mod error;
mod external_login;
mod notification;
mod organization;
mod session;
mod settings;
mod signing_key;
mod site;
mod ssh_key;
mod user;
mod user_count;

pub use api_key::{ApiKeyStore, KeyFilter, NewApiKey};
pub use audit::{AuditLogStore, AuditQuery, AuditRecord, AuditStore, AuditedOrganization};
pub use build_parameter::{BuildParameter, BuildParameterStore, MAX_BUILD_PARAMETERS};
pub use error::{Conflict, StoreError};
pub use external_login::{
    Conversion, ExternalLogin, ExternalLoginStore, ExternalSignIn, NewExternalUser, RefreshLease,
    SignInOutcome,
};
pub use notification::{
    NotificationStore, OutboxMessage, OutboxStore, RenderedNotification, Subscription,
};
pub use organization::{
    Member, MemberFilter, NewOrganization, OrganizationChange, OrganizationStore,
};
pub use session::{Credential, LinkState, PasswordAccount, SessionStore};
pub use settings::SettingsStore;
pub use signing_key::{
    SIGNING_KEY_AFTERLIFE, SIGNING_KEY_LIFETIME, SigningFeature, SigningKey, SigningKeyStore,
};
pub use site::SiteStore;
pub use ssh_key::SshKeyStore;
pub use user::{
    NewPasscode, NewUser, PasswordChange, ProfileChange, RolesChange, UserListPart, UserListQuery,
    UserListStream, UserLookup, UserStore, Visibility,
};
pub use user_count::{CountDrift, UserCountStore};

#[cfg(feature = "mock")]
pub use self::{
    api_key::MockApiKeyStore,
    audit::{MockAuditLogStore, MockAuditStore},
    build_parameter::MockBuildParameterStore,
    external_login::MockExternalLoginStore,
    notification::{MockNotificationStore, MockOutboxStore},
    organization::MockOrganizationStore,
    session::MockSessionStore,
    settings::MockSettingsStore,
    signing_key::MockSigningKeyStore,
    site::MockSiteStore,
    ssh_key::MockSshKeyStore,
    user::MockUserStore,
    user_count::MockUserCountStore,
};
