use std::sync::atomic::{AtomicBool, Ordering};

use diesel::result::{DatabaseErrorKind, Error};
use tokio::sync::{Semaphore, mpsc};

use super::*;

const PATIENCE: Duration = Duration::from_mins(1);

type Asked = Vec<String>;

/// What comes of a request is its own text, once that is let.
struct Script {
    asked: mpsc::UnboundedSender<Asked>,
    may_answer: Arc<Semaphore>,
    /// The request for which a statement is refused.
    refused: Option<&'static str>,
    must_fail: Arc<AtomicBool>,
    must_panic: Arc<AtomicBool>,
}

impl Batched for Script {
    type Request = String;
    type Outcome = String;

    const MOST: usize = 128;

    async fn run(&self, requests: &[String]) -> Result<Vec<String>, PgError> {
        self.asked.send(requests.to_vec()).unwrap();
        self.may_answer.acquire().await.unwrap().forget();
        assert!(!self.must_panic.swap(false, Ordering::Relaxed), "as told");
        if self.must_fail.swap(false, Ordering::Relaxed) {
            return Err(PgError::Unavailable("as told".to_owned()));
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

/// A gathering on a script, and what is asked of that.
struct Stage {
    gathering: Batcher<Script>,
    asked: mpsc::UnboundedReceiver<Asked>,
    may_answer: Arc<Semaphore>,
    must_fail: Arc<AtomicBool>,
    must_panic: Arc<AtomicBool>,
}

type Asking = tokio::task::JoinHandle<Result<String, StoreError>>;

impl Stage {
    fn new() -> Self {
        Self::with(None, PATIENCE)
    }

    fn with(refused: Option<&'static str>, patience: Duration) -> Self {
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
            gathering: Batcher::new(script, patience),
            asked,
            may_answer,
            must_fail,
            must_panic,
        }
    }

    /// Has somebody ask, and returns when they stand in line.
    async fn ask(&self, request: &str) -> Asking {
        let (gathering, request) = (self.gathering.clone(), request.to_owned());
        let asking = tokio::spawn(async move { gathering.ask(request).await });
        // Those who ask run on this thread too, and stand in line when they first pause.
        tokio::task::yield_now().await;
        asking
    }

    /// The same, when nobody has asked yet: returns when the statement is under way.
    async fn begin(&mut self, request: &str) -> Asking {
        let asking = self.ask(request).await;
        assert_eq!(self.next().await, [request]);
        asking
    }

    fn waiting(&self) -> usize {
        self.gathering.0.line().waiting.len()
    }

    /// What the next statement asks for.
    async fn next(&mut self) -> Asked {
        self.asked.recv().await.unwrap()
    }

    /// Lets so many statements be answered.
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

fn is_idle(stage: &Stage) -> bool {
    !stage.gathering.0.line().is_served
}

#[tokio::test]
async fn who_finds_nobody_there_is_served_at_once() {
    let mut stage = Stage::new();
    for key in ["a", "b"] {
        let asking = stage.begin(key).await;
        stage.answer(1);
        assert_eq!(outcome(asking).await, key);
        tokio::task::yield_now().await;
        assert!(is_idle(&stage));
    }
}

#[tokio::test]
async fn who_comes_during_a_statement_is_served_by_the_next_with_all_others() {
    let mut stage = Stage::new();
    let first = stage.begin("a").await;
    let mut later = Vec::new();
    // One of them asks for what is being done already, and must not get that answer.
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
async fn nobody_is_overtaken_and_no_statement_is_for_more_than_it_may() {
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
async fn who_goes_away_is_not_served_and_takes_nobody_along() {
    let mut stage = Stage::new();
    let first = stage.begin("first").await;
    let stays = stage.ask("stays").await;
    let goes = stage.ask("goes").await;
    goes.abort();
    goes.await.unwrap_err();
    // Also the one for whom the asking was begun.
    first.abort();
    first.await.unwrap_err();

    stage.answer(1);

    assert_eq!(stage.next().await, ["stays"]);
    stage.answer(1);
    assert_eq!(outcome(stays).await, "stays");
}

#[tokio::test]
async fn those_who_went_away_take_no_room_in_the_line() {
    let mut stage = Stage::new();
    let first = stage.begin("first").await;
    let stays = stage.ask("stays").await;
    for _ in 0..10 * FIRST_SWEEP {
        let goes = stage.ask("goes").await;
        goes.abort();
        goes.await.unwrap_err();
        assert!(stage.waiting() <= FIRST_SWEEP);
    }

    stage.answer(2);

    outcome(first).await;
    outcome(stays).await;
}

#[tokio::test]
async fn an_error_is_that_of_its_statement_and_not_of_the_next() {
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
async fn who_is_refused_fails_alone() {
    let mut stage = Stage::with(Some("bad"), PATIENCE);
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
async fn a_panic_is_no_end() {
    let mut stage = Stage::new();
    let first = stage.begin("first").await;
    let second = stage.ask("second").await;
    stage.must_panic.store(true, Ordering::Relaxed);
    stage.answer(1);
    assert!(is_unavailable(first).await && is_unavailable(second).await);

    let third = stage.begin("third").await;
    stage.answer(1);
    outcome(third).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_they_may_for_a_statement_that_hangs() {
    let patience = Duration::from_millis(4500);
    let mut stage = Stage::with(None, patience);
    let first = stage.begin("first").await;
    let late = stage.ask("late").await;
    let begin = tokio::time::Instant::now();

    assert!(is_unavailable(first).await && is_unavailable(late).await);

    assert!(begin.elapsed() < patience + Duration::from_millis(10));
    let next = stage.ask("next").await;
    stage.answer(2);
    assert_eq!(stage.next().await, ["next"]);
    outcome(next).await;
}
