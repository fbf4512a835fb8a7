//! Rows as they come from a database, decoded. The same text for both stores, whose row types differ.
//!
//! A row that cannot be decoded is an error that names its column, never a guess.

use std::sync::LazyLock;

use cynic_proto::history::{FailureRow, JudgmentRow, Truth};
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::judgment::{FinalScore, Judgment};
use cynic_proto::message::{Ack, Timings};
use cynic_proto::model::{DIMENSIONS, Domain, Verdict};

use super::columns;
use super::query::{Bind, Sql};

/// What to select for `judgment_row`, from `judgments j`.
pub(super) static JUDGMENT_COLUMNS: LazyLock<String> = LazyLock::new(|| {
    let mut columns = columns::judgment();
    columns.retain(|c| !["coverage", "dims_version", "details", "content"].contains(&c.as_str()));
    let text: Vec<_> =
        columns
            .iter()
            .map(|c| {
                if c == "task_id" { "CAST(j.task_id AS TEXT)".to_owned() } else { format!("j.{c}") }
            })
            .collect();
    format!(
        "j.seq, {}, (SELECT f.truth FROM feedback f WHERE f.task_id = j.task_id)",
        text.join(", ")
    )
});

/// A stored judgment with all that is kept of it.
#[derive(Debug)]
pub(super) struct FullJudgment {
    pub row: JudgmentRow,
    /// As stored: with a format byte in front; empty when there are none.
    pub details: Vec<u8>,
    pub content: Option<Vec<u8>>,
}

/// What to select for `failure_row`, from `failures f`.
pub(super) const FAILURE_COLUMNS: &str = "f.seq, CAST(f.task_id AS TEXT), f.failed_at_us, f.kind, f.message, \
     f.deaths, f.item_id, f.client_uid, f.attempts";

/// Runs a statement on the store's connections for queries and reads each row with the same text.
macro_rules! rows {
    ($stores:expr, $sql:expr, |$row:ident| $read:expr) => {
        match &$stores.store {
            Store::Sqlite(store) => {
                let rows = read::sqlite::query($sql).fetch_all(&store.reader).await;
                rows.and_then(|rows| rows.iter().map(|$row| $read).collect::<Result<Vec<_>, _>>())
            }
            Store::Postgres(store) => {
                let rows = read::postgres::query($sql).fetch_all(&store.reader).await;
                rows.and_then(|rows| rows.iter().map(|$row| $read).collect::<Result<Vec<_>, _>>())
            }
        }
    };
}
pub(super) use rows;

/// Takes the columns of a row one after another.
macro_rules! take {
    ($row:ident, $n:ident, $type:ty) => {{
        let value: $type = sqlx::Row::try_get($row, $n)?;
        $n += 1;
        value
    }};
}

