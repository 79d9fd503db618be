//! `DELETE /organizations/{organization}`: deleting an organization.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::Response;
use usher_domain::{Action, Object};
use usher_store::OrganizationStore;

use crate::{ApiError, Audit, Caller, Json, target::TargetOrganization};

/// Deletes the organization, which may have at most one member.
#[utoipa::path(
    delete, path = "/organizations/{organization}", tag = "Organizations",
    params(TargetOrganization),
    responses((status = 200, body = Response, description = "The organization was deleted."),
              (status = 400, body = Response, description = "The organization is the default one or still has members."),
              (status = 403, body = Response, description = "The caller lacks the permission.")),
)]
pub async fn delete(
    caller: Caller,
    TargetOrganization(organization): TargetOrganization,
    State(organizations): State<Arc<dyn OrganizationStore>>,
    audit: Audit,
) -> Result<Json<Response>, ApiError> {
    caller.require(Action::Delete, Object::organization(organization.id))?;
    organizations
        .delete_organization(organization.id, &audit.context(StatusCode::OK))
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(Json(Response::message("Organization has been deleted.")))
}
