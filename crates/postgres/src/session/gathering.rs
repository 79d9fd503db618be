//! Asking for the keys of many requests with one statement.
//!
//! Every request has its key looked up, and a statement for each would cost more than all
//! else that most requests do. So while one statement is under way, the keys of the requests
//! that arrive are gathered, and the next one asks for all of them.
//!
//! - Nobody waits for company: if no statement is under way, one starts at once.
//! - Nothing is kept: an answer is given only to those who asked before its statement
//!   started, so what was committed before a request came holds for it.
//! - Nobody is overtaken: keys are asked for in the order of their arrival.
//! - An error is that of the keys it was met with. If Postgres refused the statement, each
//!   key is asked for alone, so that none fails for another.
//! - Whoever goes away is forgotten, and takes nobody's answer along.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};
use usher_domain::ApiKeyId;
use usher_store::StoreError;

use crate::PgError;

#[cfg(test)]
mod tests;

/// How many keys one statement asks for; the others wait for the next.
const MAX_KEYS: usize = 128;

/// How many may wait before those are looked for who went away.
const FIRST_SWEEP: usize = 1024;

/// What can be asked for many keys at once. What it does not find is not there.
pub(crate) trait Source: Send + Sync + 'static {
    /// What is found.
    type Found: Clone + Send + 'static;

    /// Asks for keys, all of them different.
    fn find(
        &self,
        keys: &[&str],
    ) -> impl Future<Output = Result<HashMap<String, Self::Found>, PgError>> + Send;
}

/// Where keys are gathered. Clones gather together.
pub(crate) struct Gathering<S: Source>(Arc<Shared<S>>);

struct Shared<S: Source> {
    source: S,
    line: Mutex<Line<S::Found>>,
    /// How long one may wait for an answer, whatever befalls the statements before it.
    patience: Duration,
}

/// Those who wait to be asked for, first come first.
struct Line<F> {
    waiting: VecDeque<Waiting<F>>,
    /// Whether there is a task that asks.
    is_served: bool,
    sweep_at: usize,
}

struct Waiting<F> {
    key: ApiKeyId,
    answer: oneshot::Sender<Answer<F>>,
}

/// The error is shared by all whom it befell.
type Answer<F> = Result<Option<F>, Arc<PgError>>;

impl<S: Source> Clone for Gathering<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Source> Gathering<S> {
    pub(crate) fn new(source: S, patience: Duration) -> Self {
        Self(Arc::new(Shared {
            source,
            line: Mutex::new(Line {
                waiting: VecDeque::new(),
                is_served: false,
                sweep_at: FIRST_SWEEP,
            }),
            patience,
        }))
    }

    #[cfg(test)]
    pub(crate) fn source(&self) -> &S {
        &self.0.source
    }

    /// Finds what belongs to a key.
    pub(crate) async fn find(&self, key: &ApiKeyId) -> Result<Option<S::Found>, StoreError> {
        // No text in Postgres holds a NUL, and a statement with one is refused.
        if key.as_str().contains('\0') {
            return Ok(None);
        }
        match timeout(self.0.patience, self.join(key)).await {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(error))) if is_passing(&error) => {
                Err(StoreError::Unavailable(Box::new(error)))
            }
            Ok(Ok(Err(error))) => Err(StoreError::Internal(Box::new(error))),
            Ok(Err(_)) => Err(PgError::Unavailable("whoever asked was stopped".to_owned()).into()),
            Err(_) => Err(PgError::TimedOut("the key was not reached".to_owned()).into()),
        }
    }

    fn join(&self, key: &ApiKeyId) -> oneshot::Receiver<Answer<S::Found>> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            key: key.clone(),
            answer,
        };
        let must_serve = {
            let mut line = self.0.line();
            line.join(waiting);
            !mem::replace(&mut line.is_served, true)
        };
        if must_serve {
            // A task of its own, since whoever came first may go away at any moment.
            tokio::spawn(serve(Arc::clone(&self.0)));
        }
        answered
    }
}

