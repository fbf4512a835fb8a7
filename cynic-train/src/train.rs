//! Trains the learned evidence. Deterministic: same items in the same order, same bytes. Single-threaded.

use cynic_judge::training::{self, Extract, ORDER_CODE};
use cynic_judge::{BUCKETS, Family, FamilyWeights, Head, Weights};
use cynic_proto::model::Domain;

use crate::corpus::{Labelled, Pair, fold_of};
use crate::logistic::{self, Example, Parts, Preference};
use crate::{order, seeds};

/// Parts of the inner split by which the heads are calibrated.
const INNER_FOLDS: u32 = 3;
/// Keeps the inner split from following the outer one.
const INNER_SALT: &str = "inner:";

/// An item ready to be trained on.
struct Prepared {
    extract: Extract,
    /// Features made comparable.
    z: Vec<f32>,
    good: bool,
    /// Which head's domain it belongs to.
    head: usize,
    weight: f32,
    inner: u32,
}

/// A pair ready to be trained on: the better item first.
struct PreparedPair {
    better: (Extract, Vec<f32>),
    worse: (Extract, Vec<f32>),
    inner: u32,
}

/// Trains on items and pairs, and on the project's own seeds. Call it with one fold left out to judge
/// that fold honestly.
pub fn train(items: &[&Labelled], pairs: &[&Pair]) -> Weights {
    let seeds = seeds::items();
    let all: Vec<&Labelled> = items.iter().copied().chain(&seeds).collect();
    let extracts: Vec<(usize, Extract)> = all
        .iter()
        .enumerate()
        .filter_map(|(n, item)| training::extract(&item.item).map(|extract| (n, extract)))
        .collect();
    let order = order::table(extracts.iter().filter(|(n, _)| all[*n].good).map(|(_, e)| e));
    let families = Family::ALL.map(|family| {
        let own: Vec<(&Labelled, Extract)> = extracts
            .iter()
            .filter(|(_, extract)| extract.family == family)
            .map(|(n, extract)| (all[*n], with_order(extract, &order)))
            .collect();
        let pairs = if family == Family::Text { pairs } else { &[] };
        train_family(family, own, pairs, &order)
    });
    let mut weights = Weights { families, order };
    scale_readings(&mut weights, &all);
    weights
}

fn with_order(extract: &Extract, order: &[i8]) -> Extract {
    let mut extract = extract.clone();
    if extract.family == Family::Text
        && let Some(place) = Family::Text.specs().iter().position(|spec| spec.code == ORDER_CODE)
    {
        extract.values[place] = training::order_value(&extract, order);
    }
    extract
}

fn train_family(
    family: Family,
    own: Vec<(&Labelled, Extract)>,
    pairs: &[&Pair],
    order: &[i8],
) -> FamilyWeights {
    let (mean, spread) = moments(family, &own);
    let scaler = FamilyWeights::new(mean.clone(), spread.clone(), Vec::new(), Vec::new());
    let weigh = weights_of_sets(&own);
    let items: Vec<Prepared> = own
        .into_iter()
        .map(|(item, extract)| Prepared {
            z: training::normalise(&scaler, family, &extract.values),
            good: item.good,
            head: head_of(family, item, &extract),
            weight: weigh(item),
            inner: fold_of(&format!("{INNER_SALT}{}", item.group), INNER_FOLDS),
            extract,
        })
        .collect();
    let pairs: Vec<PreparedPair> =
        pairs.iter().filter_map(|pair| prepare_pair(pair, &scaler, order)).collect();
    let router = if family.heads().len() > 1 {
        let rows = items.iter().map(|item| (item.z.as_slice(), item.head, item.weight));
        logistic::softmax(&rows.collect::<Vec<_>>(), family.heads().len())
    } else {
        Vec::new()
    };
    let mixer = FamilyWeights::new(mean.clone(), spread.clone(), Vec::new(), router.clone());
    let mut outside: Vec<Vec<f32>> = vec![Vec::new(); items.len()];
    for inner in 0..INNER_FOLDS {
        let parts = fit(family, &items, &pairs, &mixer, |part| part != inner);
        for (item, sums) in items.iter().zip(&mut outside) {
            if item.inner == inner {
                *sums = parts.iter().map(|part| part.sum(&item.z, &item.extract.grams)).collect();
            }
        }
    }
    let parts = fit(family, &items, &pairs, &mixer, |_| true);
    let mixtures: Vec<[f32; 3]> = items.iter().map(|item| mixture(&mixer, family, item)).collect();
    let rows: Vec<_> = items
        .iter()
        .zip(&outside)
        .zip(&mixtures)
        .map(|((item, sums), mixture)| (sums.as_slice(), *mixture, item.good))
        .collect();
    let calibrated = logistic::calibrate(&rows, parts.len());
    let heads = parts.iter().zip(calibrated).map(|(part, scale)| head(part, scale)).collect();
    FamilyWeights::new(mean, spread, heads, router)
}

fn mixture(mixer: &FamilyWeights, family: Family, item: &Prepared) -> [f32; 3] {
    let mut mixture = [0.0; 3];
    match item.extract.said.and_then(|d| family.heads().iter().position(|head| *head == d)) {
        Some(head) => {
            mixture[head] = 1.0;
            mixture
        }
        None => training::mix(mixer, &item.z),
    }
}

