//! Items in quarantine and what comes of them when they are run alone: tables and notes for people, JSON for
//! programs. Texts of a dead worker are untrusted.

use cynic_proto::error::Death;
use cynic_proto::ids::TaskId;
use cynic_proto::judgment::Judgment;
use cynic_proto::model::{Dimension, Stage, Verdict};
use cynic_proto::quarantine::{ItemKey, QuarantineRecord, ReplayOutcome, Replayed};
use jiff::tz::TimeZone;

use super::history::{TASK_WIDTH, iso, timestamp};
use super::json;
use super::judged::coverage;
use super::style::{self, BAD, FAINT, STRONG, WHOLE, paint};
use super::table::{Cell, Column, Table};
use crate::text::{bytes, counted, micros, printable, squeezed, wrap};

/// The table of records, newest first.
pub fn listing(records: &[QuarantineRecord], columns: usize, zone: &TimeZone) -> String {
    if records.is_empty() {
        return "nothing is in quarantine\n".to_owned();
    }
    let row = |record: &QuarantineRecord| -> Vec<Cell> {
        vec![
            at(record.at_us, zone, "%m-%d %H:%M").into(),
            bytes(record.bytes).into(),
            record.hits.to_string().into(),
            record.deaths.last().map_or_else(|| "-".to_owned(), brief).into(),
            Cell::new(record.task.to_string(), FAINT),
        ]
    };
    let rows: Vec<Vec<Cell>> = records.iter().map(row).collect();
    let mut fields = vec![
        Column::left("TIME").at_least(11),
        Column::right("SIZE").at_least(8),
        Column::right("HITS"),
    ];
    let used: usize = fields.iter().map(|field| field.width + 2).sum();
    let died_of = Column::left("DIED OF");
    // Whole: it is what the other commands take.
    let task = Column::left("TASK").at_least(TASK_WIDTH);
    if columns == WHOLE {
        fields.extend([died_of, task]);
        return Table::fitted(fields, &rows, WHOLE).render(&rows);
    }
    let room = columns.saturating_sub(used + TASK_WIDTH + 2).max(12);
    fields.extend([died_of.at_least(room), task]);
    Table::fixed(fields, columns).render(&rows)
}

/// What a worker died of, in a few words, the most telling first: `VIGILANCE: signal 11 (SIGSEGV)`.
fn brief(death: &Death) -> String {
    let cause = squeezed(&death.cause.to_string());
    match (death.dimension, death.stage) {
        (Some(dimension), _) => format!("{dimension}: {cause}"),
        (None, Some(stage)) => format!("{stage}: {cause}"),
        (None, None) => cause,
    }
}

fn at(us: i64, zone: &TimeZone, format: &str) -> String {
    timestamp(us).to_zoned(zone.clone()).strftime(format).to_string()
}

/// Everything that is known of one record.
pub fn note(record: &QuarantineRecord, columns: usize, zone: &TimeZone) -> String {
    let when = at(record.at_us, zone, "%Y-%m-%d %H:%M:%S %Z");
    let mut lines = vec![
        paint(BAD, &format!("quarantined {when}")),
        format!("  task      {}", record.task),
        format!("  sha256    {}", record.key),
        format!("  size      {}", bytes(record.bytes)),
        format!("  kept      {}", if record.kept { "yes" } else { "no, only its hash" }),
        format!("  sent by   uid {}", record.client_uid),
        format!("  judge     version {}, {}", record.judge_version, printable(&record.build)),
        format!("  attempts  {}", record.attempts),
        format!("  since     answered at once {}", counted(record.hits, "time")),
    ];
    let hint = &record.hint;
    let hints = [("type", &hint.item_type), ("name", &hint.name), ("profile", &hint.profile)];
    for (what, text) in hints {
        if let Some(text) = text {
            lines.push(format!("  {what:<8}  {}", squeezed(text)));
        }
    }
    for (n, death) in record.deaths.iter().enumerate() {
        lines.push(paint(STRONG, &format!("death {}", n + 1)));
        lines.extend(told(death, columns));
    }
    lines.join("\n") + "\n"
}

/// A death and the worker's last words.
fn told(death: &Death, columns: usize) -> Vec<String> {
    let width = columns.saturating_sub(4);
    let indented = |text: &str| -> Vec<String> {
        wrap(text, width).into_iter().map(|line| format!("  {line}")).collect()
    };
    let mut lines = indented(&printable(&death.to_string()));
    for line in death.stderr_tail.lines().filter(|line| !line.trim().is_empty()) {
        let said = wrap(&printable(line), width);
        lines.extend(said.into_iter().map(|line| paint(FAINT, &format!("  | {line}"))));
    }
    lines
}

