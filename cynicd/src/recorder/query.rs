//! History queries as SQL. Pure text: what a user says is only ever bound, never part of the text.

use std::fmt::Write as _;

use cynic_proto::history::{
    Cursor, ERROR_TEXT_BYTES_MAX, HISTORY_LIMIT_DEFAULT, HISTORY_LIMIT_MAX, HistoryPage,
    HistoryQuery, HistoryRow, RecordKinds, Side,
};
use cynic_proto::ids::TaskId;
use cynic_proto::model::{Domain, Verdict};

use super::columns;
use super::read;

/// Judgments of one zone (see the `zones` table): few enough that scanning one costs little, many enough
/// that there are few zones.
pub(super) const ZONE_ROWS: i64 = 256;

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
    fn and(&mut self, text: &str) {
        self.text.push_str(if self.conditions == 0 { " WHERE " } else { " AND " });
        self.text.push_str(text);
        self.conditions += 1;
    }

    fn and_bind(&mut self, text: &str, bind: Bind) {
        self.and(text);
        self.bind(bind);
    }
}

/// How `SQLite` finds judgments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// In order of `seq`, or by an index.
    Direct,
    /// Those after the last zone.
    Tail { zones: i64 },
    /// Those in zones that may have some.
    Zones { zones: i64 },
}

/// Rows of a page.
pub(super) fn limit(query: &HistoryQuery) -> u32 {
    match query.limit {
        0 => HISTORY_LIMIT_DEFAULT,
        n => n.min(HISTORY_LIMIT_MAX),
    }
}

