//! Zones: what each run of 256 judgments spans, and a sketch of its rows. A search skips the zones that cannot have a
//! match, and of the others reads only the rows whose sketch allows one: a combination of filters that few of a
//! million judgments pass is found without reading them.
//!
//! Only SQLite needs them, and an index a column would have to be kept up while writing.

use std::fmt::Write as _;

use cynic_proto::history::{HistoryQuery, Side};
use cynic_proto::model::{DIMENSIONS, Dimension, Domain, Verdict};

use super::columns;
use super::query::{Bind, Dialect, Sql};

/// Judgments of one zone (see the `zones` table): few enough that scanning one costs little, many enough
/// that there are few zones.
pub(super) const ZONE_ROWS: i64 = 256;

/// Bytes of a row in a sketch: its place in the zone, two letters of four bits each from `A` on; its verdict and its
/// domain, counted from 1; the Q-Score and each dimension, whole points from 1. No byte is 0 or above 127, as they are
/// made and kept as text.
const SKETCH_ROW_BYTES: usize = SCORES + 1 + DIMENSIONS;
const VERDICT: usize = 2;
const DOMAIN: usize = 3;
const SCORES: usize = 4;

/// Whether zones can rule anything out.
pub(super) fn help(query: &HistoryQuery) -> bool {
    query.since_us.is_some()
        || query.until_us.is_some()
        || !query.verdicts.is_empty()
        || query.q_min.is_some()
        || query.q_max.is_some()
        || query.domain.is_some()
        || !query.dimensions.is_empty()
}

/// Selects number and sketch of zones below `end` that may have a match, as they follow after zone `last`.
pub(super) fn select(query: &HistoryQuery, end: i64, last: Option<i64>, zones: usize) -> Sql {
    let mut sql = Sql::new(Dialect::Sqlite, "SELECT z.zone, z.sketch FROM zones z".to_owned());
    sql.and_bind("z.zone < ", Bind::Int(end));
    if let Some(last) = last {
        sql.and_bind(if query.oldest_first { "z.zone > " } else { "z.zone < " }, Bind::Int(last));
    }
    conditions(&mut sql, query);
    let way = if query.oldest_first { "ASC" } else { "DESC" };
    let _ = write!(sql.text, " ORDER BY z.zone {way} LIMIT {zones}");
    sql
}

/// Leaves out the zones that cannot have a judgment that matches.
fn conditions(sql: &mut Sql, query: &HistoryQuery) {
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

/// The judgments of a zone that may match, by `seq`, in the order of the query.
pub(super) fn candidates(query: &HistoryQuery, zone: i64, sketch: &str) -> Vec<i64> {
    let first = zone * ZONE_ROWS;
    let mut found: Vec<i64> = if sketch.is_ascii() && sketch.len().is_multiple_of(SKETCH_ROW_BYTES)
    {
        let rows = sketch.as_bytes().chunks_exact(SKETCH_ROW_BYTES);
        rows.filter(|row| may_match(query, row)).map(|row| first + place(row)).collect()
    } else {
        // A score that is none: nothing is ruled out.
        (first..first + ZONE_ROWS).collect()
    };
    found.sort_unstable();
    if !query.oldest_first {
        found.reverse();
    }
    found
}

fn place(row: &[u8]) -> i64 {
    let digit = |byte: u8| i64::from(byte.wrapping_sub(b'A') & 15);
    digit(row[0]) << 4 | digit(row[1])
}

/// Whether the judgment behind a row of a sketch may match: a score is known to within a point.
fn may_match(query: &HistoryQuery, row: &[u8]) -> bool {
    let verdict = |wanted: &Verdict| *wanted as u8 + 1 == row[VERDICT];
    let at_least = |n: usize| f32::from(row[SCORES + n]) - 1.0;
    let less_than = |n: usize| f32::from(row[SCORES + n]);
    (query.verdicts.is_empty() || query.verdicts.iter().any(verdict))
        && query.domain.is_none_or(|domain| domain as u8 + 1 == row[DOMAIN])
        && query.q_min.is_none_or(|q| less_than(0) > q)
        && query.q_max.is_none_or(|q| at_least(0) <= q)
        && query.dimensions.iter().all(|bound| match bound.side {
            Side::Below => at_least(1 + bound.dimension as usize) < bound.score,
            Side::Above => less_than(1 + bound.dimension as usize) > bound.score,
        })
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
pub(super) fn make(first: i64, last: i64) -> Sql {
    let mut select = format!("SELECT seq / {ZONE_ROWS}, min(judged_at_us), max(judged_at_us)");
    let verdicts = Verdict::ALL.map(|v| (v.name(), verdict_bit(v), v as i64 + 1));
    let domains = Domain::ALL.map(|d| (d.name(), domain_bit(d), d as i64 + 1));
    let bits = |column: &str, values: &[(&str, i64, i64)]| {
        let bit = |(name, bit, _): &_| format!("max({column} = '{name}') * {bit}");
        values.iter().map(bit).collect::<Vec<_>>().join(" + ")
    };
    let number = |column: &str, values: &[(&str, i64, i64)]| {
        let number = |(name, _, number): &_| format!("({column} = '{name}') * {number}");
        values.iter().map(number).collect::<Vec<_>>().join(" + ")
    };
    let mut scores = vec!["q_score".to_owned()];
    scores.extend(Dimension::ALL.map(columns::dimension));
    let _ = write!(select, ", {}, {}", bits("verdict", &verdicts), bits("domain", &domains));
    for score in &scores {
        let _ = write!(select, ", min({score}), max({score})");
    }
    let _ = write!(
        select,
        ", group_concat(char(65 + (seq / 16 & 15), 65 + (seq & 15), {}, {}",
        number("verdict", &verdicts),
        number("domain", &domains)
    );
    for score in &scores {
        let _ = write!(select, ", 1 + {score}");
    }
    select.push_str("), '')");
    let mut sql = Sql::new(Dialect::Sqlite, format!("REPLACE INTO zones {select} FROM judgments"));
    sql.and_bind("seq >= ", Bind::Int(first * ZONE_ROWS));
    sql.and_bind("seq < ", Bind::Int((last + 1) * ZONE_ROWS));
    sql.text.push_str(" GROUP BY 1");
    sql
}
