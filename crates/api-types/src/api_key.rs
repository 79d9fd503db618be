//! API keys and tokens.

use serde::{Deserialize, Serialize};
use usher_domain::{self as domain, Scope};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Secret, Timestamp};

/// A key without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    /// The identifier: ten letters and digits.
    pub id: String,
    /// Whose it is.
    pub user_id: Uuid,
    /// When its use was last written down, which happens about once an hour.
    pub last_used: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed, which use is not.
    pub updated_at: Timestamp,
    /// `password`, `github`, `oidc` or `token`.
    pub login_type: String,
    /// The scope as older clients know it: `all`, `application_connect` or empty.
    pub scope: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// Its name; empty for sessions.
    pub token_name: String,
    /// How long it lives, in seconds.
    pub lifetime_seconds: i64,
    /// What it may touch, as `<type>:<id>`.
    pub allow_list: Vec<String>,
}

impl From<domain::ApiKey> for ApiKey {
    fn from(key: domain::ApiKey) -> Self {
        let scope = if key.scopes.contains(&Scope::APPLICATION_CONNECT) {
            "application_connect"
        } else if key.scopes.contains(&Scope::ALL) {
            "all"
        } else {
            ""
        };
        Self {
            id: key.id.as_str().to_owned(),
            user_id: key.user_id.0,
            last_used: key.last_used.into(),
            expires_at: key.expires_at.into(),
            created_at: key.created_at.into(),
            updated_at: key.updated_at.into(),
            login_type: key.login_type.as_str().to_owned(),
            scope: scope.to_owned(),
            scopes: key.scopes.iter().map(|scope| scope.name()).collect(),
            token_name: key.token_name.as_str().to_owned(),
            lifetime_seconds: key.lifetime_seconds,
            allow_list: key
                .allow_list
                .entries()
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
    }
}

/// A key in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKeyWithOwner {
    /// The key.
    #[serde(flatten)]
    pub key: ApiKey,
    /// The username of its user.
    pub username: String,
}

/// A token to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CreateTokenRequest {
    /// How long it lives, in nanoseconds; 0 is the default of the deployment.
    pub lifetime: i64,
    /// The scope as older clients send it; looked at only without `scopes`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// What it may be used for; none asked for is everything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Its name; a random one if empty.
    pub token_name: String,
    /// What it may touch, as `<type>:<id>`; none asked for is everything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_list: Vec<String>,
}

/// A new key, shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GenerateApiKeyResponse {
    /// The whole key: `<id>-<secret>`.
    pub key: Secret,
}

/// The bounds of new tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenConfig {
    /// The longest lifetime, in nanoseconds.
    pub max_token_lifetime: i64,
}

/// The scopes that a token may be asked for with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExternalApiKeyScopes {
    /// Their names, sorted.
    pub external: Vec<String>,
}
