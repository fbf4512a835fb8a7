//! Messages between a client and the daemon. Each side greets first (see [`crate::handshake`]).
//!
//! Every request carries a number of the client's choice; every reply repeats the number of its request.
//! Replies come in the order in which they are ready.

use serde::{Deserialize, Serialize};

use crate::calibration::{CalibrationReport, CalibrationRequest};
use crate::dead_letters::{DeadLettersReply, DeadLettersRequest};
use crate::error::{ErrorKind, TaskError};
use crate::event::{EventsBatch, EventsQuery};
use crate::finding::Finding;
use crate::history::{
    BackupReport, FeedbackRow, HistoryPage, HistoryQuery, ShowRow, Truth, check_note,
};
use crate::ids::{TaskId, WorkerId};
use crate::item::Hint;
use crate::judgment::Judgment;
use crate::quarantine::{QuarantineRecord, QuarantineRequest, Replayed};
use crate::stats::Stats;

/// From a client to the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToDaemon {
    /// Repeated by each reply.
    pub seq: u64,
    /// What is asked.
    pub request: Request,
}

/// From the daemon to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToClient {
    /// The number of the request that this answers; 0 for an error that belongs to none.
    pub seq: u64,
    /// The answer.
    pub reply: Reply,
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Judge the payload.
    Judge(Judge),
    /// Forget a task that was asked for on this connection: its requests are answered with
    /// [`ErrorKind::Cancelled`], and it is not judged unless others wait for it.
    Cancel(TaskId),
    /// Is the daemon there, and ready?
    Ping,
    /// The figures.
    Stats,
    /// List what is stored.
    History(Box<HistoryQuery>),
    /// Everything stored of a task.
    Show(TaskId),
    /// Take no more work; finish what was accepted.
    Drain,
    /// Take work again.
    Resume,
    /// What happened lately, or what happens next.
    Events(Box<EventsQuery>),
    /// Say what turned out to be true of a judgment.
    Feedback {
        /// The judgment.
        task: TaskId,
        /// What turned out to be true.
        truth: Truth,
        /// Why, in words; at most [`crate::history::NOTE_BYTES_MAX`] bytes.
        note: Option<String>,
    },
    /// Fit a calibration, use one, or say what is in use.
    Calibrate(CalibrationRequest),
    /// Copy the store into a new file at this absolute path.
    Backup(String),
    /// Look at what is in quarantine, or change it.
    Quarantine(QuarantineRequest),
    /// Read the configuration again, work by it, and replace the workers one after another.
    Reload,
    /// Have so many workers until the next reload; `None` goes by the processor's cores.
    Scale(Option<u16>),
    /// Replace all workers, one after another.
    RestartWorkers,
    /// Log by this filter until the next reload.
    LogLevel(String),
    /// Judge [`crate::canary::BAD`], but neither count nor store it: shows that workers judge as they should. The payload,
    /// if there is one, is judged in its place; that takes role `admin`, since it leaves no record.
    Canary(Judge),
    /// Look at everything that the daemon depends on.
    Doctor,
    /// Kill the worker in this slot; its task goes to another, and its item is not blamed.
    KillWorker(u16),
    /// Look at the entries that the database refused, write them again, or drop them.
    DeadLetters(DeadLettersRequest),
}

impl Request {
    /// Whether bytes may follow it.
    pub const fn takes_payload(&self) -> bool {
        use QuarantineRequest::{Replay, Retry};
        let judged = matches!(self, Request::Judge(_) | Request::Canary(_));
        judged || matches!(self, Request::Quarantine(Retry(_) | Replay(_)))
    }

    /// Looks whether it makes sense, before anything is done or kept for it.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Request::Judge(judge) | Request::Canary(judge) => judge.hint.check(),
            Request::History(query) => query.check(),
            Request::Feedback { note: Some(note), .. } => check_note(note),
            _ => Ok(()),
        }
    }
}

