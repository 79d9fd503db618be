//! What a provider publishes, kept for a while.

use std::{
    future::Future,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use crate::ProviderError;

/// How old a value may be before it is fetched again.
const MAX_AGE: Duration = Duration::from_hours(1);
/// How long to wait after an attempt to renew a value before the next one. Without it,
/// forged tokens could be used to make this service call the provider.
const MIN_INTERVAL: Duration = Duration::from_secs(30);

/// A value that is fetched when it is first asked for, by one of those who ask at the same
/// time. A value that is too old is used for as long as there is no younger one to be had.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    kept: RwLock<Option<Kept<T>>>,
    /// Held while fetching, with what there is to know of the last time.
    flight: Mutex<Flight>,
}

#[derive(Debug)]
struct Kept<T> {
    value: Arc<T>,
    fetched_at: Instant,
}

#[derive(Debug, Default)]
struct Flight {
    failed: Option<(Instant, ProviderError)>,
    renewal_tried_at: Option<Instant>,
}

impl Flight {
    /// Whether another attempt to renew may be made; if so, it counts as made.
    fn may_renew(&mut self) -> bool {
        let is_due = self
            .renewal_tried_at
            .is_none_or(|tried_at| tried_at.elapsed() >= MIN_INTERVAL);
        if is_due {
            self.renewal_tried_at = Some(Instant::now());
        }
        is_due
    }
}

impl<T> Cached<T> {
    pub(crate) fn new() -> Self {
        Self {
            kept: RwLock::new(None),
            flight: Mutex::new(Flight::default()),
        }
    }

    /// The value. Fails only if there has never been one.
    pub(crate) async fn get<F>(&self, fetch: impl FnOnce() -> F) -> Result<Arc<T>, ProviderError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        match self.kept() {
            Some((value, fetched_at)) if fetched_at.elapsed() < MAX_AGE => Ok(value),
            Some((value, _)) => Ok(self.renew_aged(fetch).await.unwrap_or(value)),
            None => self.fetch_first(fetch).await,
        }
    }

    /// A younger value than `seen`, which turned out not to be good enough: `None` if there
    /// is none and it was tried lately.
    pub(crate) async fn younger<F>(
        &self,
        seen: &Arc<T>,
        fetch: impl FnOnce() -> F,
    ) -> Result<Option<Arc<T>>, ProviderError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let mut flight = self.flight.lock().await;
        match self.kept() {
            Some((value, _)) if !Arc::ptr_eq(&value, seen) => return Ok(Some(value)),
            _ if !flight.may_renew() => return Ok(None),
            _ => {}
        }
        Ok(Some(self.keep(fetch().await?)))
    }

    async fn fetch_first<F>(&self, fetch: impl FnOnce() -> F) -> Result<Arc<T>, ProviderError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let asked_at = Instant::now();
        let mut flight = self.flight.lock().await;
        if let Some((value, _)) = self.kept() {
            return Ok(value);
        }
        // Those who waited share a failure too; else each of them would wait in turn.
        if let Some((failed_at, error)) = &flight.failed
            && *failed_at > asked_at
        {
            return Err(error.clone());
        }
        match fetch().await {
            Ok(value) => Ok(self.keep(value)),
            Err(error) => {
                flight.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// A value in place of one that is too old, unless somebody else is at it or was lately.
    async fn renew_aged<F>(&self, fetch: impl FnOnce() -> F) -> Option<Arc<T>>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let mut flight = self.flight.try_lock().ok()?;
        if !flight.may_renew() {
            return None;
        }
        match fetch().await {
            Ok(value) => Some(self.keep(value)),
            Err(error) => {
                tracing::warn!(%error, "a provider's published data could not be renewed");
                None
            }
        }
    }

    fn kept(&self) -> Option<(Arc<T>, Instant)> {
        // A value is put there whole, so a panic elsewhere has not spoilt it.
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref()
            .map(|kept| (Arc::clone(&kept.value), kept.fetched_at))
    }

    fn keep(&self, value: T) -> Arc<T> {
        let value = Arc::new(value);
        let kept = Kept {
            value: Arc::clone(&value),
            fetched_at: Instant::now(),
        };
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        value
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::time;

    use super::*;

    /// A source that counts, takes a second, and fails while it is told to.
    #[derive(Default)]
    struct Source {
        calls: AtomicUsize,
        is_down: std::sync::atomic::AtomicBool,
    }

    impl Source {
        async fn fetch(&self) -> Result<usize, ProviderError> {
            let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
            time::sleep(Duration::from_secs(1)).await;
            if self.is_down.load(Ordering::SeqCst) {
                return Err(ProviderError::Unavailable("down".to_owned()));
            }
            Ok(call)
        }

        fn calls(&self) -> usize {
            self.calls.load(Ordering::SeqCst)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_at_once_fetch_once() {
        let (cached, source) = (Cached::new(), Source::default());
        let all = join_all((0..50).map(|_| cached.get(|| source.fetch()))).await;
        assert!(all.iter().all(|value| **value.as_ref().unwrap() == 1));
        assert_eq!(source.calls(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_share_a_failure_and_the_next_one_tries_again() {
        let (cached, source) = (Cached::new(), Source::default());
        source.is_down.store(true, Ordering::SeqCst);
        let all = join_all((0..50).map(|_| cached.get(|| source.fetch()))).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(source.calls(), 1);

        source.is_down.store(false, Ordering::SeqCst);
        assert_eq!(*cached.get(|| source.fetch()).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_gives_up_does_not_stop_the_others() {
        let (cached, source) = (Cached::new(), Source::default());
        let first = time::timeout(Duration::from_millis(10), cached.get(|| source.fetch()));
        assert!(first.await.is_err());
        assert_eq!(*cached.get(|| source.fetch()).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_value_is_renewed_and_used_while_that_fails() {
        let (cached, source) = (Cached::new(), Source::default());
        cached.get(|| source.fetch()).await.unwrap();
        let second = Duration::from_secs(1);
        time::advance(MAX_AGE.saturating_sub(second)).await;
        assert_eq!(*cached.get(|| source.fetch()).await.unwrap(), 1);
        assert_eq!(source.calls(), 1);

        time::advance(second).await;
        source.is_down.store(true, Ordering::SeqCst);
        for _ in 0..5 {
            assert_eq!(*cached.get(|| source.fetch()).await.unwrap(), 1);
        }
        assert_eq!(source.calls(), 2, "tried again at once");

        time::advance(MIN_INTERVAL).await;
        source.is_down.store(false, Ordering::SeqCst);
        assert_eq!(*cached.get(|| source.fetch()).await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_younger_value_is_not_fetched_again_and_again() {
        let (cached, source) = (Cached::new(), Source::default());
        let first = cached.get(|| source.fetch()).await.unwrap();
        let all = join_all((0..50).map(|_| cached.younger(&first, || source.fetch()))).await;
        for value in all {
            assert_eq!(*value.unwrap().expect("a younger one"), 2);
        }

        let second = cached.get(|| source.fetch()).await.unwrap();
        for _ in 0..5 {
            let third = cached.younger(&second, || source.fetch()).await.unwrap();
            assert_eq!(third, None);
        }
        assert_eq!(source.calls(), 2);

        time::advance(MIN_INTERVAL).await;
        let third = cached.younger(&second, || source.fetch()).await.unwrap();
        assert_eq!(third.as_deref(), Some(&3));
    }
}
