//! Site roles: `GET /users/roles`, and `/users/{user}/roles`.

use std::{collections::BTreeSet, sync::Arc};

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{
    Response,
    role::{AssignableRole, UpdateRoles, UserRoles},
    user::User,
};
use usher_domain::{Action, Object, Resource, SiteRole, audit::AuditAction};
use usher_store::{RolesChange, UserStore};

use crate::{
    ApiError, Audit, Caller, Json, RequestBody, audit_context::user_entry, role_lists,
    target::TargetUser,
};

/// Lists the site roles and whether the caller may assign them.
#[utoipa::path(
    get, path = "/users/roles", tag = "Roles",
    responses((status = 200, body = Vec<AssignableRole>, description = "The roles."),
              (status = 403, body = Response, description = "The scopes of the key do not allow it.")),
)]
pub async fn list_assignable(caller: Caller) -> Result<Json<Vec<AssignableRole>>, ApiError> {
    caller.require(Action::Read, Object::any(Resource::AssignRole))?;
    Ok(Json(role_lists::site(&caller)))
}

/// Returns the names of the user's assigned roles.
#[utoipa::path(
    get, path = "/users/{user}/roles", tag = "Roles",
    params(TargetUser),
    responses((status = 200, body = UserRoles, description = "The roles."),
              (status = 404, body = Response, description = "The caller may not read them.")),
)]
pub async fn read(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(users): State<Arc<dyn UserStore>>,
) -> Result<Json<UserRoles>, ApiError> {
    if !caller.may(Action::ReadPersonal, Object::user(user.id)) {
        return Err(ApiError::NotFound);
    }
    let memberships = if user.is_deleted {
        Vec::new()
    } else if user.id == caller.id() {
        caller.memberships.clone()
    } else {
        users.list_memberships(user.id).await?
    };
    let organization_roles = memberships
        .into_iter()
        .filter(|membership| {
            caller.may(
                Action::Read,
                Object::member(membership.user_id, membership.organization_id),
            )
        })
        .map(|membership| (membership.organization_id.0, membership.roles))
        .collect();
    Ok(Json(UserRoles {
        roles: user.roles,
        organization_roles,
    }))
}

/// Replaces the site roles of the user.
#[utoipa::path(
    put, path = "/users/{user}/roles", tag = "Roles",
    params(TargetUser),
    request_body = UpdateRoles,
    responses((status = 200, body = User, description = "The updated user."),
              (status = 400, body = Response, description = "A role does not exist, or the caller may not assign it."),
              (status = 403, body = Response, description = "The caller may not assign roles.")),
)]
pub async fn update(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(users): State<Arc<dyn UserStore>>,
    audit: Audit,
    body: RequestBody,
) -> Result<Json<User>, ApiError> {
    let entry = user_entry(AuditAction::Write, &user);
    let changed = audit
        .record_failure(entry, async {
            if user.id == caller.id() {
                return Err(ApiError::bad_request("You cannot change your own roles."));
            }
            let request: UpdateRoles = body.parse()?;
            role_lists::check_length(&request.roles)?;
            let change = RolesChange {
                roles: check(&caller, &user.roles, request.roles)?,
                replaces: user.roles.clone(),
            };
            users
                .set_user_roles(user.id, change, &audit.context(StatusCode::OK))
                .await?
                .ok_or(ApiError::NotFound)
        })
        .await?;
    tracing::info!(user.id = %user.id, actor.id = %caller.id(), "changed the roles of a user");
    Ok(Json(changed.into()))
}

/// Returns the new roles without duplicates, if the caller may make this change.
fn check(caller: &Caller, stored: &[String], wanted: Vec<String>) -> Result<Vec<String>, ApiError> {
    let stored: BTreeSet<&str> = stored.iter().map(String::as_str).collect();
    let wanted: BTreeSet<String> = wanted.into_iter().collect();
    let added = wanted
        .iter()
        .map(String::as_str)
        .filter(|name| !stored.contains(name));
    let removed: Vec<&str> = stored
        .iter()
        .copied()
        .filter(|name| !wanted.contains(*name))
        .collect();

    // Every user has the role `member`, so each change assigns it too.
    let mut changed = vec![SiteRole::Member];
    for name in added {
        let role = SiteRole::parse(name)
            .filter(|role| *role != SiteRole::Member)
            .ok_or_else(|| {
                ApiError::bad_request(format!("{name:?} is not a site role that can be assigned."))
            })?;
        changed.push(role);
    }
    // A stored name that is not a role grants nothing, and can be removed freely.
    changed.extend(removed.iter().filter_map(|name| SiteRole::parse(name)));

    let roles = Object::any(Resource::AssignRole);
    caller.require(Action::Assign, roles)?;
    if !removed.is_empty() {
        caller.require(Action::Unassign, roles)?;
    }
    if let Some(role) = changed.iter().find(|role| !caller.may_assign(**role)) {
        return Err(ApiError::bad_request(format!(
            "You may not assign the role {:?}.",
            role.name()
        )));
    }
    Ok(wanted.into_iter().collect())
}
