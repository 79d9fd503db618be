//! The start of a sign-in: the redirect to the provider.

use axum::response::{AppendHeaders, IntoResponse as _, Response};
use http::{
    HeaderName, StatusCode,
    header::{LOCATION, SET_COOKIE},
};
use usher_identity::Flow;

use super::{
    REDIRECT_COOKIE, STATE_COOKIE, SignInRequest, header, redirect::without_origin, state,
};
use crate::{ApiError, cookies::set_cookie};

/// Redirects the browser to the provider, or for a device to the page that shows its code.
pub(super) async fn start(request: &SignInRequest<'_>) -> Result<Response, ApiError> {
    let flow = begin(request).await?;
    let location = if request.is_device() {
        format!("/login/device?state={}", flow.state)
    } else {
        let url = request.provider.client.authorization_url(&flow).await;
        url.map_err(|error| {
            tracing::warn!(%error, provider = %request.state_name, "a provider is unreachable");
            let message = "The provider is currently unreachable. Try again.";
            ApiError::rule(StatusCode::BAD_GATEWAY, message).with_detail(error.to_string())
        })?
        .into()
    };
    let settings = &request.app().settings;
    let target = without_origin(request.callback.query.first("redirect").unwrap_or_default());
    let headers: [(HeaderName, _); 3] = [
        (LOCATION, header(&LOCATION, &location)?),
        (SET_COOKIE, set_cookie(STATE_COOKIE, &flow.state, settings)),
        // Set even if empty, to replace the target of an earlier sign-in.
        (SET_COOKIE, set_cookie(REDIRECT_COOKIE, &target, settings)),
    ];
    Ok((StatusCode::TEMPORARY_REDIRECT, AppendHeaders(headers)).into_response())
}

/// Returns a new flow, or the flow of a conversion. Any other state in the query could be an
/// attacker's (RFC 9700, 4.7).
async fn begin(request: &SignInRequest<'_>) -> Result<Flow, ApiError> {
    let states = request.states();
    let Some(state) = request.parameter("oidc_merge_state") else {
        let mut rng = request.app().random.generator();
        return Ok(states.begin(&request.state_name, &mut rng).await?);
    };
    let flow = if state::is_conversion(state) {
        states.resume(&request.state_name, state).await?
    } else {
        None
    };
    flow.ok_or_else(|| {
        ApiError::bad_request("\"oidc_merge_state\" must be a state issued by this server.")
    })
}
