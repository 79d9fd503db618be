//! The end of a change of the way to sign in, which `POST /users/{user}/convert-login`
//! began.

use http::{HeaderValue, StatusCode};
use usher_domain::{ApiKeyId, ApiToken, User, UserStatus, external_login::ExternalIdentity};
use usher_identity::Flow;
use usher_store::{Conflict, Conversion, SignInOutcome};

use super::{Attempt, finish, refusal::Refusal};
use crate::{
    ApiError, Audit, RequestFacts,
    caller::inactive_text,
    cookies, credential,
    users::convert_login::{self, Claims},
};

/// Changes how the user signs in whom the provider's account belongs to, if that is who
/// asked. Returns the cookies that the browser gets.
pub(super) async fn complete(
    attempt: &Attempt<'_>,
    flow: &Flow,
    identity: ExternalIdentity,
    facts: &RequestFacts,
    audit: &Audit,
) -> Result<Vec<HeaderValue>, Refusal> {
    let app = attempt.app;
    let user = app.external_logins.find_user(&identity).await?;
    let user = user.ok_or_else(|| {
        ApiError::bad_request(
            "The address at the provider is not yours: no user has it, so nothing was changed.",
        )
    })?;
    let claims = check(attempt, flow, &user, &identity).await?;

    let ended = session_of(attempt, &user).await?;
    let token = ApiToken::generate(&mut app.random.generator());
    let by = audit.context_of(user.id, finish::status(attempt));
    // Who was signed in does so again, the new way.
    let key = if ended.is_some() {
        None
    } else {
        let login_type = identity.login_type;
        let key = finish::session(app, &token, user.id, login_type, facts, by.initiator.at)?;
        Some(key)
    };
    let is_signed_in = key.is_some();
    let conversion = Conversion {
        user_id: user.id,
        replaces: claims.into_password(),
        identity,
        ended,
        key,
    };
    refuse(&app.external_logins.convert(conversion, &by).await?)?;
    tracing::info!(user.id = %user.id, provider = %attempt.name, "changed the way to sign in");
    let session = if is_signed_in {
        finish::session_cookie(app, &token)
    } else {
        cookies::clear_own_session(&app.settings)
    };
    Ok(vec![cookies::clear(convert_login::COOKIE), session])
}

/// What the cookie says, if it is that this user asked for this change.
async fn check(
    attempt: &Attempt<'_>,
    flow: &Flow,
    user: &User,
    identity: &ExternalIdentity,
) -> Result<Claims, ApiError> {
    let app = attempt.app;
    let cookie = cookies::read(attempt.headers, convert_login::COOKIE)
        .filter(|cookie| !cookie.is_empty())
        .ok_or_else(|| {
            ApiError::bad_request(format!(
                "The cookie {:?} is missing: ask for the change again.",
                convert_login::COOKIE
            ))
        })?;
    let claims = Claims::read(&cookie, &*app.signing_keys, app.clock.now()).await?;
    let claims = claims.ok_or_else(|| {
        ApiError::bad_request(format!(
            "The cookie {:?} is not good any more: ask for the change again.",
            convert_login::COOKIE
        ))
    })?;
    if !claims.is_of(app.settings.deployment_id) {
        return Err(forbidden("The change was asked for at another service."));
    }
    if !claims.has_state(&flow.state) {
        return Err(forbidden("Another change was asked for than this one."));
    }
    if !claims.converts(user, identity.login_type) {
        return Err(forbidden(
            "The change was asked for by another user, or is to another way to sign in.",
        ));
    }
    Ok(claims)
}

/// The session of the user that the request came with, if it is a good one.
async fn session_of(attempt: &Attempt<'_>, user: &User) -> Result<Option<ApiKeyId>, ApiError> {
    let app = attempt.app;
    let Some(token) =
        credential::find(attempt.headers, attempt.uri).and_then(|text| ApiToken::parse(&text).ok())
    else {
        return Ok(None);
    };
    let Some(credential) = app.sessions.find_credential(&token.id).await? else {
        return Ok(None);
    };
    let verified = credential.verify(&token, app.clock.now());
    Ok(verified
        .ok()
        .filter(|verified| verified.user.id == user.id)
        .map(|verified| verified.key.id))
}

fn refuse(outcome: &SignInOutcome) -> Result<(), ApiError> {
    Err(match outcome {
        SignInOutcome::SignedIn { .. } => return Ok(()),
        SignInOutcome::OtherLoginType(_) => forbidden("You have changed the way to sign in."),
        SignInOutcome::OtherAccount => {
            forbidden("Somebody is linked to that account of the provider.")
        }
        SignInOutcome::PasswordChanged => {
            forbidden("The password was changed since you asked for the change: ask again.")
        }
        SignInOutcome::Suspended => forbidden(&inactive_text(UserStatus::Suspended)),
        SignInOutcome::AddressTaken => ApiError::rule(
            StatusCode::CONFLICT,
            "The address that the provider says belongs to another user.",
        ),
        // The user was deleted since they were found.
        SignInOutcome::SignUpClosed | SignInOutcome::UsernamesTaken => {
            Conflict::ConcurrentModification.into()
        }
    })
}

fn forbidden(message: &str) -> ApiError {
    ApiError::rule(StatusCode::FORBIDDEN, message)
}
