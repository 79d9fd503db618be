//! `/users/{user}/keys/tokens`: long-lived tokens.

use std::sync::Arc;

use axum::extract::State;
use chrono::TimeDelta;
use http::StatusCode;
use usher_api_types::{
    Response,
    api_key::{ApiKey, ApiKeyWithOwner, CreateTokenRequest, GenerateApiKeyResponse, TokenConfig},
};
use usher_domain::{
    Action, AllowEntry, AllowList, ApiToken, LoginType, Object, Scope, TokenName, User,
    allow_list::MAX_ALLOW_LIST_ENTRIES, random::Random,
};
use usher_store::{ApiKeyStore, Conflict, KeyFilter, StoreError};

use crate::{
    ApiError, Audit, Caller, Json, RequestBody, Settings,
    issuing::{self, KeyParameters},
    query::QueryParameters,
    target::{LastWord, TargetUser},
};

/// The greatest number of scopes that one call takes.
const MAX_SCOPES: usize = 128;
/// How often another random name is tried when the first is taken.
const NAME_ATTEMPTS: usize = 5;

/// Lists the user's tokens, or with `include_all` everybody's, as far as the caller may
/// read them. None at all is `null`.
#[utoipa::path(
    get, path = "/users/{user}/keys/tokens", tag = "Keys",
    params(("user" = String, Path, description = "A UUID, a username, or `me`."),
           ("include_all" = Option<bool>, Query, description = "List the tokens of all users.")),
    responses((status = 200, body = Option<Vec<ApiKeyWithOwner>>, description = "The tokens.")),
)]
pub async fn list(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(keys): State<Arc<dyn ApiKeyStore>>,
    query: QueryParameters,
) -> Result<Json<Option<Vec<ApiKeyWithOwner>>>, ApiError> {
    let wants_all = query.first("include_all").is_some_and(is_true);
    let may_read = |owner| caller.may(Action::Read, Object::api_key_of(owner));
    let filter =
        if wants_all && caller.may(Action::Read, Object::any(usher_domain::Resource::ApiKey)) {
            KeyFilter::All
        } else if wants_all {
            KeyFilter::Of(caller.id())
        } else {
            KeyFilter::Of(user.id)
        };
    let found = keys.list_tokens(filter).await?;
    let readable: Vec<ApiKeyWithOwner> = found
        .into_iter()
        .filter(|(key, _)| may_read(key.user_id))
        .map(|(key, username)| ApiKeyWithOwner {
            key: key.into(),
            username,
        })
        .collect();
    Ok(Json(Some(readable).filter(|tokens| !tokens.is_empty())))
}

/// The spellings of "true" that clients written in Go send.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True")
}

/// Makes a token.
#[utoipa::path(
    post, path = "/users/{user}/keys/tokens", tag = "Keys",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    request_body = CreateTokenRequest,
    responses((status = 201, body = GenerateApiKeyResponse, description = "The token, shown this once."),
              (status = 400, body = Response, description = "A field breaks its rule."),
              (status = 403, body = Response, description = "The caller may not make this token."),
              (status = 409, body = Response, description = "The name is taken.")),
)]
pub async fn create(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(keys): State<Arc<dyn ApiKeyStore>>,
    State(random): State<Arc<dyn Random>>,
    State(settings): State<Arc<Settings>>,
    audit: Audit,
    body: RequestBody,
) -> Result<(StatusCode, Json<GenerateApiKeyResponse>), ApiError> {
    let request: CreateTokenRequest = body.parse()?;
    let entries = parse_allow_list(&request.allow_list)?;
    if user.is_system {
        return Err(ApiError::Forbidden);
    }
    let mut parameters = KeyParameters {
        login_type: LoginType::Token,
        scopes: parse_scopes(&request)?,
        allow_list: normalize(&entries)?,
        lifetime: parse_lifetime(request.lifetime, &caller, &user, &settings)?,
        token_name: TokenName::new(request.token_name),
        ip: None,
    };
    issuing::check_target(&caller, &user)?;
    issuing::check_reach(&caller, &parameters)?;

    let mut rng = random.generator();
    let wants_random_name = parameters.token_name.as_str().is_empty();
    let token = ApiToken::generate(&mut rng);
    let by = audit.context(StatusCode::CREATED);
    let mut attempts_left = NAME_ATTEMPTS;
    loop {
        if wants_random_name {
            parameters.token_name = issuing::random_name(&mut rng);
            attempts_left -= 1;
        }
        let outcome = keys
            .create_key(parameters.key(&token, user.id, by.initiator.at)?, &by)
            .await;
        match outcome {
            Err(StoreError::Conflict(Conflict::TokenName))
                if wants_random_name && attempts_left > 0 => {}
            other => break other?,
        }
    }
    let key = token.expose().into();
    Ok((StatusCode::CREATED, Json(GenerateApiKeyResponse { key })))
}

