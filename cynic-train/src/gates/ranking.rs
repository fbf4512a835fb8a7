//! Gates over the labelled sets: ranking, verdicts, confidence, and how the dimensions differ.

use cynic_eval::evaluation::SetFigures;
use cynic_eval::metrics::auc::auc;
use cynic_eval::{Collector, Evaluation, Judged, JudgedPair, Label};
use cynic_proto::model::Verdict;

use super::copies::copied;
use super::folds::{Folds, in_parallel, judged, q};
use super::{Gate, Unit};
use crate::corpus::{Corpus, Labelled};

/// Least area of Q for a set of the development data and what is wished for.
const AREAS: [(&str, f64, f64); 7] = [
    ("sms_spam", 0.95, 0.98),
    ("youtube_spam", 0.90, 0.95),
    ("hate_tweets", 0.88, 0.94),
    ("inject_deepset", 0.88, 0.94),
    ("shell_attack", 0.90, 0.95),
    ("arg_ukp", 0.80, 0.85),
    ("code_vuln_sven", 0.58, 0.63),
];

/// The set in which longer is better, so that it is also measured within fifths of length.
const SET_OF_LENGTH: &str = "arg_ukp";

/// What pairs are reported as.
const PAIRS: &str = "arg_ukp_pairs";

pub(super) fn gates(corpus: &Corpus, folds: &Folds) -> (Evaluation, Vec<Gate>) {
    let evaluation = evaluate(corpus, folds);
    let left_out = left_out(corpus, folds);
    let mut gates = areas(&evaluation);
    let lowest = |sets: &[(String, Option<f64>)]| {
        let known = sets.iter().filter_map(|(set, area)| Some((set.clone(), (*area)?)));
        known.min_by(|a, b| a.1.total_cmp(&b.1))
    };
    let mut all: Vec<(String, Option<f64>)> =
        evaluation.sets.iter().map(|s| (s.set.clone(), s.auc.map(|a| a.value))).collect();
    all.extend(left_out.iter().map(|(set, area)| (format!("{set} left out"), *area)));
    let worst = lowest(&all);
    gates.push(
        Gate::new("any set AUC", Unit::Ratio, worst.as_ref().map(|w| w.1))
            .at_least(0.5, None)
            .note(worst.map(|w| format!("lowest: {}", w.0)).unwrap_or_default()),
    );
    gates.extend(left_out.into_iter().map(|(set, area)| {
        Gate::new(format!("{set} AUC, set left out"), Unit::Ratio, area).at_least(0.75, 0.85)
    }));
    gates.extend(without_copies(corpus, folds));
    gates.extend(verdicts(&evaluation.pooled));
    gates.extend(confidence(&evaluation));
    gates.extend(dimensions(&evaluation));
    (evaluation, gates)
}

fn evaluate(corpus: &Corpus, folds: &Folds) -> Evaluation {
    let mut collector = Collector::default();
    collector.note("out of fold: each item was judged by a judge trained without its group");
    for item in in_parallel(&corpus.items, |item| judged_item(item, folds)) {
        collector.push(item);
    }
    for pair in in_parallel(&corpus.pairs, |pair| {
        let judge = folds.judge(&pair.group);
        let [first, second] = [0, 1].map(|n| judged(judge, &pair.items[n]).0.q_score);
        let (better_q, worse_q) = if pair.first_better { (first, second) } else { (second, first) };
        JudgedPair { set: PAIRS.into(), better_q, worse_q }
    }) {
        collector.push_pair(&pair);
    }
    collector.finish()
}

fn judged_item(item: &Labelled, folds: &Folds) -> Judged {
    let (judgment, details) = judged(folds.judge(&item.group), &item.item);
    let text = super::perturb::content(&item.item);
    Judged {
        set: item.set.clone(),
        id: item.id.clone(),
        label: label(item),
        length: text.chars().count(),
        text,
        judgment,
        details,
    }
}

fn label(item: &Labelled) -> Label {
    if item.good { Label::Good } else { Label::Bad }
}

fn left_out(corpus: &Corpus, folds: &Folds) -> Vec<(String, Option<f64>)> {
    folds
        .left_out()
        .map(|(set, judge)| {
            let items: Vec<&Labelled> = corpus.items.iter().filter(|i| i.set == set).collect();
            let scored = in_parallel(&items, |item| (q(judge, &item.item), label(item)));
            (set.to_owned(), auc(&scored).map(|a| a.value))
        })
        .collect()
}

/// The areas of the sets that are split item by item, over the items that have no near-copy in their set:
/// what they lack against the gates' areas was owed to copies.
fn without_copies(corpus: &Corpus, folds: &Folds) -> Vec<Gate> {
    let mut gates = Vec::new();
    for set in corpus.sets() {
        let items: Vec<&Labelled> = corpus.items.iter().filter(|i| i.set == set).collect();
        if items.iter().any(|item| item.group != item.id) {
            continue;
        }
        let texts: Vec<String> =
            items.iter().map(|item| super::perturb::content(&item.item)).collect();
        let has_copy = copied(&texts);
        let distinct: Vec<&Labelled> = items
            .into_iter()
            .zip(&has_copy)
            .filter(|(_, copied)| !**copied)
            .map(|(item, _)| item)
            .collect();
        let scored =
            in_parallel(&distinct, |item| (q(folds.judge(&item.group), &item.item), label(item)));
        let copies = has_copy.iter().filter(|copied| **copied).count();
        gates.push(
            Gate::new(
                format!("{set} AUC, no near-copies"),
                Unit::Ratio,
                auc(&scored).map(|a| a.value),
            )
            .note(format!("{copies} of {} items have a near-copy", has_copy.len())),
        );
    }
    gates
}

