#![expect(clippy::float_cmp, reason = "these come out exactly")]

use super::*;
use proptest::prelude::*;

fn sample(q_score: f32, truth: Truth) -> Sample {
    Sample { domain: Domain::Shell, q_score, confidence: 0.3, truth }
}

/// Bad items up to `bad_to`, good ones from there on.
fn divided(bad_to: f32) -> Vec<Sample> {
    (0..100_u8)
        .map(|q| {
            let q = f32::from(q);
            sample(q, if q < bad_to { Truth::Bad } else { Truth::Good })
        })
        .collect()
}

fn shell(fitted: &Fitted) -> &DomainCalibration {
    fitted.domains.iter().find(|line| line.domain == Domain::Shell).unwrap()
}

#[test]
fn a_threshold_moves_to_where_good_and_bad_part() {
    let fitted = fit(&Calibration::default(), &divided(57.0));
    let line = shell(&fitted);
    assert_eq!(line.after.thresholds.wag, 56.5);
    assert_eq!((line.good, line.bad), (43, 57));
    assert_eq!(line.before.accuracy, 0.93);
    assert_eq!(line.after.accuracy, 1.0);
    assert_eq!((line.before.bad_flagged, line.after.bad_flagged), (50.0 / 57.0, 1.0));
    assert!(line.remark.contains("WAG +6.5"), "{}", line.remark);
    assert_eq!(fitted.thresholds[Domain::Shell as usize], line.after.thresholds);
    assert_eq!(fitted.thresholds[Domain::Code as usize], Thresholds::MODEL);
}

#[test]
fn no_feedback_moves_a_threshold_further_than_its_bound() {
    for bad_to in [20.0, 75.0] {
        let mut in_use = Calibration::default();
        for version in 1..=5 {
            let fitted = fit(&in_use, &divided(bad_to));
            let after = shell(&fitted).after.thresholds;
            assert!((after.wag - 50.0).abs() <= SHIFT_MAX, "{after:?}");
            in_use = Calibration { version, domains: fitted.thresholds };
        }
        // Run again and again it stays where it is.
        assert_eq!(fit(&in_use, &divided(bad_to)).thresholds, in_use.domains);
    }
}

#[test]
fn too_few_of_a_kind_change_nothing_and_take_back_what_was_fitted() {
    let few: Vec<Sample> = (0..40_u8)
        .map(|q| sample(f32::from(q), if q < 4 { Truth::Bad } else { Truth::Good }))
        .collect();
    let fitted = fit(&Calibration::default(), &few);
    assert_eq!(shell(&fitted).after.thresholds, Thresholds::MODEL);
    assert!(shell(&fitted).remark.contains("20 feedbacks"));
}

#[test]
fn chance_moves_nothing() {
    // Right but for one that sits on the wrong side of 50.
    let mut samples = divided(50.0);
    samples.push(sample(50.2, Truth::Bad));
    let fitted = fit(&Calibration::default(), &samples);
    assert_eq!(shell(&fitted).after.thresholds.wag, 50.0);
}

#[test]
fn praise_is_dearer_and_blame_too() {
    // Between 70 and 80 one in five is bad: not worth a HOWL, well worth a WAG.
    let mut samples = divided(45.0);
    samples.extend((0..5_u8).map(|n| sample(82.0 + f32::from(n), Truth::Bad)));
    let after = shell(&fit(&Calibration::default(), &samples)).after.thresholds;
    assert!(after.howl > 86.0, "{after:?}");
    assert!(after.wag < 50.0, "{after:?}");
}

#[test]
fn confidence_follows_how_often_it_is_right() {
    let right = shell(&fit(&Calibration::default(), &divided(50.0))).after;
    assert_eq!(right.thresholds.confidence_factor, CONFIDENCE_FACTOR_MAX);
    // Truth by the toss of a coin: as often wrong as right.
    let coin: Vec<Sample> = (0..200_u8)
        .map(|n| {
            let truth = if n % 2 == 0 { Truth::Good } else { Truth::Bad };
            Sample { confidence: 0.5, ..sample(f32::from(n) / 2.0, truth) }
        })
        .collect();
    let unsure = shell(&fit(&Calibration::default(), &coin)).after;
    assert!(unsure.thresholds.confidence_factor < 0.7, "{unsure:?}");
    assert!(unsure.confidence < 0.35);
}

proptest! {
    #[test]
    fn whatever_is_said_stays_within_bounds(
        said in proptest::collection::vec((0.0_f32..=100.0, 0.0_f32..=0.618, any::<bool>()), 0..200)
    ) {
        let samples: Vec<Sample> = said
            .into_iter()
            .map(|(q_score, confidence, good)| Sample {
                domain: Domain::Prose,
                q_score,
                confidence,
                truth: if good { Truth::Good } else { Truth::Bad },
            })
            .collect();
        let fitted = fit(&Calibration::default(), &samples);
        for thresholds in fitted.thresholds {
            prop_assert!(thresholds.is_valid());
            let own = Thresholds::MODEL;
            // The order of the three may hold one back, never push it out.
            prop_assert!((thresholds.howl - own.howl).abs() <= SHIFT_MAX);
            prop_assert!((thresholds.wag - own.wag).abs() <= SHIFT_MAX);
            prop_assert!((thresholds.growl - own.growl).abs() <= SHIFT_MAX);
            let factor = thresholds.confidence_factor;
            prop_assert!((CONFIDENCE_FACTOR_MIN..=CONFIDENCE_FACTOR_MAX).contains(&factor));
        }
        for line in &fitted.domains {
            prop_assert!(line.after.confidence <= cynic_proto::model::CONFIDENCE_MAX);
        }
    }
}
