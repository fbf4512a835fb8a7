//! The command line as the user types it. Raw: each command resolves its part into a valid plan at the edge.
//!
//! Owns names, help and value types. Never touches a file or the daemon.

pub mod bench;
pub mod dead_letters;

use std::ffi::OsString;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use cynic_proto::event::Kind;
use cynic_proto::history::{Cursor, Truth};
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Lane};
use cynic_proto::model::{Dimension, Domain, Verdict};

use crate::events;
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
        help = "The daemon's socket; operators' commands go to the admin socket beside it [default: $CYNIC_SOCKET, else the system service's, else the user's own]"
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
    /// Print what happens, as JSON lines
    Events(EventsArgs),
    /// List what was judged, and what was not
    History(Box<HistoryArgs>),
    /// Show everything that is stored of one task
    Show(ShowArgs),
    /// Write all records that fit to a file or standard output
    Export(Box<ExportArgs>),
    /// Say what turned out to be true of a judgment
    Feedback(FeedbackArgs),
    /// Fit the verdicts' thresholds to the feedback, or go back
    Calibrate(CalibrateArgs),
    /// Copy the store into a file while the daemon works
    Backup(BackupArgs),
    /// Look at the items that killed each worker that tried them, try them again, or forget them
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Run an item in quarantine alone in a fresh worker and show what happens
    Replay(ReplayArgs),
    /// Look at the entries that the database refused, write them again, or drop them
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLettersCommand),
    /// Take no more work and finish what was accepted
    Drain,
    /// Take work again after `drain`
    Resume,
    /// Put load on the daemon and measure latency, throughput, processor time and memory
    Bench(Box<bench::BenchArgs>),
    /// Show workers, queue, rates and the store, live
    Top,
    /// Look over everything that the daemon depends on, and say what to do
    Doctor(DoctorArgs),
    /// Read the configuration again and replace the workers one after another; no task is dropped
    Reload,
    /// Set the number of workers until the next reload or restart
    Scale {
        /// A number, or `auto` for the golden part of the processor's cores
        #[arg(value_name = "N|auto", value_parser = pool_size)]
        size: PoolSize,
    },
    /// Replace all workers; no task is dropped
    RestartWorkers {
        /// One after another, so that the others go on working; the only way there is
        #[arg(long)]
        rolling: bool,
    },
    /// Kill one worker at once; its task goes to another
    KillWorker {
        /// The number before the dot in `cynicctl stats`: 1 for worker 1.3
        #[arg(value_name = "SLOT", value_parser = slot)]
        slot: u16,
    },
    /// Set what the daemon logs until the next reload or restart
    LogLevel {
        /// error, warn, info, debug, trace, or a filter such as `info,cynicd::pool=debug`
        #[arg(value_name = "LEVEL")]
        filter: String,
    },
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
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub struct JudgeArgs {
    /// Files, directories (with all that is in them but hidden entries), or `-` for standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub files: Vec<OsString>,
    /// Read every input as JSON items, one a line
    #[arg(long)]
    pub jsonl: bool,
    /// Print one JSON object a line for each item, in input order unless --unordered
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
    #[arg(long, default_value = "judged", value_parser = one_of(&ACKS))]
    pub ack: Ack,
    /// End with exit code 3 if a verdict is this bad or worse
    #[arg(long, ignore_case = true, value_name = "VERDICT", value_parser = one_of(&FAIL_ON))]
    pub fail_on: Option<Verdict>,
    /// Where to queue [default: bulk for directories and JSON lines, else interactive]
    #[arg(long, value_parser = one_of(&LANES))]
    pub lane: Option<Lane>,
    /// Name each task by its place and content: the same command, run again, judges only what is not stored yet
    #[arg(long)]
    pub resume: bool,
    /// Print answers as they come, not in input order: a slow item holds back nothing but its own
    #[arg(long)]
    pub unordered: bool,
    /// Stop at the first item that cannot be judged, instead of reporting it and going on
    #[arg(long)]
    pub strict: bool,
}

