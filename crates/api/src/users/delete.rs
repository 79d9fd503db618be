//! `DELETE /users/{user}`: people removed.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::Response;
use usher_domain::{
    Action, Object,
    audit::{AuditAction, AuditEntry, AuditResource},
};
use usher_store::UserStore;

use crate::{ApiError, Audit, Caller, Json, target::TargetUser};

/// Deletes the user: all their keys end, and their name and address are free again.
#[utoipa::path(
    delete, path = "/users/{user}", tag = "Users",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    responses((status = 200, body = Response, description = "The user was deleted."),
              (status = 403, body = Response, description = "The caller may not, or is the user.")),
)]
pub async fn delete(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(users): State<Arc<dyn UserStore>>,
    audit: Audit,
) -> Result<Json<Response>, ApiError> {
    let entry = AuditEntry::new(
        AuditAction::Delete,
        AuditResource::User,
        user.id,
        user.username.as_str(),
    );
    audit
        .record_failure(entry, async {
            if user.id == caller.id() {
                return Err(ApiError::rule(
                    StatusCode::FORBIDDEN,
                    "You cannot delete yourself!",
                ));
            }
            let reaches_up = user.is_owner() && !caller.user.is_owner();
            if reaches_up || !caller.may(Action::Delete, Object::user(user.id)) {
                return Err(ApiError::Forbidden);
            }
            users
                .delete_user(
                    user.id,
                    !caller.user.is_owner(),
                    &audit.context(StatusCode::OK),
                )
                .await?
                .ok_or(ApiError::NotFound)
        })
        .await?;
    tracing::info!(user.id = %user.id, actor.id = %caller.id(), "deleted a user");
    Ok(Json(Response::message("User has been deleted!")))
}
