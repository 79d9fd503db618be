//! Users' SSH key pairs.

use async_trait::async_trait;
use usher_domain::{
    AuditContext, UserId,
    ssh_key::{SshKeyPair, SshPublicKey},
};

use crate::StoreError;

/// Stores the users' SSH key pairs. Private keys are never returned.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SshKeyStore: Send + Sync {
    /// Returns the public key. System accounts have none.
    async fn find_ssh_key(&self, user: UserId) -> Result<Option<SshPublicKey>, StoreError>;

    /// Replaces the key pair. `None` if the user has none.
    async fn set_ssh_key(
        &self,
        user: UserId,
        pair: SshKeyPair,
        by: &AuditContext,
    ) -> Result<Option<SshPublicKey>, StoreError>;
}
