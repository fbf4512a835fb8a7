//! A circuit breaker for each dimension: one whose scorer keeps crashing or overrunning is left out for a
//! while, then tried again with one task.
//!
//! Owns what is skipped and why. Never decides which worker gets what.

use std::time::{Duration, Instant};

use cynic_proto::ids::WorkerId;
use cynic_proto::model::{DIMENSIONS, Dimension};
use cynic_proto::stats::DimensionStats;

/// What one failure weighs against one success: a dimension that fails in fewer than one in this many tasks
/// stays in for ever, so that rare poison among good work takes nothing away from the good work.
const FAILURE_WEIGHT: u32 = 20;

/// Longest pause, reached by doubling: an hour of work without a dimension costs less than a crash, and a
/// mended scorer need not wait for a restart.
pub(super) const PAUSE_MAX: Duration = Duration::from_hours(1);

/// How a worker's answer was scored, one bit for each dimension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scored {
    /// The scorer panicked or overran.
    pub failed: u64,
    /// The scorer answered.
    pub succeeded: u64,
}

/// What became of a dimension's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerChange {
    /// The dimension is left out for so long.
    Opened(Duration),
    /// It is scored again.
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Scored; with the weight of its recent failures.
    Closed { weight: u32 },
    /// Skipped; due for a trial then.
    Open { until: Instant },
    /// Skipped, but for the lease that this worker holds.
    HalfOpen { trial: WorkerId },
}

#[derive(Debug, Clone, Copy)]
struct Breaker {
    state: State,
    /// How often it opened since it was last closed; sets the pause.
    reopened: u32,
    deaths: u64,
    fallbacks: u64,
    opened: u64,
    skipped: u64,
}

/// The breakers of all dimensions.
#[derive(Debug)]
pub(super) struct Dimensions([Breaker; DIMENSIONS]);

impl Default for Dimensions {
    fn default() -> Dimensions {
        let state = State::Closed { weight: 0 };
        let breaker =
            Breaker { state, reopened: 0, deaths: 0, fallbacks: 0, opened: 0, skipped: 0 };
        Dimensions([breaker; DIMENSIONS])
    }
}

/// When breakers open, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Failures in a row that open one; 0 opens none.
    pub(super) failures_max: u32,
    /// First pause.
    pub(super) pause: Duration,
    /// 0 to 1; spreads the pause by up to a quarter.
    pub(super) jitter: f64,
}

impl Dimensions {
    /// What a lease for this worker leaves out. A lease that may be a trial is one for the first dimension that
    /// is due, and for no other, so that what comes of it says something.
    pub(super) fn skip(&mut self, worker: WorkerId, may_try: bool, now: Instant) -> u64 {
        let (mut skip, mut may_try) = (0, may_try);
        for (n, breaker) in self.0.iter_mut().enumerate() {
            match breaker.state {
                State::Closed { .. } => continue,
                State::Open { until } if may_try && until <= now => {
                    may_try = false;
                    breaker.state = State::HalfOpen { trial: worker };
                    continue;
                }
                State::Open { .. } | State::HalfOpen { .. } => {}
            }
            breaker.skipped += 1;
            skip |= 1 << n;
        }
        skip
    }

    /// Whether a trial would be made now: a chunk is then cut to one task.
    pub(super) fn trial_due(&self, now: Instant) -> bool {
        self.0.iter().any(|breaker| matches!(breaker.state, State::Open { until } if until <= now))
    }

    /// A worker answered an item.
    pub(super) fn answered(
        &mut self,
        worker: WorkerId,
        scored: Scored,
        rules: Rules,
        now: Instant,
    ) -> Vec<(Dimension, BreakerChange)> {
        // Nothing failed and nothing was wrong before: by far the most frequent case.
        if scored.failed == 0 && !self.0.iter().any(Breaker::is_suspect) {
            return Vec::new();
        }
        let mut changes = Vec::new();
        for (n, dimension) in Dimension::ALL.into_iter().enumerate() {
            let breaker = &mut self.0[n];
            let change = if scored.failed >> n & 1 == 1 {
                breaker.fallbacks += 1;
                breaker.failed(worker, rules, now)
            } else if scored.succeeded >> n & 1 == 1 {
                breaker.succeeded(worker)
            } else {
                None
            };
            changes.extend(change.map(|change| (dimension, change)));
        }
        changes
    }

    /// A worker died while scoring a dimension for a task that had not failed before. (What fails again and
    /// again is the task's failure, and counts once.)
    pub(super) fn died(
        &mut self,
        worker: WorkerId,
        dimension: Dimension,
        rules: Rules,
        now: Instant,
    ) -> Option<BreakerChange> {
        let breaker = &mut self.0[dimension as usize];
        breaker.deaths += 1;
        breaker.failed(worker, rules, now)
    }

