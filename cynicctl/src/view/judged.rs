//! What came of each item, and the table of it for people.

use anstyle::Style;
use cynic_proto::client::Answer;
use cynic_proto::error::Death;
use cynic_proto::ids::TaskId;
use cynic_proto::judgment::Judgment;
use cynic_proto::model::{DIMENSIONS, Verdict};

use super::influence::{self, Influence};
use super::style::{self, BAD, FAINT, PLAIN};
use super::table::{Align, Cell, Column, Table};
use crate::text::{counted, printable, squeezed, wrap};

/// One item and what came of it.
#[derive(Debug)]
pub struct Row {
    /// Where the item comes from.
    pub label: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an item.
#[derive(Debug)]
pub enum Outcome {
    /// It was judged.
    Judged(Box<Answer>),
    /// It passed through unjudged, under the `null` profile.
    Echoed(TaskId),
    /// It was not judged.
    Failed(Failure),
}

/// Why an item was not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The item's own id, where it could be read.
    pub item_id: Option<String>,
    /// The task, if it came to one.
    pub task: Option<TaskId>,
    /// What happened, for programs.
    pub kind: &'static str,
    /// What happened and what to do, for people.
    pub message: String,
    /// The cause, where the kind has several.
    pub cause: Option<String>,
    /// The workers that died over it, first to last.
    pub deaths: Vec<Death>,
}

/// `35/36`.
pub fn coverage(judgment: &Judgment) -> String {
    format!("{}/{DIMENSIONS}", judgment.covered())
}

/// The table of judgments: fixed widths, so that rows appear as they are judged.
#[derive(Debug)]
pub struct Judgments {
    table: Table,
    columns: usize,
}

/// Widest and narrowest that the first column gets.
const ITEM_WIDTH: std::ops::RangeInclusive<usize> = 16..=40;

/// The heading is wider than any verdict.
const VERDICT_WIDTH: usize = 7;

impl Judgments {
    /// A layout for that many terminal columns.
    pub fn new(columns: usize) -> Judgments {
        let item = item_width(columns);
        let mut fields = vec![
            Column { title: "ITEM", align: Align::Path, width: item },
            Column::left("VERDICT").at_least(VERDICT_WIDTH),
            Column::right("Q").at_least(5),
            Column::right("CONF").at_least(5),
            Column::left("WEAKEST").at_least(8),
            Column::left("STRONGEST EVIDENCE"),
        ];
        let used: usize = fields.iter().take(5).map(|field| field.width + 2).sum();
        fields[5].width = columns.saturating_sub(used).max(12);
        Judgments { table: Table::fixed(fields, columns), columns }
    }

    /// The headings, with a line end.
    pub fn header(&self) -> String {
        self.table.header() + "\n"
    }

    /// One row, with its line end; an error takes as many lines as its message needs.
    pub fn row(&self, row: &Row) -> String {
        match &row.outcome {
            Outcome::Judged(answer) => {
                let label = answer.details.item_id.as_deref().unwrap_or(&row.label);
                self.judged(label, answer)
            }
            Outcome::Echoed(_) => self.table.line(&[row_name(&row.label), "echoed".into()]) + "\n",
            Outcome::Failed(failure) => {
                self.failed(failure.item_id.as_deref().unwrap_or(&row.label), failure)
            }
        }
    }

    fn judged(&self, label: &str, answer: &Answer) -> String {
        let judgment = &answer.judged.judgment;
        let ranked = influence::ranked(judgment, &answer.details);
        let strongest = influence::strongest(judgment, &ranked);
        let cells = [
            row_name(label),
            Cell::new(judgment.verdict.name(), style::of(judgment.verdict)),
            Cell::new(format!("{:.1}", judgment.q_score), PLAIN),
            Cell::new(format!("{:.3}", judgment.confidence), FAINT),
            judgment.weakest_axiom().name().into(),
            strongest
                .map_or_else(|| Cell::new("none", FAINT), evidence_cell)
                .behind(&incomplete(judgment)),
        ];
        self.table.line(&cells) + "\n"
    }

