//! `cynicctl dead-letters`: entries that the database refused for what they say.
//!
//! Owns the conversation and the paging; what is shown is in [`crate::view::dead_letters`].

use std::path::PathBuf;

use anyhow::Result;
use bytes::Bytes;
use cynic_proto::client::{Client, unexpected};
use cynic_proto::dead_letters::{DeadLettersReply, DeadLettersRequest, Retried};
use cynic_proto::ids::LetterId;
use cynic_proto::message::{Reply, Request};
use jiff::tz::TimeZone;

use crate::args::dead_letters::DeadLettersCommand;
use crate::daemon::{connect_for, print};
use crate::exit::{Exit, UsageError};
use crate::text::counted;
use crate::view::dead_letters::{self as view, Listing};
use crate::view::style::columns;

pub(crate) async fn run(socket: PathBuf, command: DeadLettersCommand) -> Result<Exit> {
    match command {
        DeadLettersCommand::List { json } => list(socket, json).await,
        DeadLettersCommand::Show { id, json } => show(socket, id, json).await,
        DeadLettersCommand::Retry { ids, all, json } => retry(socket, &ids, all, json).await,
        DeadLettersCommand::Drop { ids, all } => drop_letters(socket, &ids, all).await,
    }
}

/// A connection for requests like that one.
async fn connected(socket: PathBuf, request: DeadLettersRequest) -> Result<Client> {
    Ok(connect_for(&Request::DeadLetters(request), socket).await?)
}

async fn ask(client: &Client, request: DeadLettersRequest) -> Result<DeadLettersReply> {
    match client.request(Request::DeadLetters(request), Bytes::new()).await? {
        (Reply::DeadLetters(reply), _) => Ok(*reply),
        (other, _) => Err(unexpected(other).into()),
    }
}

/// An answer to another question.
fn stray(reply: DeadLettersReply) -> anyhow::Error {
    unexpected(Reply::DeadLetters(Box::new(reply))).into()
}

async fn list(socket: PathBuf, as_json: bool) -> Result<Exit> {
    let listing = Listing::new(columns(), TimeZone::system());
    let client = connected(socket, DeadLettersRequest::List(None)).await?;
    let mut before = None;
    loop {
        let (letters, next) = match ask(&client, DeadLettersRequest::List(before)).await? {
            DeadLettersReply::Page { letters, next } => (letters, next),
            other => return Err(stray(other)),
        };
        print(&match (as_json, before) {
            (true, _) => letters.iter().map(view::json_line).collect::<Result<String, _>>()?,
            (false, None) if letters.is_empty() => view::NONE.to_owned(),
            (false, None) => listing.header() + &listing.rows(&letters),
            (false, Some(_)) => listing.rows(&letters),
        })?;
        if next.is_none() {
            return Ok(Exit::Success);
        }
        before = next;
    }
}

async fn show(socket: PathBuf, id: LetterId, as_json: bool) -> Result<Exit> {
    let request = DeadLettersRequest::Show(id);
    let client = connected(socket, request).await?;
    let (letter, entry) = match ask(&client, request).await? {
        DeadLettersReply::Letter(letter, entry) => (letter, entry),
        other => return Err(stray(other)),
    };
    print(&if as_json {
        view::json_note(&letter, &entry)?
    } else {
        view::note(&letter, &entry, columns(), &TimeZone::system())
    })
}

async fn retry(socket: PathBuf, ids: &[LetterId], all: bool, as_json: bool) -> Result<Exit> {
    if ids.is_empty() && !all {
        return Err(UsageError("name the letters to write again, or --all".to_owned()).into());
    }
    let client = connected(socket, DeadLettersRequest::RetryAll(None)).await?;
    let mut landed = true;
    if !all {
        for id in ids {
            let (letters, _) = retried(&client, DeadLettersRequest::Retry(*id)).await?;
            landed &= tell(&letters, as_json)?;
        }
        return Ok(if landed { Exit::Success } else { Exit::Failed });
    }
    let (mut after, mut tried) = (None, 0);
    loop {
        let (letters, next) = retried(&client, DeadLettersRequest::RetryAll(after)).await?;
        tried += letters.len();
        landed &= tell(&letters, as_json)?;
        if next.is_none() {
            break;
        }
        after = next;
    }
    if tried == 0 && !as_json {
        print(view::NONE)?;
    }
    Ok(if landed { Exit::Success } else { Exit::Failed })
}

async fn retried(
    client: &Client,
    request: DeadLettersRequest,
) -> Result<(Vec<Retried>, Option<i64>)> {
    match ask(client, request).await? {
        DeadLettersReply::Retried { letters, next } => Ok((letters, next)),
        other => Err(stray(other)),
    }
}

/// Says what came of them; whether none of them stays.
fn tell(letters: &[Retried], as_json: bool) -> Result<bool> {
    let told: Result<String> = if as_json {
        letters.iter().map(view::json_retried).collect()
    } else {
        Ok(letters.iter().map(view::retried).collect())
    };
    print(&told?)?;
    Ok(letters.iter().all(|letter| letter.outcome.landed()))
}

async fn drop_letters(socket: PathBuf, ids: &[LetterId], all: bool) -> Result<Exit> {
    if ids.is_empty() && !all {
        return Err(UsageError("name the letters to drop, or --all".to_owned()).into());
    }
    let client = connected(socket, DeadLettersRequest::DropAll).await?;
    if !all {
        for id in ids {
            dropped(&client, DeadLettersRequest::Drop(*id)).await?;
            print(&format!("dropped {id}\n"))?;
        }
        return Ok(Exit::Success);
    }
    let mut gone = 0;
    loop {
        match dropped(&client, DeadLettersRequest::DropAll).await? {
            0 => return print(&format!("dropped {}\n", counted(gone, "dead letter"))),
            some => gone += some,
        }
    }
}

async fn dropped(client: &Client, request: DeadLettersRequest) -> Result<u64> {
    match ask(client, request).await? {
        DeadLettersReply::Dropped(gone) => Ok(gone),
        other => Err(stray(other)),
    }
}
