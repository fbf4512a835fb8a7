//! What to judge and how: the command line, resolved and valid. Nothing behind it checks again.

use std::ffi::OsStr;
use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Result;
use cynic_proto::message::{Ack, Lane};
use cynic_proto::model::Verdict;

use crate::args::JudgeArgs;
use crate::exit::UsageError;
use crate::input::{Reading, Source};

/// How long a task that the daemon cannot take now is offered again, where no deadline says otherwise:
/// outlasts a restart of the daemon and a burst of load, not a person's patience.
const PATIENCE_DEFAULT: Duration = Duration::from_secs(30);

/// Longest name of a type or a profile: a name, not a document.
const NAME_BYTES_MAX: usize = 64;

/// A valid request of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What to judge, in this order.
    pub sources: Vec<Source>,
    /// How to read it.
    pub reading: Reading,
    /// The items' type, where they do not say it themselves.
    pub item_type: Option<String>,
    /// The weighting to judge with.
    pub profile: Option<String>,
    /// When an answer is of no more use.
    pub deadline: Option<Duration>,
    /// When to answer.
    pub ack: Ack,
    /// From which verdict on the run counts as failed.
    pub fail_on: Option<Verdict>,
    /// Where to queue; `None` goes by the kind of input.
    pub lane: Option<Lane>,
    /// Whether a run before this one may have judged some of it.
    pub resume: bool,
    /// Whether answers are shown as they come.
    pub unordered: bool,
    /// Whether the first failure ends the run.
    pub strict: bool,
    /// How to show it.
    pub show: Show,
}

/// How to show judgments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// A row for each item.
    Table,
    /// A JSON object for each item.
    Json,
    /// A note on each item.
    Explain,
}

impl Plan {
    /// Checks and resolves the arguments.
    ///
    /// # Errors
    /// A [`UsageError`]: nothing to judge, standard input twice, an impossible name.
    pub fn resolve(args: JudgeArgs) -> Result<Plan> {
        let name = |what: &str, name: Option<String>| match name {
            Some(name) if name.trim().is_empty() || name.len() > NAME_BYTES_MAX => {
                Err(UsageError(format!("--{what} wants a name of 1 to {NAME_BYTES_MAX} bytes")))
            }
            name => Ok(name),
        };
        let item_type = name("type", args.item_type)?;
        let reading = match (args.jsonl, &item_type) {
            (true, _) => Reading::Lines,
            (false, Some(_)) => Reading::Body,
            (false, None) => Reading::Detect,
        };
        Ok(Plan {
            sources: sources(&args.files)?,
            reading,
            item_type,
            profile: name("profile", args.profile)?,
            deadline: args.deadline,
            ack: args.ack,
            fail_on: args.fail_on,
            lane: args.lane,
            resume: args.resume,
            unordered: args.unordered,
            strict: args.strict,
            show: match (args.json, args.explain) {
                (true, _) => Show::Json,
                (false, true) => Show::Explain,
                (false, false) => Show::Table,
            },
        })
    }

    /// How long to go on offering a task that the daemon cannot take now.
    pub fn patience(&self) -> Duration {
        self.deadline.unwrap_or(PATIENCE_DEFAULT)
    }
}

fn sources(files: &[impl AsRef<OsStr>]) -> Result<Vec<Source>> {
    let stdin = |file: &&OsStr| **file == *OsStr::new("-");
    let files: Vec<&OsStr> = files.iter().map(AsRef::as_ref).collect();
    if files.is_empty() {
        if std::io::stdin().is_terminal() {
            let text = "nothing to judge: name files or directories, or pipe something in";
            return Err(UsageError(text.to_owned()).into());
        }
        return Ok(vec![Source::Stdin]);
    }
    if files.iter().filter(|file| stdin(file)).count() > 1 {
        return Err(UsageError("standard input (-) can be read only once".to_owned()).into());
    }
    let source = |file: &OsStr| {
        if stdin(&file) { Source::Stdin } else { Source::Path(file.into()) }
    };
    Ok(files.into_iter().map(source).collect())
}

/// Whole milliseconds, as the wire has them.
pub(super) fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser as _;

    fn plan(args: &[&str]) -> Result<Plan> {
        let cli = Cli::try_parse_from(["cynicctl", "judge"].iter().chain(args))?;
        match cli.command {
            Command::Judge(args) => Plan::resolve(*args),
            other => anyhow::bail!("{other:?}"),
        }
    }

    #[test]
    fn a_type_makes_each_input_a_body() {
        let plan = plan(&["a.json", "--type", "event"]).expect("valid");
        assert_eq!(plan.reading, Reading::Body);
        assert_eq!(plan.item_type.as_deref(), Some("event"));
    }

    #[test]
    fn options_reach_the_plan() {
        let args = ["-", "--jsonl", "--json", "--ack", "stored", "--fail-on", "growl", "--lane"];
        let plan = plan(&[&args[..], &["bulk", "--deadline", "250ms"]].concat()).expect("valid");
        assert_eq!(plan.sources, [Source::Stdin]);
        assert_eq!((plan.reading, plan.show), (Reading::Lines, Show::Json));
        assert_eq!((plan.ack, plan.fail_on), (Ack::Stored, Some(Verdict::Growl)));
        assert_eq!(plan.lane, Some(Lane::Bulk));
        assert_eq!(plan.patience(), Duration::from_millis(250));
    }

    #[test]
    fn impossible_requests_are_refused() {
        for args in [&["-", "-"][..], &["a", "--type", " "], &["a", "--json", "--explain"]] {
            assert!(plan(args).is_err(), "{args:?}");
        }
    }
}
