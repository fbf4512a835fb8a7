//! The learned evidence of one item: what its features and n-grams add up to, and each dimension's share.

use cynic_proto::model::Domain;

use crate::facets::FACETS;
use crate::family::Family;
use crate::spec::{ABUSE, DOMAINS, HEADS, Norm, SOCIAL, Span, Spec};
use crate::text::scan::{Grams, ORDER_FACET};
use crate::weights::FamilyWeights;

/// N-grams from which a longer item is averaged rather than added up: about 60 words. Below it the sum
/// grows with the root of the length, as the evidence does.
const GRAMS_FULL: f32 = 512.0;
/// Columns of a row of n-gram weights: one for each head, and one for the router.
pub(crate) const ROW: usize = HEADS + 1;
/// Farthest that one head is believed: beyond it nothing is more certain.
const LOGIT_MAX: f32 = 14.0;
/// A head with a smaller share moves nothing that anybody would see.
const SHARE_MIN: f32 = 1e-3;
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
            Norm::Learned | Norm::Neutral => {
                ((value - mean) / spread).clamp(-FEATURE_MAX, FEATURE_MAX)
            }
            Norm::Count | Norm::Fixed => value.clamp(-FEATURE_MAX, FEATURE_MAX),
        })
        .collect()
}

/// Adds up the weights of n-grams while they are read.
pub(crate) struct Sum<'w> {
    weights: &'w FamilyWeights,
    pub(crate) total: u32,
    /// Sum of the router's weights.
    pub(crate) routed: i32,
    /// Sums of the heads' weights by facet.
    pub(crate) by_facet: [[i32; HEADS]; FACETS],
    /// For each facet the n-grams that told most against the item and for it: how much, and where they are.
    pub(crate) strongest: [[(i32, Span); 2]; FACETS],
}

