//! Authenticating requests, signing in and signing out.

use std::net::IpAddr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use usher_domain::{ApiKeyId, AuditContext, Email, PasswordHash, User, UserId, api_key::Touch};

pub use usher_domain::credential::{Credential, LinkState, PasswordAccount};

use crate::{NewApiKey, StoreError};

/// Authenticates requests, and signs users in and out.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Returns the key with its user and everything that decides what they may do, read in one
    /// statement.
    async fn find_credential(&self, key: &ApiKeyId) -> Result<Option<Credential>, StoreError>;

    /// Records a use of the key: what `touch` says about the key, and when its user was last
    /// seen.
    async fn touch_key(
        &self,
        key: &ApiKeyId,
        touch: Touch,
        ip: Option<IpAddr>,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// Activates the user if they are still dormant, with an audit row of the system, and
    /// returns them as they are then.
    async fn activate_user(
        &self,
        user: UserId,
        at: DateTime<Utc>,
    ) -> Result<Option<User>, StoreError>;

    /// Returns the live user with the e-mail address, with the hashes that a password is
    /// checked against.
    async fn find_password_account(
        &self,
        email: &Email,
    ) -> Result<Option<PasswordAccount>, StoreError>;

    /// Signs in: activates a dormant user and creates the key, with the audit rows. `checked`
    /// is the hash that the password matched; `rehashed` replaces it, if given.
    ///
    /// # Errors
    ///
    /// [`Conflict::StaleCredential`](crate::Conflict::StaleCredential) if `checked` is no
    /// longer the stored hash, or the user was suspended or deleted.
    async fn log_in(
        &self,
        key: NewApiKey,
        checked: PasswordHash,
        rehashed: Option<PasswordHash>,
        by: &AuditContext,
    ) -> Result<(), StoreError>;

    /// Signs out: deletes the key and all keys of its user that connect to applications.
    /// Returns `None` if the key does not exist.
    async fn log_out(&self, key: &ApiKeyId, by: &AuditContext) -> Result<Option<()>, StoreError>;
}