    /// A worker's lease is over, one way or the other: a trial of which nothing came is made again.
    pub(super) fn lease_over(&mut self, worker: WorkerId, now: Instant) {
        for breaker in &mut self.0 {
            if breaker.state == (State::HalfOpen { trial: worker }) {
                breaker.state = State::Open { until: now };
            }
        }
    }

    /// The workers that are trying a dimension.
    #[cfg(test)]
    pub(super) fn trials(&self) -> Vec<WorkerId> {
        let trial = |breaker: &Breaker| match breaker.state {
            State::HalfOpen { trial } => Some(trial),
            _ => None,
        };
        self.0.iter().filter_map(trial).collect()
    }

    /// The dimensions that tasks go without.
    pub(super) fn left_out(&self) -> Vec<Dimension> {
        let left_out = |(n, breaker): (usize, &Breaker)| {
            let open = !matches!(breaker.state, State::Closed { .. });
            open.then(|| Dimension::ALL[n])
        };
        self.0.iter().enumerate().filter_map(left_out).collect()
    }

    /// The dimensions that ever failed.
    pub(super) fn stats(&self, now: Instant) -> Vec<DimensionStats> {
        let failed = |(_, breaker): &(Dimension, &Breaker)| breaker.deaths + breaker.fallbacks > 0;
        let stats = |(dimension, breaker): (Dimension, &Breaker)| {
            let (state, retry_in) = match breaker.state {
                State::Closed { .. } => ("closed", Duration::ZERO),
                State::Open { until } => ("open", until.saturating_duration_since(now)),
                State::HalfOpen { .. } => ("half_open", Duration::ZERO),
            };
            DimensionStats {
                name: dimension.name().to_owned(),
                state: state.to_owned(),
                deaths: breaker.deaths,
                fallbacks: breaker.fallbacks,
                opened: breaker.opened,
                skipped: breaker.skipped,
                retry_in_ms: retry_in.as_millis() as u64,
            }
        };
        Dimension::ALL.into_iter().zip(&self.0).filter(failed).map(stats).collect()
    }
}

impl Breaker {
    fn is_suspect(&self) -> bool {
        !matches!(self.state, State::Closed { weight: 0 })
    }

