//! The seed of a run and the numbers that come from it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Small, seedable and good enough to choose faults with (`SplitMix64`).
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// A generator whose seed is printed, and taken from `CHAOS_SEED` where that is set.
    pub(crate) fn seeded(of: &str) -> Random {
        let given = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
        let clock =
            || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64);
        let state = given.unwrap_or_else(clock);
        eprintln!("{of}: CHAOS_SEED={state}");
        Random { state }
    }

    /// A generator of its own for one of several tasks.
    pub(crate) fn split(&mut self) -> Random {
        Random { state: self.next() }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True once in `n` times.
    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of several.
    pub(crate) fn choose<'a, T>(&mut self, several: &'a [T]) -> Option<&'a T> {
        several.get(self.below(several.len() as u64) as usize)
    }
}

/// How long the open-ended parts last.
pub(crate) fn duration() -> Duration {
    const SHORT_SECONDS: u64 = 6;
    let given = std::env::var("CHAOS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(given.unwrap_or(SHORT_SECONDS))
}
