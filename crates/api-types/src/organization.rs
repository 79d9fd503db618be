//! Organizations and their members.

use serde::{Deserialize, Serialize};
use usher_domain as domain;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Timestamp, role::SlimRole};

/// An organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Organization {
    /// The identifier.
    pub id: Uuid,
    /// The name for paths.
    pub name: String,
    /// The name that people read.
    pub display_name: String,
    /// Where a picture is; may be empty.
    pub icon: String,
    /// What it is for.
    pub description: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Whether it is the one that every deployment has from the start.
    pub is_default: bool,
}

impl From<domain::Organization> for Organization {
    fn from(organization: domain::Organization) -> Self {
        Self {
            id: organization.id.0,
            name: organization.name,
            display_name: organization.display_name,
            icon: organization.icon,
            description: organization.description,
            created_at: organization.created_at.into(),
            updated_at: organization.updated_at.into(),
            is_default: organization.is_default,
        }
    }
}

/// An organization to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CreateOrganizationRequest {
    /// The name for paths.
    pub name: String,
    /// The name that people read; the name for paths if absent.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// Where a picture is.
    pub icon: String,
}

/// What to change about an organization; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateOrganizationRequest {
    /// The name for paths; empty leaves it.
    pub name: String,
    /// The name that people read; empty leaves it.
    pub display_name: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where a picture is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
}

/// A membership without facts about the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrganizationMember {
    /// The user.
    pub user_id: Uuid,
    /// The organization.
    pub organization_id: Uuid,
    /// When the user came in.
    pub created_at: Timestamp,
    /// When the membership last changed.
    pub updated_at: Timestamp,
    /// The user's roles in the organization.
    pub roles: Vec<SlimRole>,
}

impl From<domain::Membership> for OrganizationMember {
    fn from(membership: domain::Membership) -> Self {
        let organization = membership.organization_id;
        Self {
            user_id: membership.user_id.0,
            organization_id: organization.0,
            created_at: membership.created_at.into(),
            updated_at: membership.updated_at.into(),
            roles: membership
                .roles
                .into_iter()
                .map(|name| SlimRole::of_organization(name, organization))
                .collect(),
        }
    }
}

/// A membership with facts about the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrganizationMemberWithUserData {
    /// The username.
    pub username: String,
    /// The display name; left out when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where a picture is; left out when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub avatar_url: String,
    /// The address.
    pub email: String,
    /// The user's site roles.
    pub global_roles: Vec<SlimRole>,
    /// The membership.
    #[serde(flatten)]
    pub member: OrganizationMember,
}

/// A page of members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaginatedMembersResponse {
    /// The members of the page.
    pub members: Vec<OrganizationMemberWithUserData>,
    /// How many match, before `limit` and `offset`.
    pub count: u64,
}
