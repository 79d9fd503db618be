//! `/users/otp/…`: replacing a forgotten password with a one-time passcode.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use chrono::TimeDelta;
use http::StatusCode;
use rand::RngExt as _;
use secrecy::SecretString;
use tokio::time::{Instant, sleep_until};
use usher_api_types::{
    Response,
    session::{ChangePasswordWithOneTimePasscodeRequest, RequestOneTimePasscodeRequest},
};
use usher_domain::{
    AuditContext, Email, UserId, Violations, audit::AuditAction, random::Random, time::Clock,
};
use usher_store::{NewPasscode, PasswordAccount, SessionStore, UserStore};

use super::delay_failure;
use crate::{
    ApiError, Audit, RequestBody, Settings, audit_context::user_entry, hashing::Hasher, password,
};

/// How long a passcode is valid.
const PASSCODE_LIFETIME: TimeDelta = TimeDelta::minutes(20);
/// The minimum response time, so that it does not reveal whether a passcode was stored.
const MIN_RESPONSE_TIME: Duration = Duration::from_millis(100);

/// Requests a passcode. The response does not reveal whether a user has the e-mail address.
#[utoipa::path(
    post, path = "/users/otp/request", tag = "Sessions",
    request_body = RequestOneTimePasscodeRequest,
    responses((status = 204, description = "A passcode is sent if a user with this e-mail address signs in with a password."),
              (status = 400, body = Response, description = "A field is invalid."),
              (status = 403, body = Response, description = "Password sign-in is disabled.")),
)]
pub async fn request(
    State(sessions): State<Arc<dyn SessionStore>>,
    State(users): State<Arc<dyn UserStore>>,
    State(hasher): State<Hasher>,
    State(random): State<Arc<dyn Random>>,
    State(settings): State<Arc<Settings>>,
    audit: Audit,
    body: RequestBody,
) -> Result<StatusCode, ApiError> {
    let respond_at = Instant::now() + MIN_RESPONSE_TIME;
    check_password_auth(&settings)?;
    let request: RequestOneTimePasscodeRequest = body.parse()?;
    let mut faults = Violations::new();
    let email = faults.check("email", Email::parse(&request.email));
    let email = faults.finish(email)?;

    let mut rng = random.generator();
    let passcode = uuid::Builder::from_random_bytes(rng.random()).into_uuid();
    let secret = SecretString::from(passcode.to_string());
    // Hashed for unknown addresses too, so that the response time is the same.
    let hash = hasher.hash_passcode(&secret, rng.random()).await?;
    if let Some(PasswordAccount { user, .. }) = sessions.find_password_account(&email).await? {
        let by = audit.context_of(user.id, StatusCode::NO_CONTENT);
        let passcode = NewPasscode {
            hash,
            expires_at: by.initiator.at + PASSCODE_LIFETIME,
            text: secret,
        };
        store(&*users, user.id, passcode, &by).await;
    }
    sleep_until(respond_at).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Stores the passcode. An error is only logged, since the response would reveal that the
/// e-mail address is known.
async fn store(users: &dyn UserStore, user: UserId, passcode: NewPasscode, by: &AuditContext) {
    match users.set_passcode(user, passcode, by).await {
        Ok(Some(false)) => tracing::warn!(
            user.id = %user,
            "created a one-time passcode that cannot be delivered: configure mail or a webhook"
        ),
        Ok(_) => {}
        Err(error) => {
            tracing::error!(%error, user.id = %user, "failed to store a one-time passcode");
        }
    }
}

/// Sets a new password with a passcode. Revokes all sessions and tokens of the user.
#[utoipa::path(
    post, path = "/users/otp/change-password", tag = "Sessions",
    request_body = ChangePasswordWithOneTimePasscodeRequest,
    responses((status = 204, description = "The password is set."),
              (status = 400, body = Response, description = "A field is invalid, or the passcode is incorrect or has expired."),
              (status = 403, body = Response, description = "Password sign-in is disabled.")),
)]
pub async fn change_password(
    State(sessions): State<Arc<dyn SessionStore>>,
    State(users): State<Arc<dyn UserStore>>,
    State(hasher): State<Hasher>,
    State(random): State<Arc<dyn Random>>,
    State(clock): State<Arc<dyn Clock>>,
    State(settings): State<Arc<Settings>>,
    audit: Audit,
    body: RequestBody,
) -> Result<StatusCode, ApiError> {
    check_password_auth(&settings)?;
    let request: ChangePasswordWithOneTimePasscodeRequest = body.parse()?;
    let email = parse(&request)?;
    let new = password::choose(request.password)?;
    let given = password::secret(request.one_time_passcode);

    let account = sessions.find_password_account(&email).await?;
    let pending = account
        .as_ref()
        .and_then(|account| account.passcode.clone());
    let hash = pending.as_ref().map(|(hash, _)| hash);
    let matches = hasher.verify_passcode(&given, hash).await?;
    let (Some(PasswordAccount { user, password, .. }), Some((passcode, expires_at))) =
        (account, pending)
    else {
        delay_failure().await;
        return Err(wrong_passcode());
    };
    let outcome = async {
        if !matches || expires_at < clock.now() {
            return Err(wrong_passcode());
        }
        if hasher.verify(new.secret(), Some(&password)).await? {
            let message = "New password cannot match old password.";
            return Err(ApiError::bad_request(message));
        }
        let salt = random.generator().random();
        let hash = hasher.hash(new.secret(), salt).await?;
        let by = audit.context_of(user.id, StatusCode::NO_CONTENT);
        let consumed = users.consume_passcode(user.id, passcode, hash, &by);
        consumed.await?.ok_or_else(wrong_passcode)
    }
    .await;
    if let Err(error) = &outcome {
        let by = audit.context_of(user.id, error.status());
        audit.record_in_background(user_entry(AuditAction::Write, &user), by);
        delay_failure().await;
    }
    outcome.map(|()| StatusCode::NO_CONTENT)
}

fn check_password_auth(settings: &Settings) -> Result<(), ApiError> {
    if settings.password_auth {
        Ok(())
    } else {
        Err(ApiError::rule(
            StatusCode::FORBIDDEN,
            "Password sign-in is disabled.",
        ))
    }
}

fn parse(request: &ChangePasswordWithOneTimePasscodeRequest) -> Result<Email, ApiError> {
    let mut faults = Violations::new();
    let email = faults.check("email", Email::parse(&request.email));
    password::require(&mut faults, "password", &request.password);
    password::require(&mut faults, "one_time_passcode", &request.one_time_passcode);
    Ok(faults.finish(email)?)
}

fn wrong_passcode() -> ApiError {
    ApiError::bad_request(
        "The email address or the one-time passcode is incorrect, or the passcode has expired.",
    )
}
