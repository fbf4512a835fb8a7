//! The command line as the user types it. Raw: each command resolves its part into a valid plan at the edge.
//!
//! Owns names, help and value types. Never touches a file or the daemon.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use cynic_proto::history::Cursor;
use cynic_proto::ids::TaskId;
use cynic_proto::model::{Dimension, Domain};

use crate::exit::Exit;

/// Judges items through the CYNIC daemon and shows what it does.
#[derive(Debug, Parser)]
#[command(name = "cynicctl", version, after_help = Exit::list(), max_term_width = 100)]
pub struct Cli {
    /// Where the daemon listens.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        value_hint = ValueHint::FilePath,
        help_heading = "Global options",
        help = "The daemon's socket [default: $CYNIC_SOCKET, else the system service's, else the user's own]"
    )]
    pub socket: Option<PathBuf>,
    /// Whether to colour the output.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options",
        help = "When to colour the output; NO_COLOR is honoured"
    )]
    pub color: clap::ColorChoice,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge files, directories or standard input
    Judge(Box<JudgeArgs>),
    /// Measure the judge against labelled items
    Eval(EvalArgs),
    /// Ask whether the daemon is there and ready
    Ping(PingArgs),
    /// Show the daemon's figures
    Stats(StatsArgs),
    /// List what was judged, and what was not
    History(Box<HistoryArgs>),
    /// Show everything that is stored of one task
    Show(ShowArgs),
    /// Take no more work and finish what was accepted
    Drain,
    /// Take work again after `drain`
    Resume,
    /// Write a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual page, or one page a command into a directory
    Man {
        /// Where to write the pages
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
}

/// What to judge and how to show it.
#[derive(Debug, Args)]
#[command(after_help = JUDGE_HELP)]
pub struct JudgeArgs {
    /// Files, directories (with all that is in them), or `-` for standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub files: Vec<OsString>,
    /// Read every input as JSON items, one a line
    #[arg(long)]
    pub jsonl: bool,
    /// Print one JSON object a line for each item, in input order
    #[arg(long, conflicts_with = "explain")]
    pub json: bool,
    /// Say why: what decided, what would raise the score, what was not checked
    #[arg(long)]
    pub explain: bool,
    /// Take each input for the body of an item of this type: text, code, event or a name of yours
    #[arg(long = "type", value_name = "TYPE")]
    pub item_type: Option<String>,
    /// Weigh the axioms for this kind of work, such as `protection` [default: the item's domain]
    #[arg(long)]
    pub profile: Option<String>,
    /// Give up on an item after this long, such as `500ms` or `2s`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub deadline: Option<Duration>,
    /// When to answer: once judged, or once stored
    #[arg(long, value_enum, default_value_t = AckArg::Judged)]
    pub ack: AckArg,
    /// End with exit code 3 if a verdict is this bad or worse
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub fail_on: Option<FailOnArg>,
    /// Where to queue [default: bulk for directories and JSON lines, else interactive]
    #[arg(long, value_enum)]
    pub lane: Option<LaneArg>,
}

const JUDGE_HELP: &str = "\
How an input is read:
  *.jsonl, *.ndjson    JSON items, one a line
  *.json               a JSON item: {\"type\": …, \"content\" | \"code\" | \"event\": …}
  any other file       the body itself; its name tells the language
  no name, or `-`      JSON if it looks like it, else the body itself

Examples:
  cynicctl judge mail.eml --explain
  cynicctl judge src/ --fail-on bark
  tail -f events.jsonl | cynicctl judge --jsonl --json
  echo 'rm -rf \"$DIR\"/' | cynicctl judge --type shell --profile protection";

/// When to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AckArg {
    /// As soon as it is judged; it is stored in the next batch
    Judged,
    /// After it was stored
    Stored,
}

/// From which verdict on to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOnArg {
    /// BARK
    Bark,
    /// GROWL or BARK
    Growl,
}

/// Where to queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LaneArg {
    /// Somebody waits for it
    Interactive,
    /// One of many
    Bulk,
}

/// What to measure the judge with.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Labelled JSON lines: items with "label" 1 (good) or 0 (bad), or pairs "a1", "a2", "better"
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
    /// Write a page with the figures and pictures of them
    #[arg(long, value_name = "PAGE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
}

/// How to ask.
#[derive(Debug, Args)]
pub struct PingArgs {
    /// Send a task through the queue and a worker as well
    #[arg(long)]
    pub deep: bool,
}

/// How to show the figures.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Print them as JSON
    #[arg(long)]
    pub json: bool,
    /// Show them again every second until interrupted
    #[arg(long)]
    pub watch: bool,
}

