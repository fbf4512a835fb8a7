//! The columns of the tables, in the order in which they are written and read. Text only, no database.

use std::fmt::Write as _;

use cynic_proto::model::{DIMENSIONS, Dimension};

/// Version of the meaning of the 36 score columns: which dimensions there are, and their order.
pub(super) const DIMS_VERSION: i16 = 1;

/// Columns of `judgments` before the dimensions.
pub(super) const HEAD: [&str; 32] = [
    "task_id",
    "judged_at_us",
    "item_id",
    "client_uid",
    "ack",
    "domain",
    "verdict",
    "q_score",
    "confidence",
    "coverage",
    "fallbacks",
    "partial",
    "fidelity",
    "phi",
    "verify",
    "culture",
    "burn",
    "k_score",
    "final_score",
    "final_verdict",
    "body_bytes",
    "body_sha256",
    "summary",
    "worker_slot",
    "worker_generation",
    "attempts",
    "queued_us",
    "running_us",
    "parse_us",
    "score_us",
    "aggregate_us",
    "verdict_us",
];

/// Columns of `judgments` after [`HEAD`] and before the dimensions.
pub(super) const VERSIONS: [&str; 3] = ["judge_version", "calibration", "dims_version"];

/// Columns of `judgments` after the dimensions.
pub(super) const TAIL: [&str; 2] = ["details", "content"];

/// How many values a judgment binds.
pub(super) const JUDGMENT_COLUMNS: usize = HEAD.len() + VERSIONS.len() + DIMENSIONS + TAIL.len();

/// Columns of `failures`, less its `seq`.
pub(super) const FAILURE: [&str; 9] = [
    "entry_key",
    "task_id",
    "failed_at_us",
    "kind",
    "message",
    "deaths",
    "item_id",
    "client_uid",
    "attempts",
];

/// Columns of `notices`, less its `seq`.
pub(super) const NOTICE: [&str; 5] = ["entry_key", "at_us", "kind", "task_id", "message"];

/// Column of a dimension's score.
pub(super) fn dimension(dimension: Dimension) -> String {
    dimension.name().to_ascii_lowercase()
}

/// All columns of `judgments` but `seq`.
pub(super) fn judgment() -> Vec<String> {
    let text = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut columns = text(&HEAD);
    columns.extend(text(&VERSIONS));
    columns.extend(Dimension::ALL.map(dimension));
    columns.extend(text(&TAIL));
    columns
}

/// `INSERT INTO table (columns) VALUES (?, …), …` for so many rows.
pub(super) fn insert_values(table: &str, columns: &[String], rows: usize) -> String {
    let tuple = format!("({})", vec!["?"; columns.len()].join(","));
    let mut sql = format!("INSERT INTO {table} ({}) VALUES ", columns.join(","));
    sql.reserve((tuple.len() + 1) * rows + 32);
    for row in 0..rows {
        if row > 0 {
            sql.push(',');
        }
        sql.push_str(&tuple);
    }
    sql.push_str(" ON CONFLICT DO NOTHING");
    sql
}

/// `INSERT INTO table (columns) SELECT * FROM UNNEST($1::type[], …)`: the text is the same for any number
/// of rows, so it is prepared once.
pub(super) fn insert_unnest(table: &str, columns: &[String], types: &[&str]) -> String {
    let mut sql = format!("INSERT INTO {table} ({}) SELECT * FROM UNNEST(", columns.join(","));
    for (n, kind) in types.iter().enumerate() {
        let comma = if n > 0 { "," } else { "" };
        // Writing to a String does not fail.
        let _ = write!(sql, "{comma}${}::{kind}[]", n + 1);
    }
    sql.push_str(") ON CONFLICT DO NOTHING");
    sql
}

/// The shortest decimal of a score as SQLite shows it: 62.3 and not 62.29999923706055. Reading it back as
/// `f32` gives exactly the score that was written.
pub(super) fn exact(score: f32) -> f64 {
    let wide = f64::from(score);
    let short = (wide * 1e4).round() / 1e4;
    #[expect(clippy::float_cmp, reason = "the question is whether it is exactly the same score")]
    if short as f32 == score { short } else { wide }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a later migration drops.
    const DROPPED: &str = "features";

    /// Columns of a table in a migration, in order, less its `seq` and what is dropped later.
    fn declared(migration: &str, table: &str) -> Vec<String> {
        let start = migration.find(&format!("CREATE TABLE {table} (")).expect("the table is there");
        let body = &migration[start..];
        let body = &body[..body.find("\n)").expect("the table ends")];
        let lines = body.lines().skip(1).map(str::trim).filter(|line| !line.starts_with("--"));
        let names = lines.filter_map(|line| line.split(' ').next().map(str::to_owned));
        names.filter(|name| name != "seq" && name != DROPPED).collect()
    }

    #[test]
    fn both_schemas_have_the_columns_that_are_written() {
        for migration in [
            include_str!("../../migrations/sqlite/0001_first.sql"),
            include_str!("../../migrations/postgres/0001_first.sql"),
        ] {
            assert_eq!(declared(migration, "judgments"), judgment());
            assert_eq!(declared(migration, "failures"), FAILURE);
            assert_eq!(declared(migration, "notices"), NOTICE);
        }
    }

    #[test]
    fn scores_are_stored_as_they_are_shown_and_read_back_exactly() {
        assert_eq!(exact(62.3).to_string(), "62.3");
        for n in 0..100_000_u32 {
            let score = n as f32 * 0.001_017;
            assert_eq!((exact(score) as f32).to_bits(), score.to_bits());
        }
        assert!(exact(f32::NAN).is_nan());
    }
}
