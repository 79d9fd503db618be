//! The values that a user last gave to parameters of templates, to be offered again.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use usher_domain::UserId;
use uuid::Uuid;

use crate::StoreError;

/// The greatest number of values that are offered.
pub const MAX_BUILD_PARAMETERS: i64 = 100;

/// The values that a user last gave to parameters of templates, to be offered again.
///
/// The users service only reads them. Whatever starts builds beside it writes them, and
/// leaves out those that must not be kept.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait BuildParameterStore: Send + Sync {
    /// The newest value of each parameter, newest first and then by name, at most
    /// [`MAX_BUILD_PARAMETERS`].
    async fn list_build_parameters(
        &self,
        user: UserId,
        template: Uuid,
    ) -> Result<Vec<BuildParameter>, StoreError>;

    /// Keeps the values of one build over earlier ones of the same names.
    async fn set_build_parameters(
        &self,
        user: UserId,
        template: Uuid,
        parameters: &[BuildParameter],
        used_at: DateTime<Utc>,
    ) -> Result<(), StoreError>;
}

/// A parameter with the value that it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildParameter {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}
