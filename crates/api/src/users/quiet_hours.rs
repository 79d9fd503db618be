//! `/users/{user}/quiet-hours`: when workspaces are left alone. There are none here, and
//! clients expect the refusal of a deployment without that feature.

use http::StatusCode;
use usher_api_types::Response;

use crate::ApiError;

/// Refuses.
#[utoipa::path(
    get, path = "/users/{user}/quiet-hours", tag = "Deployment", security(()),
    params(("user" = String, Path, description = "Not looked at.")),
    responses((status = 403, body = Response, description = "There are no workspaces here.")),
)]
pub async fn read() -> ApiError {
    refuse()
}

/// Refuses.
#[utoipa::path(
    put, path = "/users/{user}/quiet-hours", tag = "Deployment", security(()),
    params(("user" = String, Path, description = "Not looked at.")),
    responses((status = 403, body = Response, description = "There are no workspaces here.")),
)]
pub async fn update() -> ApiError {
    refuse()
}

fn refuse() -> ApiError {
    ApiError::rule(
        StatusCode::FORBIDDEN,
        "Quiet hours belong to workspaces, which this service does not have.",
    )
}
