//! Dead letters: entries that the database refused for what they say, set aside whole until somebody writes them
//! again or drops them.

use serde::{Deserialize, Serialize};

use crate::history::{FailureRow, JudgmentRow};
use crate::ids::{LetterId, TaskId};

/// Letters of a page: two screenfuls, each with an error of at most [`ERROR_CHARS_MAX`].
pub const LETTERS_PAGE: u32 = 100;

/// Letters written again in one request: each is a transaction of its own, and where a disk takes 100 ms for one the
/// answer comes all the same.
pub const RETRIES_MAX: u32 = 50;

/// Letters dropped in one request and one statement: nobody waits long behind it.
pub const DROPS_MAX: u32 = 1000;

/// How much of an error is told, in characters: a paragraph. A trigger of somebody's own may say any amount.
pub const ERROR_CHARS_MAX: usize = 1000;

/// What is asked about dead letters. A place is a number in the order in which they were set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeadLettersRequest {
    /// A page of them, newest first, from before this place on.
    List(Option<i64>),
    /// One letter, and what is in it.
    Show(LetterId),
    /// Write one into the database again; it stays where the database still refuses it.
    Retry(LetterId),
    /// The same with those behind this place, oldest first, some at a time.
    RetryAll(Option<i64>),
    /// Forget one for good.
    Drop(LetterId),
    /// Forget all, some at a time.
    DropAll,
}

impl DeadLettersRequest {
    /// Whether it only looks.
    pub const fn is_read(self) -> bool {
        matches!(self, DeadLettersRequest::List(_) | DeadLettersRequest::Show(_))
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DeadLettersReply {
    /// A page of letters.
    Page {
        /// Newest first.
        letters: Vec<DeadLetter>,
        /// Before which place the next page begins, if there is one.
        next: Option<i64>,
    },
    /// One letter.
    Letter(DeadLetter, LetterEntry),
    /// What came of writing letters again.
    Retried {
        /// In the order in which they were tried.
        letters: Vec<Retried>,
        /// Behind which place to go on, if there are more.
        next: Option<i64>,
    },
    /// So many are gone.
    Dropped(u64),
}

/// An entry that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Names it.
    pub id: LetterId,
    /// Its place.
    pub seq: i64,
    /// The task it is about, if it is about one.
    pub task: Option<TaskId>,
    /// When it was set aside, in microseconds since the Unix epoch.
    pub at_us: i64,
    /// Why the database refused it, at most [`ERROR_CHARS_MAX`] of it.
    pub error: String,
    /// Length of the encoded entry.
    pub bytes: u64,
}

/// What is in a letter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LetterEntry {
    /// A judgment.
    Judgment(Box<JudgmentRow>),
    /// A task that was answered with an error.
    Failure(Box<FailureRow>),
    /// Something else that happened.
    Notice {
        /// When, in microseconds since the Unix epoch.
        at_us: i64,
        /// Its kind on the event bus, such as `worker.died`.
        kind: String,
        /// What happened, for people.
        message: String,
    },
    /// The daemon's build cannot read it; this is why.
    Unreadable(String),
}

/// A letter that was tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    /// Names it.
    pub id: LetterId,
    /// The task it is about, if it is about one.
    pub task: Option<TaskId>,
    /// What came of it.
    pub outcome: RetryOutcome,
}

/// What came of writing a letter again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetryOutcome {
    /// It is in the database, and no dead letter any more.
    Stored,
    /// The same, but its task had another judgment by then, which stays.
    Repeated,
    /// The database still refuses it, for this reason; it stays a dead letter.
    Refused(String),
    /// The daemon's build cannot read it, for this reason; it stays a dead letter.
    Unreadable(String),
}

impl RetryOutcome {
    /// Whether it is no dead letter any more.
    pub const fn landed(&self) -> bool {
        matches!(self, RetryOutcome::Stored | RetryOutcome::Repeated)
    }
}