/// Defines `judgment_row` and `failure_row` for one database's rows.
macro_rules! row_readers {
    ($module:ident, $database:ty, $row:ty, $real:path) => {
        pub(super) mod $module {
            use super::*;

            /// Runs a statement that selects [`JUDGMENT_COLUMNS`].
            pub(in super::super) async fn judgments(
                pool: &sqlx::Pool<$database>,
                sql: Sql,
            ) -> Result<Vec<JudgmentRow>, sqlx::Error> {
                let rows = query(sql).fetch_all(pool).await?;
                rows.iter().map(|row| judgment_row(row).map(|(row, _)| row)).collect()
            }

            /// Runs a statement that selects [`JUDGMENT_COLUMNS`], `details` and `content`.
            pub(in super::super) async fn full_judgments(
                pool: &sqlx::Pool<$database>,
                sql: Sql,
            ) -> Result<Vec<FullJudgment>, sqlx::Error> {
                let rows = query(sql).fetch_all(pool).await?;
                let full = |row| {
                    let (judgment, n) = judgment_row(row)?;
                    let details: Option<Vec<u8>> = sqlx::Row::try_get(row, n)?;
                    let content = sqlx::Row::try_get(row, n + 1)?;
                    Ok(FullJudgment {
                        row: judgment,
                        details: details.unwrap_or_default(),
                        content,
                    })
                };
                rows.iter().map(full).collect()
            }

            /// Runs a statement that selects [`FAILURE_COLUMNS`].
            pub(in super::super) async fn failures(
                pool: &sqlx::Pool<$database>,
                sql: Sql,
            ) -> Result<Vec<FailureRow>, sqlx::Error> {
                query(sql).fetch_all(pool).await?.iter().map(failure_row).collect()
            }

            /// Runs a statement that selects one integer.
            pub(in super::super) async fn integer(
                pool: &sqlx::Pool<$database>,
                sql: Sql,
            ) -> Result<Option<i64>, sqlx::Error> {
                let row = query(sql).fetch_optional(pool).await?;
                row.map_or(Ok(None), |row| sqlx::Row::try_get(&row, 0))
            }

            /// A statement with its values bound.
            pub(in super::super) fn query(
                sql: Sql,
            ) -> sqlx::query::Query<'static, $database, <$database as sqlx::Database>::Arguments>
            {
                let mut query = sqlx::query(sqlx::AssertSqlSafe(sql.text));
                for bind in sql.binds {
                    query = match bind {
                        Bind::Int(value) => query.bind(value),
                        Bind::Real(value) => query.bind($real(value)),
                        Bind::Text(value) => query.bind(value),
                        Bind::NoText => query.bind(None::<String>),
                    };
                }
                query
            }

            /// Reads [`JUDGMENT_COLUMNS`]; also says how many columns that were.
            pub(in super::super) fn judgment_row(
                row: &$row,
            ) -> Result<(JudgmentRow, usize), sqlx::Error> {
                let mut n = 0;
                let seq = take!(row, n, i64);
                let task = task(&take!(row, n, String))?;
                let judged_at_us = take!(row, n, i64);
                let item_id = take!(row, n, Option<String>);
                let client_uid = take!(row, n, i64) as u32;
                let ack = ack(&take!(row, n, String));
                let domain = domain(&take!(row, n, String))?;
                let verdict = verdict(&take!(row, n, String))?;
                let q_score = take!(row, n, f32);
                let confidence = take!(row, n, f32);
                let fallbacks = take!(row, n, i64) as u64;
                let partial = take!(row, n, bool);
                let mut axioms = [0.0; 5];
                for axiom in &mut axioms {
                    *axiom = take!(row, n, f32);
                }
                let k_score = take!(row, n, Option<f32>);
                let score = take!(row, n, Option<f32>);
                let final_verdict = take!(row, n, Option<String>);
                let body_bytes = take!(row, n, i64) as u64;
                let sha = take!(row, n, Vec<u8>);
                let summary = take!(row, n, String);
                let slot = take!(row, n, i32) as u16;
                let generation = take!(row, n, i64) as u32;
                let attempts = take!(row, n, i16) as u8;
                let mut times = [0; 6];
                for time in &mut times {
                    *time = take!(row, n, i64) as u32;
                }
                let judge_version = take!(row, n, i64) as u32;
                let calibration = take!(row, n, i64) as u32;
                let mut dimensions = [0.0; DIMENSIONS];
                for dimension in &mut dimensions {
                    *dimension = take!(row, n, f32);
                }
                let feedback = take!(row, n, Option<String>).and_then(|name| truth(&name));
                let judgment = Judgment {
                    q_score,
                    verdict,
                    confidence,
                    domain,
                    axioms,
                    dimensions,
                    fallbacks,
                    partial,
                    final_score: final_score(k_score, score, final_verdict)?,
                    body_bytes,
                    body_sha256: sha.try_into().map_err(|_| wrong("body_sha256"))?,
                    judge_version,
                };
                let row = JudgmentRow {
                    task,
                    seq,
                    judged_at_us,
                    judgment,
                    item_id,
                    summary,
                    client_uid,
                    ack,
                    worker: WorkerId { slot, generation },
                    attempts,
                    timings: timings(times),
                    calibration,
                    feedback,
                    features: None,
                };
                Ok((row, n))
            }

            /// Reads [`FAILURE_COLUMNS`].
            pub(in super::super) fn failure_row(row: &$row) -> Result<FailureRow, sqlx::Error> {
                let mut n = 0;
                let seq = take!(row, n, i64);
                let task = task(&take!(row, n, String))?;
                let failed_at_us = take!(row, n, i64);
                let error_kind = take!(row, n, String);
                let message = take!(row, n, String);
                let deaths = take!(row, n, String);
                let item_id = take!(row, n, Option<String>);
                let client_uid = take!(row, n, i64) as u32;
                let attempts = sqlx::Row::try_get::<i16, _>(row, n)? as u8;
                // A worker's last words are in it: none of them may hide the rest of a page.
                let deaths = serde_json::from_str(&deaths).unwrap_or_default();
                Ok(FailureRow {
                    task,
                    seq,
                    failed_at_us,
                    error_kind,
                    message,
                    deaths,
                    item_id,
                    client_uid,
                    attempts,
                })
            }
        }
    };
}

row_readers!(sqlite, sqlx::Sqlite, sqlx::sqlite::SqliteRow, columns::exact);
row_readers!(postgres, sqlx::Postgres, sqlx::postgres::PgRow, std::convert::identity);

pub(super) fn wrong(column: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: "not a value that was ever written".into(),
    }
}

pub(super) fn task(text: &str) -> Result<TaskId, sqlx::Error> {
    text.parse().map_err(|_| wrong("task_id"))
}

fn ack(name: &str) -> Ack {
    if name == Ack::Stored.name() { Ack::Stored } else { Ack::Judged }
}

pub(super) fn domain(name: &str) -> Result<Domain, sqlx::Error> {
    Domain::ALL.into_iter().find(|d| d.name() == name).ok_or_else(|| wrong("domain"))
}

fn verdict(name: &str) -> Result<Verdict, sqlx::Error> {
    Verdict::ALL.into_iter().find(|v| v.name() == name).ok_or_else(|| wrong("verdict"))
}

pub(super) fn truth(name: &str) -> Option<Truth> {
    [Truth::Good, Truth::Bad].into_iter().find(|t| t.name() == name)
}

fn final_score(
    k_score: Option<f32>,
    score: Option<f32>,
    name: Option<String>,
) -> Result<Option<FinalScore>, sqlx::Error> {
    let (Some(k_score), Some(score), Some(name)) = (k_score, score, name) else { return Ok(None) };
    Ok(Some(FinalScore { k_score, score, verdict: verdict(&name)? }))
}

fn timings([queued_us, running_us, parse, score, aggregate, verdict]: [u32; 6]) -> Timings {
    Timings { queued_us, running_us, stages_us: [parse, score, aggregate, verdict] }
}
