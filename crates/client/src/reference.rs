//! References to users and organizations in paths.

use std::fmt;

use usher_api_types::{organization::Organization, user::User};
use uuid::Uuid;

/// A user in a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserRef {
    /// The user that the token belongs to.
    Me,
    /// By identifier, deleted users included.
    Id(Uuid),
    /// By username, ignoring case. `me` means the caller, and a username that looks like an
    /// identifier is taken for one: refer to such users by their identifier.
    Name(String),
}

impl fmt::Display for UserRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Me => f.write_str("me"),
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl From<Uuid> for UserRef {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

impl From<&str> for UserRef {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for UserRef {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<&User> for UserRef {
    fn from(user: &User) -> Self {
        Self::Id(user.id)
    }
}

/// An organization in a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrganizationRef {
    /// The default organization.
    Default,
    /// By identifier.
    Id(Uuid),
    /// By name, ignoring case. `default` means the default organization.
    Name(String),
}

impl fmt::Display for OrganizationRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl From<Uuid> for OrganizationRef {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

impl From<&str> for OrganizationRef {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for OrganizationRef {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<&Organization> for OrganizationRef {
    fn from(organization: &Organization) -> Self {
        Self::Id(organization.id)
    }
}
