//! Hashes and verifies passwords on threads of their own.
//!
//! There are as many threads as cores, at low priority, and a limit on how long work may
//! queue: a storm of sign-ins must not take memory or CPU time from other requests.

use std::{
    cell::RefCell,
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use secrecy::SecretString;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
    time::timeout,
};
use usher_domain::{
    PasswordHash,
    password_hash::{HashCost, Scratch},
};

use crate::ApiError;

/// How long work may wait for a thread.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How long an idle thread, and with it its memory, is kept.
const THREAD_KEEP_ALIVE: Duration = Duration::from_secs(1);
/// The `nice` value of the threads. It leaves them a third of the CPU share of others: a lower
/// share would let other programs on the machine keep users from signing in.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// Hashes and verifies passwords. Clones share the threads.
#[derive(Clone)]
pub struct Hasher {
    threads: Arc<Threads>,
    permits: Arc<Semaphore>,
    cost: HashCost,
    /// A hash to verify the passwords of unknown users against, so that it takes as long.
    decoy: Arc<OnceLock<PasswordHash>>,
}

impl Hasher {
    /// Creates a hasher with one thread for each core, at least two.
    pub fn start(cost: HashCost) -> Self {
        let threads = thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
        Self {
            threads: Arc::new(Threads::new(threads)),
            permits: Arc::new(Semaphore::new(threads)),
            cost,
            decoy: Arc::default(),
        }
    }

    /// Hashes a new password.
    ///
    /// # Errors
    ///
    /// [`ApiError::Unavailable`] if too much work is queued, as for all methods.
    pub async fn hash(
        &self,
        secret: &SecretString,
        salt: [u8; 16],
    ) -> Result<PasswordHash, ApiError> {
        let (secret, cost) = (secret.clone(), self.cost);
        self.run(move |scratch| PasswordHash::argon2id(&secret, salt, cost, scratch))
            .await
    }

    /// Hashes a one-time passcode.
    pub async fn hash_passcode(
        &self,
        secret: &SecretString,
        salt: [u8; 16],
    ) -> Result<PasswordHash, ApiError> {
        let secret = secret.clone();
        self.run(move |_| PasswordHash::pbkdf2(&secret, salt)).await
    }

    /// Returns whether `secret` is the hashed password. A missing or empty hash matches nothing
    /// and takes as long.
    pub async fn verify(
        &self,
        secret: &SecretString,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, ApiError> {
        let known = hash.filter(|hash| !hash.is_none()).cloned();
        let (secret, cost, decoy) = (secret.clone(), self.cost, Arc::clone(&self.decoy));
        self.run(move |scratch| {
            // Computed by the first call for known users too, or its time would differ.
            let decoy = decoy.get_or_init(|| {
                PasswordHash::argon2id(&SecretString::from("decoy"), [0; 16], cost, scratch)
            });
            if let Some(hash) = known {
                return hash.verify(&secret, scratch);
            }
            std::hint::black_box(decoy.verify(&secret, scratch));
            false
        })
        .await
    }

    /// Returns whether `secret` is the hashed one-time passcode. A missing passcode matches
    /// nothing and takes as long.
    pub async fn verify_passcode(
        &self,
        secret: &SecretString,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, ApiError> {
        let (secret, hash) = (secret.clone(), hash.cloned());
        self.run(move |scratch| {
            if let Some(hash) = hash {
                return hash.verify(&secret, scratch);
            }
            std::hint::black_box(PasswordHash::pbkdf2(&secret, [0; 16]));
            false
        })
        .await
    }

    /// Returns whether the hash should be replaced at the next sign-in.
    pub fn is_outdated(&self, hash: &PasswordHash) -> bool {
        hash.is_outdated(self.cost)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = timeout(MAX_WAIT, Arc::clone(&self.permits).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(ApiError::Unavailable(None));
        };
        let done = self.threads.spawn(move || {
            // Released when the work is done, even if the caller has disconnected.
            let _permit = permit;
            SCRATCH.with_borrow_mut(work)
        });
        done.await.map_err(|_| ApiError::Unavailable(None))
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The blocking threads of a tokio runtime that runs nothing else.
struct Threads(Option<Runtime>);

impl Threads {
    fn new(count: usize) -> Self {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(count)
            .thread_name("hashing")
            .thread_keep_alive(THREAD_KEEP_ALIVE)
            .on_thread_start(lower_priority)
            .build()
            .expect("a runtime without drivers needs no resources");
        Self(Some(runtime))
    }

    fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        let runtime = self.0.as_ref().expect("taken only by `drop`");
        runtime.spawn_blocking(work)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime must not be dropped, and so waited for, on a thread of another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn lower_priority() {
    // On other systems `nice` would apply to the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "failed to lower the priority of a hashing thread");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: HashCost = HashCost {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };

    #[tokio::test]
    async fn a_hash_matches_its_secret_only_and_a_missing_hash_matches_nothing() {
        let hasher = Hasher::start(CHEAP);
        let secret = SecretString::from("right");
        let hash = hasher.hash(&secret, [1; 16]).await.unwrap();
        assert!(hasher.verify(&secret, Some(&hash)).await.unwrap());
        let wrong = SecretString::from("wrong");
        assert!(!hasher.verify(&wrong, Some(&hash)).await.unwrap());
        let decoy = SecretString::from("decoy");
        for hash in [None, Some(&PasswordHash::none())] {
            assert!(!hasher.verify(&decoy, hash).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_caller_that_disconnects_leaves_the_threads_free() {
        let hasher = Hasher::start(CHEAP);
        let secret = SecretString::from("right");
        for _ in 0..100 {
            let pending = hasher.hash(&secret, [1; 16]);
            let _ = timeout(Duration::from_micros(1), pending).await;
        }
        assert!(hasher.hash(&secret, [1; 16]).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_would_wait_too_long_is_rejected() {
        let hasher = Hasher::start(CHEAP);
        let all = u32::try_from(hasher.permits.available_permits()).unwrap();
        let busy = hasher.permits.acquire_many(all).await.unwrap();
        let secret = SecretString::from("right");

        let rejected = hasher.hash(&secret, [1; 16]).await;

        assert!(matches!(rejected, Err(ApiError::Unavailable(_))));
        drop(busy);
        assert!(hasher.hash(&secret, [1; 16]).await.is_ok());
    }

    #[tokio::test]
    async fn a_panic_leaves_the_threads_usable() {
        let hasher = Hasher::start(CHEAP);
        for _ in 0..20 {
            let failed: Result<(), ApiError> = hasher.run(|_| std::panic::panic_any(())).await;
            assert!(matches!(failed, Err(ApiError::Unavailable(_))));
        }
        let secret = SecretString::from("right");
        assert!(hasher.hash(&secret, [1; 16]).await.is_ok());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_hashing_threads_run_at_low_priority() {
        let hasher = Hasher::start(CHEAP);
        let of_hashing = hasher.run(|_| rustix::process::nice(0).unwrap()).await;
        let own = rustix::process::nice(0).unwrap();
        assert_eq!(of_hashing.unwrap(), (own + NICENESS).min(19));
    }
}
