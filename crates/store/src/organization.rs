//! Stores organizations and their members.

use async_trait::async_trait;
use usher_domain::{
    AuditContext, Listing, Membership, Organization, OrganizationId, OrganizationName, Page,
    UserId, organization::OrganizationReference,
};

use crate::StoreError;

/// Stores organizations and their members.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait OrganizationStore: Send + Sync {
    /// Returns the organization, unless it is deleted.
    async fn find_organization(
        &self,
        reference: OrganizationReference,
    ) -> Result<Option<Organization>, StoreError>;

    /// Returns all organizations that are not deleted, ordered by name.
    async fn list_organizations(&self) -> Result<Vec<Organization>, StoreError>;

    /// Returns the user's organizations that are not deleted, ordered by name.
    async fn list_organizations_of_user(
        &self,
        user: UserId,
    ) -> Result<Vec<Organization>, StoreError>;

    /// Creates the organization, with the acting user as a member and administrator.
    ///
    /// # Errors
    ///
    /// [`Conflict::OrganizationName`](crate::Conflict::OrganizationName) if taken.
    async fn create_organization(
        &self,
        new: NewOrganization,
        by: &AuditContext,
    ) -> Result<Organization, StoreError>;

    /// Changes the fields that are set.
    ///
    /// # Errors
    ///
    /// [`Conflict::OrganizationName`](crate::Conflict::OrganizationName) if taken.
    async fn set_organization(
        &self,
        organization: OrganizationId,
        change: OrganizationChange,
        by: &AuditContext,
    ) -> Result<Option<Organization>, StoreError>;

    /// Marks the organization as deleted.
    ///
    /// # Errors
    ///
    /// [`Conflict::DefaultOrganization`](crate::Conflict::DefaultOrganization),
    /// [`Conflict::OrganizationNotEmpty`](crate::Conflict::OrganizationNotEmpty).
    async fn delete_organization(
        &self,
        organization: OrganizationId,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError>;

    /// Returns a page of the matching members that are not deleted, ordered by
    /// lower-cased username, and the number of all matches.
    async fn list_members(
        &self,
        organization: OrganizationId,
        filter: MemberFilter,
        page: Page,
    ) -> Result<Listing<Member>, StoreError>;

    /// Returns the membership, unless the user is deleted.
    async fn find_membership(
        &self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Option<Membership>, StoreError>;

    /// Adds the user to the organization, without roles.
    ///
    /// # Errors
    ///
    /// [`Conflict::AlreadyMember`](crate::Conflict::AlreadyMember),
    /// [`Conflict::UserDeleted`](crate::Conflict::UserDeleted),
    /// [`Conflict::NoSuchOrganization`](crate::Conflict::NoSuchOrganization).
    async fn create_membership(
        &self,
        organization: OrganizationId,
        user: UserId,
        by: &AuditContext,
    ) -> Result<Membership, StoreError>;

    /// Removes the user from the organization. `None` if they are not a member.
    async fn delete_membership(
        &self,
        organization: OrganizationId,
        user: UserId,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError>;

    /// Replaces the user's roles in the organization. Does not change `updated_at`.
    ///
    /// # Errors
    ///
    /// [`Conflict::ConcurrentModification`](crate::Conflict::ConcurrentModification) if
    /// the stored roles are no longer `replaces`.
    async fn set_membership_roles(
        &self,
        organization: OrganizationId,
        user: UserId,
        replaces: Vec<String>,
        roles: Vec<String>,
        by: &AuditContext,
    ) -> Result<Option<Membership>, StoreError>;
}

/// An organization to create.
#[derive(Clone, Debug)]
pub struct NewOrganization {
    /// The ID.
    pub id: OrganizationId,
    /// The name as used in URLs.
    pub name: OrganizationName,
    /// The display name.
    pub display_name: String,
    /// The description.
    pub description: String,
    /// The URL of its icon; may be empty.
    pub icon: String,
}

/// Changes to an organization. `None` leaves a field unchanged.
#[derive(Clone, Debug, Default)]
pub struct OrganizationChange {
    /// The name as used in URLs.
    pub name: Option<OrganizationName>,
    /// The display name.
    pub display_name: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// The URL of its icon.
    pub icon: Option<String>,
}

/// A filter on members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberFilter {
    /// Only this user.
    pub user_id: Option<UserId>,
    /// Only the user with this GitHub account ID.
    pub github_user_id: Option<i64>,
    /// Whether to include system accounts.
    pub include_system: bool,
}

/// A member of an organization, with the user data that lists show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The membership.
    pub membership: Membership,
    /// The username.
    pub username: String,
    /// The display name; may be empty.
    pub name: String,
    /// The URL of its icon; may be empty.
    pub avatar_url: String,
    /// The e-mail address.
    pub email: String,
    /// The names of the stored site roles.
    pub site_roles: Vec<String>,
}
