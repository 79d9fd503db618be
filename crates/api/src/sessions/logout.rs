//! `POST /users/logout`: sign-out.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{AppendHeaders, IntoResponse},
};
use http::{StatusCode, header::SET_COOKIE};
use usher_api_types::Response;
use usher_store::SessionStore;

use crate::{ApiError, Audit, Caller, Json, cookies, credential::SESSION_COOKIE};

/// Signs out: revokes the key of the request, whatever its scopes, and the user's keys that
/// connect to applications.
#[utoipa::path(
    post, path = "/users/logout", tag = "Sessions",
    responses((status = 200, body = Response, description = "The key is revoked.")),
)]
pub async fn logout(
    caller: Caller,
    State(sessions): State<Arc<dyn SessionStore>>,
    audit: Audit,
) -> Result<impl IntoResponse, ApiError> {
    // Signing out twice succeeds.
    let _revoked = sessions
        .log_out(&caller.key.id, &audit.context(StatusCode::OK))
        .await?;
    Ok((
        AppendHeaders([(SET_COOKIE, cookies::clear(SESSION_COOKIE))]),
        Json(Response::message("Logged out!")),
    ))
}
