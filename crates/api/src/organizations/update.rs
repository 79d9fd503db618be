//! `PATCH /organizations/{organization}`: changing an organization.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{
    Response,
    organization::{Organization, UpdateOrganizationRequest},
};
use usher_domain::{
    Action, Object, OrganizationName, Violations, organization::parse_display_name,
};
use usher_store::{OrganizationChange, OrganizationStore};

use crate::{ApiError, Audit, Caller, Json, RequestBody, target::TargetOrganization};

/// Changes the given fields of the organization.
#[utoipa::path(
    patch, path = "/organizations/{organization}", tag = "Organizations",
    params(TargetOrganization),
    request_body = UpdateOrganizationRequest,
    responses((status = 200, body = Organization, description = "The updated organization."),
              (status = 400, body = Response, description = "A field is invalid."),
              (status = 403, body = Response, description = "The caller lacks the permission."),
              (status = 409, body = Response, description = "The name is taken.")),
)]
pub async fn update(
    caller: Caller,
    TargetOrganization(organization): TargetOrganization,
    State(organizations): State<Arc<dyn OrganizationStore>>,
    audit: Audit,
    body: RequestBody,
) -> Result<Json<Organization>, ApiError> {
    let change = parse(body.parse()?)?;
    caller.require(Action::Update, Object::organization(organization.id))?;
    let changed = organizations
        .set_organization(organization.id, change, &audit.context(StatusCode::OK))
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(Json(changed.into()))
}

fn parse(request: UpdateOrganizationRequest) -> Result<OrganizationChange, ApiError> {
    let mut faults = Violations::new();
    let mut change = OrganizationChange {
        description: request.description,
        icon: request.icon,
        ..OrganizationChange::default()
    };
    if !request.name.is_empty() {
        change.name = faults.check("name", OrganizationName::parse(&request.name));
    }
    if !request.display_name.is_empty() {
        change.display_name =
            faults.check("display_name", parse_display_name(&request.display_name));
    }
    Ok(faults.finish(Some(change))?)
}