impl<'w> Sum<'w> {
    pub(crate) fn new(weights: &'w FamilyWeights) -> Sum<'w> {
        Sum {
            weights,
            total: 0,
            routed: 0,
            by_facet: [[0; HEADS]; FACETS],
            strongest: [[(0, (0, 0)); 2]; FACETS],
        }
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
        for (sum, weight) in sum.iter_mut().zip(row) {
            *sum += i32::from(weight);
        }
        self.routed += i32::from(row[HEADS]);
        let told: i32 = row[..HEADS].iter().map(|weight| i32::from(*weight)).sum();
        let strongest = &mut self.strongest[facet][usize::from(told > 0)];
        if told.abs() > strongest.0 {
            *strongest = (told.abs(), token);
        }
    }
}

/// What the evidence says of an item.
#[derive(Debug, Clone)]
pub(crate) struct Learned {
    /// How much each domain takes part; they add up to one.
    pub(crate) mixture: [f32; DOMAINS],
    /// Logit of being good, zero where good and bad are equally likely.
    pub(crate) logit: f32,
    /// The same by the rubric's own weights alone.
    pub(crate) rules: f32,
    /// Part of the logit that comes from each feature.
    pub(crate) features: Vec<f32>,
    /// Part of the logit that comes from the n-grams of each facet.
    pub(crate) grams: [f32; FACETS],
    /// Where the n-gram is that told most against the item and for it, by facet.
    pub(crate) places: [[Span; 2]; FACETS],
}

/// Adds the evidence up. A domain that is said takes all; otherwise each head takes part as far as it is likely.
pub(crate) fn weigh(
    weights: &FamilyWeights,
    family: Family,
    z: &[f32],
    sum: &Sum<'_>,
    said: Option<Domain>,
) -> Learned {
    let norm = gram_norm(sum.total);
    let mut logits = [0.0; HEADS];
    for (n, head) in weights.heads.iter().enumerate() {
        let dense: f32 = head.dense.iter().zip(z).map(|(weight, z)| weight * z).sum();
        let grams: i32 = sum.by_facet.iter().map(|row| row[n]).sum();
        let all = head.bias + dense + head.gram_scale * grams as f32 / norm;
        logits[n] = all * head.stretch + head.shift;
    }
    let mixture = mixture(weights, family, z, routed(weights, sum), &logits, said);
    let shares = shares(family, &mixture, &logits);
    let logit = weights.stretch * mixed(&logits, &shares) + weights.shift;
    let shares = shares.map(|share| share * weights.stretch);
    let mut features = vec![0.0; z.len()];
    let mut grams = [0.0; FACETS];
    let mut rules = 0.0;
    for (n, (head, share)) in weights.heads.iter().zip(shares).enumerate() {
        if share < SHARE_MIN {
            continue;
        }
        let stretch = share * head.stretch;
        for ((feature, weight), z) in features.iter_mut().zip(&head.dense).zip(z) {
            *feature += stretch * weight * z;
        }
        let step = stretch * head.gram_scale / norm;
        for (gram, sum) in grams.iter_mut().zip(&sum.by_facet) {
            *gram += step * sum[n] as f32;
        }
        for (spec, z) in family.specs().iter().zip(z) {
            rules += share * spec.risk[n] * z;
        }
    }
    Learned {
        mixture,
        logit,
        rules,
        features,
        grams,
        places: sum.strongest.map(|both| both.map(|(_, span)| span)),
    }
}

/// How many logits the head for abuse must have against a message, and more than the other has, to be heard as much as
/// the other: what it never met it takes for abuse a little too soon.
const ABUSE_HELD_BACK: f32 = 1.0;

/// How much of the messages' part the head for abuse takes: the more, the more it has against the item beside what the
/// other has. A message is about as bad as the worse of what is found in it, and no better for being no abuse.
fn abuse_share(family: Family, logits: &[f32; HEADS]) -> f32 {
    if family.heads() <= ABUSE {
        return 0.0;
    }
    let other = logits[SOCIAL].clamp(-LOGIT_MAX, 0.0);
    let abuse = logits[ABUSE].clamp(-LOGIT_MAX, LOGIT_MAX);
    1.0 / (1.0 + libm::expf(abuse - other + ABUSE_HELD_BACK))
}

/// How much each head takes part, given how much each domain does.
pub(crate) fn shares(
    family: Family,
    mixture: &[f32; DOMAINS],
    logits: &[f32; HEADS],
) -> [f32; HEADS] {
    let mut shares = [0.0; HEADS];
    shares[..DOMAINS].copy_from_slice(mixture);
    let abuse = mixture[SOCIAL] * abuse_share(family, logits);
    shares[SOCIAL] -= abuse;
    shares[ABUSE] = abuse;
    shares
}

/// The logit of a mixture of heads: each counts as far as it takes part.
pub(crate) fn mixed(logits: &[f32; HEADS], shares: &[f32; HEADS]) -> f32 {
    let parts = logits.iter().zip(shares);
    parts.map(|(logit, part)| part * logit.clamp(-LOGIT_MAX, LOGIT_MAX)).sum()
}

/// What the rubric alone decides and holds to be this bad (logits) is severe: a planted instruction, a ruinous command.
/// Shouting is not.
const SEVERE_RISK: f32 = -1.5;

fn is_severe(spec: &Spec) -> bool {
    spec.norm == Norm::Fixed && spec.risk.iter().any(|risk| *risk <= SEVERE_RISK)
}

/// What speaks against an item of what is severe (logits).
pub(crate) fn severe(family: Family, learned: &Learned) -> f32 {
    let parts = family.specs().iter().zip(&learned.features);
    parts.filter(|(spec, part)| is_severe(spec) && **part < 0.0).map(|(_, part)| part).sum()
}

/// The same by the rubric alone, of a part of an item that has a family of its own.
pub(crate) fn severe_risk(family: Family, values: &[f32]) -> f32 {
    let severe = family.specs().iter().zip(values).filter(|(spec, _)| is_severe(spec));
    severe.map(|(spec, value)| spec.risk[0] * value.clamp(0.0, FEATURE_MAX)).sum()
}

/// What an item's n-grams say for the last head's domain (logits).
fn routed(weights: &FamilyWeights, sum: &Sum<'_>) -> f32 {
    weights.router_gram_scale * sum.routed as f32 / gram_norm(sum.total)
}

/// How much more likely a domain is for each logit by which its head holds the item to be bad: who dresses spam or
/// an instruction up as an argument is not heard as one.
const ALARM: f32 = 0.5;

/// How much each head takes part: all where the domain is said, else how likely it is by the features, by what the
/// n-grams say for the last one (`routed`), and by what its head has against the item. A softmax.
pub(crate) fn mixture(
    weights: &FamilyWeights,
    family: Family,
    z: &[f32],
    routed: f32,
    logits: &[f32; HEADS],
    said: Option<Domain>,
) -> [f32; DOMAINS] {
    let mut mixture = [0.0; DOMAINS];
    let known = said.and_then(|domain| family.domains().iter().position(|own| *own == domain));
    if let Some(head) = known.or(weights.router.is_empty().then_some(0)) {
        mixture[head] = 1.0;
        return mixture;
    }
    for (likely, router) in mixture.iter_mut().zip(&weights.router) {
        let bias = router.last().copied().unwrap_or(0.0);
        *likely = bias + router.iter().zip(z).map(|(weight, z)| weight * z).sum::<f32>();
    }
    let (argument, others) = mixture.split_last_mut().expect("there is a head");
    *argument += routed;
    let abuse = abuse_share(family, logits);
    let message = logits[SOCIAL] + abuse * (logits[ABUSE] - logits[SOCIAL]);
    for (likely, logit) in others.iter_mut().zip([message, logits[1]]) {
        *likely += ALARM * (-logit).clamp(0.0, LOGIT_MAX);
    }
    let most = mixture.iter().copied().fold(f32::MIN, f32::max);
    mixture = mixture.map(|likely| libm::expf(likely - most));
    let sum: f32 = mixture.iter().sum();
    mixture.map(|likely| likely / sum)
}
