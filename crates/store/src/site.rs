//! Stores properties of the deployment.

use async_trait::async_trait;
use uuid::Uuid;

use crate::StoreError;

/// Stores properties of the deployment.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SiteStore: Send + Sync {
    /// Returns the deployment's ID, generated when its database was created.
    async fn deployment_id(&self) -> Result<Uuid, StoreError>;

    /// Checks that the store is reachable.
    async fn ping(&self) -> Result<(), StoreError>;
}
