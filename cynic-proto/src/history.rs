//! What is asked of the store and what it answers: history, feedback, care.
//!
//! Wire types only: how a query becomes SQL is the recorder's secret.

use serde::{Deserialize, Serialize};

use crate::error::Death;
use crate::ids::{TaskId, WorkerId};
use crate::judgment::{Details, Judgment};
use crate::limits::ITEM_ID_BYTES_MAX;
use crate::message::{Ack, Timings};
use crate::model::{DIMENSIONS, Dimension, Domain, Verdict};

/// Rows of a page unless asked otherwise: fills a terminal twice.
pub const HISTORY_LIMIT_DEFAULT: u32 = 50;

/// Most rows of one page: some 400 KiB encoded, and three times that with features, far below a frame.
pub const HISTORY_LIMIT_MAX: u32 = 1000;

/// Longest note of a feedback in bytes: a paragraph.
pub const NOTE_BYTES_MAX: usize = 2000;

/// Longest text searched for in errors, in bytes.
pub const ERROR_TEXT_BYTES_MAX: usize = 200;

/// Most bounds on dimensions in one query: one on each side of each. Every record is held against each of them.
pub const BOUNDS_MAX: usize = 2 * DIMENSIONS;

/// Which records to list: all conditions hold for each. The newest come first unless `oldest_first`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryQuery {
    /// Judged or failed at this time or later, in microseconds since the Unix epoch.
    pub since_us: Option<i64>,
    /// Judged or failed before this time, in microseconds since the Unix epoch.
    pub until_us: Option<i64>,
    /// One of these verdicts; empty means any. With a condition on judgments, failures are left out.
    pub verdicts: Vec<Verdict>,
    /// At least this Q-Score.
    pub q_min: Option<f32>,
    /// At most this Q-Score.
    pub q_max: Option<f32>,
    /// Judged as this domain.
    pub domain: Option<Domain>,
    /// Asked for by this user id.
    pub client_uid: Option<u32>,
    /// The client's own id of the item.
    pub item_id: Option<String>,
    /// Dimensions that score below a bound or above it.
    pub dimensions: Vec<DimensionBound>,
    /// Failures whose message contains this text, in any case. Judgments are left out.
    pub error_text: Option<String>,
    /// What to list.
    pub kinds: RecordKinds,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// Rows of a page; 0 means [`HISTORY_LIMIT_DEFAULT`], and [`HISTORY_LIMIT_MAX`] is the most. A page of long rows ends
    /// earlier.
    pub limit: u32,
    /// Oldest first: the order of an export.
    pub oldest_first: bool,
    /// With the features of each judgment.
    pub features: bool,
}

impl HistoryQuery {
    /// Looks whether it makes sense and asks for no more than there is to ask for.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn check(&self) -> Result<(), String> {
        let (verdicts, bounds) = (self.verdicts.len(), self.dimensions.len());
        if verdicts > Verdict::ALL.len() {
            return Err(format!(
                "{verdicts} verdicts are asked for, and there are {}: name each once",
                Verdict::ALL.len()
            ));
        }
        if bounds > BOUNDS_MAX {
            return Err(format!(
                "{bounds} bounds on dimensions: at most {BOUNDS_MAX} in one query"
            ));
        }
        let scores = self.dimensions.iter().map(|bound| &bound.score);
        let mut scores = self.q_min.iter().chain(&self.q_max).chain(scores);
        if let Some(score) = scores.find(|score| !score.is_finite()) {
            return Err(format!("{score} is not a score: expected 0 to 100"));
        }
        match (&self.item_id, &self.error_text) {
            (Some(id), _) if id.len() > ITEM_ID_BYTES_MAX => Err(format!(
                "an item's id of {} bytes: the first {ITEM_ID_BYTES_MAX} are kept, ask for those",
                id.len()
            )),
            (_, Some(text)) if text.is_empty() || text.len() > ERROR_TEXT_BYTES_MAX => Err(
                format!("the text to find in errors must have 1 to {ERROR_TEXT_BYTES_MAX} bytes"),
            ),
            _ => Ok(()),
        }
    }
}

/// Which records a query lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKinds {
    /// Judgments and failures, as far as the other conditions allow.
    #[default]
    All,
    /// Judgments only.
    Judgments,
    /// Failures only.
    Failures,
}

/// A bound on one dimension's score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DimensionBound {
    /// The dimension.
    pub dimension: Dimension,
    /// On which side of `score` it is.
    pub side: Side,
    /// The bound, 0 to 100; itself left out.
    pub score: f32,
}

/// Below or above a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Less than the bound.
    Below,
    /// More than the bound.
    Above,
}

