//! Trains the learned evidence. Deterministic: same items in the same order, same bytes. Single-threaded.

use cynic_judge::spec::{ABUSE, HEADS, Norm, SOCIAL, Spec};
use cynic_judge::training::{self, Extract, ORDER_CODE};
use cynic_judge::{BUCKETS, Family, FamilyWeights, Head, Weights};
use cynic_proto::model::{Dimension, Domain};

use crate::corpus::{Labelled, Pair, fold_of};
use crate::logistic::{self, Example, Parts, Preference, Routed, Router};
use crate::{order, seeds};

/// Parts of the inner split by which the heads are calibrated.
const INNER_FOLDS: u32 = 3;
/// Keeps the inner split from following the outer one.
const INNER_SALT: &str = "inner:";

/// An item ready to be trained on.
struct Prepared<'a> {
    /// Where it comes from.
    set: &'a str,
    extract: Extract,
    /// Features made comparable.
    z: Vec<f32>,
    good: bool,
    /// Which head is for it.
    head: usize,
    weight: f32,
    /// How much its domain counts for the router.
    tells: f32,
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
    let scaler = FamilyWeights::new(mean.clone(), spread.clone(), Vec::new());
    let weigh = weights_of_sets(&own);
    let items: Vec<Prepared<'_>> = own
        .into_iter()
        .map(|(item, extract)| Prepared {
            set: &item.set,
            z: training::normalise(&scaler, family, &extract.values),
            good: item.good,
            head: head_of(family, item, &extract),
            weight: weigh(item),
            tells: if between(&item.set) { BETWEEN_TELLS } else { 1.0 },
            inner: fold_of(&format!("{INNER_SALT}{}", item.group), INNER_FOLDS),
            extract,
        })
        .collect();
    let pairs: Vec<PreparedPair> =
        pairs.iter().filter_map(|pair| prepare_pair(pair, &scaler, order)).collect();
    let count = family.heads();
    let router = (count > 1).then(|| train_router(family, &items, &pairs));
    let trained = (0..count).map(|n| train_head(family, n, &items, &pairs));
    let (mut heads, outside): (Vec<Head>, Vec<Vec<f32>>) = trained.unzip();
    level_arguments(&mut heads, &items, &outside);
    let mut weights = match router {
        None => FamilyWeights::new(mean, spread, heads),
        Some(Router { dense, grams }) => {
            let (grams, scale) = in_steps(&grams);
            FamilyWeights::new(mean, spread, heads).with_router(dense, &grams, scale)
        }
    };
    let rows: Vec<(f32, bool)> = items
        .iter()
        .enumerate()
        .filter(|(_, item)| !is_own_abuse(item.set))
        .map(|(n, item)| {
            let logits = logits_of(&weights.heads, &outside, n);
            let mixture = training::mixture(&weights, family, &item.z, &item.extract, &logits);
            (training::mixed(family, &logits, &mixture), item.good)
        })
        .collect();
    (weights.stretch, weights.shift) = logistic::calibrate(&rows);
    weights
}

