//! `/organizations/{organization}/members/…/roles`: organization roles.

use std::{collections::BTreeSet, sync::Arc};

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{
    Response,
    organization::OrganizationMember,
    role::{AssignableRole, UpdateRoles},
};
use usher_domain::{Action, Object, OrganizationId, OrganizationRole, Resource};
use usher_store::OrganizationStore;

use crate::{
    ApiError, Audit, Caller, Json, RequestBody, role_lists,
    target::{TargetMember, TargetOrganization},
};

/// Lists the roles of the organization and whether the caller may assign them.
#[utoipa::path(
    get, path = "/organizations/{organization}/members/roles", tag = "Roles",
    params(TargetOrganization),
    responses((status = 200, body = Vec<AssignableRole>, description = "The roles."),
              (status = 404, body = Response, description = "The organization does not exist, or the caller may not read it.")),
)]
pub async fn list_assignable(
    caller: Caller,
    TargetOrganization(organization): TargetOrganization,
) -> Result<Json<Vec<AssignableRole>>, ApiError> {
    let roles = Object::any(Resource::AssignOrgRole).of_organization(organization.id);
    if !caller.may(Action::Read, roles) {
        return Err(ApiError::NotFound);
    }
    Ok(Json(role_lists::organization(&caller, organization.id)))
}

/// Replaces the user's roles in the organization.
#[utoipa::path(
    put, path = "/organizations/{organization}/members/{user}/roles", tag = "Roles",
    params(TargetOrganization, TargetMember),
    request_body(content = UpdateRoles, example = json!({"roles": ["organization-auditor"]})),
    responses((status = 200, body = OrganizationMember, description = "The updated member."),
              (status = 400, body = Response, description = "A role does not exist, or the caller may not assign it."),
              (status = 403, body = Response, description = "The caller may not assign roles in this organization."),
              (status = 404, body = Response, description = "The member does not exist, or the caller may not read them.")),
)]
pub async fn update(
    caller: Caller,
    TargetOrganization(organization): TargetOrganization,
    TargetMember(user): TargetMember,
    State(organizations): State<Arc<dyn OrganizationStore>>,
    audit: Audit,
    body: RequestBody,
) -> Result<Json<OrganizationMember>, ApiError> {
    let membership = organizations
        .find_membership(organization.id, user.id)
        .await?
        .filter(|_| caller.may(Action::Read, Object::member(user.id, organization.id)))
        .ok_or(ApiError::NotFound)?;
    if user.id == caller.id() {
        return Err(
            ApiError::bad_request("You cannot change your own organization roles.")
                .with_detail("Ask another administrator of the organization."),
        );
    }
    let request: UpdateRoles = body.parse()?;
    role_lists::check_length(&request.roles)?;
    let roles = check(&caller, organization.id, &membership.roles, request.roles)?;
    let changed = organizations
        .set_membership_roles(
            organization.id,
            user.id,
            membership.roles,
            roles,
            &audit.context(StatusCode::OK),
        )
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(Json(changed.into()))
}

/// Returns the new roles without duplicates, if the caller may make this change.
fn check(
    caller: &Caller,
    organization: OrganizationId,
    stored: &[String],
    wanted: Vec<String>,
) -> Result<Vec<String>, ApiError> {
    let stored: BTreeSet<&str> = stored.iter().map(String::as_str).collect();
    let wanted: BTreeSet<String> = wanted.into_iter().collect();
    // Every member has the implied role, so each change assigns it too.
    let mut changed = vec![OrganizationRole::Member];
    for name in wanted.iter().map(String::as_str) {
        if stored.contains(name) {
            continue;
        }
        let role = OrganizationRole::parse(name)
            .filter(|role| *role != OrganizationRole::Member)
            .ok_or_else(|| {
                ApiError::bad_request(format!(
                    "{name:?} is not an organization role that can be assigned."
                ))
            })?;
        changed.push(role);
    }
    let removed: Vec<&str> = stored
        .into_iter()
        .filter(|name| !wanted.contains(*name))
        .collect();
    // A stored name that is not a role grants nothing, and can be removed freely.
    changed.extend(
        removed
            .iter()
            .filter_map(|name| OrganizationRole::parse(name)),
    );

    let roles = Object::any(Resource::AssignOrgRole).of_organization(organization);
    caller.require(Action::Assign, roles)?;
    if !removed.is_empty() {
        caller.require(Action::Unassign, roles)?;
    }
    if changed
        .iter()
        .any(|role| !caller.may_assign_in(organization, *role))
    {
        return Err(ApiError::Forbidden);
    }
    Ok(wanted.into_iter().collect())
}
