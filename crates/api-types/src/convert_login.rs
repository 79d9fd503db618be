//! Changing how one signs in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Secret, Timestamp};

/// A change of the way to sign in, proved by the password.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ConvertLoginRequest {
    /// The new way: `github` or `oidc`.
    pub to_type: String,
    /// The password.
    pub password: Secret,
}

/// A change that is waiting for the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OAuthConversionResponse {
    /// What the callback of the provider is to be opened with, as `oidc_merge_state`.
    pub state_string: String,
    /// Until when.
    pub expires_at: Timestamp,
    /// The new way.
    pub to_type: String,
    /// Whose way it is.
    pub user_id: Uuid,
}
