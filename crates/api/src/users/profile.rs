//! `PUT /users/{user}/profile`: changing username and display name.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{
    Response,
    user::{UpdateUserProfileRequest, User},
};
use usher_domain::{Action, DisplayName, Object, Username, Violations, audit::AuditAction};
use usher_store::{ProfileChange, UserStore};

use crate::{
    ApiError, Audit, Caller, Json, RequestBody, audit_context::user_entry, target::TargetUser,
};

/// Sets username and display name. All users can change their own display name; changing a
/// username needs permission to manage users.
#[utoipa::path(
    put, path = "/users/{user}/profile", tag = "Users",
    params(TargetUser),
    request_body = UpdateUserProfileRequest,
    responses((status = 200, body = User, description = "The updated user."),
              (status = 400, body = Response, description = "A field is invalid."),
              (status = 403, body = Response, description = "The caller may not change this user."),
              (status = 404, body = Response, description = "The caller may not change usernames."),
              (status = 409, body = Response, description = "The username is taken.")),
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
            let change = parse(&body.parse()?)?;
            let renames = change.username != user.username;
            if renames && !caller.may(Action::Update, Object::user(user.id)) {
                return Err(ApiError::NotFound);
            }
            caller.require(Action::UpdatePersonal, Object::user(user.id))?;
            users
                .set_user_profile(user.id, change, &audit.context(StatusCode::OK))
                .await?
                .ok_or(ApiError::NotFound)
        })
        .await?;
    Ok(Json(changed.into()))
}

fn parse(request: &UpdateUserProfileRequest) -> Result<ProfileChange, ApiError> {
    let mut faults = Violations::new();
    let username = faults.check("username", Username::parse(&request.username));
    let name = faults.check("name", DisplayName::parse(&request.name));
    let (username, name) = faults.finish(username.zip(name))?;
    Ok(ProfileChange { username, name })
}
