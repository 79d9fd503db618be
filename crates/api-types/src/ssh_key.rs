//! Users' SSH keys for Git.

use serde::{Deserialize, Serialize};
use usher_domain::ssh_key::SshPublicKey;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Timestamp;

/// A user's public SSH key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GitSshKey {
    /// The user it belongs to.
    pub user_id: Uuid,
    /// When the user's first key pair was created.
    pub created_at: Timestamp,
    /// When this key pair was created.
    pub updated_at: Timestamp,
    /// The line of `authorized_keys`, with a trailing newline.
    pub public_key: String,
}

impl From<SshPublicKey> for GitSshKey {
    fn from(key: SshPublicKey) -> Self {
        Self {
            user_id: key.user_id.0,
            created_at: key.created_at.into(),
            updated_at: key.updated_at.into(),
            public_key: key.public_key,
        }
    }
}
