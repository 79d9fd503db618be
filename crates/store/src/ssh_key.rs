//! The SSH key pair of each user.

use async_trait::async_trait;
use usher_domain::{
    AuditContext, UserId,
    ssh_key::{SshKeyPair, SshPublicKey},
};

use crate::StoreError;

/// The SSH key pair of each user. Only its public half is read here.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SshKeyStore: Send + Sync {
    /// The public half; accounts of the system have none.
    async fn find_ssh_key(&self, user: UserId) -> Result<Option<SshPublicKey>, StoreError>;

    /// Replaces both halves. `None` if the user had none.
    async fn set_ssh_key(
        &self,
        user: UserId,
        pair: SshKeyPair,
        by: &AuditContext,
    ) -> Result<Option<SshPublicKey>, StoreError>;
}
