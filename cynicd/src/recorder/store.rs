//! The narrow interface behind which the two stores lie, and what they have in common.
//!
//! Everything that reaches a database goes through [`Store`]. A store never retries by itself: what a failure
//! means is the writer's decision.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use cynic_proto::calibration::Calibration;
use cynic_proto::history::{FailureRow, JudgmentRow};
use cynic_proto::ids::{LetterId, TaskId};
use cynic_proto::message::Ack;
use tokio::sync::watch;
use uuid::Uuid;

use super::entry::{Entry, StoredJudgment};
use super::error::RecorderError;
use super::postgres::PostgresStore;
use super::query::{self, Dialect, Sql};
use super::read::{self, FullJudgment};
use super::record::Record;
use super::spool::{Spool, Spooled};
use super::sqlite::SqliteStore;
use super::writer::Failure;
use crate::causes::chain;

/// What a committed write cost and found.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub transactions: u64,
    pub round_trips: u64,
    /// How many judgments were not written because their task had one already.
    pub repeated: u64,
}

impl Written {
    /// A batch of which so many judgments were new.
    pub(super) fn of(tables: &ByTable<'_>, inserted: u64, round_trips: u64) -> Written {
        let repeated = (tables.judgments.len() as u64).saturating_sub(inserted);
        Written { transactions: 1, round_trips, repeated }
    }
}

/// How long one statement of a write may take before its connection is given up: far beyond a healthy
/// commit, short enough that a hanging server is noticed while memory still has room.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Sorts a batch by table.
#[derive(Default)]
pub(super) struct ByTable<'a> {
    pub judgments: Vec<&'a Record>,
    pub failures: Vec<&'a Record>,
    pub notices: Vec<&'a Record>,
}

impl<'a> ByTable<'a> {
    pub(super) fn new(records: &'a [Arc<Record>]) -> ByTable<'a> {
        let mut tables = ByTable::default();
        for record in records {
            match record.entry {
                Entry::Judgment(_) => tables.judgments.push(record),
                Entry::Failure(_) => tables.failures.push(record),
                Entry::Notice(_) => tables.notices.push(record),
            }
        }
        tables
    }
}

/// Whether the database refuses what it was given, or just cannot take it now.
pub(super) fn classify(error: &sqlx::Error) -> Failure {
    let text = describe(error);
    let refused = match error {
        sqlx::Error::Database(e) => e.code().is_some_and(|code| is_refusal(&code)),
        sqlx::Error::Encode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => true,
        _ => false,
    };
    if refused { Failure::Refused(text) } else { Failure::Transient(text) }
}

/// Codes that say that the data is wrong. SQLSTATE (five characters): classes 22 (data) and 23 (constraint),
/// and 54000 (program limit). SQLite: `TOOBIG` (18), `CONSTRAINT` (19) and `MISMATCH` (20), with detail in the
/// upper bytes. A missing table or a full disk is no fault of the data: nothing may be set aside for it.
fn is_refusal(code: &str) -> bool {
    if code.len() == 5 {
        return code.starts_with("22") || code.starts_with("23") || code == "54000";
    }
    code.parse::<u32>().is_ok_and(|number| matches!(number & 0xff, 18..=20))
}

/// An error of the database with its causes, in one line fit for the database.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let text = chain(error).replace(
        "pool timed out while waiting for an open connection",
        "no connection to the database",
    );
    text.replace('\0', "\u{fffd}")
}

/// Sets an entry aside.
const INSERT_DEAD_LETTER: &str = "INSERT INTO dead_letters (entry_key, task_id, refused_at_us, error, entry) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";

/// Takes a letter out. Whoever does so writes its entry: of two at once, one finds nothing.
pub(super) const TAKE_DEAD_LETTER: &str = "DELETE FROM dead_letters WHERE entry_key = $1";

/// The database behind the recorder.
#[derive(Debug)]
pub(super) enum Store {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Store {
    /// Its name in figures and messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Store::Sqlite(_) => "sqlite",
            Store::Postgres(_) => "postgres",
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Store::Sqlite(_) => Dialect::Sqlite,
            Store::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Writes a batch in one transaction. Safe to repeat.
    pub(super) async fn write(
        &self,
        lane: usize,
        records: &[Arc<Record>],
    ) -> Result<Written, Failure> {
        match self {
            Store::Sqlite(store) => store.write(records).await,
            Store::Postgres(store) => store.write(lane, records).await,
        }
    }

