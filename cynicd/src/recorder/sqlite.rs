//! The embedded store: one SQLite file in WAL mode with full synchronisation.
//!
//! One connection writes, on which every write waits its turn; others only read. A batch is one transaction.

use std::collections::HashMap;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cynic_proto::ids::LetterId;
use cynic_proto::model::Dimension;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteQueryResult, SqliteSynchronous,
};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::columns::{self, exact};
use super::entry::Entry;
use super::error::RecorderError;
use super::query::Sql;
use super::read;
use super::record::Record;
use super::schema;
use super::store::{ByTable, TAKE_DEAD_LETTER, Written, classify, describe};
use super::writer::Failure;
use super::zones::{Lately, Zone};

/// How long a statement waits for another process that holds the write lock, such as a backup tool, before
/// the batch is tried again later.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The most values that SQLite binds to one statement (its default `SQLITE_MAX_VARIABLE_NUMBER`).
const BINDS_MAX: usize = 32_766;

/// The most judgments of one statement; a multiple of 64, see [`padded`].
const STATEMENT_ROWS_MAX: usize = BINDS_MAX / columns::JUDGMENT_COLUMNS / 64 * 64;

/// Prepared statements kept: one for each padded size of each table.
const STATEMENTS_MAX: usize = 96;

/// Connections for queries: one for a person, one for an export that runs meanwhile.
const READERS: u32 = 2;

/// The WAL is folded into the database at this many pages (16 MiB): rarely enough that a checkpoint's
/// random writes do not slow a burst, often enough that a crash recovers at once.
const CHECKPOINT_PAGES: &str = "4000";

/// Owner writes, group reads: the operators' group may query by hand.
const FILE_MODE: u32 = 0o640;

#[derive(Debug)]
pub(super) struct SqliteStore {
    pub(super) options: SqliteConnectOptions,
    writer: Mutex<Option<Writing>>,
    pub(super) reader: SqlitePool,
    /// Held while a backup is made.
    pub(super) backing_up: Mutex<()>,
}

/// The connection that writes, and the texts of its statements.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) connection: SqliteConnection,
    sql: HashMap<(&'static str, usize), Arc<str>>,
    zones: Lately,
}

impl SqliteStore {
    /// Opens or creates the database and brings its schema up to date.
    pub(super) async fn open(path: &Path, check: bool) -> Result<SqliteStore, RecorderError> {
        create(path, FILE_MODE)?;
        let options = options(path);
        let mut connection = options.clone().connect().await.map_err(|e| not_opened(path, e))?;
        if check {
            schema::refuse_newer_sqlite(&mut connection, path).await?;
            quick_check(&mut connection, path).await?;
        }
        schema::migrate_sqlite(&mut connection, path).await?;
        let reader = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_lazy_with(options.clone().pragma("query_only", "ON"));
        let writing = Writing::new(connection);
        Ok(SqliteStore {
            options,
            writer: Mutex::new(Some(writing)),
            reader,
            backing_up: Mutex::new(()),
        })
    }

    /// Writes a batch in one transaction.
    pub(super) async fn write(&self, records: &[Arc<Record>]) -> Result<Written, Failure> {
        let tables = ByTable::new(records);
        let chunks = chunks(&tables);
        self.with_writer(async |writing| match &chunks[..] {
            [] => Ok(Written::default()),
            [chunk] => {
                let inserted = writing.insert(chunk).await?;
                Ok(Written::of(&tables, inserted, 1))
            }
            several => {
                writing.execute("BEGIN IMMEDIATE").await?;
                let mut inserted = 0;
                for chunk in several {
                    inserted += writing.insert(chunk).await?;
                }
                writing.execute("COMMIT").await?;
                Ok(Written::of(&tables, inserted, several.len() as u64 + 2))
            }
        })
        .await
        .map_err(|e| classify(&e))
    }

