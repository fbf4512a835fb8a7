//! The seed of a run and the numbers that come from it.

use std::time::Duration;

/// A generator whose seed is printed, and taken from `CHAOS_SEED` where that is set.
pub(crate) fn seeded(of: &str) -> fastrand::Rng {
    let given = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("{of}: CHAOS_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// How long the open-ended parts last.
pub(crate) fn duration() -> Duration {
    const SHORT_SECONDS: u64 = 6;
    let given = std::env::var("CHAOS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(given.unwrap_or(SHORT_SECONDS))
}
