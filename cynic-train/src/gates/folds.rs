//! Judges that have not seen what they judge: one for each fold, one for each set left out.
//!
//! Trained once and shared by all gates, two at a time at most by the cores there are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cynic_judge::{Judge, Options};
use cynic_proto::item::Hint;
use cynic_proto::judgment::{Details, Judgment};

use crate::corpus::{Corpus, Labelled, Pair, fold_of};
use crate::train;

/// How many parts the data is split into: each item is judged by a judge trained on the other four fifths.
pub const FOLDS: u32 = 5;

/// Sets whose place can be taken by others of their kind: messages between people, and prompts.
const SETS_LEFT_OUT: [&str; 4] = ["sms_spam", "youtube_spam", "hate_tweets", "inject_deepset"];

pub(super) struct Folds {
    by_fold: Vec<Judge>,
    by_set: BTreeMap<String, Judge>,
}

/// What one training leaves out.
#[derive(Debug, Clone)]
enum LeftOut {
    Fold(u32),
    Set(String),
}

impl LeftOut {
    fn keeps(&self, group: &str, set: Option<&str>) -> bool {
        match self {
            LeftOut::Fold(fold) => fold_of(group, FOLDS) != *fold,
            LeftOut::Set(left_out) => set != Some(left_out),
        }
    }

    fn judge(&self, corpus: &Corpus) -> Judge {
        let items: Vec<&Labelled> =
            corpus.items.iter().filter(|i| self.keeps(&i.group, Some(&i.set))).collect();
        let pairs: Vec<&Pair> =
            corpus.pairs.iter().filter(|p| self.keeps(&p.group, None)).collect();
        let weights = Arc::new(train::train(&items, &pairs));
        Judge::new(Options { weights, ..Options::default() })
    }
}

/// Trains all judges that the gates need.
pub(super) fn trained(corpus: &Corpus) -> Folds {
    let sets = corpus.sets();
    let left_out = SETS_LEFT_OUT.iter().filter(|s| sets.iter().any(|set| set == *s));
    let jobs: Vec<LeftOut> = (0..FOLDS)
        .map(LeftOut::Fold)
        .chain(left_out.map(|set| LeftOut::Set((*set).to_owned())))
        .collect();
    let judges = in_parallel(&jobs, |job| job.judge(corpus));
    let mut folds = Folds { by_fold: Vec::new(), by_set: BTreeMap::new() };
    for (job, judge) in jobs.into_iter().zip(judges) {
        match job {
            LeftOut::Fold(_) => folds.by_fold.push(judge),
            LeftOut::Set(set) => drop(folds.by_set.insert(set, judge)),
        }
    }
    folds
}

impl Folds {
    /// The judge that has not seen this group.
    pub(super) fn judge(&self, group: &str) -> &Judge {
        &self.by_fold[fold_of(group, FOLDS) as usize]
    }

    /// The sets that were left out whole, each with the judge that has seen nothing of it.
    pub(super) fn left_out(&self) -> impl Iterator<Item = (&str, &Judge)> {
        self.by_set.iter().map(|(set, judge)| (set.as_str(), judge))
    }

    pub(super) fn describe(&self) -> String {
        format!(
            "out of fold: {FOLDS} folds by hash of the group; each item is judged by a judge trained without its \
             group\ngroups: code by commit, arguments and their pairs by debated question, others item by item\n\
             left out whole: {}",
            self.by_set.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        )
    }
}

/// Judges an item; the gates' texts are never empty and below every limit, so that an error is one of theirs.
pub(super) fn judged(judge: &Judge, item: &[u8]) -> (Judgment, Details) {
    let judged = judge.judge(item, &Hint::default());
    let (judgment, details) = judged.expect("labelled items have a body within the limits");
    (judgment, details.into_owned())
}

/// Q of an item.
pub(super) fn q(judge: &Judge, item: &[u8]) -> f64 {
    f64::from(judged(judge, item).0.q_score)
}

/// Maps every item, in order, on as many threads as there are cores.
pub(super) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                let mut mine = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(n) else { break };
                    mine.push((n, work(item)));
                }
                done.lock().expect("no thread panics while it holds this").extend(mine);
            });
        }
    });
    let mut done = done.into_inner().expect("no thread panics while it holds this");
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parallel_results_keep_their_order() {
        let items: Vec<u32> = (0..1000).collect();
        assert_eq!(in_parallel(&items, |n| n * 2), items.iter().map(|n| n * 2).collect::<Vec<_>>());
        assert!(in_parallel(&[], |n: &u32| *n).is_empty());
    }

    #[test]
    fn what_is_left_out_is_not_trained_on() {
        let fold = fold_of("g", FOLDS);
        assert!(!LeftOut::Fold(fold).keeps("g", Some("s")));
        assert!(LeftOut::Fold((fold + 1) % FOLDS).keeps("g", Some("s")));
        assert!(!LeftOut::Set("s".into()).keeps("g", Some("s")));
        assert!(LeftOut::Set("s".into()).keeps("g", Some("other")));
    }
}
