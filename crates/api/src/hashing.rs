//! Where passwords are hashed and checked: off the serving threads, with a bound on how
//! many at once.
//!
//! A few threads of their own take the work in the order of its arrival, each with memory
//! that it uses again and gives back when there is nothing to do. Work that would wait too
//! long is refused, so that a flood of sign-ins costs neither memory nor other requests.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use secrecy::SecretString;
use tokio::{
    sync::{Semaphore, oneshot},
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

type Job = Box<dyn FnOnce(&mut Scratch) + Send>;

/// Where passwords are hashed and checked. Clones share the threads, which end with the
/// last of them.
#[derive(Clone)]
pub struct Hasher {
    jobs: Sender<Job>,
    turns: Arc<Semaphore>,
    cost: HashCost,
    /// What the password of an unknown user is checked against, so that it takes as long.
    nobody: Arc<OnceLock<PasswordHash>>,
}

impl Hasher {
    /// Starts one thread for each core, two at least.
    pub fn start(cost: HashCost) -> Self {
        let threads = thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for n in 0..threads {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("hashing-{n}"))
                .spawn(move || work(&queue))
                .expect("the system has a thread to give");
        }
        let hasher = Self {
            jobs,
            turns: Arc::new(Semaphore::new(threads)),
            cost,
            nobody: Arc::default(),
        };
        // Made ahead, so that the first unknown user takes no longer than the next.
        let nobody = Arc::clone(&hasher.nobody);
        let ahead: Job = Box::new(move |scratch| {
            hash_of_nobody(&nobody, cost, scratch);
        });
        hasher
            .jobs
            .send(ahead)
            .expect("the threads run while the queue is held");
        hasher
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
            if let Some(hash) = known {
                return hash.verify(&secret, scratch);
            }
            let nobody = hash_of_nobody(&nobody, cost, scratch);
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
        let Ok(turn) = timeout(LONGEST_WAIT, Arc::clone(&self.turns).acquire_owned()).await else {
            return Err(ApiError::Unavailable(None));
        };
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |scratch| {
            // A caller who hung up is answered too; nobody listens then.
            let _ = answer.send(work(scratch));
            drop(turn);
        });
        self.jobs
            .send(job)
            .map_err(|_| ApiError::Unavailable(None))?;
        answered.await.map_err(|_| ApiError::Unavailable(None))
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

fn work(queue: &Mutex<Receiver<Job>>) {
    let mut scratch = Scratch::default();
    loop {
        let next = queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv_timeout(KEEP_MEMORY);
        match next {
            Ok(job) => job(&mut scratch),
            Err(RecvTimeoutError::Timeout) => scratch = Scratch::default(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
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
}
