//! The order of words: how well each word follows the one before it, by a learned table over classes.

/// Classes of the table, and its width.
pub(crate) const CLASSES: usize = 160;
/// The first class of a word of its own.
pub(crate) const FIRST_WORD: u8 = 16;

/// Start or end of a sentence.
pub(crate) const BOUNDARY: u8 = 0;
/// A pause inside a sentence.
pub(crate) const PAUSE: u8 = 1;
/// A number.
pub(crate) const NUMBER: u8 = 2;
/// Anything else that is no word: a link, an emoji, a mention.
pub(crate) const THING: u8 = 3;
const CAPITALISED: u8 = 4;
const PLAIN: u8 = 5;

/// The class of a word without a class of its own: by its ending.
pub(crate) fn by_shape(folded: &[u8], capitalised: bool) -> u8 {
    let ends = |suffix: &[u8]| folded.len() > suffix.len() + 2 && folded.ends_with(suffix);
    if capitalised {
        CAPITALISED
    } else if ends(b"ing") {
        6
    } else if ends(b"ed") {
        7
    } else if ends(b"ly") {
        8
    } else if ends(b"tion") || ends(b"ment") || ends(b"ness") || ends(b"ity") {
        9
    } else if ends(b"er") || ends(b"or") {
        10
    } else if ends(b"ive") || ends(b"ous") || ends(b"ful") || ends(b"al") || ends(b"able") {
        11
    } else if ends(b"s") {
        12
    } else if folded.len() <= 3 {
        13
    } else {
        PLAIN
    }
}
