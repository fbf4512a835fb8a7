//! The evaluation: judged items in, all figures out.
//!
//! Keeps a few numbers of each item and the details of the worst mistakes only, so that a million items
//! can be evaluated. A failure to judge is counted as one and never as a verdict.

use std::collections::BTreeMap;

use cynic_proto::judgment::{Details, Judgment};
use cynic_proto::model::{DIMENSIONS, Dimension, Domain, Verdict};
use serde::Serialize;

use crate::dataset::Label;
use crate::metrics::auc::{Auc, RocPoint, auc, roc, within_length};
use crate::metrics::confidence::{Bin, Halves, bins, halves};
use crate::metrics::dimensions::{Diversity, JUDGED_DIMENSIONS, Profile, diversity};
use crate::metrics::share;
use crate::metrics::spread::{HISTOGRAM_BARS, Spread, histogram, spread};

/// Mistakes kept for each set and label: enough to see a pattern, few enough to read.
pub const MISTAKES_KEPT: usize = 5;

/// Characters of a mistaken item that are kept for the report.
const EXCERPT_CHARS: usize = 600;

/// Points of a ROC curve that are kept: more cannot be seen in a picture.
const ROC_POINTS: usize = 200;

/// Bins of the reliability figures.
const RELIABILITY_BINS: usize = 10;

/// What the figures over all items are called.
pub const POOLED: &str = "pooled";

/// An item that was judged.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The set that it is reported with.
    pub set: String,
    /// What names it.
    pub id: String,
    /// What a person said of it.
    pub label: Label,
    /// Length of the body in characters.
    pub length: usize,
    /// The body or its beginning; untrusted.
    pub text: String,
    /// What the judge said; must be valid ([`Judgment::validate`]).
    pub judgment: Judgment,
    /// Why.
    pub details: Details,
}

/// A pair whose texts were judged.
#[derive(Debug, Clone)]
pub struct JudgedPair {
    /// The set that it is reported with.
    pub set: String,
    /// Q of the better text.
    pub better_q: f32,
    /// Q of the worse text.
    pub worse_q: f32,
}

/// An item that could not be judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// The set that it is reported with.
    pub set: String,
    /// What names it.
    pub id: String,
    /// Why it has no judgment.
    pub error: String,
}

/// An item on which judge and label disagree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mistake {
    /// The set that it is reported with.
    pub set: String,
    /// What names it.
    pub id: String,
    /// What a person said of it.
    pub label: Label,
    /// The beginning of its body; untrusted.
    pub text: String,
    /// What the judge said.
    pub judgment: Judgment,
    /// Why.
    pub details: Details,
}

/// How many items of one label got each verdict, best first. In JSON an object by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdicts(pub [usize; Verdict::ALL.len()]);

impl Serialize for Verdicts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Verdict::ALL.iter().map(|verdict| verdict.name()).zip(self.0))
    }
}

impl Verdicts {
    /// All items.
    pub fn total(&self) -> usize {
        self.0.iter().sum()
    }

    /// Items at GROWL or below.
    pub fn flagged(&self) -> usize {
        self.0[Verdict::Growl as usize] + self.0[Verdict::Bark as usize]
    }

    /// Share of the items at GROWL or below, 0 to 1; `None` without items.
    pub fn flagged_share(&self) -> Option<f64> {
        share(self.flagged(), self.total())
    }
}

/// The figures of one set, or of all items together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetFigures {
    /// The set's name, or [`POOLED`].
    pub set: String,
    /// Judged items.
    pub items: usize,
    /// Judged items labelled good.
    pub good: usize,
    /// Judged items labelled bad.
    pub bad: usize,
    /// Items without a judgment.
    pub failures: usize,
    /// How well Q ranks good above bad; `None` unless both labels are there.
    pub auc: Option<Auc>,
    /// The same within fifths of length.
    pub auc_within_length: Option<f64>,
    /// What length alone reaches: longer counts as better.
    pub auc_of_length: Option<f64>,
    /// Verdicts of the good items.
    pub verdicts_of_good: Verdicts,
    /// Verdicts of the bad items.
    pub verdicts_of_bad: Verdicts,
    /// Share of good items at GROWL or below.
    pub good_flagged: Option<f64>,
    /// Share of bad items at GROWL or below.
    pub bad_flagged: Option<f64>,
    /// Q.
    pub q: Option<Spread>,
    /// Confidence, 0 to φ⁻¹.
    pub confidence: Option<Spread>,
    /// Share judged right, by half of confidence.
    pub halves: Option<Halves>,
    /// Share judged right, by confidence.
    pub right_by_confidence: Vec<Bin>,
    /// Share good, by Q.
    pub good_by_q: Vec<Bin>,
    /// Mean of how many of the 36 dimensions were scored.
    pub coverage: Option<f64>,
    /// How many items were judged in each domain.
    pub domains: BTreeMap<&'static str, usize>,
    /// Good items by Q, in bars of five points.
    pub histogram_of_good: [usize; HISTOGRAM_BARS],
    /// Bad items by Q, in bars of five points.
    pub histogram_of_bad: [usize; HISTOGRAM_BARS],
    /// The ROC curve.
    pub roc: Vec<RocPoint>,
}