/// Trains a head and calibrates it on items that were left out in turn; returns also the sums of all items,
/// each by a head that has not seen it.
fn train_head(
    family: Family,
    n: usize,
    items: &[Prepared<'_>],
    pairs: &[PreparedPair],
) -> (Head, Vec<f32>) {
    let mut outside = vec![0.0; items.len()];
    for inner in 0..INNER_FOLDS {
        let parts = fit(family, n, items, pairs, |part| part != inner);
        for (sum, item) in outside.iter_mut().zip(items).filter(|(_, item)| item.inner == inner) {
            *sum = parts.sum(&item.z, &item.extract.grams);
        }
    }
    let own = items.iter().zip(&outside).filter(|(item, _)| calibrates(n, item));
    let rows: Vec<(f32, bool)> = own.map(|(item, sum)| (*sum, item.good)).collect();
    (head(family, &fit(family, n, items, pairs, |_| true), logistic::calibrate(&rows)), outside)
}

/// What the heads say of an item that they have not seen.
fn logits_of(heads: &[Head], outside: &[Vec<f32>], item: usize) -> [f32; HEADS] {
    let mut logits = [0.0; HEADS];
    for (logit, (head, sums)) in logits.iter_mut().zip(heads.iter().zip(outside)) {
        *logit = head.stretch * sums[item] + head.shift;
    }
    logits
}

/// Puts the head for arguments on the level of the head for messages: over all arguments their means are the same, so
/// that a text is neither better nor worse for being read as an argument, and only what it argues counts.
fn level_arguments(heads: &mut [Head], items: &[Prepared<'_>], outside: &[Vec<f32>]) {
    if heads.len() <= PAIRED {
        return;
    }
    let arguments = items.iter().enumerate().filter(|(_, item)| item.head == PAIRED);
    let gaps = arguments.map(|(n, _)| {
        let logits = logits_of(heads, outside, n);
        training::message(&logits) - logits[PAIRED]
    });
    let (count, sum) = gaps.fold((0.0_f32, 0.0), |(n, all), gap| (n + 1.0, all + gap));
    heads[PAIRED].shift += sum / count.max(1.0);
}

/// How much an item of a neighbouring domain counts: what is spam in a mail is none the better in a prompt.
/// Arguments are a neighbour to nobody, and only bad items are theirs: what is short is weak there and ordinary
/// elsewhere, but spam and abuse are no good arguments either. Mails are met in no debate.
const NEIGHBOUR_WEIGHT: f32 = 0.15;

/// The head that learns from pairs: arguments.
const PAIRED: usize = 2;
/// How much pairs count for the heads for messages and for abuse: what is put worse is no better in chat. So little that it
/// decides nothing that messages themselves say, and enough that abuse of a kind never seen is told from argument.
const SOCIAL_PAIRS: f32 = 0.05;
const ABUSE_PAIRS: f32 = 0.1;

/// How much what is good among other messages counts for the head for abuse, which must know it when it meets it.
const OTHER_GOOD: f32 = 0.5;
/// The same for prompts: they are no abuse of anybody, but are not where it is looked for.
const PROMPT_GOOD: f32 = 0.05;
/// How much a public set of abuse counts for the other head for messages: its swear words are no good there either.
const ABUSE_IN_MESSAGES: f32 = 0.8;

/// How much an item counts for a head.
fn part_in(n: usize, item: &Prepared<'_>) -> f32 {
    match (n, item.head) {
        _ if item.head == n => 1.0,
        // What abuse in ordinary words is, only its own head can tell from what is none.
        (_, ABUSE) if is_own_abuse(item.set) => 0.0,
        (SOCIAL, ABUSE) => ABUSE_IN_MESSAGES,
        (ABUSE, SOCIAL) if item.good => OTHER_GOOD,
        (ABUSE, SOCIAL) if item.set == MESSAGES => 1.0,
        (ABUSE, _) if item.head != PAIRED && item.good => PROMPT_GOOD,
        (ABUSE, SOCIAL) => NEIGHBOUR_WEIGHT,
        (ABUSE, _) | (_, PAIRED) => 0.0,
        (PAIRED, _) if item.good || item.set == MAILS => 0.0,
        _ => NEIGHBOUR_WEIGHT,
    }
}

/// Whether a head is calibrated on an item: on its own, that for messages on public abuse too, and that for abuse on all
/// good messages.
fn calibrates(n: usize, item: &Prepared<'_>) -> bool {
    let beside = match (n, item.head) {
        (SOCIAL, ABUSE) => true,
        (ABUSE, SOCIAL) => item.good,
        _ => false,
    };
    (item.head == n || beside) && !is_own_abuse(item.set)
}

fn fit(
    family: Family,
    n: usize,
    items: &[Prepared<'_>],
    pairs: &[PreparedPair],
    keep: impl Fn(u32) -> bool,
) -> Parts {
    let examples: Vec<Example<'_>> = items
        .iter()
        .filter(|item| keep(item.inner) && part_in(n, item) > 0.0)
        .map(|item| Example {
            z: &item.z,
            grams: &item.extract.grams,
            good: item.good,
            weight: item.weight * part_in(n, item),
        })
        .collect();
    let (pairs, weight) = match (family, n) {
        (_, PAIRED) => (pairs, 1.0),
        (Family::Text, SOCIAL) => (pairs, SOCIAL_PAIRS),
        (Family::Text, ABUSE) => (pairs, ABUSE_PAIRS),
        _ => (&[][..], 0.0),
    };
    let preferences: Vec<Preference<'_>> = pairs
        .iter()
        .filter(|pair| keep(pair.inner))
        .map(|pair| Preference {
            better: (&pair.better.1, &pair.better.0.grams),
            worse: (&pair.worse.1, &pair.worse.0.grams),
            weight,
        })
        .collect();
    logistic::fit(family, n, &examples, &preferences)
}

/// The features that tell domains apart; the others as if they were not there. What is good or bad in any domain
/// says nothing of the domain, and neither does the case of letters, so that shouting leads nowhere else.
fn telling(family: Family, z: &[f32]) -> Vec<f32> {
    const CASED: [&str; 3] = ["names.share", "start.formal", "starts.lower"];
    let tells = |spec: &Spec| {
        !matches!(spec.norm, Norm::Fixed | Norm::Neutral)
            && !matches!(spec.dimension, Dimension::Harmony | Dimension::Alignment)
            && !CASED.contains(&spec.code)
    };
    let of = |(spec, z): (&Spec, &f32)| if tells(spec) { *z } else { 0.0 };
    family.specs().iter().zip(z).map(of).collect()
}

/// How much sooner a text is read as an argument than the router would (logits): what is weak about an argument is not
/// seen by the head for messages, while chat that passes for an argument is only thought a little weak.
const ARGUMENT_LEAN: f32 = 2.5;
/// How much sooner still for each spread by which a text is longer than usual (logits): chat is short.
const ARGUMENT_LENGTH: f32 = 1.0;
/// The feature that says how long a text is.
const LENGTH_CODE: &str = "length.words";

/// How much the router learns from what lies between the domains.
const BETWEEN_TELLS: f32 = 0.4;

/// Seeds that are of the prompts' domain because models read them, and might as well be chat or argument.
fn between(set: &str) -> bool {
    matches!(set, "prompt_documents_seeds" | "prompt_passages_seeds")
}

/// How much one side of a pair counts for the router.
const PAIR_SIDE_WEIGHT: f32 = 1.0;

fn train_router(family: Family, items: &[Prepared<'_>], pairs: &[PreparedPair]) -> Router {
    let of_items = items.iter().map(|item| Routed {
        z: telling(family, &item.z),
        grams: &item.extract.grams,
        head: if item.head == ABUSE { SOCIAL } else { item.head },
        weight: item.weight * item.tells,
    });
    let sides = pairs.iter().flat_map(|pair| [&pair.better, &pair.worse]);
    let of_pairs = sides.map(|(extract, z)| Routed {
        z: telling(family, z),
        grams: &extract.grams,
        head: PAIRED,
        weight: PAIR_SIDE_WEIGHT,
    });
    let rows: Vec<Routed<'_>> = of_items.chain(of_pairs).collect();
    let mut router = logistic::route(&rows, family.domains().len());
    if let Some(argument) = router.dense.get_mut(PAIRED) {
        if let Some(bias) = argument.last_mut() {
            *bias += ARGUMENT_LEAN;
        }
        if let Some(n) = family.specs().iter().position(|spec| spec.code == LENGTH_CODE) {
            argument[n] += ARGUMENT_LENGTH;
        }
    }
    router
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
    let own = family.domains().iter().position(|own| *own == domain).unwrap_or(0);
    let abuse = item.set.starts_with("hate") || is_own_abuse(&item.set);
    if family == Family::Text && own == SOCIAL && abuse { ABUSE } else { own }
}

/// Own texts whose bad ones abuse somebody in ordinary words. They are written to be hard to tell, so nothing is calibrated
/// on them: less would be believed of all else.
fn is_own_abuse(set: &str) -> bool {
    set.starts_with("abuse")
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

/// How much more a seed counts: each stands for a kind of text that the public sets lack. Those of prompts and of what
/// models read are many and count as they are.
const SEED_WEIGHT: f32 = 1.5;

/// Own messages: spam, fraud and abuse.
const MESSAGES: &str = "social_seeds";

/// Seeds of mails differ in what they are after and in nothing else, unlike most mails that are met: they count less, or what
/// usually goes with fraud would count for nothing. Those of abuse are many, too.
const MAILS: &str = "social_mails_seeds";
const MAIL_WEIGHT: f32 = 0.75;

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
        let seed = item.set.ends_with(seeds::SUFFIX) && !item.set.starts_with("prompt");
        let own = match &item.set[..] {
            set if is_own_abuse(set) => 1.0,
            MAILS => MAIL_WEIGHT,
            _ if seed => SEED_WEIGHT,
            _ => 1.0,
        };
        own * (typical / all.sqrt()) * (all / (2.0 * label)).sqrt()
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

/// What the rubric alone decides is not shrunk with what was learned.
fn head(family: Family, parts: &Parts, (stretch, shift): (f32, f32)) -> Head {
    let (grams, gram_scale) = in_steps(&parts.grams);
    let (bias, mut dense, grams) = (parts.bias, parts.dense.clone(), grams.into());
    let fixed = family.specs().iter().zip(&mut dense).filter(|(spec, _)| spec.norm == Norm::Fixed);
    fixed.for_each(|(_, weight)| *weight /= stretch.min(1.0));
    Head { bias, dense, gram_scale, grams, stretch, shift }
}

/// Weights as steps of one byte, and the size of a step.
fn in_steps(weights: &[f32]) -> (Vec<u8>, f32) {
    const STEPS: f32 = 127.0;
    let most = weights.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
    let step = if most > 0.0 { most / STEPS } else { 1.0 };
    let in_step = |weight: &f32| ((weight / step).round() as i8).cast_unsigned();
    let mut grams: Vec<u8> = weights.iter().map(in_step).collect();
    grams.resize(BUCKETS, 0);
    (grams, step)
}

/// What is summed up of a reading and of the level beside it.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: f64,
    reading: f64,
    level: f64,
    readings: f64,
    levels: f64,
    product: f64,
}

impl Sums {
    fn add(&mut self, reading: f64, level: f64) {
        self.count += 1.0;
        self.reading += reading;
        self.level += level;
        self.readings += reading * reading;
        self.levels += level * level;
        self.product += reading * level;
    }

    /// Mean (at level zero), spread around the line, and slope of the reading on the level.
    fn line(&self) -> (f64, f64, f64) {
        let count = self.count.max(1.0);
        let (reading, level) = (self.reading / count, self.level / count);
        let variance = (self.readings / count - reading * reading).max(0.0);
        let of_level = (self.levels / count - level * level).max(1e-6);
        let slope = (self.product / count - reading * level) / of_level;
        let around = (variance - slope * slope * of_level).max(0.0);
        (reading - slope * level, around.sqrt(), slope)
    }
}

/// Least spread of a reading: what hardly moves is not blown up.
const READING_SPREAD_MIN: f64 = 0.05;

/// Centres and scales each dimension's reading by what the training items give.
fn scale_readings(weights: &mut Weights, items: &[&Labelled]) {
    let mut sums = vec![[Sums::default(); training::READINGS]; Family::COUNT];
    for item in items {
        if let Some((family, readings, level)) = training::readings(&item.item, weights) {
            for (sum, reading) in sums[family.index()].iter_mut().zip(readings) {
                sum.add(f64::from(reading), f64::from(level));
            }
        }
    }
    for (family, sums) in weights.families.iter_mut().zip(sums) {
        for (n, sum) in sums.iter().enumerate() {
            let (mean, spread, slope) = sum.line();
            family.reading_mean[n] = mean as f32;
            family.reading_spread[n] = spread.max(READING_SPREAD_MIN) as f32;
            family.reading_slope[n] = slope as f32;
        }
    }
}
