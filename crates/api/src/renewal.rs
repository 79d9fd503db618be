//! Renewal of the access that a provider granted with a session, when a request arrives after
//! its expiry.
//!
//! The provider is asked once for concurrent requests: those of this process share one
//! renewal, and a lease in the store selects one of several processes. If the provider is
//! down, the requests of the session get 503 and it stays valid.
//!
//! A refusal is not cached: the next request of the session asks again, since the provider may
//! have refused by mistake. The rate limit bounds the number of attempts.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tokio::time::{sleep, timeout};
use usher_domain::{
    CredentialError, LoginType, UserId, UserStatus, VerifiedCredential,
    external_login::ProviderTokens, time::to_wire,
};
use usher_identity::RefreshError;
use usher_store::{Credential, ExternalLogin, LinkState, RefreshLease, StoreError};
use uuid::Uuid;

use crate::{ApiError, AppState, credential};

/// How long a lease is valid: longer than [`PROVIDER_TIMEOUT`] and storing the tokens.
const LEASE_DURATION: Duration = Duration::from_secs(30);
/// How long the provider may take: twice the client's timeout, since it fetches the metadata
/// and the tokens.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(25);
/// The interval at which the lease of another process is polled, and after a failed write.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const MAX_POLLS: usize = 150;
/// How often storing new tokens is tried.
const STORE_ATTEMPTS: usize = 3;
/// How long a provider that issues expired tokens is not asked again.
const EXPIRED_TOKENS_PAUSE: Duration = Duration::from_secs(1);

/// The renewals in progress. Clones share them.
#[derive(Clone, Default)]
pub struct Renewals(Arc<Mutex<InProgress>>);

/// The user and the type of the link.
type LinkKey = (UserId, LoginType);
type SharedOutcome = Shared<BoxFuture<'static, Outcome>>;
type InProgress = HashMap<LinkKey, SharedOutcome>;

impl Renewals {
    fn lock(&self) -> MutexGuard<'_, InProgress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Renewals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewals").finish_non_exhaustive()
    }
}

/// The outcome of a renewal.
#[derive(Clone, Debug)]
enum Outcome {
    Renewed,
    /// The refresh token or the provider is missing.
    NotRenewable,
    /// The link was deleted.
    Unlinked,
    /// The provider refused, for this reason.
    Refused(String),
    /// A later attempt may succeed.
    Unavailable,
    /// The provider issued tokens that have already expired.
    IssuedExpired,
}

/// Returns the expiry of the provider's access if it is past. The link then no longer fails
/// the verification of the credential, and the access can be [renewed](renew).
pub(crate) fn take_expired_link(
    credential: &mut Credential,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    match credential.link {
        LinkState::Linked(Some(expired_at)) if expired_at < now => {
            credential.link = LinkState::NotNeeded;
            Some(expired_at)
        }
        _ => None,
    }
}

/// Renews the access that the key's provider granted and that expired at `expired_at`.
///
/// # Errors
///
/// 401 if it cannot be renewed or the user is suspended, 503 if that is unknown.
pub(crate) async fn renew(
    app: &AppState,
    verified: &VerifiedCredential,
    expired_at: DateTime<Utc>,
) -> Result<(), ApiError> {
    let login_type = verified.key.login_type;
    let expired = format!(
        "The access granted by {:?} expired at {}. Sign in again.",
        login_type.as_str(),
        to_wire(expired_at)
    );
    if verified.user.status == UserStatus::Suspended {
        return Err(credential::inactive(UserStatus::Suspended, expired));
    }
    match join_or_start(app, (verified.user.id, login_type)).await {
        Outcome::Renewed => Ok(()),
        Outcome::NotRenewable => Err(ApiError::signed_out(expired)),
        Outcome::Unlinked => Err(credential::rejected(CredentialError::Unlinked)),
        Outcome::Refused(reason) => Err(ApiError::signed_out(format!(
            "{expired} The provider refused to renew it: {reason}"
        ))),
        Outcome::Unavailable | Outcome::IssuedExpired => Err(ApiError::Unavailable(None)),
    }
}

