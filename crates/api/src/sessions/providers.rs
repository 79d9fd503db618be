//! Signing in through providers. None is set up yet, and so the paths say.

use usher_api_types::Response;

use crate::ApiError;

/// Signs in through GitHub.
#[utoipa::path(
    get, path = "/users/oauth2/github/callback", tag = "Sessions", security(()),
    responses((status = 400, body = Response, description = "GitHub is not set up.")),
)]
pub async fn github_callback() -> ApiError {
    not_set_up("GitHub")
}

/// Begins to sign in a device through GitHub.
#[utoipa::path(
    get, path = "/users/oauth2/github/device", tag = "Sessions", security(()),
    responses((status = 400, body = Response, description = "GitHub is not set up.")),
)]
pub async fn github_device() -> ApiError {
    not_set_up("GitHub")
}

/// Signs in through an OpenID provider.
#[utoipa::path(
    get, path = "/users/oidc/callback", tag = "Sessions", security(()),
    responses((status = 400, body = Response, description = "No provider is set up.")),
)]
pub async fn oidc_callback() -> ApiError {
    not_set_up("An OpenID provider")
}

fn not_set_up(provider: &str) -> ApiError {
    ApiError::bad_request(format!("{provider} is not set up for signing in."))
}
