//! `cynicctl quarantine` and `cynicctl replay`: items that killed each worker that tried them.
//!
//! Owns the conversation; what is shown is in [`crate::view::quarantine`].

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use cynic_proto::client::{Sealed, unexpected};
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Reply, Request};
use cynic_proto::quarantine::{QuarantineRecord, QuarantineRequest, ReplayOutcome};
use jiff::tz::TimeZone;

use crate::args::{QuarantineCommand, ReplayArgs};
use crate::daemon::{ask, ask_with, connect_for, done, print};
use crate::exit::{Exit, UsageError};
use crate::judge::failure;
use crate::text::counted;
use crate::view::json;
use crate::view::judged::{Judgments, Outcome, Row};
use crate::view::quarantine as view;
use crate::view::style::columns;

pub(crate) async fn run(socket: PathBuf, command: QuarantineCommand) -> Result<Exit> {
    match command {
        QuarantineCommand::List { json } => {
            let records = records(socket, QuarantineRequest::List).await?;
            print(&if json {
                records.iter().map(view::json_line).collect::<Result<String, _>>()?
            } else {
                view::listing(&records, columns(), &TimeZone::system())
            })
        }
        QuarantineCommand::Show { task, json } => {
            let records = records(socket, QuarantineRequest::Show(task)).await?;
            let Some(record) = records.first() else { return Ok(Exit::NotFound) };
            print(&if json {
                view::json_line(record)?
            } else {
                view::note(record, columns(), &TimeZone::system())
            })
        }
        QuarantineCommand::Drop { tasks, all } => drop_records(socket, &tasks, all).await,
        QuarantineCommand::Retry { task, item, json } => retry(socket, task, item, json).await,
    }
}

async fn records(socket: PathBuf, request: QuarantineRequest) -> Result<Vec<QuarantineRecord>> {
    match ask(socket, Request::Quarantine(request)).await? {
        Reply::Quarantine(records) => Ok(records),
        other => Err(unexpected(other).into()),
    }
}

async fn drop_records(socket: PathBuf, tasks: &[TaskId], all: bool) -> Result<Exit> {
    if tasks.is_empty() && !all {
        return Err(UsageError("name the records to drop, or --all".to_owned()).into());
    }
    if all {
        let clear = Request::Quarantine(QuarantineRequest::Clear);
        let client = connect_for(&clear, socket).await?;
        // From the figures, which anybody may see: who may not drop is told that, and nothing of looking.
        let before = client.stats().await?.quarantine.items;
        done(client.request(clear, Bytes::new()).await?.0)?;
        return print(&format!("dropped {}\n", counted(before, "record")));
    }
    for task in tasks {
        let drop = Request::Quarantine(QuarantineRequest::Drop(*task));
        done(ask(socket.clone(), drop).await?)?;
        print(&format!("dropped {task}: its item is tried again when it comes again\n"))?;
    }
    Ok(Exit::Success)
}

/// The item as it was sent, where the user has it.
fn item(path: Option<&Path>) -> Result<Bytes> {
    let Some(path) = path else { return Ok(Bytes::new()) };
    let bytes =
        std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    Ok(bytes.into())
}

/// Judges the item once more, in the pool.
async fn retry(
    socket: PathBuf,
    task: TaskId,
    path: Option<PathBuf>,
    as_json: bool,
) -> Result<Exit> {
    let request = Request::Quarantine(QuarantineRequest::Retry(task));
    let (outcome, exit) = match ask_with(socket, request, item(path.as_deref())?).await? {
        (Reply::Judged(judged), payload) => {
            let answer = Sealed { judged: *judged, explanation: payload }.open()?;
            (Outcome::Judged(Box::new(answer)), Exit::Success)
        }
        (Reply::Failed { task, error }, _) => {
            (Outcome::Failed(failure::of_task(task, &error)), Exit::Failed)
        }
        (other, _) => return Err(unexpected(other).into()),
    };
    let row = Row { label: task.to_string(), outcome };
    let text = if as_json {
        json::row(&row)?
    } else {
        let table = Judgments::new(columns());
        table.header() + &table.row(&row)
    };
    print(&text)?;
    Ok(exit)
}

/// Runs the item alone and tells what happens.
pub(crate) async fn replay(socket: PathBuf, args: ReplayArgs) -> Result<Exit> {
    let request = Request::Quarantine(QuarantineRequest::Replay(args.task));
    let replayed = match ask_with(socket, request, item(args.item.as_deref())?).await? {
        (Reply::Replayed(replayed), _) => *replayed,
        (other, _) => return Err(unexpected(other).into()),
    };
    print(&if args.json {
        json::line(&view::ReplayView::new(&replayed))?
    } else {
        view::replayed(&replayed, columns())
    })?;
    let judged = matches!(replayed.outcome, ReplayOutcome::Judged(..));
    Ok(if judged { Exit::Success } else { Exit::Failed })
}