    fn failed(&mut self, worker: WorkerId, rules: Rules, now: Instant) -> Option<BreakerChange> {
        match self.state {
            State::Closed { weight } => {
                let weight = weight.saturating_add(FAILURE_WEIGHT);
                self.state = State::Closed { weight };
                let open_at = rules.failures_max.saturating_mul(FAILURE_WEIGHT);
                (open_at > 0 && weight >= open_at).then(|| self.open(rules, now))
            }
            State::HalfOpen { trial } if trial == worker => Some(self.open(rules, now)),
            // Of a lease that began before it opened.
            State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    fn succeeded(&mut self, worker: WorkerId) -> Option<BreakerChange> {
        match self.state {
            State::Closed { weight } => {
                self.state = State::Closed { weight: weight.saturating_sub(1) };
                None
            }
            State::HalfOpen { trial } if trial == worker => {
                self.state = State::Closed { weight: 0 };
                self.reopened = 0;
                Some(BreakerChange::Closed)
            }
            State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    fn open(&mut self, rules: Rules, now: Instant) -> BreakerChange {
        let doubled = rules.pause.saturating_mul(1 << self.reopened.min(16)).min(PAUSE_MAX);
        let pause = doubled.mul_f64(1.0 + 0.25 * rules.jitter);
        self.reopened = self.reopened.saturating_add(1);
        self.opened += 1;
        self.state = State::Open { until: now + pause };
        BreakerChange::Opened(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules { failures_max: 3, pause: Duration::from_secs(10), jitter: 0.0 };
    const VIGILANCE: Dimension = Dimension::Vigilance;
    const BIT: u64 = 1 << VIGILANCE as u32;
    const FAILED: Scored = Scored { failed: BIT, succeeded: 0 };
    const SUCCEEDED: Scored = Scored { failed: 0, succeeded: BIT };

    fn worker(slot: u16) -> WorkerId {
        WorkerId { slot, generation: 1 }
    }

    fn opened(now: Instant) -> Dimensions {
        let mut dimensions = Dimensions::default();
        for _ in 1..RULES.failures_max {
            assert_eq!(dimensions.answered(worker(0), FAILED, RULES, now), []);
        }
        let opened = (VIGILANCE, BreakerChange::Opened(RULES.pause));
        assert_eq!(dimensions.answered(worker(0), FAILED, RULES, now), [opened]);
        dimensions
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_trial_closes_it() {
        let now = Instant::now();
        let mut dimensions = opened(now);
        assert_eq!(dimensions.skip(worker(1), true, now), BIT);
        let due = now + RULES.pause;
        assert_eq!(dimensions.skip(worker(1), false, due), BIT, "not with just any task");
        assert!(dimensions.trial_due(due));
        assert_eq!(dimensions.skip(worker(1), true, due), 0, "the trial");
        assert_eq!(dimensions.skip(worker(2), true, due), BIT, "one trial at a time");
        assert_eq!(dimensions.answered(worker(2), SUCCEEDED, RULES, due), [], "not its trial");
        let closed = (VIGILANCE, BreakerChange::Closed);
        assert_eq!(dimensions.answered(worker(1), SUCCEEDED, RULES, due), [closed]);
        assert_eq!(dimensions.skip(worker(2), true, due), 0);
    }

    #[test]
    fn a_trial_that_fails_doubles_the_pause_up_to_an_hour() {
        let mut now = Instant::now();
        let mut dimensions = opened(now);
        let mut pauses = Vec::new();
        let mut pause = RULES.pause;
        for _ in 0..12 {
            now += pause;
            assert_eq!(dimensions.skip(worker(1), true, now), 0);
            let change = dimensions.died(worker(1), VIGILANCE, RULES, now);
            let Some(BreakerChange::Opened(next)) = change else { panic!("{change:?}") };
            pause = next;
            pauses.push(pause);
        }
        assert_eq!(pauses[..2], [RULES.pause * 2, RULES.pause * 4]);
        assert_eq!(pauses.last(), Some(&PAUSE_MAX));
    }

    #[test]
    fn a_trial_of_which_nothing_came_is_made_again_at_once() {
        let now = Instant::now();
        let mut dimensions = opened(now);
        let due = now + RULES.pause;
        assert_eq!(dimensions.skip(worker(1), true, due), 0);
        assert_eq!(dimensions.left_out(), [VIGILANCE], "by all but the trial");
        dimensions.lease_over(worker(1), due);
        assert_eq!(dimensions.skip(worker(2), true, due), 0);
    }

    #[test]
    fn none_opens_where_that_is_configured() {
        let mut dimensions = Dimensions::default();
        let rules = Rules { failures_max: 0, ..RULES };
        for _ in 0..1000 {
            assert_eq!(dimensions.answered(worker(0), FAILED, rules, Instant::now()), []);
        }
    }

    #[test]
    fn stats_name_only_what_failed() {
        let now = Instant::now();
        let mut dimensions = opened(now);
        dimensions.skip(worker(0), true, now);
        let [stats] = &dimensions.stats(now + Duration::from_secs(4))[..] else { panic!("one") };
        assert_eq!((stats.name.as_str(), stats.state.as_str()), ("VIGILANCE", "open"));
        assert_eq!((stats.fallbacks, stats.opened, stats.skipped), (3, 1, 1));
        assert_eq!(stats.retry_in_ms, 6000);
    }

    proptest! {
        /// One failure in so many successes never opens; nothing but failures always does.
        #[test]
        fn rare_failures_never_open(gap in FAILURE_WEIGHT..40, rounds in 1..20_usize) {
            let (mut dimensions, now) = (Dimensions::default(), Instant::now());
            for _ in 0..rounds {
                prop_assert_eq!(dimensions.answered(worker(0), FAILED, RULES, now), []);
                for _ in 0..gap {
                    prop_assert_eq!(dimensions.answered(worker(0), SUCCEEDED, RULES, now), []);
                }
            }
            prop_assert_eq!(dimensions.skip(worker(0), true, now), 0);
        }

        /// Whatever happens: skipped is what is not closed but for the one trial, and only one trial runs.
        #[test]
        fn at_most_one_trial_runs(steps in prop::collection::vec((0..5_u8, 0..3_u16), 1..300)) {
            let (mut dimensions, mut now) = (Dimensions::default(), Instant::now());
            let mut trial = None;
            for (step, slot) in steps {
                let worker = worker(slot);
                match step {
                    0 => {
                        let open = !matches!(dimensions.0[VIGILANCE as usize].state, State::Closed { .. });
                        let skip = dimensions.skip(worker, true, now);
                        if open && skip == 0 {
                            prop_assert_eq!(trial.replace(worker), None);
                        }
                    }
                    1 => drop(dimensions.answered(worker, FAILED, RULES, now)),
                    2 => drop(dimensions.answered(worker, SUCCEEDED, RULES, now)),
                    3 => drop(dimensions.died(worker, VIGILANCE, RULES, now)),
                    _ => now += RULES.pause,
                }
                if step != 0 && step != 4 && trial == Some(worker) {
                    trial = None;
                }
            }
        }
    }
}
