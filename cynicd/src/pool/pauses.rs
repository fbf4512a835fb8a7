//! Who lets others go first for a while, because workers died over its tasks.
//!
//! Never keeps a worker idle: who pauses is served all the same when nobody else waits (see `queue`).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::ClientId;

/// What a death takes from the pool, with room to spare: the replacement's start and first faults, and the record of
/// the death, some 4 ms of one processor (`isolation_figures storm`).
const DEATH_TIME: Duration = Duration::from_millis(5);

/// The longest pause: deaths of long ago are nobody's concern.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Who takes turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Who {
    User(u32),
    Client(ClientId),
}

/// The pauses that are not over.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    until: HashMap<Who, Instant>,
}

impl Pauses {
    /// Charges somebody with a death: with `others` that take turns, a pause of that many times what it cost is what
    /// makes it no more than an equal share.
    pub(super) fn charge(&mut self, who: Who, others: usize, now: Instant) {
        let others = u32::try_from(others).unwrap_or(u32::MAX);
        let pause = DEATH_TIME.saturating_mul(others);
        if !pause.is_zero() {
            let until = self.until.entry(who).or_insert(now);
            *until = ((*until).max(now) + pause.min(PAUSE_MAX)).min(now + PAUSE_MAX);
        }
    }

    /// Forgets what is over.
    pub(super) fn pass(&mut self, now: Instant) {
        if !self.until.is_empty() {
            self.until.retain(|_, until| *until > now);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.until.is_empty()
    }

    pub(super) fn holds(&self, who: Who) -> bool {
        self.until.contains_key(&who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_add_up_to_a_second_and_no_further() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        let who = Who::Client(ClientId(1));
        pauses.charge(who, 0, now);
        assert!(pauses.is_empty(), "with nobody else there is nobody to let go first");
        pauses.charge(who, 2, now);
        pauses.charge(who, 2, now);
        pauses.pass(now + 3 * DEATH_TIME);
        assert!(pauses.holds(who) && !pauses.holds(Who::User(1)));
        pauses.pass(now + 4 * DEATH_TIME);
        assert!(!pauses.holds(who));
        for _ in 0..1000 {
            pauses.charge(who, usize::MAX, now);
        }
        pauses.pass(now + PAUSE_MAX);
        assert!(pauses.is_empty());
    }
}
