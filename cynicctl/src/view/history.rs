//! Listings of stored records: a table for people, JSON and CSV for programs.
//!
//! Owns the columns and the keys. Texts of a record come from items and are untrusted here too.

use cynic_proto::history::{Cursor, FailureRow, HistoryRow, JudgmentRow, Truth};
use cynic_proto::ids::TaskId;
use cynic_proto::judgment::Judgment;
use cynic_proto::model::{Axiom, Dimension, Domain, Verdict};
use jiff::{Timestamp, tz::TimeZone};
use serde::ser::{Serialize, Serializer};

use super::json;
use super::judged::coverage;
use super::style::{self, BAD, FAINT};
use super::table::{Align, Cell, Column, Table};
use crate::text::{bytes, printable, squeezed};

/// Columns from which on the date's year and the domain have room beside the task's id.
const COLUMNS_WIDE: usize = 100;

/// Columns of a listing that has all the room that it wants: what is longer is not cut, but is not in line either.
const LISTING_WIDTH: usize = 160;

/// A task id's columns.
pub(super) const TASK_WIDTH: usize = 36;

/// The table of a listing: fixed widths, so that pages follow each other under one heading.
#[derive(Debug)]
pub struct Listing {
    table: Table,
    zone: TimeZone,
    wide: bool,
}

impl Listing {
    /// A layout for that many terminal columns, with times in that zone.
    pub fn new(columns: usize, zone: TimeZone) -> Listing {
        let wide = columns >= COLUMNS_WIDE;
        let mut fields = vec![
            Column::left("TIME").at_least(if wide { 19 } else { 14 }),
            Column::left("VERDICT"),
            Column::right("Q").at_least(5),
        ];
        if wide {
            fields.push(Column::left("DOMAIN").at_least(7));
        }
        let used: usize = fields.iter().map(|field| field.width + 2).sum();
        let room = columns.min(LISTING_WIDTH).saturating_sub(used + TASK_WIDTH + 2).max(8);
        fields.push(Column { title: "ITEM", align: Align::Left, width: room });
        fields.push(Column::left("TASK").at_least(TASK_WIDTH));
        Listing { table: Table::fixed(fields, columns), zone, wide }
    }

    /// The headings, with a line end.
    pub fn header(&self) -> String {
        self.table.header() + "\n"
    }

    /// One record, with its line end.
    pub fn row(&self, row: &HistoryRow) -> String {
        let format = if self.wide { "%Y-%m-%d %H:%M:%S" } else { "%m-%d %H:%M:%S" };
        let time = |us| timestamp(us).to_zoned(self.zone.clone()).strftime(format).to_string();
        let (mut cells, task) = match row {
            HistoryRow::Judgment(row) => {
                let judgment = &row.judgment;
                let mut cells = vec![
                    time(row.judged_at_us).into(),
                    Cell::new(judgment.verdict.name(), style::of(judgment.verdict)),
                    format!("{:.1}", judgment.q_score).into(),
                ];
                if self.wide {
                    cells.push(judgment.domain.name().into());
                }
                cells.push(name(row).into());
                (cells, row.task)
            }
            HistoryRow::Failure(row) => {
                let mut cells =
                    vec![time(row.failed_at_us).into(), Cell::new("error", BAD), "-".into()];
                if self.wide {
                    cells.push("-".into());
                }
                let kind = squeezed(&row.error_kind);
                cells.push(match &row.item_id {
                    Some(id) => format!("{}: {kind}", squeezed(id)).into(),
                    None => kind.into(),
                });
                (cells, row.task)
            }
        };
        cells.push(Cell::new(task.to_string(), FAINT));
        self.table.line(&cells) + "\n"
    }
}

/// What a person knows a judgment by: the item's own id, else what is said of it, else its size and hash.
pub(super) fn name(row: &JudgmentRow) -> String {
    let said = row.item_id.as_deref().unwrap_or(&row.summary);
    if !said.trim().is_empty() {
        return squeezed(said);
    }
    let judgment = &row.judgment;
    let [a, b, c, d, ..] = judgment.body_sha256;
    let hash = u32::from_be_bytes([a, b, c, d]);
    format!("{} {hash:08x}", bytes(judgment.body_bytes))
}

pub(super) fn timestamp(us: i64) -> Timestamp {
    Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// How to ask for what follows a listing.
pub fn cursor_text(cursor: Cursor) -> String {
    let place = |seq: Option<i64>| seq.map(|seq| seq.to_string()).unwrap_or_default();
    format!("{}:{}", place(cursor.judgment_seq), place(cursor.failure_seq))
}

/// One record as a line of JSON, with its line end.
///
/// # Errors
/// As [`json::line`].
pub fn json_line(row: &HistoryRow) -> anyhow::Result<String> {
    match row {
        HistoryRow::Judgment(row) => json::line(&JudgmentView::new(row)),
        HistoryRow::Failure(row) => json::line(&FailureView::new(row)),
    }
}

/// A time as text that any program reads.
pub(super) fn iso(us: i64) -> String {
    timestamp(us).to_string()
}

/// A stored judgment as programs see it.
#[derive(Debug, serde::Serialize)]
pub(super) struct JudgmentView<'a> {
    task_id: TaskId,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    summary: &'a str,
    q_score: f32,
    verdict: Verdict,
    confidence: f32,
    coverage: String,
    domain: Domain,
    axioms: Scores<'a, Axiom>,
    dimensions: Scores<'a, Dimension>,
    weaknesses: Vec<Dimension>,
    uid: u32,
    attempts: u8,
    calibration: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback: Option<Truth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<Features<'a>>,
}

