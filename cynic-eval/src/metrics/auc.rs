//! How well a score ranks good above bad: area under the ROC curve, its interval, its curve.
//!
//! The area is the Mann-Whitney statistic: the share of (good, bad) pairs in which the good item has the
//! higher score, a tie counting one half (Bamber 1975; Hanley & `McNeil` 1982). .5 is chance.

use serde::Serialize;

use crate::dataset::Label;

/// Two-sided 95% point of the normal distribution.
const Z_95: f64 = 1.959_963_984_540_054;

/// Groups of equal size by length, within which [`within_length`] compares.
pub const LENGTH_GROUPS: usize = 5;

/// Area under the ROC curve with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Auc {
    /// The area, 0 to 1.
    pub value: f64,
    /// Lower end of the 95% interval.
    pub low: f64,
    /// Upper end of the 95% interval.
    pub high: f64,
}

/// A point of the ROC curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RocPoint {
    /// Share of bad items at or above the threshold, 0 to 1.
    pub bad_passed: f64,
    /// Share of good items at or above the threshold, 0 to 1.
    pub good_passed: f64,
}

/// The area for scores with their labels; `None` unless both labels are there. Scores must not be NaN.
pub fn auc(scored: &[(f64, Label)]) -> Option<Auc> {
    let counted = Concordance::of(scored);
    let value = counted.share()?;
    let (low, high) = interval(value, counted.good, counted.bad);
    Some(Auc { value, low, high })
}

/// The area within groups of similar length: pairs are compared only with pairs of their own fifth, so
/// that "longer is better" earns next to nothing. `items` are (length, score, label).
///
/// Fifths are cut at the quantiles of length; equal lengths are never parted. `None` unless some fifth
/// has both labels.
pub fn within_length(items: &[(usize, f64, Label)]) -> Option<f64> {
    let mut lengths: Vec<usize> = items.iter().map(|i| i.0).collect();
    lengths.sort_unstable();
    let edges: Vec<usize> = (1..LENGTH_GROUPS)
        .filter_map(|n| lengths.get(n * lengths.len() / LENGTH_GROUPS).copied())
        .collect();
    let mut groups = vec![Vec::new(); LENGTH_GROUPS];
    for &(length, score, label) in items {
        groups[edges.iter().filter(|edge| length >= **edge).count()].push((score, label));
    }
    let mut total = Concordance::default();
    for group in &groups {
        let within = Concordance::of(group);
        total.won += within.won;
        total.pairs += within.pairs;
    }
    total.share()
}

/// The ROC curve from (0, 0) to (1, 1), one point per distinct score, at most about `points_max`.
pub fn roc(scored: &[(f64, Label)], points_max: usize) -> Vec<RocPoint> {
    let (good, bad) = counts(scored);
    if good == 0 || bad == 0 {
        return Vec::new();
    }
    let mut best_first = scored.to_vec();
    best_first.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut curve = vec![RocPoint { bad_passed: 0.0, good_passed: 0.0 }];
    let (mut good_seen, mut bad_seen) = (0, 0);
    for (n, (score, label)) in best_first.iter().enumerate() {
        match label {
            Label::Good => good_seen += 1,
            Label::Bad => bad_seen += 1,
        }
        let tied_with_next = best_first.get(n + 1).is_some_and(|next| next.0 == *score);
        if !tied_with_next {
            curve.push(RocPoint {
                bad_passed: f64::from(bad_seen) / bad as f64,
                good_passed: f64::from(good_seen) / good as f64,
            });
        }
    }
    thinned(curve, points_max.max(2))
}

/// Every n-th point and the last.
fn thinned(curve: Vec<RocPoint>, points_max: usize) -> Vec<RocPoint> {
    let step = curve.len().div_ceil(points_max).max(1);
    let last = curve.len() - 1;
    curve
        .into_iter()
        .enumerate()
        .filter(|(n, _)| n % step == 0 || *n == last)
        .map(|(_, p)| p)
        .collect()
}

fn counts(scored: &[(f64, Label)]) -> (usize, usize) {
    let good = scored.iter().filter(|s| s.1 == Label::Good).count();
    (good, scored.len() - good)
}

/// How many (good, bad) pairs there are, and how many of them the score orders rightly.
#[derive(Default)]
struct Concordance {
    won: f64,
    pairs: f64,
    good: usize,
    bad: usize,
}

impl Concordance {
    fn of(scored: &[(f64, Label)]) -> Concordance {
        let (good, bad) = counts(scored);
        let mut ascending = scored.to_vec();
        ascending.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut won = 0.0;
        let mut bad_below = 0;
        for tied in ascending.chunk_by(|a, b| a.0 == b.0) {
            let (good_here, bad_here) = counts(tied);
            won += good_here as f64 * (bad_below as f64 + bad_here as f64 / 2.0);
            bad_below += bad_here;
        }
        Concordance { won, pairs: good as f64 * bad as f64, good, bad }
    }

    fn share(&self) -> Option<f64> {
        (self.pairs > 0.0).then(|| self.won / self.pairs)
    }
}

