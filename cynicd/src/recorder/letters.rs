//! Dead letters as they are listed, shown, written again and dropped. What becomes one is decided by the writer; nothing here
//! is on the way of a judgment.
//!
//! A letter leaves its table only in the transaction that writes its entry, or when somebody drops it.

use std::fmt::Write as _;
use std::sync::Arc;

use cynic_proto::dead_letters::{
    DROPS_MAX, DeadLetter, DeadLettersReply, DeadLettersRequest, ERROR_CHARS_MAX, LETTERS_PAGE,
    LetterEntry, RETRIES_MAX, Retried, RetryOutcome,
};
use cynic_proto::history::FailureRow;
use cynic_proto::ids::{LetterId, TaskId};
use cynic_proto::message::Ack;
use sqlx::Row;

use super::entry::{Entry, FailureEntry};
use super::error::RecorderError;
use super::query::{Bind, Sql};
use super::read::{self, rows};
use super::record::Record;
use super::store::{Store, Stores};
use super::writer::Failure;

/// What to select for `letter!`, from `dead_letters`.
const COLUMNS: &str = "seq, CAST(entry_key AS TEXT), CAST(task_id AS TEXT), refused_at_us, error, \
     CAST(length(entry) AS BIGINT)";

/// Reads [`COLUMNS`] of either store's row.
macro_rules! letter {
    ($row:ident) => {{
        let key: String = Row::try_get($row, 1)?;
        let task: Option<String> = Row::try_get($row, 2)?;
        let error: String = Row::try_get($row, 4)?;
        Ok::<_, sqlx::Error>(DeadLetter {
            id: key.parse().map_err(|_| read::wrong("entry_key"))?,
            seq: Row::try_get($row, 0)?,
            task: task.as_deref().map(read::task).transpose()?,
            at_us: Row::try_get($row, 3)?,
            error: cut(&error),
            bytes: Row::try_get::<i64, _>($row, 5)? as u64,
        })
    }};
}

/// As much of an error as is told.
fn cut(error: &str) -> String {
    error.chars().take(ERROR_CHARS_MAX).collect()
}

fn unread(source: sqlx::Error) -> RecorderError {
    RecorderError::Query { action: "read the dead letters", source }
}

fn unknown() -> RecorderError {
    RecorderError::NotFound("no such dead letter; see `cynicctl dead-letters list`".to_owned())
}

impl Stores {
    /// Does what is asked about dead letters.
    pub(super) async fn dead_letters(
        &self,
        request: DeadLettersRequest,
    ) -> Result<DeadLettersReply, RecorderError> {
        match request {
            DeadLettersRequest::List(before) => self.list_letters(before).await,
            DeadLettersRequest::Show(id) => {
                let (letter, entry) = self.letter(id).await?.ok_or_else(unknown)?;
                Ok(DeadLettersReply::Letter(letter, opened(&entry)))
            }
            DeadLettersRequest::Retry(id) => {
                let tried = self.retry_letter(id).await?.ok_or_else(unknown)?;
                Ok(DeadLettersReply::Retried { letters: vec![tried], next: None })
            }
            DeadLettersRequest::RetryAll(after) => self.retry_letters(after).await,
            DeadLettersRequest::Drop(id) => {
                let mut sql = self.sql("DELETE FROM dead_letters WHERE entry_key = ");
                sql.bind_task(TaskId(id.0));
                match self.drop_letters(sql).await? {
                    0 => Err(unknown()),
                    gone => Ok(DeadLettersReply::Dropped(gone)),
                }
            }
            DeadLettersRequest::DropAll => {
                let some = format!("SELECT seq FROM dead_letters ORDER BY seq LIMIT {DROPS_MAX}");
                let sql = self.sql(&format!("DELETE FROM dead_letters WHERE seq IN ({some})"));
                Ok(DeadLettersReply::Dropped(self.drop_letters(sql).await?))
            }
        }
    }

    async fn list_letters(&self, before: Option<i64>) -> Result<DeadLettersReply, RecorderError> {
        let mut sql = self.sql(&format!("SELECT {COLUMNS} FROM dead_letters"));
        if let Some(seq) = before {
            sql.and_bind("seq < ", Bind::Int(seq));
        }
        // One more than the page takes tells whether there is a next one. Writing to a String does not fail.
        let _ = write!(sql.text, " ORDER BY seq DESC LIMIT {}", LETTERS_PAGE + 1);
        let letters: Result<Vec<_>, sqlx::Error> = rows!(self, sql, |row| letter!(row));
        let mut letters = letters.map_err(unread)?;
        let more = letters.len() > LETTERS_PAGE as usize;
        letters.truncate(LETTERS_PAGE as usize);
        let next = letters.last().filter(|_| more).map(|letter| letter.seq);
        Ok(DeadLettersReply::Page { letters, next })
    }

