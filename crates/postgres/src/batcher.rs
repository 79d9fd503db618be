//! Doing with one statement what many ask for.
//!
//! A statement for each of many small requests costs more than what it does: its way there
//! and back, its start, and if it writes, its transaction and the wait for the disk. So
//! while one statement is under way, the requests that arrive are gathered, and the next one
//! is for all of them. So are looked up the keys that come with requests, and so are written
//! new keys and settings.
//!
//! - Nobody waits for company: if no statement is under way, one starts at once.
//! - Nothing is kept: an answer is given only to those who asked before its statement
//!   started, so what was committed before a request came holds for it.
//! - Nobody is overtaken: requests go in the order of their arrival.
//! - An error is that of the requests it was met with. If Postgres refused the statement, it
//!   is tried for each alone, so that none fails for another.
//! - Whoever goes away before their statement started is forgotten, and nobody else's answer
//!   is lost with them.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};
use usher_store::StoreError;

use crate::PgError;

#[cfg(test)]
mod tests;

/// How many may wait before those are looked for who went away.
const FIRST_SWEEP: usize = 1024;

/// What one statement can do for many.
pub(crate) trait Batched: Send + Sync + 'static {
    /// What somebody asks for.
    type Request: Send + Sync + 'static;
    /// What came of it.
    type Outcome: Send + 'static;

    /// For how many one statement is at most; the others wait for the next.
    const MOST: usize;

    /// Does it for all of them, which are one or more, and tells what came of each in their
    /// order. May be done twice.
    fn run(
        &self,
        requests: &[Self::Request],
    ) -> impl Future<Output = Result<Vec<Self::Outcome>, PgError>> + Send;
}

/// Where requests are gathered. Clones gather together.
pub(crate) struct Batcher<B: Batched>(Arc<Shared<B>>);

struct Shared<B: Batched> {
    batched: B,
    line: Mutex<Line<B>>,
    /// How long one may wait for an answer, whatever befalls the statements before it.
    patience: Duration,
}

/// Those who wait, first come first.
struct Line<B: Batched> {
    waiting: VecDeque<Waiting<B>>,
    /// Whether there is a task that serves them.
    is_served: bool,
    sweep_at: usize,
}

struct Waiting<B: Batched> {
    request: B::Request,
    reply: Reply<B>,
}

/// The error is shared by all whom it befell.
type Answer<B> = Result<<B as Batched>::Outcome, Arc<PgError>>;
/// Where somebody waits for their answer.
type Reply<B> = oneshot::Sender<Answer<B>>;

impl<B: Batched> Clone for Batcher<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Batched> Batcher<B> {
    pub(crate) fn new(batched: B, patience: Duration) -> Self {
        Self(Arc::new(Shared {
            batched,
            line: Mutex::new(Line {
                waiting: VecDeque::new(),
                is_served: false,
                sweep_at: FIRST_SWEEP,
            }),
            patience,
        }))
    }

    #[cfg(test)]
    pub(crate) fn batched(&self) -> &B {
        &self.0.batched
    }

    /// Does what is asked for, with others if there are any.
    pub(crate) async fn ask(&self, request: B::Request) -> Result<B::Outcome, StoreError> {
        match timeout(self.0.patience, self.join(request)).await {
            Ok(Ok(Ok(outcome))) => Ok(outcome),
            Ok(Ok(Err(error))) => Err(PgError::of_all(error)),
            Ok(Err(_)) => Err(PgError::Unavailable("whoever asked was stopped".to_owned()).into()),
            Err(_) => Err(PgError::TimedOut("the request was not reached".to_owned()).into()),
        }
    }

    fn join(&self, request: B::Request) -> oneshot::Receiver<Answer<B>> {
        let (reply, answer) = oneshot::channel();
        let must_serve = {
            let mut line = self.0.line();
            line.join(Waiting { request, reply });
            !mem::replace(&mut line.is_served, true)
        };
        if must_serve {
            // A task of its own, since whoever came first may go away at any moment.
            tokio::spawn(serve(Arc::clone(&self.0)));
        }
        answer
    }
}

