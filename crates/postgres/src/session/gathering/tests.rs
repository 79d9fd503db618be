use std::sync::atomic::{AtomicBool, Ordering};

use diesel::result::{DatabaseErrorKind, Error};
use tokio::sync::{Semaphore, mpsc};
use usher_store::{ApiKeyStore as _, NewApiKey, SessionStore as _, UserStore as _};

use super::*;
use crate::testing::{TestStore, at_once, nobody, session};

const PATIENCE: Duration = Duration::from_mins(1);

type Asked = Vec<String>;

/// Finds for each key its own text, once it is let.
struct Script {
    asked: mpsc::UnboundedSender<Asked>,
    may_answer: Arc<Semaphore>,
    /// The key for which a statement is refused.
    refused: Option<&'static str>,
    must_fail: Arc<AtomicBool>,
    must_panic: Arc<AtomicBool>,
}

impl Source for Script {
    type Found = String;

    async fn find(&self, keys: &[&str]) -> Result<HashMap<String, String>, PgError> {
        let keys: Asked = keys.iter().map(|key| (*key).to_owned()).collect();
        self.asked.send(keys.clone()).unwrap();
        self.may_answer.acquire().await.unwrap().forget();
        assert!(!self.must_panic.swap(false, Ordering::Relaxed), "as told");
        if self.must_fail.swap(false, Ordering::Relaxed) {
            return Err(PgError::Unavailable("as told".to_owned()));
        }
        if keys.iter().any(|key| Some(key.as_str()) == self.refused) {
            let text = Box::new("refused".to_owned());
            return Err(Error::DatabaseError(DatabaseErrorKind::Unknown, text).into());
        }
        let is_there = |key: &String| !key.starts_with("no");
        let found = keys.into_iter().filter(is_there);
        Ok(found.map(|key| (key.clone(), key)).collect())
    }
}

/// A gathering on a script, and what is asked of that.
struct Stage {
    gathering: Gathering<Script>,
    asked: mpsc::UnboundedReceiver<Asked>,
    may_answer: Arc<Semaphore>,
    must_fail: Arc<AtomicBool>,
    must_panic: Arc<AtomicBool>,
}

