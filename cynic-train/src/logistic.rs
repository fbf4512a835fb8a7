//! Logistic regression over features and n-grams, by stochastic gradient descent with adaptive steps.
//!
//! The rubric's own weights are the prior: without evidence a weight stays where the rubric put it.

use cynic_judge::spec::{ABUSE, Norm, SOCIAL};
use cynic_judge::{BUCKETS, Family};

/// Passes over the data with features only: what can be said by features is, because n-grams know the words
/// of the sets and features know their kind.
const DENSE_PASSES: usize = 8;
/// Passes over the data with features and n-grams.
const PASSES: usize = 10;
/// Step of features.
const DENSE_STEP: f32 = 0.06;
/// Pull of an n-gram's weight to zero.
const GRAM_PULL: f32 = 4e-3;
/// A weight that the rubric sets this far from zero keeps its sign and much of its size: what is known is
/// not unlearned from data that happen to lack it.
const BOUND_FROM: f32 = 0.3;
/// Least and most that training makes of such a weight.
const BOUNDS: (f32, f32) = (0.8, 3.0);
/// How much one pair counts beside one item.
const PAIR_WEIGHT: f32 = 0.35;

/// An item as the optimiser sees it.
pub struct Example<'a> {
    /// Features.
    pub z: &'a [f32],
    /// Buckets of n-grams with their parts.
    pub grams: &'a [(u32, f32)],
    /// Good or bad.
    pub good: bool,
    /// How much it counts.
    pub weight: f32,
}

/// One side of a pair: features, n-grams.
type Side<'a> = (&'a [f32], &'a [(u32, f32)]);

/// A pair as the optimiser sees it.
pub struct Preference<'a> {
    /// The better one.
    pub better: Side<'a>,
    /// The other.
    pub worse: Side<'a>,
    /// How much it counts.
    pub weight: f32,
}

/// A trained head.
#[derive(Clone)]
pub struct Parts {
    /// Added to every sum.
    pub bias: f32,
    /// Weights of features.
    pub dense: Vec<f32>,
    /// Weights of buckets.
    pub grams: Vec<f32>,
}

impl Parts {
    /// The logit of an item.
    pub fn sum(&self, z: &[f32], grams: &[(u32, f32)]) -> f32 {
        let dense: f32 = self.dense.iter().zip(z).map(|(weight, z)| weight * z).sum();
        let grams: f32 =
            grams.iter().map(|(bucket, part)| self.grams[*bucket as usize] * part).sum();
        self.bias + dense + grams
    }
}

/// One head in training: weights and the squares of their steps so far.
struct Training {
    parts: Parts,
    prior: Vec<f32>,
    free: Vec<bool>,
    dense_squares: Vec<f32>,
    gram_squares: Vec<f32>,
    bias_squares: f32,
    gram_step: f32,
    dense_pull: f32,
}

/// Pull of a feature's weight to its prior.
fn dense_pull(family: Family, head: usize) -> f32 {
    match (family, head) {
        (Family::Text, 2) => 8e-3,
        (Family::Text, SOCIAL | ABUSE) => 4e-3,
        _ => 2e-3,
    }
}

/// Step of n-grams: small where there is little data or its words are of topics that do not return.
fn gram_step(family: Family, head: usize) -> f32 {
    match (family, head) {
        (Family::Text, SOCIAL | ABUSE) => 0.15,
        (Family::Text, 2) => 0.002,
        _ => 0.12,
    }
}

impl Training {
    fn new(family: Family, head: usize) -> Training {
        let specs = family.specs();
        let prior: Vec<f32> = specs.iter().map(|spec| spec.risk[head]).collect();
        Training {
            parts: Parts { bias: 0.0, dense: prior.clone(), grams: vec![0.0; BUCKETS] },
            prior,
            free: specs
                .iter()
                .map(|spec| !matches!(spec.norm, Norm::Fixed | Norm::Neutral))
                .collect(),
            dense_squares: vec![1e-4; specs.len()],
            gram_squares: vec![1e-4; BUCKETS],
            bias_squares: 1e-4,
            gram_step: gram_step(family, head),
            dense_pull: dense_pull(family, head),
        }
    }

