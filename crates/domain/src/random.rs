//! Random number generators. Rules take one as an argument; callers at the edge create
//! it.

use rand::{SeedableRng as _, rngs::StdRng};

/// Creates cryptographically secure random number generators.
pub trait Random: Send + Sync {
    /// Creates a generator.
    fn generator(&self) -> StdRng;
}

/// Generators seeded by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn generator(&self) -> StdRng {
        StdRng::from_rng(&mut rand::rng())
    }
}
