//! `DELETE /organizations/{organization}`: an organization less.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::Response;
use usher_domain::{Action, Object};
use usher_store::OrganizationStore;

use crate::{ApiError, Audit, Caller, Json, target::TargetOrganization};

/// Deletes the organization, which must have no member but one.
#[utoipa::path(
    delete, path = "/organizations/{organization}", tag = "Organizations",
    params(("organization" = String, Path, description = "A UUID, a name, or `default`.")),
    responses((status = 200, body = Response, description = "The organization was deleted."),
              (status = 400, body = Response, description = "It is the default one, or has members."),
              (status = 403, body = Response, description = "The caller may not.")),
)]
pub async fn delete(
    caller: Caller,
    TargetOrganization(organization): TargetOrganization,
    State(organizations): State<Arc<dyn OrganizationStore>>,
    audit: Audit,
) -> Result<Json<Response>, ApiError> {
    if !caller.may(Action::Delete, Object::organization(organization.id)) {
        return Err(ApiError::Forbidden);
    }
    organizations
        .delete_organization(organization.id, &audit.context(StatusCode::OK))
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(Json(Response::message("Organization has been deleted.")))
}
