//! Times taken, and what is said of them.

use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn add(&mut self, since: Instant) {
        self.0.push(since.elapsed());
    }

    /// Microseconds below which that share of the samples is.
    pub(crate) fn micros(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        let place = (self.0.len().saturating_sub(1)) as f64 * share;
        self.0.get(place as usize).map_or(0.0, |taken| taken.as_secs_f64() * 1e6)
    }

    pub(crate) fn p50(&mut self) -> f64 {
        self.micros(0.5)
    }

    pub(crate) fn p99(&mut self) -> f64 {
        self.micros(0.99)
    }
}
