//! Answers questions from the stores: history, one task, what is there. Reads only.

use std::collections::HashMap;

use cynic_proto::explanation;
use cynic_proto::history::{
    FeedbackRow, HistoryPage, HistoryQuery, HistoryRow, JudgmentRow, ShowRow,
};
use cynic_proto::ids::TaskId;
use cynic_proto::judgment::Details;
use sqlx::Row;

use super::error::RecorderError;
use super::query::{self, Dialect, Path, Sql};
use super::read;
use super::record;
use super::sqlite::SqliteStore;
use super::store::{FULL_ROWS_MAX, Store, Stores};
use super::zones::{self, ZONE_ROWS};

/// With more judgments of one client than this, zones are searched instead of the client's index.
const CLIENT_ROWS_FEW: i64 = 5000;

/// Zones looked at first, and at most at a time: 6 KB each.
const ZONES_FIRST: usize = 4;
const ZONES_MAX: usize = 512;

/// Judgments read at a time of those that may match.
const CANDIDATES: usize = 256;

fn failed(action: &'static str) -> impl Fn(sqlx::Error) -> RecorderError {
    move |source| RecorderError::Query { action, source }
}

impl Stores {
    /// One page of history. The query makes sense ([`HistoryQuery::check`]).
    pub(super) async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, RecorderError> {
        let failed = failed("read the history");
        // One more than the page takes tells whether there is a next one.
        let rows = query::limit(&query) + 1;
        let judgments = if query::wants_judgments(&query) {
            self.find_judgments(&query, rows).await.map_err(&failed)?
        } else {
            Vec::new()
        };
        let failures = if query::wants_failures(&query) {
            let sql = query::failures(&query, self.store.dialect(), rows);
            self.store.failures(sql).await.map_err(&failed)?
        } else {
            Vec::new()
        };
        let start = query::start(&query, &judgments, &failures);
        let judgments =
            judgments.into_iter().map(|row| HistoryRow::Judgment(Box::new(row))).collect();
        let failures = failures.into_iter().map(|row| HistoryRow::Failure(Box::new(row))).collect();
        let mut merged = query::merge([judgments, failures], query.oldest_first);
        merged.truncate(rows as usize);
        if query.features {
            self.add_features(&mut merged).await.map_err(&failed)?;
        }
        Ok(query::page(&query, start, merged, self.page_bytes_max))
    }

    async fn add_features(&self, rows: &mut [HistoryRow]) -> Result<(), sqlx::Error> {
        let judgments = |row| match row {
            &mut HistoryRow::Judgment(ref mut row) => Some(row),
            HistoryRow::Failure(_) => None,
        };
        let mut judgments: Vec<_> = rows.iter_mut().filter_map(judgments).collect();
        for judgments in judgments.chunks_mut(FULL_ROWS_MAX) {
            let tasks: Vec<_> = judgments.iter().map(|row| row.task).collect();
            let full = self.full(&tasks).await?.into_iter();
            let mut explanations: HashMap<_, _> =
                full.map(|stored| (stored.row.task, stored.explanation)).collect();
            for row in judgments {
                row.features = explanations.remove(&row.task).map(|bytes| record::features(&bytes));
            }
        }
        Ok(())
    }

    async fn find_judgments(
        &self,
        query: &HistoryQuery,
        rows: u32,
    ) -> Result<Vec<JudgmentRow>, sqlx::Error> {
        if let Store::Sqlite(store) = &self.store
            && zones::help(query)
            && query.item_id.is_none()
            && !self.is_of_few_judgments(query).await?
        {
            return find_by_zones(store, query, rows as usize).await;
        }
        let sql = query::judgments(query, self.store.dialect(), Path::Direct, rows);
        self.store.judgments(sql).await
    }

    async fn is_of_few_judgments(&self, query: &HistoryQuery) -> Result<bool, sqlx::Error> {
        let Some(uid) = query.client_uid else { return Ok(false) };
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM judgments WHERE client_uid = {uid} LIMIT {CLIENT_ROWS_FEW})"
        );
        let rows = self.store.integer(Sql::new(Dialect::Sqlite, sql)).await?;
        Ok(rows.unwrap_or(0) < CLIENT_ROWS_FEW)
    }

    /// Everything of a task that is in the database.
    pub(super) async fn show(&self, task: TaskId) -> Result<ShowRow, RecorderError> {
        let failed = failed("read the task");
        let dialect = self.store.dialect();
        let full = self.store.full_judgments(query::full_judgments(&[task], dialect)).await;
        let full = full.map_err(&failed)?.pop();
        let failures =
            self.store.failures(query::failures_of(task, dialect)).await.map_err(&failed)?;
        let mut show = ShowRow {
            judgment: None,
            details: None,
            details_unreadable: false,
            content: None,
            feedback: self.feedback_of(task).await.map_err(&failed)?,
            failures,
        };
        if let Some(full) = full {
            show.details = details(&full.details);
            show.details_unreadable = show.details.is_none();
            show.judgment = Some(Box::new(full.row));
            show.content = full.content;
        }
        Ok(show)
    }

    async fn feedback_of(&self, task: TaskId) -> Result<Option<FeedbackRow>, sqlx::Error> {
        let dialect = self.store.dialect();
        let mut sql = Sql::new(
            dialect,
            "SELECT truth, note, client_uid, given_at_us FROM feedback WHERE task_id = ".to_owned(),
        );
        sql.bind_task(task);
        macro_rules! read {
            ($module:ident, $pool:expr) => {{
                let row = read::$module::query(sql).fetch_optional($pool).await?;
                let Some(row) = row else { return Ok(None) };
                let truth: String = row.try_get(0)?;
                Ok(read::truth(&truth).map(|truth| FeedbackRow {
                    truth,
                    note: row.get(1),
                    client_uid: row.get::<i64, _>(2) as u32,
                    given_at_us: row.get(3),
                }))
            }};
        }
        match &self.store {
            Store::Sqlite(store) => read!(sqlite, &store.reader),
            Store::Postgres(store) => read!(postgres, &store.reader),
        }
    }
}

