//! API keys and tokens.

use serde::{Deserialize, Serialize};
use usher_domain::{self as domain, Scope};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Secret, Timestamp};

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    /// The ID: ten letters and digits.
    pub id: String,
    /// The user it belongs to.
    pub user_id: Uuid,
    /// When it was last used, updated at most about once an hour.
    pub last_used: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed; using it is not a change.
    pub updated_at: Timestamp,
    /// `password`, `github`, `oidc` or `token`.
    pub login_type: String,
    /// The scope for older clients: `all`, `application_connect` or empty.
    pub scope: String,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Its name; empty for sessions.
    pub token_name: String,
    /// Its lifetime, in seconds.
    pub lifetime_seconds: i64,
    /// The objects it may access, as `<type>:<id>`.
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

/// An API key in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKeyWithOwner {
    /// The API key.
    #[serde(flatten)]
    pub key: ApiKey,
    /// The username of its user.
    pub username: String,
}

/// A token to create.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"token_name": "deploy"}))]
pub struct CreateTokenRequest {
    /// Its lifetime in nanoseconds; 0 for the deployment's default.
    pub lifetime: i64,
    /// The scope as older clients send it; ignored if `scopes` is set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// Its scopes; every permission if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Its name; random if empty.
    pub token_name: String,
    /// The objects it may access, as `<type>:<id>`; all objects if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_list: Vec<String>,
}

/// A new API key, shown only once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GenerateApiKeyResponse {
    /// The API key with its secret: `<id>-<secret>`.
    pub key: Secret,
}

/// The limits for new tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenConfig {
    /// The maximum lifetime, in nanoseconds.
    pub max_token_lifetime: i64,
}

/// The scopes that new tokens may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExternalApiKeyScopes {
    /// The scope names, sorted.
    pub external: Vec<String>,
}
