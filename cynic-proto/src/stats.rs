//! The daemon's figures. Counters count since the daemon's start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that `cynicctl stats` shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// The daemon's build.
    pub build: String,
    /// Its process id.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Whether a task sent now would be judged.
    pub ready: bool,
    /// Whether work is being refused until told otherwise.
    pub draining: bool,
    /// What is wrong though judging goes on; empty when nothing is.
    pub degraded: Vec<String>,
    /// The pool.
    pub pool: PoolStats,
    /// The last workers that died, the newest last: at most eight.
    pub last_deaths: Vec<LastDeath>,
    /// Each worker.
    pub workers: Vec<WorkerStats>,
    /// Judgments by verdict.
    pub verdicts: BTreeMap<String, u64>,
    /// Time from acceptance to answer, in microseconds.
    pub latency: LatencyStats,
    /// Each stage of the pipeline, by name.
    pub stages: Vec<StageStats>,
    /// The clients.
    pub clients: ClientStats,
    /// The recorder.
    pub recorder: RecorderStats,
    /// How the workers are confined.
    pub isolation: IsolationStats,
    /// What is in quarantine.
    pub quarantine: QuarantineStats,
}

/// The pool's figures; the first seven keep the names of the project's original plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolStats {
    /// Tasks answered by a worker (judged or rejected as invalid).
    pub tasks_processed: u64,
    /// Tasks accepted so far.
    pub tasks_queued: u64,
    /// Workers waiting for work.
    pub workers_idle: u32,
    /// Mean time a task spent in a worker, in milliseconds.
    pub avg_processing_time: f64,
    /// Workers that there should be.
    pub pool_size: u32,
    /// Tasks waiting now.
    pub queue_length: u32,
    /// Tasks in the hands of workers now.
    pub active_tasks: u32,
    /// Bytes of the tasks waiting now.
    pub queue_bytes: u64,
    /// Most tasks that ever waited.
    pub queue_length_max: u32,
    /// Most bytes that ever waited.
    pub queue_bytes_max: u64,
    /// Most tasks that workers ever held.
    pub active_tasks_max: u32,
    /// How long the longest-waiting task has waited, in milliseconds.
    pub oldest_wait_ms: u64,
    /// Tasks refused at the door, by reason.
    pub rejects: BTreeMap<String, u64>,
    /// Accepted tasks that ended in an error, by kind.
    pub failures: BTreeMap<String, u64>,
    /// Workers that died, by cause.
    pub deaths: BTreeMap<String, u64>,
    /// Workers replaced on schedule.
    pub recycled: u64,
    /// Tasks tried again after a worker's death.
    pub retries: u64,
    /// Tasks given up after repeated deaths.
    pub quarantined: u64,
    /// Whether starting workers is suspended because none comes up.
    pub breaker_open: bool,
    /// Dimensions that crashed or overran, or are skipped because they did.
    pub dimensions: Vec<DimensionStats>,
}

/// A worker that died.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDeath {
    /// Milliseconds since then.
    pub ago_ms: u64,
    /// Which worker: slot and generation.
    pub worker: String,
    /// What of.
    pub cause: String,
    /// What it was doing: stage and dimension, as far as known; empty where it had no task.
    pub doing: String,
}

/// A dimension's circuit breaker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DimensionStats {
    /// Which dimension.
    pub name: String,
    /// `closed` (scored), `open` (skipped) or `half_open` (skipped, and tried with one task).
    pub state: String,
    /// Tasks over which a worker died while scoring it.
    pub deaths: u64,
    /// Judgments in which its scorer panicked or overran.
    pub fallbacks: u64,
    /// How often the breaker opened.
    pub opened: u64,
    /// Leases that went without it.
    pub skipped: u64,
    /// Milliseconds until it is tried again; 0 unless open.
    pub retry_in_ms: u64,
}

/// How the workers are confined.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IsolationStats {
    /// `required`, `best-effort` or `off`.
    pub sandbox: String,
    /// Where the workers' control groups are, or why there are none.
    pub cgroup: String,
}

/// What is in quarantine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineStats {
    /// Items in it.
    pub items: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Tasks answered at once because their item is in it.
    pub hits: u64,
    /// Records that made room for newer ones, or grew too old.
    pub evicted: u64,
}

/// One worker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerStats {
    /// Its place in the pool.
    pub slot: u16,
    /// How many processes have been in that place.
    pub generation: u32,
    /// Its process id; 0 while there is none.
    pub pid: u32,
    /// `starting`, `idle`, `busy`, `stopping` or `down`.
    pub state: String,
    /// Tasks that this process answered.
    pub tasks: u64,
    /// Resident memory in bytes, when last looked at.
    pub memory_bytes: u64,
    /// What of the sandbox is in force, in a few words.
    pub sandbox: String,
    /// Stage and dimension of the task in hand, when it is busy.
    pub doing: String,
}

/// A distribution of times in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyStats {
    /// How many.
    pub count: u64,
    /// Mean.
    pub mean_us: f64,
    /// Half are below.
    pub p50_us: u64,
    /// All but one in a hundred are below.
    pub p99_us: u64,
    /// The largest.
    pub max_us: u64,
}

/// One stage of the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageStats {
    /// `parse`, `score`, `aggregate`, `verdict` or `persist`.
    pub name: String,
    /// In it now.
    pub in_flight: u64,
    /// Passed through.
    pub done: u64,
    /// Failed in it.
    pub failed: u64,
    /// Took longer than the stage's budget.
    pub over_budget: u64,
    /// The budget in microseconds.
    pub budget_us: u64,
    /// Time spent in it; in `persist`, to commit a batch.
    pub time: LatencyStats,
    /// Done with it, and waiting because the next stage is full.
    pub waiting: u64,
    /// Whether it is what holds the others up now.
    pub holds_up: bool,
}

/// The clients.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientStats {
    /// Connected now at the judge socket.
    pub connected: u32,
    /// How many may be (`clients.max`).
    pub max: u32,
    /// Most that ever were.
    pub connected_max: u32,
    /// Connected now at the admin socket.
    pub admins: u32,
    /// Connections accepted so far, at both.
    pub accepted: u64,
    /// Connections not let in, by the reason: `no_role`, `clients_max`, `user_share`, `admins_max`.
    pub turned_away: BTreeMap<String, u64>,
    /// Connections closed for not greeting, breaking the protocol or not reading.
    pub expelled: u64,
    /// Requests refused because the client lacks the role.
    pub refused: u64,
}

/// The recorder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecorderStats {
    /// `sqlite` or `postgres`.
    pub store: String,
    /// Entries waiting for their batch.
    pub buffered: u64,
    /// Entries committed.
    pub flushed: u64,
    /// Transactions committed.
    pub transactions: u64,
    /// Batches tried again.
    pub retries: u64,
    /// Entries set aside because the database refuses them.
    pub dead_letters: u64,
    /// Entries waiting in the local spool.
    pub spilled: u64,
    /// Age of the oldest entry not yet committed, in milliseconds.
    pub oldest_age_ms: u64,
    /// Time to commit a batch.
    pub flush_latency: LatencyStats,
    /// Database round trips for each judgment committed.
    pub round_trips_per_judgment: f64,
}
