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
    Action, AllowEntry, AllowList, ApiToken, AuditContext, LoginType, Object, Resource, Scope,
    TokenName, User, UserId, allow_list::MAX_ALLOW_LIST_ENTRIES, random::Random,
};
use usher_store::{ApiKeyStore, Conflict, KeyFilter, StoreError};

use crate::{
    ApiError, Audit, Caller, Json, RequestBody, Settings,
    issuing::{self, KeyParameters},
    query::QueryParameters,
    target::{LastSegment, TargetUser},
};

/// The maximum number of scopes that one call takes.
const MAX_SCOPES: usize = 128;
/// How many random names are tried if each one is taken.
const NAME_ATTEMPTS: usize = 5;

/// Lists the user's tokens, or with `include_all` those of all users, that the caller may read.
/// Returns `null` if there are none.
#[utoipa::path(
    get, path = "/users/{user}/keys/tokens", tag = "Keys",
    params(TargetUser,
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
    let filter = if !wants_all {
        KeyFilter::Of(user.id)
    } else if caller.may(Action::Read, Object::any(Resource::ApiKey)) {
        KeyFilter::All
    } else {
        KeyFilter::Of(caller.id())
    };
    let tokens = keys.list_tokens(filter).await?;
    let readable: Vec<ApiKeyWithOwner> = tokens
        .into_iter()
        .filter(|(key, _)| caller.may(Action::Read, Object::api_key_of(key.user_id)))
        .map(|(key, username)| ApiKeyWithOwner {
            key: key.into(),
            username,
        })
        .collect();
    Ok(Json(Some(readable).filter(|tokens| !tokens.is_empty())))
}

/// Accepts the spellings of "true" that Go clients send.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True")
}

/// Creates a token.
#[utoipa::path(
    post, path = "/users/{user}/keys/tokens", tag = "Keys",
    params(TargetUser),
    request_body = CreateTokenRequest,
    responses((status = 201, body = GenerateApiKeyResponse, description = "The token, which is not shown again."),
              (status = 400, body = Response, description = "A field is invalid."),
              (status = 403, body = Response, description = "The caller may not create this token."),
              (status = 409, body = Response, description = "The user has a token with this name.")),
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
    let parameters = KeyParameters {
        login_type: LoginType::Token,
        scopes: parse_scopes(&request)?,
        allow_list: normalize(&entries)?,
        lifetime: parse_lifetime(request.lifetime, &caller, &user, &settings)?,
        token_name: TokenName::new(request.token_name),
        ip: None,
    };
    issuing::check_target(&caller, &user)?;
    issuing::check_scope(&caller, &parameters)?;
    let by = audit.context(StatusCode::CREATED);
    let token = issue(parameters, user.id, &*keys, &*random, &by).await?;
    let key = token.expose().into();
    Ok((StatusCode::CREATED, Json(GenerateApiKeyResponse { key })))
}

/// Stores a new token. A token without a name gets a random one.
async fn issue(
    mut parameters: KeyParameters,
    user: UserId,
    keys: &dyn ApiKeyStore,
    random: &dyn Random,
    by: &AuditContext,
) -> Result<ApiToken, ApiError> {
    let mut rng = random.generator();
    let token = ApiToken::generate(&mut rng);
    let mut names_left = if parameters.token_name.as_str().is_empty() {
        NAME_ATTEMPTS
    } else {
        0
    };
    loop {
        if names_left > 0 {
            parameters.token_name = issuing::random_name(&mut rng);
        }
        let key = parameters.key(&token, user, by.initiator.at)?;
        match keys.create_key(key, by).await {
            Err(StoreError::Conflict(Conflict::TokenName)) if names_left > 1 => names_left -= 1,
            Err(StoreError::Conflict(Conflict::TokenName)) => {
                let name = parameters.token_name.as_str();
                let message = format!("A token named {name:?} already exists.");
                return Err(ApiError::rule(StatusCode::CONFLICT, message).of_field("name"));
            }
            other => {
                other?;
                return Ok(token);
            }
        }
    }
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
            ApiError::bad_request("The token could not be created.").with_detail(format!(
                "`allow_list` has {} entries; at most {MAX_ALLOW_LIST_ENTRIES} are allowed.",
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
            format!("At most {MAX_SCOPES} scopes are allowed."),
        ));
    }
    let refuse = |name: &str| {
        ApiError::bad_request("The token could not be created.")
            .with_detail(format!("{name:?} is not a scope that can be requested."))
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
        Err(ApiError::bad_request("The token could not be created.").with_detail(detail))
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

/// Returns the limits of the user's tokens.
#[utoipa::path(
    get, path = "/users/{user}/keys/tokens/tokenconfig", tag = "Keys",
    params(TargetUser),
    responses((status = 200, body = TokenConfig, description = "The limits.")),
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

/// Returns the user's token with that name.
#[utoipa::path(
    get, path = "/users/{user}/keys/tokens/{keyname}", tag = "Keys",
    params(TargetUser,
           ("keyname" = String, Path, description = "The exact name of the token.", example = "ci")),
    responses((status = 200, body = ApiKey, description = "The token."),
              (status = 404, body = Response, description = "Not found, or the caller may not read it.")),
)]
pub async fn read(
    caller: Caller,
    TargetUser(user): TargetUser,
    LastSegment(name): LastSegment,
    State(keys): State<Arc<dyn ApiKeyStore>>,
) -> Result<Json<ApiKey>, ApiError> {
    let key = keys
        .find_key_by_name(user.id, &TokenName::new(name))
        .await?
        .filter(|key| caller.may(Action::Read, Object::api_key_of(key.user_id)))
        .ok_or(ApiError::NotFound)?;
    Ok(Json(key.into()))
}