/// Joins the renewal in progress, or starts one. It continues if the request is cancelled,
/// because the provider may already have exchanged the refresh token.
fn join_or_start(app: &AppState, link: LinkKey) -> SharedOutcome {
    app.renewals
        .lock()
        .entry(link)
        .or_insert_with(|| {
            let app = app.clone();
            let task = app.background.clone().spawn(async move {
                let guard = InProgressGuard(app.renewals.clone(), link);
                let outcome = try_renew(&app, link).await.unwrap_or_else(|error| {
                    tracing::error!(%error, user.id = %link.0, "failed to renew a provider's access");
                    Outcome::Unavailable
                });
                if matches!(outcome, Outcome::IssuedExpired) {
                    tokio::spawn(async move {
                        sleep(EXPIRED_TOKENS_PAUSE).await;
                        drop(guard);
                    });
                }
                outcome
            });
            task.map(|outcome| outcome.unwrap_or(Outcome::Unavailable))
                .boxed()
                .shared()
        })
        .clone()
}

/// Removes a renewal from those in progress, also if its task panics.
struct InProgressGuard(Renewals, LinkKey);

impl Drop for InProgressGuard {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

async fn try_renew(app: &AppState, (user, login_type): LinkKey) -> Result<Outcome, StoreError> {
    let lease_id = Uuid::new_v4();
    for _ in 0..MAX_POLLS {
        let lease = app
            .external_logins
            .begin_refresh(user, login_type, lease_id, app.clock.now(), LEASE_DURATION)
            .await?;
        match lease {
            None => return Ok(Outcome::Unlinked),
            Some(RefreshLease::Done) => return Ok(Outcome::Renewed),
            Some(RefreshLease::Mine(login)) => return renew_leased(app, &login, lease_id).await,
            Some(RefreshLease::Others) => sleep(POLL_INTERVAL).await,
            Some(RefreshLease::Unreadable(reason)) => {
                tracing::error!(reason, user.id = %user, "the stored refresh token is unreadable");
                return Ok(Outcome::NotRenewable);
            }
        }
    }
    Ok(Outcome::Unavailable)
}

async fn renew_leased(
    app: &AppState,
    login: &ExternalLogin,
    lease_id: Uuid,
) -> Result<Outcome, StoreError> {
    let (tokens, outcome) = request_tokens(app, login).await;
    let mut attempts = 1;
    loop {
        let stored = app
            .external_logins
            .end_refresh(login, lease_id, tokens.clone());
        match stored.await {
            // The old refresh token may be spent, so the new one must not be lost.
            Err(_) if tokens.is_some() && attempts < STORE_ATTEMPTS => sleep(POLL_INTERVAL).await,
            stored => return stored.map(|()| outcome),
        }
        attempts += 1;
    }
}

async fn request_tokens(
    app: &AppState,
    login: &ExternalLogin,
) -> (Option<ProviderTokens>, Outcome) {
    let provider = app.providers.of_link(login.login_type, &login.link_id);
    let (Some(provider), Some(refresh_token)) = (provider, &login.tokens.refresh_token) else {
        return (None, Outcome::NotRenewable);
    };
    let user = login.user_id;
    match timeout(PROVIDER_TIMEOUT, provider.client.refresh(refresh_token)).await {
        // Stored nevertheless, since the refresh token may be a new one.
        Ok(Ok(tokens)) if tokens.expires_at.is_some_and(|at| at <= app.clock.now()) => {
            tracing::warn!(user.id = %user, "a provider issued tokens that have already expired");
            (Some(tokens), Outcome::IssuedExpired)
        }
        Ok(Ok(tokens)) => (Some(tokens), Outcome::Renewed),
        Ok(Err(RefreshError::Refused(reason))) => {
            tracing::info!(user.id = %user, reason, "a provider refused to renew its access");
            (None, Outcome::Refused(reason))
        }
        Ok(Err(RefreshError::Unavailable(reason))) => {
            tracing::warn!(user.id = %user, reason, "a provider is unavailable to renew its access");
            (None, Outcome::Unavailable)
        }
        Err(_) => {
            tracing::warn!(user.id = %user, "a provider did not respond in time");
            (None, Outcome::Unavailable)
        }
    }
}
