//! Organizations and their members.

use serde::{Deserialize, Serialize};
use usher_domain as domain;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Timestamp, role::SlimRole};

/// An organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Organization {
    /// The ID.
    pub id: Uuid,
    /// The name as used in URLs.
    pub name: String,
    /// The display name.
    pub display_name: String,
    /// The URL of its icon; may be empty.
    pub icon: String,
    /// The description.
    pub description: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Whether it is the deployment's default organization.
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

/// An organization to create.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"name": "lab"}))]
pub struct CreateOrganizationRequest {
    /// The name as used in URLs.
    pub name: String,
    /// The display name; the name if absent.
    pub display_name: String,
    /// The description.
    pub description: String,
    /// The URL of its icon.
    pub icon: String,
}

/// Changes to an organization. Absent fields are unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"display_name": "Lab"}))]
pub struct UpdateOrganizationRequest {
    /// The name as used in URLs; unchanged if empty.
    pub name: String,
    /// The display name; unchanged if empty.
    pub display_name: String,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The URL of its icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
}

/// A membership, without user data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrganizationMember {
    /// The user.
    pub user_id: Uuid,
    /// The organization.
    pub organization_id: Uuid,
    /// When the user became a member.
    pub created_at: Timestamp,
    /// When the membership was last changed.
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

/// A membership, with user data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrganizationMemberWithUserData {
    /// The username.
    pub username: String,
    /// The display name; omitted if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The URL of the avatar; omitted if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub avatar_url: String,
    /// The e-mail address.
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
    /// The number of matching rows on all pages.
    pub count: u64,
}
