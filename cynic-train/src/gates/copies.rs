//! Near-copies within a set: a fold can hold an item whose copy was trained on, and the figure flatters.
//!
//! Finds them, so that the figure without them can be shown beside it. Changes nothing in the folds.

use std::collections::{HashMap, HashSet};

/// Characters of a shingle: longer than most words, so that a shared one is a shared phrase.
const SHINGLE_CHARS: usize = 8;

/// Share of common shingles (of all that either has) from which two texts are near-copies.
const COPY_SHARE: f64 = 0.5;

/// A shingle in more texts than this says nothing about two of them, and following it is slow.
const TEXTS_PER_SHINGLE_MAX: usize = 200;

/// For each text, whether another one is a near-copy of it. Case and white space don't count.
pub(super) fn copied(texts: &[String]) -> Vec<bool> {
    let shingles: Vec<HashSet<u64>> = texts.iter().map(|text| shingles(text)).collect();
    let mut holders: HashMap<u64, Vec<usize>> = HashMap::new();
    for (n, set) in shingles.iter().enumerate() {
        for shingle in set {
            holders.entry(*shingle).or_default().push(n);
        }
    }
    let is_copied = |(n, set): (usize, &HashSet<u64>)| {
        let mut common: HashMap<usize, usize> = HashMap::new();
        for shingle in set {
            let others = &holders[shingle];
            if others.len() <= TEXTS_PER_SHINGLE_MAX {
                for other in others.iter().filter(|other| **other != n) {
                    *common.entry(*other).or_default() += 1;
                }
            }
        }
        common.into_iter().any(|(other, common)| {
            let all = set.len() + shingles[other].len() - common;
            common as f64 / all as f64 > COPY_SHARE
        })
    };
    shingles.iter().enumerate().map(is_copied).collect()
}

fn shingles(text: &str) -> HashSet<u64> {
    let lower = text.to_lowercase();
    let chars: Vec<char> = lower.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
    chars.windows(SHINGLE_CHARS.min(chars.len()).max(1)).map(hash).collect()
}

/// FNV-1a over the characters: a collision in 64 bits is rarer than any copy.
fn hash(chars: &[char]) -> u64 {
    chars.iter().fold(0xcbf2_9ce4_8422_2325, |hash, c| {
        (hash ^ u64::from(u32::from(*c))).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_word_is_a_copy_and_a_shared_phrase_is_not() {
        let texts = [
            "You have won a prize of 2000 pounds, call 0906 1234 before Friday",
            "You have WON a prize of 2000 pounds,  call 0906 9999 before Friday",
            "Call me before Friday if you have time, I won a prize at school today",
            "short",
            "",
        ];
        assert_eq!(copied(&texts.map(str::to_owned)), [true, true, false, false, false]);
    }
}