    fn failed(&self, label: &str, failure: &Failure) -> String {
        let head = self.table.line(&[row_name(label), Cell::new("error", BAD)]);
        // The message stands under the columns that an error leaves empty.
        let indent = item_width(self.columns) + VERDICT_WIDTH + 4;
        let lines = wrap(&squeezed(&failure.message), self.columns.saturating_sub(indent));
        let mut out = head;
        for (n, line) in lines.iter().enumerate() {
            let blanks = if n == 0 { " ".repeat(4) } else { format!("\n{}", " ".repeat(indent)) };
            out.push_str(&blanks);
            out.push_str(line);
        }
        out + "\n"
    }
}

/// What a judgment lacks, in front of its evidence: `partial 12/36`, `35/36`, or nothing.
fn incomplete(judgment: &Judgment) -> String {
    match (judgment.partial, judgment.covered() as usize) {
        (true, _) => format!("partial {}: ", coverage(judgment)),
        (false, DIMENSIONS) => String::new(),
        (false, _) => format!("{}: ", coverage(judgment)),
    }
}

fn item_width(columns: usize) -> usize {
    (columns / 4).clamp(*ITEM_WIDTH.start(), *ITEM_WIDTH.end())
}

fn row_name(label: &str) -> Cell {
    Cell::new(printable(label), PLAIN)
}

fn evidence_cell(influence: &Influence<'_>) -> Cell {
    let (sign, style) = signed(influence.effect);
    Cell::new(format!("{sign} {}", described(influence)), style)
}

/// A piece of evidence in one line: `link.shortened “bit.ly/x”`, or the judge's own words.
pub fn described(influence: &Influence<'_>) -> String {
    let code = squeezed(influence.code);
    match influence.text.map(squeezed) {
        Some(text) if text.is_empty() => code,
        Some(text) if influence.quoted => format!("{code} “{text}”"),
        Some(text) => text.strip_prefix("as a whole: ").map_or(text.clone(), str::to_owned),
        None => code,
    }
}

/// The sign of an effect and its colour.
pub fn signed(effect: f64) -> (char, Style) {
    if effect < 0.0 { ('−', BAD) } else { ('+', style::GOOD) }
}

/// How many items came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// By verdict, best first.
    pub verdicts: [u64; Verdict::ALL.len()],
    /// Echoed without judgment.
    pub echoed: u64,
    /// Not judged.
    pub failed: u64,
    /// Of those, because the daemon could not judge anything then.
    pub unavailable: u64,
}

impl Tally {
    /// Whether there was nothing to count.
    pub fn is_empty(&self) -> bool {
        self.verdicts.iter().sum::<u64>() + self.echoed + self.failed == 0
    }

    /// Counts one row.
    pub fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Judged(answer) => {
                self.verdicts[answer.judged.judgment.verdict as usize] += 1;
            }
            Outcome::Echoed(_) => self.echoed += 1,
            Outcome::Failed(failure) => {
                self.failed += 1;
                let cannot = matches!(
                    failure.kind,
                    "busy"
                        | "unavailable"
                        | "queue_timeout"
                        | "shutting_down"
                        | "storage_unavailable"
                );
                self.unavailable += u64::from(cannot);
            }
        }
    }

    /// All rows.
    pub fn items(&self) -> u64 {
        self.verdicts.iter().sum::<u64>() + self.echoed + self.failed
    }

    /// How many were judged that bad or worse.
    pub fn at_or_below(&self, verdict: Verdict) -> u64 {
        self.verdicts[verdict as usize..].iter().sum()
    }

    /// `25 items: 3 HOWL, 12 WAG, 4 GROWL, 5 BARK, 1 not judged`.
    pub fn line(&self) -> String {
        let verdicts = Verdict::ALL.into_iter().map(|verdict| {
            let n = self.verdicts[verdict as usize];
            (n, style::paint(style::of(verdict), &format!("{n} {verdict}")))
        });
        let others = [
            (self.echoed, format!("{} echoed", self.echoed)),
            (self.failed, style::paint(BAD, &format!("{} not judged", self.failed))),
        ];
        let parts: Vec<String> =
            verdicts.chain(others).filter(|(n, _)| *n > 0).map(|(_, text)| text).collect();
        if parts.is_empty() {
            return counted(0, "item");
        }
        format!("{}: {}", counted(self.items(), "item"), parts.join(", "))
    }
}
