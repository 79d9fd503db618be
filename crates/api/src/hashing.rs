//! Where passwords are hashed and checked: off the serving threads, with a bound on how
//! many at once.
//!
//! A few threads of their own take the work in the order of its arrival, each with memory
//! that it uses again and gives back when there is nothing to do. They stand back behind all
//! other threads. Work that would wait too long is refused, so that a flood of sign-ins
//! costs neither memory nor other requests.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

#[cfg(target_os = "linux")]
use rustix::mm::{Advice, madvise};
use secrecy::SecretString;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};
use usher_domain::{
    PasswordHash,
    password_hash::{HashCost, Scratch},
};

use crate::ApiError;

/// How long work may wait for its turn.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long a thread keeps its memory without work.
const KEEP_MEMORY: Duration = Duration::from_secs(1);

/// How far hashing stands back behind other threads, as `nice` has it: to a third of their
/// share. It loses nothing by that where cores are free, and else requests that take
/// microseconds do not wait for the end of its turn. Further back, other programs on the
/// machine could keep people from signing in.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

type Job = Box<dyn FnOnce(&mut Scratch) + Send>;

/// Where passwords are hashed and checked. Clones share the threads, which end with the
/// last of them.
#[derive(Clone)]
pub struct Hasher {
    turns: Arc<Semaphore>,
    idle: Idle,
    cost: HashCost,
    nobody: Nobody,
}

/// The threads that have nothing to do, by the way to them; the last that had is the first to
/// have again, so that others give back their memory.
type Idle = Arc<Mutex<Vec<Sender<Job>>>>;

/// The right to a thread, which is idle again when the value is dropped.
struct Turn {
    thread: Sender<Job>,
    idle: Idle,
    // Given back after the thread.
    _permit: OwnedSemaphorePermit,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(self.thread.clone());
    }
}

/// What the password of an unknown user is checked against, so that it takes as long.
/// Made when there is nothing else to do, and at the latest when any password is checked.
type Nobody = Arc<OnceLock<PasswordHash>>;

impl Hasher {
    /// Starts one thread for each core, two at least.
    pub fn start(cost: HashCost) -> Self {
        let threads = thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
        let nobody = Nobody::default();
        let idle = (0..threads)
            .map(|n| {
                let (jobs, queue) = channel::<Job>();
                let nobody = Arc::clone(&nobody);
                thread::Builder::new()
                    .name(format!("hashing-{n}"))
                    .spawn(move || work(&queue, &nobody, cost))
                    .expect("the system has a thread to give");
                jobs
            })
            .collect();
        Self {
            turns: Arc::new(Semaphore::new(threads)),
            idle: Arc::new(Mutex::new(idle)),
            cost,
            nobody,
        }
    }

    /// Hashes a new password.
    ///
    /// # Errors
    ///
    /// [`ApiError::Unavailable`] if too many others wait.
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
    ///
    /// # Errors
    ///
    /// [`ApiError::Unavailable`] if too many others wait.
    pub async fn hash_passcode(
        &self,
        secret: &SecretString,
        salt: [u8; 16],
    ) -> Result<PasswordHash, ApiError> {
        let secret = secret.clone();
        self.run(move |_| PasswordHash::pbkdf2(&secret, salt)).await
    }

    /// Whether `secret` is what was hashed. Nobody's hash, `None` or an empty one, matches
    /// nothing and takes as long.
    ///
    /// # Errors
    ///
    /// [`ApiError::Unavailable`] if too many others wait.
    pub async fn verify(
        &self,
        secret: &SecretString,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, ApiError> {
        let known = hash.filter(|hash| !hash.is_none()).cloned();
        let (secret, cost, nobody) = (secret.clone(), self.cost, Arc::clone(&self.nobody));
        self.run(move |scratch| {
            // Whoever comes first after the start waits for it, known or not.
            let nobody = hash_of_nobody(&nobody, cost, scratch);
            if let Some(hash) = known {
                return hash.verify(&secret, scratch);
            }
            // Done for its time; the answer is known.
            std::hint::black_box(nobody.verify(&secret, scratch));
            false
        })
        .await
    }

    /// Whether `secret` is the one-time passcode that was hashed. No passcode at all takes
    /// as long.
    ///
    /// # Errors
    ///
    /// [`ApiError::Unavailable`] if too many others wait.
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
            // Hashing takes what checking would.
            std::hint::black_box(PasswordHash::pbkdf2(&secret, [0; 16]));
            false
        })
        .await
    }

    /// Whether the hash should be replaced at the next chance.
    pub fn is_outdated(&self, hash: &PasswordHash) -> bool {
        hash.is_outdated(self.cost)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = timeout(LONGEST_WAIT, self.turn()).await;
        let Ok(Some(turn)) = turn else {
            return Err(ApiError::Unavailable(None));
        };
        let thread = turn.thread.clone();
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |scratch| {
            let done = work(scratch);
            drop(turn);
            // A caller who hung up is answered too; nobody listens then.
            let _ = answer.send(done);
        });
        thread.send(job).map_err(|_| ApiError::Unavailable(None))?;
        answered.await.map_err(|_| ApiError::Unavailable(None))
    }

    /// Waits for a thread that is idle. There are as many permits as threads, so whoever has
    /// one finds one.
    async fn turn(&self) -> Option<Turn> {
        let permit = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let thread = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()?;
        Some(Turn {
            thread,
            idle: Arc::clone(&self.idle),
            _permit: permit,
        })
    }
}

