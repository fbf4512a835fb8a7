//! Entries that the database refused: a table and notes for people, JSON for programs.
//!
//! What they say comes from items, workers and the database, and is untrusted here too.

use cynic_proto::dead_letters::{DeadLetter, LetterEntry, Retried, RetryOutcome};
use cynic_proto::history::{FailureRow, JudgmentRow};
use cynic_proto::ids::{LetterId, TaskId};
use jiff::tz::TimeZone;

use super::history::{FailureView, JudgmentView, TASK_WIDTH, iso, name, timestamp};
use super::json;
use super::style::{self, BAD, FAINT, STRONG, WHOLE, paint};
use super::table::{Cell, Column, Table};
use crate::text::{bytes, squeezed, wrap};

/// Said where there is nothing to show or to do.
pub const NONE: &str = "there are no dead letters\n";

/// Columns of an error that has all the room that it wants: what is longer is not cut, but is not in line either.
const ERROR_WIDTH: usize = 60;

/// The table of letters: fixed widths, so that pages follow each other under one heading.
#[derive(Debug)]
pub struct Listing {
    table: Table,
    zone: TimeZone,
}

impl Listing {
    /// A layout for that many terminal columns, with times in that zone.
    pub fn new(columns: usize, zone: TimeZone) -> Listing {
        let mut fields = vec![Column::left("TIME").at_least(11), Column::right("SIZE").at_least(8)];
        let used: usize = fields.iter().map(|field| field.width + 2).sum();
        let room = columns.saturating_sub(used + TASK_WIDTH + 2).max(12);
        let room = if columns == WHOLE { ERROR_WIDTH } else { room };
        // Whole: it is what the other commands take.
        let id = Column::left("ID").at_least(TASK_WIDTH);
        fields.extend([Column::left("REFUSED FOR").at_least(room), id]);
        Listing { table: Table::fixed(fields, columns), zone }
    }

    /// The headings, with a line end.
    pub fn header(&self) -> String {
        self.table.header() + "\n"
    }

    /// The letters of a page, a line each.
    pub fn rows(&self, letters: &[DeadLetter]) -> String {
        let row = |letter: &DeadLetter| {
            let cells: [Cell; 4] = [
                at(letter.at_us, &self.zone, "%m-%d %H:%M").into(),
                bytes(letter.bytes).into(),
                squeezed(&letter.error).into(),
                Cell::new(letter.id.to_string(), FAINT),
            ];
            self.table.line(&cells) + "\n"
        };
        letters.iter().map(row).collect()
    }
}

fn at(us: i64, zone: &TimeZone, format: &str) -> String {
    timestamp(us).to_zoned(zone.clone()).strftime(format).to_string()
}

/// Everything that is known of one letter.
pub fn note(letter: &DeadLetter, entry: &LetterEntry, columns: usize, zone: &TimeZone) -> String {
    let time = |us| at(us, zone, "%Y-%m-%d %H:%M:%S %Z");
    let mut lines = vec![
        paint(BAD, &format!("refused {}", time(letter.at_us))),
        format!("  id        {}", letter.id),
    ];
    if let Some(task) = letter.task {
        lines.push(format!("  task      {task}"));
    }
    lines.push(format!("  size      {}", bytes(letter.bytes)));
    said(&mut lines, "for", &letter.error, columns);
    match entry {
        LetterEntry::Judgment(row) => {
            lines.push(paint(STRONG, &format!("judged {}", time(row.judged_at_us))));
            judgment(&mut lines, row, columns);
        }
        LetterEntry::Failure(row) => {
            lines.push(paint(STRONG, &format!("failed {}", time(row.failed_at_us))));
            failure(&mut lines, row, columns);
        }
        LetterEntry::Notice { at_us, kind, message } => {
            lines.push(paint(STRONG, &format!("noticed {}", time(*at_us))));
            said(&mut lines, "kind", kind, columns);
            said(&mut lines, "message", message, columns);
        }
        LetterEntry::Unreadable(why) => {
            lines.push(paint(STRONG, "cannot be read by this daemon"));
            said(&mut lines, "because", why, columns);
        }
    }
    lines.join("\n") + "\n"
}