    /// Writes the entry of a dead letter and removes that, in one transaction.
    pub(super) async fn write_letter(
        &self,
        letter: LetterId,
        records: &[Arc<Record>],
    ) -> Result<Option<Written>, Failure> {
        let tables = ByTable::new(records);
        let chunks = chunks(&tables);
        let key = Uuid::from_u128(letter.0).to_string();
        self.with_writer(async |writing| {
            writing.execute("BEGIN IMMEDIATE").await?;
            let take = sqlx::query(TAKE_DEAD_LETTER).bind(key);
            if take.execute(&mut writing.connection).await?.rows_affected() == 0 {
                writing.execute("ROLLBACK").await?;
                return Ok(None);
            }
            let mut inserted = 0;
            for chunk in &chunks {
                inserted += writing.insert(chunk).await?;
            }
            writing.execute("COMMIT").await?;
            Ok(Some(Written::of(&tables, inserted, chunks.len() as u64 + 3)))
        })
        .await
        .map_err(|e| classify(&e))
    }

    /// Runs `work` on the writing connection once it is free. When the work fails or is dropped half-way, the
    /// connection goes with it, and any open transaction too.
    pub(super) async fn with_writer<T>(
        &self,
        work: impl AsyncFnOnce(&mut Writing) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut slot = self.writer.lock().await;
        let mut writing = match slot.take() {
            Some(writing) => writing,
            None => Writing::new(self.options.connect().await?),
        };
        let result = work(&mut writing).await;
        if result.is_ok() {
            *slot = Some(writing);
        } else {
            // Waits for the file to be closed, so that the next connection finds no lock of this one.
            let _ = sqlx::Connection::close(writing.connection).await;
        }
        result
    }

    /// Runs one statement that writes beside the batches. Says how many rows it changed.
    pub(super) async fn execute(&self, sql: Sql) -> Result<u64, sqlx::Error> {
        self.with_writer(async |writing| {
            let query = read::sqlite::query(sql);
            Ok(query.execute(&mut writing.connection).await?.rows_affected())
        })
        .await
    }

    /// A zone whose judgments were all written by this connection, in one go.
    pub(super) async fn zone_written_lately(&self, number: i64) -> Option<Box<Zone>> {
        self.writer.lock().await.as_mut()?.zones.take(number)
    }

    /// Closes all connections, which folds the WAL into the database.
    pub(super) async fn close(&self) {
        self.reader.close().await;
        if let Some(writing) = self.writer.lock().await.take()
            && let Err(error) = sqlx::Connection::close(writing.connection).await
        {
            tracing::warn!(error = describe(&error), "could not close the database cleanly");
        }
    }
}

impl Writing {
    fn new(connection: SqliteConnection) -> Writing {
        Writing { connection, sql: HashMap::new(), zones: Lately::default() }
    }

    async fn execute(&mut self, sql: &'static str) -> Result<u64, sqlx::Error> {
        Ok(sqlx::query(sql).execute(&mut self.connection).await?.rows_affected())
    }

    /// Inserts the rows of one statement; says how many judgments were new.
    async fn insert(&mut self, chunk: &Chunk<'_>) -> Result<u64, sqlx::Error> {
        let rows = padded(chunk.records.len());
        let sql = self.sql.entry((chunk.table, rows)).or_insert_with(|| {
            columns::insert_values(chunk.table, &table_columns(chunk.table), rows).into()
        });
        let mut arguments = SqliteArguments::default();
        arguments.reserve(rows * table_columns_len(chunk.table), 0);
        for n in 0..rows {
            let record = chunk.records[n.min(chunk.records.len() - 1)];
            bind(&mut arguments, record).map_err(sqlx::Error::Encode)?;
        }
        let query = sqlx::query_with(AssertSqlSafe(sql.clone()), arguments);
        let done = query.execute(&mut self.connection).await?;
        if chunk.table != "judgments" {
            return Ok(0);
        }
        self.note(chunk, &done);
        Ok(done.rows_affected())
    }

