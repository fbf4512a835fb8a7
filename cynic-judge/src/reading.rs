//! The dimensions: what each reads in the evidence, and how that becomes a score with its reasons.
//!
//! Every dimension starts from the level, which is what all evidence says together, and moves by its own
//! reading: the features that speak to it (the rubric), and its share of the learned n-grams.

use std::borrow::Cow;

use cynic_proto::model::{AXIOMS, DIMENSIONS_PER_AXIOM, Dimension, POSITION_WEIGHTS};

use crate::analysis::Analysis;
use crate::facets::FACETS;
use crate::family::Family;
use crate::learned::Learned;
use crate::profile::Profile;
use crate::scorer::{Finding, Scored};
use crate::spec::{NO_SLOT, Spec};
use crate::weights::FamilyWeights;

/// Farthest that a reading counts, in spreads.
pub(crate) const READING_MAX: f32 = 2.5;
/// How far a reading swings a dimension (logits a spread), by its position in its axiom. The heavy
/// positions swing less, so that what weighs most in Q is the level more than one dimension's view.
pub(crate) const SWING: [f32; DIMENSIONS_PER_AXIOM] = [1.4, 2.15, 1.85, 1.4, 2.5, 2.15, 2.15];
/// Share of an axiom's own mean reading that is taken out of its dimensions; the rest lets axioms differ.
pub(crate) const CENTRED: f32 = 0.85;
/// How much the learned part of a feature or n-gram counts in its own dimension beside the rubric's lean.
const LEARNED_IN_READING: f32 = 1.0;
/// Lowest level (logits): what is bad is bad, and the dimensions still show why.
const LEVEL_LOW: f32 = 0.6;
/// The logit of evidence at which a low level has gone three quarters of its way.
const LEVEL_LOW_WIDTH: f32 = 2.6;
/// Rise of the level with good evidence, at first and by its fifth power: the ordinary stays ordinary, and
/// only evidence from all sides lifts an item to the top.
const LEVEL_RISE: f32 = 0.06;
const LEVEL_RISE_FIFTH: f32 = 0.0007;
/// Level that no evidence exceeds (logits).
const LEVEL_HIGH: f32 = 1.9;
/// Least effect that is reported, in points.
const POINTS_MIN: f32 = 1.5;
/// Least effect of what is reported beside a dimension's strongest finding.
const FURTHER_POINTS_MIN: f32 = 6.0;
/// Pieces of evidence of one dimension for which room is made.
const EVIDENCE_USUAL: usize = 3;
/// Reasons named in the note on the whole, and what share of the strongest one's part a further one must have.
const DECIDING_MAX: usize = 3;
const DECIDING_SHARE_MIN: f32 = 0.15;
/// Longest quotation, in bytes.
pub(crate) const QUOTE_BYTES_MAX: usize = 60;

/// The level that evidence of this logit supports.
pub(crate) fn level(logit: f32) -> f32 {
    if logit < 0.0 {
        LEVEL_LOW * libm::tanhf(logit / LEVEL_LOW_WIDTH)
    } else {
        let square = logit * logit;
        let rise = LEVEL_RISE * logit + LEVEL_RISE_FIFTH * square * square * logit;
        LEVEL_HIGH * libm::tanhf(rise / LEVEL_HIGH)
    }
}

/// Each dimension's reading before it is centred and scaled.
pub(crate) fn raw(family: Family, z: &[f32], learned: &Learned) -> [f32; FACETS] {
    let mut readings = [0.0; FACETS];
    for (spec, (z, part)) in family.specs().iter().zip(z.iter().zip(&learned.features)) {
        readings[spec.dimension as usize] += spec.lean * z + LEARNED_IN_READING * part;
    }
    for (reading, grams) in readings.iter_mut().zip(&learned.grams) {
        *reading += LEARNED_IN_READING * grams;
    }
    readings
}

/// What each reading says beside the level, in spreads around the usual.
pub(crate) fn own_part(readings: &mut [f32; FACETS], own: &FamilyWeights, target: f32) {
    for (n, reading) in readings.iter_mut().enumerate() {
        let beside = *reading - own.reading_mean[n] - own.reading_slope[n] * target;
        *reading = (beside / own.reading_spread[n]).clamp(-READING_MAX, READING_MAX);
    }
}

/// How many points one unit of a feature moves its own dimension beside the others, from a score of 50.
pub(crate) fn points(own: &FamilyWeights, family: Family, feature: usize) -> f32 {
    /// Points a logit at a score of 50: the slope of 100 × the logistic function at zero.
    const SLOPE: f32 = 25.0;
    let spec = &family.specs()[feature];
    let facet = spec.dimension as usize;
    let learned: f32 =
        own.heads.iter().map(|head| own.stretch * head.stretch * head.dense[feature]).sum::<f32>()
            / own.heads.len() as f32;
    let reading = (spec.lean + LEARNED_IN_READING * learned) / own.reading_spread[facet];
    let swing = SWING[facet % DIMENSIONS_PER_AXIOM];
    SLOPE * swing * reading.clamp(-READING_MAX, READING_MAX)
}

