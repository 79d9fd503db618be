//! `POST /users/login`: signing in by password.

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
    AllowList, ApiToken, Email, LoginType, Scope, TokenName, User, UserStatus, Violations,
    audit::{AuditAction, AuditEntry, AuditResource},
    random::Random,
};
use usher_store::{Conflict, PasswordAccount, SessionStore, StoreError};
use uuid::Uuid;

use super::pause_after_refusal;
use crate::{
    ApiError, Audit, Json, RequestBody, RequestFacts, Settings, caller, cookies::set_cookie,
    credential::SESSION_COOKIE, hashing::Hasher, issuing::KeyParameters, password,
};

/// Signs in by password. The session comes in the body and as a cookie.
#[utoipa::path(
    post, path = "/users/login", tag = "Sessions", security(()),
    request_body = LoginWithPasswordRequest,
    responses((status = 201, body = LoginWithPasswordResponse, description = "The session, shown this once."),
              (status = 400, body = Response, description = "A field breaks its rule."),
              (status = 401, body = Response, description = "There is no such user with this password, or they may not sign in."),
              (status = 403, body = Response, description = "Nobody, or not this user, signs in by password."),
              (status = 503, body = Response, description = "Too many people sign in at once.")),
)]
pub async fn login(
    State(sessions): State<Arc<dyn SessionStore>>,
    State(hasher): State<Hasher>,
    State(random): State<Arc<dyn Random>>,
    State(settings): State<Arc<Settings>>,
    facts: RequestFacts,
    audit: Audit,
    body: RequestBody,
) -> Result<impl IntoResponse, ApiError> {
    let (email, secret) = parse(body.parse()?)?;
    let account = sessions.find_password_account(&email).await?;
    let stored = account.as_ref().map(|account| &account.password);
    let matches = hasher.verify(&secret, stored).await?;
    let Some(PasswordAccount { user, password, .. }) = account else {
        pause_after_refusal().await;
        return Err(wrong_credentials());
    };
    if let Err(error) = check(&user, matches, &settings) {
        record_failure(&audit, &user, &error);
        pause_after_refusal().await;
        return Err(error);
    }

    let mut rng = random.generator();
    let rehashed = if hasher.is_outdated(&password) {
        Some(hasher.hash(&secret, rng.random()).await?)
    } else {
        None
    };
    let token = ApiToken::generate(&mut rng);
    let by = audit.context_of(user.id, StatusCode::CREATED);
    let key = KeyParameters {
        login_type: LoginType::Password,
        token_name: TokenName::default(),
        scopes: vec![Scope::ALL],
        allow_list: AllowList::everything(),
        lifetime: settings.session_duration,
        ip: facts.ip,
    }
    .key(&token, user.id, by.initiator.at)?;
    match sessions.log_in(key, password, rehashed, &by).await {
        // The password or the status changed while this one was being checked.
        Err(StoreError::Conflict(Conflict::StaleCredential)) => return Err(wrong_credentials()),
        other => other?,
    }
    let session = token.expose();
    let cookie = set_cookie(SESSION_COOKIE, &session, &settings);
    let response = LoginWithPasswordResponse {
        session_token: session.into(),
    };
    Ok((
        StatusCode::CREATED,
        AppendHeaders([(SET_COOKIE, cookie)]),
        Json(response),
    ))
}

fn parse(request: LoginWithPasswordRequest) -> Result<(Email, secrecy::SecretString), ApiError> {
    let mut faults = Violations::new();
    let email = faults.check("email", Email::parse(&request.email));
    password::require(&mut faults, "password", &request.password);
    let email = faults.finish(email)?;
    Ok((email, password::secret(request.password)))
}

/// Whether the user may sign in so. What keeps them out is told only to those who know
/// the password.
pub(crate) fn check(user: &User, matches: bool, settings: &Settings) -> Result<(), ApiError> {
    if !matches {
        return Err(wrong_credentials());
    }
    if !settings.password_auth {
        return Err(ApiError::rule(
            StatusCode::FORBIDDEN,
            "Signing in by password is turned off.",
        ));
    }
    if user.login_type != LoginType::Password {
        return Err(ApiError::rule(
            StatusCode::FORBIDDEN,
            format!(
                "You sign in by {:?}, not by \"password\".",
                user.login_type.as_str()
            ),
        ));
    }
    if user.status == UserStatus::Suspended {
        return Err(ApiError::rule(
            StatusCode::UNAUTHORIZED,
            caller::inactive_text(user.status),
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
