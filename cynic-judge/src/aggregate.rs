//! From 36 outcomes to axioms, Q and `THE_UNNAMEABLE`. Arithmetic only; never reads the body.

use cynic_proto::judgment::{Fallback, FallbackReason};
use cynic_proto::model::{AXIOMS, Axiom, DIMENSIONS, Dimension, NEUTRAL_SCORE, POSITION_WEIGHTS};

use crate::profile::Profile;
use crate::scorer::{Finding, Outcome};

/// The scores of a judgment before its verdict.
#[derive(Debug, Clone)]
pub struct Aggregate {
    /// Q, 0 to 100.
    pub q_score: f32,
    /// Each axiom, 0 to 100.
    pub axioms: [f32; AXIOMS],
    /// Each dimension, 0 to 100.
    pub dimensions: [f32; DIMENSIONS],
    /// Which dimensions fell back, and why.
    pub fallbacks: Vec<Fallback>,
    /// The evidence of the dimensions that scored.
    pub evidence: Vec<(Dimension, Finding)>,
}

impl Aggregate {
    pub(crate) fn of(outcomes: [Outcome; DIMENSIONS], profile: Profile) -> Aggregate {
        let mut dimensions = [NEUTRAL_SCORE; DIMENSIONS];
        let mut fallbacks = Vec::new();
        let mut evidence = Vec::new();
        let mut derived = false;
        for (dimension, outcome) in Dimension::ALL.into_iter().zip(outcomes) {
            let reason = match outcome {
                Outcome::Scored(scored) if !scored.score.is_nan() => {
                    dimensions[dimension as usize] = scored.score.clamp(0.0, 100.0);
                    evidence
                        .extend(scored.evidence.into_iter().map(|finding| (dimension, finding)));
                    continue;
                }
                Outcome::Derived if dimension == Dimension::TheUnnameable => {
                    derived = true;
                    continue;
                }
                Outcome::Scored(_) => FallbackReason::Failed("the score is not a number".into()),
                Outcome::Derived => FallbackReason::Failed("only THE_UNNAMEABLE is derived".into()),
                Outcome::FellBack(reason) => reason,
            };
            fallbacks.push(Fallback { dimension, reason });
        }
        let axioms = Axiom::ALL.map(|axiom| axiom_score(axiom, &dimensions));
        if derived {
            dimensions[Dimension::TheUnnameable as usize] = 100.0 - residual(&dimensions, &axioms);
        }
        let q_score = q_score(&axioms, profile);
        Aggregate { q_score, axioms, dimensions, fallbacks, evidence }
    }
}

/// The weighted mean of an axiom's dimensions.
fn axiom_score(axiom: Axiom, dimensions: &[f32; DIMENSIONS]) -> f32 {
    let weighted = axiom.dimensions().iter().zip(POSITION_WEIGHTS);
    let sum: f64 = weighted.map(|(d, weight)| f64::from(dimensions[*d as usize]) * weight).sum();
    (sum / POSITION_WEIGHTS.iter().sum::<f64>()) as f32
}

/// 100 × the geometric mean of (axiom / 100), each axiom with its profile's exponent. A zero axiom
/// makes Q zero.
fn q_score(axioms: &[f32; AXIOMS], profile: Profile) -> f32 {
    let exponents = profile.exponents();
    let log: f64 = axioms
        .iter()
        .zip(exponents)
        .map(|(score, exponent)| libm::log(f64::from(*score).max(1e-9) / 100.0) * exponent)
        .sum();
    (100.0 * libm::exp(log)).clamp(0.0, 100.0) as f32
}

/// How much of the dimensions their axioms leave unexplained, 0 to 100: the mean distance of a
/// dimension from its axiom's score.
fn residual(dimensions: &[f32; DIMENSIONS], axioms: &[f32; AXIOMS]) -> f32 {
    let mut sum = 0.0;
    for axiom in Axiom::ALL {
        for dimension in axiom.dimensions() {
            sum += (dimensions[*dimension as usize] - axioms[axiom as usize]).abs();
        }
    }
    (sum / (DIMENSIONS - 1) as f32).clamp(0.0, 100.0)
}
