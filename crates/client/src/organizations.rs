//! Organizations.

use http::{Method, StatusCode};
use usher_api_types::{
    organization::{CreateOrganizationRequest, Organization, UpdateOrganizationRequest},
    role::AssignableRole,
};

use crate::{Client, Error, OrganizationRef};

impl Client {
    /// Lists the organizations that the caller may read.
    pub async fn list_organizations(&self) -> Result<Vec<Organization>, Error> {
        self.call(Method::GET, &["organizations"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Returns the organization.
    pub async fn get_organization(
        &self,
        organization: impl Into<OrganizationRef>,
    ) -> Result<Organization, Error> {
        let organization = organization.into().to_string();
        self.call(Method::GET, &["organizations", &organization])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Creates an organization, with the caller as its member and administrator.
    pub async fn create_organization(
        &self,
        request: &CreateOrganizationRequest,
    ) -> Result<Organization, Error> {
        self.call(Method::POST, &["organizations"])?
            .json(request)
            .fetch(StatusCode::CREATED)
            .await
    }

    /// Updates the fields of the organization that are set.
    pub async fn update_organization(
        &self,
        organization: impl Into<OrganizationRef>,
        request: &UpdateOrganizationRequest,
    ) -> Result<Organization, Error> {
        let organization = organization.into().to_string();
        self.call(Method::PATCH, &["organizations", &organization])?
            .json(request)
            .fetch(StatusCode::OK)
            .await
    }

    /// Deletes the organization, which must not have members other than the caller.
    pub async fn delete_organization(
        &self,
        organization: impl Into<OrganizationRef>,
    ) -> Result<(), Error> {
        let organization = organization.into().to_string();
        self.call(Method::DELETE, &["organizations", &organization])?
            .run(StatusCode::OK)
            .await
    }

    /// Lists the roles of the organization, and which of them the caller may assign.
    pub async fn list_organization_roles(
        &self,
        organization: impl Into<OrganizationRef>,
    ) -> Result<Vec<AssignableRole>, Error> {
        let organization = organization.into().to_string();
        self.call(
            Method::GET,
            &["organizations", &organization, "members", "roles"],
        )?
        .fetch(StatusCode::OK)
        .await
    }
}
