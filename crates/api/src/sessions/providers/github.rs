//! `GET /users/oauth2/github/callback`: signing in through GitHub.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, Uri};
use usher_api_types::{Response as Body, session::SignInRedirect};

use super::{Attempt, Providers, not_set_up, refusal};
use crate::{AppState, Audit, QueryParameters, RequestFacts};

/// The path of the callback.
pub const PATH: &str = "/api/v2/users/oauth2/github/callback";

/// Signs in through GitHub. Without a code the browser is sent there, and comes back with
/// one.
#[utoipa::path(
    get, path = "/users/oauth2/github/callback", tag = "Sessions", security(()),
    params(("code" = Option<String>, Query, description = "What GitHub sent the browser back with, or the code of a device."),
           ("state" = Option<String>, Query, description = "The state of the attempt, as in the cookie `oauth_state`."),
           ("redirect" = Option<String>, Query, description = "Where to be afterwards: a path of this site."),
           ("oidc_merge_state" = Option<String>, Query, description = "The state of a change of the way to sign in.")),
    responses((status = 200, body = SignInRedirect, description = "A device is signed in; the session is a cookie."),
              (status = 307, description = "On to GitHub, or back with the session as a cookie."),
              (status = 400, body = Body, description = "GitHub is not set up, or what it says cannot be used."),
              (status = 401, body = Body, description = "The state is not that of this browser, or the user is in none of the organizations."),
              (status = 403, description = "The user may not sign in so, told as a page."),
              (status = 409, body = Body, description = "The address belongs to somebody else."),
              (status = 502, body = Body, description = "GitHub cannot be asked.")),
)]
pub async fn callback(
    State(app): State<AppState>,
    State(providers): State<Arc<Providers>>,
    uri: Uri,
    query: QueryParameters,
    headers: HeaderMap,
    facts: RequestFacts,
    audit: Audit,
) -> Response {
    let Some(provider) = &providers.github else {
        return not_set_up("GitHub").into_response();
    };
    let attempt = Attempt {
        app: &app,
        provider,
        name: Cow::Borrowed("github"),
        path: PATH,
        uri: &uri,
        query: &query,
        headers: &headers,
    };
    refusal::readable(&attempt, attempt.answer(&facts, &audit).await).await
}
