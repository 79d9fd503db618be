//! `GET /users/{user}/login-type`: how one signs in.

use http::StatusCode;
use usher_api_types::{Response, user::UserLoginType};

use crate::{ApiError, Caller, Json, target::TargetUser};

/// Returns how the caller signs in. Nobody else's is told.
#[utoipa::path(
    get, path = "/users/{user}/login-type", tag = "Users",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    responses((status = 200, body = UserLoginType, description = "The login type."),
              (status = 403, body = Response, description = "The user is not the caller.")),
)]
pub async fn read(
    caller: Caller,
    TargetUser(user): TargetUser,
) -> Result<Json<UserLoginType>, ApiError> {
    if user.id != caller.id() {
        return Err(ApiError::rule(
            StatusCode::FORBIDDEN,
            "You may see your own login type only.",
        ));
    }
    Ok(Json(UserLoginType {
        login_type: user.login_type.as_str().to_owned(),
    }))
}
