//! How sure a judgment may be: never more than φ⁻¹, and less for every reason to doubt. Reads no body.

use cynic_proto::model::{CONFIDENCE_MAX, DIMENSIONS, Domain};

use crate::analysis::Analysis;
use crate::family::Family;

/// The logit of evidence at which the margin is three quarters of the most.
const MARGIN_WIDTH: f32 = 2.2;
/// Words from which a text is long enough to be judged on them, and commands and code.
const WORDS_ENOUGH: f32 = 8.0;
const CODE_WORDS_ENOUGH: f32 = 4.0;
/// Share of known words below which a text's language is not one that the rubric covers.
pub(crate) const KNOWN_ENOUGH: f32 = 0.25;

/// The confidence of a judgment of this item with so many dimensions fallen back.
pub(crate) fn of(analysis: &Analysis, fallen_back: usize) -> f32 {
    let learned = &analysis.learned;
    // How far the evidence is from undecided tells most about whether the verdict is right.
    let margin = libm::tanhf(learned.logit.abs() / MARGIN_WIDTH);
    let coverage = 1.0 - fallen_back as f32 / DIMENSIONS as f32;
    let graded =
        |least: f32, value: f32, enough: f32| least + (1.0 - least) * (value / enough).min(1.0);
    let (amount, language) = match analysis.family {
        _ if analysis.severe => (1.0, 1.0),
        Family::Text => (
            graded(0.3, analysis.words as f32, WORDS_ENOUGH),
            graded(0.4, analysis.known, KNOWN_ENOUGH),
        ),
        Family::Shell | Family::Code => {
            (graded(0.7, analysis.words as f32, CODE_WORDS_ENOUGH), 1.0)
        }
    };
    let agreement =
        if learned.rules * learned.logit < 0.0 && learned.rules.abs() > 1.0 { 0.6 } else { 1.0 };
    let routing = match (analysis.domain, analysis.routed) {
        _ if analysis.strange => 0.6,
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
