//! How sure a judgment may be: never more than φ⁻¹, and less for every reason to doubt. Reads no body.

use cynic_proto::model::{CONFIDENCE_MAX, DIMENSIONS, Domain};

use crate::analysis::Analysis;
use crate::family::Family;

/// The logit of evidence at which the margin is three quarters of the most.
const MARGIN_WIDTH: f32 = 2.2;
/// Words from which an item is long enough to be judged on them.
const WORDS_ENOUGH: f32 = 6.0;
/// Share of known words below which a text's language is not one that the rubric covers.
pub(crate) const KNOWN_ENOUGH: f32 = 0.25;

/// The confidence of a judgment of this item with so many dimensions fallen back.
pub(crate) fn of(analysis: &Analysis, fallen_back: usize) -> f32 {
    let learned = &analysis.learned;
    // How far the evidence is from undecided tells most about whether the verdict is right.
    let margin = (learned.logit.abs() / MARGIN_WIDTH).tanh();
    let coverage = 1.0 - fallen_back as f32 / DIMENSIONS as f32;
    let amount = 0.8 + 0.2 * (analysis.words as f32 / WORDS_ENOUGH).min(1.0);
    let language = match analysis.family {
        Family::Text => 0.75 + 0.25 * (analysis.known / KNOWN_ENOUGH).min(1.0),
        Family::Shell | Family::Code => 1.0,
    };
    let agreement =
        if learned.rules * learned.logit < 0.0 && learned.rules.abs() > 1.0 { 0.85 } else { 1.0 };
    let routing = match (analysis.domain, analysis.routed) {
        (Domain::General, _) => 0.6,
        (_, true) => 1.0,
        (_, false) => {
            let clear = learned.mixture.iter().copied().fold(0.0, f32::max);
            0.7 + 0.3 * clear
        }
    };
    let doubts = coverage * amount * language * agreement * routing;
    (CONFIDENCE_MAX * (0.1 + 0.9 * margin) * doubts).clamp(0.0, CONFIDENCE_MAX)
}
