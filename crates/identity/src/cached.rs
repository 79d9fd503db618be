//! A cache for the data that a provider publishes.

use std::{
    future::Future,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use crate::ProviderError;

/// The age after which a value is fetched again.
const MAX_AGE: Duration = Duration::from_hours(1);
/// The minimum time between two refreshes. Without it, forged tokens would cause requests to the
/// provider.
const MIN_INTERVAL: Duration = Duration::from_secs(30);

/// A value that is fetched on first use, once for concurrent callers. An expired value is used
/// while it cannot be refreshed.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    entry: RwLock<Option<Entry<T>>>,
    /// Locked while fetching; holds the results of the last fetches.
    flight: Mutex<Flight>,
}

#[derive(Debug)]
struct Entry<T> {
    value: Arc<T>,
    fetched_at: Instant,
}

#[derive(Debug, Default)]
struct Flight {
    failed: Option<(Instant, ProviderError)>,
    refreshed_at: Option<Instant>,
}

impl Flight {
    /// Whether a refresh is due; if so, records it.
    fn start_refresh(&mut self) -> bool {
        let is_due = self
            .refreshed_at
            .is_none_or(|at| at.elapsed() >= MIN_INTERVAL);
        if is_due {
            self.refreshed_at = Some(Instant::now());
        }
        is_due
    }
}

impl<T> Cached<T> {
    pub(crate) fn new() -> Self {
        Self {
            entry: RwLock::new(None),
            flight: Mutex::new(Flight::default()),
        }
    }

    /// Returns the value. Fails only if it was never fetched.
    pub(crate) async fn get<F>(&self, fetch: impl FnOnce() -> F) -> Result<Arc<T>, ProviderError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        match self.entry() {
            Some((value, fetched_at)) if fetched_at.elapsed() < MAX_AGE => Ok(value),
            Some((value, _)) => Ok(self.refresh(fetch).await.unwrap_or(value)),
            None => self.fetch_first(fetch).await,
        }
    }

    /// Returns a newer value than `seen`, or `None` if the last refresh was too recent.
    pub(crate) async fn newer<F>(
        &self,
        seen: &Arc<T>,
        fetch: impl FnOnce() -> F,
    ) -> Result<Option<Arc<T>>, ProviderError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let mut flight = self.flight.lock().await;
        match self.entry() {
            Some((value, _)) if !Arc::ptr_eq(&value, seen) => return Ok(Some(value)),
            _ if !flight.start_refresh() => return Ok(None),
            _ => {}
        }
        Ok(Some(self.store(fetch().await?)))
    }

    async fn fetch_first<F>(&self, fetch: impl FnOnce() -> F) -> Result<Arc<T>, ProviderError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let called_at = Instant::now();
        let mut flight = self.flight.lock().await;
        if let Some((value, _)) = self.entry() {
            return Ok(value);
        }
        // Waiting callers share a failure; otherwise each would fetch again.
        if let Some((failed_at, error)) = &flight.failed
            && *failed_at > called_at
        {
            return Err(error.clone());
        }
        match fetch().await {
            Ok(value) => Ok(self.store(value)),
            Err(error) => {
                flight.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Refreshes an expired value, unless another caller is doing so or did recently.
    async fn refresh<F>(&self, fetch: impl FnOnce() -> F) -> Option<Arc<T>>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let mut flight = self.flight.try_lock().ok()?;
        if !flight.start_refresh() {
            return None;
        }
        match fetch().await {
            Ok(value) => Some(self.store(value)),
            Err(error) => {
                tracing::warn!(%error, "could not refresh the cached data of a provider");
                None
            }
        }
    }

    fn entry(&self) -> Option<(Arc<T>, Instant)> {
        let entry = self.entry.read().unwrap_or_else(PoisonError::into_inner);
        entry
            .as_ref()
            .map(|entry| (Arc::clone(&entry.value), entry.fetched_at))
    }

    fn store(&self, value: T) -> Arc<T> {
        let value = Arc::new(value);
        let entry = Entry {
            value: Arc::clone(&value),
            fetched_at: Instant::now(),
        };
        *self.entry.write().unwrap_or_else(PoisonError::into_inner) = Some(entry);
        value
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::time;

    use super::*;

    /// A source that counts its calls, takes a second, and fails while it is down.
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
    async fn concurrent_callers_fetch_once() {
        let (cached, source) = (Cached::new(), Source::default());
        let all = join_all((0..50).map(|_| cached.get(|| source.fetch()))).await;
        assert!(all.iter().all(|value| **value.as_ref().unwrap() == 1));
        assert_eq!(source.calls(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_callers_share_a_failure_and_the_next_call_fetches_again() {
        let (cached, source) = (Cached::new(), Source::default());
        source.is_down.store(true, Ordering::SeqCst);
        let all = join_all((0..50).map(|_| cached.get(|| source.fetch()))).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(source.calls(), 1);

        source.is_down.store(false, Ordering::SeqCst);
        assert_eq!(*cached.get(|| source.fetch()).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_caller_does_not_block_others() {
        let (cached, source) = (Cached::new(), Source::default());
        let first = time::timeout(Duration::from_millis(10), cached.get(|| source.fetch()));
        assert!(first.await.is_err());
        assert_eq!(*cached.get(|| source.fetch()).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_value_is_used_while_it_cannot_be_refreshed() {
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
        assert_eq!(source.calls(), 2, "refreshed again immediately");

        time::advance(MIN_INTERVAL).await;
        source.is_down.store(false, Ordering::SeqCst);
        assert_eq!(*cached.get(|| source.fetch()).await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_value_is_fetched_at_most_once_per_interval() {
        let (cached, source) = (Cached::new(), Source::default());
        let first = cached.get(|| source.fetch()).await.unwrap();
        let all = join_all((0..50).map(|_| cached.newer(&first, || source.fetch()))).await;
        for value in all {
            assert_eq!(*value.unwrap().expect("a newer value"), 2);
        }

        let second = cached.get(|| source.fetch()).await.unwrap();
        for _ in 0..5 {
            let third = cached.newer(&second, || source.fetch()).await.unwrap();
            assert_eq!(third, None);
        }
        assert_eq!(source.calls(), 2);

        time::advance(MIN_INTERVAL).await;
        let third = cached.newer(&second, || source.fetch()).await.unwrap();
        assert_eq!(third.as_deref(), Some(&3));
    }
}
