//! The end of a sign-in: the browser comes back from the provider with a code.

use axum::response::{AppendHeaders, IntoResponse as _, Response};
use http::{
    HeaderName, HeaderValue,
    header::{LOCATION, SET_COOKIE},
};
use secrecy::SecretString;
use usher_api_types::session::SignInRedirect;
use usher_domain::{
    UserId, external_login::ExternalIdentity, sign_in::SignInPolicy, ssh_key::SshKeyAlgorithm,
    username,
};
use usher_identity::Flow;
use usher_store::{ExternalSignIn, NewExternalUser, SignInOutcome};

use super::{SignInRequest, convert, error::SignInError, header, redirect::local_path, state};
use crate::{
    ApiError, Json,
    issuing::{self, session_cookie},
    ssh_keys,
};

/// Exchanges the code for the user's identity, then signs the user in or changes their login
/// type.
pub(super) async fn finish(
    request: &SignInRequest<'_>,
    flow: &Flow,
) -> Result<Response, SignInError> {
    let code = SecretString::from(request.parameter("code").unwrap_or_default());
    let identity = request
        .provider
        .client
        .identify(&code, flow)
        .await
        .map_err(|error| SignInError::of_provider(error, request.is_device()))?;
    let cookies = if state::is_conversion(&flow.state) {
        convert::convert(request, flow, identity).await?
    } else {
        vec![sign_in(request, identity).await?]
    };
    Ok(respond(request, cookies)?)
}

/// Has the store find or create the user, and returns the session cookie.
async fn sign_in(
    request: &SignInRequest<'_>,
    identity: ExternalIdentity,
) -> Result<HeaderValue, SignInError> {
    let (app, provider) = (request.app(), request.provider);
    let new_user = new_user(request, &identity).await?;
    let by = request
        .audit()
        .context_of(new_user.id, request.success_status());
    let login_type = identity.login_type;
    let (token, key) = issuing::session(login_type, &app.settings, &by, &*app.random)?;
    let sign_in = ExternalSignIn {
        key,
        identity,
        new_user,
        policy: SignInPolicy {
            match_by_email: provider.may_claim_by_address,
            allow_sign_up: provider.allow_sign_ups,
        },
    };
    let outcome = app.external_logins.sign_in(sign_in, &by).await?;
    if let Some(error) = SignInError::of_outcome(&outcome, login_type, provider) {
        return Err(error);
    }
    if let SignInOutcome::SignedIn { user, is_new: true } = &outcome {
        tracing::info!(user.id = %user.id, provider = %request.state_name, "created a user at sign-in");
    }
    Ok(session_cookie(&token, &app.settings))
}

/// Sets the cookies, and redirects the browser or names the path to a device.
fn respond(request: &SignInRequest<'_>, cookies: Vec<HeaderValue>) -> Result<Response, ApiError> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = cookies
        .into_iter()
        .map(|cookie| (SET_COOKIE, cookie))
        .collect();
    let status = request.success_status();
    let redirect_url = local_path(&request.redirect_target(), request.path);
    if request.is_device() {
        let body = Json(SignInRedirect { redirect_url });
        return Ok((status, AppendHeaders(headers), body).into_response());
    }
    headers.push((LOCATION, header(&LOCATION, &redirect_url)?));
    Ok((status, AppendHeaders(headers)).into_response())
}

/// The user to create if none is found.
async fn new_user(
    request: &SignInRequest<'_>,
    identity: &ExternalIdentity,
) -> Result<NewExternalUser, ApiError> {
    let app = request.app();
    let mut rng = app.random.generator();
    let (name, email) = (&identity.username, &identity.email);
    Ok(NewExternalUser {
        id: UserId::generate(app.clock.now(), &mut rng),
        usernames: username::candidates(identity.login_type, name, email, &mut rng),
        ssh_key: ssh_keys::generate(key_algorithm(request, identity).await?, rng).await?,
    })
}

/// Returns the configured algorithm, but generates an RSA key, which takes seconds, only if
/// the user will be created. A user deleted in the meantime gets an Ed25519 key.
async fn key_algorithm(
    request: &SignInRequest<'_>,
    identity: &ExternalIdentity,
) -> Result<SshKeyAlgorithm, ApiError> {
    let app = request.app();
    let configured = app.settings.ssh_key_algorithm;
    if configured != SshKeyAlgorithm::Rsa4096 {
        return Ok(configured);
    }
    let exists = app.external_logins.find_user(identity).await?.is_some();
    let is_created = !exists && (request.provider.allow_sign_ups || !app.users.has_users().await?);
    Ok(if is_created {
        configured
    } else {
        SshKeyAlgorithm::Ed25519
    })
}