/// The figures of one set of pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairFigures {
    /// The set's name.
    pub set: String,
    /// Judged pairs.
    pub pairs: usize,
    /// Share in which the better text has the higher Q, a tie counting one half.
    pub accuracy: f64,
}

/// Everything that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// What the reader must know to read the figures: how they were made, what is missing and why.
    pub notes: Vec<String>,
    /// Versions of the judge that answered; more than one means that it changed under way.
    pub judge_versions: Vec<u32>,
    /// All items together.
    pub pooled: SetFigures,
    /// Mean of the sets' areas; `None` where no set has both labels.
    pub mean_auc: Option<f64>,
    /// Each set, by name.
    pub sets: Vec<SetFigures>,
    /// Each set of pairs, by name.
    pub pairs: Vec<PairFigures>,
    /// How the dimensions differ, over all items.
    pub dimensions: Diversity,
    /// What each dimension does, over all items.
    pub profiles: Vec<Profile>,
    /// Items without a judgment.
    pub failures: Vec<Failure>,
    /// The worst mistakes of each set: bad items that passed, good items that did not.
    pub mistakes: Vec<Mistake>,
}

/// Takes judged items one by one.
#[derive(Debug, Default)]
pub struct Collector {
    sets: BTreeMap<String, Vec<Row>>,
    pairs: BTreeMap<String, (usize, f64)>,
    failures: Vec<Failure>,
    mistakes: BTreeMap<(String, Label), Vec<Mistake>>,
    versions: Vec<u32>,
    notes: Vec<String>,
}

/// What is kept of each item.
#[derive(Debug, Clone)]
struct Row {
    label: Label,
    length: usize,
    q: f32,
    verdict: Verdict,
    confidence: f32,
    covered: u32,
    domain: Domain,
    dimensions: [f32; DIMENSIONS],
}

impl Row {
    fn passed(&self) -> bool {
        matches!(self.verdict, Verdict::Howl | Verdict::Wag)
    }

    fn right(&self) -> bool {
        self.passed() == (self.label == Label::Good)
    }
}

impl From<Vec<Judged>> for Evaluation {
    fn from(judged: Vec<Judged>) -> Evaluation {
        let mut collector = Collector::default();
        for item in judged {
            collector.push(item);
        }
        collector.finish()
    }
}

impl Collector {
    /// Adds a judged item.
    pub fn push(&mut self, item: Judged) {
        let judgment = &item.judgment;
        let row = Row {
            label: item.label,
            length: item.length,
            q: judgment.q_score,
            verdict: judgment.verdict,
            confidence: judgment.confidence,
            covered: judgment.covered(),
            domain: judgment.domain,
            dimensions: judgment.dimensions,
        };
        if !self.versions.contains(&judgment.judge_version) {
            self.versions.push(judgment.judge_version);
        }
        let right = row.right();
        self.sets.entry(item.set.clone()).or_default().push(row);
        if !right {
            self.keep_if_among_the_worst(item);
        }
    }

    /// Adds a judged pair.
    pub fn push_pair(&mut self, pair: &JudgedPair) {
        let won = match pair.better_q.total_cmp(&pair.worse_q) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        };
        let (pairs, sum) = self.pairs.entry(pair.set.clone()).or_default();
        *pairs += 1;
        *sum += won;
    }

    /// Adds an item that could not be judged.
    pub fn push_failure(&mut self, failure: Failure) {
        self.failures.push(failure);
    }

    /// Adds something that the reader of the figures must know.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// All figures.
    pub fn finish(mut self) -> Evaluation {
        for failure in &self.failures {
            self.sets.entry(failure.set.clone()).or_default();
        }
        let failed_in = |set: &str| self.failures.iter().filter(|f| f.set == set).count();
        let sets: Vec<SetFigures> =
            self.sets.iter().map(|(name, rows)| figures(name, rows, failed_in(name))).collect();
        let all: Vec<Row> = self.sets.into_values().flatten().collect();
        let areas: Vec<f64> = sets.iter().filter_map(|s| s.auc).map(|a| a.value).collect();
        let mut notes = self.notes;
        notes.extend(sets.iter().filter_map(note_of));
        self.versions.sort_unstable();
        let scores: Vec<_> = all.iter().map(|row| row.dimensions).collect();
        Evaluation {
            notes,
            judge_versions: self.versions,
            pooled: figures(POOLED, &all, self.failures.len()),
            mean_auc: spread(areas.iter().copied()).map(|s| s.mean),
            sets,
            pairs: self
                .pairs
                .into_iter()
                .map(|(set, (pairs, won))| PairFigures { set, pairs, accuracy: won / pairs as f64 })
                .collect(),
            dimensions: diversity(&scores),
            profiles: (0..JUDGED_DIMENSIONS)
                .filter_map(|d| profile(&all, Dimension::ALL[d]))
                .collect(),
            failures: self.failures,
            mistakes: self.mistakes.into_values().flatten().collect(),
        }
    }

    fn keep_if_among_the_worst(&mut self, item: Judged) {
        let distance = |m: &Mistake| (m.judgment.q_score - 50.0).abs();
        let kept = self.mistakes.entry((item.set.clone(), item.label)).or_default();
        let Judged { set, id, label, text, judgment, details, .. } = item;
        let text = text.chars().take(EXCERPT_CHARS).collect();
        let mistake = Mistake { set, id, label, text, judgment, details };
        let place = kept.partition_point(|m| distance(m) >= distance(&mistake));
        if place < MISTAKES_KEPT {
            kept.insert(place, mistake);
            kept.truncate(MISTAKES_KEPT);
        }
    }
}

