//! `DELETE /users/{user}`: deleting a user.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::Response;
use usher_domain::{Action, Object, audit::AuditAction};
use usher_store::UserStore;

use crate::{ApiError, Audit, Caller, Json, audit_context::user_entry, target::TargetUser};

/// Deletes the user and revokes their keys. The username and e-mail address can be reused.
#[utoipa::path(
    delete, path = "/users/{user}", tag = "Users",
    params(TargetUser),
    responses((status = 200, body = Response, description = "The user was deleted."),
              (status = 403, body = Response, description = "The caller lacks the permission, or is the user.")),
)]
pub async fn delete(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(users): State<Arc<dyn UserStore>>,
    audit: Audit,
) -> Result<Json<Response>, ApiError> {
    let entry = user_entry(AuditAction::Delete, &user);
    audit
        .record_failure(entry, async {
            if user.id == caller.id() {
                return Err(ApiError::rule(
                    StatusCode::FORBIDDEN,
                    "You cannot delete yourself!",
                ));
            }
            let unless_owner = !caller.user.is_owner();
            if user.is_owner() && unless_owner {
                return Err(ApiError::Forbidden);
            }
            caller.require(Action::Delete, Object::user(user.id))?;
            users
                .delete_user(user.id, unless_owner, &audit.context(StatusCode::OK))
                .await?
                .ok_or(ApiError::NotFound)
        })
        .await?;
    tracing::info!(user.id = %user.id, actor.id = %caller.id(), "deleted a user");
    Ok(Json(Response::message("User has been deleted!")))
}
