//! `POST /users/validate-password`: whether a password is acceptable.

use usher_api_types::{
    Response,
    session::{ValidateUserPasswordRequest, ValidateUserPasswordResponse},
};
use usher_domain::{Password, Violations};

use crate::{ApiError, Json, RequestBody, password};

/// Checks whether a password is acceptable as a new password.
#[utoipa::path(
    post, path = "/users/validate-password", tag = "Sessions",
    request_body = ValidateUserPasswordRequest,
    responses((status = 200, body = ValidateUserPasswordResponse, description = "Whether the password is acceptable, and if not, the reason."),
              (status = 400, body = Response, description = "The password is missing.")),
)]
pub async fn validate(body: RequestBody) -> Result<Json<ValidateUserPasswordResponse>, ApiError> {
    let request: ValidateUserPasswordRequest = body.parse()?;
    let mut faults = Violations::new();
    password::require(&mut faults, "password", &request.password);
    faults.finish(Some(()))?;
    let details = match Password::choose(password::secret(request.password)) {
        Ok(_) => String::new(),
        Err(weakness) => format!("The password {weakness}."),
    };
    Ok(Json(ValidateUserPasswordResponse {
        valid: details.is_empty(),
        details,
    }))
}
