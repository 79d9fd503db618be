//! The worker: leases due messages, delivers them and records the result.

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

/// How long delivered and failed messages stay in the outbox.
const RETENTION: TimeDelta = TimeDelta::days(7);
/// How often older messages are deleted.
const CLEAN_INTERVAL: Duration = Duration::from_hours(1);
/// The pause after the first failed attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// The pauses before the worker subscribes to the outbox again: the shortest and the longest.
const SUBSCRIBE_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(1)];
/// How many consecutive deliveries fit into a lease.
const DELIVERIES_IN_LEASE: u32 = 6;
/// How often the worker tries to record a delivery while the store is unavailable.
const RECORD_ATTEMPTS: u32 = 3;

/// The options of a [`Notifier`].
#[derive(Clone)]
pub struct NotifierOptions {
    /// The URL of the service, the base of links in messages.
    pub base_url: Url,
    /// How often to poll for due messages: 15 seconds. New messages are delivered sooner, as
    /// long as the worker is [subscribed](OutboxStore::subscribe) to the outbox.
    pub fetch_interval: Duration,
    /// How long messages are leased: 2 minutes. One delivery may take a sixth of it.
    pub lease: Duration,
    /// The maximum number of messages to lease together: 50.
    pub batch: u32,
    /// The maximum number of concurrent deliveries: 16.
    pub concurrency: usize,
    /// The number of failed attempts after which a message fails permanently: 5.
    pub max_attempts: u32,
    /// The clock.
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

    /// How many messages to lease: at most as many as fit into the lease if every delivery
    /// takes its full time.
    fn limit(&self) -> u32 {
        let consecutive = DELIVERIES_IN_LEASE - 1;
        let concurrent = u32::try_from(self.concurrency).unwrap_or(u32::MAX).max(1);
        self.batch.min(concurrent.saturating_mul(consecutive))
    }
}

/// Delivers the messages in the outbox.
pub struct Notifier {
    store: Arc<dyn OutboxStore>,
    dispatchers: HashMap<NotificationMethod, Arc<dyn Dispatcher>>,
    renderer: Renderer,
    options: NotifierOptions,
    id: Uuid,
    enqueued: Notify,
}

/// The result of an attempt.
enum Outcome {
    Delivered,
    /// The lease expired, so another worker may have the message.
    LeaseLost,
    /// The message was delivered, but the store could not record it.
    NotRecorded(StoreError),
    Failed(DispatchError),
}