/// Serves until nobody waits.
async fn serve<B: Batched>(shared: Arc<Shared<B>>) {
    let mut duty = Duty {
        shared: &*shared,
        is_done: false,
    };
    loop {
        // What is ready comes first: requests that have arrived meanwhile then go along.
        tokio::task::yield_now().await;
        let Some(batch) = duty.next_batch() else {
            return;
        };
        shared.answer(batch).await;
    }
}

/// The duty to serve those who wait. If it ends early, by a panic or with the runtime, they
/// are told, and the next who comes starts anew.
struct Duty<'a, B: Batched> {
    shared: &'a Shared<B>,
    is_done: bool,
}

impl<B: Batched> Duty<'_, B> {
    fn next_batch(&mut self) -> Option<Batch<B>> {
        let mut line = self.shared.line();
        let batch = line.next_batch();
        if batch.requests.is_empty() {
            line.is_served = false;
            self.is_done = true;
            return None;
        }
        Some(batch)
    }
}

impl<B: Batched> Drop for Duty<'_, B> {
    fn drop(&mut self) {
        if !self.is_done {
            let mut line = self.shared.line();
            line.is_served = false;
            line.waiting.clear();
        }
    }
}

impl<B: Batched> Shared<B> {
    fn line(&self) -> MutexGuard<'_, Line<B>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, batch: Batch<B>) {
        let Batch { requests, replies } = batch;
        match self.batched.run(&requests).await {
            Ok(outcomes) => hand_out(replies, outcomes),
            Err(error) if requests.len() == 1 || error.is_transient() => {
                tell::<B>(replies, error);
            }
            Err(_) => {
                for (request, reply) in requests.iter().zip(replies) {
                    match self.batched.run(std::slice::from_ref(request)).await {
                        Ok(outcomes) => hand_out([reply], outcomes),
                        Err(error) => tell::<B>([reply], error),
                    }
                }
            }
        }
    }
}

impl<B: Batched> Line<B> {
    fn join(&mut self, waiting: Waiting<B>) {
        // So that those who come and go while a statement hangs take no memory without end.
        if self.waiting.len() >= self.sweep_at {
            self.waiting.retain(Waiting::is_there);
            self.sweep_at = FIRST_SWEEP.max(2 * self.waiting.len());
        }
        self.waiting.push_back(waiting);
    }

    fn next_batch(&mut self) -> Batch<B> {
        let room = self.waiting.len().min(B::MOST);
        let mut batch = Batch {
            requests: Vec::with_capacity(room),
            replies: Vec::with_capacity(room),
        };
        while batch.requests.len() < B::MOST
            && let Some(waiting) = self.waiting.pop_front()
        {
            if waiting.is_there() {
                batch.requests.push(waiting.request);
                batch.replies.push(waiting.reply);
            }
        }
        batch
    }
}

/// Those for whom one statement is, and where each waits for what comes of it.
struct Batch<B: Batched> {
    requests: Vec<B::Request>,
    replies: Vec<Reply<B>>,
}

impl<B: Batched> Waiting<B> {
    fn is_there(&self) -> bool {
        !self.reply.is_closed()
    }
}

fn hand_out<O>(
    replies: impl IntoIterator<Item = oneshot::Sender<Result<O, Arc<PgError>>>>,
    outcomes: Vec<O>,
) {
    for (reply, outcome) in replies.into_iter().zip(outcomes) {
        // Whoever went away meanwhile need not know.
        let _ = reply.send(Ok(outcome));
    }
}

fn tell<B: Batched>(replies: impl IntoIterator<Item = Reply<B>>, error: PgError) {
    let error = Arc::new(error);
    for reply in replies {
        let _ = reply.send(Err(Arc::clone(&error)));
    }
}
