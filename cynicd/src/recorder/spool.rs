//! The local outbox: entries that PostgreSQL does not take now, safe on this host's disk until it does.
//!
//! A SQLite file of its own, each write synchronised. It never decides when to spool or drain.

use std::path::Path;
use std::sync::Arc;

use cynic_proto::ids::TaskId;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Row};
use tokio::sync::Mutex;

use super::error::RecorderError;
use super::record::Record;
use super::schema;
use super::sqlite;

/// What is in it concerns nobody but the daemon.
const FILE_MODE: u32 = 0o600;

/// SQLite's default page size, in which the bound of the spool is expressed.
const PAGE_BYTES: u64 = 4096;

/// Rows of one INSERT: four values each, far below what SQLite binds to one statement.
const STATEMENT_ROWS_MAX: usize = 500;

#[derive(Debug)]
pub(super) struct Spool {
    options: SqliteConnectOptions,
    connection: Mutex<Option<SqliteConnection>>,
}

/// What a spool was left with.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LeftBehind {
    pub rows: u64,
    /// The highest number in it.
    pub last_seq: u64,
}

/// An entry that waits in the spool.
#[derive(Debug)]
pub(super) struct Spooled {
    pub seq: u64,
    pub record: Arc<Record>,
    pub bytes: usize,
}

/// Numbered anew: an empty spool begins again at 1, which may have been put aside before.
async fn put_aside(
    connection: &mut SqliteConnection,
    seq: i64,
    why: &str,
) -> Result<(), sqlx::Error> {
    tracing::error!(seq, why, "an entry of the spool cannot be read and is put aside");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    for sql in [
        "INSERT INTO unreadable (entry) SELECT entry FROM spool WHERE seq = ?",
        "DELETE FROM spool WHERE seq = ?",
    ] {
        sqlx::query(sql).bind(seq).execute(&mut *connection).await?;
    }
    sqlx::query("COMMIT").execute(&mut *connection).await.map(drop)
}

impl Spool {
    /// Opens or creates the spool, and checks it where asked to; it will not grow beyond `bytes_max`.
    pub(super) async fn open(
        path: &Path,
        bytes_max: u64,
        check: bool,
    ) -> Result<(Spool, LeftBehind), RecorderError> {
        sqlite::create(path, FILE_MODE)?;
        let pages_max = (bytes_max / PAGE_BYTES).max(16).to_string();
        let options = sqlite::options(path).pragma("max_page_count", pages_max);
        let failed = |source| sqlite::not_opened(path, source);
        let mut connection = options.clone().connect().await.map_err(failed)?;
        if check {
            sqlite::quick_check(&mut connection, path).await?;
        }
        schema::migrate_spool(&mut connection, path).await?;
        let row = sqlx::query("SELECT count(*), coalesce(max(seq), 0) FROM spool")
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        let (rows, last_seq) = (row.get::<i64, _>(0) as u64, row.get::<i64, _>(1) as u64);
        let spool = Spool { options, connection: Mutex::new(Some(connection)) };
        Ok((spool, LeftBehind { rows, last_seq }))
    }

    /// Adds records; they are on disk when this returns.
    pub(super) async fn push(&self, records: &[(u64, Arc<Record>)]) -> Result<(), sqlx::Error> {
        let mut rows = Vec::with_capacity(records.len());
        for (seq, record) in records {
            let entry = record.encode().map_err(|e| sqlx::Error::Encode(e.into()))?;
            rows.push((*seq as i64, record.judgment_task(), entry));
        }
        self.with(async |connection| {
            sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
            for rows in rows.chunks(STATEMENT_ROWS_MAX) {
                let mut sql = sqlx::QueryBuilder::<sqlx::Sqlite>::new(
                    "INSERT INTO spool (seq, task_id, bytes, entry) ",
                );
                sql.push_values(rows, |mut tuple, (seq, task, entry)| {
                    let task = task.map(|task| task.0.to_be_bytes().to_vec());
                    tuple.push_bind(*seq).push_bind(task);
                    tuple.push_bind(entry.len() as i64).push_bind(entry.clone());
                });
                sql.push(" ON CONFLICT DO NOTHING");
                // Sizes vary too much for prepared statements to be worth keeping.
                sql.build().persistent(false).execute(&mut *connection).await?;
            }
            sqlx::query("COMMIT").execute(&mut *connection).await?;
            Ok(())
        })
        .await
    }

