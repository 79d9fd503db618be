//! The second half: back from the provider with a code.

use axum::response::{AppendHeaders, IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{LOCATION, SET_COOKIE},
};
use rand::rngs::StdRng;
use secrecy::SecretString;
use usher_api_types::session::SignInRedirect;
use usher_domain::{
    AllowList, ApiToken, LoginType, Scope, TokenName, UserId,
    audit::{AuditAction, AuditEntry, AuditResource},
    external_login::ExternalIdentity,
    ssh_key::SshKeyAlgorithm,
    username,
};
use usher_identity::Flow;
use usher_store::{ExternalSignIn, NewApiKey, NewExternalUser, SignInOutcome};
use uuid::Uuid;

use super::{Attempt, convert, header, redirect::reduce, refusal::Refusal, state};
use crate::{
    ApiError, AppState, Audit, Json, RequestFacts, cookies::set_cookie, credential::SESSION_COOKIE,
    issuing::KeyParameters, ssh_keys,
};

/// Asks the provider who came with the code, and lets them in or says why not.
pub(super) async fn finish(
    attempt: &Attempt<'_>,
    flow: &Flow,
    facts: &RequestFacts,
    audit: &Audit,
) -> Response {
    match let_in(attempt, flow, facts, audit).await {
        Ok(cookies) => arrive(attempt, cookies).unwrap_or_else(ApiError::into_response),
        Err(refusal) => {
            if let Some(status) = refusal.recorded_status() {
                record(audit, status);
            }
            if attempt.is_device() {
                refusal.tell_program()
            } else {
                refusal.tell_browser(&reduce(&attempt.target()), &flow.state)
            }
        }
    }
}

/// Returns the cookies that the browser gets.
async fn let_in(
    attempt: &Attempt<'_>,
    flow: &Flow,
    facts: &RequestFacts,
    audit: &Audit,
) -> Result<Vec<HeaderValue>, Refusal> {
    let code = SecretString::from(attempt.parameter("code").unwrap_or_default());
    let identified = attempt.provider.client.identify(&code, flow).await;
    let identity = identified.map_err(|error| Refusal::of_provider(error, attempt.is_device()))?;
    if state::is_conversion(&flow.state) {
        return convert::complete(attempt, flow, identity, facts, audit).await;
    }
    let app = attempt.app;
    let mut rng = app.random.generator();
    let token = ApiToken::generate(&mut rng);
    let new_user = new_user(attempt, &identity, rng).await?;
    let by = audit.context_of(new_user.id, status(attempt));
    let comes_by = identity.login_type;
    let sign_in = ExternalSignIn {
        key: session(app, &token, new_user.id, comes_by, facts, by.initiator.at)?,
        identity,
        new_user,
        may_claim_by_address: attempt.provider.may_claim_by_address,
        allow_sign_up: attempt.provider.allow_sign_ups,
    };
    let outcome = app.external_logins.sign_in(sign_in, &by).await?;
    if let Some(refusal) = Refusal::of_outcome(&outcome, comes_by, attempt.provider) {
        return Err(refusal);
    }
    if let SignInOutcome::SignedIn { user, is_new: true } = &outcome {
        tracing::info!(user.id = %user.id, provider = %attempt.name, "signed up");
    }
    Ok(vec![session_cookie(app, &token)])
}

/// The status of the answer to somebody who is let in.
pub(super) fn status(attempt: &Attempt<'_>) -> StatusCode {
    if attempt.is_device() {
        StatusCode::OK
    } else {
        StatusCode::TEMPORARY_REDIRECT
    }
}

fn arrive(attempt: &Attempt<'_>, cookies: Vec<HeaderValue>) -> Result<Response, ApiError> {
    let cookies = cookies.into_iter().map(|cookie| (SET_COOKIE, cookie));
    let landing = attempt.landing();
    if attempt.is_device() {
        let headers: Vec<(HeaderName, HeaderValue)> = cookies.collect();
        let body = Json(SignInRedirect {
            redirect_url: landing,
        });
        return Ok((status(attempt), AppendHeaders(headers), body).into_response());
    }
    let location = (LOCATION, header(&LOCATION, &landing)?);
    let headers: Vec<(HeaderName, HeaderValue)> = cookies.chain([location]).collect();
    Ok((status(attempt), AppendHeaders(headers)).into_response())
}

/// A new session, to be kept.
pub(super) fn session(
    app: &AppState,
    token: &ApiToken,
    user: UserId,
    login_type: LoginType,
    facts: &RequestFacts,
    now: DateTime<Utc>,
) -> Result<NewApiKey, ApiError> {
    let parameters = KeyParameters {
        login_type,
        token_name: TokenName::default(),
        scopes: vec![Scope::ALL],
        allow_list: AllowList::everything(),
        lifetime: app.settings.session_duration,
        ip: facts.ip,
    };
    parameters.key(token, user, now)
}

pub(super) fn session_cookie(app: &AppState, token: &ApiToken) -> HeaderValue {
    set_cookie(SESSION_COOKIE, &token.expose(), &app.settings)
}

/// What somebody needs who has no user yet.
async fn new_user(
    attempt: &Attempt<'_>,
    identity: &ExternalIdentity,
    mut rng: StdRng,
) -> Result<NewExternalUser, ApiError> {
    let login_type = identity.login_type;
    let (name, email) = (&identity.username, &identity.email);
    Ok(NewExternalUser {
        id: UserId::generate(attempt.app.clock.now(), &mut rng),
        usernames: username::candidates(login_type, name, email, &mut rng),
        ssh_key: ssh_keys::generate(key_algorithm(attempt, identity).await?, rng).await?,
    })
}

/// A key that takes seconds is made only where it will be used. Should the user be gone a
/// moment later, the new one has a key of the quick kind.
async fn key_algorithm(
    attempt: &Attempt<'_>,
    identity: &ExternalIdentity,
) -> Result<SshKeyAlgorithm, ApiError> {
    let app = attempt.app;
    let wanted = app.settings.ssh_key_algorithm;
    if wanted != SshKeyAlgorithm::Rsa4096 {
        return Ok(wanted);
    }
    let is_known = app.external_logins.find_user(identity).await?.is_some();
    let is_used = !is_known && (attempt.provider.allow_sign_ups || !app.users.has_users().await?);
    Ok(if is_used {
        wanted
    } else {
        SshKeyAlgorithm::Ed25519
    })
}

/// The row of somebody who was refused names nobody.
fn record(audit: &Audit, status: StatusCode) {
    let entry = AuditEntry::new(AuditAction::Login, AuditResource::ApiKey, Uuid::nil(), "");
    audit.record_in_background(entry, audit.context_of(UserId(Uuid::nil()), status));
}