const JUDGE_HELP: &str = "\
How an input is read:
  *.jsonl, *.ndjson    JSON items, one a line
  *.json               a JSON item: {\"type\": …, \"content\" | \"code\" | \"event\": …}
  any other file       the body itself; its name tells the language
  no name, or `-`      JSON if it looks like it, else the body itself
  a directory          its files; what is hidden, empty or binary is skipped with a note,
                       a program or script that is binary fails

Examples:
  cynicctl judge mail.eml --explain
  cynicctl judge src/ --fail-on bark
  tail -f events.jsonl | cynicctl judge --jsonl --json
  cynicctl judge --json --resume big.jsonl > out    # interrupted? run it again
  echo 'rm -rf \"$DIR\"/' | cynicctl judge --type shell --profile protection";

/// A value of the protocol's that an option takes, with its name and its help on the command line.
type Named<T> = (T, &'static str, Option<&'static str>);

const ACKS: [Named<Ack>; 2] = [
    (Ack::Judged, "judged", Some("As soon as it is judged; it is stored in the next batch")),
    (Ack::Stored, "stored", Some("After it was stored")),
];

const FAIL_ON: [Named<Verdict>; 2] =
    [(Verdict::Bark, "bark", Some("BARK")), (Verdict::Growl, "growl", Some("GROWL or BARK"))];

const VERDICTS: [Named<Verdict>; 4] = [
    (Verdict::Howl, "howl", None),
    (Verdict::Wag, "wag", None),
    (Verdict::Growl, "growl", None),
    (Verdict::Bark, "bark", None),
];

const LANES: [Named<Lane>; 2] = [
    (Lane::Interactive, "interactive", Some("Somebody waits for it")),
    (Lane::Bulk, "bulk", Some("One of many")),
];

const TRUTHS: [Named<Truth>; 2] = [
    (Truth::Good, "good", Some("It was fine and deserved to pass")),
    (Truth::Bad, "bad", Some("It was bad and deserved to be stopped")),
];

fn one_of<T>(values: &'static [Named<T>]) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync,
{
    let possible = values.iter().map(|(_, name, help)| PossibleValue::new(*name).help(*help));
    PossibleValuesParser::new(possible).try_map(|text| {
        let named = values.iter().find(|(_, name, _)| name.eq_ignore_ascii_case(&text));
        named.map(|(value, ..)| *value).ok_or("there is no such value")
    })
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
    /// Have every worker judge an item whose judgment is known
    #[arg(long)]
    pub deep: bool,
    /// For probes: print nothing, and end with 0 if a task sent now would be judged
    #[arg(long, conflicts_with = "deep")]
    pub ready: bool,
}

/// How to show what was found.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// How many workers: `None` goes by the processor's cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSize(pub Option<NonZeroU16>);

/// As many as the configuration may ask for.
const POOL_SIZE_MAX: u16 = 1024;

fn pool_size(text: &str) -> Result<PoolSize, String> {
    if text == "auto" {
        return Ok(PoolSize(None));
    }
    let size = text.parse().ok().filter(|size: &NonZeroU16| size.get() <= POOL_SIZE_MAX);
    size.map(|size| PoolSize(Some(size)))
        .ok_or_else(|| format!("expected auto, or a number from 1 to {POOL_SIZE_MAX}"))
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

/// Which events to print.
#[derive(Debug, Args)]
#[command(after_help = events::help())]
pub struct EventsArgs {
    /// Print events as they come until interrupted, instead of those of the recent past
    #[arg(long, short)]
    pub follow: bool,
    /// With --follow, begin with those of the recent past
    #[arg(long, requires = "follow")]
    pub recent: bool,
    /// Only events of this kind, such as `worker.died`, or of this area, such as `store`
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',', value_parser = events::kinds)]
    pub kinds: Vec<Vec<Kind>>,
}

/// Conditions that no failure fits.
const OF_JUDGMENTS: [&str; 6] = ["verdict", "domain", "q_min", "q_max", "below", "above"];

/// Which records.
#[derive(Debug, Args)]
pub struct FilterArgs {
    /// From this time on: `1h`, `2d` (ago), `2026-04-14`, `2026-04-14T09:00`
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// One of these verdicts: howl, wag, growl, bark
    #[arg(long, ignore_case = true, value_delimiter = ',', value_parser = one_of(&VERDICTS))]
    pub verdict: Vec<Verdict>,
    /// Judged as this: social, prompt, shell, code, prose, general
    #[arg(long, value_parser = domain)]
    pub domain: Option<Domain>,
    /// With at least this Q
    #[arg(long, value_name = "Q", value_parser = score, allow_negative_numbers = true)]
    pub q_min: Option<f32>,
    /// With at most this Q
    #[arg(long, value_name = "Q", value_parser = score, allow_negative_numbers = true)]
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
    #[arg(long, value_parser = user_id)]
    pub uid: Option<u32>,
    /// Failures only, which have neither verdict nor scores
    #[arg(long, conflicts_with_all = OF_JUDGMENTS)]
    pub failures: bool,
    /// Failures whose message contains this text
    #[arg(long, value_name = "TEXT", conflicts_with_all = OF_JUDGMENTS)]
    pub error: Option<String>,
}

/// Which records to show, and how.
#[derive(Debug, Args)]
#[command(after_help = HISTORY_HELP)]
pub struct HistoryArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment here would become the command's help")]
    pub filter: FilterArgs,
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
  cynicctl history --failures --since 2026-04-14

`cynicctl export` writes all that fit, however many; `cynicctl show ID` shows one with its evidence.";

/// Which records to export, and where.
#[derive(Debug, Args)]
#[command(after_help = EXPORT_HELP)]
pub struct ExportArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment here would become the command's help")]
    pub filter: FilterArgs,
    /// One JSON object a line, or comma-separated values with a line of names
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
    pub format: ExportFormat,
    /// With each judgment's features: evidence codes and their points, from which its scores were made
    #[arg(long)]
    pub features: bool,
    /// Write to this file, which must not exist [default: standard output]
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

const EXPORT_HELP: &str = "\
The oldest record comes first. Records that are made while the export runs are
left for the next one. A file has its name once it is whole: until then it is
FILE.unfinished.

Examples:
  cynicctl export --since 1d > yesterday.jsonl
  cynicctl export --since 2026-04-01 --until 2026-05-01 --format csv --output april.csv
  cynicctl export --verdict bark | jq -r .task_id
  cynicctl export --features | jq -c '{task_id, features}'";

/// How to write records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object a line, as `history --json` has them
    Jsonl,
    /// RFC 4180, one column a score
    Csv,
}