/// Newton steps of [`settled`]; from a start this close four leave less than a tenth of a point.
const SETTLING_STEPS: usize = 5;

/// The level at which the dimensions, each with its own reading, give the Q that the evidence supports: a
/// geometric mean punishes readings that differ, and that is no evidence against the item.
pub(crate) fn settled(
    target: f32,
    readings: &[f32; FACETS],
    centres: &[f32; AXIOMS],
    profile: Profile,
) -> f32 {
    let exponents = profile.exponents();
    let weight_sum: f64 = POSITION_WEIGHTS.iter().sum();
    let wanted = libm::log(f64::from(sigmoid(target)));
    let mut level = target;
    for _ in 0..SETTLING_STEPS {
        let (mut log, mut slope) = (0.0, 0.0);
        for (axiom, readings) in readings.chunks_exact(DIMENSIONS_PER_AXIOM).enumerate() {
            let (mut mean, mut rise) = (0.0_f64, 0.0_f64);
            for (position, reading) in readings.iter().enumerate() {
                let share = sigmoid(level + reading * SWING[position] - centres[axiom]);
                mean += f64::from(share) * POSITION_WEIGHTS[position];
                rise += f64::from(share * (1.0 - share)) * POSITION_WEIGHTS[position];
            }
            log += libm::log(mean / weight_sum) * exponents[axiom];
            slope += rise / mean * exponents[axiom];
        }
        let step = (wanted - log) / slope.max(0.05);
        level += (step as f32).clamp(-1.0, 1.0);
    }
    level
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-logit))
}

/// Scores one dimension, with its reasons.
pub(crate) fn score(analysis: &Analysis, dimension: Dimension) -> Scored {
    let facet = dimension as usize;
    let (axiom, position) = (facet / DIMENSIONS_PER_AXIOM, facet % DIMENSIONS_PER_AXIOM);
    let swing = SWING[position];
    let own = analysis.readings[facet] * swing - analysis.centres[axiom];
    let logit = analysis.level + own + analysis.checks.own(dimension);
    let share = sigmoid(logit);
    let score = 100.0 * share;
    let slope = 100.0 * share * (1.0 - share);
    let mut evidence = Vec::with_capacity(EVIDENCE_USUAL);
    analysis.checks.findings(analysis.item.text(), dimension, slope, &mut evidence);
    own_findings(analysis, dimension, swing * slope, &mut evidence);
    if position == 0 {
        evidence.push(whole(analysis, 100.0 * sigmoid(analysis.level) - 50.0));
    }
    Scored { score, evidence }
}

/// What moved a dimension: a feature, or its share of the n-grams.
#[derive(Clone, Copy)]
enum Cause {
    Feature(usize),
    Grams,
}

/// The features and n-grams that moved a dimension most: the strongest, and a further one that is there and weighs much.
fn own_findings(
    analysis: &Analysis,
    dimension: Dimension,
    slope: f32,
    evidence: &mut Vec<Finding>,
) {
    let specs = analysis.family.specs();
    let features = analysis.family.features_of(dimension).iter().map(|n| {
        let n = usize::from(*n);
        let part =
            specs[n].lean * analysis.z[n] + LEARNED_IN_READING * analysis.learned.features[n];
        (part * slope, Cause::Feature(n))
    });
    let grams = LEARNED_IN_READING * analysis.learned.grams[dimension as usize] * slope;
    let causes = || features.clone().chain([(grams, Cause::Grams)]).enumerate();
    let Some((first, told)) = strongest(causes().filter(|(_, c)| c.0.abs() >= POINTS_MIN)) else {
        return;
    };
    let further = strongest(causes().filter(|(n, (points, cause))| {
        *n != first && points.abs() >= FURTHER_POINTS_MIN && !is_little(analysis, *cause)
    }));
    for (points, cause) in [Some(told), further.map(|(_, cause)| cause)].into_iter().flatten() {
        evidence.push(match cause {
            Cause::Feature(n) => of_feature(analysis, n, points),
            Cause::Grams => of_grams(analysis, dimension, points),
        });
    }
}

/// The cause that moves most, the first of several, with its place.
fn strongest(causes: impl Iterator<Item = (usize, (f32, Cause))>) -> Option<(usize, (f32, Cause))> {
    causes.reduce(|most, next| if next.1.0.abs() > most.1.0.abs() { next } else { most })
}

/// Whether a feature moves its dimension by what the item lacks.
fn is_little(analysis: &Analysis, cause: Cause) -> bool {
    let Cause::Feature(n) = cause else { return false };
    let spec = &analysis.family.specs()[n];
    analysis.z[n] < 0.0 || spec.slot != NO_SLOT && analysis.spans[usize::from(spec.slot)].is_none()
}