/// Why a query makes no sense, if it makes none.
pub(super) fn check(query: &HistoryQuery) -> Result<(), String> {
    let scores =
        query.q_min.iter().chain(&query.q_max).chain(query.dimensions.iter().map(|b| &b.score));
    if let Some(score) = scores.into_iter().find(|score| !score.is_finite()) {
        return Err(format!("{score} is not a score: expected 0 to 100"));
    }
    match &query.error_text {
        Some(text) if text.is_empty() || text.len() > ERROR_TEXT_BYTES_MAX => {
            Err(format!("the text to find in errors must have 1 to {ERROR_TEXT_BYTES_MAX} bytes"))
        }
        _ => Ok(()),
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

/// Whether zones can rule anything out.
pub(super) fn is_zoned(query: &HistoryQuery) -> bool {
    query.since_us.is_some()
        || query.until_us.is_some()
        || !query.verdicts.is_empty()
        || query.q_min.is_some()
        || query.q_max.is_some()
        || query.domain.is_some()
        || !query.dimensions.is_empty()
}

/// Selects one more judgment than the page takes, so that the end is known.
pub(super) fn judgments(query: &HistoryQuery, dialect: Dialect, path: Path, rows: u32) -> Sql {
    let from = match path {
        // CROSS JOIN is SQLite's way to say: zones outside, judgments inside.
        Path::Zones { .. } => "zones z CROSS JOIN judgments j",
        _ => "judgments j",
    };
    let mut sql = Sql::new(dialect, format!("SELECT {} FROM {from}", read::judgment_columns()));
    match path {
        Path::Direct => {}
        Path::Tail { zones } => sql.and_bind("j.seq >= ", Bind::Int(zones * ZONE_ROWS)),
        Path::Zones { zones } => zone_conditions(&mut sql, query, zones),
    }
    if let Some(seq) = query.cursor.and_then(|cursor| cursor.judgment_seq) {
        sql.and_bind(if query.oldest_first { "j.seq > " } else { "j.seq < " }, Bind::Int(seq));
    }
    judgment_conditions(&mut sql, query, path);
    let way = if query.oldest_first { "ASC" } else { "DESC" };
    let order = match path {
        Path::Zones { .. } => format!(" ORDER BY z.zone {way}, j.seq {way} LIMIT {rows}"),
        _ => format!(" ORDER BY j.seq {way} LIMIT {rows}"),
    };
    sql.text.push_str(&order);
    sql
}

fn judgment_conditions(sql: &mut Sql, query: &HistoryQuery, path: Path) {
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

/// Joins each zone to its judgments and leaves out the zones that cannot have one that matches.
fn zone_conditions(sql: &mut Sql, query: &HistoryQuery, zones: i64) {
    sql.and_bind("z.zone < ", Bind::Int(zones));
    sql.and(&format!("j.seq >= z.zone * {ZONE_ROWS} AND j.seq < (z.zone + 1) * {ZONE_ROWS}"));
    if let Some(seq) = query.cursor.and_then(|cursor| cursor.judgment_seq) {
        let side = if query.oldest_first { ">=" } else { "<=" };
        sql.and_bind(&format!("z.zone {side} "), Bind::Int(seq / ZONE_ROWS));
    }
    if let Some(us) = query.since_us {
        sql.and_bind("z.judged_at_us_max >= ", Bind::Int(us));
    }
    if let Some(us) = query.until_us {
        sql.and_bind("z.judged_at_us_min < ", Bind::Int(us));
    }
    if !query.verdicts.is_empty() {
        let mask: i64 = query.verdicts.iter().fold(0, |mask, v| mask | verdict_bit(*v));
        sql.and_bind("z.verdicts & ", Bind::Int(mask));
        sql.text.push_str(" <> 0");
    }
    if let Some(domain) = query.domain {
        sql.and_bind("z.domains & ", Bind::Int(domain_bit(domain)));
        sql.text.push_str(" <> 0");
    }
    if let Some(q) = query.q_min {
        sql.and_bind("z.q_score_max >= ", Bind::Real(q));
    }
    if let Some(q) = query.q_max {
        sql.and_bind("z.q_score_min <= ", Bind::Real(q));
    }
    for bound in &query.dimensions {
        let column = columns::dimension(bound.dimension);
        let condition = match bound.side {
            Side::Below => format!("z.{column}_min < "),
            Side::Above => format!("z.{column}_max > "),
        };
        sql.and_bind(&condition, Bind::Real(bound.score));
    }
}

/// The bit of a verdict in `zones.verdicts`.
fn verdict_bit(verdict: Verdict) -> i64 {
    1 << verdict as i64
}

/// The bit of a domain in `zones.domains`.
fn domain_bit(domain: Domain) -> i64 {
    1 << domain as i64
}

/// Makes the zones from `first` to `last`, or makes them anew.
pub(super) fn make_zones(first: i64, last: i64) -> Sql {
    let mut select = format!("SELECT seq / {ZONE_ROWS}, min(judged_at_us), max(judged_at_us)");
    let bits = |column: &str, values: Vec<(&str, i64)>| {
        let terms: Vec<_> =
            values.iter().map(|(name, bit)| format!("max({column} = '{name}') * {bit}")).collect();
        format!(", {}", terms.join(" + "))
    };
    select.push_str(&bits("verdict", Verdict::ALL.map(|v| (v.name(), verdict_bit(v))).to_vec()));
    select.push_str(&bits("domain", Domain::ALL.map(|d| (d.name(), domain_bit(d))).to_vec()));
    select.push_str(", min(q_score), max(q_score)");
    for dimension in cynic_proto::model::Dimension::ALL.map(columns::dimension) {
        let _ = write!(select, ", min({dimension}), max({dimension})");
    }
    let mut sql = Sql::new(Dialect::Sqlite, format!("REPLACE INTO zones {select} FROM judgments"));
    sql.and_bind("seq >= ", Bind::Int(first * ZONE_ROWS));
    sql.and_bind("seq < ", Bind::Int((last + 1) * ZONE_ROWS));
    sql.text.push_str(" GROUP BY 1");
    sql
}

/// Selects judgments by their tasks, with all that is kept of them.
pub(super) fn full_judgments(tasks: &[TaskId], dialect: Dialect) -> Sql {
    let columns = read::judgment_columns();
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

/// Merges judgments and failures by time into one page. Each list is in the order of its `seq`, which also
/// pages it: a clock that was set back changes who comes first, never what is shown.
pub(super) fn merge(query: &HistoryQuery, rows: [Vec<HistoryRow>; 2]) -> HistoryPage {
    let limit = limit(query) as usize;
    let mut cursor = query.cursor.unwrap_or(Cursor { judgment_seq: None, failure_seq: None });
    let mut lists = rows.map(|list| list.into_iter().peekable());
    let mut page = HistoryPage::default();
    while page.rows.len() < limit {
        let [judgments, failures] = &mut lists;
        let take_failure = match (judgments.peek(), failures.peek()) {
            (None, None) => break,
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (Some(j), Some(f)) => (at_us(f) < at_us(j)) == query.oldest_first,
        };
        let row = if take_failure { failures.next() } else { judgments.next() };
        match &row {
            Some(HistoryRow::Judgment(row)) => cursor.judgment_seq = Some(row.seq),
            Some(HistoryRow::Failure(row)) => cursor.failure_seq = Some(row.seq),
            None => {}
        }
        page.rows.extend(row);
    }
    if lists.iter_mut().any(|list| list.peek().is_some()) {
        page.next = Some(cursor);
    }
    page
}

fn at_us(row: &HistoryRow) -> i64 {
    match row {
        HistoryRow::Judgment(row) => row.judged_at_us,
        HistoryRow::Failure(row) => row.failed_at_us,
    }
}
