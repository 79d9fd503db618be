//! Organizations and their members.

use chrono::{DateTime, Utc};

use crate::{Invalid, OrganizationId, UserId, user::check_name};

/// The maximum length of an organization's display name, in bytes.
pub const MAX_ORGANIZATION_DISPLAY_NAME_BYTES: usize = 64;

/// A group of users, with its own roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// The ID.
    pub id: OrganizationId,
    /// The name as used in URLs, unique (case-insensitive) among organizations that are
    /// not deleted.
    pub name: String,
    /// The display name.
    pub display_name: String,
    /// The description.
    pub description: String,
    /// The URL of its icon; may be empty.
    pub icon: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Whether it is the deployment's default organization.
    pub is_default: bool,
}

/// The name of an organization: valid as a username, and not `default`, which means the
/// default organization in paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OrganizationName(String);

impl OrganizationName {
    /// Parses a requested name.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        check_name(text)?;
        if text == "default" {
            return Err(Invalid::Rule("must not be `default`"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Parses an organization's display name: at most
/// [`MAX_ORGANIZATION_DISPLAY_NAME_BYTES`], without leading or trailing whitespace.
pub fn parse_display_name(text: &str) -> Result<String, Invalid> {
    if text.len() > MAX_ORGANIZATION_DISPLAY_NAME_BYTES {
        return Err(Invalid::TooLong {
            max: MAX_ORGANIZATION_DISPLAY_NAME_BYTES,
        });
    }
    if text.trim() != text {
        return Err(Invalid::Rule("must not begin or end with whitespace"));
    }
    Ok(text.to_owned())
}

/// A user's membership of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The user.
    pub user_id: UserId,
    /// The organization.
    pub organization_id: OrganizationId,
    /// The names of the stored organization roles, without the organization's ID.
    pub roles: Vec<String>,
    /// When the user became a member.
    pub created_at: DateTime<Utc>,
    /// When the membership was last changed.
    pub updated_at: DateTime<Utc>,
}

/// An organization as a path identifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrganizationReference {
    /// The default one: `default`, or the nil UUID.
    Default,
    /// By ID.
    Id(OrganizationId),
    /// By name, case-insensitive.
    Name(String),
}

impl OrganizationReference {
    /// Parses the `{organization}` of a path.
    pub fn parse(text: &str) -> Self {
        match crate::id::parse_uuid(text) {
            _ if text == "default" => Self::Default,
            Some(id) => Self::from(OrganizationId(id)),
            None => Self::Name(text.to_owned()),
        }
    }
}

impl From<OrganizationId> for OrganizationReference {
    fn from(id: OrganizationId) -> Self {
        if id.0.is_nil() {
            Self::Default
        } else {
            Self::Id(id)
        }
    }
}
