//! The pool's figures.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cynic_proto::model::Dimension;
use cynic_proto::stats::{PoolStats, WorkerStats};

use super::slot::Slot;
use super::task::Place;
use super::{Intake, Pool};

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) accepted: u64,
    pub(super) processed: u64,
    pub(super) processing: Duration,
    pub(super) waiting_max: usize,
    pub(super) bytes_waiting_max: usize,
    pub(super) active_max: usize,
    pub(super) rejects: BTreeMap<&'static str, u64>,
    pub(super) failures: BTreeMap<&'static str, u64>,
    pub(super) deaths: BTreeMap<&'static str, u64>,
    pub(super) recycled: u64,
    pub(super) retries: u64,
    pub(super) quarantined: u64,
}

/// One start may fail for a reason that has gone; this many in a row are told.
const FAILURES_TOLD: u32 = 3;

impl Counters {
    pub(super) fn processing_mean(&self) -> Duration {
        u32::try_from(self.processed).map_or_else(
            |_| Duration::from_secs_f64(self.processing.as_secs_f64() / self.processed as f64),
            |processed| self.processing / processed.max(1),
        )
    }
}

impl Pool {
    /// Tasks that are not over: waiting or in a worker's hands.
    pub fn tasks_held(&self) -> usize {
        self.tasks.len()
    }

    /// Whether work is being refused until told otherwise.
    pub fn is_draining(&self) -> bool {
        self.intake != Intake::Open
    }

    /// Whether starting workers is suspended because none comes up.
    pub fn is_breaker_open(&self) -> bool {
        self.breaker.is_open()
    }

    /// Whether workers are still to be replaced, or being replaced.
    pub fn is_replacing(&self) -> bool {
        let size = usize::from(self.config.size.get());
        let under_way = |slot: &Slot| slot.recycle_wanted || slot.is_changing();
        self.slots.iter().take(size).any(under_way)
    }

    /// Workers that work or wait for work.
    pub fn workers_live(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_live()).count()
    }

    /// Places for which no worker comes up: so many processes in a row died before they were of use, and there is none
    /// that is.
    pub fn workers_missing(&self, now: Instant) -> usize {
        let size = usize::from(self.config.size.get());
        let missing = |slot: &&Slot| {
            slot.failures >= FAILURES_TOLD && !(slot.is_live() && slot.was_of_use(now))
        };
        self.slots.iter().take(size).filter(missing).count()
    }

    /// Dimensions whose scorers keep failing, which tasks go without.
    pub fn dimensions_left_out(&self) -> Vec<Dimension> {
        self.dimensions.left_out()
    }

    /// The configuration in force.
    pub fn config(&self) -> &super::Config {
        &self.config
    }

    /// The figures at this moment.
    pub fn stats(&self, now: Instant) -> PoolStats {
        let named = |counters: &BTreeMap<&'static str, u64>| {
            counters.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
        };
        let oldest = self.tasks.values().filter(|task| !matches!(task.place, Place::Leased(_)));
        let oldest = oldest.map(|task| now.saturating_duration_since(task.accepted)).max();
        let counters = &self.counters;
        PoolStats {
            tasks_processed: counters.processed,
            tasks_queued: counters.accepted,
            workers_idle: self.slots.iter().filter(|slot| slot.is_idle()).count() as u32,
            avg_processing_time: counters.processing_mean().as_secs_f64() * 1000.0,
            pool_size: u32::from(self.config.size.get()),
            queue_length: self.tasks_waiting as u32,
            active_tasks: (self.tasks.len() - self.tasks_waiting) as u32,
            queue_bytes: self.bytes_waiting as u64,
            queue_length_max: counters.waiting_max as u32,
            queue_bytes_max: counters.bytes_waiting_max as u64,
            active_tasks_max: counters.active_max as u32,
            oldest_wait_ms: oldest.unwrap_or_default().as_millis() as u64,
            rejects: named(&counters.rejects),
            failures: named(&counters.failures),
            deaths: named(&counters.deaths),
            recycled: counters.recycled,
            retries: counters.retries,
            quarantined: counters.quarantined,
            breaker_open: self.breaker.is_open(),
            dimensions: self.dimensions.stats(now),
        }
    }

    /// Each worker's figures; what only the shell knows (pid, sandbox, stage) is left empty.
    pub fn workers(&self) -> Vec<WorkerStats> {
        let wanted = |slot: &&Slot| slot.state_name() != "retired";
        let worker = |slot: &Slot| WorkerStats {
            slot: slot.id.slot,
            generation: slot.id.generation,
            state: slot.state_name().to_owned(),
            tasks: slot.tasks,
            memory_bytes: slot.memory_bytes,
            ..WorkerStats::default()
        };
        self.slots.iter().filter(wanted).map(worker).collect()
    }
}
