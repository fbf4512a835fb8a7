//! Folding of characters: what looks or reads alike becomes one. Linear, no tables built at run time.

/// Whether a character shows nothing: zero-width, joiners, variation selectors, soft hyphen, tags,
/// bidirectional controls.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e007f}'
        | '\u{180e}' | '\u{61c}')
}
