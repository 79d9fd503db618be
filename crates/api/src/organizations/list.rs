//! `GET /organizations` and `GET /organizations/{organization}`.

use std::sync::Arc;

use axum::extract::State;
use usher_api_types::{Response, organization::Organization};
use usher_store::OrganizationStore;

use crate::{ApiError, Caller, Json, target::TargetOrganization};

/// Lists the organizations that the caller may read.
#[utoipa::path(
    get, path = "/organizations", tag = "Organizations",
    responses((status = 200, body = Vec<Organization>, description = "The organizations.")),
)]
pub async fn list(
    caller: Caller,
    State(organizations): State<Arc<dyn OrganizationStore>>,
) -> Result<Json<Vec<Organization>>, ApiError> {
    let found = organizations.list_organizations().await?;
    let readable = found
        .into_iter()
        .filter(|organization| caller.may_read_organization(organization))
        .map(Organization::from)
        .collect();
    Ok(Json(readable))
}

/// Returns the organization.
#[utoipa::path(
    get, path = "/organizations/{organization}", tag = "Organizations",
    params(TargetOrganization),
    responses((status = 200, body = Organization, description = "The organization."),
              (status = 404, body = Response, description = "Not found, or the caller may not read it.")),
)]
pub async fn read(TargetOrganization(organization): TargetOrganization) -> Json<Organization> {
    Json(organization.into())
}
