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

/// A row of a sketch, one byte each: its place in the zone, two letters of four bits each from `A` on; domain and verdict;
/// the whole points of the Q-Score; the tens of two dimensions at a time. No byte is 0 or above 127, as SQLite makes
/// them with `char`.
const SKETCH_ROW_BYTES: usize = PAIRS + DIMENSIONS / 2;
const KIND: usize = 2;
const Q_SCORE: usize = 3;
const PAIRS: usize = 4;

/// Tens of points from 0 to 100.
const TENS: u8 = 11;

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
    let select = "SELECT z.zone, s.judgments FROM zones z JOIN sketches s ON s.zone = z.zone";
    let mut sql = Sql::new(Dialect::Sqlite, select.to_owned());
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
pub(super) fn candidates(query: &HistoryQuery, zone: i64, sketch: &[u8]) -> Vec<i64> {
    let first = zone * ZONE_ROWS;
    let mut found: Vec<i64> = if sketch.is_ascii() && sketch.len().is_multiple_of(SKETCH_ROW_BYTES)
    {
        let rows = sketch.chunks_exact(SKETCH_ROW_BYTES);
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

/// Whether the judgment behind a row of a sketch may match.
fn may_match(query: &HistoryQuery, row: &[u8]) -> bool {
    let kind = |verdict: Verdict, domain: Domain| kind(verdict, domain) as u8 == row[KIND];
    let q_score = f32::from(row[Q_SCORE] - 1);
    let tens = |dimension: Dimension| {
        let (pair, second) = (dimension as usize / 2, dimension as usize % 2);
        let tens = row[PAIRS + pair] - 1;
        f32::from(if second == 1 { tens % TENS } else { tens / TENS }) * 10.0
    };
    let verdicts = if query.verdicts.is_empty() { &Verdict::ALL[..] } else { &query.verdicts };
    let domains = query.domain.as_ref().map_or(&Domain::ALL[..], std::slice::from_ref);
    verdicts.iter().any(|verdict| domains.iter().any(|domain| kind(*verdict, *domain)))
        && query.q_min.is_none_or(|q| q_score + 1.0 > q)
        && query.q_max.is_none_or(|q| q_score <= q)
        && query.dimensions.iter().all(|bound| match bound.side {
            Side::Below => tens(bound.dimension) < bound.score,
            Side::Above => tens(bound.dimension) + 10.0 > bound.score,
        })
}

/// A verdict and a domain as a byte that is not 0.
fn kind(verdict: Verdict, domain: Domain) -> usize {
    1 + verdict as usize + Verdict::ALL.len() * domain as usize
}

/// The bit of a verdict in `zones.verdicts`.
fn verdict_bit(verdict: Verdict) -> i64 {
    1 << verdict as i64
}

/// The bit of a domain in `zones.domains`.
fn domain_bit(domain: Domain) -> i64 {
    1 << domain as i64
}

/// Makes the zones from `first` to `last`, or makes them anew. Their sketches come first: who finds a zone finds both.
pub(super) fn make(first: i64, last: i64) -> [Sql; 2] {
    let mut select = format!("SELECT seq / {ZONE_ROWS}, min(judged_at_us), max(judged_at_us)");
    let bits = |column: &str, values: Vec<(&str, i64)>| {
        let terms: Vec<_> =
            values.iter().map(|(name, bit)| format!("max({column} = '{name}') * {bit}")).collect();
        format!(", {}", terms.join(" + "))
    };
    select.push_str(&bits("verdict", Verdict::ALL.map(|v| (v.name(), verdict_bit(v))).to_vec()));
    select.push_str(&bits("domain", Domain::ALL.map(|d| (d.name(), domain_bit(d))).to_vec()));
    select.push_str(", min(q_score), max(q_score)");
    for dimension in Dimension::ALL.map(columns::dimension) {
        let _ = write!(select, ", min({dimension}), max({dimension})");
    }
    [("sketches", sketch()), ("zones", select)].map(|(table, select)| {
        let text = format!("REPLACE INTO {table} {select} FROM judgments");
        let mut sql = Sql::new(Dialect::Sqlite, text);
        sql.and_bind("seq >= ", Bind::Int(first * ZONE_ROWS));
        sql.and_bind("seq < ", Bind::Int((last + 1) * ZONE_ROWS));
        sql.text.push_str(" GROUP BY 1");
        sql
    })
}

fn sketch() -> String {
    let number = |column: &str, names: &[&str]| {
        let number = |(n, name): (usize, &_)| format!("({column} = '{name}') * {n}");
        names.iter().enumerate().map(number).collect::<Vec<_>>().join(" + ")
    };
    let mut sketch = format!(
        "SELECT seq / {ZONE_ROWS}, CAST(group_concat(char(65 + (seq / 16 & 15), 65 + (seq & 15), \
         1 + {} + {} * ({}), 1 + q_score",
        number("verdict", &Verdict::ALL.map(Verdict::name)),
        Verdict::ALL.len(),
        number("domain", &Domain::ALL.map(Domain::name)),
    );
    for pair in Dimension::ALL.map(columns::dimension).chunks_exact(2) {
        let _ =
            write!(sketch, ", 1 + {TENS} * CAST({} / 10 AS INTEGER) + {} / 10", pair[0], pair[1]);
    }
    sketch + "), '') AS BLOB)"
}

#[cfg(test)]
mod tests {
    use Dimension::{Kenosis, Vigilance};
    use Side::{Above, Below};
    use cynic_proto::history::DimensionBound;

    use super::*;

    /// A query's candidates in a zone of one judgment, the sixth: GROWL, 45.5, of the domain shell, VIGILANCE 19.5 and
    /// KENOSIS 100.
    fn is_candidate(query: &HistoryQuery) -> bool {
        let mut row = vec![b'A', b'F', kind(Verdict::Growl, Domain::Shell) as u8, 46];
        row.resize(SKETCH_ROW_BYTES, 1 + TENS * 5 + 5);
        row[PAIRS + Vigilance as usize / 2] = 1 + TENS * 5 + 1;
        row[PAIRS + Kenosis as usize / 2] = 1 + TENS * 10 + 5;
        let found = candidates(query, 3, &row);
        assert!(found.is_empty() || found == [3 * ZONE_ROWS + 5], "{found:?}");
        !found.is_empty()
    }

    #[test]
    fn a_sketch_rules_out_what_cannot_match_and_nothing_else() {
        let any = HistoryQuery::default;
        let bound = |dimension, side, score| HistoryQuery {
            dimensions: vec![DimensionBound { dimension, side, score }],
            ..any()
        };
        for (query, may_match) in [
            (any(), true),
            (HistoryQuery { verdicts: vec![Verdict::Bark, Verdict::Growl], ..any() }, true),
            (HistoryQuery { verdicts: vec![Verdict::Bark], ..any() }, false),
            (HistoryQuery { domain: Some(Domain::Shell), ..any() }, true),
            (HistoryQuery { domain: Some(Domain::Code), ..any() }, false),
            (HistoryQuery { q_min: Some(45.9), ..any() }, true),
            (HistoryQuery { q_min: Some(46.0), ..any() }, false),
            (HistoryQuery { q_max: Some(45.0), ..any() }, true),
            (HistoryQuery { q_max: Some(44.9), ..any() }, false),
            (bound(Vigilance, Below, 10.1), true),
            (bound(Vigilance, Below, 10.0), false),
            (bound(Vigilance, Above, 19.9), true),
            (bound(Vigilance, Above, 20.0), false),
            (bound(Kenosis, Above, 99.9), true),
            (bound(Kenosis, Below, 100.0), false),
        ] {
            assert_eq!(is_candidate(&query), may_match, "{query:?}");
        }
    }

    #[test]
    fn a_sketch_that_is_none_rules_nothing_out() {
        let query = HistoryQuery { q_min: Some(99.0), ..HistoryQuery::default() };
        for sketch in [&[1; SKETCH_ROW_BYTES + 1][..], &[200; SKETCH_ROW_BYTES]] {
            assert_eq!(candidates(&query, 1, sketch), (256..512).rev().collect::<Vec<_>>());
        }
    }
}
