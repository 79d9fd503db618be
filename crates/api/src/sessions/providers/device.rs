//! `GET /users/oauth2/github/device`: signing in a device by a code that is typed into
//! another one (RFC 8628).

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{Response, session::DeviceAuthorization};

use super::{Providers, not_set_up};
use crate::{ApiError, Json};

/// Begins to sign in a device through GitHub.
#[utoipa::path(
    get, path = "/users/oauth2/github/device", tag = "Sessions", security(()),
    responses((status = 200, body = DeviceAuthorization, description = "What to type where. The device asks the callback meanwhile, with its code as `code`."),
              (status = 400, body = Response, description = "GitHub is not set up, or not for devices."),
              (status = 502, body = Response, description = "GitHub cannot be asked, or does not let devices in.")),
)]
pub async fn authorize(
    State(providers): State<Arc<Providers>>,
) -> Result<Json<DeviceAuthorization>, ApiError> {
    let Some(github) = &providers.github else {
        return Err(not_set_up("GitHub"));
    };
    if !github.client.uses_device_flow() {
        return Err(ApiError::bad_request(
            "Devices do not sign in through GitHub here.",
        ));
    }
    let begun = github.client.authorize_device().await.map_err(|error| {
        tracing::warn!(%error, "GitHub does not let a device sign in");
        ApiError::rule(
            StatusCode::BAD_GATEWAY,
            "GitHub did not let the device begin to sign in.",
        )
        .with_detail(error.to_string())
    })?;
    Ok(Json(DeviceAuthorization {
        device_code: begun.device_code,
        user_code: begun.user_code,
        verification_uri: begun.verification_uri,
        expires_in: begun.expires_in,
        interval: begun.interval,
    }))
}
