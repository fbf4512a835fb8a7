//! Zones: what each run of 256 judgments spans, and a sketch of its rows. A search skips the zones that cannot have a
//! match, and of the others reads only the rows whose sketch allows one: a combination of filters that few of a
//! million judgments pass is found without reading them.
//!
//! Only SQLite needs them, and an index a column would have to be kept up while writing.

use std::collections::VecDeque;
use std::fmt::Write as _;

use cynic_proto::history::{HistoryQuery, Side};
use cynic_proto::judgment::Judgment;
use cynic_proto::model::{DIMENSIONS, Dimension, Domain, Verdict};

use super::columns::{self, exact};
use super::query::{Bind, Dialect, Sql};

/// Judgments of one zone (see the `zones` table): few enough that scanning one costs little, many enough
/// that there are few zones.
pub(super) const ZONE_ROWS: i64 = 256;

/// A row of a sketch, one byte each: its place in the zone, two letters of four bits each from `A` on; domain and verdict;
/// the whole points of the Q-Score; the tens of two dimensions at a time. All from 1 to 127, so that a sketch is a text.
const SKETCH_ROW_BYTES: usize = PAIRS + DIMENSIONS / 2;
const KIND: usize = 2;
const Q_SCORE: usize = 3;
const PAIRS: usize = 4;

/// Tens of points from 0 to 100.
const TENS: u8 = 11;

/// What a run of judgments spans.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    number: i64,
    /// The judgment that comes next.
    next_seq: i64,
    judged_at_us: (i64, i64),
    verdicts: i64,
    domains: i64,
    q_score: (f32, f32),
    dimensions: [(f32, f32); DIMENSIONS],
    sketch: String,
}

impl Zone {
    pub(super) fn new(number: i64) -> Zone {
        const NOTHING: (f32, f32) = (f32::INFINITY, f32::NEG_INFINITY);
        Zone {
            number,
            next_seq: first_seq(number),
            judged_at_us: (i64::MAX, i64::MIN),
            verdicts: 0,
            domains: 0,
            q_score: NOTHING,
            dimensions: [NOTHING; DIMENSIONS],
            sketch: String::with_capacity(ZONE_ROWS as usize * SKETCH_ROW_BYTES),
        }
    }

    /// Adds the judgment with that number, which lies in the zone.
    pub(super) fn add(&mut self, seq: i64, judged_at_us: i64, judgment: &Judgment) {
        let widen = |span: &mut (f32, f32), score: f32| {
            *span = (span.0.min(score), span.1.max(score));
        };
        self.next_seq = seq + 1;
        let (first, last) = self.judged_at_us;
        self.judged_at_us = (first.min(judged_at_us), last.max(judged_at_us));
        self.verdicts |= verdict_bit(judgment.verdict);
        self.domains |= domain_bit(judgment.domain);
        widen(&mut self.q_score, judgment.q_score);
        for (span, score) in self.dimensions.iter_mut().zip(judgment.dimensions) {
            widen(span, score);
        }
        let digit = |four_bits: i64| b'A' + (four_bits & 15) as u8;
        let mut row = [0; SKETCH_ROW_BYTES];
        row[..KIND].copy_from_slice(&[digit(seq >> 4), digit(seq)]);
        row[KIND] = kind(judgment.verdict, judgment.domain) as u8;
        row[Q_SCORE] = 1 + exact(judgment.q_score) as u8;
        let tens = |score: f32| (exact(score) / 10.0) as u8;
        for (pair, scores) in row[PAIRS..].iter_mut().zip(judgment.dimensions.chunks_exact(2)) {
            *pair = 1 + TENS * tens(scores[0]) + tens(scores[1]);
        }
        self.sketch.extend(row.map(char::from));
    }

    fn is_complete(&self) -> bool {
        self.next_seq == (self.number + 1) * ZONE_ROWS
    }

    fn bind(&self, sql: &mut Sql) {
        let ints =
            [self.number, self.judged_at_us.0, self.judged_at_us.1, self.verdicts, self.domains];
        for int in ints {
            sql.bind(Bind::Int(int));
            sql.text.push(',');
        }
        let spans = [self.q_score].into_iter().chain(self.dimensions);
        for (n, score) in spans.flat_map(|(low, high)| [low, high]).enumerate() {
            sql.text.push_str(if n == 0 { "" } else { "," });
            sql.bind(Bind::Real(score));
        }
    }
}

/// The zones that became complete lately, put together from the judgments as they were written: nothing has to be read
/// again for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Lately {
    open: Option<Box<Zone>>,
    complete: VecDeque<Box<Zone>>,
}

/// Zones kept until they are asked for: some seconds of a busy host.
const LATELY_MAX: usize = 256;