/// The 95% interval of an area: the values θ that lie within 1.96 of *their own* standard errors of the
/// measured one, after Hanley & `McNeil` (1982) with both class sizes replaced by their mean in the variance's
/// numerator (Newcombe 2006, part 2, method 5). Unlike a Wald interval it stays within 0 to 1 and keeps
/// a width where the classes are perfectly separated.
fn interval(value: f64, good: usize, bad: usize) -> (f64, f64) {
    let outside = |theta: f64| (value - theta).abs() > Z_95 * variance(theta, good, bad).sqrt();
    // The border between inside (near) and outside (far), by bisection: 50 halvings reach f64 precision.
    let border = |far: f64| {
        if !outside(far) {
            return far;
        }
        let (mut inside, mut out) = (value, far);
        for _ in 0..50 {
            let middle = f64::midpoint(inside, out);
            if outside(middle) { out = middle } else { inside = middle }
        }
        inside
    };
    // At exactly 0 and 1 the variance is 0, so these two count as outside unless they are the value.
    (border(0.0), border(1.0))
}

/// Variance of an estimated area whose true value is `theta` (Newcombe 2006, equation of method 5).
fn variance(theta: f64, good: usize, bad: usize) -> f64 {
    let (m, n) = (good as f64, bad as f64);
    let each = f64::midpoint(m, n);
    theta * (1.0 - theta) / (m * n)
        * (1.0 + (each - 1.0) * ((1.0 - theta) / (2.0 - theta) + theta / (1.0 + theta)))
}

#[cfg(test)]
mod tests {
    use super::Label::{Bad, Good};
    use super::*;
    use proptest::prelude::*;

    fn value(scored: &[(f64, Label)]) -> f64 {
        auc(scored).expect("both labels").value
    }

    #[test]
    fn a_hand_computed_area() {
        // Good 3, 5, 7 against bad 1, 5: wins 1 + 1.5 + 2 of 6 pairs.
        let scored = [(3.0, Good), (5.0, Good), (7.0, Good), (1.0, Bad), (5.0, Bad)];
        assert!((value(&scored) - 4.5 / 6.0).abs() < 1e-12);
        assert_eq!(auc(&scored[..3]), None);
        assert_eq!(auc(&[]), None);
    }

    #[test]
    fn standard_errors_agree_with_the_published_table() {
        // Hanley & McNeil 1982, table II: 58 normal and 51 abnormal, area .893, standard error .032.
        let error = variance(0.893, 58, 51).sqrt();
        assert!((error - 0.032).abs() < 0.001, "{error}");
    }

    #[test]
    fn the_interval_of_perfect_separation_is_not_a_point() {
        let scored: Vec<_> =
            (0..20).map(|n| (f64::from(n), if n < 10 { Bad } else { Good })).collect();
        let area = auc(&scored).expect("both labels");
        assert_eq!((area.value, area.high), (1.0, 1.0));
        assert!((0.7..0.95).contains(&area.low), "{}", area.low);
    }

    #[test]
    fn length_earns_nothing_within_length() {
        // The score is the length and good items are long: .91 overall, chance within fifths.
        let items: Vec<_> = (0..1000_usize)
            .map(|n| (n / 50, (n / 50) as f64, if n % 10 < n / 100 { Good } else { Bad }))
            .collect();
        let scored: Vec<_> = items.iter().map(|i| (i.1, i.2)).collect();
        assert!(value(&scored) > 0.8, "{}", value(&scored));
        let within = within_length(&items).expect("both labels");
        assert!(within < 0.6, "{within}");
    }

    #[test]
    fn within_length_counts_pairs_of_one_fifth_only() {
        // Two items a fifth, one good and one bad; the good one wins in three of five.
        let mut items = Vec::new();
        for group in 0..5_usize {
            let wins = if group < 3 { 1.0 } else { -1.0 };
            items.push((group * 10, 100.0 - group as f64 * 10.0, Bad));
            items.push((group * 10, 100.0 - group as f64 * 10.0 + wins, Good));
        }
        assert_eq!(within_length(&items), Some(0.6));
    }

    #[test]
    fn the_curve_has_one_point_per_distinct_score() {
        let curve = roc(&[(1.0, Bad), (2.0, Good), (2.0, Bad), (3.0, Good)], 100);
        let points: Vec<_> = curve.iter().map(|p| (p.bad_passed, p.good_passed)).collect();
        assert_eq!(points, [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]);
        assert!(roc(&[(1.0, Bad)], 100).is_empty());
    }

    fn labelled() -> impl Strategy<Value = Vec<(f64, Label)>> {
        let one = (0..20_i32, any::<bool>());
        proptest::collection::vec(one, 2..60).prop_map(|v| {
            v.into_iter().map(|(s, g)| (f64::from(s), if g { Good } else { Bad })).collect()
        })
    }

    proptest! {
        #[test]
        fn the_area_is_the_share_of_pairs_won(scored in labelled()) {
            let scores = |label| scored.iter().filter(move |s| s.1 == label).map(|s| s.0);
            let mut won = 0.0;
            let mut pairs = 0.0;
            for g in scores(Good) {
                for b in scores(Bad) {
                    pairs += 1.0;
                    won += if g > b { 1.0 } else if g == b { 0.5 } else { 0.0 };
                }
            }
            match auc(&scored) {
                None => prop_assert_eq!(pairs, 0.0),
                Some(area) => {
                    prop_assert!((area.value - won / pairs).abs() < 1e-9);
                    prop_assert!(0.0 <= area.low && area.low <= area.value);
                    prop_assert!(area.value <= area.high && area.high <= 1.0);
                }
            }
        }

        #[test]
        fn the_curve_encloses_the_area(scored in labelled()) {
            let curve = roc(&scored, usize::MAX);
            let under: f64 = curve
                .windows(2)
                .map(|w| (w[1].bad_passed - w[0].bad_passed) * f64::midpoint(w[0].good_passed, w[1].good_passed))
                .sum();
            if let Some(area) = auc(&scored) {
                prop_assert!((area.value - under).abs() < 1e-9);
            }
        }
    }
}