/// A request for a judgment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judge {
    /// Names the task. A retry repeats it and gets the same judgment.
    pub task: TaskId,
    /// Whether this task may have been sent before.
    pub retry: bool,
    /// Which lane to wait in.
    pub lane: Lane,
    /// When to answer.
    pub ack: Ack,
    /// Milliseconds from acceptance after which an answer is of no use.
    pub deadline_ms: Option<u32>,
    /// How to read the payload.
    pub hint: Hint,
}

/// The two lanes of the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Somebody waits for this one.
    #[default]
    Interactive,
    /// One of many, for whose sum somebody waits.
    Bulk,
}

/// When a judgment is answered, and how far it had got then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ack {
    /// At once; it is stored in the next batch.
    #[default]
    Judged,
    /// After the commit.
    Stored,
}

impl Lane {
    /// The name, as on the command line, in JSON and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Lane::Interactive => "interactive",
            Lane::Bulk => "bulk",
        }
    }
}

impl Ack {
    /// The name, as on the command line, in JSON and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Ack::Judged => "judged",
            Ack::Stored => "stored",
        }
    }
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The judgment. The payload is its explanation, [`crate::judgment::Details`], as [`crate::explanation`] encodes it for a
    /// client that knows its wordings, and in full for another.
    Judged(Box<Judged>),
    /// The task went through a worker under the `null` profile.
    Echoed(TaskId),
    /// The task was not judged.
    Failed {
        /// The task.
        task: TaskId,
        /// Why.
        error: Box<TaskError>,
    },
    /// Alive.
    Pong(Pong),
    /// The figures.
    Stats(Box<Stats>),
    /// A page of what is stored.
    History(Box<HistoryPage>),
    /// Everything stored of a task.
    Show(Box<ShowRow>),
    /// Done as asked.
    Done,
    /// The request itself is wrong.
    Refused {
        /// What kind of wrong.
        kind: RefusalKind,
        /// What to do, for people.
        message: String,
    },
    /// What happened.
    Events(Box<EventsBatch>),
    /// The feedback as it is stored.
    Feedback(Box<FeedbackRow>),
    /// What the calibration is, and what it was.
    Calibration(Box<CalibrationReport>),
    /// The copy of the store.
    Backup(Box<BackupReport>),
    /// What is in quarantine.
    Quarantine(Vec<QuarantineRecord>),
    /// What came of an item that was run alone.
    Replayed(Box<Replayed>),
    /// Done as asked; one line for people says what was done.
    Report(String),
    /// What was found.
    Findings(Vec<Finding>),
    /// What there is of entries that the database refused, or what was done with them.
    DeadLetters(Box<DeadLettersReply>),
}

/// A judgment and how it came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The task.
    pub task: TaskId,
    /// The judgment.
    pub judgment: Judgment,
    /// How far it had got when the answer was sent.
    pub reached: Ack,
    /// How often it was tried; 1 unless workers died over it.
    pub attempts: u8,
    /// Who judged.
    pub worker: WorkerId,
    /// Where the time went.
    pub timings: Timings,
}

/// Where the time of one task went, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// From acceptance to dispatch.
    pub queued_us: u32,
    /// From dispatch to the worker's answer.
    pub running_us: u32,
    /// In the worker: parse, score, aggregate, verdict.
    pub stages_us: [u32; 4],
}

/// Whether the daemon can judge now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// A task sent now would be judged.
    pub ready: bool,
    /// Something is wrong, but judging goes on.
    pub degraded: bool,
    /// One line for people.
    pub status: String,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The greeting did not fit.
    Handshake,
    /// The bytes are not a request.
    Malformed,
    /// The frame is over the limit, or the answer's would be.
    TooLarge,
    /// The peer may not ask this.
    NotPermitted,
    /// There is no such thing.
    NotFound,
    /// It cannot be done now.
    Unavailable,
}

impl Reply {
    /// A failed task.
    pub fn failed(task: TaskId, kind: ErrorKind, message: impl Into<String>) -> Reply {
        let message = message.into();
        let error = TaskError { kind, message, deaths: Vec::new(), retry_after_ms: None };
        Reply::Failed { task, error: Box::new(error) }
    }
}
