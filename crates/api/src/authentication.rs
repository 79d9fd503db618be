//! Authentication: from the credential of a request to its [`Caller`].

use axum::{
    extract::Request,
    http::{HeaderMap, Uri},
};
use usher_domain::{Actor, ApiToken, UserStatus};

use crate::{ApiError, AppState, Caller, RequestFacts, credential, renewal};

/// Whether expired access at a provider is renewed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    IfExpired,
    Never,
}

/// Authenticates a request, so that its handler can extract a [`Caller`].
pub(crate) async fn add_caller(
    state: &AppState,
    request: &mut Request,
    renewal: Renewal,
) -> Result<(), ApiError> {
    let facts = request.extensions().get::<RequestFacts>().cloned();
    let (headers, uri) = (request.headers(), request.uri());
    let actor = identify(state, headers, uri, facts.as_ref(), renewal).await;
    request.extensions_mut().insert(Caller::new(actor?));
    Ok(())
}

/// Returns the actor of a request's credential, with one query, and records the use of the
/// key if that is due.
///
/// # Errors
///
/// [`ApiError::Unauthenticated`] if the credential is missing or invalid, or the user is not
/// active.
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
