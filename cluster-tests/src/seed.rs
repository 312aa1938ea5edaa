//! Random choices that can be repeated.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A random generator whose seed is printed, so that a failed test can be run again with
/// `RAFTMQ_SEED=<seed>`.
pub struct Seed {
    random: StdRng,
}

impl Seed {
    /// Takes `RAFTMQ_SEED`, or a fresh seed, and prints it.
    ///
    /// # Panics
    /// When `RAFTMQ_SEED` is not a number.
    #[must_use]
    pub fn new() -> Self {
        let seed = match std::env::var("RAFTMQ_SEED") {
            Ok(text) => text.parse().expect("RAFTMQ_SEED is a number"),
            Err(_) => rand::random::<u64>(),
        };
        println!("seed: RAFTMQ_SEED={seed}");
        Self {
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.random.random_range(0..end)
    }

    /// Brings `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

impl Default for Seed {
    fn default() -> Self {
        Self::new()
    }
}
