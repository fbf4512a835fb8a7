//! Scorers that are not the judge's own: run together, and what becomes of those that go wrong.

use std::sync::Arc;
use std::time::Duration;

use cynic_judge::{BoxFuture, Judge, Options, Panel, Scored, Scorer, ScorerFailure};
use cynic_proto::explanation;
use cynic_proto::ids::TaskId;
use cynic_proto::item::Hint;
use cynic_proto::judgment::{Details, FallbackReason, Judgment};
use cynic_proto::model::{CONFIDENCE_MAX, DIMENSIONS, Dimension, NEUTRAL_SCORE};
use cynic_proto::worker::{Lease, LeaseItem, Outcome};
use cynic_worker::host::Host;
use cynic_worker::progress::ProgressWriter;
use tokio::sync::Barrier;

/// Only what never happens takes so long.
const LONG: Duration = Duration::from_mins(1);

const ITEM: &[u8] =
    br#"{"type": "text", "content": "The release is moved to Friday; the tests found a leak."}"#;

fn judge() -> Judge {
    Judge::new(Options::default())
}

/// Judges with a panel; `soft_budget` is what scoring may take in all.
fn judged(panel: Panel, soft_budget: Duration) -> (Judgment, Details) {
    let mut host = Host::new(judge(), panel, ProgressWriter::default()).expect("a host");
    let item = LeaseItem {
        task: TaskId(7),
        bytes: ITEM.len() as u32,
        hint: Hint::default(),
        soft_budget_us: soft_budget.as_micros() as u32,
    };
    let lease = Lease { nonce: 1, skip: 0, items: vec![item] };
    let judged = host.judge(&lease, 0, ITEM).expect("encodes");
    let Outcome::Judged(judgment) = judged.outcome else { panic!("{:?}", judged.outcome) };
    assert_eq!(judgment.validate(), Ok(()));
    (*judgment, explanation::decode(&judged.explanation).expect("details").into_owned())
}

fn awaited<F>(budget: Duration, run: impl Fn() -> F + Send + Sync + 'static) -> Scorer
where
    F: Future<Output = Result<Scored, ScorerFailure>> + Send + 'static,
{
    let run = move |_| -> BoxFuture<_> { Box::pin(run()) };
    Scorer::Awaited { budget, run: Arc::new(run) }
}

fn score(score: f32) -> Scored {
    Scored { score, evidence: Vec::new() }
}

/// Each waits until all have come: one after another, none would ever go on.
#[test]
fn awaited_scorers_run_together() {
    let barrier = Arc::new(Barrier::new(DIMENSIONS));
    let mut panel = judge().panel();
    for dimension in Dimension::ALL {
        let barrier = Arc::clone(&barrier);
        let meet = move || {
            let barrier = Arc::clone(&barrier);
            async move {
                barrier.wait().await;
                Ok(score(dimension as usize as f32))
            }
        };
        panel.replace(dimension, awaited(LONG, meet));
    }
    let (judgment, details) = judged(panel, LONG);
    assert_eq!(judgment.covered() as usize, DIMENSIONS, "{:?}", details.fallbacks);
    for dimension in Dimension::ALL {
        let expected = dimension as usize as f32;
        assert_eq!(judgment.dimension(dimension).to_bits(), expected.to_bits(), "{dimension:?}");
    }
}

/// A scorer that goes wrong in each of the ways, and the reason that is given.
fn wrong() -> Vec<(Dimension, Scorer, FallbackReason)> {
    let computed = |run: fn() -> Scored| Scorer::Computed(Arc::new(move |_| run()));
    let failed = FallbackReason::Failed("no route".to_owned());
    let not_a_number = FallbackReason::Failed("the score is not a number".to_owned());
    let panicked = |message: &str| FallbackReason::Panicked(message.to_owned());
    vec![
        (Dimension::Commitment, computed(|| panic!("computed badly")), panicked("computed badly")),
        (Dimension::Attunement, computed(|| score(f32::NAN)), not_a_number.clone()),
        (
            Dimension::Candor,
            awaited(LONG, || async { Err(ScorerFailure("no route".to_owned())) }),
            failed,
        ),
        (
            Dimension::Congruence,
            awaited(LONG, || async { panic!("awaited badly") }),
            panicked("awaited badly"),
        ),
        (Dimension::Vigilance, awaited(LONG, || async { Ok(score(f32::NAN)) }), not_a_number),
        (
            Dimension::Kenosis,
            awaited(Duration::from_millis(1), std::future::pending),
            FallbackReason::Overran,
        ),
    ]
}

#[test]
fn what_fails_panics_or_overruns_falls_back_and_costs_confidence() {
    let (sound, _) = judged(judge().panel(), LONG);
    assert_eq!(sound.covered() as usize, DIMENSIONS);
    let mut panel = judge().panel();
    for (dimension, scorer, _) in wrong() {
        panel.replace(dimension, scorer);
    }
    let (judgment, details) = judged(panel, LONG);
    for (dimension, _, reason) in wrong() {
        assert!(judgment.fell_back(dimension), "{dimension:?}");
        assert_eq!(judgment.dimension(dimension).to_bits(), NEUTRAL_SCORE.to_bits());
        let told = details.fallbacks.iter().find(|fallback| fallback.dimension == dimension);
        assert_eq!(told.map(|fallback| &fallback.reason), Some(&reason));
    }
    assert_eq!(judgment.covered() as usize, DIMENSIONS - wrong().len());
    assert!(judgment.confidence < sound.confidence && sound.confidence <= CONFIDENCE_MAX);
    // The others scored as if nothing had happened.
    for dimension in Dimension::ALL {
        let spoilt = judgment.fell_back(dimension) || dimension == Dimension::TheUnnameable;
        let (now, before) = (judgment.dimension(dimension), sound.dimension(dimension));
        assert!(spoilt || now.to_bits() == before.to_bits(), "{dimension:?}: {now} for {before}");
    }
    assert!(!judgment.partial, "time had not run out");
}

#[test]
fn what_comes_after_the_time_is_out_is_left_out() {
    let mut panel = judge().panel();
    panel.replace(Dimension::Candor, awaited(LONG, std::future::pending));
    let (judgment, details) = judged(panel, Duration::from_millis(300));
    assert!(judgment.partial);
    let told = details.fallbacks.iter().find(|fallback| fallback.dimension == Dimension::Candor);
    assert_eq!(told.map(|fallback| &fallback.reason), Some(&FallbackReason::OutOfTime));
    // Without any time there is still an answer.
    let (judgment, _) = judged(judge().panel(), Duration::ZERO);
    assert!(judgment.partial);
    assert!(judgment.covered() <= 1, "{}", judgment.covered());
}