fn parse_allow_list(texts: &[String]) -> Result<Vec<AllowEntry>, ApiError> {
    texts
        .iter()
        .map(|text| AllowEntry::parse(text))
        .collect::<Result<_, _>>()
        .map_err(|invalid| ApiError::Malformed(format!("allow_list: an entry {invalid}")))
}

fn normalize(entries: &[AllowEntry]) -> Result<AllowList, ApiError> {
    if entries.len() > MAX_ALLOW_LIST_ENTRIES {
        return Err(
            ApiError::bad_request("The token could not be made.").with_detail(format!(
                "`allow_list` has {} entries, and at most {MAX_ALLOW_LIST_ENTRIES} are taken.",
                entries.len()
            )),
        );
    }
    Ok(AllowList::normalize(entries))
}

fn parse_scopes(request: &CreateTokenRequest) -> Result<Vec<Scope>, ApiError> {
    if request.scopes.len() > MAX_SCOPES {
        return Err(ApiError::field(
            "scopes",
            format!("At most {MAX_SCOPES} scopes are taken."),
        ));
    }
    let refuse = |name: &str| {
        ApiError::bad_request("The token could not be made.")
            .with_detail(format!("{name:?} is not a scope that can be asked for."))
    };
    if request.scopes.is_empty() {
        if request.scope.is_empty() {
            return Ok(vec![Scope::ALL]);
        }
        let scope = Scope::from_legacy(&request.scope).filter(|scope| scope.is_requestable());
        return Ok(vec![scope.ok_or_else(|| refuse(&request.scope))?]);
    }
    request
        .scopes
        .iter()
        .map(|name| {
            Scope::from_legacy(name)
                .filter(|scope| scope.is_requestable())
                .ok_or_else(|| refuse(name))
        })
        .collect()
}

fn parse_lifetime(
    nanoseconds: i64,
    caller: &Caller,
    user: &User,
    settings: &Settings,
) -> Result<TimeDelta, ApiError> {
    let refuse = |detail: String| {
        Err(ApiError::bad_request("The token could not be made.").with_detail(detail))
    };
    if nanoseconds == 0 {
        return Ok(issuing::default_lifetime(caller, settings));
    }
    if nanoseconds < 0 {
        return refuse("lifetime must be positive".to_owned());
    }
    let lifetime = TimeDelta::nanoseconds(nanoseconds);
    let max = issuing::max_lifetime(caller, user, settings);
    if lifetime > max {
        return refuse(format!(
            "lifetime must be less than {}",
            issuing::duration_text(max)
        ));
    }
    Ok(lifetime)
}

/// Returns the bounds of the user's tokens.
#[utoipa::path(
    get, path = "/users/{user}/keys/tokens/tokenconfig", tag = "Keys",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    responses((status = 200, body = TokenConfig, description = "The bounds.")),
)]
pub async fn config(
    TargetUser(user): TargetUser,
    State(settings): State<Arc<Settings>>,
) -> Result<Json<TokenConfig>, ApiError> {
    let max = issuing::max_lifetime_of(&user, &settings);
    Ok(Json(TokenConfig {
        max_token_lifetime: max.num_nanoseconds().unwrap_or(i64::MAX),
    }))
}

/// Returns the user's token of that name.
#[utoipa::path(
    get, path = "/users/{user}/keys/tokens/{keyname}", tag = "Keys",
    params(("user" = String, Path, description = "A UUID, a username, or `me`."),
           ("keyname" = String, Path, description = "The exact name of the token.")),
    responses((status = 200, body = ApiKey, description = "The token."),
              (status = 404, body = Response, description = "There is none that the caller may read.")),
)]
pub async fn read(
    caller: Caller,
    TargetUser(user): TargetUser,
    LastWord(name): LastWord,
    State(keys): State<Arc<dyn ApiKeyStore>>,
) -> Result<Json<ApiKey>, ApiError> {
    let key = keys
        .find_key_by_name(user.id, &TokenName::new(name))
        .await?
        .filter(|key| caller.may(Action::Read, Object::api_key_of(key.user_id)))
        .ok_or(ApiError::NotFound)?;
    Ok(Json(key.into()))
}