/// What turned out to be true.
#[derive(Debug, Args)]
#[command(after_help = FEEDBACK_HELP)]
pub struct FeedbackArgs {
    /// The task's id, as `history` and `judge --json` give it
    #[arg(value_name = "ID", value_parser = task_id)]
    pub task: TaskId,
    /// Whether the item deserved to pass
    #[arg(value_parser = one_of(&TRUTHS))]
    pub truth: Truth,
    /// Why, in a sentence
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

const FEEDBACK_HELP: &str = "\
Said again, it replaces what was said before. `cynicctl show ID` shows it,
`cynicctl calibrate` learns from it.

Example:
  cynicctl feedback 019123ab-4567-7abc-8def-0123456789ab bad --note 'phishing, reported by the recipient'";

/// What to do about the calibration.
#[derive(Debug, Args)]
#[command(after_help = CALIBRATE_HELP)]
pub struct CalibrateArgs {
    /// Fit thresholds to the feedback and show what they would change
    #[arg(long, group = "action")]
    pub dry_run: bool,
    /// Fit thresholds to the feedback and judge by them from now on
    #[arg(long, group = "action")]
    pub apply: bool,
    /// Judge by an earlier version again: this one, or what was in use before; 0 is the model's own
    #[arg(long, value_name = "VERSION", group = "action")]
    pub revert: Option<Option<u32>>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

const CALIBRATE_HELP: &str = "\
Without an option it shows what is in use, how it fares on the feedback, and
all versions.

In the table, `50.0→47.3` is before and after. RIGHT is the share of the feedback
that is judged as it turned out; FALSE ALARM the share of the good that would be
stopped (GROWL or BARK); CAUGHT the share of the bad that would be. Scores do not
change, only where the verdicts begin. Each judgment records its calibration.

Examples:
  cynicctl calibrate --dry-run
  cynicctl calibrate --apply
  cynicctl calibrate --revert        # what was in use before; --revert 0 for the model's own";

/// Where to write the copy.
#[derive(Debug, Args)]
#[command(after_help = BACKUP_HELP)]
pub struct BackupArgs {
    /// The file to make; it must not exist
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

const BACKUP_HELP: &str = "\
The daemon goes on working, and writes the file itself: its user has to be able
to write there. A PostgreSQL store is backed up with pg_dump. To restore:
`systemctl stop cynicd.socket cynicd` (the socket would start it again), put the
file in the data directory as cynic.db in place of the old one and its -wal and
-shm files, `systemctl start cynicd.socket cynicd`.

Example:
  cynicctl backup /var/lib/cynic/backup-$(date +%F).db";

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

/// What to do with the quarantine.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// List the items, newest first
    List {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show what is known of one
    Show {
        /// The task that was given up, as `list` gives it
        #[arg(value_name = "ID", value_parser = task_id)]
        task: TaskId,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Judge the item once more; the record goes when what killed its workers was scored
    Retry {
        /// The task that was given up, as `list` gives it
        #[arg(value_name = "ID", value_parser = task_id)]
        task: TaskId,
        /// The item, byte for byte, where only its hash is kept
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        item: Option<PathBuf>,
        /// Print what comes of it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget records: their items are tried again when they come again
    Drop {
        /// The tasks that were given up, as `list` gives them
        #[arg(value_name = "ID", value_parser = task_id)]
        tasks: Vec<TaskId>,
        /// Forget all of them
        #[arg(long, conflicts_with = "tasks")]
        all: bool,
    },
}

/// What to replay, and how to show it.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The task that was given up, as `quarantine list` gives it
    #[arg(value_name = "ID", value_parser = task_id)]
    pub task: TaskId,
    /// The item, byte for byte, where only its hash is kept
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub item: Option<PathBuf>,
    /// Print what happens as JSON
    #[arg(long)]
    pub json: bool,
}

fn task_id(text: &str) -> Result<TaskId, String> {
    text.parse().map_err(|e: cynic_proto::ids::ParseTaskIdError| e.to_string())
}

fn user_id(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("expected a user's number; `id -u {text}` tells it"))
}

fn slot(text: &str) -> Result<u16, String> {
    let wrong = "expected the number before the dot: 1 for worker 1.3";
    text.parse().map_err(|_| wrong.to_owned())
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

/// Reads a time as [`duration`] does, or none: `0s`.
///
/// # Errors
/// As [`duration`].
pub fn duration_or_none(text: &str) -> Result<Duration, String> {
    match text.trim() {
        "0" | "0s" | "0ms" => Ok(Duration::ZERO),
        text => duration(text),
    }
}

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
    fn sizes_are_auto_or_a_sound_number() {
        assert_eq!(pool_size("auto"), Ok(PoolSize(None)));
        assert_eq!(pool_size("4"), Ok(PoolSize(NonZeroU16::new(4))));
        for wrong in ["0", "-1", "1025", "many", ""] {
            assert!(pool_size(wrong).is_err(), "{wrong}");
        }
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