/// A text of any length behind its name.
fn said(lines: &mut Vec<String>, what: &str, text: &str, columns: usize) {
    for (n, line) in wrap(&squeezed(text), columns.saturating_sub(12)).iter().enumerate() {
        let what = if n == 0 { what } else { "" };
        lines.push(format!("  {what:<8}  {line}"));
    }
}

fn judgment(lines: &mut Vec<String>, row: &JudgmentRow, columns: usize) {
    let judgment = &row.judgment;
    let verdict = paint(style::of(judgment.verdict), judgment.verdict.name());
    lines.push(format!(
        "  verdict   {verdict}, Q {:.1}, confidence {:.3}, {}",
        judgment.q_score,
        judgment.confidence,
        judgment.domain.name()
    ));
    said(lines, "item", &name(row), columns);
    lines.push(format!("  asked by  uid {}", row.client_uid));
}

fn failure(lines: &mut Vec<String>, row: &FailureRow, columns: usize) {
    said(lines, "kind", &row.error_kind, columns);
    said(lines, "message", &row.message, columns);
    if let Some(id) = &row.item_id {
        said(lines, "item", id, columns);
    }
    lines.push(format!("  asked by  uid {}", row.client_uid));
}

/// What came of writing a letter again, with its line end.
pub fn retried(retried: &Retried) -> String {
    let id = retried.id;
    match &retried.outcome {
        RetryOutcome::Stored => format!("stored {id}\n"),
        RetryOutcome::Repeated => {
            format!("stored {id}: its task had another judgment by now, which stays\n")
        }
        RetryOutcome::Refused(why) => {
            format!("{id} stays: the database still refuses it: {}\n", squeezed(why))
        }
        RetryOutcome::Unreadable(why) => {
            let why = squeezed(why);
            format!("{id} stays: this daemon cannot read it, another release may: {why}\n")
        }
    }
}

/// A letter as a line of JSON.
///
/// # Errors
/// Never for these types; the serializer's signature allows for it.
pub fn json_line(letter: &DeadLetter) -> anyhow::Result<String> {
    json::line(&LetterView::new(letter))
}

/// A letter and what is in it as a line of JSON.
///
/// # Errors
/// As [`json_line`].
pub fn json_note(letter: &DeadLetter, entry: &LetterEntry) -> anyhow::Result<String> {
    let mut view = LetterView::new(letter);
    match entry {
        LetterEntry::Judgment(row) => view.judgment = Some(JudgmentView::new(row)),
        LetterEntry::Failure(row) => view.failure = Some(FailureView::new(row)),
        LetterEntry::Notice { at_us, kind, message } => {
            view.notice = Some(NoticeView { time: iso(*at_us), kind, message });
        }
        LetterEntry::Unreadable(why) => view.unreadable = Some(why),
    }
    json::line(&view)
}

/// What came of writing a letter again, as a line of JSON.
///
/// # Errors
/// As [`json_line`].
pub fn json_retried(retried: &Retried) -> anyhow::Result<String> {
    let (outcome, error) = match &retried.outcome {
        RetryOutcome::Stored => ("stored", None),
        RetryOutcome::Repeated => ("repeated", None),
        RetryOutcome::Refused(why) => ("refused", Some(why.as_str())),
        RetryOutcome::Unreadable(why) => ("unreadable", Some(why.as_str())),
    };
    json::line(&RetriedView { id: retried.id, task_id: retried.task, outcome, error })
}

#[derive(serde::Serialize)]
struct LetterView<'a> {
    id: LetterId,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<TaskId>,
    time: String,
    bytes: u64,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    judgment: Option<JudgmentView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<NoticeView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<&'a str>,
}

impl<'a> LetterView<'a> {
    fn new(letter: &'a DeadLetter) -> LetterView<'a> {
        LetterView {
            id: letter.id,
            task_id: letter.task,
            time: iso(letter.at_us),
            bytes: letter.bytes,
            error: &letter.error,
            judgment: None,
            failure: None,
            notice: None,
            unreadable: None,
        }
    }
}

#[derive(serde::Serialize)]
struct NoticeView<'a> {
    time: String,
    kind: &'a str,
    message: &'a str,
}

#[derive(serde::Serialize)]
struct RetriedView<'a> {
    id: LetterId,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<TaskId>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}