impl<'a> JudgmentView<'a> {
    pub(super) fn new(row: &'a JudgmentRow) -> JudgmentView<'a> {
        let judgment = &row.judgment;
        JudgmentView {
            task_id: row.task,
            time: iso(row.judged_at_us),
            id: row.item_id.as_deref(),
            summary: &row.summary,
            q_score: judgment.q_score,
            verdict: judgment.verdict,
            confidence: judgment.confidence,
            coverage: coverage(judgment),
            domain: judgment.domain,
            axioms: Scores(&Axiom::ALL, &judgment.axioms),
            dimensions: Scores(&Dimension::ALL, &judgment.dimensions),
            weaknesses: judgment.weaknesses(),
            uid: row.client_uid,
            attempts: row.attempts,
            calibration: row.calibration,
            feedback: row.feedback,
            features: row.features.as_deref().map(Features),
        }
    }
}

/// Points by evidence code.
#[derive(Debug)]
struct Features<'a>(&'a [(String, f32)]);

impl Serialize for Features<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(code, points)| (code, points)))
    }
}

/// Scores by name.
#[derive(Debug)]
struct Scores<'a, N>(&'a [N], &'a [f32]);

impl<N: Serialize> Serialize for Scores<'_, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(self.1))
    }
}

#[derive(Debug, serde::Serialize)]
pub(super) struct FailureView<'a> {
    task_id: TaskId,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    error: FailureError<'a>,
    uid: u32,
    attempts: u8,
}

#[derive(Debug, serde::Serialize)]
struct FailureError<'a> {
    kind: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

impl<'a> FailureView<'a> {
    pub(super) fn new(row: &'a FailureRow) -> FailureView<'a> {
        FailureView {
            task_id: row.task,
            time: iso(row.failed_at_us),
            id: row.item_id.as_deref(),
            error: FailureError {
                kind: &row.error_kind,
                message: &row.message,
                cause: row.deaths.last().map(|death| death.cause.to_string()),
            },
            uid: row.client_uid,
            attempts: row.attempts,
        }
    }
}

/// The names of the CSV columns, with a line end.
pub fn csv_header() -> String {
    let fixed = ["task_id", "time", "item_id", "verdict", "q_score", "confidence", "domain"];
    let axioms = Axiom::ALL.map(|axiom| axiom.name().to_lowercase());
    let dimensions = Dimension::ALL.map(|dimension| dimension.name().to_lowercase());
    let names = fixed.into_iter().map(str::to_owned).chain(axioms).chain(dimensions);
    let last = ["summary", "uid", "calibration", "feedback", "error_kind", "error"];
    let last = last.map(str::to_owned);
    names.chain(last).collect::<Vec<_>>().join(",") + "\r\n"
}

/// One record as a line of CSV (RFC 4180).
pub fn csv_line(row: &HistoryRow) -> String {
    let scores = Axiom::ALL.len() + Dimension::ALL.len();
    let cells: Vec<String> = match row {
        HistoryRow::Judgment(row) => {
            let judgment = &row.judgment;
            let mut cells = vec![
                row.task.to_string(),
                iso(row.judged_at_us),
                csv_text(row.item_id.as_deref().unwrap_or_default()),
                judgment.verdict.name().to_owned(),
                judgment.q_score.to_string(),
                judgment.confidence.to_string(),
                judgment.domain.name().to_owned(),
            ];
            cells.extend(all_scores(judgment));
            cells.extend([csv_text(&row.summary), row.client_uid.to_string()]);
            let feedback = row.feedback.map(Truth::name).unwrap_or_default().to_owned();
            cells.extend([row.calibration.to_string(), feedback]);
            cells.extend([String::new(), String::new()]);
            cells
        }
        HistoryRow::Failure(row) => {
            let id = csv_text(row.item_id.as_deref().unwrap_or_default());
            let mut cells = vec![row.task.to_string(), iso(row.failed_at_us), id];
            // Verdict, Q, confidence, domain, the scores and the summary stay empty.
            cells.resize(3 + 4 + scores + 1, String::new());
            cells.extend([row.client_uid.to_string(), String::new(), String::new()]);
            cells.extend([csv_text(&row.error_kind), csv_text(&row.message)]);
            cells
        }
    };
    cells.join(",") + "\r\n"
}

fn all_scores(judgment: &Judgment) -> impl Iterator<Item = String> {
    judgment.axioms.iter().chain(&judgment.dimensions).map(ToString::to_string)
}

/// Text from an item: printable, and never a formula to the spreadsheet that opens it.
fn csv_text(text: &str) -> String {
    let text = printable(text);
    let formula = text.starts_with(['=', '+', '-', '@']);
    let text = if formula { format!("'{text}") } else { text };
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}
