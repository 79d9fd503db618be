//! The worker: takes what is due, delivers it, and notes what came of it.

use std::{
    collections::HashMap,
    error::Error,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{self, Either},
    stream,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tracing::Instrument as _;
use url::Url;
use usher_domain::{
    notification::{NotificationMethod, ONE_TIME_PASSCODE},
    time::{Clock, SystemClock},
};
use usher_store::{OutboxMessage, OutboxStore, StoreError};
use uuid::Uuid;

use crate::{DispatchError, Dispatcher, render::Renderer};

/// How long delivered and given-up messages are kept.
const KEEP: TimeDelta = TimeDelta::days(7);
/// How often older ones are deleted.
const CLEAN_INTERVAL: Duration = Duration::from_hours(1);
/// The pause after the first failed attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// How many deliveries fit into a lease one after the other.
const DELIVERIES_IN_LEASE: u32 = 6;
/// How often it is tried to note a delivery while the store is unavailable.
const NOTE_ATTEMPTS: u32 = 3;

/// How a [`Notifier`] works.
#[derive(Clone)]
pub struct NotifierOptions {
    /// Where people reach the service; links lead there.
    pub base_url: Url,
    /// How often to look for due messages: 15 seconds. That is how late they come, unless
    /// somebody [wakes](WakeHandle::wake) the worker.
    pub fetch_interval: Duration,
    /// For how long messages are leased: 2 minutes. One delivery has a sixth of it.
    pub lease: Duration,
    /// How many messages are leased at once, at most: 50.
    pub batch: u32,
    /// How many deliveries are under way at once, at most: 16.
    pub concurrency: usize,
    /// After how many failed attempts a message is given up: 5.
    pub max_attempts: u32,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

impl NotifierOptions {
    /// The defaults.
    pub fn new(base_url: Url) -> Self {
        Self {
            base_url,
            fetch_interval: Duration::from_secs(15),
            lease: Duration::from_mins(2),
            batch: 50,
            concurrency: 16,
            max_attempts: 5,
            clock: Arc::new(SystemClock),
        }
    }

    /// How long one delivery may take.
    fn delivery_timeout(&self) -> Duration {
        self.lease / DELIVERIES_IN_LEASE
    }

    /// How many messages to lease: no more than can be delivered before the lease ends,
    /// however long each takes.
    fn limit(&self) -> u32 {
        let one_after_the_other = DELIVERIES_IN_LEASE - 1;
        let at_once = u32::try_from(self.concurrency).unwrap_or(u32::MAX).max(1);
        self.batch.min(at_once.saturating_mul(one_after_the_other))
    }
}

/// Makes a [`Notifier`] look for due messages at once. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct WakeHandle(Arc<Notify>);

impl WakeHandle {
    /// Looks now, or after what is under way; several calls are as good as one.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Empties the outbox.
pub struct Notifier {
    store: Arc<dyn OutboxStore>,
    dispatchers: HashMap<NotificationMethod, Arc<dyn Dispatcher>>,
    renderer: Renderer,
    options: NotifierOptions,
    id: Uuid,
    wake: WakeHandle,
}

/// What came of an attempt.
enum Outcome {
    Delivered,
    /// Somebody else has the message by now.
    LeaseLost,
    /// It was delivered, and the store does not know.
    NotNoted(StoreError),
    Failed(DispatchError),
}

impl Notifier {
    /// Delivers by these ways, and into the inbox by itself. A message that is to go any
    /// other way is given up.
    pub fn new(
        store: Arc<dyn OutboxStore>,
        dispatchers: impl IntoIterator<Item = Arc<dyn Dispatcher>>,
        options: NotifierOptions,
    ) -> Self {
        Self {
            store,
            dispatchers: dispatchers
                .into_iter()
                .map(|dispatcher| (dispatcher.method(), dispatcher))
                .collect(),
            renderer: Renderer::new(options.base_url.clone()),
            options,
            id: Uuid::new_v4(),
            wake: WakeHandle::default(),
        }
    }

    /// What others wake it with.
    pub fn wake_handle(&self) -> WakeHandle {
        self.wake.clone()
    }

    /// Works until `shutdown`. What is being delivered then is ended and noted, within a
    /// sixth of the lease; what was leased besides goes back.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown.fuse());
        let mut cleaned_at: Option<Instant> = None;
        loop {
            let stopping = AtomicBool::new(false);
            let work = pin!(self.deliver_due(&stopping));
            if let Either::Left(((), work)) = future::select(shutdown.as_mut(), work).await {
                stopping.store(true, Ordering::Relaxed);
                work.await;
                return;
            }
            if cleaned_at.is_none_or(|at| at.elapsed() >= CLEAN_INTERVAL) {
                cleaned_at = Some(Instant::now());
                tokio::select! {
                    () = shutdown.as_mut() => return,
                    () = self.clean() => {}
                }
            }
            tokio::select! {
                () = shutdown.as_mut() => return,
                () = self.wake.0.notified() => {}
                () = sleep(self.options.fetch_interval) => {}
            }
        }
    }

    /// Delivers batch after batch until nothing is due.
    async fn deliver_due(&self, stopping: &AtomicBool) {
        let limit = self.options.limit();
        let lease = TimeDelta::from_std(self.options.lease).unwrap_or(TimeDelta::MAX);
        while !stopping.load(Ordering::Relaxed) {
            let leased_at = Instant::now();
            let now = self.options.clock.now();
            let messages = match self.store.lease_messages(self.id, limit, lease, now).await {
                Ok(messages) => messages,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn Error,
                        "looking for notifications failed"
                    );
                    return;
                }
            };
            let is_last = messages.len() < limit as usize;
            stream::iter(messages)
                .for_each_concurrent(self.options.concurrency.max(1), async |message| {
                    let would_end = leased_at.elapsed() + self.options.delivery_timeout();
                    if stopping.load(Ordering::Relaxed) {
                        self.put_back(&message).await;
                    } else if would_end <= self.options.lease {
                        let span = tracing::error_span!(
                            "notification",
                            message.id = %message.id,
                            message.template = message.template.name,
                            message.method = message.method.as_str(),
                            message.attempt = attempt_number(&message),
                        );
                        self.deliver(&message).instrument(span).await;
                    }
                    // Else the lease ends by itself, and somebody takes the message.
                })
                .await;
            if is_last {
                return;
            }
        }
    }

    async fn deliver(&self, message: &OutboxMessage) {
        // One message that breaks a library must not stop all others.
        let outcome = AssertUnwindSafe(self.attempt(message))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| {
                let reason = "the notifier stumbled over the message";
                Outcome::Failed(DispatchError::Temporary(reason.to_owned()))
            });
        match outcome {
            Outcome::Delivered => tracing::info!("delivered a notification"),
            Outcome::LeaseLost => tracing::warn!(
                "the lease of a notification ended before its delivery; it may arrive twice"
            ),
            Outcome::NotNoted(error) => tracing::error!(
                error = &error as &dyn Error,
                "delivered a notification, but could not note it; it will arrive twice"
            ),
            Outcome::Failed(failure) => {
                let attempt = attempt_number(message);
                let reason = failure.to_string();
                let pause = match failure {
                    DispatchError::Temporary(_) if attempt < self.options.max_attempts => {
                        Some(pause_after(attempt))
                    }
                    _ => None,
                };
                if let Some(pause) = pause {
                    let retry_in_seconds = pause.as_secs();
                    tracing::warn!(reason, retry_in_seconds, "delivering a notification failed");
                } else {
                    tracing::error!(reason, "gave a notification up");
                }
                self.note_failure(message, &reason, pause).await;
            }
        }
    }

    async fn attempt(&self, message: &OutboxMessage) -> Outcome {
        // Leases count as attempts, also those of workers that died of the message.
        if message.attempts >= self.options.max_attempts.saturating_mul(2) {
            return given_up("no attempt came to an end");
        }
        match message.method {
            NotificationMethod::Inbox => self.deliver_to_inbox(message).await,
            method => match self.dispatchers.get(&method) {
                Some(dispatcher) => self.dispatch(message, &**dispatcher).await,
                None => given_up(&format!("delivery by {} is not set up", method.as_str())),
            },
        }
    }

    async fn deliver_to_inbox(&self, message: &OutboxMessage) -> Outcome {
        if message.template.id == ONE_TIME_PASSCODE {
            return given_up("a passcode does not go to the inbox");
        }
        let rendered = match self.renderer.inbox(message) {
            Ok(rendered) => rendered,
            Err(error) => return given_up(&error.to_string()),
        };
        let now = self.options.clock.now();
        let delivered = self
            .store
            .deliver_to_inbox(self.id, message.id, rendered, now)
            .await;
        match delivered {
            Ok(Some(())) => Outcome::Delivered,
            Ok(None) => Outcome::LeaseLost,
            Err(StoreError::Conflict(conflict)) => given_up(&conflict.to_string()),
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "writing into an inbox failed");
                Outcome::Failed(DispatchError::Temporary(error.to_string()))
            }
        }
    }

    async fn dispatch(&self, message: &OutboxMessage, dispatcher: &dyn Dispatcher) -> Outcome {
        let notification = match self.renderer.notification(message) {
            Ok(notification) => notification,
            Err(error) => return given_up(&error.to_string()),
        };
        let limit = self.options.delivery_timeout();
        match timeout(limit, dispatcher.dispatch(&notification)).await {
            Ok(Ok(())) => self.note_delivery(message).await,
            Ok(Err(failure)) => Outcome::Failed(failure),
            Err(_) => Outcome::Failed(DispatchError::Temporary("it took too long".to_owned())),
        }
    }

    async fn note_delivery(&self, message: &OutboxMessage) -> Outcome {
        let mut attempt = 1;
        loop {
            let now = self.options.clock.now();
            match self.store.mark_sent(self.id, message.id, now).await {
                Ok(Some(())) => return Outcome::Delivered,
                Ok(None) => return Outcome::LeaseLost,
                Err(StoreError::Unavailable(_)) if attempt < NOTE_ATTEMPTS => {
                    sleep(Duration::from_secs(attempt.into())).await;
                    attempt += 1;
                }
                Err(error) => return Outcome::NotNoted(error),
            }
        }
    }

    /// Notes a failure. If that fails too, the lease ends by itself.
    async fn note_failure(&self, message: &OutboxMessage, reason: &str, pause: Option<Duration>) {
        let now = self.options.clock.now();
        let retry_at = pause.map(|pause| now + pause);
        let noted = self
            .store
            .mark_failed(self.id, message.id, reason, retry_at, now)
            .await;
        match noted {
            Ok(Some(())) => {}
            Ok(None) => {
                tracing::warn!("the lease of a notification ended before its failure was noted");
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn Error,
                "could not note the failure of a notification"
            ),
        }
    }

    /// Lets others have the message at once.
    async fn put_back(&self, message: &OutboxMessage) {
        self.note_failure(
            message,
            "the worker was stopped before",
            Some(Duration::ZERO),
        )
        .await;
    }

    async fn clean(&self) {
        let before = self.options.clock.now() - KEEP;
        match self.store.delete_old_messages(before).await {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, "deleted old notifications from the outbox"),
            Err(error) => tracing::warn!(
                error = &error as &dyn Error,
                "deleting old notifications failed"
            ),
        }
    }
}

/// Which attempt this is, from one.
fn attempt_number(message: &OutboxMessage) -> u32 {
    message.attempts.saturating_add(1)
}

fn given_up(reason: &str) -> Outcome {
    Outcome::Failed(DispatchError::Permanent(reason.to_owned()))
}

/// How long to wait after the failed attempt: twice as long with each, and a quarter more
/// or less, so that what failed together does not come back together.
fn pause_after(attempt: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
    doubled
        .min(LONGEST_PAUSE)
        .mul_f64(rand::random_range(0.75..1.25))
}

#[cfg(test)]
mod tests;
