//! `/users/{user}/keys`: sessions for command-line clients, and any key by its ID.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{
    Response,
    api_key::{ApiKey, GenerateApiKeyResponse},
};
use usher_domain::{Action, ApiKeyId, ApiToken, LoginType, Object, random::Random};
use usher_store::ApiKeyStore;

use crate::{
    ApiError, Audit, Caller, Json, Settings,
    issuing::{self, KeyParameters},
    target::{LastSegment, TargetUser},
};

/// Creates a session for a client that stores the key itself. No cookie is set, so the session
/// is independent of the browser's.
#[utoipa::path(
    post, path = "/users/{user}/keys", tag = "Keys",
    params(TargetUser),
    responses((status = 201, body = GenerateApiKeyResponse, description = "The key, which is not shown again."),
              (status = 403, body = Response, description = "The caller may not create keys for this user.")),
)]
pub async fn create(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(keys): State<Arc<dyn ApiKeyStore>>,
    State(random): State<Arc<dyn Random>>,
    State(settings): State<Arc<Settings>>,
    audit: Audit,
) -> Result<(StatusCode, Json<GenerateApiKeyResponse>), ApiError> {
    issuing::check_target(&caller, &user)?;
    let token = ApiToken::generate(&mut random.generator());
    let by = audit.context(StatusCode::CREATED);
    let lifetime = issuing::default_lifetime(&caller, &settings);
    let parameters = KeyParameters::session(LoginType::Password, lifetime, by.ip);
    issuing::check_scope(&caller, &parameters)?;
    keys.create_key(parameters.key(&token, user.id, by.initiator.at)?, &by)
        .await?;
    let key = token.expose().into();
    Ok((StatusCode::CREATED, Json(GenerateApiKeyResponse { key })))
}

/// Returns a key of any user, if the caller may read it.
#[utoipa::path(
    get, path = "/users/{user}/keys/{keyid}", tag = "Keys",
    params(TargetUser,
           ("keyid" = String, Path, description = "The key's ID.", example = "0123456789")),
    responses((status = 200, body = ApiKey, description = "The key."),
              (status = 404, body = Response, description = "Not found, or the caller may not read it.")),
)]
pub async fn read(
    caller: Caller,
    _: TargetUser,
    LastSegment(id): LastSegment,
    State(keys): State<Arc<dyn ApiKeyStore>>,
) -> Result<Json<ApiKey>, ApiError> {
    let key = keys
        .find_key(&ApiKeyId::from_stored(id))
        .await?
        .filter(|key| caller.may(Action::Read, Object::api_key_of(key.user_id)))
        .ok_or(ApiError::NotFound)?;
    Ok(Json(key.into()))
}

/// Revokes a key of any user, if the caller may.
#[utoipa::path(
    delete, path = "/users/{user}/keys/{keyid}", tag = "Keys",
    params(TargetUser,
           ("keyid" = String, Path, description = "The key's ID.", example = "0123456789")),
    responses((status = 204, description = "The key is revoked."),
              (status = 404, body = Response, description = "Not found, or the caller may not delete it.")),
)]
pub async fn delete(
    caller: Caller,
    _: TargetUser,
    LastSegment(id): LastSegment,
    State(keys): State<Arc<dyn ApiKeyStore>>,
    audit: Audit,
) -> Result<StatusCode, ApiError> {
    let key = keys
        .find_key(&ApiKeyId::from_stored(id))
        .await?
        .filter(|key| {
            let object = Object::api_key_of(key.user_id);
            caller.may(Action::Read, object) && caller.may(Action::Delete, object)
        })
        .ok_or(ApiError::NotFound)?;
    keys.delete_key(&key.id, &audit.context(StatusCode::NO_CONTENT))
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(StatusCode::NO_CONTENT)
}
