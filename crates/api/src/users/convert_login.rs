//! `POST /users/{user}/convert-login`: from a password to a provider.
//!
//! The caller proves that they know the password. The login type changes when the provider
//! has confirmed their identity; until then a signed cookie records the request.

use axum::{
    extract::State,
    response::{AppendHeaders, IntoResponse as _, Response as AxumResponse},
};
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode, header::SET_COOKIE};
use rand::RngExt as _;
use secrecy::{SecretBox, SecretString};
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
use usher_store::SigningFeature;

use crate::{
    ApiError, AppState, Audit, Caller, Json, RequestBody,
    cookies::set_cookie_until,
    password,
    sessions::{
        login,
        providers::{
            conversion::{COOKIE, Claims, LIFETIME},
            state::States,
        },
    },
    target::TargetUser,
};

/// Starts the change of the caller's login type to a provider.
#[utoipa::path(
    post, path = "/users/{user}/convert-login", tag = "Users",
    params(TargetUser),
    request_body = ConvertLoginRequest,
    responses((status = 201, body = OAuthConversionResponse, description = "The change waits for the sign-in at the provider."),
              (status = 400, body = Response, description = "A field is invalid, or the login type cannot be chosen."),
              (status = 401, body = Response, description = "The password is incorrect, or the user is not the caller."),
              (status = 403, body = Response, description = "Password sign-in is disabled."),
              (status = 429, body = Response, description = "Too many attempts in this minute.")),
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
    // Counts against the limit of password changes, since it can be used to guess passwords.
    let now = app.clock.now();
    let counted = app
        .limits
        .check_password_change(&caller, user.id, &headers, now)?;
    let secret = password::secret(request.password);
    let started = start(&app, &caller, &user, to_type, &secret, &audit).await;
    let mut response = started.unwrap_or_else(ApiError::into_response);
    if let Some(counted) = counted {
        counted.write(response.headers_mut());
    }
    Ok(response)
}

async fn start(
    app: &AppState,
    caller: &Caller,
    user: &User,
    to_type: LoginType,
    secret: &SecretString,
    audit: &Audit,
) -> Result<AxumResponse, ApiError> {
    let stored = app.users.find_password_hash(user.id).await?;
    let matches = app.hasher.verify(secret, stored.as_ref()).await?;
    // For another user the response is the same whether the password matches or not.
    login::check(user, matches && user.id == caller.id(), &app.settings)?;
    let verified = stored.unwrap_or_else(PasswordHash::none);

    let by = audit.context(StatusCode::CREATED);
    let now = by.initiator.at;
    let mut rng = app.random.generator();
    let new_secret = SecretBox::new(Box::new(rng.random()));
    let keys = &*app.signing_keys;
    let key = keys
        .signing_key(SigningFeature::OidcConvert, new_secret, now)
        .await?;
    let state = States { keys, now }.begin_conversion(&mut rng).await?;
    let deployment_id = app.settings.deployment_id;
    let claims = Claims::new(user, &verified, to_type, state.clone(), now, deployment_id);
    let token = claims.sign(&key)?;
    app.audit
        .record_failure(entry(user, to_type, now), &by)
        .await?;

    let expires_at = now + LIFETIME;
    let cookie = set_cookie_until(COOKIE, &token, expires_at, &app.settings);
    let response = OAuthConversionResponse {
        state_string: state,
        expires_at: expires_at.into(),
        to_type: to_type.as_str().to_owned(),
        user_id: user.id.0,
    };
    let headers = AppendHeaders([(SET_COOKIE, cookie)]);
    Ok((StatusCode::CREATED, headers, Json(response)).into_response())
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
            "An account cannot be converted to login type {:?}.",
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
    fn an_account_can_only_be_converted_to_a_provider() {
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
