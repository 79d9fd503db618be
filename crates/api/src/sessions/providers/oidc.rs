//! `GET /users/oidc/callback` and the callbacks of further providers: sign-in through OpenID
//! Connect.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use usher_api_types::Response as Body;

use super::{Callback, Provider, Providers, SignInRequest, not_configured};
use crate::ApiError;

const PATH: &str = "/api/v2/users/oidc/callback";
const STATE_NAME: &str = "oidc";
/// The number of the second provider.
const FIRST_NUMBERED: usize = 2;

/// Returns the path of the callback of the OpenID provider at `index`.
pub fn callback_path(index: usize) -> String {
    match index {
        0 => PATH.to_owned(),
        _ => format!("/api/v2/users/oidc/{}/callback", index + 1),
    }
}

/// Signs in through the first OpenID provider. Without `code` the browser is redirected to the
/// provider, which redirects it back with one.
#[utoipa::path(
    get, path = "/users/oidc/callback", tag = "Sessions",
    params(("code" = Option<String>, Query, description = "The authorization code from the provider."),
           ("state" = Option<String>, Query, description = "The state of the sign-in, equal to the cookie `oauth_state`."),
           ("redirect" = Option<String>, Query, description = "The path on this site to redirect to afterwards."),
           ("oidc_merge_state" = Option<String>, Query, description = "The state of a change of login type.")),
    responses((status = 307, description = "Redirect to the provider, or back to this site with the session as a cookie."),
              (status = 400, body = Body, description = "No provider is configured, or its response is unusable."),
              (status = 401, body = Body, description = "The sign-in was not started in this browser."),
              (status = 403, description = "The user cannot sign in this way. An HTML page or JSON."),
              (status = 409, body = Body, description = "The e-mail address belongs to another user."),
              (status = 502, body = Body, description = "The provider is unreachable or rejects this server.")),
)]
pub async fn callback(
    State(providers): State<Arc<Providers>>,
    callback: Callback,
) -> Result<Response, ApiError> {
    let provider = providers.oidc.first();
    let provider = provider.ok_or_else(|| not_configured("An OpenID provider"))?;
    Ok(respond(provider, 0, &callback).await)
}

/// Signs in through another OpenID provider, selected by its number from 2 on.
#[utoipa::path(
    get, path = "/users/oidc/{provider}/callback", tag = "Sessions",
    params(("provider" = String, Path, description = "The number of the provider in the settings, from 2.", example = "2"),
           ("code" = Option<String>, Query, description = "The authorization code from the provider."),
           ("state" = Option<String>, Query, description = "The state of the sign-in, equal to the cookie `oauth_state`."),
           ("redirect" = Option<String>, Query, description = "The path on this site to redirect to afterwards."),
           ("oidc_merge_state" = Option<String>, Query, description = "The state of a change of login type.")),
    responses((status = 307, description = "Redirect to the provider, or back to this site with the session as a cookie."),
              (status = 400, body = Body, description = "The provider is not configured, or its response is unusable."),
              (status = 401, body = Body, description = "The sign-in was not started in this browser."),
              (status = 403, description = "The user cannot sign in this way. An HTML page or JSON."),
              (status = 409, body = Body, description = "The e-mail address belongs to another user."),
              (status = 502, body = Body, description = "The provider is unreachable or rejects this server.")),
)]
pub async fn numbered_callback(
    State(providers): State<Arc<Providers>>,
    path: Result<Path<String>, PathRejection>,
    callback: Callback,
) -> Result<Response, ApiError> {
    let found = path.ok().and_then(|Path(number)| find(&providers, &number));
    let (index, provider) =
        found.ok_or_else(|| not_configured("An OpenID provider of that number"))?;
    Ok(respond(provider, index, &callback).await)
}

async fn respond(provider: &Provider, index: usize, callback: &Callback) -> Response {
    let request = SignInRequest {
        provider,
        state_name: match index {
            0 => Cow::Borrowed(STATE_NAME),
            _ => Cow::Owned(format!("{STATE_NAME}-{}", index + 1)),
        },
        path: &callback_path(index),
        callback,
    };
    request.respond().await
}

/// Returns the provider with that number and its index. Signs and leading zeros are rejected.
fn find<'a>(providers: &'a Providers, number: &str) -> Option<(usize, &'a Provider)> {
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number: usize = number.parse().ok().filter(|_| is_number)?;
    let index = number.checked_sub(1).filter(|_| number >= FIRST_NUMBERED)?;
    Some((index, providers.oidc.get(index)?))
}
