//! Fits verdict thresholds and confidence to people's feedback. Pure: no clock, no store.
//!
//! What it must never do: move a threshold further from the model's own than the bounds below, however often
//! it is run and whatever the feedback says.

#[cfg(test)]
mod tests;

use cynic_proto::calibration::{Calibration, DomainCalibration, Fit, Thresholds};
use cynic_proto::history::Truth;
use cynic_proto::model::{Domain, PHI_INV};

/// How far a threshold may move from the model's own, in points: half of the narrowest band between two of
/// the model's thresholds is 6, one verdict's worth of trust is 20; between them.
pub const SHIFT_MAX: f32 = 10.0;

/// The least and the most that a confidence is multiplied by.
pub const CONFIDENCE_FACTOR_MIN: f32 = 0.5;
/// See [`CONFIDENCE_FACTOR_MIN`]; lower on this side, as too much confidence does more harm than too little.
pub const CONFIDENCE_FACTOR_MAX: f32 = 1.25;

/// Feedbacks of a domain below which nothing about it is fitted.
pub const FEEDBACKS_MIN: usize = 20;

/// Feedbacks of each kind, good and bad, below which nothing is fitted: one error is a fifth of them.
pub const EACH_MIN: usize = 5;

/// How much lower a fitted threshold's cost must be than the model's own, so that chance moves nothing: 0 to 1.
pub const GAIN_MIN: f32 = 0.02;

/// Newest feedbacks that are looked at: more than people ever give, a few megabytes.
pub const FEEDBACKS_MAX: usize = 50_000;

/// What a bad item above a threshold costs, of a total of 1 with what a good one below it does. HOWL praises:
/// praising the bad is the worse error. BARK condemns: condemning the good is. Between them both count alike.
const HOWL_BAD_COST: f32 = 0.8;
const WAG_BAD_COST: f32 = 0.5;
const GROWL_BAD_COST: f32 = 0.2;

/// A judgment of which people said what turned out to be true.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// What it was judged as.
    pub domain: Domain,
    /// Its Q-Score.
    pub q_score: f32,
    /// Its confidence before any calibration.
    pub confidence: f32,
    /// What turned out to be true.
    pub truth: Truth,
}

/// What a fit came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The thresholds of all domains, in the order of [`Domain::ALL`].
    pub thresholds: [Thresholds; Domain::ALL.len()],
    /// One line a domain that has feedback or thresholds of its own.
    pub domains: Vec<DomainCalibration>,
}

/// Fits all domains to the samples; `before` is what is in use.
pub fn fit(before: &Calibration, samples: &[Sample]) -> Fitted {
    compare(before, samples, |_, samples| fit_domain(samples))
}

/// Says how `after` fares against `before` on the samples.
pub fn weigh(before: &Calibration, after: &Calibration, samples: &[Sample]) -> Fitted {
    compare(before, samples, |domain, _| (*after.of(domain), String::new()))
}

fn compare(
    before: &Calibration,
    samples: &[Sample],
    choose: impl Fn(Domain, &[Sample]) -> (Thresholds, String),
) -> Fitted {
    let mut thresholds = [Thresholds::MODEL; Domain::ALL.len()];
    let mut domains = Vec::new();
    for domain in Domain::ALL {
        let own: Vec<Sample> = samples.iter().copied().filter(|s| s.domain == domain).collect();
        let (after, remark) = choose(domain, &own);
        thresholds[domain as usize] = after;
        let before = *before.of(domain);
        if own.is_empty() && before == Thresholds::MODEL && after == Thresholds::MODEL {
            continue;
        }
        let bad = count(&own, Truth::Bad) as u32;
        domains.push(DomainCalibration {
            domain,
            good: own.len() as u32 - bad,
            bad,
            before: measure(before, &own),
            after: measure(after, &own),
            remark,
        });
    }
    Fitted { thresholds, domains }
}

fn fit_domain(samples: &[Sample]) -> (Thresholds, String) {
    let (good, bad) = (count(samples, Truth::Good), count(samples, Truth::Bad));
    if samples.len() < FEEDBACKS_MIN || good < EACH_MIN || bad < EACH_MIN {
        let remark =
            format!("the model's own: it takes {FEEDBACKS_MIN} feedbacks, {EACH_MIN} of each kind");
        return (Thresholds::MODEL, remark);
    }
    let own = Thresholds::MODEL;
    let wag = threshold(samples, own.wag, WAG_BAD_COST);
    let mut fitted = Thresholds {
        howl: threshold(samples, own.howl, HOWL_BAD_COST).max(wag),
        wag,
        growl: threshold(samples, own.growl, GROWL_BAD_COST).min(wag),
        confidence_factor: 1.0,
    };
    fitted.confidence_factor = confidence_factor(&fitted, samples);
    (fitted, remark(&fitted))
}

