//! `GET /users/{user}/login-type`: the caller's login type.

use http::StatusCode;
use usher_api_types::{Response, user::UserLoginType};

use crate::{ApiError, Caller, Json, target::TargetUser};

/// Returns the caller's login type. That of other users is not available.
#[utoipa::path(
    get, path = "/users/{user}/login-type", tag = "Users",
    params(TargetUser),
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
            "You can only read your own login type.",
        ));
    }
    Ok(Json(UserLoginType {
        login_type: user.login_type.as_str().to_owned(),
    }))
}