/// Which records to show, and how.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that the user types")]
#[command(after_help = HISTORY_HELP)]
pub struct HistoryArgs {
    /// From this time on: `1h`, `2d` (ago), `2026-04-14`, `2026-04-14T09:00`
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// One of these verdicts: howl, wag, growl, bark
    #[arg(long, value_enum, value_delimiter = ',', value_name = "VERDICT")]
    pub verdict: Vec<VerdictArg>,
    /// Judged as this: social, prompt, shell, code, prose, general
    #[arg(long, value_parser = domain)]
    pub domain: Option<Domain>,
    /// With at least this Q
    #[arg(long, value_name = "Q", value_parser = score)]
    pub q_min: Option<f32>,
    /// With at most this Q
    #[arg(long, value_name = "Q", value_parser = score)]
    pub q_max: Option<f32>,
    /// With a dimension below a score
    #[arg(long, value_name = "DIMENSION=SCORE", value_parser = bound)]
    pub below: Vec<(Dimension, f32)>,
    /// With a dimension above a score
    #[arg(long, value_name = "DIMENSION=SCORE", value_parser = bound)]
    pub above: Vec<(Dimension, f32)>,
    /// With this id of the item's own
    #[arg(long, value_name = "ID")]
    pub item: Option<String>,
    /// Asked for by this user id
    #[arg(long)]
    pub uid: Option<u32>,
    /// Failures only
    #[arg(long)]
    pub failures: bool,
    /// Failures whose message contains this text
    #[arg(long, value_name = "TEXT")]
    pub error: Option<String>,
    /// At most this many records
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// The oldest first
    #[arg(long)]
    pub oldest_first: bool,
    /// Go on where the listing before ended
    #[arg(long, value_parser = cursor)]
    pub cursor: Option<Cursor>,
    /// Print one JSON object a line
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print comma-separated values with a line of names
    #[arg(long)]
    pub csv: bool,
}

const HISTORY_HELP: &str = "\
Examples:
  cynicctl history --since 1h --verdict bark,growl
  cynicctl history --below INTEGRITY=40 --domain prompt --json
  cynicctl history --failures --since 2026-04-14";

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names are the model's")]
pub enum VerdictArg {
    Howl,
    Wag,
    Growl,
    Bark,
}

/// Which record to show, and how.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The task's id, as `history` and `judge --json` give it
    #[arg(value_name = "ID", value_parser = task_id)]
    pub task: TaskId,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

fn task_id(text: &str) -> Result<TaskId, String> {
    text.parse().map_err(|e: cynic_proto::ids::ParseTaskIdError| e.to_string())
}

fn domain(text: &str) -> Result<Domain, String> {
    let named = Domain::ALL.into_iter().find(|domain| domain.name().eq_ignore_ascii_case(text));
    named.ok_or_else(|| format!("expected one of {}", Domain::ALL.map(Domain::name).join(", ")))
}

fn score(text: &str) -> Result<f32, String> {
    let score = text.parse().ok().filter(|score| (0.0..=100.0).contains(score));
    score.ok_or_else(|| "expected a score from 0 to 100".to_owned())
}

fn bound(text: &str) -> Result<(Dimension, f32), String> {
    let form = || "expected a dimension and a score, such as INTEGRITY=40".to_owned();
    let (name, limit) = text.split_once('=').ok_or_else(form)?;
    let dimension = Dimension::from_name(name)
        .ok_or_else(|| format!("there is no dimension {name:?}; {}", form()))?;
    Ok((dimension, score(limit)?))
}

/// `12:3`, `12:` or `:3`, as the end of a listing gives it.
fn cursor(text: &str) -> Result<Cursor, String> {
    let place = |text: &str| match text {
        "" => Ok(None),
        digits => digits.parse().map(Some).map_err(|_| CURSOR_FORM.to_owned()),
    };
    let (judgment, failure) = text.split_once(':').ok_or(CURSOR_FORM)?;
    Ok(Cursor { judgment_seq: place(judgment)?, failure_seq: place(failure)? })
}

const CURSOR_FORM: &str = "expected a cursor such as 120:4, as the end of a listing gives it";

/// Reads `500ms`, `2s`, `1m 30s`.
///
/// # Errors
/// What is expected instead: no time, or less than a millisecond.
pub fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| "expected a time such as 500ms, 2s or 1m".to_owned())?;
    match Duration::try_from(span) {
        Ok(time) if time >= Duration::from_millis(1) => Ok(time),
        _ => Err("expected a time of at least 1ms".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        for wrong in ["", "5", "-2s", "0s", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
