use std::sync::Mutex;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mockall::predicate::{always, eq};
use tokio::sync::oneshot;
use usher_store::{Conflict, MockOutboxStore};

use super::*;
use crate::{
    Notification,
    dispatch::MockDispatcher,
    sample::{base_url, message},
};

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
}

fn options() -> NotifierOptions {
    NotifierOptions {
        clock: Arc::new(FixedClock),
        ..NotifierOptions::new(base_url())
    }
}

fn notifier(store: MockOutboxStore, dispatchers: Vec<MockDispatcher>) -> Notifier {
    let dispatchers = dispatchers
        .into_iter()
        .map(|dispatcher| Arc::new(dispatcher) as Arc<dyn Dispatcher>);
    Notifier::new(Arc::new(store), dispatchers, options())
}

/// A store in which these messages are due, once.
fn store_with(messages: Vec<OutboxMessage>) -> MockOutboxStore {
    let mut store = MockOutboxStore::new();
    store
        .expect_lease_messages()
        .times(1)
        .return_once(|_, _, _, _| Ok(messages));
    store
}

fn mail() -> OutboxMessage {
    message(NotificationMethod::Smtp)
}

/// A mail dispatcher that returns this result, once.
fn mail_that(result: Result<(), DispatchError>) -> MockDispatcher {
    let mut dispatcher = mute_mail();
    dispatcher
        .expect_dispatch()
        .times(1)
        .returning(move |_| result.clone());
    dispatcher
}

/// A mail dispatcher that must not be called.
fn mute_mail() -> MockDispatcher {
    let mut dispatcher = MockDispatcher::new();
    dispatcher
        .expect_method()
        .return_const(NotificationMethod::Smtp);
    dispatcher
}

fn temporary() -> DispatchError {
    DispatchError::Temporary("not now".to_owned())
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("gone".into())
}

/// Expects that a failure with this reason is recorded, permanent or with a retry in this range
/// of seconds.
fn expect_failure(
    store: &mut MockOutboxStore,
    reason: &'static str,
    retry_in: Option<std::ops::Range<i64>>,
) {
    store
        .expect_mark_failed()
        .withf(move |_, id, actual, retry_at, _| {
            *id == Uuid::from_u128(1)
                && actual == reason
                && match (retry_at, &retry_in) {
                    (Some(at), Some(range)) => range.contains(&at.timestamp()),
                    (None, None) => true,
                    _ => false,
                }
        })
        .times(1)
        .returning(|_, _, _, _, _| Ok(Some(())));
}

async fn deliver_due(notifier: &Notifier) {
    notifier.deliver_due(&AtomicBool::new(false)).await;
}

#[tokio::test]
async fn a_delivery_is_recorded() {
    let mut store = store_with(vec![mail()]);
    store
        .expect_mark_sent()
        .with(always(), eq(Uuid::from_u128(1)), eq(DateTime::UNIX_EPOCH))
        .times(1)
        .returning(|_, _, _| Ok(Some(())));
    let mut dispatcher = mute_mail();
    dispatcher
        .expect_dispatch()
        .withf(|notification| notification.body == "carol added bob.")
        .times(1)
        .returning(|_| Ok(()));
    deliver_due(&notifier(store, vec![dispatcher])).await;
}

#[tokio::test]
async fn a_delivery_is_recorded_by_the_worker_that_leased_it() {
    let mut store = MockOutboxStore::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let workers = Arc::clone(&seen);
    store
        .expect_lease_messages()
        .withf(|_, limit, lease, at| {
            *limit == 50 && *lease == TimeDelta::minutes(2) && *at == DateTime::UNIX_EPOCH
        })
        .returning(move |worker, _, _, _| {
            workers.lock().unwrap().push(worker);
            Ok(vec![mail()])
        });
    let workers = Arc::clone(&seen);
    store.expect_mark_sent().returning(move |worker, _, _| {
        workers.lock().unwrap().push(worker);
        Ok(Some(()))
    });
    let notifier = notifier(store, vec![mail_that(Ok(()))]);
    deliver_due(&notifier).await;
    assert_eq!(*seen.lock().unwrap(), [notifier.id, notifier.id]);
}

#[tokio::test]
async fn without_due_messages_nothing_is_dispatched() {
    deliver_due(&notifier(store_with(Vec::new()), vec![mute_mail()])).await;
}

#[tokio::test]
async fn an_unavailable_store_ends_the_round() {
    let mut store = MockOutboxStore::new();
    store
        .expect_lease_messages()
        .times(1)
        .returning(|_, _, _, _| Err(unavailable()));
    deliver_due(&notifier(store, vec![mute_mail()])).await;
}

