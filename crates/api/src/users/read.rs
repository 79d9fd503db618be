//! `GET /users/{user}`: one person.

use usher_api_types::{Response, user::User};

use crate::{ApiError, Json, target::TargetUser};

/// Returns the user.
#[utoipa::path(
    get, path = "/users/{user}", tag = "Users",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    responses((status = 200, body = User, description = "The user."),
              (status = 400, body = Response, description = "There is no such user that the caller may read.")),
)]
pub async fn read(TargetUser(user): TargetUser) -> Result<Json<User>, ApiError> {
    Ok(Json(user.into()))
}
