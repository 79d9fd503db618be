//! The first half: off to the provider.

use axum::response::{AppendHeaders, IntoResponse as _, Response};
use http::{
    HeaderName, StatusCode,
    header::{LOCATION, SET_COOKIE},
};
use usher_identity::Flow;

use super::{Attempt, REDIRECT_COOKIE, STATE_COOKIE, header, redirect::reduce, state};
use crate::{ApiError, cookies::set_cookie};

/// Sends the browser to the provider, with what it must bring back. A device is sent to the
/// page where people type its code.
pub(super) async fn start(attempt: &Attempt<'_>) -> Result<Response, ApiError> {
    let flow = begin(attempt).await?;
    let location = if attempt.is_device() {
        format!("/login/device?state={}", flow.state)
    } else {
        let url = attempt.provider.client.authorization_url(&flow).await;
        let url = url.map_err(|error| {
            tracing::warn!(%error, provider = %attempt.name, "nobody can be sent to the provider");
            ApiError::rule(
                StatusCode::BAD_GATEWAY,
                "The provider cannot be reached at the moment. Please try again.",
            )
            .with_detail(error.to_string())
        })?;
        url.into()
    };
    let settings = &attempt.app.settings;
    // Always set, so that the target of an earlier attempt does not stay.
    let target = reduce(attempt.query.first("redirect").unwrap_or_default());
    let headers: [(HeaderName, _); 3] = [
        (LOCATION, header(&LOCATION, &location)?),
        (SET_COOKIE, set_cookie(STATE_COOKIE, &flow.state, settings)),
        (SET_COOKIE, set_cookie(REDIRECT_COOKIE, &target, settings)),
    ];
    Ok((StatusCode::TEMPORARY_REDIRECT, AppendHeaders(headers)).into_response())
}

/// A new flow, or that of a change of the way to sign in. Nobody else may say which state
/// is used: an attack would begin so (RFC 9700, 4.7).
async fn begin(attempt: &Attempt<'_>) -> Result<Flow, ApiError> {
    let states = attempt.states();
    let Some(asked) = attempt.parameter("oidc_merge_state") else {
        let mut rng = attempt.app.random.generator();
        return Ok(states.begin(&attempt.name, &mut rng).await?);
    };
    let known = if state::is_conversion(asked) {
        states.resume(&attempt.name, asked).await?
    } else {
        None
    };
    known.ok_or_else(|| {
        ApiError::bad_request("\"oidc_merge_state\" must be a state that this server gave out.")
    })
}
