//! Everything stored of one task: a note for people, JSON for programs.
//!
//! Owns the order of the parts. What a judgment says is explained by [`super::explain`].

use cynic_proto::client::Answer;
use cynic_proto::history::{FailureRow, FeedbackRow, JudgmentRow, ShowRow};
use cynic_proto::ids::TaskId;
use cynic_proto::judgment::{Details, Judgment};
use cynic_proto::message::{Ack, Judged};
use cynic_proto::model::{Axiom, Dimension};
use jiff::tz::TimeZone;

use super::explain;
use super::history::{FailureView, iso, timestamp};
use super::json::{self, JudgedView};
use super::judged::{Outcome, Row};
use super::style::{BAD, FAINT, STRONG, paint};
use crate::text::{clip, printable, squeezed, wrap};

/// How much of stored content is printed for people; all of it is in the JSON form.
const CONTENT_COLUMNS: usize = 2000;

/// Width of the axioms' column.
const AXIOM_WIDTH: usize = 10;

/// Everything stored of one task, for people.
pub fn text(task: TaskId, row: &ShowRow, columns: usize, zone: &TimeZone) -> String {
    let mut lines = Vec::new();
    if let Some(judgment) = &row.judgment {
        let by = match judgment.calibration {
            0 => String::new(),
            version => format!(", verdict by calibration {version}"),
        };
        let head = format!("judged {}{by}", at(judgment.judged_at_us, zone));
        lines.push(paint(FAINT, &head));
        let note = explain::note(&explained(judgment, row.details.as_deref()), columns);
        lines.push(note.trim_end().to_owned());
        dimensions(&mut lines, &judgment.judgment, columns);
        if row.details_unreadable {
            lines.push(
                "Its explanation is of another release and cannot be read by this one.".to_owned(),
            );
        }
    }
    for row in &row.failures {
        failure(&mut lines, row, columns, zone);
    }
    if let Some(feedback) = &row.feedback {
        lines.push(said(feedback, zone));
    }
    if let Some(content) = &row.content {
        lines.push(paint(STRONG, "Content"));
        let text = squeezed(&String::from_utf8_lossy(content));
        lines.extend(indented(&clip(&text, CONTENT_COLUMNS), columns));
    }
    if lines.is_empty() {
        lines.push(format!("{task}: nothing is stored of it"));
    }
    lines.join("\n") + "\n"
}

/// All scores, an axiom a paragraph.
fn dimensions(lines: &mut Vec<String>, judgment: &Judgment, columns: usize) {
    lines.push(paint(STRONG, "Dimensions"));
    let mut fell_back = false;
    for axiom in Axiom::ALL.into_iter().chain([Axiom::Meta]) {
        let of_axiom = Dimension::ALL.into_iter().filter(|d| d.axiom() == axiom);
        let scores: Vec<String> = of_axiom
            .map(|dimension| {
                let neutral = judgment.fell_back(dimension);
                fell_back |= neutral;
                let mark = if neutral { "*" } else { "" };
                format!("{dimension} {:.0}{mark}", judgment.dimension(dimension))
            })
            .collect();
        let lead = format!("  {:AXIOM_WIDTH$}", axiom.name());
        let room = columns.saturating_sub(lead.len());
        for (n, line) in wrap(&scores.join(", "), room).iter().enumerate() {
            let lead = if n == 0 { lead.clone() } else { " ".repeat(lead.len()) };
            lines.push(lead + line);
        }
    }
    if fell_back {
        lines.push("  * not scored, taken as neutral".to_owned());
    }
}

fn at(us: i64, zone: &TimeZone) -> String {
    timestamp(us).to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

fn indented(text: &str, columns: usize) -> impl Iterator<Item = String> {
    wrap(text, columns.saturating_sub(2)).into_iter().map(|line| format!("  {line}"))
}

fn failure(lines: &mut Vec<String>, row: &FailureRow, columns: usize, zone: &TimeZone) {
    let head = format!("failed {}: {}", at(row.failed_at_us, zone), squeezed(&row.error_kind));
    lines.push(paint(BAD, &head));
    lines.extend(indented(&squeezed(&row.message), columns));
    lines.extend(row.deaths.iter().map(|death| format!("  {}", printable(&death.to_string()))));
}

fn said(feedback: &FeedbackRow, zone: &TimeZone) -> String {
    let head = format!("feedback {}: {}", at(feedback.given_at_us, zone), feedback.truth.name());
    let note = feedback.note.as_deref().map(squeezed).unwrap_or_default();
    format!("{} (uid {}) {note}", paint(STRONG, &head), feedback.client_uid).trim_end().to_owned()
}

/// The stored judgment in the form in which it was answered.
fn explained(row: &JudgmentRow, details: Option<&Details>) -> Row {
    let details = details.cloned().unwrap_or_default();
    let details = Details { item_id: row.item_id.clone(), ..details };
    let answer = Answer { judged: judged(row), details };
    let label = super::history::name(row);
    Row { label, outcome: Outcome::Judged(Box::new(answer)) }
}

fn judged(row: &JudgmentRow) -> Judged {
    Judged {
        task: row.task,
        judgment: row.judgment.clone(),
        // It is read from the store: whatever was asked for, this is what it has reached.
        reached: Ack::Stored,
        attempts: row.attempts,
        worker: row.worker,
        timings: row.timings,
    }
}

/// Everything stored of one task as a line of JSON: the judgment as `judge --json` gives it, and the rest.
///
/// # Errors
/// As [`json::line`].
pub fn json_line(task: TaskId, row: &ShowRow) -> anyhow::Result<String> {
    let judged = row.judgment.as_deref().map(judged);
    let mut details = row.details.as_deref().cloned().unwrap_or_default();
    if let Some(judgment) = &row.judgment {
        details.item_id.clone_from(&judgment.item_id);
    }
    let label = row.judgment.as_ref().map(|row| row.summary.as_str()).unwrap_or_default();
    json::line(&View {
        task_id: task,
        time: row.judgment.as_ref().map(|row| iso(row.judged_at_us)),
        calibration: row.judgment.as_ref().map(|row| row.calibration),
        judgment: judged.as_ref().map(|judged| JudgedView::new(label, judged, &details)),
        failures: row.failures.iter().map(FailureView::new).collect(),
        feedback: row.feedback.as_ref(),
        content: row.content.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
    })
}

#[derive(serde::Serialize)]
struct View<'a> {
    task_id: TaskId,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calibration: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    judgment: Option<JudgedView<'a>>,
    failures: Vec<FailureView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback: Option<&'a FeedbackRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}
