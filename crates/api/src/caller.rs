//! Who makes a request: from the credential to the [`Actor`].

use std::{ops::Deref, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Uri, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use usher_domain::{Actor, ApiToken, UserStatus, time::to_wire};
use usher_store::Refusal;

use http::StatusCode;

use crate::{ApiError, AppState, RequestFacts, credential, error::Challenge, limits, renewal};

/// Who makes the request. Only routes behind [`require`] have one.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Actor>);

impl Deref for Caller {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            ApiError::Internal("a handler that needs a caller was mounted as public".into())
        })
    }
}

/// Lets through requests with a good credential only, and notes whose it is, so that
/// handlers can take a [`Caller`]. For routes of one's own, as middleware:
/// `middleware::from_fn_with_state(state, require_caller)`.
pub async fn require(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    match note_caller(&state, &mut request, Renewal::WhereDue).await {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Lets through what [`require`] does, as often as the caller may. In one, since each
/// middleware has its price; the credential is looked at first, so that people are counted
/// and not addresses.
pub(crate) async fn require_and_limit(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    require_with(Renewal::WhereDue, state, request, next).await
}

/// Lets through what [`require_and_limit`] does, and those whose access at their provider has
/// ended: whoever holds a session may end it, also while the provider is down.
pub(crate) async fn require_to_leave(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    require_with(Renewal::NotNeeded, state, request, next).await
}

/// Whether access that has ended at a provider is renewed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Renewal {
    WhereDue,
    NotNeeded,
}

async fn require_with(
    renewal: Renewal,
    state: AppState,
    mut request: Request,
    next: Next,
) -> Response {
    match note_caller(&state, &mut request, renewal).await {
        Ok(()) => limits::limit(State(state), request, next).await,
        Err(error) => error.into_response(),
    }
}

/// Lets through what [`require_and_limit`] does, and refuses the rest in plainer words:
/// without what exactly is wrong and without a challenge. Clients ask so for what pages need
/// that may be shown to nobody yet.
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

async fn note_caller(
    state: &AppState,
    request: &mut Request,
    renewal: Renewal,
) -> Result<(), ApiError> {
    let facts = request.extensions().get::<RequestFacts>().cloned();
    let (headers, uri) = (request.headers(), request.uri());
    let found = identify(state, headers, uri, facts.as_ref(), renewal).await;
    let actor = found.map_err(|error| limits::count_stranger(state, request, error))?;
    request.extensions_mut().insert(Caller(Arc::new(actor)));
    Ok(())
}

/// Turns the credential of a request into its actor, in one read of the store, and writes
/// down the use of the key where that is due.
///
/// # Errors
///
/// [`ApiError::Unauthenticated`] for a credential that is missing or not good, and for a
/// user who may not act.
pub(crate) async fn authenticate(
    state: &AppState,
    headers: &HeaderMap,
    uri: &Uri,
    facts: Option<&RequestFacts>,
) -> Result<Actor, ApiError> {
    identify(state, headers, uri, facts, Renewal::WhereDue).await
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
        .ok_or_else(|| ApiError::signed_out("The API key is invalid."))?;
    let overdue = renewal::take_overdue(&mut credential, now);
    let mut verified = credential.verify(&token, now).map_err(refuse)?;
    if let Some(ended) = overdue
        && renewal == Renewal::WhereDue
    {
        renewal::renew(state, &verified, ended).await?;
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
            .ok_or_else(|| ApiError::signed_out("The API key is invalid."))?;
    }
    verified.into_actor().map_err(refuse)
}

/// What the holder of a credential is told by which nobody may act.
pub(crate) fn refuse(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::WrongSecret => ApiError::signed_out("The API key's secret is invalid."),
        Refusal::Expired(ended) => {
            ApiError::signed_out(format!("API key expired at {}.", to_wire(ended)))
        }
        Refusal::Unlinked => ApiError::signed_out("You must sign in through the provider again."),
        Refusal::LinkExpired(ended) => ApiError::signed_out(format!(
            "The access that the provider gave ended at {}.",
            to_wire(ended)
        )),
        Refusal::Inactive(status) => inactive(status),
    }
}

/// The answer to a key of somebody whose status keeps them out.
fn inactive(status: UserStatus) -> ApiError {
    ApiError::Unauthenticated {
        message: inactive_text(status),
        detail: String::new(),
    }
}

/// What somebody is told whose status keeps them out.
pub(crate) fn inactive_text(status: UserStatus) -> String {
    format!(
        "Your account is not active (status: \"{}\"). Contact an admin to reactivate it.",
        status.as_str()
    )
}