    /// Sets an entry aside that the database refuses. Safe to repeat.
    pub(super) async fn dead_letter(
        &self,
        lane: usize,
        record: &Record,
        error: &str,
    ) -> Result<(), Failure> {
        let entry = record.encode().map_err(Failure::Transient)?;
        let key = Uuid::from_u128(record.entry.key());
        let task = record.task().map(|task| Uuid::from_u128(task.0));
        let at_us = super::unix_us();
        match self {
            Store::Sqlite(store) => store
                .with_writer(async |writing| {
                    let query = sqlx::query(INSERT_DEAD_LETTER)
                        .bind(key.to_string())
                        .bind(task.map(|t| t.to_string()));
                    let query = query.bind(at_us).bind(error).bind(&entry[..]);
                    query.execute(&mut writing.connection).await.map(drop)
                })
                .await
                .map_err(|e| classify(&e)),
            Store::Postgres(store) => {
                store
                    .with_lane(lane, async |connection| {
                        let query =
                            sqlx::query(INSERT_DEAD_LETTER).bind(key).bind(task).bind(at_us);
                        query.bind(error).bind(&entry[..]).execute(connection).await.map(drop)
                    })
                    .await
            }
        }
    }

    /// Writes the entry of a dead letter, which is one no more, in one transaction. `None` where there is no such letter.
    pub(super) async fn write_letter(
        &self,
        letter: LetterId,
        record: Arc<Record>,
    ) -> Result<Option<Written>, Failure> {
        match self {
            Store::Sqlite(store) => store.write_letter(letter, &[record]).await,
            Store::Postgres(store) => store.write_letter(letter, &[record]).await,
        }
    }

    pub(super) async fn judgments(&self, sql: Sql) -> Result<Vec<JudgmentRow>, sqlx::Error> {
        match self {
            Store::Sqlite(store) => read::sqlite::judgments(&store.reader, sql).await,
            Store::Postgres(store) => read::postgres::judgments(&store.reader, sql).await,
        }
    }

    pub(super) async fn full_judgments(&self, sql: Sql) -> Result<Vec<FullJudgment>, sqlx::Error> {
        match self {
            Store::Sqlite(store) => read::sqlite::full_judgments(&store.reader, sql).await,
            Store::Postgres(store) => read::postgres::full_judgments(&store.reader, sql).await,
        }
    }

    pub(super) async fn failures(&self, sql: Sql) -> Result<Vec<FailureRow>, sqlx::Error> {
        match self {
            Store::Sqlite(store) => read::sqlite::failures(&store.reader, sql).await,
            Store::Postgres(store) => read::postgres::failures(&store.reader, sql).await,
        }
    }

    /// Runs one statement that writes beside the batches; it commits by itself. Says how many rows it changed.
    pub(super) async fn execute(&self, sql: Sql) -> Result<u64, sqlx::Error> {
        match self {
            Store::Sqlite(store) => store.execute(sql).await,
            Store::Postgres(store) => {
                Ok(read::postgres::query(sql).execute(&store.reader).await?.rows_affected())
            }
        }
    }

    /// The one integer that a statement selects.
    pub(super) async fn integer(&self, sql: Sql) -> Result<Option<i64>, sqlx::Error> {
        match self {
            Store::Sqlite(store) => read::sqlite::integer(&store.reader, sql).await,
            Store::Postgres(store) => read::postgres::integer(&store.reader, sql).await,
        }
    }