    /// The oldest records, up to so many rows and bytes. One that this build cannot read is put aside in the
    /// spool's own table `unreadable`.
    pub(super) async fn oldest(
        &self,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Spooled>, sqlx::Error> {
        self.with(async |connection| {
            loop {
                let rows = sqlx::query(
                    "SELECT seq, bytes, entry FROM (SELECT seq, bytes, entry, \
                     sum(bytes) OVER (ORDER BY seq) - bytes AS before \
                     FROM (SELECT * FROM spool ORDER BY seq LIMIT ?)) WHERE before <= ?",
                )
                .bind(rows_max as i64)
                .bind(bytes_max as i64)
                .fetch_all(&mut *connection)
                .await?;
                let mut oldest = Vec::with_capacity(rows.len());
                for row in &rows {
                    let (seq, bytes): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                    match Record::decode(row.try_get(2)?) {
                        Ok(record) => oldest.push(Spooled {
                            seq: seq as u64,
                            record: Arc::new(record),
                            bytes: bytes as usize,
                        }),
                        Err(why) => put_aside(connection, seq, &why).await?,
                    }
                }
                // Empty must mean that the spool is.
                if rows.is_empty() || !oldest.is_empty() {
                    return Ok(oldest);
                }
            }
        })
        .await
    }

    /// Removes records that are in the database now.
    pub(super) async fn trim(&self, seqs: &[u64]) -> Result<(), sqlx::Error> {
        self.with(async |connection| {
            for seqs in seqs.chunks(STATEMENT_ROWS_MAX) {
                let mut sql =
                    sqlx::QueryBuilder::<sqlx::Sqlite>::new("DELETE FROM spool WHERE seq IN (");
                let mut list = sql.separated(", ");
                for seq in seqs {
                    list.push_bind(*seq as i64);
                }
                sql.push(")");
                sql.build().persistent(false).execute(&mut *connection).await?;
            }
            Ok(())
        })
        .await
    }

    /// The judgment of a task, if it waits here.
    pub(super) async fn find(&self, task: TaskId) -> Result<Option<Record>, sqlx::Error> {
        self.with(async |connection| {
            let entry: Option<Vec<u8>> = sqlx::query_scalar(
                "SELECT entry FROM spool WHERE task_id = ? ORDER BY seq LIMIT 1",
            )
            .bind(task.0.to_be_bytes().to_vec())
            .fetch_optional(connection)
            .await?;
            Ok(entry.and_then(|entry| Record::decode(&entry).ok()))
        })
        .await
    }

    /// Keeps which calibration is in use.
    pub(super) async fn keep_calibration(
        &self,
        version: u32,
        thresholds: &str,
    ) -> Result<(), sqlx::Error> {
        self.with(async |connection| {
            sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
            sqlx::query("DELETE FROM calibration").execute(&mut *connection).await?;
            sqlx::query("INSERT INTO calibration (version, thresholds) VALUES (?, ?)")
                .bind(i64::from(version))
                .bind(thresholds)
                .execute(&mut *connection)
                .await?;
            sqlx::query("COMMIT").execute(&mut *connection).await.map(drop)
        })
        .await
    }

    /// The calibration that was kept last.
    pub(super) async fn calibration(&self) -> Result<Option<(u32, String)>, sqlx::Error> {
        self.with(async |connection| {
            let row = sqlx::query("SELECT version, thresholds FROM calibration")
                .fetch_optional(connection)
                .await?;
            row.map(|row| Ok((row.try_get::<i64, _>(0)? as u32, row.try_get(1)?))).transpose()
        })
        .await
    }

    pub(super) async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            // What was acknowledged is on disk already.
            let _ = sqlx::Connection::close(connection).await;
        }
    }

    /// Runs `work` on the connection; when it fails or is dropped half-way the connection goes with it, and
    /// any open transaction too.
    async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut slot = self.connection.lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let result = work(&mut connection).await;
        if result.is_ok() {
            *slot = Some(connection);
        } else {
            let _ = sqlx::Connection::close(connection).await;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_read_is_kept_each_time() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("spool.db");
        let mut kept = Vec::new();
        for entry in [&b"of tomorrow"[..], b"of the day after"] {
            // An empty spool: it numbers from the start again.
            let (spool, left) = Spool::open(&path, 1 << 20, true).await.expect("opened");
            assert_eq!((left.rows, left.last_seq), (0, 0));
            let put = "INSERT INTO spool (seq, bytes, entry) VALUES (1, 11, ?)";
            let put = async |connection: &mut SqliteConnection| {
                sqlx::query(put).bind(entry).execute(connection).await.map(drop)
            };
            spool.with(put).await.expect("written");
            assert!(spool.oldest(10, 1 << 20).await.expect("read").is_empty());
            let aside = async |connection: &mut SqliteConnection| {
                let aside = sqlx::query_scalar("SELECT entry FROM unreadable ORDER BY seq");
                aside.fetch_all(connection).await
            };
            kept.push(entry.to_vec());
            let aside: Vec<Vec<u8>> = spool.with(aside).await.expect("read");
            assert_eq!(aside, kept);
            spool.close().await;
        }
    }
}