/// Asks until nobody waits.
async fn serve<S: Source>(shared: Arc<Shared<S>>) {
    let mut duty = Duty {
        shared: &*shared,
        is_done: false,
    };
    while let Some(batch) = duty.next_batch() {
        shared.answer(batch).await;
        // What is ready comes first: requests that have arrived meanwhile then go along.
        tokio::task::yield_now().await;
    }
}

/// The duty to ask for those who wait. If it ends early, by a panic or with the runtime,
/// they are told, and the next who comes starts anew.
struct Duty<'a, S: Source> {
    shared: &'a Shared<S>,
    is_done: bool,
}

impl<S: Source> Duty<'_, S> {
    fn next_batch(&mut self) -> Option<Vec<Waiting<S::Found>>> {
        let mut line = self.shared.line();
        let batch = line.next_batch();
        if batch.is_empty() {
            line.is_served = false;
            self.is_done = true;
            return None;
        }
        Some(batch)
    }
}

impl<S: Source> Drop for Duty<'_, S> {
    fn drop(&mut self) {
        if !self.is_done {
            let mut line = self.shared.line();
            line.is_served = false;
            line.waiting.clear();
        }
    }
}

impl<S: Source> Shared<S> {
    fn line(&self) -> MutexGuard<'_, Line<S::Found>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, mut batch: Vec<Waiting<S::Found>>) {
        batch.sort_unstable_by(|one, other| one.key.as_str().cmp(other.key.as_str()));
        match self.ask(&batch).await {
            Ok(found) => hand_out(batch, found),
            Err(error) if batch.len() == 1 || is_passing(&error) => tell(batch, error),
            Err(_) => {
                for waiting in batch {
                    let alone = vec![waiting];
                    match self.ask(&alone).await {
                        Ok(found) => hand_out(alone, found),
                        Err(error) => tell(alone, error),
                    }
                }
            }
        }
    }

    async fn ask(&self, batch: &[Waiting<S::Found>]) -> Result<HashMap<String, S::Found>, PgError> {
        let mut keys: Vec<&str> = batch.iter().map(|waiting| waiting.key.as_str()).collect();
        keys.dedup();
        self.source.find(&keys).await
    }
}

impl<F> Line<F> {
    fn join(&mut self, waiting: Waiting<F>) {
        // So that those who come and go while a statement hangs take no memory without end.
        if self.waiting.len() >= self.sweep_at {
            self.waiting.retain(Waiting::is_there);
            self.sweep_at = FIRST_SWEEP.max(2 * self.waiting.len());
        }
        self.waiting.push_back(waiting);
    }

    fn next_batch(&mut self) -> Vec<Waiting<F>> {
        let mut batch = Vec::with_capacity(self.waiting.len().min(MAX_KEYS));
        while batch.len() < MAX_KEYS
            && let Some(waiting) = self.waiting.pop_front()
        {
            if waiting.is_there() {
                batch.push(waiting);
            }
        }
        batch
    }
}

impl<F> Waiting<F> {
    fn is_there(&self) -> bool {
        !self.answer.is_closed()
    }

    fn tell(self, answer: Answer<F>) {
        // Whoever went away meanwhile need not know.
        let _ = self.answer.send(answer);
    }
}

/// Gives everybody what was found, those with the same key, who stand together, the same.
fn hand_out<F: Clone>(mut batch: Vec<Waiting<F>>, mut found: HashMap<String, F>) {
    while let Some(waiting) = batch.pop() {
        let key = waiting.key.as_str();
        let is_last = batch.last().is_none_or(|next| next.key != waiting.key);
        let own = if is_last {
            found.remove(key)
        } else {
            found.get(key).cloned()
        };
        waiting.tell(Ok(own));
    }
}

fn tell<F>(batch: Vec<Waiting<F>>, error: PgError) {
    let error = Arc::new(error);
    for waiting in batch {
        waiting.tell(Err(Arc::clone(&error)));
    }
}

/// Whether an error says nothing about the keys.
fn is_passing(error: &PgError) -> bool {
    matches!(
        error,
        PgError::Unavailable(_) | PgError::ConnectionLost(_) | PgError::TimedOut(_)
    )
}
