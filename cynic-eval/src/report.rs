//! An [`crate::Evaluation`] for people and programs: a text table, JSON, a page with pictures.
//!
//! Everything quoted from items is hostile: it is escaped, and its control characters are shown as text.

mod html;
mod svg;
mod text;

use std::fmt::Write as _;

use crate::Evaluation;

impl Evaluation {
    /// A table for a terminal.
    pub fn render_text(&self) -> String {
        text::render(self)
    }

    /// One JSON object, indented. Figures that the data cannot give are null.
    ///
    /// # Errors
    /// None that this type can cause; serde's signature has one.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// One HTML page without scripts or references to anything outside of it.
    pub fn render_html(&self) -> String {
        html::render(self)
    }
}

/// Untrusted text with its invisible and direction-changing characters made visible, so that it can
/// neither drive a terminal nor reorder a page.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push('⏎'),
            '\t' => shown.push(' '),
            c if c.is_control() || is_invisible(c) => {
                let _ = write!(shown, "\\u{{{:x}}}", c as u32);
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Zero-width, bidirectional and tag characters.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_drive_a_terminal_is_shown_as_text() {
        assert_eq!(visible("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb⏎c\\u{202e}d");
    }
}