/// Why figures of a set are missing, where they are.
fn note_of(set: &SetFigures) -> Option<String> {
    let missing = match (set.good, set.bad) {
        (0, 0) => "no item could be judged".to_owned(),
        (_, 0) => {
            "only good items: areas and the bad share need items labelled 0 as well".to_owned()
        }
        (0, _) => {
            "only bad items: areas and the good share need items labelled 1 as well".to_owned()
        }
        _ if set.failures > 0 => {
            format!("{} items could not be judged and are in no figure", set.failures)
        }
        _ => return None,
    };
    Some(format!("{}: {missing}", set.set))
}

fn figures(set: &str, rows: &[Row], failures: usize) -> SetFigures {
    let of = |label: Label| rows.iter().filter(move |row| row.label == label);
    let verdicts = |label: Label| {
        let mut counts = Verdicts::default();
        of(label).for_each(|row| counts.0[row.verdict as usize] += 1);
        counts
    };
    let scored: Vec<_> = rows.iter().map(|row| (f64::from(row.q), row.label)).collect();
    let by_length: Vec<_> =
        rows.iter().map(|row| (row.length, f64::from(row.q), row.label)).collect();
    let lengths: Vec<_> = rows.iter().map(|row| (row.length as f64, row.label)).collect();
    let sure: Vec<_> = rows.iter().map(|row| (f64::from(row.confidence), row.right())).collect();
    let good: Vec<_> =
        rows.iter().map(|row| (f64::from(row.q), row.label == Label::Good)).collect();
    let mut domains = BTreeMap::new();
    for row in rows {
        *domains.entry(row.domain.name()).or_default() += 1;
    }
    let (verdicts_of_good, verdicts_of_bad) = (verdicts(Label::Good), verdicts(Label::Bad));
    SetFigures {
        set: set.to_owned(),
        items: rows.len(),
        good: verdicts_of_good.total(),
        bad: verdicts_of_bad.total(),
        failures,
        auc: auc(&scored),
        auc_within_length: within_length(&by_length),
        auc_of_length: auc(&lengths).map(|a| a.value),
        verdicts_of_good,
        verdicts_of_bad,
        good_flagged: verdicts_of_good.flagged_share(),
        bad_flagged: verdicts_of_bad.flagged_share(),
        q: spread(rows.iter().map(|row| f64::from(row.q))),
        confidence: spread(rows.iter().map(|row| f64::from(row.confidence))),
        halves: halves(&sure),
        right_by_confidence: bins(&sure, RELIABILITY_BINS),
        good_by_q: bins(&good, RELIABILITY_BINS),
        coverage: spread(rows.iter().map(|row| f64::from(row.covered))).map(|s| s.mean),
        domains,
        histogram_of_good: histogram(of(Label::Good).map(|row| f64::from(row.q))),
        histogram_of_bad: histogram(of(Label::Bad).map(|row| f64::from(row.q))),
        roc: roc(&scored, ROC_POINTS),
    }
}

fn profile(rows: &[Row], dimension: Dimension) -> Option<Profile> {
    let score = |row: &Row| f64::from(row.dimensions[dimension as usize]);
    let Spread { mean, std } = spread(rows.iter().map(score))?;
    let scored: Vec<_> = rows.iter().map(|row| (score(row), row.label)).collect();
    Some(Profile { dimension, mean, std, auc: auc(&scored).map(|a| a.value) })
}

#[cfg(test)]
pub(crate) mod tests;