fn hash_of_nobody<'a>(
    nobody: &'a OnceLock<PasswordHash>,
    cost: HashCost,
    scratch: &mut Scratch,
) -> &'a PasswordHash {
    let secret = SecretString::from("nobody's password");
    nobody.get_or_init(|| PasswordHash::argon2id(&secret, [0; 16], cost, scratch))
}

fn work(queue: &Receiver<Job>, nobody: &OnceLock<PasswordHash>, cost: HashCost) {
    stand_back();
    let mut scratch = take();
    loop {
        let job = match queue.recv_timeout(KEEP_MEMORY) {
            Err(RecvTimeoutError::Timeout) => {
                hash_of_nobody(nobody, cost, &mut scratch);
                give_back(scratch);
                // There is nothing more to give back, and so nothing to wake for.
                let received = queue.recv().map_err(RecvTimeoutError::from);
                scratch = take();
                received
            }
            received => received,
        };
        let Ok(job) = job else {
            return;
        };
        // A panic is told by the hook of the program and by an answer that never comes; the
        // thread goes on.
        let _ = catch_unwind(AssertUnwindSafe(|| job(&mut scratch)));
    }
}

/// Memory for hashes in huge pages, if the system has them for those who ask: Argon2 goes
/// through it by chance, and spends an eighth of its time on finding small ones.
fn take() -> Scratch {
    let scratch = Scratch::default();
    #[cfg(target_os = "linux")]
    let scratch = advised(scratch, Advice::LinuxHugepage);
    scratch
}

/// Not in huge pages: the allocator may cut it into pieces for others.
fn give_back(scratch: Scratch) {
    #[cfg(target_os = "linux")]
    let scratch = advised(scratch, Advice::LinuxNoHugepage);
    drop(scratch);
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "advice about memory is a call of the system")]
fn advised(mut scratch: Scratch, advice: Advice) -> Scratch {
    /// The largest that Linux has where it is not a huge one.
    const PAGE: usize = 64 * 1024;
    let memory = scratch.reserve();
    let start = memory.as_mut_ptr().cast::<u8>();
    let unaligned = start.align_offset(PAGE);
    let Some(bytes) = size_of_val(memory).checked_sub(unaligned) else {
        return scratch;
    };
    let (start, bytes) = (start.wrapping_add(unaligned), bytes / PAGE * PAGE);
    // SAFETY: The memory is ours alone while this lasts, and the advice changes nothing in it.
    if let Err(error) = unsafe { madvise(start.cast(), bytes, advice) } {
        tracing::debug!(%error, "hashing cannot choose its pages");
    }
    scratch
}

fn stand_back() {
    // Elsewhere all of the process would.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "hashing does not stand back");
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
    async fn a_hash_matches_its_secret_and_nobodys_matches_nothing() {
        let hasher = Hasher::start(CHEAP);
        let secret = SecretString::from("right");
        let hash = hasher.hash(&secret, [1; 16]).await.unwrap();
        assert!(hasher.verify(&secret, Some(&hash)).await.unwrap());
        let wrong = SecretString::from("wrong");
        assert!(!hasher.verify(&wrong, Some(&hash)).await.unwrap());
        let nobody = SecretString::from("nobody's password");
        assert!(!hasher.verify(&nobody, None).await.unwrap());
        assert!(
            !hasher
                .verify(&nobody, Some(&PasswordHash::none()))
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn a_caller_who_hangs_up_leaves_the_threads_free() {
        let hasher = Hasher::start(CHEAP);
        let secret = SecretString::from("right");
        for _ in 0..100 {
            let pending = hasher.hash(&secret, [1; 16]);
            let _ = timeout(Duration::from_micros(1), pending).await;
        }
        assert!(hasher.hash(&secret, [1; 16]).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_too_long_is_refused() {
        let hasher = Hasher::start(CHEAP);
        let all = u32::try_from(hasher.turns.available_permits()).unwrap();
        let busy = hasher.turns.acquire_many(all).await.unwrap();
        let secret = SecretString::from("right");

        let refused = hasher.hash(&secret, [1; 16]).await;

        assert!(matches!(refused, Err(ApiError::Unavailable(_))));
        drop(busy);
        assert!(hasher.hash(&secret, [1; 16]).await.is_ok());
    }

    #[tokio::test]
    async fn a_panic_ends_no_thread() {
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
    async fn hashing_stands_back_and_nothing_else_does() {
        let hasher = Hasher::start(CHEAP);
        let of_hashing = hasher.run(|_| rustix::process::nice(0).unwrap()).await;
        let own = rustix::process::nice(0).unwrap();
        assert_eq!(of_hashing.unwrap(), (own + NICENESS).min(19));
    }
}