#[tokio::test]
async fn a_full_batch_is_followed_by_another() {
    let mut store = MockOutboxStore::new();
    let sizes = Mutex::new(vec![3, 50, 50]);
    store
        .expect_lease_messages()
        .times(3)
        .returning(move |_, _, _, _| {
            let size = sizes.lock().unwrap().pop().unwrap();
            Ok(vec![mail(); size])
        });
    store
        .expect_mark_sent()
        .times(103)
        .returning(|_, _, _| Ok(Some(())));
    let mut dispatcher = mute_mail();
    dispatcher
        .expect_dispatch()
        .times(103)
        .returning(|_| Ok(()));
    deliver_due(&notifier(store, vec![dispatcher])).await;
}

#[tokio::test]
async fn temporary_failures_are_retried_with_exponential_back_off() {
    for (attempts, seconds) in [(0, 22..38), (1, 45..75), (2, 90..150), (3, 180..300)] {
        let message = OutboxMessage { attempts, ..mail() };
        let mut store = store_with(vec![message]);
        expect_failure(&mut store, "not now", Some(seconds));
        deliver_due(&notifier(store, vec![mail_that(Err(temporary()))])).await;
    }
}

#[tokio::test]
async fn the_last_attempt_fails_permanently() {
    let message = OutboxMessage {
        attempts: 4,
        ..mail()
    };
    let mut store = store_with(vec![message]);
    expect_failure(&mut store, "not now", None);
    deliver_due(&notifier(store, vec![mail_that(Err(temporary()))])).await;
}

#[tokio::test]
async fn a_permanent_failure_is_not_retried() {
    let mut store = store_with(vec![mail()]);
    expect_failure(&mut store, "no such address", None);
    let refusal = DispatchError::Permanent("no such address".to_owned());
    deliver_due(&notifier(store, vec![mail_that(Err(refusal))])).await;
}

#[tokio::test]
async fn a_message_that_crashes_workers_fails_permanently() {
    let message = OutboxMessage {
        attempts: 10,
        ..mail()
    };
    let mut store = store_with(vec![message]);
    expect_failure(&mut store, "no attempt finished", None);
    deliver_due(&notifier(store, vec![mute_mail()])).await;
}

#[tokio::test]
async fn a_panic_fails_one_attempt_and_no_other_message() {
    let other = OutboxMessage {
        id: Uuid::from_u128(9),
        ..mail()
    };
    let mut store = store_with(vec![mail(), other]);
    expect_failure(&mut store, "the notifier panicked", Some(22..38));
    store
        .expect_mark_sent()
        .with(always(), eq(Uuid::from_u128(9)), always())
        .times(1)
        .returning(|_, _, _| Ok(Some(())));
    let dispatcher: Arc<dyn Dispatcher> = Arc::new(PanickingMail);
    let notifier = Notifier::new(Arc::new(store), [dispatcher], options());
    deliver_due(&notifier).await;
}

/// Panics on the first message.
struct PanickingMail;

#[async_trait]
impl Dispatcher for PanickingMail {
    fn method(&self) -> NotificationMethod {
        NotificationMethod::Smtp
    }

    async fn dispatch(&self, notification: &Notification) -> Result<(), DispatchError> {
        assert_ne!(notification.id, Uuid::from_u128(1), "on purpose");
        Ok(())
    }

