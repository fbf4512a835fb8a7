//! Folding of characters: what looks or reads alike becomes one. Linear; never allocates.

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// Whether a character shows nothing: zero-width, joiners, variation selectors, soft hyphen, tags,
/// bidirectional controls.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e007f}' | '\u{180e}' | '\u{34f}')
        || is_bidi_control(c)
}

/// Whether a character reorders what is shown: the means of making code or names read otherwise than
/// they are.
pub(crate) fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
}

/// Whether a character hides text rather than shaping emoji: zero-width spaces, joiners and tags.
pub(crate) fn is_hiding(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200c}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// A script, as far as mixing tells something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    Latin,
    /// Cyrillic or Greek: the scripts with Latin look-alikes.
    Lookalike,
    Other,
}

pub(crate) fn script(c: char) -> Script {
    match c {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' => Script::Latin,
        '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{52f}' => Script::Lookalike,
        _ => Script::Other,
    }
}

/// The Latin letter that a Cyrillic or Greek letter looks like.
pub(crate) fn lookalike(c: char) -> Option<char> {
    Some(match c {
        'а' | 'α' | 'А' | 'Α' => 'a',
        'в' | 'В' | 'β' | 'Β' => 'b',
        'с' | 'С' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'Е' | 'ё' | 'ε' | 'Ε' => 'e',
        'һ' | 'Н' | 'н' | 'Η' => 'h',
        'і' | 'І' | 'ι' | 'Ι' | 'ї' => 'i',
        'ј' | 'Ј' => 'j',
        'к' | 'К' | 'κ' | 'Κ' => 'k',
        'м' | 'М' | 'Μ' => 'm',
        'Ν' | 'η' | 'п' => 'n',
        'о' | 'О' | 'ο' | 'Ο' | 'σ' => 'o',
        'р' | 'Р' | 'ρ' | 'Ρ' => 'p',
        'ѕ' | 'Ѕ' => 's',
        'т' | 'Т' | 'τ' | 'Τ' => 't',
        'υ' | 'ц' => 'u',
        'ν' => 'v',
        'ѡ' | 'ω' => 'w',
        'х' | 'Х' | 'χ' | 'Χ' => 'x',
        'у' | 'У' | 'γ' | 'Υ' => 'y',
        'Ζ' => 'z',
        _ => return None,
    })
}

/// The letters and digits of a character in lower case, without accents, full-width and styled forms
/// made plain. Combining marks and invisible characters give nothing.
pub(crate) fn fold(c: char, mut emit: impl FnMut(char)) {
    if c.is_ascii() {
        emit(c.to_ascii_lowercase());
        return;
    }
    match c {
        '\u{2018}' | '\u{2019}' | '\u{2bc}' => return emit('\''),
        'ß' => {
            emit('s');
            return emit('s');
        }
        _ => {}
    }
    if is_invisible(c) {
        return;
    }
    decompose_compatible(c, |part| {
        if !is_combining_mark(part) {
            part.to_lowercase().for_each(&mut emit);
        }
    });
}

/// What a digit or sign stands for in leetspeak.
pub(crate) fn unleet(byte: u8) -> u8 {
    match byte {
        b'0' => b'o',
        b'1' | b'!' | b'|' => b'i',
        b'3' => b'e',
        b'4' | b'@' => b'a',
        b'5' | b'$' => b's',
        b'7' => b't',
        b'8' => b'b',
        b'9' => b'g',
        other => other,
    }
}

/// How many bytes are of a kind. Counted in short runs, which the processor does sixteen at a time.
pub(crate) fn count(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    const RUN: usize = u8::MAX as usize;
    let in_run = |run: &[u8]| run.iter().map(|byte| u8::from(is(*byte))).sum::<u8>();
    bytes.chunks(RUN).map(|run| usize::from(in_run(run))).sum()
}

/// A fast hash of folded bytes; the same on every machine.
pub(crate) const fn hash(bytes: &[u8]) -> u64 {
    let mut hash = SEED;
    let mut at = 0;
    while at < bytes.len() {
        hash = step(hash, bytes[at]);
        at += 1;
    }
    finish(hash)
}

pub(crate) const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// One byte of [`hash`].
#[inline]
pub(crate) const fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3)
}

/// The end of [`hash`]: spreads the last bytes over all bits.
#[inline]
pub(crate) const fn finish(hash: u64) -> u64 {
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

/// One hash of two.
#[inline]
pub(crate) const fn join(first: u64, second: u64) -> u64 {
    finish(first.rotate_left(5) ^ second.wrapping_mul(SEED))
}
