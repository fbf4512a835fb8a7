//! Colours, and the width of the terminal. Styled text is always written; the stream strips the styling
//! where there is no terminal or the user wants none.

use std::io::IsTerminal as _;

use anstyle::{AnsiColor, Style};
use cynic_proto::model::Verdict;

/// Width of a terminal that does not tell its own: wide enough for a quotation, narrow enough for a mail.
const WIDTH_DEFAULT: usize = 100;

/// The width of a file or a pipe: nothing that goes there has to fit, so nothing is cut or broken into lines.
pub const WHOLE: usize = usize::MAX;

/// Narrowest and widest that tables are laid out for.
const WIDTH_RANGE: std::ops::RangeInclusive<usize> = 40..=160;

/// Headings and what matters most.
pub const STRONG: Style = Style::new().bold();
/// What may be overlooked.
pub const FAINT: Style = Style::new().dimmed();
/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What needs a look.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// What is bad.
pub const BAD: Style = AnsiColor::Red.on_default();
/// As it comes.
pub const PLAIN: Style = Style::new();

/// The colour of a verdict.
pub fn of(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Howl => GOOD.bold(),
        Verdict::Wag => GOOD,
        Verdict::Growl => WARN,
        Verdict::Bark => BAD.bold(),
    }
}

/// Text in a style.
pub fn paint(style: Style, text: &str) -> String {
    if style == PLAIN { text.to_owned() } else { format!("{style}{text}{style:#}") }
}

/// Columns to lay out the output for: `COLUMNS`, else the terminal's if it goes to one, else [`WHOLE`].
pub fn columns() -> usize {
    let out = std::io::stdout();
    let asked = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    if asked.is_none() && !out.is_terminal() {
        return WHOLE;
    }
    // Of this stream alone: standard error may be a terminal where the output is none.
    let terminal = || Some(usize::from(terminal_size::terminal_size_of(out)?.0.0));
    let columns = asked.or_else(terminal).unwrap_or(WIDTH_DEFAULT);
    columns.clamp(*WIDTH_RANGE.start(), *WIDTH_RANGE.end())
}

/// Lines of the terminal, if there is one.
pub fn rows() -> Option<usize> {
    Some(usize::from(terminal_size::terminal_size()?.1.0))
}