impl Lately {
    /// A judgment was written. One that does not follow on the last leaves its zone to be read.
    pub(super) fn add(&mut self, seq: i64, judged_at_us: i64, judgment: &Judgment) {
        let number = seq / ZONE_ROWS;
        if seq == first_seq(number) {
            self.open = Some(Box::new(Zone::new(number)));
        }
        let Some(zone) = self.open.as_deref_mut().filter(|zone| zone.next_seq == seq) else {
            self.open = None;
            return;
        };
        zone.add(seq, judged_at_us, judgment);
        if zone.is_complete() {
            if self.complete.len() == LATELY_MAX {
                self.complete.pop_front();
            }
            self.complete.extend(self.open.take());
        }
    }

    /// Takes a zone out, and the older ones with it.
    pub(super) fn take(&mut self, number: i64) -> Option<Box<Zone>> {
        while self.complete.pop_front_if(|zone| zone.number < number).is_some() {}
        self.complete.pop_front_if(|zone| zone.number == number)
    }
}

/// Numbers begin with 1.
fn first_seq(zone: i64) -> i64 {
    (zone * ZONE_ROWS).max(1)
}

/// Writes zones, or writes them anew. Their sketches come first: who finds a zone finds both.
pub(super) fn write(zones: &[Box<Zone>]) -> [Sql; 2] {
    let mut sketches =
        Sql::new(Dialect::Sqlite, "REPLACE INTO sketches (zone, judgments) VALUES ".to_owned());
    let mut spans =
        Sql::new(Dialect::Sqlite, format!("REPLACE INTO zones ({}) VALUES ", columns().join(",")));
    for (n, zone) in zones.iter().enumerate() {
        let begin = if n == 0 { "(" } else { ",(" };
        sketches.text.push_str(begin);
        sketches.bind(Bind::Int(zone.number));
        sketches.text.push_str(",CAST(");
        sketches.bind(Bind::Text(zone.sketch.clone()));
        sketches.text.push_str(" AS BLOB))");
        spans.text.push_str(begin);
        zone.bind(&mut spans);
        spans.text.push(')');
    }
    [sketches, spans]
}

/// The columns of `zones`.
fn columns() -> Vec<String> {
    let mut columns = ["zone", "judged_at_us_min", "judged_at_us_max", "verdicts", "domains"]
        .map(str::to_owned)
        .to_vec();
    let scores = ["q_score".to_owned()].into_iter().chain(Dimension::ALL.map(columns::dimension));
    columns.extend(scores.flat_map(|score| ["min", "max"].map(|end| format!("{score}_{end}"))));
    columns
}

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

#[cfg(test)]
pub(super) mod tests {
    use Dimension::{Kenosis, Vigilance};
    use Side::{Above, Below};
    use cynic_proto::history::DimensionBound;
    use cynic_proto::model::AXIOMS;

    use super::*;

    /// GROWL, 45.5, of the domain shell, VIGILANCE 19.5 and KENOSIS 100.
    pub(in super::super) fn judgment() -> Judgment {
        let mut judgment = Judgment {
            q_score: 45.5,
            verdict: Verdict::Growl,
            confidence: 0.5,
            domain: Domain::Shell,
            axioms: [50.0; AXIOMS],
            dimensions: [55.0; DIMENSIONS],
            fallbacks: 0,
            partial: false,
            final_score: None,
            body_bytes: 9,
            body_sha256: [0; 32],
            judge_version: 1,
        };
        judgment.dimensions[Vigilance as usize] = 19.5;
        judgment.dimensions[Kenosis as usize] = 100.0;
        judgment
    }

    /// A query's candidates in a zone of one judgment, the sixth.
    fn is_candidate(query: &HistoryQuery) -> bool {
        let mut zone = Zone::new(3);
        zone.add(3 * ZONE_ROWS + 5, 0, &judgment());
        let found = candidates(query, 3, zone.sketch.as_bytes());
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
    fn zones_are_put_together_from_what_is_written_in_one_go() {
        let judgment = |seq: i64| Judgment { q_score: seq as f32 / 10.0, ..judgment() };
        let mut lately = Lately::default();
        for seq in (1..700).chain(701..1100) {
            lately.add(seq, 5000 - seq, &judgment(seq));
        }
        assert!(lately.clone().take(2).is_none(), "700 is missing");
        let zone = lately.take(1).expect("complete");
        assert_eq!((zone.judged_at_us, zone.q_score), ((5000 - 511, 5000 - 256), (25.6, 51.1)));
        assert_eq!(zone.sketch.len(), 256 * SKETCH_ROW_BYTES);
        assert!(lately.clone().take(0).is_none(), "older ones go");
        assert_eq!(lately.take(3).expect("complete").q_score, (76.8, 102.3));
        assert!(lately.take(4).is_none(), "it is not complete");
    }

    #[test]
    fn a_sketch_that_is_none_rules_nothing_out() {
        let query = HistoryQuery { q_min: Some(99.0), ..HistoryQuery::default() };
        for sketch in [&[1; SKETCH_ROW_BYTES + 1][..], &[200; SKETCH_ROW_BYTES]] {
            assert_eq!(candidates(&query, 1, sketch), (256..512).rev().collect::<Vec<_>>());
        }
    }
}
