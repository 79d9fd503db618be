//! Converting an account to another login type.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Secret, Timestamp};

/// A request to convert the account, confirmed by the password.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"to_type": "oidc", "password": "SomeSecurePassword!"}))]
pub struct ConvertLoginRequest {
    /// The new login type: `github` or `oidc`.
    pub to_type: String,
    /// The password.
    pub password: Secret,
}

/// A pending conversion, completed by signing in at the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OAuthConversionResponse {
    /// The state to open the provider's callback with, as `oidc_merge_state`.
    pub state_string: String,
    /// When the state expires.
    pub expires_at: Timestamp,
    /// The new login type.
    pub to_type: String,
    /// The user.
    pub user_id: Uuid,
}