/// Where a page ended: positions in the store's own order, which no clock can disturb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The last judgment seen.
    pub judgment_seq: Option<i64>,
    /// The last failure seen.
    pub failure_seq: Option<i64>,
}

/// One page of history.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The records, in the order asked for.
    pub rows: Vec<HistoryRow>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// One record of a page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryRow {
    /// A judgment.
    Judgment(Box<JudgmentRow>),
    /// A task that was answered with an error.
    Failure(Box<FailureRow>),
}

/// A stored judgment without its explanation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgmentRow {
    /// The task.
    pub task: TaskId,
    /// Its place in the store's order.
    pub seq: i64,
    /// When it was judged, in microseconds since the Unix epoch.
    pub judged_at_us: i64,
    /// What was judged, in numbers.
    pub judgment: Judgment,
    /// The client's own id of the item.
    pub item_id: Option<String>,
    /// A short, redacted description of the item.
    pub summary: String,
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
    /// Which calibration gave the verdict; 0 is the model's own thresholds.
    pub calibration: u32,
    /// What turned out to be true, if anybody said.
    pub feedback: Option<Truth>,
    /// If asked for, what the scores were made of: evidence codes with their points, to the hundredth.
    pub features: Option<Vec<(String, f32)>>,
}

/// A stored failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureRow {
    /// The task.
    pub task: TaskId,
    /// Its place in the store's order.
    pub seq: i64,
    /// When it was answered, in microseconds since the Unix epoch.
    pub failed_at_us: i64,
    /// The name of its [`crate::error::ErrorKind`].
    pub error_kind: String,
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

/// Everything stored of one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShowRow {
    /// The judgment, if there is one.
    pub judgment: Option<Box<JudgmentRow>>,
    /// Its explanation. Quotations from the item are left out unless content is stored.
    pub details: Option<Box<Details>>,
    /// The stored explanation was written in a format that this build does not read.
    pub details_unreadable: bool,
    /// The item itself, if content is stored.
    pub content: Option<Vec<u8>>,
    /// What people said about it.
    pub feedback: Option<FeedbackRow>,
    /// The failures before or instead of the judgment, oldest first.
    pub failures: Vec<FailureRow>,
}

/// What turned out to be true of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Truth {
    /// It was fine: it deserved to pass.
    Good,
    /// It was bad: it deserved to be stopped.
    Bad,
}

impl Truth {
    /// The name, as on the command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Truth::Good => "good",
            Truth::Bad => "bad",
        }
    }
}

/// Looks whether a note can be kept.
///
/// # Errors
/// It is too long.
pub fn check_note(note: &str) -> Result<(), String> {
    if note.len() <= NOTE_BYTES_MAX {
        return Ok(());
    }
    Err(format!("the note has {} bytes: at most {NOTE_BYTES_MAX} are kept", note.len()))
}

/// What somebody says about a judgment. Said again, it replaces what was said before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// The judgment.
    pub task: TaskId,
    /// What turned out to be true.
    pub truth: Truth,
    /// Why, in words; at most [`NOTE_BYTES_MAX`] bytes.
    pub note: Option<String>,
    /// Who says so.
    pub client_uid: u32,
}

/// A stored feedback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackRow {
    /// What turned out to be true.
    pub truth: Truth,
    /// Why, in words.
    pub note: Option<String>,
    /// Who said so.
    pub client_uid: u32,
    /// When, in microseconds since the Unix epoch.
    pub given_at_us: i64,
}

/// A finished backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// Where it is.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Judgments in it.
    pub judgments: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_asks_for_no_more_than_there_is() {
        let any = HistoryQuery::default;
        let bound = DimensionBound { dimension: Dimension::Candor, side: Side::Above, score: 1.0 };
        let verdicts = |count| HistoryQuery { verdicts: vec![Verdict::Howl; count], ..any() };
        let bounds = |count| HistoryQuery { dimensions: vec![bound; count], ..any() };
        let id = |bytes| HistoryQuery { item_id: Some("x".repeat(bytes)), ..any() };
        let text = |bytes| HistoryQuery { error_text: Some("x".repeat(bytes)), ..any() };
        let sensible =
            [any(), verdicts(4), bounds(BOUNDS_MAX), id(ITEM_ID_BYTES_MAX), text(1), text(200)];
        for query in sensible {
            assert_eq!(query.check(), Ok(()));
        }
        let beyond = [verdicts(5), bounds(BOUNDS_MAX + 1), id(ITEM_ID_BYTES_MAX + 1)];
        let no_text = [text(0), text(ERROR_TEXT_BYTES_MAX + 1)];
        let no_score = HistoryQuery { q_max: Some(f32::INFINITY), ..any() };
        for query in beyond.into_iter().chain(no_text).chain([no_score]) {
            assert!(query.check().is_err(), "{query:?}");
        }
    }
}
