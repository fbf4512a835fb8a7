//! Learns the table of word orders: how much more often one class of words follows another than it would
//! if words stood in any order.

use cynic_judge::training::{Extract, ORDER_CLASSES, ORDER_ENTRIES};

/// Steps of the table for each factor e.
const STEPS: f64 = 24.0;
/// Pairs that are seen in thought beside those that were seen, so that rare pairs say little.
const SMOOTHING: f64 = 4.0;

/// The table for these texts.
pub fn table<'a>(texts: impl Iterator<Item = &'a Extract>) -> Vec<i8> {
    let mut pairs = vec![0.0_f64; ORDER_ENTRIES];
    let mut first = vec![0.0_f64; ORDER_CLASSES];
    let mut second = vec![0.0_f64; ORDER_CLASSES];
    let mut all = 0.0_f64;
    for text in texts {
        for pair in &text.order {
            let pair = usize::from(*pair);
            pairs[pair] += 1.0;
            first[pair / ORDER_CLASSES] += 1.0;
            second[pair % ORDER_CLASSES] += 1.0;
            all += 1.0;
        }
    }
    let value = |(n, seen): (usize, &f64)| {
        let expected = first[n / ORDER_CLASSES] * second[n % ORDER_CLASSES] / all.max(1.0);
        let ratio = (seen + SMOOTHING) / (expected + SMOOTHING);
        (ratio.ln() * STEPS).round().clamp(-127.0, 127.0) as i8
    };
    pairs.iter().enumerate().map(value).collect()
}
