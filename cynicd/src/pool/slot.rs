//! One place in the pool: which process is in it and what that process is doing.
//!
//! Holds state and answers questions about it. Decisions are the pool's.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cynic_proto::error::DeathCause;
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::message::Lane;

use super::Config;

/// Work in a worker's hands.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) nonce: u64,
    /// The lane that its items came from.
    pub(super) lane: Lane,
    /// How many items it began with, and when.
    pub(super) count: u32,
    pub(super) began: Instant,
    /// What is not answered yet; the worker is at the first.
    pub(super) items: VecDeque<Leased>,
    /// When the worker began with the first of `items`.
    pub(super) since: Instant,
    /// When the worker is killed over the first of `items`.
    pub(super) deadline: Instant,
    /// The worker was due for replacement before it began with the first of `items`: if it now meets a limit of
    /// its own, that item is not to blame.
    pub(super) worn: bool,
}

/// One item of a lease.
#[derive(Debug)]
pub(super) struct Leased {
    pub(super) task: TaskId,
    /// Nobody waits for it any more: it was cancelled, or its time ran out and it was answered so.
    pub(super) abandoned: bool,
}

/// What the process in a slot is doing.
#[derive(Debug)]
pub(super) enum State {
    /// No process until then.
    Down { until: Instant },
    /// A process that is not ready yet.
    Starting { deadline: Instant },
    /// Ready for work.
    Idle { heartbeat: Heartbeat },
    /// At work.
    Busy { lease: Lease },
    /// Told to leave.
    Stopping { deadline: Instant },
    /// Killed; the kernel has not said so yet. A last answer may still be on its way.
    Killed { cause: DeathCause, lease: Option<Lease>, blame: bool },
    /// No process, and none wanted.
    Retired,
}

/// The question whether an idle worker lives.
#[derive(Debug)]
pub(super) enum Heartbeat {
    /// To be asked then.
    Due(Instant),
    /// Asked; the answer is due by then.
    Asked { nonce: u64, deadline: Instant },
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: WorkerId,
    pub(super) state: State,
    /// Tasks that the present process answered.
    pub(super) tasks: u64,
    /// Answers after which the present process is replaced.
    pub(super) recycle_at: u64,
    /// The present process is to be replaced as soon as it may be.
    pub(super) recycle_wanted: bool,
    pub(super) memory_bytes: u64,
    pub(super) cpu: Duration,
    /// When the present process was ready.
    pub(super) ready_at: Option<Instant>,
    /// Processes in a row that died before they were of use.
    pub(super) failures: u32,
}

impl Slot {
    pub(super) fn new(slot: u16, now: Instant) -> Slot {
        Slot {
            id: WorkerId { slot, generation: 0 },
            state: State::Down { until: now },
            tasks: 0,
            recycle_at: u64::MAX,
            recycle_wanted: false,
            memory_bytes: 0,
            cpu: Duration::ZERO,
            ready_at: None,
            failures: 0,
        }
    }

    /// Whether the slot has a process that works or waits for work.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, State::Idle { .. } | State::Busy { .. })
    }

    /// Whether it is, or is between a worker that was of use and its replacement, which takes milliseconds.
    pub(super) fn is_live_or_coming(&self) -> bool {
        self.is_live() || (self.failures == 0 && !matches!(self.state, State::Retired))
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle { .. })
    }

    pub(super) fn has_process(&self) -> bool {
        !matches!(self.state, State::Down { .. } | State::Retired)
    }

    /// Whether the slot is between two processes, also where the next one does not come up.
    pub(super) fn is_changing(&self) -> bool {
        !self.is_live() && !matches!(self.state, State::Retired)
    }

    /// Whether the process has answered something, or has stood ready long enough to have come up well: what ends it
    /// then is no failure to start.
    pub(super) fn was_of_use(&self, now: Instant) -> bool {
        self.tasks > 0 || self.ready_at.is_some_and(|at| now.duration_since(at) >= STOOD_READY)
    }

    pub(super) fn recycle_due(&self, config: &Config) -> bool {
        self.recycle_wanted || self.tasks >= self.recycle_at || self.is_worn(config)
    }

    /// Whether the process has used more of its limits than it should.
    pub(super) fn is_worn(&self, config: &Config) -> bool {
        self.memory_bytes > config.recycle_memory_bytes || self.cpu > config.recycle_cpu
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Busy { lease } => Some(lease),
            State::Killed { lease, .. } => lease.as_ref(),
            _ => None,
        }
    }

    pub(super) fn lease_mut(&mut self) -> Option<&mut Lease> {
        match &mut self.state {
            State::Busy { lease } => Some(lease),
            State::Killed { lease, .. } => lease.as_mut(),
            _ => None,
        }
    }

    /// When the pool has to look at the slot again if nothing else happens.
    pub(super) fn timer(&self) -> Option<Instant> {
        match &self.state {
            State::Down { until } => Some(*until),
            State::Idle { heartbeat: Heartbeat::Due(at) } => Some(*at),
            State::Starting { deadline }
            | State::Stopping { deadline }
            | State::Idle { heartbeat: Heartbeat::Asked { deadline, .. } } => Some(*deadline),
            State::Busy { lease } => Some(lease.deadline),
            State::Killed { .. } | State::Retired => None,
        }
    }

    pub(super) fn state_name(&self) -> &'static str {
        match self.state {
            State::Down { .. } => "down",
            State::Starting { .. } => "starting",
            State::Idle { .. } => "idle",
            State::Busy { .. } => "busy",
            State::Stopping { .. } | State::Killed { .. } => "stopping",
            State::Retired => "retired",
        }
    }
}

/// How long a worker has to stand ready to have started well: far above what a faulty one takes to fall over, and it
/// bounds how often a slot whose idle workers die is filled.
const STOOD_READY: Duration = Duration::from_millis(100);

/// First pause before a slot whose process failed to start is tried again.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
/// Longest such pause: a cause that is removed is noticed within a second.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Pause before the next start after that many failures in a row; `jitter` is 0 to 1 and spreads the
/// pause over ±25%.
pub(super) fn backoff(failures: u32, jitter: f64) -> Duration {
    let doubled = BACKOFF_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(BACKOFF_MAX.mul_f64(0.8)).mul_f64(0.75 + 0.5 * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_to_a_second_and_no_further() {
        assert_eq!(backoff(1, 0.5), BACKOFF_MIN);
        assert_eq!(backoff(3, 0.5), BACKOFF_MIN * 4);
        assert!((1..=u32::MAX.ilog2()).all(|n| backoff(1 << n, 1.0) <= BACKOFF_MAX));
        assert!(backoff(u32::MAX, 0.0) >= BACKOFF_MAX / 2);
    }
}