fn fit(
    family: Family,
    items: &[Prepared],
    pairs: &[PreparedPair],
    mixer: &FamilyWeights,
    keep: impl Fn(u32) -> bool,
) -> Vec<Parts> {
    let examples: Vec<Example<'_>> = items
        .iter()
        .filter(|item| keep(item.inner))
        .map(|item| Example {
            z: &item.z,
            grams: &item.extract.grams,
            good: item.good,
            weight: item.weight,
            mixture: mixture(mixer, family, item),
        })
        .collect();
    let preferences: Vec<Preference<'_>> = pairs
        .iter()
        .filter(|pair| keep(pair.inner))
        .map(|pair| Preference {
            better: (&pair.better.1, &pair.better.0.grams, training::mix(mixer, &pair.better.1)),
            worse: (&pair.worse.1, &pair.worse.0.grams, training::mix(mixer, &pair.worse.1)),
        })
        .collect();
    logistic::fit(family, &examples, &preferences)
}

fn prepare_pair(pair: &Pair, scaler: &FamilyWeights, order: &[i8]) -> Option<PreparedPair> {
    let read = |n: usize| {
        let extract = with_order(&training::extract(&pair.items[n])?, order);
        let z = training::normalise(scaler, Family::Text, &extract.values);
        Some((extract, z))
    };
    let (first, second) = (read(0)?, read(1)?);
    let (better, worse) = if pair.first_better { (first, second) } else { (second, first) };
    let inner = fold_of(&format!("{INNER_SALT}{}", pair.group), INNER_FOLDS);
    Some(PreparedPair { better, worse, inner })
}

/// The head of an item: by its type, else by the set that it comes from.
fn head_of(family: Family, item: &Labelled, extract: &Extract) -> usize {
    let domain = extract.said.unwrap_or_else(|| domain_of_set(&item.set));
    family.heads().iter().position(|head| *head == domain).unwrap_or(0)
}

/// What the sets are about; only the trainer knows sets, the judge never does.
fn domain_of_set(set: &str) -> Domain {
    if set.starts_with("inject") || set.starts_with("prompt") {
        Domain::Prompt
    } else if set.starts_with("arg") || set.starts_with("prose") {
        Domain::Prose
    } else {
        Domain::Social
    }
}

/// Sets count by the root of their size, and the rarer label of a set counts more.
fn weights_of_sets(own: &[(&Labelled, Extract)]) -> impl Fn(&Labelled) -> f32 + use<> {
    let mut counts: std::collections::BTreeMap<String, [f32; 2]> =
        std::collections::BTreeMap::new();
    for (item, _) in own {
        counts.entry(item.set.clone()).or_default()[usize::from(item.good)] += 1.0;
    }
    let typical = (own.len() as f32 / counts.len().max(1) as f32).sqrt().max(1.0);
    move |item| {
        let [bad, good] = counts.get(&item.set).copied().unwrap_or([1.0, 1.0]);
        let all = bad + good;
        let label = if item.good { good } else { bad };
        (typical / all.sqrt()) * (all / (2.0 * label)).sqrt()
    }
}

fn moments(family: Family, own: &[(&Labelled, Extract)]) -> (Vec<f32>, Vec<f32>) {
    let features = family.specs().len();
    let count = own.len().max(1) as f64;
    let mut mean = vec![0.0_f64; features];
    let mut square = vec![0.0_f64; features];
    for (_, extract) in own {
        for (n, value) in extract.values.iter().enumerate() {
            mean[n] += f64::from(*value) / count;
            square[n] += f64::from(*value).powi(2) / count;
        }
    }
    let spread = mean.iter().zip(&square).map(|(mean, square)| {
        let variance = (square - mean * mean).max(0.0);
        if variance > 1e-9 { variance.sqrt() as f32 } else { 1.0 }
    });
    let spread = spread.collect();
    (mean.into_iter().map(|mean| mean as f32).collect(), spread)
}

fn head(parts: &Parts, (stretch, shift): (f32, f32)) -> Head {
    /// Steps of a weight of one byte.
    const STEPS: f32 = 127.0;
    let most = parts.grams.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
    let step = if most > 0.0 { most / STEPS } else { 1.0 };
    let mut grams = vec![0_i8; BUCKETS];
    for (stored, weight) in grams.iter_mut().zip(&parts.grams) {
        *stored = (weight / step).round() as i8;
    }
    Head { bias: parts.bias, dense: parts.dense.clone(), gram_scale: step, grams, stretch, shift }
}

/// Centres and scales each dimension's reading by what the training items give.
fn scale_readings(weights: &mut Weights, items: &[&Labelled]) {
    let mut sums = vec![vec![[0.0_f64; 3]; training::READINGS]; Family::COUNT];
    for item in items {
        if let Some((family, readings)) = training::readings(&item.item, weights) {
            for (sum, reading) in sums[family.index()].iter_mut().zip(readings) {
                let reading = f64::from(reading);
                sum[0] += 1.0;
                sum[1] += reading;
                sum[2] += reading * reading;
            }
        }
    }
    for (family, sums) in weights.families.iter_mut().zip(sums) {
        for (n, [count, sum, square]) in sums.into_iter().enumerate() {
            let count = count.max(1.0);
            let mean = sum / count;
            let variance = (square / count - mean * mean).max(0.0);
            family.reading_mean[n] = mean as f32;
            family.reading_spread[n] = variance.sqrt().max(0.05) as f32;
        }
    }
}
