//! `GET /users/oauth2/github/device`: the device flow (RFC 8628), in which the user types a
//! code on another device.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{Response, session::DeviceAuthorization};

use super::{Providers, not_configured};
use crate::{ApiError, Json};

/// Starts the sign-in of a device through GitHub.
#[utoipa::path(
    get, path = "/users/oauth2/github/device", tag = "Sessions",
    responses((status = 200, body = DeviceAuthorization, description = "The code to type and where. The device then polls the callback with its device code as `code`."),
              (status = 400, body = Response, description = "GitHub is not configured, or without the device flow."),
              (status = 502, body = Response, description = "GitHub is unreachable or rejects the request.")),
)]
pub async fn authorize(
    State(providers): State<Arc<Providers>>,
) -> Result<Json<DeviceAuthorization>, ApiError> {
    let github = providers.github.as_ref();
    let github = github.ok_or_else(|| not_configured("GitHub"))?;
    if !github.client.uses_device_flow() {
        return Err(ApiError::bad_request(
            "The device flow of GitHub is not enabled on this server.",
        ));
    }
    let device = github.client.authorize_device().await.map_err(|error| {
        tracing::warn!(%error, "GitHub rejected the start of a device flow");
        let message = "GitHub did not start the device flow.";
        ApiError::rule(StatusCode::BAD_GATEWAY, message).with_detail(error.to_string())
    })?;
    Ok(Json(DeviceAuthorization {
        device_code: device.device_code,
        user_code: device.user_code,
        verification_uri: device.verification_uri,
        expires_in: device.expires_in,
        interval: device.interval,
    }))
}
