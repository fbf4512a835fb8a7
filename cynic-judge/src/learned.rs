//! The learned evidence of one item: what its features and n-grams add up to, and each dimension's share.

use crate::facets::FACETS;
use crate::family::Family;
use crate::spec::{HEADS, Norm, Span};
use crate::text::scan::{Grams, ORDER_FACET};
use crate::weights::FamilyWeights;

/// N-grams from which a longer item is averaged rather than added up: about 60 words. Below it the sum
/// grows with the root of the length, as the evidence does.
pub(crate) const GRAMS_FULL: f32 = 512.0;
/// Sharpens the mixture: most items are of one domain, and a little of a wrong head does much harm.
const SHARPNESS: f32 = 2.0;
/// Farthest that one feature is believed, in spreads.
const FEATURE_MAX: f32 = 3.0;

/// What the sum of n-gram weights is divided by.
pub(crate) fn gram_norm(grams: u32) -> f32 {
    let grams = (grams as f32).max(1.0);
    if grams <= GRAMS_FULL { grams.sqrt() } else { grams / GRAMS_FULL.sqrt() }
}

/// A feature's value made comparable.
pub(crate) fn normalise(weights: &FamilyWeights, family: Family, values: &[f32]) -> Vec<f32> {
    let stats = weights.mean.iter().zip(&weights.spread);
    let specs = family.specs().iter().zip(values).zip(stats);
    specs
        .map(|((spec, value), (mean, spread))| match spec.norm {
            Norm::Learned => ((value - mean) / spread).clamp(-FEATURE_MAX, FEATURE_MAX),
            Norm::Count | Norm::Fixed => value.clamp(-FEATURE_MAX, FEATURE_MAX),
        })
        .collect()
}

/// Adds up the weights of n-grams while they are read.
pub(crate) struct Sum<'w> {
    weights: &'w FamilyWeights,
    pub(crate) total: u32,
    pub(crate) by_facet: [[i32; 4]; FACETS],
    /// The n-gram that told most for each facet: how much, and where it is.
    pub(crate) strongest: [(i32, Span); FACETS],
}

impl<'w> Sum<'w> {
    pub(crate) fn new(weights: &'w FamilyWeights) -> Sum<'w> {
        Sum { weights, total: 0, by_facet: [[0; 4]; FACETS], strongest: [(0, (0, 0)); FACETS] }
    }
}

impl Grams for Sum<'_> {
    #[inline]
    fn gram(&mut self, hash: u64, facet: u8, token: Span) {
        if facet == ORDER_FACET {
            return;
        }
        self.total += 1;
        let row = self.weights.row(hash);
        let facet = usize::from(facet) % FACETS;
        let sum = &mut self.by_facet[facet];
        let mut told = 0;
        for (sum, weight) in sum.iter_mut().zip(row) {
            *sum += i32::from(*weight);
            told = told.max(i32::from(weight.unsigned_abs()));
        }
        let strongest = &mut self.strongest[facet];
        if told > strongest.0 {
            *strongest = (told, token);
        }
    }
}

/// What the evidence says of an item.
#[derive(Debug, Clone)]
pub(crate) struct Learned {
    /// How much each head's domain takes part; they add up to one.
    pub(crate) mixture: [f32; HEADS],
    /// Logit of being good, zero where good and bad are equally likely.
    pub(crate) logit: f32,
    /// The same by the rubric's own weights alone.
    pub(crate) rules: f32,
    /// Part of the logit that comes from each feature.
    pub(crate) features: Vec<f32>,
    /// Part of the logit that comes from the n-grams of each facet.
    pub(crate) grams: [f32; FACETS],
    /// Where the strongest n-gram of each facet is.
    pub(crate) places: [Span; FACETS],
}

/// Adds the evidence up.
pub(crate) fn weigh(
    weights: &FamilyWeights,
    family: Family,
    z: &[f32],
    sum: &Sum<'_>,
    mixture: [f32; HEADS],
) -> Learned {
    let norm = gram_norm(sum.total);
    let mut features = vec![0.0; z.len()];
    let mut grams = [0.0; FACETS];
    let (mut logit, mut rules) = (0.0, 0.0);
    for (n, (head, part)) in weights.heads.iter().zip(mixture).enumerate() {
        logit += part * (head.bias * head.stretch + head.shift);
        let stretch = part * head.stretch;
        for ((feature, weight), z) in features.iter_mut().zip(&head.dense).zip(z) {
            *feature += stretch * weight * z;
        }
        let step = stretch * head.gram_scale / norm;
        for (gram, sum) in grams.iter_mut().zip(&sum.by_facet) {
            *gram += step * sum[n] as f32;
        }
        for (spec, z) in family.specs().iter().zip(z) {
            rules += part * spec.risk[n] * z;
        }
    }
    logit += features.iter().sum::<f32>() + grams.iter().sum::<f32>();
    Learned { mixture, logit, rules, features, grams, places: sum.strongest.map(|(_, span)| span) }
}

/// How likely each head's domain is, by the features: a softmax.
pub(crate) fn mix(weights: &FamilyWeights, z: &[f32]) -> [f32; HEADS] {
    let mut mixture = [0.0; HEADS];
    if weights.router.is_empty() {
        mixture[0] = 1.0;
        return mixture;
    }
    for (likely, router) in mixture.iter_mut().zip(&weights.router) {
        let bias = router.last().copied().unwrap_or(0.0);
        *likely = bias + router.iter().zip(z).map(|(weight, z)| weight * z).sum::<f32>();
    }
    let most = mixture.iter().copied().fold(f32::MIN, f32::max);
    mixture = mixture.map(|likely| (SHARPNESS * (likely - most)).exp());
    let sum: f32 = mixture.iter().sum();
    mixture.map(|likely| likely / sum)
}
