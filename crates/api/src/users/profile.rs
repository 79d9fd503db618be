//! `PUT /users/{user}/profile`: names.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{
    Response,
    user::{UpdateUserProfileRequest, User},
};
use usher_domain::{
    Action, DisplayName, Object, Username, Violations,
    audit::{AuditAction, AuditEntry, AuditResource},
};
use usher_store::{ProfileChange, UserStore};

use crate::{ApiError, Audit, Caller, Json, RequestBody, target::TargetUser};

/// Sets username and display name. The own display name is everybody's to change,
/// usernames only for those who manage users.
#[utoipa::path(
    put, path = "/users/{user}/profile", tag = "Users",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    request_body = UpdateUserProfileRequest,
    responses((status = 200, body = User, description = "The user as changed."),
              (status = 400, body = Response, description = "A field breaks its rule."),
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
    let entry = AuditEntry::new(
        AuditAction::Write,
        AuditResource::User,
        user.id,
        user.username.as_str(),
    );
    let changed = audit
        .record_failure(entry, async {
            let change = parse(&body.parse()?)?;
            let renames = change.username != user.username;
            if renames && !caller.may(Action::Update, Object::user(user.id)) {
                return Err(ApiError::NotFound);
            }
            if !caller.may(Action::UpdatePersonal, Object::user(user.id)) {
                return Err(ApiError::Forbidden);
            }
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
