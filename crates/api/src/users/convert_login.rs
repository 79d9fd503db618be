//! `POST /users/{user}/convert-login`: from the password to a provider.
//!
//! Who knows the password may change the way to sign in. The change is made when the
//! provider has confirmed who they are; until then a signed cookie says what was asked.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{AppendHeaders, IntoResponse},
};
use chrono::{DateTime, TimeDelta, Utc};
use http::{StatusCode, header::SET_COOKIE};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rand::{RngExt as _, distr::Alphanumeric};
use secrecy::{ExposeSecret as _, SecretBox};
use serde::{Deserialize, Serialize};
use serde_json::json;
use usher_api_types::{
    Response,
    convert_login::{ConvertLoginRequest, OAuthConversionResponse},
};
use usher_domain::{
    LoginType, User, Violations,
    audit::{AuditAction, AuditEntry, AuditResource, Diff, diff_time},
    random::Random,
    time::never,
};
use usher_store::{AuditStore, SigningFeature, SigningKey, SigningKeyStore, UserStore};
use uuid::Uuid;

use crate::{
    ApiError, Caller, Json, RequestBody, Settings, Trail, cookies::set_cookie_until,
    hashing::Hasher, password, sessions::login, target::TargetUser,
};

/// The cookie that says what was asked.
const COOKIE: &str = "coder_oauth_convert_jwt";
/// How long it is good.
const LIFETIME: TimeDelta = TimeDelta::minutes(5);
/// How far the clocks of two replicas may be apart.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(1);
/// What the state begins with, followed by [`STATE_CHARS`] random characters.
const STATE_PREFIX: &str = "convert-";
const STATE_CHARS: usize = 32;

/// Asks for another way to sign in.
#[utoipa::path(
    post, path = "/users/{user}/convert-login", tag = "Users",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    request_body = ConvertLoginRequest,
    responses((status = 201, body = OAuthConversionResponse, description = "The change is waiting for the provider."),
              (status = 400, body = Response, description = "There is no such way."),
              (status = 401, body = Response, description = "The password is wrong, or the user is not the caller."),
              (status = 403, body = Response, description = "Nobody signs in by password.")),
)]
pub async fn create(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(users): State<Arc<dyn UserStore>>,
    State(keys): State<Arc<dyn SigningKeyStore>>,
    State(audit): State<Arc<dyn AuditStore>>,
    State(hasher): State<Hasher>,
    State(random): State<Arc<dyn Random>>,
    State(settings): State<Arc<Settings>>,
    trail: Trail,
    body: RequestBody,
) -> Result<impl IntoResponse, ApiError> {
    let request: ConvertLoginRequest = body.parse()?;
    let to_type = parse(&request)?;
    let stored = users.find_password_hash(user.id).await?;
    let secret = password::secret(request.password);
    let matches = hasher.verify(&secret, stored.as_ref()).await?;
    // Only oneself may. Others are told that the password is wrong whether it is or not, or
    // the answer would tell.
    login::check(&user, matches && user.id == caller.id(), &settings)?;

    let by = trail.initiator(StatusCode::CREATED);
    let mut rng = random.generator();
    let fresh = SecretBox::new(Box::new(rng.random()));
    let key = keys
        .signing_key(SigningFeature::OidcConvert, fresh, by.at)
        .await?;
    let state: String = (0..STATE_CHARS)
        .map(|_| char::from(rng.sample(Alphanumeric)))
        .collect();
    let claims = Claims::new(
        &user,
        to_type,
        format!("{STATE_PREFIX}{state}"),
        by.at,
        &settings,
    );
    let token = claims.sign(&key)?;
    audit
        .record_attempt(entry(&user, to_type, by.at), &by)
        .await?;

    let expires_at = by.at + LIFETIME;
    let cookie = set_cookie_until(COOKIE, &token, expires_at, &settings);
    let response = OAuthConversionResponse {
        state_string: claims.state,
        expires_at: expires_at.into(),
        to_type: to_type.as_str().to_owned(),
        user_id: user.id.0,
    };
    Ok((
        StatusCode::CREATED,
        AppendHeaders([(SET_COOKIE, cookie)]),
        Json(response),
    ))
}

fn parse(request: &ConvertLoginRequest) -> Result<LoginType, ApiError> {
    let mut faults = Violations::new();
    if request.to_type.is_empty() {
        faults.push("to_type", "The value must not be empty.");
    }
    password::require(&mut faults, "password", &request.password);
    faults.finish(Some(()))?;
    match LoginType::parse(&request.to_type) {
        Some(provider @ (LoginType::Github | LoginType::Oidc)) => Ok(provider),
        _ => Err(ApiError::bad_request(format!(
            "Nobody can change to the login type {:?}.",
            request.to_type
        ))),
    }
}

fn entry(user: &User, to_type: LoginType, now: DateTime<Utc>) -> AuditEntry {
    let diff = Diff::new()
        .field("created_at", diff_time(never()), diff_time(now))
        .field("expires_at", diff_time(never()), diff_time(now + LIFETIME))
        .field("from_login_type", "", user.login_type.as_str())
        .field("to_login_type", "", to_type.as_str())
        .field("user_id", "", json!(user.id.0));
    let (action, resource) = (AuditAction::Create, AuditResource::ConvertLogin);
    AuditEntry::new(action, resource, user.id, to_type.as_str()).with_diff(diff)
}

/// What the cookie says, signed as a JWT (RFC 7519).
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: String,
    user_id: Uuid,
    state: String,
    from_login_type: String,
    to_login_type: String,
}

impl Claims {
    fn new(
        user: &User,
        to_type: LoginType,
        state: String,
        now: DateTime<Utc>,
        settings: &Settings,
    ) -> Self {
        Self {
            iss: settings.deployment_id.to_string(),
            sub: state.clone(),
            aud: user.id.to_string(),
            exp: (now + LIFETIME).timestamp(),
            nbf: (now - CLOCK_SKEW).timestamp(),
            iat: now.timestamp(),
            jti: Uuid::new_v4().to_string(),
            user_id: user.id.0,
            state,
            from_login_type: user.login_type.as_str().to_owned(),
            to_login_type: to_type.as_str().to_owned(),
        }
    }

    fn sign(&self, key: &SigningKey) -> Result<String, ApiError> {
        let header = Header {
            kid: Some(key.sequence.to_string()),
            ..Header::new(Algorithm::HS512)
        };
        let secret = EncodingKey::from_secret(key.secret.expose_secret());
        jsonwebtoken::encode(&header, self, &secret)
            .map_err(|error| ApiError::Internal(Box::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(to_type: &str, password: &str) -> Result<LoginType, ApiError> {
        parse(&ConvertLoginRequest {
            to_type: to_type.to_owned(),
            password: password.into(),
        })
    }

    #[test]
    fn only_providers_can_be_changed_to() {
        assert_eq!(ask("github", "x").unwrap(), LoginType::Github);
        assert_eq!(ask("oidc", "x").unwrap(), LoginType::Oidc);
        for to_type in ["none", "password", "token", "saml", "OIDC"] {
            assert!(
                matches!(ask(to_type, "x"), Err(ApiError::Rule { .. })),
                "{to_type}"
            );
        }
        assert!(matches!(ask("", "x"), Err(ApiError::Invalid(_))));
        assert!(matches!(ask("oidc", ""), Err(ApiError::Invalid(_))));
    }
}
