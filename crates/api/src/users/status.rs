//! `PUT /users/{user}/status/…`: suspending and activating a user.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{Response, user::User};
use usher_domain::{Action, Object, UserStatus, audit::AuditAction};
use usher_store::{Conflict, StoreError, UserStore};

use crate::{ApiError, Audit, Caller, Json, audit_context::user_entry, target::TargetUser};

/// Suspends the user. Their keys are rejected from the next request on, until the user is
/// activated again.
#[utoipa::path(
    put, path = "/users/{user}/status/suspend", tag = "Users",
    params(TargetUser),
    responses((status = 200, body = User, description = "The updated user."),
              (status = 400, body = Response, description = "The user is the caller or an owner."),
              (status = 403, body = Response, description = "The caller lacks the permission.")),
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
    params(TargetUser),
    responses((status = 200, body = User, description = "The updated user."),
              (status = 403, body = Response, description = "The caller lacks the permission.")),
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
    let entry = user_entry(AuditAction::Write, &user);
    let changed = audit
        .record_failure(entry, async {
            if status == UserStatus::Suspended && user.id == caller.id() {
                return Err(ApiError::bad_request("You cannot suspend yourself."));
            }
            if status == UserStatus::Suspended && user.is_owner() {
                return Err(owner_suspension());
            }
            caller.require(Action::Update, Object::user(user.id))?;
            match users
                .set_user_status(user.id, status, &audit.context(StatusCode::OK))
                .await
            {
                Err(StoreError::Conflict(Conflict::ConcurrentModification)) => {
                    Err(owner_suspension())
                }
                other => other?.ok_or(ApiError::NotFound),
            }
        })
        .await?;
    tracing::info!(user.id = %user.id, actor.id = %caller.id(), status = status.as_str(), "changed the status of a user");
    Ok(Json(changed.into()))
}

fn owner_suspension() -> ApiError {
    ApiError::bad_request("An owner cannot be suspended. Remove the role first.")
}
