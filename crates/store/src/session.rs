//! Who a credential stands for, signing in and signing out.

use std::net::IpAddr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use usher_domain::{
    ApiKey, ApiKeyId, Email, Initiator, Membership, PasswordHash, User, UserId, api_key::Touch,
};

use crate::{NewApiKey, StoreError};

/// Who a credential stands for, signing in and signing out.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// The key with its user and all that decides what they may do, in one read.
    async fn find_credential(&self, key: &ApiKeyId) -> Result<Option<Credential>, StoreError>;

    /// Writes down that a key was used: what `touch` says of the key, and that its user
    /// was seen.
    async fn touch_key(
        &self,
        key: &ApiKeyId,
        touch: Touch,
        ip: Option<IpAddr>,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// Makes a dormant user active, with the audit row of the system. A user who is not
    /// dormant any more stays as they are: a suspension is never lost. Returns the user
    /// as they are now.
    async fn wake_user(&self, user: UserId, at: DateTime<Utc>) -> Result<Option<User>, StoreError>;

    /// The live user with the address, with what a password is checked against.
    async fn find_password_account(
        &self,
        email: &Email,
    ) -> Result<Option<PasswordAccount>, StoreError>;

    /// Signs in: wakes a dormant user and makes the key, with the audit rows. `checked`
    /// is the hash that the password matched; `rehashed` replaces it, if given.
    ///
    /// # Errors
    ///
    /// [`Conflict::StaleCredential`](crate::Conflict::StaleCredential) if that hash is not
    /// the stored one any more, or the user was suspended or deleted.
    async fn log_in(
        &self,
        key: NewApiKey,
        checked: PasswordHash,
        rehashed: Option<PasswordHash>,
        by: &Initiator,
    ) -> Result<(), StoreError>;

    /// Signs out: ends the key, and all keys of its user that connect to applications.
    /// `None` if the key is gone.
    async fn log_out(&self, key: &ApiKeyId, by: &Initiator) -> Result<Option<()>, StoreError>;
}

/// A key, and all that decides what a request with it may do.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The SHA-256 digest of the key's secret.
    pub hashed_secret: Vec<u8>,
    /// The key.
    pub key: ApiKey,
    /// Its user.
    pub user: User,
    /// The user's memberships of live organizations.
    pub memberships: Vec<Membership>,
    /// The user's link to the provider that the key came from.
    pub link: LinkState,
}

/// A user's link to the provider that their key came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The key did not come from a provider.
    NotNeeded,
    /// There is none any more.
    Missing,
    /// There is one, whose access ends then; `None` is never.
    Linked(Option<DateTime<Utc>>),
}

/// A user with what a password is checked against.
#[derive(Clone, Debug)]
pub struct PasswordAccount {
    /// The user.
    pub user: User,
    /// The stored hash; [`PasswordHash::none`] if they have no password.
    pub password: PasswordHash,
    /// The stored hash of a pending one-time passcode, and its end.
    pub passcode: Option<(PasswordHash, DateTime<Utc>)>,
}
