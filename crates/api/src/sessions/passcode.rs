//! `/users/otp/…`: a forgotten password replaced by a one-time passcode.

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
    AuditContext, Email, UserId, Violations,
    audit::{AuditAction, AuditEntry, AuditResource},
    random::Random,
    time::Clock,
};
use usher_store::{NewPasscode, PasswordAccount, SessionStore, UserStore};

use super::pause_after_refusal;
use crate::{ApiError, Audit, RequestBody, Settings, hashing::Hasher, password};

/// How long a passcode is good.
const PASSCODE_LIFETIME: TimeDelta = TimeDelta::minutes(20);
/// How long an answer takes at least, so that it does not tell by its time whether a
/// passcode had to be written down.
const LEAST_TIME: Duration = Duration::from_millis(100);

/// Asks for a passcode. The answer does not tell whether the address is known.
#[utoipa::path(
    post, path = "/users/otp/request", tag = "Sessions", security(()),
    request_body = RequestOneTimePasscodeRequest,
    responses((status = 204, description = "If the address is known, a passcode was made."),
              (status = 400, body = Response, description = "A field breaks its rule."),
              (status = 403, body = Response, description = "Nobody signs in by password.")),
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
    let answer_at = Instant::now() + LEAST_TIME;
    check_password_auth(&settings)?;
    let request: RequestOneTimePasscodeRequest = body.parse()?;
    let mut faults = Violations::new();
    let email = faults.check("email", Email::parse(&request.email));
    let email = faults.finish(email)?;

    let mut rng = random.generator();
    let passcode = uuid::Builder::from_random_bytes(rng.random()).into_uuid();
    let secret = SecretString::from(passcode.to_string());
    // Hashed for unknown addresses too, so that they take as long.
    let hash = hasher.hash_passcode(&secret, rng.random()).await?;
    if let Some(PasswordAccount { user, .. }) = sessions.find_password_account(&email).await? {
        let by = audit.context_of(user.id, StatusCode::NO_CONTENT);
        let passcode = NewPasscode {
            hash,
            expires_at: by.initiator.at + PASSCODE_LIFETIME,
            text: secret,
        };
        keep(&*users, user.id, passcode, &by).await;
    }
    sleep_until(answer_at).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Keeps the passcode. A fault that only a known address can meet must not be told.
async fn keep(users: &dyn UserStore, user: UserId, passcode: NewPasscode, by: &AuditContext) {
    match users.set_passcode(user, passcode, by).await {
        Ok(Some(false)) => tracing::warn!(
            user.id = %user,
            "a one-time passcode was made and cannot be delivered: set up mail or a webhook"
        ),
        Ok(_) => {}
        Err(error) => {
            tracing::error!(%error, user.id = %user, "a one-time passcode could not be kept");
        }
    }
}

/// Sets a password by passcode, which ends all sessions and tokens of the user.
#[utoipa::path(
    post, path = "/users/otp/change-password", tag = "Sessions", security(()),
    request_body = ChangePasswordWithOneTimePasscodeRequest,
    responses((status = 204, description = "The password is set."),
              (status = 400, body = Response, description = "A field breaks its rule, or the passcode is not good."),
              (status = 403, body = Response, description = "Nobody signs in by password.")),
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
        pause_after_refusal().await;
        return Err(wrong_passcode());
    };
    let by = audit.context_of(user.id, StatusCode::NO_CONTENT);
    let outcome = async {
        if !matches || expires_at < clock.now() {
            return Err(wrong_passcode());
        }
        if hasher.verify(new.secret(), Some(&password)).await? {
            return Err(ApiError::bad_request(
                "New password cannot match old password.",
            ));
        }
        let hash = hasher
            .hash(new.secret(), random.generator().random())
            .await?;
        users
            .consume_passcode(user.id, passcode, hash, &by)
            .await?
            .ok_or_else(wrong_passcode)
    }
    .await;
    if let Err(error) = &outcome {
        let entry = AuditEntry::new(
            AuditAction::Write,
            AuditResource::User,
            user.id,
            user.username.as_str(),
        );
        let by = audit.context_of(user.id, error.status());
        audit.record_in_background(entry, by);
        pause_after_refusal().await;
    }
    outcome.map(|()| StatusCode::NO_CONTENT)
}

fn check_password_auth(settings: &Settings) -> Result<(), ApiError> {
    if settings.password_auth {
        Ok(())
    } else {
        Err(ApiError::rule(
            StatusCode::FORBIDDEN,
            "Signing in by password is turned off.",
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
        "The email address or the one-time passcode is wrong, or the passcode has expired.",
    )
}
