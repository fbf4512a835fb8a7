//! The shared store: PostgreSQL. Each lane owns one connection and never shares it.
//!
//! No pool and no `begin()` on the way in: a connection whose work failed, timed out or was abandoned is
//! dropped, so that none is ever used again inside a transaction that nobody commits (a pooled one can be, with
//! sqlx 0.9.0). A batch is one transaction, and of unknown fate it is simply written again.

use std::sync::Arc;
use std::time::Duration;

use cynic_proto::ids::LetterId;
use cynic_proto::model::{AXIOMS, DIMENSIONS};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::columns;
use super::entry::Entry;
use super::error::RecorderError;
use super::record::Record;
use super::schema;
use super::store::{ByTable, TAKE_DEAD_LETTER, WRITE_TIMEOUT, Written, classify};
use super::writer::Failure;

/// How long a connection may take to be made: a few lost packets on a distant server, not a hang.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The same at the daemon's start, which waits for it.
const FIRST_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the start waits for the answers of a server that it is connected to: the schema and the calibration take
/// milliseconds where nothing is wrong, and a long migration goes on without being waited for.
pub(super) const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections for queries: one for a person, one for an export that runs meanwhile.
const READERS: u32 = 2;

/// How long a query waits for a connection, and a connection for its last answer.
const READER_TIMEOUT: Duration = Duration::from_secs(5);

/// The lane on which dead letters are written again: the first is the one that the spool is drained on, and takes the next
/// batch where both are idle.
const LETTERS_LANE: usize = 1;

#[derive(Debug)]
pub(super) struct PostgresStore {
    options: PgConnectOptions,
    lanes: Vec<Mutex<Option<PgConnection>>>,
    /// Whether this run has seen the schema to be up to date.
    migrated: std::cell::Cell<bool>,
    pub(super) reader: PgPool,
    statements: Statements,
}

/// The texts of the inserts; prepared once a connection.
#[derive(Debug)]
struct Statements {
    judgments: Arc<str>,
    failures: Arc<str>,
    notices: Arc<str>,
}

impl PostgresStore {
    /// Takes the address; connects when there is something to write.
    pub(super) fn new(url: &str, lanes: usize) -> Result<PostgresStore, RecorderError> {
        let mut options: PgConnectOptions = url.parse().map_err(RecorderError::Address)?;
        if options.get_application_name().is_none() {
            options = options.application_name("cynicd");
        }
        let options = options.log_statements(tracing::log::LevelFilter::Off);
        let reader = PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(READER_TIMEOUT)
            // The pool itself waits for ever for an answer from a connection that was given up, and counts it all that time.
            .after_release(|connection, _| {
                Box::pin(async move {
                    let answer = tokio::time::timeout(READER_TIMEOUT, connection.ping()).await;
                    let late = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
                    answer.unwrap_or_else(late).map(|()| true)
                })
            })
            .connect_lazy_with(options.clone());
        Ok(PostgresStore {
            options,
            lanes: (0..lanes.max(1)).map(|_| Mutex::new(None)).collect(),
            migrated: std::cell::Cell::new(false),
            reader,
            statements: Statements::new(),
        })
    }

    /// Connects a first time. A server that cannot be used now is no error, and why is what is returned: judgments wait
    /// in the spool until it can. An error is what no waiting mends: the schema is of another build.
    pub(super) async fn try_first(&self) -> Result<Option<String>, RecorderError> {
        const SILENT: &str = "the database does not answer";
        let connected = tokio::time::timeout(FIRST_CONNECT_TIMEOUT, self.options.connect()).await;
        let connection = match connected {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Ok(Some(super::store::describe(&error))),
            Err(_) => return Ok(Some(SILENT.to_owned())),
        };
        match tokio::time::timeout(FIRST_ANSWER_TIMEOUT, self.migrate(connection)).await {
            Ok(Ok(connection)) => {
                self.migrated.set(true);
                *self.lanes[0].lock().await = Some(connection);
                Ok(None)
            }
            Ok(Err(error)) if schema::is_of_another_build(&error) => Err(error),
            Ok(Err(error)) => Ok(Some(super::store::describe(&error))),
            Err(_) => Ok(Some(SILENT.to_owned())),
        }
    }

