//! `/users/{user}/organizations`: the organizations of a user.

use std::sync::Arc;

use axum::extract::State;
use usher_api_types::{Response, organization::Organization};
use usher_domain::organization::OrganizationReference;
use usher_store::OrganizationStore;

use crate::{
    ApiError, Caller, Json,
    target::{LastSegment, TargetUser, find_readable_organization},
};

/// Lists the organizations of the user that the caller may read.
#[utoipa::path(
    get, path = "/users/{user}/organizations", tag = "Organizations",
    params(TargetUser),
    responses((status = 200, body = Vec<Organization>, description = "The organizations.")),
)]
pub async fn list(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(organizations): State<Arc<dyn OrganizationStore>>,
) -> Result<Json<Vec<Organization>>, ApiError> {
    let found = organizations.list_organizations_of_user(user.id).await?;
    let readable = found
        .into_iter()
        .filter(|organization| caller.may_read_organization(organization))
        .map(Organization::from)
        .collect();
    Ok(Json(readable))
}

/// Returns an organization by its name. Whether the user is a member does not matter.
#[utoipa::path(
    get, path = "/users/{user}/organizations/{organization}", tag = "Organizations",
    params(TargetUser,
           ("organization" = String, Path, description = "The name of an organization.", example = "coder")),
    responses((status = 200, body = Organization, description = "The organization."),
              (status = 404, body = Response, description = "Not found, or the caller may not read it.")),
)]
pub async fn read(
    caller: Caller,
    _: TargetUser,
    LastSegment(name): LastSegment,
    State(organizations): State<Arc<dyn OrganizationStore>>,
) -> Result<Json<Organization>, ApiError> {
    find_readable_organization(&*organizations, &caller, OrganizationReference::Name(name))
        .await?
        .map(|organization| Json(organization.into()))
        .ok_or(ApiError::NotFound)
}
