//! The access that a provider gave with a session, renewed when a request comes after its
//! end.
//!
//! However many requests come at once, the provider is asked once: those of this process
//! wait for the same answer, and of several processes the store gives one the turn. A
//! provider that is down is no reason to sign anybody out: such requests are told to come
//! again, and those of other sessions notice nothing.
//!
//! A refusal is not remembered: the next request of the session asks again, since a provider
//! may have refused for a fault of its own. Each takes the provider's time; the limit on
//! calls bounds them.

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
use usher_domain::{LoginType, UserId, UserStatus, external_login::ProviderTokens, time::to_wire};
use usher_identity::RefreshError;
use usher_store::{
    Credential, ExternalLogin, LinkState, RefreshLease, Refusal, StoreError, Verified,
};
use uuid::Uuid;

use crate::{ApiError, AppState, caller};

/// How long a turn is held: longer than a provider is waited for, and what comes after.
const HOLD: Duration = Duration::from_secs(30);
/// How long a provider is waited for.
///
/// What the client waits for twice, for what is known of the provider and for the tokens,
/// fits in.
const PATIENCE: Duration = Duration::from_secs(25);
/// How often another process is asked whether it is done, and how many times.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSES: usize = 150;
/// How often it is tried to keep fresh tokens.
const TRIES_TO_KEEP: usize = 3;
/// How long a provider that gives tokens which are over already is not asked again.
const REST: Duration = Duration::from_secs(1);

/// Whose access is being renewed. Clones share it.
#[derive(Clone, Default)]
pub struct Renewals(Arc<Mutex<UnderWay>>);

type UnderWay = HashMap<Whose, Shared<BoxFuture<'static, Outcome>>>;

impl Renewals {
    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Renewals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewals").finish_non_exhaustive()
    }
}

type Whose = (UserId, LoginType);

/// What became of a renewal.
#[derive(Clone, Debug)]
enum Outcome {
    Renewed,
    /// There is nothing to renew it with, or nobody who would.
    Ended,
    /// The link is gone.
    Unlinked,
    /// The provider gives no more, and says why.
    Refused(String),
    /// Another attempt may work.
    Unavailable,
    /// The provider gave access that is over already.
    Useless,
}

/// The end of the provider's access if it is past. The credential can then be verified in
/// all else, and the access be [renewed](renew).
pub(crate) fn take_overdue(
    credential: &mut Credential,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    match credential.link {
        LinkState::Linked(Some(ended)) if ended < now => {
            credential.link = LinkState::NotNeeded;
            Some(ended)
        }
        _ => None,
    }
}

/// Renews the access that the key's provider gave and that ended at `ended`.
///
/// # Errors
///
/// 401 if it cannot be renewed or the user is suspended, who gets nothing from a provider
/// either; 503 if it cannot be told.
pub(crate) async fn renew(
    app: &AppState,
    verified: &Verified,
    ended: DateTime<Utc>,
) -> Result<(), ApiError> {
    if verified.user.status == UserStatus::Suspended {
        return Err(ApiError::Unauthenticated {
            message: caller::inactive_text(UserStatus::Suspended),
            detail: end_text(verified.key.login_type, ended),
        });
    }
    let login_type = verified.key.login_type;
    match shared(app, (verified.user.id, login_type)).await {
        Outcome::Renewed => Ok(()),
        Outcome::Ended => Err(ApiError::signed_out(end_text(login_type, ended))),
        Outcome::Unlinked => Err(caller::refuse(Refusal::Unlinked)),
        Outcome::Refused(why) => Err(ApiError::signed_out(format!(
            "{} The provider does not renew it: {why}",
            end_text(login_type, ended)
        ))),
        Outcome::Unavailable | Outcome::Useless => Err(ApiError::Unavailable(None)),
    }
}

fn end_text(login_type: LoginType, ended: DateTime<Utc>) -> String {
    format!(
        "The access that {:?} gave ended at {}. Sign in again.",
        login_type.as_str(),
        to_wire(ended)
    )
}

