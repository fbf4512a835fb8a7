//! `cynicctl events`: what happened lately, or what happens, as JSON lines.
//!
//! Owns the asking; how an event looks is [`crate::view::events`]'s.

use std::path::PathBuf;

use anyhow::Result;
use bytes::Bytes;
use cynic_proto::client::{Client, unexpected};
use cynic_proto::event::{EventsBatch, EventsQuery, Kind};
use cynic_proto::message::{Reply, Request};

use crate::args::EventsArgs;
use crate::daemon;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::view::events as view;

/// Prints events, once or until interrupted.
pub(crate) async fn run(socket: PathBuf, args: EventsArgs) -> Result<Exit> {
    let mut query = EventsQuery {
        kinds: args.kinds.into_iter().flatten().collect(),
        recent: args.recent || !args.follow,
        follow: args.follow,
    };
    let client = daemon::connect(socket).await?;
    let mut interrupt = Interrupt::listen()?;
    loop {
        let batch = tokio::select! {
            batch = fetch(&client, &query) => batch?,
            () = interrupt.heard() => return Ok(Exit::Interrupted),
        };
        // Flushed batch by batch: whoever reads a stream waits for its lines.
        daemon::print(&view::json_lines(&batch)?)?;
        if !query.follow {
            return Ok(Exit::Success);
        }
        query.recent = false;
    }
}

async fn fetch(client: &Client, query: &EventsQuery) -> Result<EventsBatch> {
    match client.request(Request::Events(Box::new(query.clone())), Bytes::new()).await? {
        (Reply::Events(batch), _) => Ok(*batch),
        (other, _) => Err(unexpected(other).into()),
    }
}

/// The kinds that a name or an area on the command line means.
///
/// # Errors
/// There is none of that name; the message lists them.
pub fn kinds(selector: &str) -> Result<Vec<Kind>, String> {
    let kinds: Vec<Kind> = Kind::selected(selector).collect();
    if kinds.is_empty() {
        let all = Kind::ALL.map(Kind::name).join(", ");
        return Err(format!("expected an area such as `worker`, or one of {all}"));
    }
    Ok(kinds)
}

/// What the command's help ends with.
pub fn help() -> String {
    let mut areas: Vec<(&str, Vec<&str>)> = Vec::new();
    for name in Kind::ALL.map(Kind::name) {
        let area = name.split_once('.').map_or(name, |(area, _)| area);
        match areas.iter_mut().find(|(known, _)| *known == area) {
            Some((_, kinds)) => kinds.push(name),
            None => areas.push((area, vec![name])),
        }
    }
    let lines: Vec<String> =
        areas.iter().map(|(area, kinds)| format!("  {area:<10}{}", kinds.join(", "))).collect();
    format!("Areas and their kinds:\n{}\n\n{HELP}", lines.join("\n"))
}

const HELP: &str = "\
Each line has `seq`, `time`, `kind` and what belongs to the kind. {\"missed\": n}
says that the reader was too slow: n events were dropped before the next line.

Examples:
  cynicctl events --kind worker.died,task
  cynicctl events --follow --kind judgment.completed |
      jq -r 'select(.verdict == \"BARK\") | .task_id'";
