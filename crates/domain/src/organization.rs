//! Organizations and who is in them.

use chrono::{DateTime, Utc};

use crate::{Invalid, OrganizationId, UserId, user::check_name};

/// The greatest length of an organization's display name, in bytes.
pub const MAX_ORGANIZATION_DISPLAY_NAME_BYTES: usize = 64;

/// A group of users with roles of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// The identifier.
    pub id: OrganizationId,
    /// The name for paths, unique without regard to case among live ones.
    pub name: String,
    /// The name that people read.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// Where a picture is; empty is none.
    pub icon: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Whether it is the one that every deployment has from the start.
    pub is_default: bool,
}

/// The name of an organization, under the rule of usernames, and not `default`, which
/// paths read as the default one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OrganizationName(String);

impl OrganizationName {
    /// Reads a name that somebody asks for.
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

/// Reads an organization's display name: empty, or at most
/// [`MAX_ORGANIZATION_DISPLAY_NAME_BYTES`] without white space at either end.
pub fn parse_display_name(text: &str) -> Result<String, Invalid> {
    if text.len() > MAX_ORGANIZATION_DISPLAY_NAME_BYTES {
        return Err(Invalid::TooLong {
            max: MAX_ORGANIZATION_DISPLAY_NAME_BYTES,
        });
    }
    if text.trim() != text {
        return Err(Invalid::Rule("must not begin or end with white space"));
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
    /// The stored organization roles, by name, without the organization.
    pub roles: Vec<String>,
    /// When the user came in.
    pub created_at: DateTime<Utc>,
    /// When the membership last changed.
    pub updated_at: DateTime<Utc>,
}

/// How a path names an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrganizationReference {
    /// The default one: `default`, or the nil UUID.
    Default,
    /// By identifier.
    Id(OrganizationId),
    /// By name, without regard to case.
    Name(String),
}

impl OrganizationReference {
    /// Reads the `{organization}` of a path.
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