/// Finds judgments by their zones, and those after the last zone by reading them all.
async fn find_by_zones(
    store: &SqliteStore,
    query: &HistoryQuery,
    rows: usize,
) -> Result<Vec<JudgmentRow>, sqlx::Error> {
    let find = async |path: Path<'_>, missing: usize| {
        let sql = query::judgments(query, Dialect::Sqlite, path, missing as u32);
        read::sqlite::judgments(&store.reader, sql).await
    };
    let sql = "SELECT coalesce(max(zone) + 1, 0) FROM zones".to_owned();
    let end = read::sqlite::integer(&store.reader, Sql::new(Dialect::Sqlite, sql)).await?;
    let end = end.unwrap_or(0);
    let tail = Path::From(end * ZONE_ROWS);
    let mut found = Vec::new();
    if !query.oldest_first {
        found = find(tail, rows).await?;
    }
    let mut last = None;
    let mut step = ZONES_FIRST;
    while found.len() < rows {
        let sql = zones::select(query, end, last, step);
        let zones = read::sqlite::query(sql).fetch_all(&store.reader).await?;
        let mut candidates = Vec::new();
        for row in &zones {
            let (zone, sketch): (i64, &[u8]) = (row.try_get(0)?, row.try_get(1)?);
            candidates.extend(zones::candidates(query, zone, sketch));
            last = Some(zone);
        }
        for some in candidates.chunks(CANDIDATES) {
            if found.len() < rows {
                found.extend(find(Path::Among(some), rows - found.len()).await?);
            }
        }
        if zones.len() < step {
            break;
        }
        step = (step * 2).min(ZONES_MAX);
    }
    if query.oldest_first && found.len() < rows {
        found.extend(find(tail, rows - found.len()).await?);
    }
    Ok(found)
}

/// A stored explanation in full; `None` when it cannot be read.
pub(super) fn details(explanation: &[u8]) -> Option<Box<Details>> {
    explanation::decode(explanation).ok().map(|details| Box::new(details.into_owned()))
}

#[cfg(test)]
mod tests {
    use cynic_proto::history::{Cursor, DimensionBound, Side};
    use cynic_proto::model::{Dimension, Domain, Verdict};

    use super::*;

    /// One query for each condition, and some that have several.
    fn queries() -> Vec<HistoryQuery> {
        let any = HistoryQuery::default;
        let candor =
            DimensionBound { dimension: Dimension::Candor, side: Side::Below, score: 20.0 };
        let impact =
            DimensionBound { dimension: Dimension::Impact, side: Side::Above, score: 80.0 };
        let cursor = Some(Cursor { judgment_seq: Some(700), failure_seq: Some(7) });
        let (howl, few) = (vec![Verdict::Howl], vec![candor, impact]);
        vec![
            any(),
            HistoryQuery { since_us: Some(1), ..any() },
            HistoryQuery { until_us: Some(9), ..any() },
            HistoryQuery { verdicts: howl.clone(), ..any() },
            HistoryQuery { verdicts: vec![Verdict::Howl, Verdict::Bark], ..any() },
            HistoryQuery { q_min: Some(80.0), ..any() },
            HistoryQuery { q_max: Some(8.0), ..any() },
            HistoryQuery { domain: Some(Domain::Shell), ..any() },
            HistoryQuery { client_uid: Some(1000), ..any() },
            HistoryQuery { item_id: Some("m-17".to_owned()), ..any() },
            HistoryQuery { dimensions: few.clone(), ..any() },
            HistoryQuery { error_text: Some("crashed".to_owned()), ..any() },
            HistoryQuery { cursor, ..any() },
            HistoryQuery { verdicts: howl.clone(), client_uid: Some(1000), cursor, ..any() },
            HistoryQuery { verdicts: howl, domain: Some(Domain::Shell), dimensions: few, ..any() },
        ]
    }

    /// Over a million rows an index made on the spot, or a sort of all that matches, takes seconds.
    #[tokio::test]
    async fn sqlite_never_indexes_or_sorts_a_table_to_find_a_page() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = SqliteStore::open(&dir.path().join("cynic.db"), false).await.expect("a store");
        let mut plans = 0;
        for query in queries()
            .into_iter()
            .flat_map(|query| [HistoryQuery { oldest_first: true, ..query.clone() }, query])
        {
            let paths = [Path::Direct, Path::From(768), Path::Among(&[5, 7])];
            let judgments = paths.map(|path| query::judgments(&query, Dialect::Sqlite, path, 51));
            let zones = zones::select(&query, 3, Some(2), 4);
            let failures = query::failures(&query, Dialect::Sqlite, 51);
            for mut sql in judgments.into_iter().chain([zones, failures]) {
                sql.text.insert_str(0, "EXPLAIN QUERY PLAN ");
                let text = sql.text.clone();
                let steps =
                    read::sqlite::query(sql).fetch_all(&store.reader).await.expect("a plan");
                let plan: Vec<String> = steps.iter().map(|step| step.get(3)).collect();
                let is_slow =
                    |step: &String| step.contains("AUTOMATIC") || step.contains("TEMP B-TREE");
                assert!(!plan.iter().any(is_slow), "{text}\n{plan:#?}");
                plans += 1;
            }
        }
        assert_eq!(plans, queries().len() * 2 * 5);
    }
}
