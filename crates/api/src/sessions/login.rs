//! `POST /users/login`: sign-in with a password.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{AppendHeaders, IntoResponse},
};
use http::{StatusCode, header::SET_COOKIE};
use rand::RngExt as _;
use usher_api_types::{
    Response,
    session::{LoginWithPasswordRequest, LoginWithPasswordResponse},
};
use usher_domain::{
    Email, LoginType, User, UserStatus, Violations,
    audit::{AuditAction, AuditEntry, AuditResource},
    random::Random,
};
use usher_store::{Conflict, PasswordAccount, SessionStore, StoreError};
use uuid::Uuid;

use super::delay_failure;
use crate::{
    ApiError, Audit, Json, RequestBody, Settings,
    credential::inactive_text,
    hashing::Hasher,
    issuing::{self, session_cookie},
    password,
};

/// Signs in with a password. The session token is in the body and set as a cookie.
#[utoipa::path(
    post, path = "/users/login", tag = "Sessions",
    request_body = LoginWithPasswordRequest,
    responses((status = 201, body = LoginWithPasswordResponse, description = "The session token, which is not shown again."),
              (status = 400, body = Response, description = "A field is invalid."),
              (status = 401, body = Response, description = "The e-mail address or the password is incorrect, or the user is suspended."),
              (status = 403, body = Response, description = "Password sign-in is disabled, or the user has another login type."),
              (status = 503, body = Response, description = "Too many concurrent sign-ins.")),
)]
pub async fn login(
    State(sessions): State<Arc<dyn SessionStore>>,
    State(hasher): State<Hasher>,
    State(random): State<Arc<dyn Random>>,
    State(settings): State<Arc<Settings>>,
    audit: Audit,
    body: RequestBody,
) -> Result<impl IntoResponse, ApiError> {
    let (email, secret) = parse(body.parse()?)?;
    let account = sessions.find_password_account(&email).await?;
    let stored = account.as_ref().map(|account| &account.password);
    let matches = hasher.verify(&secret, stored).await?;
    let Some(PasswordAccount { user, password, .. }) = account else {
        delay_failure().await;
        return Err(wrong_credentials());
    };
    if let Err(error) = check(&user, matches, &settings) {
        record_failure(&audit, &user, &error);
        delay_failure().await;
        return Err(error);
    }

    let rehashed = if hasher.is_outdated(&password) {
        let salt = random.generator().random();
        Some(hasher.hash(&secret, salt).await?)
    } else {
        None
    };
    let by = audit.context_of(user.id, StatusCode::CREATED);
    let (token, key) = issuing::session(LoginType::Password, &settings, &by, &*random)?;
    match sessions.log_in(key, password, rehashed, &by).await {
        // The password or the status was changed in the meantime.
        Err(StoreError::Conflict(Conflict::StaleCredential)) => return Err(wrong_credentials()),
        other => other?,
    }
    let cookie = AppendHeaders([(SET_COOKIE, session_cookie(&token, &settings))]);
    let session_token = token.expose().into();
    let response = Json(LoginWithPasswordResponse { session_token });
    Ok((StatusCode::CREATED, cookie, response))
}

fn parse(request: LoginWithPasswordRequest) -> Result<(Email, secrecy::SecretString), ApiError> {
    let mut faults = Violations::new();
    let email = faults.check("email", Email::parse(&request.email));
    password::require(&mut faults, "password", &request.password);
    let email = faults.finish(email)?;
    Ok((email, password::secret(request.password)))
}

/// Checks that the user can sign in with a password. If it does not match theirs, no other
/// reason is revealed.
pub(crate) fn check(user: &User, matches: bool, settings: &Settings) -> Result<(), ApiError> {
    if !matches {
        return Err(wrong_credentials());
    }
    if !settings.password_auth {
        return Err(ApiError::rule(
            StatusCode::FORBIDDEN,
            "Password sign-in is disabled.",
        ));
    }
    if user.login_type != LoginType::Password {
        return Err(ApiError::rule(
            StatusCode::FORBIDDEN,
            format!(
                "Your login type is {:?}, not \"password\".",
                user.login_type.as_str()
            ),
        ));
    }
    if user.status == UserStatus::Suspended {
        return Err(ApiError::rule(
            StatusCode::UNAUTHORIZED,
            inactive_text(user.status),
        ));
    }
    Ok(())
}

fn record_failure(audit: &Audit, user: &User, error: &ApiError) {
    let entry = AuditEntry::new(AuditAction::Login, AuditResource::ApiKey, Uuid::nil(), "");
    let by = audit.context_of(user.id, error.status());
    audit.record_in_background(entry, by);
}

fn wrong_credentials() -> ApiError {
    ApiError::rule(StatusCode::UNAUTHORIZED, "Incorrect email or password.")
}
