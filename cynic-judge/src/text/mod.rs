//! Texts: tokens, words, rules and features. Knows nothing of dimensions' scores.

mod chunk;
pub(crate) mod features;
mod found;
mod glance;
pub(crate) mod lexicon;
pub(crate) mod order;
pub(crate) mod scan;
mod technical;
mod token;

pub(crate) use chunk::is_untrustworthy;
pub(crate) use glance::may_instruct;
use scan::{Grams, Scan, Scanner};

use crate::fold;

/// Takes no n-grams: for parts that are only read for rules.
pub(crate) struct NoGrams;

impl Grams for NoGrams {
    fn gram(&mut self, _: u64, _: u8, _: crate::spec::Span) {}
}

/// Scans a text.
///
/// `order` is the learned table of word orders (may be empty); `context` holds the sorted hashes of the
/// context's words.
pub(crate) fn scan<G: Grams>(text: &str, order: &[i8], context: &[u64], grams: G) -> (Scan, G) {
    // A line end at the end says nothing, and neither does how lines end.
    let text = text.trim_end();
    let (mut scan, grams) = Scanner::new(text, order, context, grams, 0).run();
    uncover(text, &mut scan);
    (scan, grams)
}

/// Words from which a text in which hardly one is known may be a disguise.
const DISGUISED_WORDS_MIN: u32 = 3;

/// Reads a text as others may: with its escapes resolved, and, where hardly a word is known, rotated and from its end.
fn uncover(text: &str, scan: &mut Scan) {
    let unread = scan.words < DISGUISED_WORDS_MIN || scan.known * 4 < scan.words;
    let escapes = fold::count(text.as_bytes(), |byte| matches!(byte, b'&' | b'%' | b'\\'));
    let numbers = scan.numbers + scan.mixed;
    if (unread || escapes >= 2 || numbers >= 4)
        && let Some((plain, span)) = crate::decode::unescaped(text)
    {
        scan.reveal(&scan_plain(&plain, 1), span, unread);
    }
    if unread && scan.words >= DISGUISED_WORDS_MIN && scan.non_latin * 2 < scan.words {
        for other in [crate::decode::rotated(text), crate::decode::reversed(text)] {
            scan.reveal(&scan_plain(&other, 1), (0, text.len()), true);
        }
    }
}

/// Scans a decoded part for rules only.
fn scan_plain(text: &str, depth: u8) -> Scan {
    Scanner::new(text, &[], &[], NoGrams, depth).run().0
}

/// Scans a comment or string of source code for rules only.
pub(crate) fn scan_part(text: &str) -> Scan {
    scan_plain(text, crate::decode::DEPTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::scan::Hit;
    use super::*;

    #[test]
    fn a_version_is_no_address_and_the_name_of_a_setting_asks_for_nothing() {
        let hit = |text: &str, hit: Hit| scan_plain(text, 0).hit(hit) > 0.0;
        assert!(hit("uses: tools/toolchain@192.0.2.7 now", Hit::BadLink));
        assert!(!hit("uses: tools/toolchain@1.71.0 now", Hit::BadLink));
        assert!(hit("Reply with your password", Hit::SecretRequest));
        assert!(!hit("call rsa_private_key and send mysql://root:password@db", Hit::SecretRequest));
    }
}
