//! The audit context of a request, and the audit rows of requests that failed.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use http::{StatusCode, request::Parts};
use tokio_util::task::TaskTracker;
use usher_domain::{
    ApiKeyId, AuditContext, Initiator, User, UserId,
    audit::{AuditAction, AuditEntry, AuditResource},
    time::Clock,
};
use usher_store::AuditStore;

use crate::{ApiError, AppState, Caller, RequestFacts};

/// Extracts the audit context of a request.
pub struct Audit {
    facts: RequestFacts,
    caller: Option<(UserId, ApiKeyId)>,
    clock: Arc<dyn Clock>,
    store: Arc<dyn AuditStore>,
    background: TaskTracker,
}

impl<S> FromRequestParts<S> for Audit
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

impl Audit {
    /// The context of a change by the caller that will be answered with `status`.
    ///
    /// # Panics
    ///
    /// On a public route, which has no caller: use [`context_of`](Self::context_of) there.
    pub fn context(&self, status: StatusCode) -> AuditContext {
        let (user, key) = self.caller.clone().expect("the route has a caller");
        let mut context = self.context_of(user, status);
        context.initiator.key_id = Some(key);
        context
    }

    /// The context of a change by a user without an API key, as at sign-in.
    pub fn context_of(&self, user: UserId, status: StatusCode) -> AuditContext {
        AuditContext {
            initiator: Initiator {
                user_id: user,
                key_id: None,
                at: self.clock.now(),
            },
            request_id: self.facts.id,
            ip: self.facts.ip,
            user_agent: self.facts.user_agent.clone(),
            status_code: status.as_u16(),
        }
    }

    /// Runs `work` and writes an audit row if it fails. A change that succeeds writes its row in
    /// the store's own transaction. Writes nothing while the store is unavailable.
    pub async fn record_failure<T>(
        &self,
        entry: AuditEntry,
        work: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        let outcome = work.await;
        match &outcome {
            Ok(_) | Err(ApiError::Unavailable(_)) => {}
            Err(error) => record(&*self.store, entry, &self.context(error.status())).await,
        }
        outcome
    }

    /// Writes the audit row of a failed sign-in in the background: the time of the response must
    /// not depend on whether the account exists. Shutdown waits for it.
    pub fn record_in_background(&self, entry: AuditEntry, context: AuditContext) {
        let store = Arc::clone(&self.store);
        self.background
            .spawn(async move { record(&*store, entry, &context).await });
    }
}

async fn record(store: &dyn AuditStore, entry: AuditEntry, context: &AuditContext) {
    if let Err(error) = store.record_failure(entry, context).await {
        tracing::error!(%error, "failed to write the audit row of a failed request");
    }
}

/// The audit entry of a change of the user.
pub(crate) fn user_entry(action: AuditAction, user: &User) -> AuditEntry {
    AuditEntry::new(action, AuditResource::User, user.id, user.username.as_str())
}