    /// A letter and its encoded entry.
    async fn letter(&self, id: LetterId) -> Result<Option<(DeadLetter, Vec<u8>)>, RecorderError> {
        let mut sql = self.sql(&format!("SELECT {COLUMNS}, entry FROM dead_letters"));
        sql.and("entry_key = ");
        sql.bind_task(TaskId(id.0));
        let found: Result<Vec<_>, sqlx::Error> =
            rows!(self, sql, |row| Ok((letter!(row)?, Row::try_get::<Vec<u8>, _>(row, 6)?)));
        Ok(found.map_err(unread)?.pop())
    }

    /// Writes a letter's entry as it would have been written; `None` where there is no such letter.
    async fn retry_letter(&self, id: LetterId) -> Result<Option<Retried>, RecorderError> {
        let Some((letter, entry)) = self.letter(id).await? else { return Ok(None) };
        let outcome = match Record::decode(&entry) {
            Err(why) => RetryOutcome::Unreadable(why),
            Ok(record) => match self.store.write_letter(id, Arc::new(record)).await {
                Ok(None) => return Ok(None),
                Ok(Some(written)) if written.repeated > 0 => RetryOutcome::Repeated,
                Ok(Some(_)) => RetryOutcome::Stored,
                Err(Failure::Refused(why)) => RetryOutcome::Refused(cut(&why)),
                Err(Failure::Transient(why)) => {
                    return Err(RecorderError::NotWritten { letter: id, why: cut(&why) });
                }
            },
        };
        tracing::info!(%id, task = ?letter.task, ?outcome, "dead letter tried again");
        Ok(Some(Retried { id, task: letter.task, outcome }))
    }

    async fn retry_letters(&self, after: Option<i64>) -> Result<DeadLettersReply, RecorderError> {
        let mut sql = self.sql("SELECT seq, CAST(entry_key AS TEXT) FROM dead_letters");
        if let Some(seq) = after {
            sql.and_bind("seq > ", Bind::Int(seq));
        }
        let _ = write!(sql.text, " ORDER BY seq LIMIT {}", RETRIES_MAX + 1);
        let places: Result<Vec<_>, sqlx::Error> = rows!(self, sql, |row| {
            let key: String = Row::try_get(row, 1)?;
            let id: LetterId = key.parse().map_err(|_| read::wrong("entry_key"))?;
            Ok((Row::try_get::<i64, _>(row, 0)?, id))
        });
        let places = places.map_err(unread)?;
        let (mut letters, mut next) = (Vec::new(), after);
        for (seq, id) in places.iter().take(RETRIES_MAX as usize) {
            match self.retry_letter(*id).await {
                Ok(tried) => letters.extend(tried),
                // What was done is told first; who goes on from there is told of this.
                Err(_) if !letters.is_empty() => {
                    return Ok(DeadLettersReply::Retried { letters, next });
                }
                Err(error) => return Err(error),
            }
            next = Some(*seq);
        }
        let next = next.filter(|_| places.len() > RETRIES_MAX as usize);
        Ok(DeadLettersReply::Retried { letters, next })
    }

    async fn drop_letters(&self, sql: Sql) -> Result<u64, RecorderError> {
        let failed = |source| RecorderError::Query { action: "drop dead letters", source };
        let gone = self.store.execute(sql).await.map_err(failed)?;
        if gone > 0 {
            tracing::info!(gone, "dead letters dropped");
        }
        Ok(gone)
    }
}

/// What a letter says, as far as this build reads it. The numbers are what the database would have had.
fn opened(entry: &[u8]) -> LetterEntry {
    let record = match Record::decode(entry) {
        Ok(record) => record,
        Err(why) => return LetterEntry::Unreadable(why),
    };
    if let Some(stored) = record.stored_judgment(Ack::Judged) {
        return LetterEntry::Judgment(Box::new(stored.row));
    }
    match record.entry {
        Entry::Failure(failure) => LetterEntry::Failure(Box::new(failure_row(*failure))),
        Entry::Notice(notice) => {
            LetterEntry::Notice { at_us: notice.at_us, kind: notice.kind, message: notice.message }
        }
        Entry::Judgment(_) => LetterEntry::Unreadable("it is no judgment".to_owned()),
    }
}

fn failure_row(failure: FailureEntry) -> FailureRow {
    FailureRow {
        task: failure.task,
        seq: 0,
        failed_at_us: failure.failed_at_us,
        error_kind: failure.kind.name().to_owned(),
        message: failure.message,
        deaths: failure.deaths,
        item_id: failure.item_id,
        client_uid: failure.client_uid,
        attempts: failure.attempts,
    }
}
