//! A glance at a comment or string of source code: whether it can hold an instruction to a model at all. Hardly one does,
//! and to look at runs of letters takes a tenth of the time that a scan takes.

use super::lexicon::LIST;
use crate::fold;
use crate::lexicon::{self, Words};

/// One of these has a part in every rule for such an instruction: words that set others aside, and a model's own
/// instructions.
const CLASSES: [&str; 2] = ["override", "sysprompt"];

/// Single letters in a row that may spell a word of these.
const SPELLED_MIN: u32 = 5;

const SLOTS: usize = 2048;

/// Hashes of the words of these classes, and of the last two words of their phrases; open addressing.
static KEYS: [u64; SLOTS] = keys();

const fn keys() -> [u64; SLOTS] {
    let mut keys = [0; SLOTS];
    let (mut words, mut wanted, mut filled) = (Words::of(LIST), false, 0);
    while let Some((word, first_of_line)) = words.next() {
        if first_of_line {
            wanted = lexicon::place(&CLASSES, word) < CLASSES.len();
        } else if wanted {
            let hash = last_runs(word);
            let mut slot = hash as usize % SLOTS;
            while keys[slot] != 0 && keys[slot] != hash {
                slot = (slot + 1) % SLOTS;
            }
            keys[slot] = hash;
            filled += 1;
        }
    }
    assert!(
        filled * 4 < SLOTS,
        "the lists have more words than a quarter of the slots: double them"
    );
    keys
}

/// What tells a word, or the end of a phrase: its last run of letters with the run before it, if there is one.
const fn last_runs(phrase: &[u8]) -> u64 {
    let (mut before, mut last, mut hash, mut letters, mut runs, mut at) =
        (0, 0, fold::SEED, 0, 0, 0);
    while at <= phrase.len() {
        if at < phrase.len() && !matches!(phrase[at], b'_' | b'\'' | b'-') {
            hash = fold::step(hash, phrase[at]);
            letters += 1;
        } else if letters > 0 {
            (before, last) = (last, fold::finish(hash));
            (hash, letters) = (fold::SEED, 0);
            runs += 1;
        }
        at += 1;
    }
    if runs > 1 { fold::join(before, last) } else { last }
}

fn is_known(hash: u64) -> bool {
    let mut slot = hash as usize % SLOTS;
    loop {
        match KEYS[slot] {
            0 => return false,
            key if key == hash => return true,
            _ => slot = (slot + 1) % SLOTS,
        }
    }
}

/// Whether a scan of the text could find an instruction to a model. Says yes to what is not of ASCII, and to words that are
/// spelled letter by letter.
pub(crate) fn may_instruct(text: &str) -> bool {
    let (mut before, mut spelled) = (0, 0);
    let (mut hash, mut letters, mut digits) = (fold::SEED, 0, 0);
    for byte in text.bytes().chain([b' ']) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {
                hash = fold::step(hash, byte.to_ascii_lowercase());
                letters += 1;
            }
            b'0'..=b'9' => {
                hash = fold::step(hash, fold::unleet(byte));
                digits += 1;
            }
            0x80.. => return true,
            _ if letters + digits > 0 => {
                let run = fold::finish(hash);
                spelled = match (letters, digits) {
                    (1, 0) => spelled + 1,
                    (0, _) => spelled,
                    _ => 0,
                };
                if is_known(run) || is_known(fold::join(before, run)) || spelled >= SPELLED_MIN {
                    return true;
                }
                before = run;
                (hash, letters, digits) = (fold::SEED, 0, 0);
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::found::Hit;
    use crate::text::scan_part;

    /// All words of some classes, phrases with their parts apart.
    fn words(classes: &[&str]) -> Vec<String> {
        let lines = LIST.lines().map(str::split_ascii_whitespace);
        let own = lines.filter_map(|mut words| classes.contains(&words.next()?).then_some(words));
        own.flatten().map(|word| word.replace('_', " ")).collect()
    }

    #[test]
    fn whatever_a_scan_would_find_is_seen() {
        let told = ["override", "sysprompt", "instruction", "prior", "every", "reveal"];
        let (told, set_aside) = (words(&told), words(&CLASSES));
        let disguises: [fn(&str) -> String; 5] = [
            str::to_owned,
            str::to_uppercase,
            |word| word.replace('o', "0").replace('i', "1").replace('e', "3"),
            |word| word.chars().flat_map(|letter| [letter, ' ']).collect(),
            |word| word.replace('e', "\u{435}"),
        ];
        let mut found = 0;
        for (n, first) in set_aside.iter().enumerate() {
            for (m, second) in told.iter().enumerate() {
                let disguise = disguises[(n + m) % disguises.len()];
                for text in [
                    format!("// {} the {second} now", disguise(first)),
                    format!("# {second}_the,{}", disguise(first)),
                ] {
                    let scan = scan_part(&text);
                    let instructs =
                        [Hit::Override, Hit::RevealPrompt].iter().any(|hit| scan.hit(*hit) > 0.0);
                    found += usize::from(instructs);
                    assert!(!instructs || may_instruct(&text), "{text}");
                }
            }
        }
        assert!(found > 1000, "{found}");
    }

    #[test]
    fn most_comments_are_passed_over() {
        for text in [
            "/* Returns the number of bytes that were read, or a negative error code. */",
            "// Note: the 2nd argument of x_y(a, b) is 0x1f on big-endian machines",
            "could not open %s: permission denied",
        ] {
            assert!(!may_instruct(text), "{text}");
        }
    }
}