    /// One step down the slope `error` of the loss.
    fn step(&mut self, error: f32, z: &[f32], grams: &[(u32, f32)], biased: bool) {
        let parts = &mut self.parts;
        for (n, value) in z.iter().enumerate() {
            if !self.free[n] {
                continue;
            }
            let slope = error * value + self.dense_pull * (parts.dense[n] - self.prior[n]);
            self.dense_squares[n] += slope * slope;
            parts.dense[n] -= DENSE_STEP * slope / self.dense_squares[n].sqrt().max(0.05);
            if self.prior[n].abs() >= BOUND_FROM {
                let (a, b) = (self.prior[n] * BOUNDS.0, self.prior[n] * BOUNDS.1);
                parts.dense[n] = parts.dense[n].clamp(a.min(b), a.max(b));
            }
        }
        for (bucket, part) in grams {
            let n = *bucket as usize;
            let slope = error * part + GRAM_PULL * part * parts.grams[n];
            self.gram_squares[n] += slope * slope;
            parts.grams[n] -= self.gram_step * slope / self.gram_squares[n].sqrt().max(0.05);
        }
        if biased {
            self.bias_squares += error * error;
            parts.bias -= DENSE_STEP * error / self.bias_squares.sqrt();
        }
    }

    fn learn(&mut self, example: &Example<'_>, with_grams: bool) {
        let grams = if with_grams { example.grams } else { &[] };
        let logit = self.parts.sum(example.z, grams);
        let error = (sigmoid(logit) - f32::from(u8::from(example.good))) * example.weight;
        self.step(error, example.z, grams, true);
    }

