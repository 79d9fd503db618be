//! `POST /organizations`: creating an organization.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use rand::RngExt as _;
use usher_api_types::{
    Response,
    organization::{CreateOrganizationRequest, Organization},
};
use usher_domain::{
    Action, Object, OrganizationId, OrganizationName, Resource, Violations,
    organization::parse_display_name, random::Random,
};
use usher_store::{NewOrganization, OrganizationStore};

use crate::{ApiError, Audit, Caller, Json, RequestBody};

/// Creates an organization, with the caller as its first member and administrator.
#[utoipa::path(
    post, path = "/organizations", tag = "Organizations",
    request_body = CreateOrganizationRequest,
    responses((status = 201, body = Organization, description = "The organization was created."),
              (status = 400, body = Response, description = "A field is invalid."),
              (status = 403, body = Response, description = "The caller lacks the permission."),
              (status = 409, body = Response, description = "The name is taken.")),
)]
pub async fn create(
    caller: Caller,
    State(organizations): State<Arc<dyn OrganizationStore>>,
    State(random): State<Arc<dyn Random>>,
    audit: Audit,
    body: RequestBody,
) -> Result<(StatusCode, Json<Organization>), ApiError> {
    caller.require(Action::Create, Object::any(Resource::Organization))?;
    let id = uuid::Builder::from_random_bytes(random.generator().random()).into_uuid();
    let new = parse(OrganizationId(id), body.parse()?)?;
    let organization = organizations
        .create_organization(new, &audit.context(StatusCode::CREATED))
        .await?;
    Ok((StatusCode::CREATED, Json(organization.into())))
}

fn parse(
    id: OrganizationId,
    request: CreateOrganizationRequest,
) -> Result<NewOrganization, ApiError> {
    let display_name = if request.display_name.is_empty() {
        &request.name
    } else {
        &request.display_name
    };
    let mut faults = Violations::new();
    let name = faults.check("name", OrganizationName::parse(&request.name));
    let display_name = faults.check("display_name", parse_display_name(display_name));
    let (name, display_name) = faults.finish(name.zip(display_name))?;
    Ok(NewOrganization {
        id,
        name,
        display_name,
        description: request.description,
        icon: request.icon,
    })
}