    async fn close(&self) {
        match self {
            Store::Sqlite(store) => store.close().await,
            Store::Postgres(store) => store.close().await,
        }
    }
}

/// The database and, where there is one, the spool in front of it.
#[derive(Debug)]
pub(super) struct Stores {
    pub store: Store,
    pub spool: Option<Spool>,
    /// Most bytes read from the spool in one go.
    pub batch_bytes_max: usize,
    /// Most bytes of one page of history.
    pub page_bytes_max: usize,
    /// The calibration in use, told to whoever judges.
    pub calibration: watch::Sender<Arc<Calibration>>,
}

/// Judgments that were there before those just written for the same tasks.
pub(super) type Earlier = HashMap<TaskId, StoredJudgment>;

impl Stores {
    pub(super) fn sql(&self, text: &str) -> Sql {
        Sql::new(self.store.dialect(), text.to_owned())
    }

    /// Writes a batch, and reads what was there before for those of the `wanted` tasks that had a judgment.
    pub(super) async fn write(
        &self,
        lane: usize,
        records: &[Arc<Record>],
        wanted: &HashSet<TaskId>,
    ) -> Result<(Written, Earlier), Failure> {
        let mut written = self.store.write(lane, records).await?;
        let mut earlier = Earlier::new();
        if written.repeated == 0 || wanted.is_empty() {
            return Ok((written, earlier));
        }
        let ours: Vec<_> = records
            .iter()
            .filter(|r| r.task().is_some_and(|task| wanted.contains(&task)))
            .collect();
        for ours in ours.chunks(FULL_ROWS_MAX) {
            let tasks: Vec<_> = ours.iter().filter_map(|record| record.task()).collect();
            written.round_trips += 1;
            for full in self.full(&tasks).await.map_err(|e| classify_read(&e))? {
                let same = ours
                    .iter()
                    .filter(|r| r.task() == Some(full.row.task))
                    .all(|r| r.is(&full.row));
                if !same {
                    earlier.insert(full.row.task, full);
                }
            }
        }
        Ok((written, earlier))
    }

    pub(super) async fn full(&self, tasks: &[TaskId]) -> Result<Vec<StoredJudgment>, sqlx::Error> {
        let full =
            self.store.full_judgments(query::full_judgments(tasks, self.store.dialect())).await?;
        let stored = |full: FullJudgment| StoredJudgment {
            reached: Ack::Stored,
            row: full.row,
            explanation: full.details,
        };
        Ok(full.into_iter().map(stored).collect())
    }

    /// The judgment stored for a task, wherever it has got to.
    pub(super) async fn lookup(
        &self,
        task: TaskId,
    ) -> Result<Option<StoredJudgment>, RecorderError> {
        let failed = |source| RecorderError::Query { action: "look up the task", source };
        // The spool first: what leaves it meanwhile is in the database then.
        if let Some(spool) = &self.spool
            && let Some(record) = spool.find(task).await.map_err(failed)?
        {
            return Ok(record.stored_judgment(Ack::Stored));
        }
        Ok(self.full(&[task]).await.map_err(failed)?.pop())
    }

    pub(super) async fn spool_records(
        &self,
        records: Vec<(u64, Arc<Record>)>,
    ) -> Result<(), String> {
        match &self.spool {
            Some(spool) => {
                spool.push(&records).await.map_err(|e| format!("spool: {}", describe(&e)))
            }
            None => Err("there is no spool".to_owned()),
        }
    }

    pub(super) async fn read_spool(&self, rows_max: usize) -> Result<Vec<Spooled>, String> {
        match &self.spool {
            Some(spool) => {
                let read = spool.oldest(rows_max, self.batch_bytes_max).await;
                read.map_err(|e| format!("spool: {}", describe(&e)))
            }
            None => Ok(Vec::new()),
        }
    }

    pub(super) async fn trim_spool(&self, seqs: &[u64]) -> Result<(), String> {
        match &self.spool {
            Some(spool) => spool.trim(seqs).await.map_err(|e| format!("spool: {}", describe(&e))),
            None => Ok(()),
        }
    }

    pub(super) async fn close(&self) {
        self.store.close().await;
        if let Some(spool) = &self.spool {
            spool.close().await;
        }
    }
}

/// Judgments read back in one go: explanations may be large.
pub(super) const FULL_ROWS_MAX: usize = 100;

/// A read that fails after a write says nothing against the data: the batch is simply written again.
fn classify_read(error: &sqlx::Error) -> Failure {
    Failure::Transient(describe(error))
}
