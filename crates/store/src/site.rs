//! What is kept of the deployment as a whole.

use async_trait::async_trait;
use uuid::Uuid;

use crate::StoreError;

/// What is kept of the deployment as a whole.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SiteStore: Send + Sync {
    /// The identifier of the deployment, made with its database.
    async fn deployment_id(&self) -> Result<Uuid, StoreError>;

    /// Whether the store can be reached.
    async fn ping(&self) -> Result<(), StoreError>;
}
