//! Roles and what they allow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use usher_domain::{OrganizationId, OrganizationRole, SiteRole};
use utoipa::ToSchema;
use uuid::Uuid;

/// A role that somebody holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SlimRole {
    /// The name.
    pub name: String,
    /// The name that people read; empty if the server does not know the role.
    pub display_name: String,
    /// The organization that it is a role in; left out for site roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<Uuid>,
}

impl SlimRole {
    /// The site role of a stored name.
    pub fn of_site(name: String) -> Self {
        let display_name = SiteRole::parse(&name).map_or("", SiteRole::display_name);
        Self {
            display_name: display_name.to_owned(),
            name,
            organization_id: None,
        }
    }

    /// The organization role of a stored name.
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

/// A role with all that it allows, and whether the caller may assign it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssignableRole {
    /// The name.
    pub name: String,
    /// The organization that it is a role in; left out for site roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<Uuid>,
    /// The name that people read.
    pub display_name: String,
    /// What it allows anywhere.
    pub site_permissions: Vec<Permission>,
    /// What it allows on things that its holder owns.
    pub user_permissions: Vec<Permission>,
    /// What it allows within the organization.
    pub organization_permissions: Vec<Permission>,
    /// What it allows within the organization on things that its holder owns.
    pub organization_member_permissions: Vec<Permission>,
    /// Whether the caller may give it to somebody.
    pub assignable: bool,
    /// Whether it comes with the server.
    pub built_in: bool,
}

/// One action on one kind of thing, allowed or denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Permission {
    /// Whether it is denied, whatever else allows it.
    pub negate: bool,
    /// The kind of thing.
    pub resource_type: String,
    /// The action; `*` is all of them.
    pub action: String,
}

/// A new, complete set of roles.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateRoles {
    /// The names. None takes all roles away.
    pub roles: Vec<String>,
}

/// The roles that a user holds, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserRoles {
    /// The site roles.
    pub roles: Vec<String>,
    /// For each organization of the user, their roles in it.
    pub organization_roles: BTreeMap<Uuid, Vec<String>>,
}