    fn prefer(&mut self, pair: &Preference<'_>, with_grams: bool) {
        let sides = [pair.better, pair.worse].map(|(z, grams)| {
            let grams: &[(u32, f32)] = if with_grams { grams } else { &[] };
            (z, grams)
        });
        let [better, worse] = sides.map(|(z, grams)| self.parts.sum(z, grams));
        let error = (sigmoid(better - worse) - 1.0) * PAIR_WEIGHT * pair.weight;
        for (sign, (z, grams)) in [1.0, -1.0].into_iter().zip(sides) {
            self.step(sign * error, z, grams, false);
        }
    }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// A generator of shuffles: xorshift, so that the same data gives the same order everywhere.
struct Shuffle(u64);

impl Shuffle {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    fn shuffle(&mut self, places: &mut [usize]) {
        for n in (1..places.len()).rev() {
            places.swap(n, self.next(n + 1));
        }
    }
}

/// Trains one head of a family on items and, where there are any, on pairs.
pub fn fit(
    family: Family,
    head: usize,
    examples: &[Example<'_>],
    pairs: &[Preference<'_>],
) -> Parts {
    let mut training = Training::new(family, head);
    let mut places: Vec<usize> = (0..examples.len() + pairs.len()).collect();
    let mut shuffle = Shuffle(0x9e37_79b9_7f4a_7c15);
    for pass in 0..DENSE_PASSES + PASSES {
        let grams = pass >= DENSE_PASSES;
        shuffle.shuffle(&mut places);
        for place in &places {
            match examples.get(*place) {
                Some(example) => training.learn(example, grams),
                None => training.prefer(&pairs[*place - examples.len()], grams),
            }
        }
    }
    training.parts
}

/// An item as the router sees it.
pub struct Routed<'a> {
    /// Features.
    pub z: Vec<f32>,
    /// Buckets of n-grams with their parts.
    pub grams: &'a [(u32, f32)],
    /// The head of its domain.
    pub head: usize,
    /// How much it counts.
    pub weight: f32,
}

/// Passes over the data for the router, which has more of it.
const ROUTER_PASSES: usize = 8;

/// A trained router.
pub struct Router {
    /// For each head the weights of features, and last a bias.
    pub dense: Vec<Vec<f32>>,
    /// For the last head the weights of buckets.
    pub grams: Vec<f32>,
}

/// Passes with n-grams after those without.
const ROUTER_GRAM_PASSES: usize = 4;
/// Step of the router's n-grams.
const ROUTER_GRAM_STEP: f32 = 0.35;

/// Multinomial regression of an item's head on its features and, for the last head only, on its n-grams: arguments
/// and chat share most features, and not their turns of phrase.
pub fn route(rows: &[Routed<'_>], heads: usize) -> Router {
    let mut grams = vec![0.0_f32; BUCKETS];
    let mut gram_squares = vec![1e-4_f32; BUCKETS];
    let features = rows.first().map_or(0, |row| row.z.len());
    let mut dense = vec![vec![0.0_f32; features + 1]; heads];
    let mut dense_squares = vec![vec![1e-4_f32; features + 1]; heads];
    let mut count = vec![0.0_f32; heads];
    for row in rows {
        count[row.head] += row.weight;
    }
    let all: f32 = count.iter().sum();
    let mut places: Vec<usize> = (0..rows.len()).collect();
    let mut shuffle = Shuffle(0x1234_5678_9abc_def1);
    for pass in 0..ROUTER_PASSES + ROUTER_GRAM_PASSES {
        let worded = pass >= ROUTER_PASSES;
        shuffle.shuffle(&mut places);
        for place in &places {
            let row = &rows[*place];
            let balance = (all / (heads as f32 * count[row.head])).sqrt() * row.weight;
            let mut logits: Vec<f32> = dense
                .iter()
                .map(|w| w[features] + w.iter().zip(&row.z).map(|(w, z)| w * z).sum::<f32>())
                .collect();
            if worded {
                logits[heads - 1] +=
                    row.grams.iter().map(|(n, part)| grams[*n as usize] * part).sum::<f32>();
            }
            let most = logits.iter().copied().fold(f32::MIN, f32::max);
            let total: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
            for head in 0..heads {
                let likely = (logits[head] - most).exp() / total;
                let error = (likely - f32::from(u8::from(head == row.head))) * balance;
                for n in 0..=features {
                    let slope =
                        error * row.z.get(n).copied().unwrap_or(1.0) + 1e-3 * dense[head][n];
                    dense_squares[head][n] += slope * slope;
                    dense[head][n] -= DENSE_STEP * slope / dense_squares[head][n].sqrt().max(0.05);
                }
                if worded && head == heads - 1 {
                    for (bucket, part) in row.grams {
                        let n = *bucket as usize;
                        let slope = error * part + GRAM_PULL * part * grams[n];
                        gram_squares[n] += slope * slope;
                        grams[n] -= ROUTER_GRAM_STEP * slope / gram_squares[n].sqrt().max(0.05);
                    }
                }
            }
        }
    }
    Router { dense, grams }
}

/// Stretches and shifts a head's sums (made on items that it was not trained on) so that they are logits of
/// being good: what to multiply by, what to add. Gradient descent on two numbers.
pub fn calibrate(rows: &[(f32, bool)]) -> (f32, f32) {
    const ROUNDS: usize = 400;
    /// Items seen in thought, so that a head that saw little stays as it was.
    const SMOOTHING: f32 = 50.0;
    let (mut stretch, mut shift) = (1.0_f32, 0.0_f32);
    let count = rows.len() as f32 + SMOOTHING;
    for _ in 0..ROUNDS {
        let mut slopes = (0.0_f32, 0.0_f32);
        for (sum, good) in rows {
            let error = sigmoid(stretch * sum + shift) - f32::from(u8::from(*good));
            slopes.0 += error * sum;
            slopes.1 += error;
        }
        stretch = (stretch - 0.3 * slopes.0 / count).clamp(0.2, 2.0);
        shift -= 0.5 * slopes.1 / count;
    }
    (stretch, shift)
}
