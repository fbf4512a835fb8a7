//! Texts: tokens, words, rules and features. Knows nothing of dimensions' scores.

mod chunk;
pub(crate) mod features;
pub(crate) mod lexicon;
pub(crate) mod order;
pub(crate) mod scan;
mod token;

use scan::{Grams, Scan, Scanner};

/// Takes no n-grams: for parts that are only read for rules.
struct NoGrams;

impl Grams for NoGrams {
    fn gram(&mut self, _: u64, _: u8, _: crate::spec::Span) {}
}

/// Scans a text.
///
/// `order` is the learned table of word orders (may be empty); `context` holds the sorted hashes of the
/// context's words.
pub(crate) fn scan<G: Grams>(text: &str, order: &[i8], context: &[u64], grams: G) -> (Scan, G) {
    // A line end at the end says nothing, and neither does how lines end.
    Scanner::new(text.trim_end(), order, context, grams, 0).run()
}

/// Scans a decoded part for rules only.
fn scan_plain(text: &str, depth: u8) -> Scan {
    Scanner::new(text, &[], &[], NoGrams, depth).run().0
}

/// Scans a comment or string of source code for rules only.
pub(crate) fn scan_part(text: &str) -> Scan {
    scan_plain(text, crate::decode::DEPTH_MAX)
}