    /// Tells the zones of judgments that were written. Where some were left out, nobody knows the numbers of the others.
    fn note(&mut self, chunk: &Chunk<'_>, done: &SqliteQueryResult) {
        if done.rows_affected() != chunk.records.len() as u64 {
            return;
        }
        let first = done.last_insert_rowid() + 1 - chunk.records.len() as i64;
        for (seq, record) in (first..).zip(chunk.records) {
            if let Entry::Judgment(entry) = &record.entry {
                self.zones.add(seq, entry.judged_at_us, &entry.judgment);
            }
        }
    }
}

/// The rows of one statement.
struct Chunk<'a> {
    table: &'static str,
    records: &'a [&'a Record],
}

fn chunks<'a>(tables: &'a ByTable<'a>) -> Vec<Chunk<'a>> {
    let all = [
        ("judgments", &tables.judgments),
        ("failures", &tables.failures),
        ("notices", &tables.notices),
    ];
    let mut chunks = Vec::new();
    for (table, records) in all {
        chunks.extend(records.chunks(STATEMENT_ROWS_MAX).map(|records| Chunk { table, records }));
    }
    chunks
}

/// Rounds a number of rows up to one of a few sizes, so that few statements need preparing: preparing one
/// costs as much as running it. The rows added repeat the last one, which conflicts with itself and is left
/// out.
fn padded(rows: usize) -> usize {
    match rows {
        0..=16 => rows,
        17..=64 => rows.next_multiple_of(8),
        65..=128 => rows.next_multiple_of(16),
        _ => rows.next_multiple_of(64),
    }
}

fn table_columns(table: &str) -> Vec<String> {
    match table {
        "judgments" => columns::judgment(),
        "failures" => columns::FAILURE.map(str::to_owned).to_vec(),
        _ => columns::NOTICE.map(str::to_owned).to_vec(),
    }
}

fn table_columns_len(table: &str) -> usize {
    match table {
        "judgments" => columns::JUDGMENT_COLUMNS,
        "failures" => columns::FAILURE.len(),
        _ => columns::NOTICE.len(),
    }
}

fn bind(arguments: &mut SqliteArguments, record: &Record) -> Result<(), sqlx::error::BoxDynError> {
    match &record.entry {
        Entry::Judgment(_) => bind_judgment(arguments, record),
        Entry::Failure(failure) => {
            arguments.add(Uuid::from_u128(failure.key.0).to_string())?;
            arguments.add(failure.task.to_string())?;
            arguments.add(failure.failed_at_us)?;
            arguments.add(failure.kind.name())?;
            arguments.add(&failure.message)?;
            arguments.add(serde_json::to_string(&failure.deaths)?)?;
            arguments.add(&failure.item_id)?;
            arguments.add(i64::from(failure.client_uid))?;
            arguments.add(i64::from(failure.attempts))
        }
        Entry::Notice(notice) => {
            arguments.add(Uuid::from_u128(notice.key.0).to_string())?;
            arguments.add(notice.at_us)?;
            arguments.add(&notice.kind)?;
            arguments.add(notice.task.map(|task| task.to_string()))?;
            arguments.add(&notice.message)
        }
    }
}

