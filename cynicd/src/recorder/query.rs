//! History queries as SQL. Pure text: what a user says is only ever bound, never part of the text.

use std::fmt::Write as _;

use cynic_proto::codec;
use cynic_proto::history::{
    Cursor, FailureRow, HISTORY_LIMIT_DEFAULT, HISTORY_LIMIT_MAX, HistoryPage, HistoryQuery,
    HistoryRow, JudgmentRow, RecordKinds, Side,
};
use cynic_proto::ids::TaskId;

use super::columns;
use super::read;

/// The shortest text that the index of messages finds.
const TRIGRAM: usize = 3;

/// Most failures shown of one task: a client that retries for ever fills no frame.
const FAILURES_SHOWN_MAX: usize = 100;

/// How a database spells what differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// A value bound to a statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bind {
    Int(i64),
    Real(f32),
    Text(String),
    /// NULL where a text could be.
    NoText,
}

/// A statement and its values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sql {
    pub text: String,
    pub binds: Vec<Bind>,
    dialect: Dialect,
    conditions: usize,
}

impl Sql {
    pub(super) fn new(dialect: Dialect, text: String) -> Sql {
        Sql { text, binds: Vec::new(), dialect, conditions: 0 }
    }

    pub(super) fn bind(&mut self, bind: Bind) {
        self.binds.push(bind);
        match self.dialect {
            Dialect::Sqlite => self.text.push('?'),
            // Writing to a String does not fail.
            Dialect::Postgres => drop(write!(self.text, "${}", self.binds.len())),
        }
    }

    pub(super) fn bind_task(&mut self, task: TaskId) {
        self.bind(Bind::Text(task.to_string()));
        if self.dialect == Dialect::Postgres {
            self.text.push_str("::uuid");
        }
    }

    /// Begins a condition.
    pub(super) fn and(&mut self, text: &str) {
        self.text.push_str(if self.conditions == 0 { " WHERE " } else { " AND " });
        self.text.push_str(text);
        self.conditions += 1;
    }

    pub(super) fn and_bind(&mut self, text: &str, bind: Bind) {
        self.and(text);
        self.bind(bind);
    }
}

/// How `SQLite` finds judgments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path<'a> {
    /// In order of `seq`, or by an index.
    Direct,
    /// Those from this `seq` on.
    From(i64),
    /// Those of these that match.
    Among(&'a [i64]),
}

/// Rows of a page.
pub(super) fn limit(query: &HistoryQuery) -> u32 {
    match query.limit {
        0 => HISTORY_LIMIT_DEFAULT,
        n => n.min(HISTORY_LIMIT_MAX),
    }
}

/// Whether judgments can be in the answer.
pub(super) fn wants_judgments(query: &HistoryQuery) -> bool {
    query.kinds != RecordKinds::Failures && query.error_text.is_none()
}

/// Whether failures can be in the answer.
pub(super) fn wants_failures(query: &HistoryQuery) -> bool {
    query.kinds != RecordKinds::Judgments
        && query.verdicts.is_empty()
        && query.q_min.is_none()
        && query.q_max.is_none()
        && query.domain.is_none()
        && query.dimensions.is_empty()
}

/// Selects one more judgment than the page takes, so that the end is known.
pub(super) fn judgments(query: &HistoryQuery, dialect: Dialect, path: Path<'_>, rows: u32) -> Sql {
    let columns = &*read::JUDGMENT_COLUMNS;
    let mut sql = Sql::new(dialect, format!("SELECT {columns} FROM judgments j"));
    match path {
        Path::Direct => {}
        Path::From(seq) => sql.and_bind("j.seq >= ", Bind::Int(seq)),
        Path::Among(seqs) => {
            sql.and("j.seq IN (SELECT value FROM json_each(");
            let list: Vec<String> = seqs.iter().map(i64::to_string).collect();
            sql.bind(Bind::Text(format!("[{}]", list.join(","))));
            sql.text.push_str("))");
        }
    }
    if let Some(seq) = query.cursor.and_then(|cursor| cursor.judgment_seq) {
        sql.and_bind(if query.oldest_first { "j.seq > " } else { "j.seq < " }, Bind::Int(seq));
    }
    judgment_conditions(&mut sql, query, path);
    let way = if query.oldest_first { "ASC" } else { "DESC" };
    let _ = write!(sql.text, " ORDER BY j.seq {way} LIMIT {rows}");
    sql
}

