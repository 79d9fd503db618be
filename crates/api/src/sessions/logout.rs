//! `POST /users/logout`: signing out.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{AppendHeaders, IntoResponse},
};
use http::{StatusCode, header::SET_COOKIE};
use usher_api_types::Response;
use usher_store::SessionStore;

use crate::{ApiError, Audit, Caller, Json, cookies::clear_session};

/// Ends the session that the request came with, whatever its scopes, and the user's keys
/// that connect to applications.
#[utoipa::path(
    post, path = "/users/logout", tag = "Sessions",
    responses((status = 200, body = Response, description = "The session has ended.")),
)]
pub async fn logout(
    caller: Caller,
    State(sessions): State<Arc<dyn SessionStore>>,
    audit: Audit,
) -> Result<impl IntoResponse, ApiError> {
    // One that is gone already has ended as well.
    let _gone = sessions
        .log_out(&caller.key.id, &audit.context(StatusCode::OK))
        .await?;
    Ok((
        AppendHeaders([(SET_COOKIE, clear_session())]),
        Json(Response::message("Logged out!")),
    ))
}
