//! The errors of a store.

use std::error::Error;

use usher_domain::user_change::ConcurrentModification;

/// Why a store call failed, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The change would break a rule that only the store can check.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The store is unreachable or out of capacity. Retrying may succeed.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// An unexpected failure: a bug in the code or corrupt data.
    #[error("the store failed")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

/// A rule that a change would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A live user has the username, or it is the identifier of another user.
    #[error("the username is taken")]
    Username,
    /// A live user has the e-mail address.
    #[error("the e-mail address is taken")]
    Email,
    /// A user already exists.
    #[error("the first user exists")]
    FirstUserExists,
    /// A live organization has the name.
    #[error("the organization's name is taken")]
    OrganizationName,
    /// An organization does not exist or is deleted.
    #[error("the organization does not exist")]
    NoSuchOrganization,
    /// The default organization cannot be deleted.
    #[error("the default organization cannot be deleted")]
    DefaultOrganization,
    /// The organization still has other members than the caller.
    #[error("the organization still has members")]
    OrganizationNotEmpty,
    /// The user is already a member of the organization.
    #[error("the user is already a member")]
    AlreadyMember,
    /// The user already has a token of that name.
    #[error("the token name is taken")]
    TokenName,
    /// The notification template does not exist.
    #[error("the notification template does not exist")]
    NoSuchTemplate,
    /// The user does not exist or is deleted.
    #[error("the user was deleted")]
    UserDeleted,
    /// No active owner would be left.
    #[error("the last active owner must stay")]
    LastOwner,
    /// The caller's key or the caller is no longer valid, or the password that a sign-in was
    /// checked against has changed.
    #[error("the credential is no longer valid")]
    StaleCredential,
    /// The target was modified concurrently, so that the change is no longer allowed.
    #[error("the target was modified concurrently")]
    ConcurrentModification,
}

impl From<ConcurrentModification> for Conflict {
    fn from(_: ConcurrentModification) -> Self {
        Self::ConcurrentModification
    }
}