/// What came of a replay.
pub fn replayed(replayed: &Replayed, columns: usize) -> String {
    let took = micros(replayed.running_us as f64);
    let mut lines = Vec::new();
    match &replayed.outcome {
        ReplayOutcome::Judged(judgment, fallbacks) => {
            let verdict = paint(style::of(judgment.verdict), judgment.verdict.name());
            let scores = format!(
                "Q {:.1}, confidence {:.3}, {} dimensions",
                judgment.q_score,
                judgment.confidence,
                coverage(judgment)
            );
            lines.push(format!("judged in {took}: {verdict}, {scores}"));
            let reason = |f: &cynic_proto::judgment::Fallback| {
                squeezed(&format!("{}: {}", f.dimension, json::fallback_reason(&f.reason)))
            };
            lines.extend(fallbacks.iter().map(|f| format!("  {}", reason(f))));
            lines.push(
                "the record stays: `cynicctl quarantine retry` judges and forgets it".to_owned(),
            );
        }
        ReplayOutcome::Rejected(error) => {
            lines.push(format!("rejected in {took}: {}", squeezed(&error.message)));
        }
        ReplayOutcome::Died(death) => {
            lines.push(paint(BAD, &format!("the worker died after {took}")));
            lines.extend(told(death, columns));
        }
    }
    lines.join("\n") + "\n"
}

/// A record as a line of JSON.
///
/// # Errors
/// As [`json::line`].
pub fn json_line(record: &QuarantineRecord) -> anyhow::Result<String> {
    let hint = &record.hint;
    json::line(&RecordView {
        task_id: record.task,
        time: iso(record.at_us),
        sha256: record.key,
        bytes: record.bytes,
        kept: record.kept,
        item_type: hint.item_type.as_deref(),
        name: hint.name.as_deref(),
        profile: hint.profile.as_deref(),
        attempts: record.attempts,
        uid: record.client_uid,
        judge_version: record.judge_version,
        build: &record.build,
        hits: record.hits,
        deaths: record.deaths.iter().map(DeathView::new).collect(),
    })
}

#[derive(serde::Serialize)]
struct RecordView<'a> {
    task_id: TaskId,
    time: String,
    sha256: ItemKey,
    bytes: u64,
    kept: bool,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    item_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    attempts: u8,
    uid: u32,
    judge_version: u32,
    build: &'a str,
    hits: u64,
    deaths: Vec<DeathView<'a>>,
}

/// A worker's death as programs see it.
#[derive(Debug, serde::Serialize)]
pub struct DeathView<'a> {
    kind: &'static str,
    cause: String,
    worker: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimension: Option<Dimension>,
    stderr: &'a str,
}

impl<'a> DeathView<'a> {
    /// The view of a death.
    pub fn new(death: &'a Death) -> DeathView<'a> {
        DeathView {
            kind: death.cause.name(),
            cause: death.cause.to_string(),
            worker: death.worker.to_string(),
            task_id: death.task,
            stage: death.stage,
            dimension: death.dimension,
            stderr: &death.stderr_tail,
        }
    }
}

/// What came of a replay, as programs see it.
#[derive(Debug, serde::Serialize)]
pub struct ReplayView<'a> {
    task_id: TaskId,
    outcome: &'static str,
    running_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    q_score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    death: Option<DeathView<'a>>,
}

impl<'a> ReplayView<'a> {
    /// The view of what came of a replay.
    pub fn new(replayed: &'a Replayed) -> ReplayView<'a> {
        let (outcome, judgment, message, death): (_, Option<&Judgment>, _, _) =
            match &replayed.outcome {
                ReplayOutcome::Judged(judgment, _) => ("judged", Some(&**judgment), None, None),
                ReplayOutcome::Rejected(error) => {
                    ("rejected", None, Some(error.message.as_str()), None)
                }
                ReplayOutcome::Died(death) => ("died", None, None, Some(DeathView::new(death))),
            };
        ReplayView {
            task_id: replayed.task,
            outcome,
            running_us: replayed.running_us,
            verdict: judgment.map(|judgment| judgment.verdict),
            q_score: judgment.map(|judgment| judgment.q_score),
            coverage: judgment.map(coverage),
            message,
            death,
        }
    }
}
