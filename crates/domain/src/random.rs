//! Where chance comes from. Rules take a generator as an argument; only the edge makes one.

use rand::{SeedableRng as _, rngs::StdRng};

/// Makes generators of random bytes that are fit for keys.
pub trait Random: Send + Sync {
    /// A new generator.
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
