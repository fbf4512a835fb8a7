//! The JSON form of a judgment, for programs: one object a line, in a shape that does not change.
//!
//! Owns names and order of the keys. Text from items is escaped so that even a terminal can show it.

use std::io;

use anyhow::{Context as _, Result};
use cynic_proto::ids::TaskId;
use cynic_proto::judgment::{Details, Evidence, FallbackReason, FinalScore, Judgment};
use cynic_proto::message::{Ack, Judged, Timings};
use cynic_proto::model::{Axiom, Dimension, Domain, Verdict};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::{CompactFormatter, Formatter};

use super::judged::{Failure, Outcome, Row};
use super::quarantine::DeathView;
use crate::text::acts_on_terminal;

/// The line for a row.
///
/// # Errors
/// As [`line()`].
pub fn row(row: &Row) -> Result<String> {
    match &row.outcome {
        Outcome::Judged(answer) => {
            line(&JudgedView::new(&row.label, &answer.judged, &answer.details))
        }
        Outcome::Echoed(task) => line(&EchoedView { id: &row.label, task_id: *task, echoed: true }),
        Outcome::Failed(failure) => line(&FailedView::new(&row.label, failure)),
    }
}

/// Any value as one line of JSON that is safe to show, with its line end.
///
/// # Errors
/// The value cannot be written as JSON, which those of this program can.
pub fn line<T: Serialize>(value: &T) -> Result<String> {
    let mut out = Vec::with_capacity(1024);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Escaping);
    value.serialize(&mut serializer).context("could not write JSON")?;
    out.push(b'\n');
    Ok(String::from_utf8(out)?)
}

/// A judgment as programs see it.
#[derive(Debug, serde::Serialize)]
pub struct JudgedView<'a> {
    id: &'a str,
    task_id: TaskId,
    q_score: f32,
    verdict: Verdict,
    confidence: f32,
    coverage: String,
    domain: Domain,
    axioms: Axioms<'a>,
    dimensions: Dimensions<'a>,
    weaknesses: Vec<Dimension>,
    stored: bool,
    timings_us: TimingsView,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#final: Option<FinalScore>,
    #[serde(skip_serializing_if = "is_one")]
    attempts: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_one(attempts: &u8) -> bool {
    *attempts == 1
}

impl<'a> JudgedView<'a> {
    /// The view of a judgment; `label` names an item that has no id of its own.
    pub fn new(label: &'a str, judged: &'a Judged, details: &'a Details) -> JudgedView<'a> {
        let judgment = &judged.judgment;
        JudgedView {
            id: details.item_id.as_deref().unwrap_or(label),
            task_id: judged.task,
            q_score: judgment.q_score,
            verdict: judgment.verdict,
            confidence: judgment.confidence,
            coverage: super::judged::coverage(judgment),
            domain: judgment.domain,
            axioms: Axioms(judgment),
            dimensions: Dimensions { judgment, details },
            weaknesses: judgment.weaknesses(),
            stored: judged.reached == Ack::Stored,
            timings_us: TimingsView::new(judged.timings),
            partial: judgment.partial,
            r#final: judgment.final_score,
            attempts: judged.attempts,
        }
    }
}

#[derive(Debug, serde::Serialize)]
struct EchoedView<'a> {
    id: &'a str,
    task_id: TaskId,
    echoed: bool,
}

#[derive(Debug, serde::Serialize)]
struct FailedView<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<TaskId>,
    error: ErrorView<'a>,
}

#[derive(Debug, serde::Serialize)]
struct ErrorView<'a> {
    kind: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deaths: Vec<DeathView<'a>>,
}

impl<'a> FailedView<'a> {
    fn new(label: &'a str, failure: &'a Failure) -> FailedView<'a> {
        FailedView {
            id: failure.item_id.as_deref().unwrap_or(label),
            task_id: failure.task,
            error: ErrorView {
                kind: failure.kind,
                message: &failure.message,
                cause: failure.cause.as_deref(),
                deaths: failure.deaths.iter().map(DeathView::new).collect(),
            },
        }
    }
}

/// Axiom by name.
#[derive(Debug)]
struct Axioms<'a>(&'a Judgment);

impl Serialize for Axioms<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Axiom::ALL.into_iter().zip(self.0.axioms))
    }
}

/// Dimension by name, each with its evidence.
#[derive(Debug)]
struct Dimensions<'a> {
    judgment: &'a Judgment,
    details: &'a Details,
}

impl Serialize for Dimensions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Dimension::ALL.len()))?;
        for dimension in Dimension::ALL {
            map.serialize_entry(&dimension, &self.view(dimension))?;
        }
        map.end()
    }
}

impl<'a> Dimensions<'a> {
    fn view(&self, dimension: Dimension) -> DimensionView<'a> {
        let reason = self.details.fallbacks.iter().find(|f| f.dimension == dimension);
        let fallback = self.judgment.fell_back(dimension).then(|| match reason {
            Some(fallback) => fallback_reason(&fallback.reason),
            None => "unknown".to_owned(),
        });
        let evidence = self.details.evidence.iter().filter(|e| e.dimension == dimension);
        DimensionView {
            score: self.judgment.dimension(dimension),
            fallback,
            evidence: evidence.map(EvidenceView::new).collect(),
        }
    }
}

/// Why a dimension was not judged, in one line.
pub fn fallback_reason(reason: &FallbackReason) -> String {
    match reason {
        FallbackReason::Panicked(message) => format!("panicked: {message}"),
        FallbackReason::Failed(message) => format!("failed: {message}"),
        FallbackReason::Overran => "overran its budget".to_owned(),
        FallbackReason::OutOfTime => "out of time".to_owned(),
        FallbackReason::Skipped => "skipped after repeated failures".to_owned(),
    }
}

#[derive(Debug, serde::Serialize)]
struct DimensionView<'a> {
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<String>,
    evidence: Vec<EvidenceView<'a>>,
}

#[derive(Debug, serde::Serialize)]
struct EvidenceView<'a> {
    code: &'a str,
    points: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<(u64, u64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

impl<'a> EvidenceView<'a> {
    fn new(evidence: &'a Evidence) -> EvidenceView<'a> {
        EvidenceView {
            code: &evidence.code,
            points: evidence.points,
            span: evidence.span,
            text: evidence.text.as_deref(),
        }
    }
}

#[derive(Debug, serde::Serialize)]
struct TimingsView {
    queued: u32,
    running: u32,
    parse: u32,
    score: u32,
    aggregate: u32,
    verdict: u32,
}

impl TimingsView {
    fn new(timings: Timings) -> TimingsView {
        let [parse, score, aggregate, verdict] = timings.stages_us;
        let Timings { queued_us: queued, running_us: running, .. } = timings;
        TimingsView { queued, running, parse, score, aggregate, verdict }
    }
}

/// JSON in which characters that a terminal acts on are written as `\u` escapes: the same data, and safe
/// to look at.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| acts_on_terminal(*c)) {
            CompactFormatter.write_string_fragment(writer, &rest[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}
