//! Messages between the supervisor and one worker. Each side greets first (see [`crate::handshake`]).
//!
//! A worker holds at most one lease. It answers the lease's items in order, one message each; after the
//! last it is idle. Whatever it sends is hostile input to the supervisor.

use serde::{Deserialize, Serialize};

use crate::ids::TaskId;
use crate::item::{Hint, ItemError};
use crate::judgment::Judgment;
use crate::model::Dimension;

/// From the supervisor to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Judge these items; their bytes follow as the payload, one after another.
    Lease(Lease),
    /// Say that you live.
    Ping(u64),
}

/// Work for one worker: one item, or a chunk of small ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// A random number that every answer repeats, so that a late answer to an earlier lease cannot be
    /// taken for one to this.
    pub nonce: u64,
    /// Bit `d` is set where dimension `d` is to be skipped: its circuit breaker is open.
    pub skip: u64,
    /// The items, in the order of their bytes in the payload.
    pub items: Vec<LeaseItem>,
}

/// One item of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseItem {
    /// The task.
    pub task: TaskId,
    /// Length of its bytes.
    pub bytes: u32,
    /// How to read them.
    pub hint: Hint,
    /// Microseconds of scoring after which the worker answers with what it has.
    pub soft_budget_us: u32,
}

/// From a worker to the supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The self-test passed; ready for a lease. The payload is the sandbox report.
    Ready {
        /// Version of the rules and weights that this worker judges by.
        judge_version: u32,
    },
    /// The next item of the lease is done. The payload is the explanation of a judgment ([`crate::explanation`]), empty
    /// otherwise.
    Done {
        /// The lease's nonce.
        nonce: u64,
        /// The item.
        task: TaskId,
        /// What came of it.
        outcome: Outcome,
        /// Where the time went.
        spent: Spent,
    },
    /// The answer to a ping.
    Pong(u64),
}

/// Where a worker's time for one item went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Microseconds spent in parse, score, aggregate and verdict.
    pub stages_us: [u32; 4],
    /// The dimensions that took [`SLOW_DIMENSION_US`] or longer, with their microseconds. Most judgments have none.
    pub slow_dimensions: Vec<(Dimension, u32)>,
}

/// Dimensions that take at least so many microseconds are named in an answer: all 36 take a fraction of it.
pub const SLOW_DIMENSION_US: u32 = 1000;

/// What came of one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was judged.
    Judged(Box<Judgment>),
    /// It cannot be judged: the client's mistake.
    Rejected {
        /// What is wrong with it.
        error: ItemError,
        /// Its own id, where that can be read all the same.
        item_id: Option<String>,
    },
    /// The `null` profile: it passed through unread.
    Echoed,
}

/// The profile under which a worker answers at once without reading the item: measures the way there
/// and back, and nothing else.
pub const PROFILE_NULL: &str = "null";
