//! Authentication: from the credential of a request to its [`Caller`].

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use usher_domain::{Actor, ApiToken, UserStatus};

use crate::{
    ApiError, AppState, Caller, RequestFacts, credential, error::Challenge, limits, renewal,
};

/// Requires a valid credential, so that handlers can extract a [`Caller`]. Use it as
/// middleware for your own routes: `middleware::from_fn_with_state(state, require_caller)`.
pub async fn require(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    match add_caller(&state, &mut request, Renewal::IfExpired).await {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// [`require`] with the rate limit, in one middleware since each has a cost. The limit comes
/// second, so that it counts users rather than network addresses.
pub(crate) async fn require_and_limit(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    require_with(Renewal::IfExpired, state, request, next).await
}

/// [`require_and_limit`], also for a session whose access at the provider has expired: users
/// can sign out while the provider is down.
pub(crate) async fn require_to_leave(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    require_with(Renewal::Never, state, request, next).await
}

/// Whether expired access at a provider is renewed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Renewal {
    IfExpired,
    Never,
}

async fn require_with(
    renewal: Renewal,
    state: AppState,
    mut request: Request,
    next: Next,
) -> Response {
    match add_caller(&state, &mut request, renewal).await {
        Ok(()) => limits::limit(State(state), request, next).await,
        Err(error) => error.into_response(),
    }
}

/// [`require_and_limit`] whose 401 response has neither a reason nor a challenge. Clients
/// expect that of the routes that their pages call before sign-in.
pub(crate) async fn require_plainly_and_limit(
    state: State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = require_and_limit(state, request, next).await;
    if response.extensions_mut().remove::<Challenge>().is_some() {
        return ApiError::rule(StatusCode::UNAUTHORIZED, "Authentication required.")
            .into_response();
    }
    response
}

async fn add_caller(
    state: &AppState,
    request: &mut Request,
    renewal: Renewal,
) -> Result<(), ApiError> {
    let facts = request.extensions().get::<RequestFacts>().cloned();
    let (headers, uri) = (request.headers(), request.uri());
    let actor = identify(state, headers, uri, facts.as_ref(), renewal).await;
    let actor = actor.map_err(|error| limits::count_stranger(state, request, error))?;
    request.extensions_mut().insert(Caller::new(actor));
    Ok(())
}

/// Returns the actor of a request's credential, with one query, and records the use of the
/// key if that is due.
///
/// # Errors
///
/// [`ApiError::Unauthenticated`] if the credential is missing or invalid, or the user is not
/// active.
pub(crate) async fn authenticate(
    state: &AppState,
    headers: &HeaderMap,
    uri: &Uri,
    facts: Option<&RequestFacts>,
) -> Result<Actor, ApiError> {
    identify(state, headers, uri, facts, Renewal::IfExpired).await
}

async fn identify(
    state: &AppState,
    headers: &HeaderMap,
    uri: &Uri,
    facts: Option<&RequestFacts>,
    renewal: Renewal,
) -> Result<Actor, ApiError> {
    let (sessions, settings) = (&state.sessions, &state.settings);
    let now = state.clock.now();
    let unknown_key = || ApiError::signed_out("The API key is invalid.");

    let text = credential::find(headers, uri).ok_or_else(|| {
        ApiError::signed_out(format!(
            "Cookie \"{name}\" or query parameter \"{name}\" must be provided.",
            name = credential::SESSION_COOKIE
        ))
    })?;
    let token = ApiToken::parse(&text)
        .map_err(|error| ApiError::signed_out(format!("Invalid session token format: {error}.")))?;
    let mut credential = sessions
        .find_credential(&token.id)
        .await?
        .ok_or_else(unknown_key)?;
    let expired_at = renewal::take_expired_link(&mut credential, now);
    let mut verified = credential
        .verify(&token, now)
        .map_err(credential::rejected)?;
    if let Some(expired_at) = expired_at
        && renewal == Renewal::IfExpired
    {
        renewal::renew(state, &verified, expired_at).await?;
    }
    if let Some(touch) = verified.key.touch(now, settings.refresh_sessions) {
        let ip = facts.and_then(|facts| facts.ip);
        sessions.touch_key(&verified.key.id, touch, ip, now).await?;
        verified.user.last_seen_at = now;
        verified.user.updated_at = now;
    }
    if verified.user.status == UserStatus::Dormant {
        verified.user = sessions
            .activate_user(verified.user.id, now)
            .await?
            .ok_or_else(unknown_key)?;
    }
    verified.into_actor().map_err(credential::rejected)
}
