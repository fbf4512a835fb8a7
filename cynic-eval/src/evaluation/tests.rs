use super::*;

use cynic_proto::judgment::Evidence;

/// A judged item whose dimensions all equal Q.
pub(crate) fn judged(set: &str, id: &str, label: Label, q: f32, confidence: f32) -> Judged {
    let judgment = Judgment {
        q_score: q,
        verdict: Verdict::of(q),
        confidence,
        domain: Domain::Social,
        axioms: [q; 5],
        dimensions: [q; DIMENSIONS],
        fallbacks: 0,
        partial: false,
        final_score: None,
        body_bytes: 5,
        body_sha256: [0; 32],
        judge_version: 7,
    };
    let evidence = vec![Evidence {
        dimension: Dimension::Candor,
        code: "test.code".into(),
        points: -3.0,
        span: Some((0, 2)),
        text: Some("<script>alert(1)</script>".into()),
    }];
    let details = Details { evidence, ..Details::default() };
    Judged {
        set: set.into(),
        id: id.into(),
        label,
        length: 5,
        text: "hello".into(),
        judgment,
        details,
    }
}

fn four() -> Vec<Judged> {
    vec![
        judged("a", "1", Label::Good, 90.0, 0.6),
        judged("a", "2", Label::Good, 45.0, 0.1),
        judged("a", "3", Label::Bad, 60.0, 0.2),
        judged("a", "4", Label::Bad, 20.0, 0.5),
    ]
}

#[test]
fn figures_by_hand() {
    let evaluation = Evaluation::from(four());
    let set = &evaluation.sets[0];
    assert_eq!((set.items, set.good, set.bad), (4, 2, 2));
    assert_eq!(set.auc.map(|a| a.value), Some(0.75));
    assert_eq!(set.auc_of_length, Some(0.5));
    assert_eq!(set.verdicts_of_good.0, [1, 0, 1, 0]);
    assert_eq!(set.verdicts_of_bad.0, [0, 1, 0, 1]);
    assert_eq!((set.good_flagged, set.bad_flagged), (Some(0.5), Some(0.5)));
    assert_eq!(set.halves.map(|h| h.gain()), Some(1.0));
    assert_eq!(set.coverage, Some(36.0));
    assert_eq!(set.domains, BTreeMap::from([("social", 4)]));
    assert_eq!(evaluation.pooled.q.map(|q| q.mean), Some(53.75));
    assert_eq!(evaluation.judge_versions, [7]);
    let mistaken: Vec<_> = evaluation.mistakes.iter().map(|m| m.id.as_str()).collect();
    assert_eq!(mistaken, ["2", "3"]);
}

#[test]
fn one_class_gets_no_made_up_figures_and_a_note() {
    let evaluation = Evaluation::from(vec![judged("a", "1", Label::Good, 90.0, 0.6)]);
    let set = &evaluation.sets[0];
    assert_eq!((set.auc, set.auc_within_length, set.bad_flagged), (None, None, None));
    assert_eq!(set.good_flagged, Some(0.0));
    assert_eq!(evaluation.mean_auc, None);
    assert!(evaluation.notes[0].starts_with("a: only good items"), "{:?}", evaluation.notes);
}

#[test]
fn a_failure_is_never_a_verdict() {
    let mut collector = Collector::default();
    let failure = Failure { set: "b".into(), id: "1".into(), error: "worker died".into() };
    collector.push_failure(failure);
    collector.push(judged("a", "1", Label::Good, 90.0, 0.6));
    let evaluation = collector.finish();
    assert_eq!(evaluation.pooled.items, 1);
    assert_eq!(evaluation.pooled.failures, 1);
    assert_eq!((evaluation.sets[1].items, evaluation.sets[1].failures), (0, 1));
}

#[test]
fn only_the_worst_mistakes_are_kept_worst_first() {
    let many =
        (0..40_u8).map(|n| judged("a", &n.to_string(), Label::Bad, 51.0 + f32::from(n), 0.1));
    let evaluation = Evaluation::from(many.collect::<Vec<_>>());
    let scores: Vec<_> = evaluation.mistakes.iter().map(|m| m.judgment.q_score).collect();
    assert_eq!(scores, [90.0, 89.0, 88.0, 87.0, 86.0]);
}

#[test]
fn pairs_count_ties_as_half() {
    let mut collector = Collector::default();
    for (better_q, worse_q) in [(60.0, 50.0), (50.0, 50.0), (40.0, 50.0), (70.0, 20.0)] {
        collector.push_pair(&JudgedPair { set: "p".into(), better_q, worse_q });
    }
    let pairs = collector.finish().pairs;
    assert_eq!(pairs, [PairFigures { set: "p".into(), pairs: 4, accuracy: 0.625 }]);
}

#[test]
fn json_names_what_it_counts_and_has_null_for_what_is_missing() {
    let evaluation = Evaluation::from(vec![judged("a", "1", Label::Good, 90.0, 0.6)]);
    let json: serde_json::Value =
        serde_json::from_str(&evaluation.to_json().expect("no map has keys that are no strings"))
            .expect("JSON");
    let set = &json["sets"][0];
    assert_eq!(set["verdicts_of_good"], serde_json::json!({"HOWL":1,"WAG":0,"GROWL":0,"BARK":0}));
    assert!(set["auc"].is_null() && json["mean_auc"].is_null());
    assert_eq!(json["pooled"]["domains"]["social"], 1);
}
