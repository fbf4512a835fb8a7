//! The progress bar: on a terminal only, and only when the run takes long enough to wonder.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long a run takes before a bar appears: shorter ones end before it could be read.
const APPEARS_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Progress {
    bar: ProgressBar,
    began: Instant,
    shown: bool,
    items: u64,
    bytes_total: Option<u64>,
}

impl Progress {
    pub(super) fn new() -> Progress {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Progress { bar, began: Instant::now(), shown: false, items: 0, bytes_total: None }
    }

    /// How many bytes there are to judge, which gives the bar an end.
    pub(super) fn expect(&mut self, bytes: u64) {
        self.bytes_total = Some(bytes);
        self.bar.set_length(bytes);
    }

    pub(super) fn advance(&mut self, bytes: u64, failed: u64) {
        self.items += 1;
        self.bar.inc(bytes);
        if !self.shown && self.began.elapsed() >= APPEARS_AFTER {
            self.shown = true;
            self.bar.set_style(style(self.bytes_total.is_some()));
            // Hides itself where standard error is not a terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if self.shown {
            let rate = self.items as f64 / self.began.elapsed().as_secs_f64();
            let failed = if failed > 0 { format!(", {failed} not judged") } else { String::new() };
            self.bar.set_message(format!("{} items, {rate:.0}/s{failed}", self.items));
        }
    }

    /// The share of the bytes that there are to judge still, where their number is known.
    pub(super) fn share_left(&self) -> Option<f64> {
        let total = self.bytes_total.filter(|total| *total > 0)?;
        Some(1.0 - (self.bar.position() as f64 / total as f64).min(1.0))
    }

    /// Does something with the bar out of the way: what it shows comes to the terminal that the bar is on.
    pub(super) fn hidden_while<R>(&self, show: impl FnOnce() -> R) -> R {
        if self.shown { self.bar.suspend(show) } else { show() }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(has_end: bool) -> ProgressStyle {
    let template = if has_end {
        "{bar:24} {percent:>3}%  {msg}, {eta} left"
    } else {
        "{spinner} {bytes}  {msg}, {elapsed}"
    };
    ProgressStyle::with_template(template)
        .expect("the templates above are sound")
        .progress_chars("█▌░")
}
