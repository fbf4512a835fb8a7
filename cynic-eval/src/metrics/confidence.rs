//! Whether the judge knows when it is right.
//!
//! An item is judged right when a good one passes (HOWL or WAG) and a bad one does not (GROWL or BARK).
//! Confidence never exceeds φ⁻¹, so it is no probability; what it must do is *order*: surer, more often right.

use serde::Serialize;

/// One judged item, as far as these figures go: confidence (0 to φ⁻¹) and whether it was judged right.
pub type Sure = (f64, bool);

/// Accuracy of the more and of the less confident half.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Halves {
    /// Share judged right among the more confident half, 0 to 1.
    pub more_confident: f64,
    /// Share judged right among the less confident half, 0 to 1.
    pub less_confident: f64,
}

impl Halves {
    /// How much more often the more confident half is right; positive is as it should be.
    pub fn gain(&self) -> f64 {
        self.more_confident - self.less_confident
    }
}

/// Items of similar standing and how they fared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Mean of what the bin is made by (confidence, or Q).
    pub mean: f64,
    /// Share judged right (or good), 0 to 1.
    pub share: f64,
    /// How many items.
    pub items: usize,
}

/// Splits at the median of confidence. Items that share the confidence at the cut belong to both halves
/// in proportion, so that their order cannot matter. `None` below two items.
pub fn halves(items: &[Sure]) -> Option<Halves> {
    if items.len() < 2 {
        return None;
    }
    let mut ascending = items.to_vec();
    ascending.sort_by(|a, b| a.0.total_cmp(&b.0));
    let size = ascending.len() as f64 / 2.0;
    let (mut right_below, mut right_all, mut taken) = (0.0, 0.0, 0.0);
    for tied in ascending.chunk_by(|a, b| a.0 == b.0) {
        let right = tied.iter().filter(|i| i.1).count() as f64;
        let into_lower = (size - taken).clamp(0.0, tied.len() as f64);
        right_below += right * into_lower / tied.len() as f64;
        right_all += right;
        taken += into_lower;
    }
    Some(Halves {
        more_confident: (right_all - right_below) / size,
        less_confident: right_below / size,
    })
}

/// At most `count` bins of about equal size by the first value; equal values are never parted.
pub fn bins(items: &[(f64, bool)], count: usize) -> Vec<Bin> {
    let mut ascending = items.to_vec();
    ascending.sort_by(|a, b| a.0.total_cmp(&b.0));
    let full = ascending.len().div_ceil(count.max(1)).max(1);
    let mut bins = Vec::new();
    let mut open: Vec<(f64, bool)> = Vec::new();
    for tied in ascending.chunk_by(|a, b| a.0 == b.0) {
        if open.len() + tied.len() / 2 >= full && !open.is_empty() {
            bins.push(bin(&open));
            open.clear();
        }
        open.extend_from_slice(tied);
    }
    if !open.is_empty() {
        bins.push(bin(&open));
    }
    bins
}

fn bin(items: &[(f64, bool)]) -> Bin {
    let n = items.len() as f64;
    Bin {
        mean: items.iter().map(|i| i.0).sum::<f64>() / n,
        share: items.iter().filter(|i| i.1).count() as f64 / n,
        items: items.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_by_hand() {
        let items = [(0.6, true), (0.5, true), (0.2, true), (0.1, false)];
        let halves = halves(&items).expect("enough items");
        assert_eq!((halves.more_confident, halves.less_confident), (1.0, 0.5));
        assert_eq!(halves.gain(), 0.5);
    }

    #[test]
    fn equal_confidence_gains_nothing_whatever_the_order() {
        let items = [(0.5, true), (0.5, true), (0.5, false), (0.5, false)];
        assert_eq!(halves(&items).map(|h| h.gain()), Some(0.0));
    }

    #[test]
    fn an_odd_middle_item_is_shared() {
        // Below: one wrong item and half of a right one.
        let halves = halves(&[(0.1, false), (0.2, true), (0.3, true)]).expect("enough items");
        assert!((halves.less_confident - 0.5 / 1.5).abs() < 1e-12);
        assert_eq!(halves.more_confident, 1.0);
    }

    #[test]
    fn too_few_items_have_no_halves() {
        assert_eq!(halves(&[(0.5, true)]), None);
        assert_eq!(halves(&[]), None);
    }

    #[test]
    fn bins_keep_equal_values_together_and_lose_nothing() {
        let items: Vec<_> = (0..100).map(|n| (f64::from(n / 30), n % 2 == 0)).collect();
        let bins = bins(&items, 10);
        assert_eq!(bins.len(), 4);
        assert_eq!(bins.iter().map(|b| b.items).sum::<usize>(), 100);
        assert!(bins.windows(2).all(|w| w[0].mean < w[1].mean));
        assert_eq!(bins[0], Bin { mean: 0.0, share: 0.5, items: 30 });
    }
}