type Finding = tokio::task::JoinHandle<Result<Option<String>, StoreError>>;

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
            gathering: Gathering::new(script, patience),
            asked,
            may_answer,
            must_fail,
            must_panic,
        }
    }

    /// Has somebody ask for a key, and returns when they stand in line.
    async fn find(&self, key: &str) -> Finding {
        let (gathering, key) = (self.gathering.clone(), id(key));
        let finding = tokio::spawn(async move { gathering.find(&key).await });
        // Those who ask run on this thread too, and stand in line when they first pause.
        tokio::task::yield_now().await;
        finding
    }

    /// The same, when nobody has asked yet: returns when the statement is under way.
    async fn begin(&mut self, key: &str) -> Finding {
        let finding = self.find(key).await;
        assert_eq!(self.next().await, [key]);
        finding
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

fn id(key: &str) -> ApiKeyId {
    ApiKeyId::from_stored(key.to_owned())
}

async fn found(finding: Finding) -> Option<String> {
    finding.await.unwrap().unwrap()
}

async fn is_unavailable(finding: Finding) -> bool {
    matches!(finding.await.unwrap(), Err(StoreError::Unavailable(_)))
}

fn is_idle(stage: &Stage) -> bool {
    !stage.gathering.0.line().is_served
}

#[tokio::test]
async fn who_finds_nobody_there_is_asked_for_at_once() {
    let mut stage = Stage::new();
    for key in ["a", "b"] {
        let finding = stage.begin(key).await;
        stage.answer(1);
        assert_eq!(found(finding).await.as_deref(), Some(key));
        tokio::task::yield_now().await;
        assert!(is_idle(&stage));
    }
}

#[tokio::test]
async fn who_comes_during_a_statement_is_asked_for_by_the_next_with_all_others() {
    let mut stage = Stage::new();
    let first = stage.begin("a").await;
    let mut later = Vec::new();
    // One of them asks for what is being asked for already, and must not get that answer.
    for key in ["c", "a", "b", "none", "c"] {
        later.push(stage.find(key).await);
    }
    stage.answer(1);
    assert_eq!(found(first).await.as_deref(), Some("a"));
    assert_eq!(stage.next().await, ["a", "b", "c", "none"]);
    assert!(later.iter().all(|finding| !finding.is_finished()));

    stage.answer(1);

    let mut answers = Vec::new();
    for finding in later {
        answers.push(found(finding).await);
    }
    let expected = [Some("c"), Some("a"), Some("b"), None, Some("c")];
    assert_eq!(answers, expected.map(|key| key.map(str::to_owned)));
}

#[tokio::test]
async fn nobody_is_overtaken_and_no_statement_asks_for_more_than_it_may() {
    let mut stage = Stage::new();
    let first = stage.begin("first").await;
    let key = |n: usize| format!("{n:04}");
    let mut findings = vec![first];
    for n in 0..300 {
        findings.push(stage.find(&key(n)).await);
    }
    for batch in [0..128, 128..256, 256..300] {
        stage.answer(1);
        assert_eq!(stage.next().await, batch.map(key).collect::<Vec<_>>());
    }
    stage.answer(1);
    for finding in findings {
        assert!(found(finding).await.is_some());
    }
}

#[tokio::test]
async fn who_goes_away_is_not_asked_for_and_takes_nobody_along() {
    let mut stage = Stage::new();
    let first = stage.begin("first").await;
    let stays = stage.find("stays").await;
    let goes = stage.find("goes").await;
    goes.abort();
    goes.await.unwrap_err();
    // Also the one for whom the asking was begun.
    first.abort();
    first.await.unwrap_err();

    stage.answer(1);

    assert_eq!(stage.next().await, ["stays"]);
    stage.answer(1);
    assert_eq!(found(stays).await.as_deref(), Some("stays"));
}

#[tokio::test]
async fn those_who_went_away_take_no_room_in_the_line() {
    let mut stage = Stage::new();
    let first = stage.begin("first").await;
    let stays = stage.find("stays").await;
    for _ in 0..10 * FIRST_SWEEP {
        let goes = stage.find("goes").await;
        goes.abort();
        goes.await.unwrap_err();
        assert!(stage.waiting() <= FIRST_SWEEP);
    }

    stage.answer(2);

    assert!(found(first).await.is_some());
    assert!(found(stays).await.is_some());
}

#[tokio::test]
async fn an_error_is_that_of_its_statement_and_not_of_the_next() {
    let mut stage = Stage::new();
    let first = stage.begin("first").await;
    let (one, other) = (stage.find("one").await, stage.find("other").await);
    stage.answer(1);
    assert!(found(first).await.is_some());
    assert_eq!(stage.next().await, ["one", "other"]);
    let next = stage.find("next").await;

    stage.must_fail.store(true, Ordering::Relaxed);
    stage.answer(1);

    assert!(is_unavailable(one).await && is_unavailable(other).await);
    assert_eq!(stage.next().await, ["next"]);
    stage.answer(1);
    assert!(found(next).await.is_some());
}

#[tokio::test]
async fn a_key_that_is_refused_fails_alone() {
    let mut stage = Stage::with(Some("bad"), PATIENCE);
    let first = stage.begin("first").await;
    let (bad, good) = (stage.find("bad").await, stage.find("good").await);
    stage.answer(1);
    assert!(found(first).await.is_some());
    assert_eq!(stage.next().await, ["bad", "good"]);
    stage.answer(3);
    assert_eq!(stage.next().await, ["bad"]);
    assert_eq!(stage.next().await, ["good"]);

    assert_eq!(found(good).await.as_deref(), Some("good"));
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
    let second = stage.find("second").await;
    stage.must_panic.store(true, Ordering::Relaxed);
    stage.answer(1);
    assert!(is_unavailable(first).await && is_unavailable(second).await);

    let third = stage.begin("third").await;
    stage.answer(1);
    assert!(found(third).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_they_may_for_a_statement_that_hangs() {
    let patience = Duration::from_millis(4500);
    let mut stage = Stage::with(None, patience);
    let first = stage.begin("first").await;
    let late = stage.find("late").await;
    let begin = tokio::time::Instant::now();

    assert!(is_unavailable(first).await && is_unavailable(late).await);

    assert!(begin.elapsed() < patience + Duration::from_millis(10));
    let next = stage.find("next").await;
    stage.answer(2);
    assert_eq!(stage.next().await, ["next"]);
    assert!(found(next).await.is_some());
}

#[tokio::test]
async fn no_key_with_a_nul_is_there() {
    let stage = Stage::new();
    assert_eq!(found(stage.find("a\0b").await).await, None);
    assert!(is_idle(&stage));
}

/// Sessions of so many users.
async fn sessions(store: &TestStore, users: usize) -> Vec<NewApiKey> {
    let mut keys = Vec::new();
    for n in 0..users {
        let user = store.add_user(&format!("user-{n}")).await;
        let key = session(user.id);
        store.create_key(key.clone(), &nobody()).await.unwrap();
        keys.push(key);
    }
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_their_own_credential() {
    let store = TestStore::new().await;
    let keys = sessions(&store, 20).await;
    let tasks = (0..1000).map(|n| {
        let (store, key) = (store.share(), keys[n % keys.len()].clone());
        async move {
            let found = store.find_credential(&key.id).await.unwrap().unwrap();
            found.key.id == key.id && found.user.id == key.user_id
        }
    });

    let are_own = at_once(tasks).await;

    assert!(are_own.into_iter().all(|is_own| is_own));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_has_ended_is_not_found_again_whoever_else_asks() {
    let store = TestStore::new().await;
    let keys = sessions(&store, 4).await;
    let (ended, others) = (&keys[0].id, &keys[1..]);
    let is_over = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = (0..16)
        .map(|n| {
            let (store, is_over) = (store.share(), Arc::clone(&is_over));
            let (ended, other) = (ended.clone(), others[n % others.len()].id.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    store.find_credential(&ended).await.unwrap();
                    assert!(store.find_credential(&other).await.unwrap().is_some());
                }
            })
        })
        .collect();
    for _ in 0..50 {
        assert!(store.find_credential(ended).await.unwrap().is_some());
        store.delete_key(ended, &nobody()).await.unwrap().unwrap();
        assert!(store.find_credential(ended).await.unwrap().is_none());
        store.create_key(keys[0].clone(), &nobody()).await.unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    for asker in askers {
        asker.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_authenticated_waits_for_no_other_work() {
    let store = TestStore::with(|options| options.max_connections = 2).await;
    let keys = sessions(&store, 1).await;
    let blocker = crate::testing::client(store.url()).await;
    blocker
        .batch_execute("BEGIN; LOCK TABLE gitsshkeys")
        .await
        .unwrap();
    let busy = tokio::spawn({
        let store = store.share();
        async move {
            store
                .create_user(crate::testing::user("slow"), &nobody())
                .await
        }
    });
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    while store.value(waits).await == "0" {
        tokio::task::yield_now().await;
    }

    assert!(store.find_credential(&keys[0].id).await.unwrap().is_some());

    blocker.batch_execute("ROLLBACK").await.unwrap();
    busy.await.unwrap().unwrap();
}

#[tokio::test]
async fn keys_are_looked_up_by_indexes_even_if_hardly_anybody_is_there() {
    use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

    use crate::{
        session::credential::CredentialQuery,
        testing::plan::{Explain, assert_uses_an_index},
    };

    let store = TestStore::new().await;
    sessions(&store, 1).await;
    store.sql("ANALYZE").await;
    let explain = async |conn: &mut AsyncPgConnection| -> Result<serde_json::Value, PgError> {
        let query = CredentialQuery { keys: &["a", "b"] };
        Ok(Explain(query).get_result(conn).await?)
    };

    let plan = store.share().credentials.source().read(explain).await;

    let plan = plan.unwrap();
    for table in ["api_keys", "users", "organization_members", "user_links"] {
        assert_uses_an_index(table, "the credentials", &plan);
    }
}
