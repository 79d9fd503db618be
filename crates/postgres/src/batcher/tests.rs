use std::sync::atomic::{AtomicBool, Ordering};

use diesel::result::{DatabaseErrorKind, Error};
use tokio::sync::{Semaphore, mpsc};

use super::*;

const CALL_TIMEOUT: Duration = Duration::from_mins(1);

type Asked = Vec<String>;

/// Answers each request with its own text, when permitted.
struct Script {
    asked: mpsc::UnboundedSender<Asked>,
    may_answer: Arc<Semaphore>,
    /// A batch with this request fails.
    refused: Option<&'static str>,
    must_fail: Arc<AtomicBool>,
    must_panic: Arc<AtomicBool>,
}

impl Batched for Script {
    type Request = String;
    type Outcome = String;

    async fn run(&self, requests: &[String]) -> Result<Vec<String>, PgError> {
        self.asked.send(requests.to_vec()).unwrap();
        self.may_answer.acquire().await.unwrap().forget();
        assert!(!self.must_panic.swap(false, Ordering::Relaxed), "scripted");
        if self.must_fail.swap(false, Ordering::Relaxed) {
            return Err(PgError::Unavailable("scripted".to_owned()));
        }
        if requests
            .iter()
            .any(|one| Some(one.as_str()) == self.refused)
        {
            let text = Box::new("refused".to_owned());
            return Err(Error::DatabaseError(DatabaseErrorKind::Unknown, text).into());
        }
        Ok(requests.to_vec())
    }
}

/// A batcher on a script, and the batches that it receives.
struct Stage {
    batcher: Batcher<Script>,
    asked: mpsc::UnboundedReceiver<Asked>,
    may_answer: Arc<Semaphore>,
    must_fail: Arc<AtomicBool>,
    must_panic: Arc<AtomicBool>,
}

type Asking = tokio::task::JoinHandle<Result<String, StoreError>>;

impl Stage {
    fn new() -> Self {
        Self::with(None, CALL_TIMEOUT)
    }

    fn with(refused: Option<&'static str>, call_timeout: Duration) -> Self {
        let (sender, asked) = mpsc::unbounded_channel();
        let may_answer = Arc::new(Semaphore::new(0));
        let (must_fail, must_panic) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        let script = Script {
            asked: sender,
            may_answer: Arc::clone(&may_answer),
            refused,
            must_fail: Arc::clone(&must_fail),
            must_panic: Arc::clone(&must_panic),
        };
        Self {
            batcher: Batcher::new(script, call_timeout),
            asked,
            may_answer,
            must_fail,
            must_panic,
        }
    }

    /// Sends a request and returns when it is queued.
    async fn ask(&self, request: &str) -> Asking {
        let (batcher, request) = (self.batcher.clone(), request.to_owned());
        let asking = tokio::spawn(async move { batcher.ask(request).await });
        // The task runs on this thread and queues its request before it first waits.
        tokio::task::yield_now().await;
        asking
    }

    /// Sends a request to an idle batcher and returns when its statement runs.
    async fn begin(&mut self, request: &str) -> Asking {
        let asking = self.ask(request).await;
        assert_eq!(self.next().await, [request]);
        asking
    }

    /// The next batch.
    async fn next(&mut self) -> Asked {
        self.asked.recv().await.unwrap()
    }

    /// Permits this many answers.
    fn answer(&self, statements: usize) {
        self.may_answer.add_permits(statements);
    }
}

async fn outcome(asking: Asking) -> String {
    asking.await.unwrap().unwrap()
}