fn judgment_conditions(sql: &mut Sql, query: &HistoryQuery, path: Path<'_>) {
    // The + keeps SQLite, where zones were chosen, from the client's index and from making an index over all
    // judgments for this one query, which takes half a minute at a million.
    let plain = if path == Path::Direct { "" } else { "+" };
    if let Some(us) = query.since_us {
        sql.and_bind("j.judged_at_us >= ", Bind::Int(us));
    }
    if let Some(us) = query.until_us {
        sql.and_bind("j.judged_at_us < ", Bind::Int(us));
    }
    if !query.verdicts.is_empty() {
        sql.and(&format!("{plain}j.verdict IN ("));
        for (n, verdict) in query.verdicts.iter().enumerate() {
            sql.text.push_str(if n > 0 { ", " } else { "" });
            sql.bind(Bind::Text(verdict.name().to_owned()));
        }
        sql.text.push(')');
    }
    if let Some(q) = query.q_min {
        sql.and_bind("j.q_score >= ", Bind::Real(q));
    }
    if let Some(q) = query.q_max {
        sql.and_bind("j.q_score <= ", Bind::Real(q));
    }
    if let Some(domain) = query.domain {
        sql.and_bind(&format!("{plain}j.domain = "), Bind::Text(domain.name().to_owned()));
    }
    if let Some(uid) = query.client_uid {
        sql.and_bind(&format!("{plain}j.client_uid = "), Bind::Int(i64::from(uid)));
    }
    if let Some(id) = &query.item_id {
        sql.and_bind("j.item_id = ", Bind::Text(id.clone()));
    }
    for bound in &query.dimensions {
        let side = if bound.side == Side::Below { '<' } else { '>' };
        let column = columns::dimension(bound.dimension);
        sql.and_bind(&format!("j.{column} {side} "), Bind::Real(bound.score));
    }
}

/// Selects the judgments from one number on, in order.
pub(super) fn run(first: i64, rows: i64) -> Sql {
    let text = format!("SELECT {} FROM judgments j", *read::JUDGMENT_COLUMNS);
    let mut sql = Sql::new(Dialect::Sqlite, text);
    sql.and_bind("j.seq >= ", Bind::Int(first));
    sql.and_bind("j.seq < ", Bind::Int(first + rows));
    sql.text.push_str(" ORDER BY j.seq");
    sql
}

/// Selects judgments by their tasks, with all that is kept of them.
pub(super) fn full_judgments(tasks: &[TaskId], dialect: Dialect) -> Sql {
    let columns = &*read::JUDGMENT_COLUMNS;
    let mut sql =
        Sql::new(dialect, format!("SELECT {columns}, j.details, j.content FROM judgments j"));
    sql.and("j.task_id IN (");
    for (n, task) in tasks.iter().enumerate() {
        sql.text.push_str(if n > 0 { ", " } else { "" });
        sql.bind_task(*task);
    }
    sql.text.push(')');
    sql
}

/// Selects the failures of a task, oldest first.
pub(super) fn failures_of(task: TaskId, dialect: Dialect) -> Sql {
    let mut sql = Sql::new(dialect, format!("SELECT {} FROM failures f", read::FAILURE_COLUMNS));
    sql.and("f.task_id = ");
    sql.bind_task(task);
    let _ = write!(sql.text, " ORDER BY f.seq LIMIT {FAILURES_SHOWN_MAX}");
    sql
}

