//! Why a store could not do what was asked.

use std::error::Error;

/// Why a store could not do what was asked, told by what a caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The change would break a rule that only the store can see.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The store cannot be reached or has no capacity. Worth another attempt.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// Anything else: a fault of the code or the data.
    #[error("the store failed")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

/// A rule of the data that a change would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A live user has the username, or its 32 digits are somebody's identifier.
    #[error("the username is taken")]
    Username,
    /// A live user has the address.
    #[error("the email address is taken")]
    Email,
    /// There is a user already.
    #[error("the first user exists")]
    FirstUserExists,
    /// A live organization has the name.
    #[error("the organization's name is taken")]
    OrganizationName,
    /// An organization does not exist or was deleted.
    #[error("the organization does not exist")]
    NoSuchOrganization,
    /// The organization is the default one, which cannot be deleted.
    #[error("the default organization cannot be deleted")]
    DefaultOrganization,
    /// The organization still has a member besides the one who deletes it.
    #[error("the organization still has members")]
    OrganizationNotEmpty,
    /// The user is a member of the organization already.
    #[error("the user is already a member")]
    AlreadyMember,
    /// The user has a token of that name.
    #[error("the token name is taken")]
    TokenName,
    /// There is no notification template of that identifier.
    #[error("the notification template does not exist")]
    NoSuchTemplate,
    /// The user was deleted.
    #[error("the user was deleted")]
    UserDeleted,
    /// Nobody would be left who is an active owner.
    #[error("the last active owner must stay")]
    LastOwner,
    /// The key that the request came with has ended meanwhile, its user may not act any
    /// more, or the password that a sign-in was checked against is not the stored one now.
    #[error("the credential is no longer valid")]
    StaleCredential,
    /// The target has changed meanwhile so that the change is not allowed any more.
    #[error("the target has changed meanwhile")]
    ConcurrentModification,
}