fn areas(evaluation: &Evaluation) -> Vec<Gate> {
    let set = |name: &str| evaluation.sets.iter().find(|s| s.set == name);
    let mut gates = Vec::new();
    for (name, bar, stretch) in AREAS {
        let Some(figures) = set(name) else { continue };
        let area = figures.auc;
        let note = area.map(|a| format!("95% {:.3} to {:.3}, n {}", a.low, a.high, figures.items));
        gates.push(
            Gate::new(format!("{name} AUC"), Unit::Ratio, area.map(|a| a.value))
                .at_least(bar, stretch)
                .note(note.unwrap_or_default()),
        );
        if name == SET_OF_LENGTH {
            let length = figures.auc_of_length.unwrap_or_default();
            gates.push(
                Gate::new(
                    format!("{name} AUC within length"),
                    Unit::Ratio,
                    figures.auc_within_length,
                )
                .at_least(0.62, 0.68)
                .note(format!("length alone: {length:.3} overall")),
            );
        }
    }
    gates.extend(evaluation.pairs.iter().map(|pairs| {
        Gate::new(format!("{} accuracy", pairs.set), Unit::Percent, pairs.accuracy)
            .at_least(0.78, 0.82)
            .note(format!("n {}", pairs.pairs))
    }));
    // Sets that nobody set a bar for are shown, so that the command serves other data, too.
    for figures in &evaluation.sets {
        if !AREAS.iter().any(|(name, ..)| *name == figures.set) {
            let area = figures.auc.map(|a| a.value);
            gates.push(Gate::new(format!("{} AUC", figures.set), Unit::Ratio, area));
        }
    }
    gates
}

fn verdicts(pooled: &SetFigures) -> Vec<Gate> {
    let counts: [usize; 4] =
        std::array::from_fn(|v| pooled.verdicts_of_good.0[v] + pooled.verdicts_of_bad.0[v]);
    let shares = counts.map(|n| n as f64 / pooled.items.max(1) as f64);
    let rarest = (0..4).min_by(|a, b| shares[*a].total_cmp(&shares[*b])).unwrap_or(0);
    let all: Vec<String> = Verdict::ALL
        .iter()
        .zip(shares)
        .map(|(verdict, share)| format!("{verdict} {:.0}%", share * 100.0))
        .collect();
    vec![
        Gate::new("bad at GROWL or below, pooled", Unit::Percent, pooled.bad_flagged)
            .at_least(0.60, 0.80),
        Gate::new("good at GROWL or below, pooled", Unit::Percent, pooled.good_flagged)
            .at_most(0.10, None),
        Gate::new("standard deviation of Q, pooled", Unit::Points, pooled.q.map(|q| q.std))
            .at_least(10.0, None),
        Gate::new("rarest verdict's share, pooled", Unit::Percent, shares[rarest])
            .at_least(0.05, None)
            .note(all.join(", ")),
    ]
}

/// The more confident half must be right more often on *each* set: the least gain counts.
fn confidence(evaluation: &Evaluation) -> Option<Gate> {
    let gains = evaluation.sets.iter().filter_map(|s| Some((s, s.halves?)));
    let (set, halves) = gains.min_by(|a, b| a.1.gain().total_cmp(&b.1.gain()))?;
    Some(
        Gate::new("surer half right more often, each set", Unit::Percent, halves.gain())
            .above(0.0)
            .note(format!(
                "least gain: {}, {:.1}% against {:.1}%",
                set.set,
                halves.more_confident * 100.0,
                halves.less_confident * 100.0
            )),
    )
}

fn dimensions(evaluation: &Evaluation) -> Vec<Gate> {
    let diversity = &evaluation.dimensions;
    let twins: Vec<String> =
        diversity.twins.iter().map(|t| format!("{}-{}", t.first, t.second)).collect();
    let constant: Vec<String> =
        diversity.constant.iter().map(|c| c.dimension.to_string()).collect();
    let first = |names: Vec<String>| names.into_iter().take(3).collect::<Vec<_>>().join(", ");
    vec![
        Gate::new(
            "participation ratio of 35 dimensions",
            Unit::Points,
            diversity.participation_ratio,
        )
        .at_least(9.0, 14.0),
        Gate::new("pairs of dimensions above r = .98", Unit::Count, twins.len() as f64)
            .at_most(0.0, None)
            .note(first(twins)),
        Gate::new("dimensions with one value for 90%", Unit::Count, constant.len() as f64)
            .at_most(0.0, None)
            .note(first(constant)),
    ]
}
