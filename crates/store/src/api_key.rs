//! Stores API keys: CLI sessions and long-lived tokens.

use std::net::IpAddr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use usher_domain::{
    AllowList, ApiKey, ApiKeyId, AuditContext, LoginType, Scope, TokenName, UserId,
};

use crate::StoreError;

/// Stores API keys: CLI sessions and long-lived tokens.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ApiKeyStore: Send + Sync {
    /// Returns the key of any user.
    async fn find_key(&self, key: &ApiKeyId) -> Result<Option<ApiKey>, StoreError>;

    /// Returns the user's key with exactly this non-empty name.
    async fn find_key_by_name(
        &self,
        user: UserId,
        name: &TokenName,
    ) -> Result<Option<ApiKey>, StoreError>;

    /// Returns the tokens, including expired ones, with their users' usernames, ordered
    /// by creation time.
    async fn list_tokens(&self, filter: KeyFilter) -> Result<Vec<(ApiKey, String)>, StoreError>;

    /// Creates the key.
    ///
    /// # Errors
    ///
    /// [`Conflict::TokenName`](crate::Conflict::TokenName),
    /// [`Conflict::UserDeleted`](crate::Conflict::UserDeleted), and
    /// [`Conflict::StaleCredential`](crate::Conflict::StaleCredential) if the caller's
    /// own key was revoked in the meantime.
    async fn create_key(&self, key: NewApiKey, by: &AuditContext) -> Result<(), StoreError>;

    /// Deletes the key. `None` if it does not exist; of several concurrent calls only one
    /// succeeds.
    async fn delete_key(&self, key: &ApiKeyId, by: &AuditContext)
    -> Result<Option<()>, StoreError>;
}

/// Which tokens a list contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFilter {
    /// Those of one user.
    Of(UserId),
    /// Those of all users.
    All,
}

/// A key to create.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// The ID.
    pub id: ApiKeyId,
    /// The SHA-256 digest of its secret.
    pub hashed_secret: [u8; 32],
    /// The user it belongs to.
    pub user_id: UserId,
    /// How it is created.
    pub login_type: LoginType,
    /// Its name; empty for sessions.
    pub token_name: TokenName,
    /// Its scopes.
    pub scopes: Vec<Scope>,
    /// The objects it may access.
    pub allow_list: AllowList,
    /// Its lifetime, in seconds.
    pub lifetime_seconds: i64,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// When it is created.
    pub created_at: DateTime<Utc>,
    /// The client's IP address, if creating the key counts as its first use.
    pub ip: Option<IpAddr>,
}
