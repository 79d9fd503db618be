//! `PUT /users/{user}/status/…`: who may sign in.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{Response, user::User};
use usher_domain::{
    Action, Object, UserStatus,
    audit::{AuditAction, AuditEntry, AuditResource},
};
use usher_store::{Conflict, StoreError, UserStore};

use crate::{ApiError, Audit, Caller, Json, target::TargetUser};

/// Suspends the user: nothing of theirs works from the next request on. Their keys stay,
/// and work again when they are activated.
#[utoipa::path(
    put, path = "/users/{user}/status/suspend", tag = "Users",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    responses((status = 200, body = User, description = "The user as changed."),
              (status = 400, body = Response, description = "The user is the caller, or an owner."),
              (status = 403, body = Response, description = "The caller may not.")),
)]
pub async fn suspend(
    caller: Caller,
    target: TargetUser,
    State(users): State<Arc<dyn UserStore>>,
    audit: Audit,
) -> Result<Json<User>, ApiError> {
    set(UserStatus::Suspended, &caller, target, &*users, &audit).await
}

/// Activates the user.
#[utoipa::path(
    put, path = "/users/{user}/status/activate", tag = "Users",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    responses((status = 200, body = User, description = "The user as changed."),
              (status = 403, body = Response, description = "The caller may not.")),
)]
pub async fn activate(
    caller: Caller,
    target: TargetUser,
    State(users): State<Arc<dyn UserStore>>,
    audit: Audit,
) -> Result<Json<User>, ApiError> {
    set(UserStatus::Active, &caller, target, &*users, &audit).await
}

async fn set(
    status: UserStatus,
    caller: &Caller,
    TargetUser(user): TargetUser,
    users: &dyn UserStore,
    audit: &Audit,
) -> Result<Json<User>, ApiError> {
    let entry = AuditEntry::new(
        AuditAction::Write,
        AuditResource::User,
        user.id,
        user.username.as_str(),
    );
    let changed = audit
        .record_failure(entry, async {
            if status == UserStatus::Suspended && user.id == caller.id() {
                return Err(ApiError::bad_request("You cannot suspend yourself."));
            }
            if status == UserStatus::Suspended && user.is_owner() {
                return Err(an_owner());
            }
            if !caller.may(Action::Update, Object::user(user.id)) {
                return Err(ApiError::Forbidden);
            }
            match users
                .set_user_status(user.id, status, &audit.context(StatusCode::OK))
                .await
            {
                Err(StoreError::Conflict(Conflict::ConcurrentModification)) => Err(an_owner()),
                other => other?.ok_or(ApiError::NotFound),
            }
        })
        .await?;
    tracing::info!(user.id = %user.id, actor.id = %caller.id(), status = status.as_str(), "set a status");
    Ok(Json(changed.into()))
}

fn an_owner() -> ApiError {
    ApiError::bad_request("An owner cannot be suspended: take the role away first.")
}
