//! Members of organizations.

use http::{Method, StatusCode};
use usher_api_types::organization::{
    OrganizationMember, OrganizationMemberWithUserData, PaginatedMembersResponse,
};

use crate::{Client, Error, OrganizationRef, UserRef, client::Call, users::role_names};

impl Client {
    /// Lists the members of the organization that the caller may read.
    pub async fn list_members(
        &self,
        organization: impl Into<OrganizationRef>,
    ) -> Result<Vec<OrganizationMemberWithUserData>, Error> {
        self.search_members(organization, "").await
    }

    /// Lists the members that match, for example `user_id:<uuid>`.
    pub async fn search_members(
        &self,
        organization: impl Into<OrganizationRef>,
        q: impl AsRef<str>,
    ) -> Result<Vec<OrganizationMemberWithUserData>, Error> {
        let organization = organization.into().to_string();
        let mut call = self.call(Method::GET, &["organizations", &organization, "members"])?;
        if !q.as_ref().is_empty() {
            call = call.query("q", q.as_ref());
        }
        call.fetch(StatusCode::OK).await
    }

    /// Returns a page of the members, sorted by username, and their total number. A limit of 0
    /// means no limit.
    pub async fn list_members_page(
        &self,
        organization: impl Into<OrganizationRef>,
        limit: u32,
        offset: u32,
    ) -> Result<PaginatedMembersResponse, Error> {
        let organization = organization.into().to_string();
        self.call(
            Method::GET,
            &["organizations", &organization, "paginated-members"],
        )?
        .query("limit", &limit.to_string())
        .query("offset", &offset.to_string())
        .fetch(StatusCode::OK)
        .await
    }

    /// Returns a member of the organization.
    pub async fn get_member(
        &self,
        organization: impl Into<OrganizationRef>,
        user: impl Into<UserRef>,
    ) -> Result<OrganizationMemberWithUserData, Error> {
        self.member(Method::GET, &organization.into(), &user.into(), &[])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Adds the user to the organization, without roles.
    pub async fn add_member(
        &self,
        organization: impl Into<OrganizationRef>,
        user: impl Into<UserRef>,
    ) -> Result<OrganizationMember, Error> {
        self.member(Method::POST, &organization.into(), &user.into(), &[])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Removes the user from the organization, with their roles in it.
    pub async fn remove_member(
        &self,
        organization: impl Into<OrganizationRef>,
        user: impl Into<UserRef>,
    ) -> Result<(), Error> {
        self.member(Method::DELETE, &organization.into(), &user.into(), &[])?
            .run(StatusCode::NO_CONTENT)
            .await
    }

    /// Replaces the roles of the member. An empty list removes all.
    pub async fn set_member_roles(
        &self,
        organization: impl Into<OrganizationRef>,
        user: impl Into<UserRef>,
        roles: &[&str],
    ) -> Result<OrganizationMember, Error> {
        self.member(Method::PUT, &organization.into(), &user.into(), &["roles"])?
            .json(&role_names(roles))
            .fetch(StatusCode::OK)
            .await
    }

    /// Starts a call of the path of a member.
    fn member(
        &self,
        method: Method,
        organization: &OrganizationRef,
        user: &UserRef,
        rest: &[&str],
    ) -> Result<Call<'_>, Error> {
        let (organization, user) = (organization.to_string(), user.to_string());
        let words = ["organizations", &organization, "members", &user];
        self.call(method, &[&words, rest].concat())
    }
}
