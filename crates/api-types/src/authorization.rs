//! What the caller may do, asked beforehand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Questions, each under a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct AuthorizationRequest {
    /// The questions.
    #[serde(deserialize_with = "crate::object::named")]
    pub checks: BTreeMap<String, AuthorizationCheck>,
}

/// Whether the caller may do something with something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct AuthorizationCheck {
    /// With what.
    #[serde(deserialize_with = "crate::object::object")]
    pub object: AuthorizationObject,
    /// Do what.
    pub action: Option<String>,
}

/// Something, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct AuthorizationObject {
    /// The kind of thing.
    pub resource_type: Option<String>,
    /// Who owns it: a UUID, or `me`.
    pub owner_id: Option<String>,
    /// The organization that it is of.
    pub organization_id: Option<String>,
    /// Which one, for users, workspaces, templates and groups; wins over `owner_id`.
    pub resource_id: Option<String>,
    /// Whether any organization of the caller will do.
    pub any_org: Option<bool>,
}
