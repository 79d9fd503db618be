//! Work that no answer waits for, and that is not to be lost when the server stops.

use std::{fmt, sync::Arc};

use tokio::{sync::watch, task::JoinHandle};

/// Work that no answer waits for. Clones share it.
#[derive(Clone)]
pub struct Background(Arc<watch::Sender<()>>);

impl Default for Background {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background")
            .field("under_way", &self.0.receiver_count())
            .finish()
    }
}

impl Background {
    /// Does the work, whether anybody waits for it or not.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        // All work holds a receiver, so that the last to end closes the channel.
        let under_way = self.0.subscribe();
        tokio::spawn(async move {
            let _under_way = under_way;
            work.await
        })
    }

    /// Waits until nothing is under way.
    pub async fn finish(&self) {
        self.0.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_is_finished_when_the_last_work_has_ended_or_broken() {
        let background = Background::default();
        background.finish().await;

        let (end_one, one) = oneshot::channel::<()>();
        let (end_other, other) = oneshot::channel::<()>();
        let shared = background.clone();
        let one = shared.spawn(one);
        let other = shared.spawn(async {
            other.await.unwrap();
            std::panic::panic_any("as the test wants");
        });
        let mut finish = Box::pin(background.finish());
        assert!(finish.as_mut().now_or_never().is_none());
        end_one.send(()).unwrap();
        one.await.unwrap().unwrap();
        assert!(finish.as_mut().now_or_never().is_none());
        end_other.send(()).unwrap();
        assert!(other.await.unwrap_err().is_panic());

        finish.await;
    }
}
