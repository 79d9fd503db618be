//! Organizations and their members.

use async_trait::async_trait;
use usher_domain::{
    AuditContext, Listing, Membership, Organization, OrganizationId, OrganizationName, Page,
    UserId, organization::OrganizationReference,
};

use crate::StoreError;

/// Organizations and their members.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait OrganizationStore: Send + Sync {
    /// The live organization.
    async fn find_organization(
        &self,
        reference: OrganizationReference,
    ) -> Result<Option<Organization>, StoreError>;

    /// All live organizations, in the order of their names.
    async fn list_organizations(&self) -> Result<Vec<Organization>, StoreError>;

    /// The live organizations that the user is a member of, in the order of their names.
    async fn list_organizations_of_user(
        &self,
        user: UserId,
    ) -> Result<Vec<Organization>, StoreError>;

    /// Creates the organization, with the acting user as its member and administrator.
    ///
    /// # Errors
    ///
    /// [`Conflict::OrganizationName`](crate::Conflict::OrganizationName) if taken.
    async fn create_organization(
        &self,
        new: NewOrganization,
        by: &AuditContext,
    ) -> Result<Organization, StoreError>;

    /// Changes what is given.
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

    /// The page of live members that match, in the order of their lower-cased usernames,
    /// and how many match.
    async fn list_members(
        &self,
        organization: OrganizationId,
        filter: MemberFilter,
        page: Page,
    ) -> Result<Listing<Member>, StoreError>;

    /// The live user's membership of the organization.
    async fn find_membership(
        &self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Option<Membership>, StoreError>;

    /// Takes the user into the organization, without roles.
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

    /// Takes the user out of the organization. `None` if they are not in it.
    async fn delete_membership(
        &self,
        organization: OrganizationId,
        user: UserId,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError>;

    /// Replaces the user's roles in the organization. `updated_at` does not move.
    ///
    /// # Errors
    ///
    /// [`Conflict::ConcurrentModification`](crate::Conflict::ConcurrentModification) if `replaces` are no longer the
    /// stored roles.
    async fn set_membership_roles(
        &self,
        organization: OrganizationId,
        user: UserId,
        replaces: Vec<String>,
        roles: Vec<String>,
        by: &AuditContext,
    ) -> Result<Option<Membership>, StoreError>;
}

/// An organization to be made.
#[derive(Clone, Debug)]
pub struct NewOrganization {
    /// The identifier.
    pub id: OrganizationId,
    /// The name for paths.
    pub name: OrganizationName,
    /// The name that people read.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// Where a picture is; empty is none.
    pub icon: String,
}

/// What to change about an organization; `None` leaves a field.
#[derive(Clone, Debug, Default)]
pub struct OrganizationChange {
    /// The name for paths.
    pub name: Option<OrganizationName>,
    /// The name that people read.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Where a picture is.
    pub icon: Option<String>,
}

/// Which members a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberFilter {
    /// Only this user.
    pub user_id: Option<UserId>,
    /// Only the user with this GitHub account.
    pub github_user_id: Option<i64>,
    /// Accounts of the system too.
    pub include_system: bool,
}

/// A member of an organization, with what lists show of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The membership.
    pub membership: Membership,
    /// The username.
    pub username: String,
    /// The display name; may be empty.
    pub name: String,
    /// Where a picture is; empty is none.
    pub avatar_url: String,
    /// The address.
    pub email: String,
    /// The stored site roles, by name.
    pub site_roles: Vec<String>,
}