    /// Brings the schema up to date. On its own, so that an abandoned attempt does not break off a long migration.
    async fn migrate(&self, mut connection: PgConnection) -> Result<PgConnection, RecorderError> {
        let options = self.options.clone();
        let migrating = tokio::task::spawn_local(async move {
            schema::migrate_postgres(&mut connection, &options).await.map(|()| connection)
        });
        migrating.await.map_err(|panic| RecorderError::Thread(std::io::Error::other(panic)))?
    }

    /// Writes a batch in one transaction.
    pub(super) async fn write(
        &self,
        lane: usize,
        records: &[Arc<Record>],
    ) -> Result<Written, Failure> {
        let tables = ByTable::new(records);
        let inserts =
            self.statements.inserts(&tables).map_err(|e| classify(&sqlx::Error::Encode(e)))?;
        self.with_lane(lane, async |connection| match inserts.len() {
            0 => Ok(Written::default()),
            1 => {
                let inserted = insert(connection, inserts).await?;
                Ok(Written::of(&tables, inserted, 1))
            }
            several => {
                sqlx::query("BEGIN").execute(&mut *connection).await?;
                let inserted = insert(connection, inserts).await?;
                sqlx::query("COMMIT").execute(&mut *connection).await?;
                Ok(Written::of(&tables, inserted, several as u64 + 2))
            }
        })
        .await
    }

    /// Writes the entry of a dead letter and removes that, in one transaction.
    pub(super) async fn write_letter(
        &self,
        letter: LetterId,
        records: &[Arc<Record>],
    ) -> Result<Option<Written>, Failure> {
        let tables = ByTable::new(records);
        let inserts =
            self.statements.inserts(&tables).map_err(|e| classify(&sqlx::Error::Encode(e)))?;
        let trips = inserts.len() as u64 + 3;
        self.with_lane(LETTERS_LANE, async |connection| {
            sqlx::query("BEGIN").execute(&mut *connection).await?;
            let take = sqlx::query(TAKE_DEAD_LETTER).bind(Uuid::from_u128(letter.0));
            if take.execute(&mut *connection).await?.rows_affected() == 0 {
                sqlx::query("ROLLBACK").execute(&mut *connection).await?;
                return Ok(None);
            }
            let inserted = insert(connection, inserts).await?;
            sqlx::query("COMMIT").execute(&mut *connection).await?;
            Ok(Some(Written::of(&tables, inserted, trips)))
        })
        .await
    }

    /// Runs `work` on a lane's connection. Unless it succeeds, the connection is dropped: whatever state it is
    /// in ends with it.
    pub(super) async fn with_lane<T>(
        &self,
        lane: usize,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Failure> {
        let mut slot = self.lanes[lane % self.lanes.len()].lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        match tokio::time::timeout(WRITE_TIMEOUT, work(&mut connection)).await {
            Ok(Ok(value)) => {
                *slot = Some(connection);
                Ok(value)
            }
            Ok(Err(error)) => Err(classify(&error)),
            Err(_) => Err(Failure::Transient("the server does not answer".to_owned())),
        }
    }

    /// Makes the schema of a database that could not be reached at the start.
    pub(super) async fn make_schema(&self) -> Result<(), Failure> {
        if self.migrated.get() {
            return Ok(());
        }
        self.with_lane(0, async |connection| Connection::ping(connection).await).await
    }

    async fn connect(&self) -> Result<PgConnection, Failure> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.options.connect()).await;
        let connection = connecting
            .map_err(|_| Failure::Transient("the server does not answer".to_owned()))?
            .map_err(|e| classify(&e))?;
        if self.migrated.get() {
            return Ok(connection);
        }
        let migrated = self.migrate(connection).await;
        let connection = migrated.map_err(|e| Failure::Transient(super::store::describe(&e)))?;
        self.migrated.set(true);
        Ok(connection)
    }

    pub(super) async fn close(&self) {
        // The server notices; waiting for a farewell could take for ever.
        for lane in &self.lanes {
            drop(lane.lock().await.take());
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), self.reader.close()).await;
    }
}