fn of_feature(analysis: &Analysis, n: usize, points: f32) -> Finding {
    let spec = &analysis.family.specs()[n];
    let little = is_little(analysis, Cause::Feature(n));
    let span =
        if little || spec.slot == NO_SLOT { None } else { analysis.spans[usize::from(spec.slot)] };
    Finding {
        code: Cow::Borrowed(spec.code),
        points: points.clamp(-100.0, 100.0),
        span: analysis.place(span),
        text: Some(said(analysis, spec, span, little)),
    }
}

fn of_grams(analysis: &Analysis, dimension: Dimension, points: f32) -> Finding {
    let facet = dimension as usize;
    let (start, end) = analysis.learned.places[facet][usize::from(points > 0.0)];
    Finding {
        code: Cow::Borrowed("learned.words"),
        points: points.clamp(-100.0, 100.0),
        span: analysis.place((start < end).then_some((start, end))),
        text: Some(wording(analysis, facet, points > 0.0)),
    }
}

/// What the n-grams of a facet say, with the one that says most.
fn wording(analysis: &Analysis, facet: usize, good: bool) -> Cow<'static, str> {
    let (start, end) = analysis.learned.places[facet][usize::from(good)];
    let kind = if good { "good" } else { "bad" };
    let quote = analysis.item.text().get(start..end).unwrap_or_default();
    let quote = crate::item::cut(quote, QUOTE_BYTES_MAX);
    if quote.is_empty() {
        format!("is worded like {kind} items of its kind").into()
    } else {
        format!("is worded like {kind} items of its kind: {quote:?}").into()
    }
}

fn said(
    analysis: &Analysis,
    spec: &'static Spec,
    span: Option<(usize, usize)>,
    little: bool,
) -> Cow<'static, str> {
    match span {
        Some((start, end)) if start < end => {
            let quote = analysis.item.text().get(start..end).unwrap_or_default();
            let quote = crate::item::cut(quote, QUOTE_BYTES_MAX);
            format!("{}: {quote:?}", spec.about).into()
        }
        _ if little => spec.little.into(),
        _ => spec.about.into(),
    }
}

/// What decided most, the strongest first: what pulls to where the evidence points, by its part of the logit. What an item
/// lacks is no reason that anybody could look up.
fn deciding(analysis: &Analysis) -> Vec<Cow<'static, str>> {
    let learned = &analysis.learned;
    let direction = learned.logit.signum();
    let features = learned.features.iter().enumerate().map(|(n, part)| (*part, Cause::Feature(n)));
    let grams = (learned.grams.iter().sum(), Cause::Grams);
    let mut causes: Vec<(f32, Cause)> = features
        .chain([grams])
        .map(|(part, cause)| (part * direction * weight(analysis, cause), cause))
        .filter(|(part, cause)| *part > 0.0 && !is_little(analysis, *cause))
        .collect();
    causes.sort_by(|a, b| b.0.total_cmp(&a.0));
    let least = causes.first().map_or(0.0, |(part, _)| part * DECIDING_SHARE_MIN);
    let mut reasons = analysis.checks.reasons(analysis.item.text(), direction);
    let told = causes.into_iter().filter(|(part, _)| *part >= least);
    reasons.extend(told.map(|(_, cause)| match cause {
        Cause::Feature(n) => {
            let spec = &analysis.family.specs()[n];
            let span =
                if spec.slot == NO_SLOT { None } else { analysis.spans[usize::from(spec.slot)] };
            said(analysis, spec, span, false)
        }
        Cause::Grams => wording(analysis, strongest_grams(learned, direction), direction > 0.0),
    }));
    reasons.truncate(DECIDING_MAX);
    reasons
}

/// How much a reason counts to a reader: what cannot be pointed at counts less.
fn weight(analysis: &Analysis, cause: Cause) -> f32 {
    const NOWHERE: f32 = 0.5;
    match cause {
        Cause::Feature(n) if analysis.family.specs()[n].slot == NO_SLOT => NOWHERE,
        Cause::Feature(_) | Cause::Grams => 1.0,
    }
}

/// The dimension whose n-grams tell most in that direction.
fn strongest_grams(learned: &Learned, direction: f32) -> usize {
    let grams = learned.grams.iter().map(|part| part * direction);
    grams.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(facet, _)| facet)
}

/// What the evidence says of the item as a whole, with what decided it.
fn whole(analysis: &Analysis, points: f32) -> Finding {
    let text = analysis.whole.get_or_init(|| {
        let mut text = String::from("as a whole");
        for (n, reason) in deciding(analysis).iter().enumerate() {
            text.push_str(if n == 0 { ": " } else { "; " });
            text.push_str(reason);
        }
        text
    });
    Finding { code: Cow::Borrowed("whole"), points, span: None, text: Some(text.clone().into()) }
}