/// Joins the renewal that is under way, or begins one. It goes on when the request is given
/// up: the provider may have exchanged the token already.
fn shared(app: &AppState, whose: Whose) -> Shared<BoxFuture<'static, Outcome>> {
    let mut under_way = app.renewals.lock();
    under_way
        .entry(whose)
        .or_insert_with(|| {
            let app = app.clone();
            let work = app.background.clone().spawn(async move {
                let mark = Mark(app.renewals.clone(), whose);
                let outcome = attempt(&app, whose).await;
                if matches!(outcome, Outcome::Useless) {
                    tokio::spawn(async move {
                        sleep(REST).await;
                        drop(mark);
                    });
                }
                outcome
            });
            work.map(|outcome| outcome.unwrap_or(Outcome::Unavailable))
                .boxed()
                .shared()
        })
        .clone()
}

/// Marks a renewal as under way, until it ends in whatever way.
struct Mark(Renewals, Whose);

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

async fn attempt(app: &AppState, whose: Whose) -> Outcome {
    match try_attempt(app, whose).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(%error, user.id = %whose.0, "a provider's access could not be renewed");
            Outcome::Unavailable
        }
    }
}

async fn try_attempt(app: &AppState, (user, login_type): Whose) -> Result<Outcome, StoreError> {
    let turn = Uuid::new_v4();
    for _ in 0..PAUSES {
        let begun = app
            .external_logins
            .begin_refresh(user, login_type, turn, app.clock.now(), HOLD)
            .await?;
        match begun {
            None => return Ok(Outcome::Unlinked),
            Some(RefreshLease::Done) => return Ok(Outcome::Renewed),
            Some(RefreshLease::Mine(login)) => return take_turn(app, &login, turn).await,
            Some(RefreshLease::Others) => sleep(PAUSE).await,
            Some(RefreshLease::Unreadable(why)) => {
                tracing::error!(why, user.id = %user, "a provider's access cannot be renewed");
                return Ok(Outcome::Ended);
            }
        }
    }
    Ok(Outcome::Unavailable)
}

async fn take_turn(
    app: &AppState,
    login: &ExternalLogin,
    turn: Uuid,
) -> Result<Outcome, StoreError> {
    let (tokens, outcome) = ask(app, login).await;
    let mut tries = 1;
    loop {
        let ended = app.external_logins.end_refresh(login, turn, tokens.clone());
        match ended.await {
            // The old refresh token may be spent: these are not to be lost.
            Err(_) if tokens.is_some() && tries < TRIES_TO_KEEP => sleep(PAUSE).await,
            ended => return ended.map(|()| outcome),
        }
        tries += 1;
    }
}

async fn ask(app: &AppState, login: &ExternalLogin) -> (Option<ProviderTokens>, Outcome) {
    let provider = app.providers.of_link(login.login_type, &login.link_id);
    let (Some(provider), Some(refresh_token)) = (provider, &login.tokens.refresh_token) else {
        return (None, Outcome::Ended);
    };
    let user = login.user_id;
    match timeout(PATIENCE, provider.client.refresh(refresh_token)).await {
        // They are kept all the same: the refresh token may be a new one.
        Ok(Ok(tokens)) if tokens.expires_at.is_some_and(|end| end <= app.clock.now()) => {
            tracing::warn!(user.id = %user, "a provider renews its access with one that is over");
            (Some(tokens), Outcome::Useless)
        }
        Ok(Ok(tokens)) => (Some(tokens), Outcome::Renewed),
        Ok(Err(RefreshError::Refused(why))) => {
            tracing::info!(user.id = %user, why, "a provider does not renew its access");
            (None, Outcome::Refused(why))
        }
        Ok(Err(RefreshError::Unavailable(why))) => {
            tracing::warn!(user.id = %user, why, "a provider cannot be asked to renew its access");
            (None, Outcome::Unavailable)
        }
        Err(_) => {
            tracing::warn!(user.id = %user, "a provider does not answer in time");
            (None, Outcome::Unavailable)
        }
    }
}
