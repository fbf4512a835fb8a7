//! How scores spread: mean, standard deviation, histogram.

use serde::Serialize;

/// Bars of a histogram over 0 to 100: five points each, so that 50 and 80, where verdicts change, are borders.
pub const HISTOGRAM_BARS: usize = 20;

/// Mean and standard deviation of a score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the population.
    pub std: f64,
}

/// Mean and standard deviation; `None` for nothing.
pub fn spread(values: impl Iterator<Item = f64> + Clone) -> Option<Spread> {
    let n = values.clone().count() as f64;
    if n == 0.0 {
        return None;
    }
    let mean = values.clone().sum::<f64>() / n;
    let variance = values.map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    Some(Spread { mean, std: variance.sqrt() })
}

/// How many scores (0 to 100) fall in each bar; 100 belongs to the last.
pub fn histogram(scores: impl Iterator<Item = f64>) -> [usize; HISTOGRAM_BARS] {
    let mut bars = [0; HISTOGRAM_BARS];
    for score in scores {
        let bar = (score / 100.0 * HISTOGRAM_BARS as f64) as usize;
        bars[bar.min(HISTOGRAM_BARS - 1)] += 1;
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let spread_of = |v: &[f64]| spread(v.iter().copied());
        let figures = spread_of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).expect("values");
        assert_eq!((figures.mean, figures.std), (5.0, 2.0));
        assert_eq!(spread_of(&[]), None);
    }

    #[test]
    fn bars_begin_at_their_border() {
        let bars = histogram([0.0, 4.9, 5.0, 50.0, 99.9, 100.0].into_iter());
        assert_eq!((bars[0], bars[1], bars[10], bars[19]), (2, 1, 1, 2));
        assert_eq!(bars.iter().sum::<usize>(), 6);
    }
}
