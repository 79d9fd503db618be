//! Authorization checks for the caller.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Authorization checks by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({
    "checks": {
        "read-user": {
            "object": {
                "resource_type": "user",
                "resource_id": "00000000-0000-0000-0000-0000000000a1",
            },
            "action": "read",
        },
    },
}))]
pub struct AuthorizationRequest {
    /// The checks.
    #[serde(deserialize_with = "crate::object::named")]
    pub checks: BTreeMap<String, AuthorizationCheck>,
}

/// Whether the caller may perform an action on an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct AuthorizationCheck {
    /// The object.
    #[serde(deserialize_with = "crate::object::object")]
    pub object: AuthorizationObject,
    /// The action.
    pub action: Option<String>,
}

/// The properties of an object that are relevant to the check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct AuthorizationObject {
    /// The resource type.
    pub resource_type: Option<String>,
    /// The owner: a UUID or `me`.
    pub owner_id: Option<String>,
    /// The organization it belongs to.
    pub organization_id: Option<String>,
    /// The ID of a user, workspace, template or group; takes precedence over `owner_id`.
    pub resource_id: Option<String>,
    /// Whether permission in any of the caller's organizations suffices.
    pub any_org: Option<bool>,
}
