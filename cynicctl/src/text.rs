//! Untrusted text made fit for a terminal, and text cut to a width.
//!
//! Everything that comes from an item, a file name or another process passes through [`printable`] before
//! it is printed: it must never move the cursor, change colours, reorder the line or hide in it.

use std::fmt::Write as _;

use cynic_proto::stats::LastDeath;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Marks that may pile up on one letter: real scripts need three or four; more is a picture drawn over
/// the lines above.
const MARKS_MAX: usize = 4;

/// The text with every character that a terminal acts on, or that shows nothing, written as an escape;
/// line breaks and tabs become spaces.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.chars() {
        if matches!(c, '\n' | '\r' | '\t') {
            out.push(' ');
        } else if acts_on_terminal(c) {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        } else {
            marks = if c.width() == Some(0) { marks + 1 } else { 0 };
            if marks <= MARKS_MAX {
                out.push(c);
            }
        }
    }
    out
}

/// A short quotation: printable, with runs of blanks squeezed to one and none at the ends.
pub fn squeezed(text: &str) -> String {
    printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a terminal could take the character for an order, or a reader not see it.
pub fn acts_on_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero-width characters and directional marks.
            | '\u{200b}'..='\u{200f}'
            // Line and paragraph separators, bidirectional embedding and override.
            | '\u{2028}'..='\u{202e}'
            // Invisible operators, bidirectional isolates, deprecated format characters.
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Tags and private planes: nothing that a font shows, much that hides.
            | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

/// Columns that the text takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text cut to a width, with `…` where something was cut off.
pub fn clip(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide >= columns {
            break;
        }
        used += wide;
        out.push(c);
    }
    if columns > 0 {
        out.truncate(out.trim_end().len());
        out.push('…');
    }
    out
}

/// The text cut in its middle, so that the end of a path stays to be seen.
pub fn clip_middle(text: &str, columns: usize) -> String {
    if text.width() <= columns || columns < 8 {
        return clip(text, columns);
    }
    let head_columns = columns / 3;
    let head = clip(text, head_columns);
    let mut tail_columns = columns - head.width();
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        let wide = c.width().unwrap_or(0);
        if wide > tail_columns {
            break;
        }
        tail_columns -= wide;
        start = at;
    }
    format!("{head}{}", &text[start..])
}

/// The text broken into lines of at most that width, at blanks where there are any.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(8);
    let whole = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !whole.is_empty() && whole.width() <= columns {
        return vec![whole];
    }
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if line.width() + c.width().unwrap_or(0) > columns {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A count with its noun: `1 item`, `2 items`.
pub fn counted(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{} {noun}s", grouped(n)) }
}

/// A number with a thin gap between thousands, so that long ones can be read.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in binary units: `512 B`, `1.5 KiB`, `12 MiB`.
pub fn bytes(n: u64) -> String {
    scaled(n as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// Microseconds in a unit that reads well: `350 µs`, `1.2 ms`, `12 s`.
pub fn micros(us: f64) -> String {
    scaled(us, 1000.0, &["µs", "ms", "s"])
}

/// A worker's death: what of, over what, when.
pub fn death(death: &LastDeath) -> String {
    let cause = printable(&death.cause);
    let doing = printable(&death.doing);
    let over = if doing.is_empty() { String::new() } else { format!(" ({doing})") };
    format!("{cause}{over} {} ago", elapsed(death.ago_ms / 1000))
}

fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    // 0.9995 of a step would print as 1000 of the smaller unit.
    while value >= step * 0.9995 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    if unit == 0 || value >= 9.95 {
        format!("{value:.0} {}", units[unit])
    } else {
        format!("{value:.1} {}", units[unit])
    }
}

/// Seconds as people say them: `42 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`.
pub fn elapsed(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{minutes} min {} s", seconds % 60),
        3600..=86_399 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_and_reordering_are_shown_not_obeyed() {
        assert_eq!(printable("a\u{1b}[31mred\u{7}"), "a\\u{1b}[31mred\\u{7}");
        assert_eq!(printable("x\u{9b}2J"), "x\\u{9b}2J");
        assert_eq!(printable("abc\u{202e}def"), "abc\\u{202e}def");
        assert_eq!(printable("in\u{200b}visible"), "in\\u{200b}visible");
        assert_eq!(squeezed("  one\n\ttwo  "), "one two");
        assert_eq!(printable("Grüße, 世界 ✓"), "Grüße, 世界 ✓");
    }

    #[test]
    fn piled_marks_are_cut_off() {
        let zalgo = format!("a{}", "\u{301}".repeat(50));
        assert_eq!(printable(&zalgo).chars().count(), 1 + MARKS_MAX);
    }

    #[test]
    fn clipping_counts_columns_not_characters() {
        assert_eq!(clip("short", 10), "short");
        assert_eq!(clip("a longer text", 8), "a longe…");
        assert_eq!(clip("世界世界", 5), "世界…");
        assert_eq!(clip_middle("examples/mail/phishing.eml", 17), "exam…phishing.eml");
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(micros(999.6), "1.0 ms");
        assert_eq!(micros(12.0), "12 µs");
        assert_eq!(elapsed(7_265), "2 h 1 min");
        assert_eq!(counted(1, "item"), "1 item");
        assert_eq!(counted(2, "item"), "2 items");
    }

    proptest! {
        #[test]
        fn nothing_printable_acts_on_a_terminal(text: String) {
            prop_assert!(!printable(&text).chars().any(acts_on_terminal));
        }

        #[test]
        fn clipped_text_fits(text: String, columns in 1usize..60) {
            let text = printable(&text);
            prop_assert!(width(&clip(&text, columns)) <= columns);
            prop_assert!(width(&clip_middle(&text, columns)) <= columns);
            for line in wrap(&text, columns) {
                prop_assert!(width(&line) <= columns.max(8) + 1);
            }
        }
    }
}
