//! API keys: sessions of the command line and long-lived tokens.

use std::net::IpAddr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use usher_domain::{
    AllowList, ApiKey, ApiKeyId, AuditContext, LoginType, Scope, TokenName, UserId,
};

use crate::StoreError;

/// API keys: sessions of the command line and long-lived tokens.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ApiKeyStore: Send + Sync {
    /// The key, whoever's it is.
    async fn find_key(&self, key: &ApiKeyId) -> Result<Option<ApiKey>, StoreError>;

    /// The user's key of that exact, non-empty name.
    async fn find_key_by_name(
        &self,
        user: UserId,
        name: &TokenName,
    ) -> Result<Option<ApiKey>, StoreError>;

    /// The tokens, ended ones included, each with the username of its user, in the order
    /// of their making.
    async fn list_tokens(&self, filter: KeyFilter) -> Result<Vec<(ApiKey, String)>, StoreError>;

    /// Makes the key.
    ///
    /// # Errors
    ///
    /// [`Conflict::TokenName`](crate::Conflict::TokenName),
    /// [`Conflict::UserDeleted`](crate::Conflict::UserDeleted), and
    /// [`Conflict::StaleCredential`](crate::Conflict::StaleCredential) if the key that it
    /// is asked for with has ended meanwhile.
    async fn create_key(&self, key: NewApiKey, by: &AuditContext) -> Result<(), StoreError>;

    /// Ends the key. `None` if it is gone: of several callers at once, one ends it.
    async fn delete_key(&self, key: &ApiKeyId, by: &AuditContext)
    -> Result<Option<()>, StoreError>;
}

/// Whose tokens a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFilter {
    /// One user's.
    Of(UserId),
    /// Everybody's.
    All,
}

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// The identifier.
    pub id: ApiKeyId,
    /// The SHA-256 digest of its secret.
    pub hashed_secret: [u8; 32],
    /// Whose it is.
    pub user_id: UserId,
    /// How it comes to be.
    pub login_type: LoginType,
    /// Its name; empty for sessions.
    pub token_name: TokenName,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// What it may touch.
    pub allow_list: AllowList,
    /// How long it lives, in seconds.
    pub lifetime_seconds: i64,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it is made.
    pub created_at: DateTime<Utc>,
    /// The address of its first use, if it is used from the start.
    pub ip: Option<IpAddr>,
}
