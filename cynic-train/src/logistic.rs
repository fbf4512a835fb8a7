//! Logistic regression over features and n-grams, by stochastic gradient descent with adaptive steps.
//!
//! The rubric's own weights are the prior: without evidence a weight stays where the rubric put it.

use cynic_judge::spec::Norm;
use cynic_judge::{BUCKETS, Family};

/// Passes over the data.
const PASSES: usize = 14;
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
    /// How much each head takes part.
    pub mixture: [f32; 3],
}

/// One side of a pair: features, n-grams, mixture.
type Side<'a> = (&'a [f32], &'a [(u32, f32)], [f32; 3]);

/// A pair as the optimiser sees it.
pub struct Preference<'a> {
    /// The better one.
    pub better: Side<'a>,
    /// The other.
    pub worse: Side<'a>,
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
        _ => 2e-3,
    }
}

/// Step of n-grams: small where there is little data or its words are of topics that do not return.
fn gram_step(family: Family, head: usize) -> f32 {
    match (family, head) {
        (Family::Text, 0) => 0.25,
        (Family::Text, 2) => 0.002,
        _ => 0.15,
    }
}

impl Training {
    fn new(family: Family, head: usize) -> Training {
        let specs = family.specs();
        let prior: Vec<f32> = specs.iter().map(|spec| spec.risk[head]).collect();
        Training {
            parts: Parts { bias: 0.0, dense: prior.clone(), grams: vec![0.0; BUCKETS] },
            prior,
            free: specs.iter().map(|spec| spec.norm != Norm::Fixed).collect(),
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

/// Trains the heads of a family together: each item's logit is the mixture of theirs.
pub fn fit(family: Family, examples: &[Example<'_>], pairs: &[Preference<'_>]) -> Vec<Parts> {
    let heads = family.heads().len();
    let mut training: Vec<Training> = (0..heads).map(|head| Training::new(family, head)).collect();
    let mut places: Vec<usize> = (0..examples.len() + pairs.len()).collect();
    let mut shuffle = Shuffle(0x9e37_79b9_7f4a_7c15);
    for _ in 0..PASSES {
        shuffle.shuffle(&mut places);
        for place in &places {
            match examples.get(*place) {
                Some(example) => learn(&mut training, example),
                None => prefer(&mut training, &pairs[*place - examples.len()]),
            }
        }
    }
    training.into_iter().map(|head| head.parts).collect()
}

fn mixed(training: &[Training], (z, grams, mixture): Side<'_>) -> f32 {
    let parts = training.iter().zip(mixture).filter(|(_, part)| *part > 0.02);
    parts.map(|(head, part)| part * head.parts.sum(z, grams)).sum()
}

fn learn(training: &mut [Training], example: &Example<'_>) {
    let logit = mixed(training, (example.z, example.grams, example.mixture));
    let error = (sigmoid(logit) - f32::from(u8::from(example.good))) * example.weight;
    for (head, part) in training.iter_mut().zip(example.mixture) {
        if part > 0.02 {
            head.step(error * part, example.z, example.grams, true);
        }
    }
}

fn prefer(training: &mut [Training], pair: &Preference<'_>) {
    let difference = mixed(training, pair.better) - mixed(training, pair.worse);
    let error = (sigmoid(difference) - 1.0) * PAIR_WEIGHT;
    for (sign, (z, grams, mixture)) in [(1.0, pair.better), (-1.0, pair.worse)] {
        for (head, part) in training.iter_mut().zip(mixture) {
            if part > 0.02 {
                head.step(sign * error * part, z, grams, false);
            }
        }
    }
}

/// Multinomial regression of an item's head on its features; the last weight of a row is its bias.
pub fn softmax(rows: &[(&[f32], usize, f32)], heads: usize) -> Vec<Vec<f32>> {
    let features = rows.first().map_or(0, |row| row.0.len());
    let mut weights = vec![vec![0.0_f32; features + 1]; heads];
    let mut squares = vec![vec![1e-4_f32; features + 1]; heads];
    let mut count = vec![0.0_f32; heads];
    for (_, label, weight) in rows {
        count[*label] += weight;
    }
    let all: f32 = count.iter().sum();
    let mut places: Vec<usize> = (0..rows.len()).collect();
    let mut shuffle = Shuffle(0x1234_5678_9abc_def1);
    for _ in 0..PASSES {
        shuffle.shuffle(&mut places);
        for place in &places {
            let (z, label, weight) = rows[*place];
            let balance = (all / (heads as f32 * count[label])).sqrt() * weight;
            let logits: Vec<f32> = weights
                .iter()
                .map(|row| row[features] + row.iter().zip(z).map(|(w, z)| w * z).sum::<f32>())
                .collect();
            let most = logits.iter().copied().fold(f32::MIN, f32::max);
            let total: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
            for head in 0..heads {
                let likely = (logits[head] - most).exp() / total;
                let error = (likely - f32::from(u8::from(head == label))) * balance;
                for n in 0..=features {
                    let slope = error * z.get(n).copied().unwrap_or(1.0) + 1e-3 * weights[head][n];
                    squares[head][n] += slope * slope;
                    weights[head][n] -= DENSE_STEP * slope / squares[head][n].sqrt().max(0.05);
                }
            }
        }
    }
    weights
}

/// Stretches and shifts the heads' sums (made on items that they were not trained on) so that their
/// mixture is a logit of being good. Gradient descent on two numbers a head.
pub fn calibrate(rows: &[(&[f32], [f32; 3], bool)], heads: usize) -> Vec<(f32, f32)> {
    const ROUNDS: usize = 400;
    let mut scales = vec![(1.0_f32, 0.0_f32); heads];
    let used = rows.iter().filter(|(sums, _, _)| sums.len() == heads);
    let rows: Vec<_> = used.collect();
    let mut mass = vec![1.0_f32; heads];
    for (_, mixture, _) in &rows {
        mass.iter_mut().zip(mixture).for_each(|(mass, part)| *mass += part);
    }
    for _ in 0..ROUNDS {
        let mut slopes = vec![(0.0_f32, 0.0_f32); heads];
        for (sums, mixture, good) in &rows {
            let logit: f32 = (0..heads)
                .map(|head| mixture[head] * (scales[head].0 * sums[head] + scales[head].1))
                .sum();
            let error = sigmoid(logit) - f32::from(u8::from(*good));
            for head in 0..heads {
                slopes[head].0 += error * mixture[head] * sums[head];
                slopes[head].1 += error * mixture[head];
            }
        }
        for head in 0..heads {
            // A head that saw little stays as it was.
            scales[head].0 -= 0.3 * slopes[head].0 / (mass[head] + 50.0);
            scales[head].1 -= 0.5 * slopes[head].1 / (mass[head] + 50.0);
            scales[head].0 = scales[head].0.clamp(0.2, 2.0);
        }
    }
    scales
}
