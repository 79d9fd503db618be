//! Signing in and out, and what is asked on the way there.

pub mod login;
pub mod logout;
pub mod methods;
pub mod passcode;
pub mod providers;
pub mod validate_password;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::AppState;

/// The routes that need no credential.
pub(crate) fn public_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(login::login))
        .routes(routes!(methods::methods))
        .routes(routes!(passcode::request))
        .routes(routes!(passcode::change_password))
        .routes(routes!(validate_password::validate))
        .routes(routes!(providers::github_callback))
        .routes(routes!(providers::github_device))
        .routes(routes!(providers::oidc_callback))
}

/// The routes that need one.
pub(crate) fn private_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(logout::logout))
}
