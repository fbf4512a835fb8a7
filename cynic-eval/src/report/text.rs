//! The evaluation as a table for a terminal.

use std::fmt::Write as _;

use cynic_proto::model::{DIMENSIONS, Verdict};

use super::visible;
use crate::Evaluation;
use crate::dataset::Label;
use crate::evaluation::{Mistake, SetFigures, Verdicts};

/// Failures and mistakes are listed up to this many; the JSON and the page have all that were kept.
const LISTED_MAX: usize = 6;

/// Characters of a mistake's text that fit a line.
const EXCERPT_CHARS: usize = 90;

/// Characters of a set's name in a table.
const SET_CHARS: usize = 24;

pub(super) fn render(evaluation: &Evaluation) -> String {
    let mut out = String::new();
    head(&mut out, evaluation);
    out.push_str(&table(&ranking(evaluation)));
    out.push('\n');
    out.push_str(&table(&verdicts(evaluation)));
    out.push('\n');
    dimensions(&mut out, evaluation);
    failures(&mut out, evaluation);
    mistakes(&mut out, evaluation);
    out
}

fn head(out: &mut String, evaluation: &Evaluation) {
    let versions: Vec<String> = evaluation.judge_versions.iter().map(u32::to_string).collect();
    let pooled = &evaluation.pooled;
    let sets = if evaluation.sets.len() == 1 { "set" } else { "sets" };
    let items = if pooled.items == 1 { "item" } else { "items" };
    let _ = write!(
        out,
        "{} {items} judged ({} good, {} bad) in {} {sets}",
        pooled.items,
        pooled.good,
        pooled.bad,
        evaluation.sets.len(),
    );
    if !versions.is_empty() {
        let _ = write!(out, ", judge version {}", versions.join(" and "));
    }
    out.push('\n');
    for note in &evaluation.notes {
        let _ = writeln!(out, "note: {}", visible(note));
    }
    out.push('\n');
}

type Row = Vec<String>;

fn ranking(evaluation: &Evaluation) -> Vec<Row> {
    let heads = [
        "set",
        "n",
        "AUC of Q",
        "95% interval",
        "in length",
        "length only",
        "surer half right",
        "other half",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(each(evaluation).map(|set| {
        vec![
            name(set),
            set.items.to_string(),
            ratio(set.auc.map(|a| a.value)),
            set.auc
                .map_or_else(|| missing(set).into(), |a| format!("{:.3} to {:.3}", a.low, a.high)),
            ratio(set.auc_within_length),
            ratio(set.auc_of_length),
            percent(set.halves.map(|h| h.more_confident)),
            percent(set.halves.map(|h| h.less_confident)),
        ]
    }));
    if evaluation.sets.len() > 1 {
        let mut row = vec![String::new(); heads.len()];
        row[0] = "mean of sets".into();
        row[2] = ratio(evaluation.mean_auc);
        rows.push(row);
    }
    for pairs in &evaluation.pairs {
        let mut row = vec![String::new(); heads.len()];
        row[0] = visible(&pairs.set);
        row[1] = format!("{} pairs", pairs.pairs);
        row[2] = format!("{} of pairs right", percent(Some(pairs.accuracy)));
        rows.push(row);
    }
    rows
}

fn verdicts(evaluation: &Evaluation) -> Vec<Row> {
    let mut heads = vec!["set".to_owned(), "label".into(), "n".into()];
    heads.extend(Verdict::ALL.map(|v| v.name().to_owned()));
    heads.extend(["GROWL or below", "mean Q", "std", "confidence", "coverage"].map(str::to_owned));
    let mut rows = vec![heads];
    for set in each(evaluation) {
        let labels = [(Label::Good, &set.verdicts_of_good), (Label::Bad, &set.verdicts_of_bad)];
        for (n, (label, counts)) in labels.into_iter().filter(|l| l.1.total() > 0).enumerate() {
            let mut row = vec![name(set), label.name().to_owned(), counts.total().to_string()];
            row.extend(shares(counts));
            row.push(percent(counts.flagged_share()));
            row.extend([
                set.q.map_or_else(String::new, |q| format!("{:.1}", q.mean)),
                set.q.map_or_else(String::new, |q| format!("{:.1}", q.std)),
                set.confidence.map_or_else(String::new, |c| format!("{:.3}", c.mean)),
                set.coverage.map_or_else(String::new, |c| format!("{c:.1}/{DIMENSIONS}")),
            ]);
            if n > 0 {
                row[0].clear();
                row[8..].iter_mut().for_each(String::clear);
            }
            rows.push(row);
        }
    }
    rows
}

fn shares(counts: &Verdicts) -> impl Iterator<Item = String> {
    let total = counts.total();
    counts.0.into_iter().map(move |n| percent(crate::metrics::share(n, total)))
}

/// The sets, and all together where there is more than one.
fn each(evaluation: &Evaluation) -> impl Iterator<Item = &SetFigures> {
    let pooled = (evaluation.sets.len() > 1).then_some(&evaluation.pooled);
    evaluation.sets.iter().chain(pooled)
}

fn name(set: &SetFigures) -> String {
    visible(&set.set).chars().take(SET_CHARS).collect()
}

/// Why a set has no area.
fn missing(set: &SetFigures) -> &'static str {
    match (set.good, set.bad) {
        (0, 0) => "nothing judged",
        (_, 0) => "only good items",
        _ => "only bad items",
    }
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".into(), |v| format!("{v:.3}"))
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".into(), |v| format!("{:.1}%", v * 100.0))
}

