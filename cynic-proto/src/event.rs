//! What the daemon tells those who listen: judgments, workers, the store, the pool.
//!
//! An event names tasks and tells figures and causes. It never carries an item's content.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Death, DeathCause, ErrorKind};
use crate::ids::{TaskId, WorkerId};
use crate::message::Ack;
use crate::model::{Dimension, Domain, Stage, Verdict};

/// Events in one answer: enough that a reader keeps up with thousands a second, small enough for any frame.
pub const EVENTS_BATCH_MAX: usize = 256;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number since the daemon's start, from 1, without gaps over all kinds.
    pub seq: u64,
    /// When, in microseconds since the Unix epoch.
    pub at_us: i64,
    /// What.
    pub what: Happening,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Happening {
    /// A task was judged.
    JudgmentCompleted {
        /// The task.
        task: TaskId,
        /// Its score, 0 to 100.
        q_score: f32,
        /// Its verdict.
        verdict: Verdict,
        /// 0 to φ⁻¹.
        confidence: f32,
        /// What it was judged as.
        domain: Domain,
        /// The soft budget ran out before all dimensions were scored.
        partial: bool,
        /// The durability that its client asked for.
        ack: Ack,
        /// The user id of its client.
        uid: u32,
        /// How often it was tried.
        attempts: u8,
        /// Who judged.
        worker: WorkerId,
        /// From acceptance to dispatch, in microseconds.
        queued_us: u32,
        /// From dispatch to the answer, in microseconds.
        running_us: u32,
    },
    /// An accepted task was answered with an error.
    JudgmentFailed {
        /// The task.
        task: TaskId,
        /// Which error. Its message is not told: it may quote the item.
        error: ErrorKind,
        /// What the last worker that held it died of.
        cause: Option<DeathCause>,
        /// The user id of its client.
        uid: u32,
        /// How often it was tried.
        attempts: u8,
    },
    /// A task killed every worker that tried it, and is not tried again.
    TaskQuarantined {
        /// The task.
        task: TaskId,
        /// The user id of its client.
        uid: u32,
    },
    /// A worker process was started.
    WorkerSpawned {
        /// Which.
        worker: WorkerId,
        /// Its process id.
        pid: u32,
    },
    /// A worker passed its self-test.
    WorkerReady {
        /// Which.
        worker: WorkerId,
        /// What of the sandbox is in force, in a few words.
        sandbox: String,
    },
    /// A worker died, not on schedule.
    WorkerDied {
        /// Which.
        worker: WorkerId,
        /// Why.
        cause: DeathCause,
        /// The task in its hands.
        task: Option<TaskId>,
        /// The stage that the task was in.
        stage: Option<Stage>,
        /// The dimension that was being scored.
        dimension: Option<Dimension>,
        /// How often the task has been tried by now; unset when it is over or there was none.
        attempts: Option<u8>,
        /// The end of what the worker wrote to its standard error: its own words, printable, untrusted.
        stderr_tail: String,
    },
    /// A worker was replaced on schedule.
    WorkerRecycled {
        /// Which.
        worker: WorkerId,
    },
    /// The store does not take writes: judgments are kept and written later.
    StoreDegraded {
        /// Why.
        reason: String,
    },
    /// The store takes writes again.
    StoreRecovered {
        /// How long it did not, in milliseconds.
        lasted_ms: u64,
    },
    /// The store's buffers are full: no work is admitted.
    StoreFull,
    /// The store's buffers have room again.
    StoreRoom,
    /// The database refused entries for what they say; they are set aside.
    StoreDeadLetter {
        /// How many since the last such event.
        count: u64,
    },
    /// A task sent now would be judged.
    PoolReady,
    /// A task sent now would be refused.
    PoolNotReady {
        /// Why, in a few words.
        reason: String,
    },
    /// No worker comes up: they are tried one at a time, at intervals.
    BreakerOpened,
    /// A worker came up again.
    BreakerClosed,
    /// A client asked for what it may not.
    AccessRefused {
        /// Its user id.
        uid: u32,
        /// Its process id.
        pid: u32,
        /// What it asked for.
        request: String,
    },
    /// A dimension keeps crashing or overrunning and is left out.
    DimensionOpened {
        /// Which.
        dimension: Dimension,
        /// For how long, in milliseconds.
        pause_ms: u64,
    },
    /// A dimension is scored again.
    DimensionClosed {
        /// Which.
        dimension: Dimension,
    },
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the happening of its name")]
pub enum Kind {
    JudgmentCompleted,
    JudgmentFailed,
    TaskQuarantined,
    WorkerSpawned,
    WorkerReady,
    WorkerDied,
    WorkerRecycled,
    StoreDegraded,
    StoreRecovered,
    StoreFull,
    StoreRoom,
    StoreDeadLetter,
    PoolReady,
    PoolNotReady,
    BreakerOpened,
    BreakerClosed,
    AccessRefused,
    DimensionOpened,
    DimensionClosed,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 19] = [
        Kind::JudgmentCompleted,
        Kind::JudgmentFailed,
        Kind::TaskQuarantined,
        Kind::WorkerSpawned,
        Kind::WorkerReady,
        Kind::WorkerDied,
        Kind::WorkerRecycled,
        Kind::StoreDegraded,
        Kind::StoreRecovered,
        Kind::StoreFull,
        Kind::StoreRoom,
        Kind::StoreDeadLetter,
        Kind::PoolReady,
        Kind::PoolNotReady,
        Kind::BreakerOpened,
        Kind::BreakerClosed,
        Kind::AccessRefused,
        Kind::DimensionOpened,
        Kind::DimensionClosed,
    ];

    /// The name, as in JSON and on the command line: an area, a dot, what happened.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::JudgmentCompleted => "judgment.completed",
            Kind::JudgmentFailed => "judgment.failed",
            Kind::TaskQuarantined => "task.quarantined",
            Kind::WorkerSpawned => "worker.spawned",
            Kind::WorkerReady => "worker.ready",
            Kind::WorkerDied => "worker.died",
            Kind::WorkerRecycled => "worker.recycled",
            Kind::StoreDegraded => "store.degraded",
            Kind::StoreRecovered => "store.recovered",
            Kind::StoreFull => "store.full",
            Kind::StoreRoom => "store.room",
            Kind::StoreDeadLetter => "store.dead_letter",
            Kind::PoolReady => "pool.ready",
            Kind::PoolNotReady => "pool.not_ready",
            Kind::BreakerOpened => "breaker.opened",
            Kind::BreakerClosed => "breaker.closed",
            Kind::AccessRefused => "access.refused",
            Kind::DimensionOpened => "dimension.opened",
            Kind::DimensionClosed => "dimension.closed",
        }
    }

    /// The kinds that a selector means: the name of one, or the area of several (`worker`).
    pub fn selected(selector: &str) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| {
            let area = kind.name().split_once('.').map(|(area, _)| area);
            kind.name() == selector || area == Some(selector)
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Happening {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Happening::JudgmentCompleted { .. } => Kind::JudgmentCompleted,
            Happening::JudgmentFailed { .. } => Kind::JudgmentFailed,
            Happening::TaskQuarantined { .. } => Kind::TaskQuarantined,
            Happening::WorkerSpawned { .. } => Kind::WorkerSpawned,
            Happening::WorkerReady { .. } => Kind::WorkerReady,
            Happening::WorkerDied { .. } => Kind::WorkerDied,
            Happening::WorkerRecycled { .. } => Kind::WorkerRecycled,
            Happening::StoreDegraded { .. } => Kind::StoreDegraded,
            Happening::StoreRecovered { .. } => Kind::StoreRecovered,
            Happening::StoreFull => Kind::StoreFull,
            Happening::StoreRoom => Kind::StoreRoom,
            Happening::StoreDeadLetter { .. } => Kind::StoreDeadLetter,
            Happening::PoolReady => Kind::PoolReady,
            Happening::PoolNotReady { .. } => Kind::PoolNotReady,
            Happening::BreakerOpened => Kind::BreakerOpened,
            Happening::BreakerClosed => Kind::BreakerClosed,
            Happening::AccessRefused { .. } => Kind::AccessRefused,
            Happening::DimensionOpened { .. } => Kind::DimensionOpened,
            Happening::DimensionClosed { .. } => Kind::DimensionClosed,
        }
    }

    /// The death of a worker whose task has been tried that often.
    pub fn of_death(death: &Death, attempts: Option<u8>) -> Happening {
        Happening::WorkerDied {
            worker: death.worker,
            cause: death.cause.clone(),
            task: death.task,
            stage: death.stage,
            dimension: death.dimension,
            attempts,
            stderr_tail: death.stderr_tail.clone(),
        }
    }
}

/// Which events a client wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsQuery {
    /// Of these kinds; empty means all.
    pub kinds: Vec<Kind>,
    /// Begin with those that the daemon still holds. Without `follow`, that is the answer.
    pub recent: bool,
    /// Answer as soon as there are events, those since this connection's last such request included. The first
    /// such request of a connection subscribes it; `kinds` and `recent` of later ones are ignored.
    pub follow: bool,
}

/// Events in their order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EventsBatch {
    /// Events that were dropped before these, because the client did not fetch them in time.
    pub missed: u64,
    /// The events.
    pub events: Vec<Event>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_names_and_areas() {
        let selected = |selector| Kind::selected(selector).collect::<Vec<_>>();
        assert_eq!(selected("worker.died"), [Kind::WorkerDied]);
        assert_eq!(selected("breaker"), [Kind::BreakerOpened, Kind::BreakerClosed]);
        assert_eq!(selected("work"), []);
        assert_eq!(selected(""), []);
    }

    #[test]
    fn all_kinds_are_in_their_order() {
        for (n, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, n);
        }
    }
}
