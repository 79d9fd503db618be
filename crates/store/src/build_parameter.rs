//! Stores the values that users last gave to template parameters, for autofill.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use usher_domain::UserId;
use uuid::Uuid;

use crate::StoreError;

/// The maximum number of values returned.
pub const MAX_BUILD_PARAMETERS: i64 = 100;

/// Stores the values that users last gave to template parameters, for autofill.
///
/// The users service only reads them. Other services write them and leave out ephemeral
/// ones.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait BuildParameterStore: Send + Sync {
    /// Returns the latest value of each parameter, newest first and then by name, at most
    /// [`MAX_BUILD_PARAMETERS`].
    async fn list_build_parameters(
        &self,
        user: UserId,
        template: Uuid,
    ) -> Result<Vec<BuildParameter>, StoreError>;

    /// Stores the values of one build, replacing earlier ones of the same names.
    async fn set_build_parameters(
        &self,
        user: UserId,
        template: Uuid,
        parameters: &[BuildParameter],
        used_at: DateTime<Utc>,
    ) -> Result<(), StoreError>;
}

/// A parameter and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildParameter {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}