    async fn check(&self) -> Result<(), DispatchError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_delivery_method_without_dispatcher_fails_permanently() {
    let mut store = store_with(vec![message(NotificationMethod::Webhook)]);
    expect_failure(&mut store, "delivery by webhook is not set up", None);
    deliver_due(&notifier(store, vec![mute_mail()])).await;
}

#[tokio::test]
async fn an_invalid_template_fails_permanently() {
    for method in [NotificationMethod::Smtp, NotificationMethod::Inbox] {
        let mut message = message(method);
        message.template.body_template = "a\n{{".to_owned();
        let mut store = store_with(vec![message]);
        let reason = "invalid template, line 2: syntax error";
        expect_failure(&mut store, reason, None);
        deliver_due(&notifier(store, vec![mute_mail()])).await;
    }
}

#[tokio::test]
async fn the_inbox_needs_no_dispatcher() {
    let mut store = store_with(vec![message(NotificationMethod::Inbox)]);
    store
        .expect_deliver_to_inbox()
        .withf(|_, id, rendered, at| {
            *id == Uuid::from_u128(1)
                && rendered.title == "New account: bob"
                && rendered.content == "carol added **bob**."
                && *at == DateTime::UNIX_EPOCH
        })
        .times(1)
        .returning(|_, _, _, _| Ok(Some(())));
    deliver_due(&notifier(store, Vec::new())).await;
}

#[tokio::test]
async fn an_inbox_failure_is_retried_unless_the_user_was_deleted() {
    for (error, reason, retry_in) in [
        (unavailable(), "the store is unavailable", Some(22..38)),
        (Conflict::UserDeleted.into(), "the user was deleted", None),
    ] {
        let mut store = store_with(vec![message(NotificationMethod::Inbox)]);
        store
            .expect_deliver_to_inbox()
            .return_once(|_, _, _, _| Err(error));
        expect_failure(&mut store, reason, retry_in);
        deliver_due(&notifier(store, Vec::new())).await;
    }
}

#[tokio::test]
async fn a_passcode_is_never_delivered_to_the_inbox() {
    let mut message = message(NotificationMethod::Inbox);
    message.template.id = ONE_TIME_PASSCODE;
    let mut store = store_with(vec![message]);
    expect_failure(&mut store, "passcodes are not delivered to the inbox", None);
    deliver_due(&notifier(store, Vec::new())).await;
}

#[tokio::test]
async fn a_lost_lease_is_not_an_error() {
    let mut store = store_with(vec![mail()]);
    store
        .expect_mark_sent()
        .times(1)
        .returning(|_, _, _| Ok(None));
    deliver_due(&notifier(store, vec![mail_that(Ok(()))])).await;

    let mut store = store_with(vec![mail()]);
    store
        .expect_mark_failed()
        .times(1)
        .returning(|_, _, _, _, _| Ok(None));
    deliver_due(&notifier(store, vec![mail_that(Err(temporary()))])).await;
}

#[tokio::test(start_paused = true)]
async fn recording_a_delivery_is_retried_while_the_store_is_unavailable() {
    let mut store = store_with(vec![mail()]);
    let mut calls = 0;
    store.expect_mark_sent().times(3).returning(move |_, _, _| {
        calls += 1;
        if calls < 3 {
            Err(unavailable())
        } else {
            Ok(Some(()))
        }
    });
    deliver_due(&notifier(store, vec![mail_that(Ok(()))])).await;
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_cannot_be_recorded_is_not_a_failure() {
    let mut store = store_with(vec![mail()]);
    store
        .expect_mark_sent()
        .times(3)
        .returning(|_, _, _| Err(unavailable()));
    deliver_due(&notifier(store, vec![mail_that(Ok(()))])).await;
}

/// A dispatcher that never finishes.
struct SlowMail(Mutex<Vec<Instant>>);

#[async_trait]
impl Dispatcher for SlowMail {
    fn method(&self) -> NotificationMethod {
        NotificationMethod::Smtp
    }

    async fn dispatch(&self, _: &Notification) -> Result<(), DispatchError> {
        self.0.lock().unwrap().push(Instant::now());
        future::pending().await
    }

    async fn check(&self) -> Result<(), DispatchError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn no_delivery_outlasts_the_lease() {
    let mut store = store_with(vec![mail(); 49]);
    store
        .expect_mark_failed()
        .withf(|_, _, reason, _, _| reason == "the delivery timed out")
        .times(49)
        .returning(|_, _, _, _, _| Ok(Some(())));
    let slow = Arc::new(SlowMail(Mutex::default()));
    let dispatcher: Arc<dyn Dispatcher> = Arc::<SlowMail>::clone(&slow);
    let notifier = Notifier::new(Arc::new(store), [dispatcher], options());
    let start = Instant::now();
    deliver_due(&notifier).await;
    assert!(start.elapsed() < Duration::from_mins(2));
    assert_eq!(slow.0.lock().unwrap().len(), 49);
}

/// A dispatcher that takes most of the lease.
struct SleepyMail;

#[async_trait]
impl Dispatcher for SleepyMail {
    fn method(&self) -> NotificationMethod {
        NotificationMethod::Smtp
    }

    async fn dispatch(&self, _: &Notification) -> Result<(), DispatchError> {
        tokio::time::advance(Duration::from_secs(101)).await;
        Ok(())
    }

    async fn check(&self) -> Result<(), DispatchError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn no_delivery_starts_that_could_outlast_the_lease() {
    let mut store = store_with(vec![mail(); 2]);
    store
        .expect_mark_sent()
        .times(1)
        .returning(|_, _, _| Ok(Some(())));
    let options = NotifierOptions {
        concurrency: 1,
        ..options()
    };
    let dispatcher: Arc<dyn Dispatcher> = Arc::new(SleepyMail);
    let notifier = Notifier::new(Arc::new(store), [dispatcher], options);
    deliver_due(&notifier).await;
}

#[test]
fn a_batch_fits_into_the_lease() {
    let limit = |batch, concurrency| {
        let options = NotifierOptions {
            batch,
            concurrency,
            ..options()
        };
        options.limit()
    };
    assert_eq!(limit(50, 16), 50);
    assert_eq!(limit(50, 2), 10);
    assert_eq!(limit(50, 0), 5);
    assert_eq!(limit(50, usize::MAX), 50);
}

/// A store without due messages that records when, in seconds, it was asked for some.
fn idle_store(start: Instant) -> (MockOutboxStore, Arc<Mutex<Vec<u64>>>) {
    let mut store = MockOutboxStore::new();
    let polls = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&polls);
    store.expect_lease_messages().returning(move |_, _, _, _| {
        recorded.lock().unwrap().push(start.elapsed().as_secs());
        Ok(Vec::new())
    });
    store.expect_delete_old_messages().returning(|_| Ok(0));
    (store, polls)
}

/// Runs the notifier as the server does, in a task of its own.
async fn run_for(store: MockOutboxStore, seconds: u64) {
    let notifier = notifier(store, Vec::new());
    let shutdown = sleep(Duration::from_secs(seconds));
    tokio::spawn(async move { notifier.run(shutdown).await })
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_enqueued_message_is_leased_immediately() {
    let (mut store, polls) = idle_store(Instant::now());
    store.expect_subscribe().times(1).return_once(|| {
        let enqueued = stream::once(sleep(Duration::from_secs(20)));
        Ok(enqueued.chain(stream::pending()).boxed())
    });

    run_for(store, 40).await;

    assert_eq!(*polls.lock().unwrap(), [0, 0, 15, 20, 35]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_subscription_is_renewed_and_missed_messages_are_leased() {
    let (mut store, polls) = idle_store(Instant::now());
    let mut attempts = 0;
    store.expect_subscribe().times(4).returning(move || {
        attempts += 1;
        match attempts {
            // Lost after five seconds.
            1 => Ok(stream::once(sleep(Duration::from_secs(5))).skip(1).boxed()),
            2 | 3 => Err(unavailable()),
            _ => Ok(stream::pending().boxed()),
        }
    });

    run_for(store, 20).await;

    // The pauses between the attempts are 1, 2 and 4 seconds.
    assert_eq!(*polls.lock().unwrap(), [0, 0, 12]);
}

#[tokio::test(start_paused = true)]
async fn without_a_subscription_the_outbox_is_polled_and_cleaned_hourly() {
    let start = Instant::now();
    let mut store = MockOutboxStore::new();
    store.expect_subscribe().returning(|| Err(unavailable()));
    let seen = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let polls = Arc::clone(&seen);
    store.expect_lease_messages().returning(move |_, _, _, _| {
        polls.lock().unwrap().0.push(start.elapsed().as_secs());
        Ok(Vec::new())
    });
    let cleanings = Arc::clone(&seen);
    store
        .expect_delete_old_messages()
        .with(eq(DateTime::UNIX_EPOCH - TimeDelta::days(7)))
        .returning(move |_| {
            cleanings.lock().unwrap().1.push(start.elapsed().as_secs());
            Ok(1)
        });

    run_for(store, 3700).await;

    let (polls, cleanings) = &*seen.lock().unwrap();
    assert_eq!(polls[..4], [0, 15, 30, 45]);
    assert_eq!(*cleanings, [0, 3600]);
    assert_eq!(start.elapsed().as_secs(), 3700);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_finishes_deliveries_in_progress_and_releases_the_rest() {
    let second = OutboxMessage {
        id: Uuid::from_u128(9),
        ..mail()
    };
    let mut store = store_with(vec![mail(), second]);
    store
        .expect_subscribe()
        .returning(|| Ok(stream::pending().boxed()));
    store
        .expect_mark_sent()
        .with(always(), eq(Uuid::from_u128(1)), always())
        .times(1)
        .returning(|_, _, _| Ok(Some(())));
    store
        .expect_mark_failed()
        .withf(|_, id, _, retry_at, at| *id == Uuid::from_u128(9) && *retry_at == Some(*at))
        .times(1)
        .returning(|_, _, _, _, _| Ok(Some(())));
    let (begun, is_begun) = oneshot::channel();
    let (end, is_end) = oneshot::channel();
    let dispatcher: Arc<dyn Dispatcher> = Arc::new(StoppedMail(Mutex::new(Some((begun, is_end)))));
    let options = NotifierOptions {
        concurrency: 1,
        ..options()
    };
    let notifier = Notifier::new(Arc::new(store), [dispatcher], options);
    let shutdown = async move {
        is_begun.await.unwrap();
        tokio::spawn(async move {
            sleep(Duration::from_secs(5)).await;
            end.send(()).unwrap();
        });
    };

    notifier.run(shutdown).await;
}

/// A dispatcher that signals its start and finishes on a signal.
struct StoppedMail(Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>);

#[async_trait]
impl Dispatcher for StoppedMail {
    fn method(&self) -> NotificationMethod {
        NotificationMethod::Smtp
    }

    async fn dispatch(&self, _: &Notification) -> Result<(), DispatchError> {
        let (begun, end) = self.0.lock().unwrap().take().expect("one mail");
        begun.send(()).unwrap();
        end.await.unwrap();
        Ok(())
    }

    async fn check(&self) -> Result<(), DispatchError> {
        Ok(())
    }
}