async fn is_unavailable(asking: Asking) -> bool {
    matches!(asking.await.unwrap(), Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn an_idle_batcher_starts_immediately() {
    let mut stage = Stage::new();
    for key in ["a", "b"] {
        let asking = stage.begin(key).await;
        stage.answer(1);
        assert_eq!(outcome(asking).await, key);
    }
}

#[tokio::test]
async fn requests_that_arrive_during_a_statement_share_the_next_one() {
    let mut stage = Stage::new();
    let first = stage.begin("a").await;
    let mut later = Vec::new();
    // One is the same as the request that is running, and must not get that answer.
    for key in ["c", "a", "b", "c"] {
        later.push(stage.ask(key).await);
    }
    stage.answer(1);
    assert_eq!(outcome(first).await, "a");
    assert_eq!(stage.next().await, ["c", "a", "b", "c"]);
    assert!(later.iter().all(|asking| !asking.is_finished()));

    stage.answer(1);

    let mut answers = Vec::new();
    for asking in later {
        answers.push(outcome(asking).await);
    }
    assert_eq!(answers, ["c", "a", "b", "c"]);
}

#[tokio::test]
async fn requests_are_answered_in_order_in_batches_of_limited_size() {
    let mut stage = Stage::new();
    let first = stage.begin("first").await;
    let key = |n: usize| format!("{n:04}");
    let mut askings = vec![first];
    for n in 0..300 {
        askings.push(stage.ask(&key(n)).await);
    }
    for batch in [0..128, 128..256, 256..300] {
        stage.answer(1);
        assert_eq!(stage.next().await, batch.map(key).collect::<Vec<_>>());
    }
    stage.answer(1);
    for asking in askings {
        outcome(asking).await;
    }
}

#[tokio::test]
async fn a_cancelled_request_is_dropped_and_affects_no_other() {
    let mut stage = Stage::new();
    let first = stage.begin("first").await;
    let stays = stage.ask("stays").await;
    let goes = stage.ask("goes").await;
    goes.abort();
    goes.await.unwrap_err();
    // Also the caller whose request started the statement.
    first.abort();
    first.await.unwrap_err();

    stage.answer(1);

    assert_eq!(stage.next().await, ["stays"]);
    stage.answer(1);
    assert_eq!(outcome(stays).await, "stays");
}

#[tokio::test]
async fn a_transient_error_fails_its_batch_and_not_the_next() {
    let mut stage = Stage::new();
    let first = stage.begin("first").await;
    let (one, other) = (stage.ask("one").await, stage.ask("other").await);
    stage.answer(1);
    outcome(first).await;
    assert_eq!(stage.next().await, ["one", "other"]);
    let next = stage.ask("next").await;

    stage.must_fail.store(true, Ordering::Relaxed);
    stage.answer(1);

    assert!(is_unavailable(one).await && is_unavailable(other).await);
    assert_eq!(stage.next().await, ["next"]);
    stage.answer(1);
    outcome(next).await;
}

#[tokio::test]
async fn a_request_that_makes_its_batch_fail_fails_alone() {
    let mut stage = Stage::with(Some("bad"), CALL_TIMEOUT);
    let first = stage.begin("first").await;
    let (bad, good) = (stage.ask("bad").await, stage.ask("good").await);
    stage.answer(1);
    outcome(first).await;
    assert_eq!(stage.next().await, ["bad", "good"]);
    stage.answer(3);
    assert_eq!(stage.next().await, ["bad"]);
    assert_eq!(stage.next().await, ["good"]);

    assert_eq!(outcome(good).await, "good");
    let refused = bad.await.unwrap();
    assert!(
        matches!(refused, Err(StoreError::Internal(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_panic_fails_its_batch_and_not_the_next() {
    let mut stage = Stage::new();
    let first = stage.begin("first").await;
    let second = stage.ask("second").await;
    stage.must_panic.store(true, Ordering::Relaxed);
    stage.answer(1);
    assert!(is_unavailable(first).await);

    assert_eq!(stage.next().await, ["second"]);
    stage.answer(1);
    outcome(second).await;
}

#[tokio::test(start_paused = true)]
async fn no_request_waits_longer_than_the_timeout_for_a_statement_that_hangs() {
    let call_timeout = Duration::from_millis(4500);
    let mut stage = Stage::with(None, call_timeout);
    let first = stage.begin("first").await;
    let late = stage.ask("late").await;
    let begin = tokio::time::Instant::now();

    assert!(is_unavailable(first).await && is_unavailable(late).await);

    assert!(begin.elapsed() < call_timeout + Duration::from_millis(10));
    let next = stage.ask("next").await;
    stage.answer(2);
    assert_eq!(stage.next().await, ["next"]);
    outcome(next).await;
}