/// Selects one more failure than the page takes.
pub(super) fn failures(query: &HistoryQuery, dialect: Dialect, rows: u32) -> Sql {
    let text = query.error_text.as_deref();
    let indexed = text.filter(|t| dialect == Dialect::Sqlite && t.chars().count() >= TRIGRAM);
    let from = match indexed {
        Some(_) => "failures_text t JOIN failures f ON f.seq = t.rowid",
        None => "failures f",
    };
    let seq = if indexed.is_some() { "t.rowid" } else { "f.seq" };
    let mut sql = Sql::new(dialect, format!("SELECT {} FROM {from}", read::FAILURE_COLUMNS));
    if let Some(text) = indexed {
        let phrase = format!("\"{}\"", text.replace('"', "\"\""));
        sql.and_bind("failures_text MATCH ", Bind::Text(phrase));
    } else if let Some(text) = text {
        let like =
            if dialect == Dialect::Postgres { "f.message ILIKE " } else { "f.message LIKE " };
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        sql.and_bind(like, Bind::Text(format!("%{escaped}%")));
        sql.text.push_str(" ESCAPE '\\'");
    }
    if let Some(last) = query.cursor.and_then(|cursor| cursor.failure_seq) {
        let side = if query.oldest_first { '>' } else { '<' };
        sql.and_bind(&format!("{seq} {side} "), Bind::Int(last));
    }
    if let Some(us) = query.since_us {
        sql.and_bind("f.failed_at_us >= ", Bind::Int(us));
    }
    if let Some(us) = query.until_us {
        sql.and_bind("f.failed_at_us < ", Bind::Int(us));
    }
    if let Some(uid) = query.client_uid {
        sql.and_bind("f.client_uid = ", Bind::Int(i64::from(uid)));
    }
    if let Some(id) = &query.item_id {
        sql.and_bind("f.item_id = ", Bind::Text(id.clone()));
    }
    let way = if query.oldest_first { "ASC" } else { "DESC" };
    let _ = write!(sql.text, " ORDER BY {seq} {way} LIMIT {rows}");
    sql
}

/// Merges judgments and failures by time. Each list is in the order of its `seq`, which also pages it: a clock that was set
/// back changes who comes first, never what is shown.
pub(super) fn merge(rows: [Vec<HistoryRow>; 2], oldest_first: bool) -> Vec<HistoryRow> {
    let mut lists = rows.map(|list| list.into_iter().peekable());
    let mut merged = Vec::new();
    loop {
        let [judgments, failures] = &mut lists;
        let take_failure = match (judgments.peek(), failures.peek()) {
            (None, None) => return merged,
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (Some(j), Some(f)) => (at_us(f) < at_us(j)) == oldest_first,
        };
        merged.extend(if take_failure { failures.next() } else { judgments.next() });
    }
}

/// Where a page begins. Newest first, a kind of which the first page shows nothing begins where it does now, so that what
/// comes later is on no later page.
pub(super) fn start(
    query: &HistoryQuery,
    judgments: &[JudgmentRow],
    failures: &[FailureRow],
) -> Cursor {
    let mut cursor = query.cursor.unwrap_or(Cursor { judgment_seq: None, failure_seq: None });
    let newest = |first: Option<i64>| Some(first.map_or(0, |seq| seq + 1));
    if !query.oldest_first && wants_judgments(query) {
        cursor.judgment_seq =
            cursor.judgment_seq.or_else(|| newest(judgments.first().map(|row| row.seq)));
    }
    if !query.oldest_first && wants_failures(query) {
        cursor.failure_seq =
            cursor.failure_seq.or_else(|| newest(failures.first().map(|row| row.seq)));
    }
    cursor
}

/// Makes a page of records in their order, from `cursor` on: as many as it takes by count and by bytes, and at least one.
pub(super) fn page(
    query: &HistoryQuery,
    mut cursor: Cursor,
    rows: Vec<HistoryRow>,
    bytes_max: usize,
) -> HistoryPage {
    let limit = limit(query) as usize;
    let (mut page, mut bytes) = (HistoryPage::default(), 0);
    for row in rows {
        // What cannot be encoded is told when it is sent.
        bytes += codec::encode(&row).map_or(0, |row| row.len());
        if page.rows.len() == limit || !page.rows.is_empty() && bytes > bytes_max {
            page.next = Some(cursor);
            return page;
        }
        match &row {
            HistoryRow::Judgment(row) => cursor.judgment_seq = Some(row.seq),
            HistoryRow::Failure(row) => cursor.failure_seq = Some(row.seq),
        }
        page.rows.push(row);
    }
    page
}

fn at_us(row: &HistoryRow) -> i64 {
    match row {
        HistoryRow::Judgment(row) => row.judged_at_us,
        HistoryRow::Failure(row) => row.failed_at_us,
    }
}
