//! `GET /users/oidc/callback` and those of further providers: signing in by OpenID Connect.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, Uri};
use usher_api_types::Response as Body;

use super::{Attempt, Provider, Providers, not_set_up, refusal};
use crate::{AppState, Audit, QueryParameters, RequestFacts};

const PATH: &str = "/api/v2/users/oidc/callback";
const STATE_NAME: &str = "oidc";
/// The number of the second provider.
const FIRST_FURTHER: usize = 2;

/// The path of the callback of a provider, by its place among the OpenID providers.
pub fn callback_path(index: usize) -> String {
    match index {
        0 => PATH.to_owned(),
        _ => format!("/api/v2/users/oidc/{}/callback", index + 1),
    }
}

/// Signs in through the first OpenID provider. Without a code the browser is sent there, and
/// comes back with one.
#[utoipa::path(
    get, path = "/users/oidc/callback", tag = "Sessions", security(()),
    params(("code" = Option<String>, Query, description = "What the provider sent the browser back with."),
           ("state" = Option<String>, Query, description = "The state of the attempt, as in the cookie `oauth_state`."),
           ("redirect" = Option<String>, Query, description = "Where to be afterwards: a path of this site."),
           ("oidc_merge_state" = Option<String>, Query, description = "The state of a change of the way to sign in.")),
    responses((status = 307, description = "On to the provider, or back with the session as a cookie."),
              (status = 400, body = Body, description = "No provider is set up, or what it says cannot be used."),
              (status = 401, body = Body, description = "The state is not that of this browser."),
              (status = 403, description = "The user may not sign in so, told as a page or as JSON."),
              (status = 409, body = Body, description = "The address belongs to somebody else."),
              (status = 502, body = Body, description = "The provider cannot be asked.")),
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
    let Some(provider) = providers.oidc.first() else {
        return not_set_up("An OpenID provider").into_response();
    };
    let call = Call {
        uri: &uri,
        query: &query,
        headers: &headers,
    };
    answer(&app, provider, 0, call, &facts, &audit).await
}

/// Signs in through another OpenID provider, by its number from 2 on, as through the first.
#[utoipa::path(
    get, path = "/users/oidc/{provider}/callback", tag = "Sessions", security(()),
    params(("provider" = String, Path, description = "The number of the provider in the settings, from 2 on."),
           ("code" = Option<String>, Query, description = "What the provider sent the browser back with."),
           ("state" = Option<String>, Query, description = "The state of the attempt, as in the cookie `oauth_state`."),
           ("redirect" = Option<String>, Query, description = "Where to be afterwards: a path of this site."),
           ("oidc_merge_state" = Option<String>, Query, description = "The state of a change of the way to sign in.")),
    responses((status = 307, description = "On to the provider, or back with the session as a cookie."),
              (status = 400, body = Body, description = "There is no such provider, or what it says cannot be used."),
              (status = 401, body = Body, description = "The state is not that of this browser."),
              (status = 403, description = "The user may not sign in so, told as a page or as JSON."),
              (status = 409, body = Body, description = "The address belongs to somebody else."),
              (status = 502, body = Body, description = "The provider cannot be asked.")),
)]
pub async fn further_callback(
    State(app): State<AppState>,
    State(providers): State<Arc<Providers>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    query: QueryParameters,
    headers: HeaderMap,
    facts: RequestFacts,
    audit: Audit,
) -> Response {
    let found = path.ok().and_then(|Path(number)| find(&providers, &number));
    let Some((index, provider)) = found else {
        return not_set_up("An OpenID provider of that number").into_response();
    };
    let call = Call {
        uri: &uri,
        query: &query,
        headers: &headers,
    };
    answer(&app, provider, index, call, &facts, &audit).await
}

/// The provider of a number as it is written, and its place.
fn find<'a>(providers: &'a Providers, number: &str) -> Option<(usize, &'a Provider)> {
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number: usize = number.parse().ok().filter(|_| is_number)?;
    let index = number.checked_sub(1).filter(|_| number >= FIRST_FURTHER)?;
    Some((index, providers.oidc.get(index)?))
}

struct Call<'a> {
    uri: &'a Uri,
    query: &'a QueryParameters,
    headers: &'a HeaderMap,
}

async fn answer(
    app: &AppState,
    provider: &Provider,
    index: usize,
    call: Call<'_>,
    facts: &RequestFacts,
    audit: &Audit,
) -> Response {
    let attempt = Attempt {
        app,
        provider,
        name: match index {
            0 => Cow::Borrowed(STATE_NAME),
            _ => Cow::Owned(format!("{STATE_NAME}-{}", index + 1)),
        },
        path: &callback_path(index),
        uri: call.uri,
        query: call.query,
        headers: call.headers,
    };
    refusal::readable(&attempt, attempt.answer(facts, audit).await).await
}
