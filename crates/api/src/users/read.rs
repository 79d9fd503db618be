//! `GET /users/{user}`: one user.

use usher_api_types::{Response, user::User};

use crate::{ApiError, Json, target::TargetUser};

/// Returns the user.
#[utoipa::path(
    get, path = "/users/{user}", tag = "Users",
    params(TargetUser),
    responses((status = 200, body = User, description = "The user."),
              (status = 400, body = Response, description = "The user does not exist, or the caller may not read them.")),
)]
pub async fn read(TargetUser(user): TargetUser) -> Result<Json<User>, ApiError> {
    Ok(Json(user.into()))
}
