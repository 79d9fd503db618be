//! What must be kept: one storage trait for each aggregate.
//!
//! The traits are object-safe and speak only types of `usher-domain`. One method is one
//! whole change and one transaction: it happens altogether or not at all, with its audit
//! row, and a handler never holds a transaction. What a change depends on is decided by
//! the store, under its own locks and constraints, never by a look beforehand.
//!
//! A row that is not there is `None`, on reads and on writes; an `Err` is a
//! [`StoreError`], whose [`Conflict`] says which rule of the data a change would break.
//!
//! With the feature `mock` every trait has a mock (`MockUserStore`, …).
//!
//! To add an operation: give it a name that carries its noun (`find_`, `list_`,
//! `create_`, `set_`, `delete_`, `consume_`), say here what stands or falls together, and
//! write it in the file of the same name in `usher-postgres`.

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
pub use session::{Credential, LinkState, PasswordAccount, Refusal, SessionStore, Verified};
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
