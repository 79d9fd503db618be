//! Roles and their permissions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use usher_domain::{OrganizationId, OrganizationRole, SiteRole};
use utoipa::ToSchema;
use uuid::Uuid;

/// A role of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SlimRole {
    /// The name.
    pub name: String,
    /// The display name; empty if the server does not know the role.
    pub display_name: String,
    /// The organization of an organization role; omitted for site roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<Uuid>,
}

impl SlimRole {
    /// The site role with this stored name.
    pub fn of_site(name: String) -> Self {
        let display_name = SiteRole::parse(&name).map_or("", SiteRole::display_name);
        Self {
            display_name: display_name.to_owned(),
            name,
            organization_id: None,
        }
    }

    /// The organization role with this stored name.
    pub fn of_organization(name: String, organization: OrganizationId) -> Self {
        let display_name =
            OrganizationRole::parse(&name).map_or("", OrganizationRole::display_name);
        Self {
            display_name: display_name.to_owned(),
            name,
            organization_id: Some(organization.0),
        }
    }
}

/// A role with its permissions, and whether the caller may assign it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssignableRole {
    /// The name.
    pub name: String,
    /// The organization of an organization role; omitted for site roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<Uuid>,
    /// The display name.
    pub display_name: String,
    /// Permissions on the whole site.
    pub site_permissions: Vec<Permission>,
    /// Permissions on resources that the user owns.
    pub user_permissions: Vec<Permission>,
    /// Permissions in the organization.
    pub organization_permissions: Vec<Permission>,
    /// Permissions in the organization on resources that the user owns.
    pub organization_member_permissions: Vec<Permission>,
    /// Whether the caller may assign it.
    pub assignable: bool,
    /// Whether it is built in.
    pub built_in: bool,
}

/// An action on a resource type, allowed or denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Permission {
    /// Whether it is denied, regardless of other permissions.
    pub negate: bool,
    /// The resource type.
    pub resource_type: String,
    /// The action; `*` for all.
    pub action: String,
}

/// The complete set of roles to assign.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"roles": ["auditor"]}))]
pub struct UpdateRoles {
    /// The role names. An empty list removes all roles.
    pub roles: Vec<String>,
}

/// The names of a user's roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserRoles {
    /// The site roles.
    pub roles: Vec<String>,
    /// The organization roles, by organization ID.
    pub organization_roles: BTreeMap<Uuid, Vec<String>>,
}
