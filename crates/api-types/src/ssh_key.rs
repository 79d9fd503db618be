//! The SSH key pair of each user, for Git.

use serde::{Deserialize, Serialize};
use usher_domain::ssh_key::SshPublicKey;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Timestamp;

/// The public half of a user's key pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GitSshKey {
    /// Whose it is.
    pub user_id: Uuid,
    /// When the user got their first pair.
    pub created_at: Timestamp,
    /// When this pair was made.
    pub updated_at: Timestamp,
    /// The line of `authorized_keys`, with its line end.
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
