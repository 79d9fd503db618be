//! The end of a change of login type, which `POST /users/{user}/convert-login` started.

use http::{HeaderValue, StatusCode};
use usher_domain::{
    ApiKeyId, ApiToken, User, UserStatus, external_login::ExternalIdentity,
    sign_in::SignInRejection,
};
use usher_identity::Flow;
use usher_store::{Conflict, Conversion, SignInOutcome};

use super::{
    SignInRequest,
    conversion::{COOKIE, Claims},
    error::SignInError,
};
use crate::{
    ApiError, cookies,
    credential::{self, SESSION_COOKIE, inactive_text},
    issuing::{self, session_cookie},
};

/// Changes the login type of the user that the provider identified, if that user asked for
/// it. Returns the cookies to set.
pub(super) async fn convert(
    request: &SignInRequest<'_>,
    flow: &Flow,
    identity: ExternalIdentity,
) -> Result<Vec<HeaderValue>, SignInError> {
    let app = request.app();
    let user = app.external_logins.find_user(&identity).await?;
    let user = user.ok_or_else(|| {
        ApiError::bad_request(
            "No user has the e-mail address of this provider account. Nothing was changed.",
        )
    })?;
    let claims = check(request, flow, &user, &identity).await?;

    let by = request
        .audit()
        .context_of(user.id, request.success_status());
    // A signed-in user has to sign in again, through the provider.
    let ended = current_session(request, &user).await?;
    let (key, session) = if ended.is_some() {
        (None, cookies::clear_securely(SESSION_COOKIE, &app.settings))
    } else {
        let login_type = identity.login_type;
        let (token, key) = issuing::session(login_type, &app.settings, &by, &*app.random)?;
        (Some(key), session_cookie(&token, &app.settings))
    };
    let conversion = Conversion {
        user_id: user.id,
        replaces: claims.into_password(),
        identity,
        ended,
        key,
    };
    check_outcome(&app.external_logins.convert(conversion, &by).await?)?;
    tracing::info!(user.id = %user.id, provider = %request.state_name, "changed a login type");
    Ok(vec![cookies::clear(COOKIE), session])
}

/// Returns the claims of the cookie if this user asked for this change.
async fn check(
    request: &SignInRequest<'_>,
    flow: &Flow,
    user: &User,
    identity: &ExternalIdentity,
) -> Result<Claims, ApiError> {
    let app = request.app();
    let again = |reason: &str| {
        ApiError::bad_request(format!(
            "The cookie {COOKIE:?} {reason}. Request the change of login type again."
        ))
    };
    let cookie = cookies::read(&request.callback.headers, COOKIE)
        .filter(|cookie| !cookie.is_empty())
        .ok_or_else(|| again("is missing"))?;
    let claims = Claims::read(&cookie, &*app.signing_keys, app.clock.now())
        .await?
        .ok_or_else(|| again("is invalid or has expired"))?;
    if !claims.is_of(app.settings.deployment_id) {
        return Err(forbidden("The change was requested at another deployment."));
    }
    if !claims.has_state(&flow.state) {
        return Err(forbidden("A different change of login type was requested."));
    }
    if !claims.converts(user, identity.login_type) {
        return Err(forbidden(
            "The change was requested by another user or for another login type.",
        ));
    }
    Ok(claims)
}

/// Returns the user's session that the request carries, if it is valid.
async fn current_session(
    request: &SignInRequest<'_>,
    user: &User,
) -> Result<Option<ApiKeyId>, ApiError> {
    let app = request.app();
    let text = credential::find(&request.callback.headers, &request.callback.uri);
    let Some(token) = text.and_then(|text| ApiToken::parse(&text).ok()) else {
        return Ok(None);
    };
    let Some(credential) = app.sessions.find_credential(&token.id).await? else {
        return Ok(None);
    };
    Ok(credential
        .verify(&token, app.clock.now())
        .ok()
        .filter(|verified| verified.user.id == user.id)
        .map(|verified| verified.key.id))
}

fn check_outcome(outcome: &SignInOutcome) -> Result<(), ApiError> {
    let SignInOutcome::Rejected(rejection) = outcome else {
        return Ok(());
    };
    Err(match rejection {
        SignInRejection::OtherLoginType(_) => {
            forbidden("Your login type has already been changed.")
        }
        SignInRejection::OtherAccount => {
            forbidden("This provider account is linked to another user.")
        }
        SignInRejection::PasswordChanged => forbidden(
            "Your password was changed in the meantime. Request the change of login type again.",
        ),
        SignInRejection::Suspended => forbidden(&inactive_text(UserStatus::Suspended)),
        SignInRejection::EmailTaken => ApiError::rule(
            StatusCode::CONFLICT,
            "The e-mail address from the provider belongs to another user.",
        ),
        // The user was deleted in the meantime.
        SignInRejection::SignUpDisabled | SignInRejection::UsernamesTaken => {
            Conflict::ConcurrentModification.into()
        }
    })
}

fn forbidden(message: &str) -> ApiError {
    ApiError::rule(StatusCode::FORBIDDEN, message)
}
