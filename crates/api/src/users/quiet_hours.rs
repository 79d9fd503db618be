//! `/users/{user}/quiet-hours`: always 403, as from a reference deployment without that feature.
//! Quiet hours are about workspaces, which this service does not have.

use http::StatusCode;
use usher_api_types::Response;

use crate::ApiError;

/// Always 403: this service has no workspaces.
#[utoipa::path(
    get, path = "/users/{user}/quiet-hours", tag = "Deployment",
    params(("user" = String, Path, description = "Ignored.", example = "me")),
    responses((status = 403, body = Response, description = "This service has no workspaces.")),
)]
pub async fn read() -> ApiError {
    unavailable()
}

/// Always 403: this service has no workspaces.
#[utoipa::path(
    put, path = "/users/{user}/quiet-hours", tag = "Deployment",
    params(("user" = String, Path, description = "Ignored.", example = "me")),
    responses((status = 403, body = Response, description = "This service has no workspaces.")),
)]
pub async fn update() -> ApiError {
    unavailable()
}

fn unavailable() -> ApiError {
    ApiError::rule(
        StatusCode::FORBIDDEN,
        "Quiet hours are not available, because this service has no workspaces.",
    )
}
