//! What the pool is allowed: sizes, clocks and limits, each with the reason for its default.

use std::num::NonZeroU16;
use std::time::Duration;

use cynic_proto::model::PHI_INV;

/// The pool's configuration. All of it may change while the pool runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Workers that there should be.
    pub size: NonZeroU16,
    /// Tasks that may wait. A full queue is then answered in well under a second at usual speeds.
    pub queue_tasks_max: usize,
    /// Bytes of the tasks that may wait or run: bounds the daemon's memory.
    pub queue_bytes_max: usize,
    /// Tasks that one user's clients may have waiting or running.
    pub tasks_per_uid_max: usize,
    /// Bytes of them.
    pub bytes_per_uid_max: usize,
    /// How long a task may wait before it is not started any more.
    pub queue_timeout: Duration,
    /// How long scoring may take before the worker answers with what it has.
    pub soft_budget: Duration,
    /// How long an item may be in a worker's hands before the worker is killed.
    pub hard_deadline: Duration,
    /// What each MiB of an item adds to both of these: reading takes time in proportion to length.
    pub time_per_mib: Duration,
    /// How long a task may take in all where its client does not say.
    pub total_deadline: Duration,
    /// Deaths over one task after which it is given up: one in a normal worker, one more there, and one
    /// alone in a fresh worker.
    pub strikes_max: u8,
    /// How long a new process may take until it is ready.
    pub start_timeout: Duration,
    /// How long a worker may take to leave when told to stop.
    pub stop_timeout: Duration,
    /// How often an idle worker is asked whether it lives.
    pub heartbeat_interval: Duration,
    /// How long it may take to answer that.
    pub heartbeat_timeout: Duration,
    /// Tasks after which a worker is replaced (up to a tenth more, so that not all are due at once).
    pub recycle_tasks: u64,
    /// Resident memory above which a worker is replaced between tasks.
    pub recycle_memory_bytes: u64,
    /// Processor time after which a worker is replaced between tasks: well below its limit, which it meets once
    /// in its life.
    pub recycle_cpu: Duration,
    /// Most items in a chunk.
    pub chunk_items_max: usize,
    /// Most bytes in a chunk; a larger item travels alone.
    pub chunk_bytes_max: usize,
    /// How long a chunk should take; a quarter of it while interactive tasks come, each of which may have to wait for
    /// the end of one, and an eighth where the tasks are interactive themselves.
    pub chunk_time: Duration,
    /// Tasks in a row over which a dimension crashes or overruns before it is left out; 0 leaves none out.
    pub dimension_failures_max: u32,
    /// How long it is left out at first; doubles each time that it fails again, up to an hour.
    pub dimension_pause: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            size: default_size(1),
            queue_tasks_max: 4096,
            queue_bytes_max: 256 << 20,
            tasks_per_uid_max: 3072,
            bytes_per_uid_max: 192 << 20,
            queue_timeout: Duration::from_secs(30),
            soft_budget: Duration::from_millis(200),
            hard_deadline: Duration::from_secs(2),
            time_per_mib: Duration::from_millis(100),
            total_deadline: Duration::from_mins(1),
            strikes_max: 3,
            start_timeout: Duration::from_millis(500),
            stop_timeout: Duration::from_millis(500),
            heartbeat_interval: Duration::from_secs(5),
            heartbeat_timeout: Duration::from_secs(2),
            recycle_tasks: 100_000,
            recycle_memory_bytes: 128 << 20,
            recycle_cpu: Duration::from_secs(450),
            chunk_items_max: 256,
            chunk_bytes_max: 256 << 10,
            chunk_time: Duration::from_millis(1),
            dimension_failures_max: 5,
            dimension_pause: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// What an item's length adds to its budgets.
    pub fn time_for(&self, bytes: usize) -> Duration {
        self.time_per_mib.mul_f64(bytes as f64 / f64::from(1 << 20))
    }
}

/// The pool's size for a number of usable cores: ceil(cores × φ⁻¹). 1→1, 2→2, 4→3, 8→5, 16→10.
pub fn default_size(cores: usize) -> NonZeroU16 {
    let size = (cores as f64 * PHI_INV).ceil() as u16;
    NonZeroU16::new(size).unwrap_or(NonZeroU16::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_the_golden_part_of_the_cores() {
        let sizes = [0, 1, 2, 4, 8, 16].map(|cores| default_size(cores).get());
        assert_eq!(sizes, [1, 1, 2, 3, 5, 10]);
    }
}