fn dimensions(out: &mut String, evaluation: &Evaluation) {
    let diversity = &evaluation.dimensions;
    let amount = diversity.participation_ratio.map_or_else(|| "n/a".into(), |p| format!("{p:.1}"));
    let _ = writeln!(out, "dimensions: the 35 of Q amount to {amount} independent ones");
    for twins in diversity.twins.iter().take(LISTED_MAX) {
        let _ = writeln!(
            out,
            "  {} and {} are one function (r = {:.3})",
            twins.first, twins.second, twins.correlation
        );
    }
    for constant in diversity.constant.iter().take(LISTED_MAX) {
        let share = percent(Some(constant.share));
        let _ = writeln!(
            out,
            "  {} says {:.1} for {share} of the items",
            constant.dimension, constant.value
        );
    }
}

fn failures(out: &mut String, evaluation: &Evaluation) {
    let failures = &evaluation.failures;
    if failures.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nnot judged: {} items, which are in no figure above", failures.len());
    for failure in failures.iter().take(LISTED_MAX) {
        let (set, id, error) =
            (visible(&failure.set), visible(&failure.id), visible(&failure.error));
        let _ = writeln!(out, "  {set} {id}: {error}");
    }
    if failures.len() > LISTED_MAX {
        let _ = writeln!(out, "  … and {} more", failures.len() - LISTED_MAX);
    }
}

fn mistakes(out: &mut String, evaluation: &Evaluation) {
    let mut worst: Vec<&Mistake> = evaluation.mistakes.iter().collect();
    let distance = |m: &Mistake| (m.judgment.q_score - 50.0).abs();
    worst.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
    if !worst.is_empty() {
        out.push_str("\nworst mistakes\n");
    }
    for mistake in worst.into_iter().take(LISTED_MAX) {
        let judgment = &mistake.judgment;
        let _ = writeln!(
            out,
            "  {:<5} {:>5.1}  labelled {:<4}  {}",
            judgment.verdict.name(),
            judgment.q_score,
            mistake.label.name(),
            visible(&mistake.id),
        );
        let excerpt: String = visible(&mistake.text).chars().take(EXCERPT_CHARS).collect();
        let _ = writeln!(out, "               {excerpt}");
    }
}

/// Columns as wide as their widest cell; the first is flush left, numbers flush right.
fn table(rows: &[Row]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |c: usize| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(line, "{cell:<width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::tests::judged;

    #[test]
    fn a_person_finds_the_figures() {
        let evaluation = Evaluation::from(vec![
            judged("a", "1", Label::Good, 90.0, 0.6),
            judged("a", "2\u{1b}[2J", Label::Good, 45.0, 0.1),
            judged("a", "3", Label::Bad, 20.0, 0.5),
            judged("b", "4", Label::Bad, 30.0, 0.5),
        ]);
        let text = evaluation.render_text();
        let expected = "\
4 items judged (2 good, 2 bad) in 2 sets, judge version 7
note: b: only bad items: areas and the good share need items labelled 1 as well

set           n  AUC of Q    95% interval  in length  length only  surer half right  other half
a             3     1.000  0.283 to 1.000      1.000        0.500            100.0%       33.3%
b             1       n/a  only bad items        n/a          n/a               n/a         n/a
pooled        4     1.000  0.386 to 1.000      1.000        0.500            100.0%       50.0%
mean of sets        1.000
";
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains("a        good  2  50.0%  0.0%  50.0%    0.0%           50.0%"),
            "{text}"
        );
        assert!(text.contains("GROWL  45.0  labelled good  2\\u{1b}[2J"), "{text}");
    }
}
