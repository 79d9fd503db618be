//! `POST /users/{user}/convert-login`: from the password to a provider.
//!
//! Who knows the password may change the way to sign in. The change is made when the
//! provider has confirmed who they are; until then a signed cookie says what was asked.

use axum::{
    extract::State,
    response::{AppendHeaders, IntoResponse as _, Response as AxumResponse},
};
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, StatusCode, header::SET_COOKIE};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rand::RngExt as _;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use usher_api_types::{
    Response,
    convert_login::{ConvertLoginRequest, OAuthConversionResponse},
};
use usher_domain::{
    LoginType, PasswordHash, User, Violations,
    audit::{AuditAction, AuditEntry, AuditResource, Diff, diff_time},
    time::never,
};
use usher_store::{SigningFeature, SigningKey, SigningKeyStore, StoreError};
use uuid::Uuid;

use crate::{
    ApiError, AppState, Audit, Caller, Json, RequestBody, Settings,
    cookies::set_cookie_until,
    password,
    sessions::{login, providers::state::States},
    target::TargetUser,
};

/// The cookie that says what was asked.
pub(crate) const COOKIE: &str = "coder_oauth_convert_jwt";
/// How long it is good.
const LIFETIME: TimeDelta = TimeDelta::minutes(5);
/// How far the clocks of two replicas may be apart.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(1);

/// Asks for another way to sign in.
#[utoipa::path(
    post, path = "/users/{user}/convert-login", tag = "Users",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    request_body = ConvertLoginRequest,
    responses((status = 201, body = OAuthConversionResponse, description = "The change is waiting for the provider."),
              (status = 400, body = Response, description = "There is no such way."),
              (status = 401, body = Response, description = "The password is wrong, or the user is not the caller."),
              (status = 403, body = Response, description = "Nobody signs in by password."),
              (status = 429, body = Response, description = "Too many passwords were tried in this minute.")),
)]
pub async fn create(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(app): State<AppState>,
    headers: HeaderMap,
    audit: Audit,
    body: RequestBody,
) -> Result<AxumResponse, ApiError> {
    let request: ConvertLoginRequest = body.parse()?;
    let to_type = parse(&request)?;
    // It could be used to guess, as a new password could.
    let now = app.clock.now();
    let counted = app
        .limits
        .check_password_change(&caller, user.id, &headers, now)?;
    let secret = password::secret(request.password);
    let begun = begin(&app, &caller, &user, to_type, &secret, &audit).await;
    let mut response = begun.unwrap_or_else(ApiError::into_response);
    if let Some(counted) = counted {
        counted.write(response.headers_mut());
    }
    Ok(response)
}

async fn begin(
    app: &AppState,
    caller: &Caller,
    user: &User,
    to_type: LoginType,
    secret: &SecretString,
    audit: &Audit,
) -> Result<AxumResponse, ApiError> {
    let stored = app.users.find_password_hash(user.id).await?;
    let matches = app.hasher.verify(secret, stored.as_ref()).await?;
    // Only oneself may. Others are told that the password is wrong whether it is or not, or
    // the answer would tell.
    login::check(user, matches && user.id == caller.id(), &app.settings)?;
    let checked = stored.unwrap_or_else(PasswordHash::none);

    let by = audit.context(StatusCode::CREATED);
    let mut rng = app.random.generator();
    let fresh = SecretBox::new(Box::new(rng.random()));
    let key = app
        .signing_keys
        .signing_key(SigningFeature::OidcConvert, fresh, by.initiator.at)
        .await?;
    let states = States {
        keys: &*app.signing_keys,
        now: by.initiator.at,
    };
    let state = states.begin_conversion(&mut rng).await?;
    let claims = Claims::new(
        user,
        &checked,
        to_type,
        state,
        by.initiator.at,
        &app.settings,
    );
    let token = claims.sign(&key)?;
    app.audit
        .record_failure(entry(user, to_type, by.initiator.at), &by)
        .await?;

    let expires_at = by.initiator.at + LIFETIME;
    let cookie = set_cookie_until(COOKIE, &token, expires_at, &app.settings);
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
    )
        .into_response())
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
pub(crate) struct Claims {
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
    /// The fingerprint of the hash that the password matched.
    password: String,
}

impl Claims {
    fn new(
        user: &User,
        checked: &PasswordHash,
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
            password: checked.fingerprint(),
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

    /// What a cookie says; `None` if no key of ours has signed it, or it is over.
    pub(crate) async fn read(
        token: &str,
        keys: &dyn SigningKeyStore,
        now: DateTime<Utc>,
    ) -> Result<Option<Self>, StoreError> {
        let Some(sequence) = jsonwebtoken::decode_header(token)
            .ok()
            .and_then(|header| header.kid?.parse().ok())
        else {
            return Ok(None);
        };
        let feature = SigningFeature::OidcConvert;
        let Some(key) = keys.find_signing_key(feature, sequence, now).await? else {
            return Ok(None);
        };
        let secret = DecodingKey::from_secret(key.secret.expose_secret());
        let decoded = jsonwebtoken::decode::<Self>(token, &secret, &signature_only());
        Ok(decoded
            .ok()
            .map(|decoded| decoded.claims)
            .filter(|claims| (claims.nbf..=claims.exp).contains(&now.timestamp())))
    }

    /// Whether the change was asked for at this deployment.
    pub(crate) fn is_of(&self, deployment: Uuid) -> bool {
        self.iss == deployment.to_string()
    }

    /// Whether the change goes on with that state.
    pub(crate) fn has_state(&self, state: &str) -> bool {
        self.state == state && self.sub == state
    }

    /// Whether the user asked to sign in that way, and has not changed it since.
    pub(crate) fn converts(&self, user: &User, to_type: LoginType) -> bool {
        self.user_id == user.id.0
            && self.aud == user.id.to_string()
            && self.from_login_type == user.login_type.as_str()
            && self.to_login_type == to_type.as_str()
    }

    /// The fingerprint of the hash that the password matched.
    pub(crate) fn into_password(self) -> String {
        self.password
    }
}

/// The times are compared with our clock, and the rest with what it must be, afterwards.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS512);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
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
