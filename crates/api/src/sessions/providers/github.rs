//! `GET /users/oauth2/github/callback`: sign-in through GitHub.

use std::{borrow::Cow, sync::Arc};

use axum::{extract::State, response::Response};
use usher_api_types::{Response as Body, session::SignInRedirect};

use super::{Callback, Providers, SignInRequest, not_configured};
use crate::ApiError;

/// The path of the callback.
pub const PATH: &str = "/api/v2/users/oauth2/github/callback";

/// Signs in through GitHub. Without `code` the browser is redirected to GitHub, which
/// redirects it back with one.
#[utoipa::path(
    get, path = "/users/oauth2/github/callback", tag = "Sessions",
    params(("code" = Option<String>, Query, description = "The authorization code from GitHub, or a device code."),
           ("state" = Option<String>, Query, description = "The state of the sign-in, equal to the cookie `oauth_state`."),
           ("redirect" = Option<String>, Query, description = "The path on this site to redirect to afterwards."),
           ("oidc_merge_state" = Option<String>, Query, description = "The state of a change of login type.")),
    responses((status = 200, body = SignInRedirect, description = "The device is signed in. The session is set as a cookie."),
              (status = 307, description = "Redirect to GitHub, or back to this site with the session as a cookie."),
              (status = 400, body = Body, description = "GitHub is not configured, or its response is unusable."),
              (status = 401, body = Body, description = "The sign-in was not started in this browser, or the user is not a member of an allowed organization."),
              (status = 403, description = "The user cannot sign in this way. An HTML page, or JSON for a device."),
              (status = 409, body = Body, description = "The e-mail address belongs to another user."),
              (status = 502, body = Body, description = "GitHub is unreachable or rejects this server.")),
)]
pub async fn callback(
    State(providers): State<Arc<Providers>>,
    callback: Callback,
) -> Result<Response, ApiError> {
    let github = providers.github.as_ref();
    let request = SignInRequest {
        provider: github.ok_or_else(|| not_configured("GitHub"))?,
        state_name: Cow::Borrowed("github"),
        path: PATH,
        callback: &callback,
    };
    Ok(request.respond().await)
}