/// A statement of a batch and its values.
type Insert = (&'static str, Arc<str>, PgArguments);

async fn insert(connection: &mut PgConnection, inserts: Vec<Insert>) -> Result<u64, sqlx::Error> {
    let mut judgments = 0;
    for (table, sql, arguments) in inserts {
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
        let inserted = query.execute(&mut *connection).await?.rows_affected();
        if table == "judgments" {
            judgments += inserted;
        }
    }
    Ok(judgments)
}

impl Statements {
    fn new() -> Statements {
        let text = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let failure = ["uuid", "uuid", "int8", "text", "text", "text", "text", "int8", "int2"];
        let notice = ["uuid", "int8", "text", "uuid", "text"];
        Statements {
            judgments: columns::insert_unnest("judgments", &columns::judgment(), &judgment_types())
                .into(),
            failures: columns::insert_unnest("failures", &text(&columns::FAILURE), &failure).into(),
            notices: columns::insert_unnest("notices", &text(&columns::NOTICE), &notice).into(),
        }
    }

    fn inserts(&self, tables: &ByTable<'_>) -> Result<Vec<Insert>, sqlx::error::BoxDynError> {
        let mut inserts = Vec::new();
        if !tables.judgments.is_empty() {
            inserts.push(("judgments", self.judgments.clone(), bind_judgments(&tables.judgments)?));
        }
        if !tables.failures.is_empty() {
            inserts.push(("failures", self.failures.clone(), bind_failures(&tables.failures)?));
        }
        if !tables.notices.is_empty() {
            inserts.push(("notices", self.notices.clone(), bind_notices(&tables.notices)?));
        }
        Ok(inserts)
    }
}

/// In the order of [`columns::judgment`].
fn judgment_types() -> Vec<&'static str> {
    let mut types =
        vec!["uuid", "int8", "text", "int8", "text", "text", "text", "float4", "float4"];
    types.extend(["int2", "int8", "bool"]);
    types.extend(["float4"; AXIOMS]);
    types.extend(["float4", "float4", "text", "int8", "bytea", "text", "int4", "int8", "int2"]);
    types.extend(["int8"; 6]);
    types.extend(["int8", "int8", "int2"]);
    types.extend(["float4"; DIMENSIONS]);
    types.extend(["bytea", "bytea"]);
    types
}

