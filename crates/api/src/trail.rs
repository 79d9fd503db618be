//! The audit trail of a request: who causes its changes, and the row of a call that was
//! refused or failed.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use http::{StatusCode, request::Parts};
use usher_domain::{ApiKeyId, Initiator, UserId, audit::AuditEntry, time::Clock};
use usher_store::AuditStore;

use crate::{ApiError, AppState, Background, Caller, RequestFacts};

/// The audit trail of a request.
pub struct Trail {
    facts: RequestFacts,
    caller: Option<(UserId, ApiKeyId)>,
    clock: Arc<dyn Clock>,
    store: Arc<dyn AuditStore>,
    background: Background,
}

impl<S> FromRequestParts<S> for Trail
where
    AppState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let facts = RequestFacts::from_request_parts(parts, state).await?;
        let state = AppState::from_ref(state);
        let caller = parts.extensions.get::<Caller>();
        Ok(Self {
            facts,
            caller: caller.map(|caller| (caller.id(), caller.key.id.clone())),
            clock: Arc::clone(&state.clock),
            store: Arc::clone(&state.audit),
            background: state.background.clone(),
        })
    }
}

impl Trail {
    /// The caller, about to make a change that will be answered with `status`.
    ///
    /// # Panics
    ///
    /// On a public route, which has no caller: use [`acting`](Self::acting) there.
    pub fn initiator(&self, status: StatusCode) -> Initiator {
        let (user, key) = self.caller.clone().expect("the route has a caller");
        Initiator {
            key_id: Some(key),
            ..self.acting(user, status)
        }
    }

    /// A user who acts without a key, as when signing in.
    pub fn acting(&self, user: UserId, status: StatusCode) -> Initiator {
        Initiator {
            user_id: user,
            key_id: None,
            request_id: self.facts.id,
            ip: self.facts.ip,
            user_agent: self.facts.user_agent.clone(),
            at: self.clock.now(),
            status_code: status.as_u16(),
        }
    }

    /// Does what the caller asked for, and leaves a row if it was refused or failed.
    /// What succeeds leaves its row in the store's own transaction. While the store is
    /// away it is not asked for a row either.
    pub async fn attempt<T>(
        &self,
        entry: AuditEntry,
        work: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        let outcome = work.await;
        match &outcome {
            Ok(_) | Err(ApiError::Unavailable(_)) => {}
            Err(error) => record(&*self.store, entry, &self.initiator(error.status())).await,
        }
        outcome
    }

    /// Leaves the row of a sign-in that was refused, without letting the answer wait for
    /// it: the time of the answer must not tell whether the account exists. A server that
    /// stops does wait.
    pub fn record_in_background(&self, entry: AuditEntry, by: Initiator) {
        let store = Arc::clone(&self.store);
        self.background
            .spawn(async move { record(&*store, entry, &by).await });
    }
}

async fn record(store: &dyn AuditStore, entry: AuditEntry, by: &Initiator) {
    if let Err(error) = store.record_attempt(entry, by).await {
        tracing::error!(%error, "the audit row of a refused call could not be written");
    }
}