/// In the order of [`columns::judgment`].
fn bind_judgment(
    arguments: &mut SqliteArguments,
    record: &Record,
) -> Result<(), sqlx::error::BoxDynError> {
    let Entry::Judgment(entry) = &record.entry else { return Ok(()) };
    let judgment = &entry.judgment;
    arguments.add(entry.task.to_string())?;
    arguments.add(entry.judged_at_us)?;
    arguments.add(&record.derived.item_id)?;
    arguments.add(i64::from(entry.client_uid))?;
    arguments.add(entry.ack.name())?;
    arguments.add(judgment.domain.name())?;
    arguments.add(judgment.verdict.name())?;
    arguments.add(exact(judgment.q_score))?;
    arguments.add(exact(judgment.confidence))?;
    arguments.add(i64::from(judgment.covered()))?;
    arguments.add(judgment.fallbacks as i64)?;
    arguments.add(judgment.partial)?;
    for axiom in judgment.axioms {
        arguments.add(exact(axiom))?;
    }
    let last = judgment.final_score.as_ref();
    arguments.add(last.map(|last| exact(last.k_score)))?;
    arguments.add(last.map(|last| exact(last.score)))?;
    arguments.add(last.map(|last| last.verdict.name()))?;
    arguments.add(judgment.body_bytes as i64)?;
    arguments.add(&judgment.body_sha256[..])?;
    arguments.add(&record.derived.summary)?;
    arguments.add(i64::from(entry.worker.slot))?;
    arguments.add(i64::from(entry.worker.generation))?;
    arguments.add(i64::from(entry.attempts))?;
    arguments.add(i64::from(entry.timings.queued_us))?;
    arguments.add(i64::from(entry.timings.running_us))?;
    for stage in entry.timings.stages_us {
        arguments.add(i64::from(stage))?;
    }
    arguments.add(i64::from(judgment.judge_version))?;
    arguments.add(i64::from(entry.calibration))?;
    arguments.add(i64::from(columns::DIMS_VERSION))?;
    for dimension in Dimension::ALL {
        arguments.add(exact(judgment.dimension(dimension)))?;
    }
    arguments.add((!entry.explanation.is_empty()).then_some(&entry.explanation[..]))?;
    arguments.add(&entry.content)
}

/// Creates the file with its mode first: the journal files inherit it.
pub(super) fn create(path: &Path, mode: u32) -> Result<(), RecorderError> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(mode)
        .open(path)
        .map(drop)
        .map_err(|source| RecorderError::DataDir { action: "open", path: path.to_owned(), source })
}

pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .statement_cache_capacity(STATEMENTS_MAX)
        .log_statements(tracing::log::LevelFilter::Off)
}

/// Tells a damaged file, where no trying again helps, from one that cannot be opened now.
pub(super) fn not_opened(path: &Path, source: sqlx::Error) -> RecorderError {
    /// `SQLITE_CORRUPT` and `SQLITE_NOTADB`; detail is in the upper bytes.
    const DAMAGED: [u32; 2] = [11, 26];
    let code = source.as_database_error().and_then(|e| e.code()?.parse::<u32>().ok());
    if code.is_some_and(|code| DAMAGED.contains(&(code & 0xff))) {
        RecorderError::Damaged { path: path.to_owned(), found: describe(&source) }
    } else if has_room(path) {
        RecorderError::Open { path: path.to_owned(), source }
    } else {
        RecorderError::NoRoom { path: path.to_owned(), source: source.into() }
    }
}

/// Looks for damage after a stop that was not clean.
pub(super) async fn quick_check(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), RecorderError> {
    let found: Vec<String> = sqlx::query_scalar("PRAGMA quick_check(10)")
        .fetch_all(connection)
        .await
        .map_err(|source| not_opened(path, source))?;
    match &found[..] {
        [ok] if ok == "ok" => Ok(()),
        _ => Err(RecorderError::Damaged { path: path.to_owned(), found: found.join("; ") }),
    }
}

/// Whether a database could be begun there. A disk that cannot be asked is not what is wrong.
pub(super) fn has_room(path: &Path) -> bool {
    const BYTES_MIN: u64 = 1 << 20;
    let directory = path.parent().unwrap_or(path);
    rustix::fs::statvfs(directory).map_or(true, |disk| disk.f_bavail * disk.f_frsize >= BYTES_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_sizes_are_few_and_fit_one_statement() {
        let mut sizes: Vec<_> = (1..=STATEMENT_ROWS_MAX).map(padded).collect();
        sizes.dedup();
        assert!(sizes.len() < STATEMENTS_MAX / 3, "{} sizes", sizes.len());
        assert!(sizes.iter().all(|n| n * columns::JUDGMENT_COLUMNS <= BINDS_MAX));
        assert!((1..=STATEMENT_ROWS_MAX).all(|n| padded(n) >= n));
    }
}