/// One array a column, in the order of [`columns::judgment`].
fn bind_judgments(records: &[&Record]) -> Result<PgArguments, sqlx::error::BoxDynError> {
    let rows: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.entry {
            Entry::Judgment(entry) => Some((&**entry, &record.derived)),
            _ => None,
        })
        .collect();
    let mut arguments = PgArguments::default();
    macro_rules! column {
        (|$entry:ident, $derived:ident| $value:expr) => {
            arguments.add(rows.iter().map(|($entry, $derived)| $value).collect::<Vec<_>>())?
        };
    }
    column!(|e, _d| Uuid::from_u128(e.task.0));
    column!(|e, _d| e.judged_at_us);
    column!(|_e, d| d.item_id.as_deref());
    column!(|e, _d| i64::from(e.client_uid));
    column!(|e, _d| e.ack.name());
    column!(|e, _d| e.judgment.domain.name());
    column!(|e, _d| e.judgment.verdict.name());
    column!(|e, _d| e.judgment.q_score);
    column!(|e, _d| e.judgment.confidence);
    column!(|e, _d| e.judgment.covered() as i16);
    column!(|e, _d| e.judgment.fallbacks as i64);
    column!(|e, _d| e.judgment.partial);
    for axiom in 0..AXIOMS {
        column!(|e, _d| e.judgment.axioms[axiom]);
    }
    column!(|e, _d| e.judgment.final_score.map(|f| f.k_score));
    column!(|e, _d| e.judgment.final_score.map(|f| f.score));
    column!(|e, _d| e.judgment.final_score.map(|f| f.verdict.name()));
    column!(|e, _d| e.judgment.body_bytes as i64);
    column!(|e, _d| &e.judgment.body_sha256[..]);
    column!(|_e, d| d.summary.as_str());
    column!(|e, _d| i32::from(e.worker.slot));
    column!(|e, _d| i64::from(e.worker.generation));
    column!(|e, _d| i16::from(e.attempts));
    column!(|e, _d| i64::from(e.timings.queued_us));
    column!(|e, _d| i64::from(e.timings.running_us));
    for stage in 0..4 {
        column!(|e, _d| i64::from(e.timings.stages_us[stage]));
    }
    column!(|e, _d| i64::from(e.judgment.judge_version));
    column!(|e, _d| i64::from(e.calibration));
    column!(|_e, _d| columns::DIMS_VERSION);
    for dimension in 0..DIMENSIONS {
        column!(|e, _d| e.judgment.dimensions[dimension]);
    }
    column!(|e, _d| (!e.explanation.is_empty()).then_some(&e.explanation[..]));
    column!(|e, _d| e.content.as_deref());
    Ok(arguments)
}

/// One array a column, in the order of [`columns::FAILURE`].
fn bind_failures(records: &[&Record]) -> Result<PgArguments, sqlx::error::BoxDynError> {
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        if let Entry::Failure(entry) = &record.entry {
            rows.push((&**entry, serde_json::to_string(&entry.deaths)?));
        }
    }
    let mut arguments = PgArguments::default();
    arguments.add(rows.iter().map(|(e, _)| Uuid::from_u128(e.key.0)).collect::<Vec<_>>())?;
    arguments.add(rows.iter().map(|(e, _)| Uuid::from_u128(e.task.0)).collect::<Vec<_>>())?;
    arguments.add(rows.iter().map(|(e, _)| e.failed_at_us).collect::<Vec<_>>())?;
    arguments.add(rows.iter().map(|(e, _)| e.kind.name()).collect::<Vec<_>>())?;
    arguments.add(rows.iter().map(|(e, _)| e.message.as_str()).collect::<Vec<_>>())?;
    arguments.add(rows.iter().map(|(_, deaths)| deaths.as_str()).collect::<Vec<_>>())?;
    arguments.add(rows.iter().map(|(e, _)| e.item_id.as_deref()).collect::<Vec<_>>())?;
    arguments.add(rows.iter().map(|(e, _)| i64::from(e.client_uid)).collect::<Vec<_>>())?;
    arguments.add(rows.iter().map(|(e, _)| i16::from(e.attempts)).collect::<Vec<_>>())?;
    Ok(arguments)
}

/// One array a column, in the order of [`columns::NOTICE`].
fn bind_notices(records: &[&Record]) -> Result<PgArguments, sqlx::error::BoxDynError> {
    let rows: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.entry {
            Entry::Notice(entry) => Some(entry),
            _ => None,
        })
        .collect();
    let mut arguments = PgArguments::default();
    arguments.add(rows.iter().map(|e| Uuid::from_u128(e.key.0)).collect::<Vec<_>>())?;
    arguments.add(rows.iter().map(|e| e.at_us).collect::<Vec<_>>())?;
    arguments.add(rows.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>())?;
    arguments.add(rows.iter().map(|e| e.task.map(|t| Uuid::from_u128(t.0))).collect::<Vec<_>>())?;
    arguments.add(rows.iter().map(|e| e.message.as_str()).collect::<Vec<_>>())?;
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_type() {
        assert_eq!(judgment_types().len(), columns::judgment().len());
    }
}
