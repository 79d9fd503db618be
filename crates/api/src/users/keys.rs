//! `/users/{user}/keys`: sessions of the command line, and any key by its identifier.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{
    Response,
    api_key::{ApiKey, GenerateApiKeyResponse},
};
use usher_domain::{
    Action, AllowList, ApiKeyId, ApiToken, LoginType, Object, Scope, TokenName, random::Random,
};
use usher_store::ApiKeyStore;

use crate::{
    ApiError, Audit, Caller, Json, RequestFacts, Settings,
    issuing::{self, KeyParameters},
    target::{LastWord, TargetUser},
};

/// Makes a session for a client that keeps it itself. No cookie is set, so that signing
/// out in the browser does not end it.
#[utoipa::path(
    post, path = "/users/{user}/keys", tag = "Keys",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    responses((status = 201, body = GenerateApiKeyResponse, description = "The key, shown this once."),
              (status = 403, body = Response, description = "The caller may not make keys for this user.")),
)]
pub async fn create(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(keys): State<Arc<dyn ApiKeyStore>>,
    State(random): State<Arc<dyn Random>>,
    State(settings): State<Arc<Settings>>,
    facts: RequestFacts,
    audit: Audit,
) -> Result<(StatusCode, Json<GenerateApiKeyResponse>), ApiError> {
    issuing::check_target(&caller, &user)?;
    let token = ApiToken::generate(&mut random.generator());
    let by = audit.context(StatusCode::CREATED);
    let parameters = KeyParameters {
        login_type: LoginType::Password,
        token_name: TokenName::default(),
        scopes: vec![Scope::ALL],
        allow_list: AllowList::everything(),
        lifetime: issuing::default_lifetime(&caller, &settings),
        ip: facts.ip,
    };
    issuing::check_reach(&caller, &parameters)?;
    keys.create_key(parameters.key(&token, user.id, by.initiator.at)?, &by)
        .await?;
    let key = token.expose().into();
    Ok((StatusCode::CREATED, Json(GenerateApiKeyResponse { key })))
}

/// Returns the key, whoever's it is, if the caller may read it.
#[utoipa::path(
    get, path = "/users/{user}/keys/{keyid}", tag = "Keys",
    params(("user" = String, Path, description = "A UUID, a username, or `me`; it need not own the key."),
           ("keyid" = String, Path, description = "The identifier of the key.")),
    responses((status = 200, body = ApiKey, description = "The key."),
              (status = 404, body = Response, description = "There is none that the caller may read.")),
)]
pub async fn read(
    caller: Caller,
    _: TargetUser,
    LastWord(id): LastWord,
    State(keys): State<Arc<dyn ApiKeyStore>>,
) -> Result<Json<ApiKey>, ApiError> {
    let key = keys
        .find_key(&ApiKeyId::from_stored(id))
        .await?
        .filter(|key| caller.may(Action::Read, Object::api_key_of(key.user_id)))
        .ok_or(ApiError::NotFound)?;
    Ok(Json(key.into()))
}

/// Ends the key, whoever's it is, if the caller may.
#[utoipa::path(
    delete, path = "/users/{user}/keys/{keyid}", tag = "Keys",
    params(("user" = String, Path, description = "A UUID, a username, or `me`; it need not own the key."),
           ("keyid" = String, Path, description = "The identifier of the key.")),
    responses((status = 204, description = "The key has ended."),
              (status = 404, body = Response, description = "There is none that the caller may end.")),
)]
pub async fn delete(
    caller: Caller,
    _: TargetUser,
    LastWord(id): LastWord,
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
