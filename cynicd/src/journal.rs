//! The log: to a terminal for people, to the journal with its own levels, or as JSON for programs; and its
//! filter, which may change while the daemon runs.
//!
//! Owns the form of a line. Never decides what is logged.

use std::fmt;
use std::io::{self, IsTerminal};

use tracing::{Event, Level, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::LogFormat;

/// Overrides the configured level.
const LEVEL_ENV: &str = "CYNIC_LOG";

/// Changes what is logged.
#[derive(Debug, Clone)]
pub struct LogControl {
    handle: reload::Handle<EnvFilter, Registry>,
    left_out: ErrorCounter,
}

/// Why a filter was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It is none.
    #[error(
        "`{0}` is no level and no filter: expected a level (error, warn, info, debug, trace, off) or a filter such as \
         \"info,cynicd::pool=debug\""
    )]
    NotAFilter(String),
    /// There is no log any more.
    #[error("this daemon's log has ended, and its level cannot change")]
    Ended,
}

/// Lines that wait to be written; with more than these, lines are left out rather than anybody's work held up.
const LINES_MAX: usize = 16_384;

/// The thread that writes the log; what is left is written when this is dropped.
pub type LogWriter = tracing_appender::non_blocking::WorkerGuard;

/// Starts the log on standard error, on a thread of its own: whoever reads it, or does not, holds nobody up. The
/// environment overrides the level.
pub fn start(format: LogFormat, level: &str) -> (LogControl, LogWriter) {
    let filter = parse(&configured(level)).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let (lines, writer) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(io::stderr());
    let left_out = lines.error_counter();
    let log =
        tracing_subscriber::fmt::layer().with_writer(lines).with_ansi(io::stderr().is_terminal());
    let log: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Json => Box::new(log.json()),
        LogFormat::Pretty if journal => Box::new(log.event_format(JournalLine)),
        LogFormat::Pretty => Box::new(log.with_target(false)),
    };
    tracing_subscriber::registry().with(filter).with(log).init();
    (LogControl { handle, left_out }, writer)
}

impl LogControl {
    /// How many lines were left out because nobody took them.
    pub fn lines_left_out(&self) -> u64 {
        self.left_out.dropped_lines() as u64
    }

    /// Logs by the configuration's level from now on, or by the environment's where that overrides it.
    ///
    /// # Errors
    /// See [`LogError`]; nothing has changed.
    pub fn set_configured(&self, level: &str) -> Result<(), LogError> {
        self.set(&configured(level))
    }

    /// Logs by this filter from now on: a level, or levels by module.
    ///
    /// # Errors
    /// See [`LogError`]; nothing has changed.
    pub fn set(&self, filter: &str) -> Result<(), LogError> {
        let parsed = parse(filter)?;
        self.handle.reload(parsed).map_err(|_| LogError::Ended)
    }
}

fn configured(level: &str) -> String {
    std::env::var(LEVEL_ENV).unwrap_or_else(|_| level.to_owned())
}

/// Whether a filter can be used.
///
/// # Errors
/// [`LogError::NotAFilter`] says what is wrong.
pub fn check(filter: &str) -> Result<(), LogError> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    let error = |what: &str| LogError::NotAFilter(what.to_owned());
    // `EnvFilter` takes any bare word for a module's name: "verbose" would silence everything.
    let word = filter.split(',').map(str::trim).find(|part| {
        part.is_empty()
            || !part.contains(['=', '[', ':'])
                && part.parse::<tracing::level_filters::LevelFilter>().is_err()
    });
    if let Some(word) = word {
        return Err(error(word));
    }
    EnvFilter::try_new(filter).map_err(|_| error(filter))
}

/// A line for the journal, which has its own clock: a priority that it takes off again, then the event.
#[derive(Debug)]
struct JournalLine;

impl JournalLine {
    const fn priority(level: Level) -> u8 {
        match level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        }
    }
}

impl<S, N> FormatEvent<S, N> for JournalLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", JournalLine::priority(*event.metadata().level()))?;
        let format =
            Format::default().without_time().with_level(false).with_target(false).with_ansi(false);
        format.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_filter_is_refused() {
        for filter in ["info", "WARN", "info,cynicd::pool=debug", "off"] {
            assert!(check(filter).is_ok(), "{filter}");
        }
        for filter in ["verbose", "info,loud", "cynicd=noise", ""] {
            let error = check(filter).expect_err(filter).to_string();
            assert!(error.contains("no level"), "{error}");
        }
    }
}