impl Notifier {
    /// Creates a notifier that delivers through `dispatchers` and, without one, to the inbox.
    /// A message with any other delivery method fails permanently.
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
            enqueued: Notify::new(),
        }
    }

    /// Runs until `shutdown` completes. Deliveries in progress are then finished and recorded,
    /// within a sixth of the lease; other leased messages are released.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let polling = pin!(self.poll(shutdown));
        let listening = pin!(self.listen());
        future::select(polling, listening).await;
    }

    /// Has new messages delivered right after they were enqueued. Does not return.
    async fn listen(&self) {
        let [shortest, longest] = SUBSCRIBE_PAUSES;
        let mut pause = shortest;
        loop {
            match self.store.subscribe().await {
                Ok(mut enqueued) => {
                    pause = shortest;
                    // For messages that were enqueued before.
                    self.enqueued.notify_one();
                    while enqueued.next().await.is_some() {
                        self.enqueued.notify_one();
                    }
                    tracing::debug!("the subscription to the outbox ended");
                }
                Err(error) => tracing::debug!(
                    error = &error as &dyn Error,
                    "cannot subscribe to the outbox; polling only"
                ),
            }
            sleep(pause).await;
            pause = longest.min(pause * 2);
        }
    }

    async fn poll(&self, shutdown: impl Future<Output = ()>) {
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
                () = self.enqueued.notified() => {}
                () = sleep(self.options.fetch_interval) => {}
            }
        }
    }

    /// Delivers batches until no message is due.
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
                        "could not lease notifications"
                    );
                    return;
                }
            };
            let is_last = messages.len() < limit as usize;
            stream::iter(messages)
                .for_each_concurrent(self.options.concurrency.max(1), async |message| {
                    let would_end = leased_at.elapsed() + self.options.delivery_timeout();
                    if stopping.load(Ordering::Relaxed) {
                        self.release(&message).await;
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
                    // Otherwise the lease expires, and the message is leased again.
                })
                .await;
            if is_last {
                return;
            }
        }
    }

    async fn deliver(&self, message: &OutboxMessage) {
        // A message that makes a library panic must not stop the others.
        let outcome = AssertUnwindSafe(self.attempt(message))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| {
                let reason = "the notifier panicked";
                Outcome::Failed(DispatchError::Temporary(reason.to_owned()))
            });
        match outcome {
            Outcome::Delivered => tracing::info!("delivered a notification"),
            Outcome::LeaseLost => tracing::warn!(
                "the lease expired before the notification was delivered; it may arrive twice"
            ),
            Outcome::NotRecorded(error) => tracing::error!(
                error = &error as &dyn Error,
                "delivered a notification, but could not record it; it will arrive twice"
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
                    tracing::warn!(
                        reason,
                        retry_in_seconds,
                        "could not deliver a notification; will retry"
                    );
                } else {
                    tracing::error!(reason, "could not deliver a notification; will not retry");
                }
                self.record_failure(message, &reason, pause).await;
            }
        }
    }

    async fn attempt(&self, message: &OutboxMessage) -> Outcome {
        // Leases count as attempts, including those of workers that crashed.
        if message.attempts >= self.options.max_attempts.saturating_mul(2) {
            return permanent_failure("no attempt finished");
        }
        match message.method {
            NotificationMethod::Inbox => self.deliver_to_inbox(message).await,
            method => match self.dispatchers.get(&method) {
                Some(dispatcher) => self.dispatch(message, &**dispatcher).await,
                None => {
                    permanent_failure(&format!("delivery by {} is not set up", method.as_str()))
                }
            },
        }
    }

    async fn deliver_to_inbox(&self, message: &OutboxMessage) -> Outcome {
        if message.template.id == ONE_TIME_PASSCODE {
            return permanent_failure("passcodes are not delivered to the inbox");
        }
        let rendered = match self.renderer.inbox(message) {
            Ok(rendered) => rendered,
            Err(error) => return permanent_failure(&error.to_string()),
        };
        let now = self.options.clock.now();
        let delivered = self
            .store
            .deliver_to_inbox(self.id, message.id, rendered, now)
            .await;
        match delivered {
            Ok(Some(())) => Outcome::Delivered,
            Ok(None) => Outcome::LeaseLost,
            Err(StoreError::Conflict(conflict)) => permanent_failure(&conflict.to_string()),
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "could not write to an inbox");
                Outcome::Failed(DispatchError::Temporary(error.to_string()))
            }
        }
    }

    async fn dispatch(&self, message: &OutboxMessage, dispatcher: &dyn Dispatcher) -> Outcome {
        let notification = match self.renderer.notification(message) {
            Ok(notification) => notification,
            Err(error) => return permanent_failure(&error.to_string()),
        };
        let limit = self.options.delivery_timeout();
        match timeout(limit, dispatcher.dispatch(&notification)).await {
            Ok(Ok(())) => self.record_delivery(message).await,
            Ok(Err(failure)) => Outcome::Failed(failure),
            Err(_) => Outcome::Failed(DispatchError::Temporary(
                "the delivery timed out".to_owned(),
            )),
        }
    }

    async fn record_delivery(&self, message: &OutboxMessage) -> Outcome {
        let mut attempt = 1;
        loop {
            let now = self.options.clock.now();
            match self.store.mark_sent(self.id, message.id, now).await {
                Ok(Some(())) => return Outcome::Delivered,
                Ok(None) => return Outcome::LeaseLost,
                Err(StoreError::Unavailable(_)) if attempt < RECORD_ATTEMPTS => {
                    sleep(Duration::from_secs(attempt.into())).await;
                    attempt += 1;
                }
                Err(error) => return Outcome::NotRecorded(error),
            }
        }
    }

    /// Records a failure. If that fails too, the lease expires.
    async fn record_failure(&self, message: &OutboxMessage, reason: &str, pause: Option<Duration>) {
        let now = self.options.clock.now();
        let retry_at = pause.map(|pause| now + pause);
        let recorded = self
            .store
            .mark_failed(self.id, message.id, reason, retry_at, now)
            .await;
        match recorded {
            Ok(Some(())) => {}
            Ok(None) => {
                tracing::warn!(
                    "the lease expired before the failure of a notification was recorded"
                );
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn Error,
                "could not record the failure of a notification"
            ),
        }
    }

    /// Makes the message due again immediately, for other workers.
    async fn release(&self, message: &OutboxMessage) {
        self.record_failure(
            message,
            "the worker was stopped before the delivery",
            Some(Duration::ZERO),
        )
        .await;
    }

    async fn clean(&self) {
        let before = self.options.clock.now() - RETENTION;
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

fn permanent_failure(reason: &str) -> Outcome {
    Outcome::Failed(DispatchError::Permanent(reason.to_owned()))
}

/// How long to wait after a failed attempt: exponential back-off with 25 % jitter, so that
/// messages that failed together are not retried together.
fn pause_after(attempt: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
    doubled
        .min(LONGEST_PAUSE)
        .mul_f64(rand::random_range(0.75..1.25))
}

#[cfg(test)]
mod tests;
