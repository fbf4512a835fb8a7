//! What is recorded: judgments, failures and notices, each with all that belongs to it.
//!
//! An entry is written whole or not at all. Nothing here touches a database.

use cynic_proto::error::{Death, ErrorKind};
use cynic_proto::history::JudgmentRow;
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::judgment::Judgment;
use cynic_proto::message::{Ack, Timings};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One thing to record, in one transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// A judgment with its scores, its learning episode and its event.
    Judgment(Box<JudgmentEntry>),
    /// A task that was answered with an error.
    Failure(Box<FailureEntry>),
    /// Something else that operators ask about later: a worker died, the store was degraded.
    Notice(Box<NoticeEntry>),
}

/// A judgment to record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgmentEntry {
    /// The task; the first judgment recorded for it stays.
    pub task: TaskId,
    /// When it was judged, in microseconds since the Unix epoch.
    pub judged_at_us: i64,
    /// The judgment.
    pub judgment: Judgment,
    /// Why it is what it is, encoded as [`cynic_proto::explanation`] does; as the worker sent it.
    pub explanation: Vec<u8>,
    /// The item itself, where it is to be stored. Without it no quotation from it is stored either.
    pub content: Option<Vec<u8>>,
    /// The user id of the client.
    pub client_uid: u32,
    /// The durability that the client asked for.
    pub ack: Ack,
    /// Who judged.
    pub worker: WorkerId,
    /// How often it was tried.
    pub attempts: u8,
    /// Where the time went.
    pub timings: Timings,
    /// Which calibration gave the verdict.
    pub calibration: u32,
}

/// A failure to record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureEntry {
    /// Tells this failure from another of the same task, and makes recording it idempotent.
    pub key: EntryKey,
    /// The task.
    pub task: TaskId,
    /// When it was answered, in microseconds since the Unix epoch.
    pub failed_at_us: i64,
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What happened and what to do, for people.
    pub message: String,
    /// The deaths of workers that held the task, first to last.
    pub deaths: Vec<Death>,
    /// The client's own id of the item, where it is known.
    pub item_id: Option<String>,
    /// The user id of the client.
    pub client_uid: u32,
    /// How often it was tried.
    pub attempts: u8,
}

/// A notice to record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeEntry {
    /// Makes recording it idempotent.
    pub key: EntryKey,
    /// When, in microseconds since the Unix epoch.
    pub at_us: i64,
    /// Its kind on the event bus, such as `worker.died`.
    pub kind: String,
    /// The task it is about, if it is about one.
    pub task: Option<TaskId>,
    /// What happened, for people.
    pub message: String,
}

/// Names an entry that has no task id of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EntryKey(pub u128);

impl EntryKey {
    /// A new key, ordered after those minted before it by this process.
    #[expect(clippy::new_without_default, reason = "each call mints another key: no default value")]
    pub fn new() -> EntryKey {
        EntryKey(Uuid::now_v7().as_u128())
    }
}

/// A fixed cost for each entry in memory beside its variable parts: the structs and the bookkeeping.
const ENTRY_BYTES: usize = 1024;

impl Entry {
    /// Roughly what it holds of memory.
    pub fn bytes(&self) -> usize {
        ENTRY_BYTES
            + match self {
                Entry::Judgment(entry) => {
                    entry.explanation.len() + entry.content.as_ref().map_or(0, Vec::len)
                }
                Entry::Failure(entry) => {
                    let stderr: usize = entry.deaths.iter().map(|d| d.stderr_tail.len()).sum();
                    entry.message.len() + stderr + entry.deaths.len() * ENTRY_BYTES / 4
                }
                Entry::Notice(entry) => entry.message.len(),
            }
    }

    /// The task it is about, if it is about one.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Entry::Judgment(entry) => Some(entry.task),
            Entry::Failure(entry) => Some(entry.task),
            Entry::Notice(entry) => entry.task,
        }
    }

    /// What makes recording it idempotent.
    pub fn key(&self) -> u128 {
        match self {
            Entry::Judgment(entry) => entry.task.0,
            Entry::Failure(entry) => entry.key.0,
            Entry::Notice(entry) => entry.key.0,
        }
    }
}

/// A judgment as it was stored or will be, for answering its task again.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredJudgment {
    /// Whether it is safe, or still in memory.
    pub reached: Ack,
    /// The judgment and how it came about.
    pub row: JudgmentRow,
    /// Why it is what it is, encoded as [`cynic_proto::explanation`] does.
    pub explanation: Vec<u8>,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It is safe. `earlier` is the judgment of the same task that was there first and stays.
    Stored {
        /// Where it is safe.
        place: SafePlace,
        /// The judgment to answer with instead of this one.
        earlier: Option<Box<StoredJudgment>>,
    },
    /// The database refuses it for what it says; it is set aside as a dead letter.
    Refused(String),
    /// The recorder was closed and its budget spent before it was safe.
    NotStored,
}

/// Where an entry is safe from a crash and from power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SafePlace {
    /// In the database.
    Database,
    /// In the local spool, from which it goes to the database as soon as that takes writes again.
    Spool,
}

/// Told of an entry's fate exactly once, on the recorder's thread; must not block.
pub type OnSettled = Box<dyn FnOnce(Fate) + Send>;
