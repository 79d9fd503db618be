//! Answers many small concurrent requests with one statement.
//!
//! While a statement runs, the requests that arrive wait in a queue, and the next statement
//! answers all of them. This saves most of the cost of authenticating a request, which is
//! that of a round trip.
//!
//! - An idle batcher starts immediately and does not wait for more requests.
//! - Nothing is cached: a statement answers only requests that arrived before it started, so
//!   each request sees everything that was committed before it.
//! - Requests are answered in the order of their arrival.
//! - If a statement fails for a reason that is not transient, each of its requests is retried
//!   alone, so that no request fails because of another.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use usher_store::StoreError;

use crate::PgError;

#[cfg(test)]
mod tests;

/// The largest number of requests in a batch.
const MAX_BATCH: usize = 128;

/// A statement that answers many requests.
pub(crate) trait Batched: Send + Sync + 'static {
    type Request: Send + Sync + 'static;
    type Outcome: Send + 'static;

    /// Returns the outcome of each request, in their order. Must not change anything.
    fn run(
        &self,
        requests: &[Self::Request],
    ) -> impl Future<Output = Result<Vec<Self::Outcome>, PgError>> + Send;
}

/// Batches requests. Clones share the queue.
pub(crate) struct Batcher<B: Batched> {
    batched: Arc<B>,
    queue: Arc<OnceLock<mpsc::UnboundedSender<Waiting<B>>>>,
    /// How long a request waits for its answer.
    call_timeout: Duration,
}

struct Waiting<B: Batched> {
    request: B::Request,
    reply: Reply<B>,
}

/// Sends the outcome to the caller. An error is shared by all requests of its statement.
type Reply<B> = oneshot::Sender<Result<<B as Batched>::Outcome, Arc<PgError>>>;

impl<B: Batched> Clone for Batcher<B> {
    fn clone(&self) -> Self {
        Self {
            batched: Arc::clone(&self.batched),
            queue: Arc::clone(&self.queue),
            call_timeout: self.call_timeout,
        }
    }
}

impl<B: Batched> Batcher<B> {
    pub(crate) fn new(batched: B, call_timeout: Duration) -> Self {
        Self {
            batched: Arc::new(batched),
            queue: Arc::default(),
            call_timeout,
        }
    }

    #[cfg(test)]
    pub(crate) fn batched(&self) -> &B {
        &self.batched
    }

    /// Answers a request, together with others that wait.
    pub(crate) async fn ask(&self, request: B::Request) -> Result<B::Outcome, StoreError> {
        let (reply, answer) = oneshot::channel();
        // If the task is gone, this drops the reply.
        let _ = self.queue().send(Waiting { request, reply });
        match timeout(self.call_timeout, answer).await {
            Ok(Ok(Ok(outcome))) => Ok(outcome),
            Ok(Ok(Err(error))) => Err(PgError::of_all(error)),
            Ok(Err(_)) => Err(PgError::Unavailable("the batch was aborted".to_owned()).into()),
            Err(_) => Err(PgError::TimedOut("the request was not reached".to_owned()).into()),
        }
    }

    /// The queue. The task that serves it starts with the first request and ends with the
    /// last clone.
    fn queue(&self) -> &mpsc::UnboundedSender<Waiting<B>> {
        self.queue.get_or_init(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            tokio::spawn(serve(Arc::clone(&self.batched), receiver));
            sender
        })
    }
}

async fn serve<B: Batched>(batched: Arc<B>, mut queue: mpsc::UnboundedReceiver<Waiting<B>>) {
    while let Some(first) = queue.recv().await {
        // Lets requests that are ready to run join the batch.
        tokio::task::yield_now().await;
        let (mut requests, mut replies) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(Waiting { request, reply }) = next {
            // Its caller may have timed out or disconnected.
            if !reply.is_closed() {
                requests.push(request);
                replies.push(reply);
            }
            if requests.len() == MAX_BATCH {
                break;
            }
            next = queue.try_recv().ok();
        }
        if requests.is_empty() {
            continue;
        }
        // A panic drops the replies, and the next batch is served.
        let answering = AssertUnwindSafe(answer(&*batched, &requests, replies));
        if answering.catch_unwind().await.is_err() {
            tracing::error!("a batch of requests panicked");
        }
    }
}

async fn answer<B: Batched>(batched: &B, requests: &[B::Request], replies: Vec<Reply<B>>) {
    match batched.run(requests).await {
        Err(error) if requests.len() > 1 && !error.is_transient() => {
            for (request, reply) in requests.iter().zip(replies) {
                let result = batched.run(std::slice::from_ref(request)).await;
                send::<B>(result, [reply]);
            }
        }
        result => send::<B>(result, replies),
    }
}

fn send<B: Batched>(
    result: Result<Vec<B::Outcome>, PgError>,
    replies: impl IntoIterator<Item = Reply<B>>,
) {
    let replies = replies.into_iter();
    // Sending fails if the caller is gone.
    match result.map_err(Arc::new) {
        Ok(outcomes) => replies.zip(outcomes).for_each(|(reply, outcome)| {
            let _ = reply.send(Ok(outcome));
        }),
        Err(error) => replies.for_each(|reply| {
            let _ = reply.send(Err(Arc::clone(&error)));
        }),
    }
}
