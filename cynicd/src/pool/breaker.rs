//! The pool-wide breaker: while no worker comes up, tries one at a time at intervals, for ever.

use std::time::{Duration, Instant};

/// Failures in a row, with no worker alive, after which it is not the worker but the pool that is broken.
const FAILURES_MAX: u32 = 5;

/// Pause between tries: a removed cause is noticed within half a second, and a broken installation costs
/// two process starts a second.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Starts that failed since a worker was last ready.
    failures: u32,
    /// When the next try may be made; unset while closed.
    probe_at: Option<Instant>,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.probe_at.is_some()
    }

    /// A process died before it was of use; one whose time to start ran out has been the pause before the next try
    /// itself. Returns whether that opened the breaker.
    pub(super) fn failed(&mut self, any_live: bool, timed_out: bool, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        if any_live || self.failures < FAILURES_MAX {
            return false;
        }
        let opened = self.probe_at.is_none();
        self.probe_at = Some(if timed_out { now } else { now + PROBE_INTERVAL });
        opened
    }

    /// A worker is ready. Returns whether that closed the breaker.
    pub(super) fn succeeded(&mut self) -> bool {
        self.failures = 0;
        self.probe_at.take().is_some()
    }

    /// When the slot may be tried, given its own pause; `None` when it is not its turn. Slot 0 makes the tries.
    pub(super) fn not_before(&self, until: Instant, slot: u16) -> Option<Instant> {
        match self.probe_at {
            None => Some(until),
            Some(probe_at) => (slot == 0).then_some(probe_at),
        }
    }
}