fn count(samples: &[Sample], truth: Truth) -> usize {
    samples.iter().filter(|sample| sample.truth == truth).count()
}

/// The threshold within reach of the model's own that costs least; of equals the nearest to it.
fn threshold(samples: &[Sample], own: f32, bad_cost: f32) -> f32 {
    let mut sorted: Vec<(f32, Truth)> = samples.iter().map(|s| (s.q_score, s.truth)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let bad_all = count(samples, Truth::Bad) as f32;
    let good_all = samples.len() as f32 - bad_all;
    // With a threshold between two scores: the bad above it and the good below it are wrong.
    let cost = |good_below: f32, bad_below: f32| {
        bad_cost * (bad_all - bad_below) / bad_all + (1.0 - bad_cost) * good_below / good_all
    };
    let below = |at: f32| sorted.partition_point(|(q, _)| *q < at);
    let cost_at = |at: f32| {
        let bad = sorted[..below(at)].iter().filter(|(_, truth)| *truth == Truth::Bad).count();
        cost((below(at) - bad) as f32, bad as f32)
    };
    let mut best = (cost_at(own) - GAIN_MIN, 0.0, own);
    let (mut good_below, mut bad_below) = (0.0, 0.0);
    for pair in sorted.windows(2) {
        match pair[0].1 {
            Truth::Good => good_below += 1.0,
            Truth::Bad => bad_below += 1.0,
        }
        // Tenths of a point: what people read and what the score itself is good for.
        let between = ((pair[0].0 + pair[1].0) * 5.0).round() / 10.0;
        let parts = pair[0].0 < between && between <= pair[1].0;
        let shift = (between - own).abs();
        let found = (cost(good_below, bad_below), shift);
        if parts && shift <= SHIFT_MAX && is_less(found, (best.0, best.1)) {
            best = (found.0, found.1, between);
        }
    }
    best.2
}

/// By the first, and where that is the same, by the second.
fn is_less(a: (f32, f32), b: (f32, f32)) -> bool {
    a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).is_lt()
}

/// Makes the mean confidence, as a share of φ⁻¹, what the share of right judgments is.
fn confidence_factor(thresholds: &Thresholds, samples: &[Sample]) -> f32 {
    let right = samples.iter().filter(|sample| is_right(thresholds, sample)).count() as f32;
    let n = samples.len() as f32;
    let mean = samples.iter().map(|sample| sample.confidence).sum::<f32>() / n;
    // Laplace's rule of succession: no small sample makes anybody certain.
    let accuracy = (right + 1.0) / (n + 2.0);
    let factor = accuracy * PHI_INV as f32 / mean;
    if !factor.is_finite() {
        return 1.0;
    }
    let hundredths = (factor * 100.0).round() / 100.0;
    hundredths.clamp(CONFIDENCE_FACTOR_MIN, CONFIDENCE_FACTOR_MAX)
}

fn is_flagged(thresholds: &Thresholds, sample: &Sample) -> bool {
    sample.q_score < thresholds.wag
}

fn is_right(thresholds: &Thresholds, sample: &Sample) -> bool {
    is_flagged(thresholds, sample) == (sample.truth == Truth::Bad)
}

fn measure(thresholds: Thresholds, samples: &[Sample]) -> Fit {
    let share = |part: usize, whole: usize| part as f32 / whole.max(1) as f32;
    let flagged = |truth| {
        let of = samples.iter().filter(|s| s.truth == truth && is_flagged(&thresholds, s)).count();
        share(of, count(samples, truth))
    };
    let right = samples.iter().filter(|s| is_right(&thresholds, s)).count();
    let confidence: f32 = samples.iter().map(|s| thresholds.confidence(s.confidence)).sum();
    Fit {
        thresholds,
        accuracy: share(right, samples.len()),
        good_flagged: flagged(Truth::Good),
        bad_flagged: flagged(Truth::Bad),
        confidence: confidence / samples.len().max(1) as f32,
    }
}

fn remark(fitted: &Thresholds) -> String {
    let own = Thresholds::MODEL;
    let moved = [
        ("HOWL", fitted.howl, own.howl),
        ("WAG", fitted.wag, own.wag),
        ("GROWL", fitted.growl, own.growl),
    ];
    let moved: Vec<String> = moved
        .into_iter()
        .filter(|(_, fitted, own)| (fitted - own).abs() > f32::EPSILON)
        .map(|(name, fitted, own)| format!("{name} {:+.1}", fitted - own))
        .collect();
    if moved.is_empty() {
        format!("no threshold is better by {:.0} % than the model's own", GAIN_MIN * 100.0)
    } else {
        format!("against the model's own: {}", moved.join(", "))
    }
}
