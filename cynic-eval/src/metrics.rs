//! The figures, each a pure function of scores and labels.
//!
//! A figure that the data cannot give (two classes needed, one there) is `None`, never a made-up number.

#![expect(clippy::float_cmp, reason = "a tie is equality to the bit")]

pub mod auc;
pub mod confidence;
pub mod dimensions;
pub mod spread;

/// The share of `part` in `whole`, 0 to 1; `None` where there is no whole.
pub fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
