//! Care of the store: old records go, zones are made. In steps of a few milliseconds (after a burst some
//! tens), between which batches are written.

use std::time::{Duration, Instant, SystemTime};

use super::config::Retention;
use super::postgres::PostgresStore;
use super::query::{self, Dialect, Sql};
use super::read;
use super::sqlite::SqliteStore;
use super::store::{Store, Stores, describe};
use super::writer::Failure;
use super::zones::{self, ZONE_ROWS, Zone};

/// Zones made in one step where many are missing.
const STEP_ZONES: i64 = 8;

/// Most rows deleted in one step when many are too many: some tens of milliseconds. At full load the writer leaves care one
/// turn between its batches, so that smaller steps would delete less than is written, and the store would grow for ever.
const STEP_ROWS_MAX: i64 = 8 * ZONE_ROWS;

/// A pass that deletes that many is followed by the next at once and not in a minute.
const PASS_ROWS: u64 = 16 * ZONE_ROWS as u64;

/// Rows deleted in one step on PostgreSQL, where a step blocks nobody.
const STEP_ROWS: i64 = 1000;

/// How often old records are looked for (retention is a matter of days), and a calibration that another host
/// has put to use.
const MINUTE: Duration = Duration::from_mins(1);

/// A clock that runs so far ahead of the time that has passed was set, and may be wrong.
const SET_AHEAD: Duration = Duration::from_hours(1);

/// How long nothing is deleted for its age after that: time for somebody to notice, and for the clock to be put right.
const DOUBTED: Duration = Duration::from_hours(24);

/// What is done to the store beside writing.
#[derive(Debug, Clone)]
pub(super) struct Care {
    retention: Retention,
    timeout: Duration,
    next_minute: Instant,
    clock: Clock,
}

impl Care {
    pub(super) fn new(retention: Retention, timeout: Duration) -> Care {
        Care { retention, timeout, next_minute: Instant::now(), clock: Clock::default() }
    }

    /// What is due now; the next call starts from there.
    pub(super) fn take_due(&mut self) -> Round {
        let (now, timeout) = (Instant::now(), self.timeout);
        if now < self.next_minute {
            return Round { retention: None, timeout };
        }
        self.next_minute = now + MINUTE;
        let mut retention = self.retention;
        if !self.clock.is_trusted(now, SystemTime::now()) {
            retention.age_max = None;
        }
        Round { retention: Some(retention), timeout }
    }

    /// Leaves nothing for later: the store is back after it was out of reach, or there is more to do.
    pub(super) fn catch_up(&mut self) {
        self.next_minute = Instant::now();
    }
}

/// Guards what is stored against a clock that is set far ahead: by it everything would be too old.
#[derive(Debug, Clone, Default)]
struct Clock {
    /// Both clocks, as they were when last looked at.
    last: Option<(Instant, SystemTime)>,
    doubted_until: Option<Instant>,
}

impl Clock {
    fn is_trusted(&mut self, now: Instant, wall: SystemTime) -> bool {
        if let Some((then, wall_then)) = self.last.replace((now, wall)) {
            let passed = now.saturating_duration_since(then);
            let set_ahead =
                wall.duration_since(wall_then).unwrap_or_default().saturating_sub(passed);
            if set_ahead > SET_AHEAD {
                tracing::warn!(
                    seconds = set_ahead.as_secs(),
                    "the clock was set ahead; nothing is deleted for its age for a day, set it right if it is wrong"
                );
                self.doubted_until = Some(now + DOUBTED);
            }
        }
        self.doubted_until.is_none_or(|until| now >= until)
    }
}

/// One round of care.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// What is done once a minute is due too.
    retention: Option<Retention>,
    /// How long a server may take over one statement: while there is nothing to write, nobody else notices that it hangs.
    timeout: Duration,
}

impl Round {
    /// Whether the database itself is asked.
    pub(super) fn is_full(self) -> bool {
        self.retention.is_some()
    }

    /// Does what is due. Says whether so much was deleted that there may be more by now.
    pub(super) async fn tend(self, stores: &Stores) -> Result<bool, String> {
        let failed = |error: sqlx::Error| format!("could not tend the store: {}", describe(&error));
        let mut deleted = 0;
        match &stores.store {
            Store::Sqlite(store) => {
                make_zones(store).await.map_err(failed)?;
                if let Some(retention) = self.retention {
                    deleted = retain_sqlite(store, retention).await.map_err(failed)?;
                }
            }
            Store::Postgres(store) => {
                if let Some(retention) = self.retention {
                    store.make_schema().await.map_err(Failure::into_text)?;
                    let refreshed = super::within(self.timeout, stores.refresh_calibration());
                    refreshed.await.map_err(|error| describe(&error))?;
                    retain_postgres(store, retention, self.timeout).await.map_err(failed)?;
                }
            }
        }
        Ok(deleted >= PASS_ROWS)
    }
}

fn cutoff_us(age_max: Duration) -> i64 {
    super::unix_us().saturating_sub(i64::try_from(age_max.as_micros()).unwrap_or(i64::MAX))
}

async fn sqlite_integer(store: &SqliteStore, sql: &str) -> Result<Option<i64>, sqlx::Error> {
    read::sqlite::integer(&store.reader, Sql::new(Dialect::Sqlite, sql.to_owned())).await
}

/// The first judgment without a zone is in this zone, if there is one.
const NEXT_ZONE: &str = "SELECT min(seq) / 256 FROM judgments \
     WHERE seq >= (SELECT coalesce(max(zone) + 1, 0) FROM zones) * 256";

/// Makes the zones of all runs of judgments that are complete now; those that become so meanwhile are the next round's,
/// since at full load there are always some, and retention waits for the end. The one writer commits in order of `seq`,
/// so what lies below the highest will never change.
async fn make_zones(store: &SqliteStore) -> Result<(), sqlx::Error> {
    let newest = sqlite_integer(store, "SELECT max(seq) FROM judgments").await?;
    let complete = newest.map_or(0, |newest| (newest + 1) / ZONE_ROWS);
    loop {
        let next = sqlite_integer(store, NEXT_ZONE).await?;
        let Some(next) = next.filter(|next| *next < complete) else { return Ok(()) };
        // One or several, so that there are two texts of the statement and not many.
        let zones = if complete - next < STEP_ZONES { 1 } else { STEP_ZONES };
        make(store, next, next + zones).await?;
    }
}

/// Makes the zones from `first` to before `end` from the judgments that are there now.
async fn make(store: &SqliteStore, first: i64, end: i64) -> Result<(), sqlx::Error> {
    let mut zones = Vec::new();
    for number in first..end {
        match store.zone_written_lately(number).await {
            Some(zone) => zones.push(zone),
            None => zones.extend(read_zone(store, number).await?),
        }
    }
    if zones.is_empty() { Ok(()) } else { write_zones(store, &zones).await }
}

async fn write_zones(store: &SqliteStore, zones: &[Box<Zone>]) -> Result<(), sqlx::Error> {
    for sql in zones::write(zones) {
        store.execute(sql).await?;
    }
    Ok(())
}

/// A zone as its judgments are in the database; `None` when it has none.
async fn read_zone(store: &SqliteStore, number: i64) -> Result<Option<Box<Zone>>, sqlx::Error> {
    let rows = read::sqlite::judgments(&store.reader, query::run(number * ZONE_ROWS, ZONE_ROWS));
    let rows = rows.await?;
    let mut zone = (!rows.is_empty()).then(|| Box::new(Zone::new(number)));
    for row in rows {
        if let Some(zone) = &mut zone {
            zone.add(row.seq, row.judged_at_us, &row.judgment);
        }
    }
    Ok(zone)
}

/// Says how many rows were too many.
async fn retain_sqlite(store: &SqliteStore, retention: Retention) -> Result<u64, sqlx::Error> {
    let mut deleted = 0;
    if let Some(rows_max) = retention.rows_max {
        deleted = retain_rows_sqlite(store, i64::try_from(rows_max).unwrap_or(i64::MAX)).await?;
    }
    if let Some(age_max) = retention.age_max {
        retain_age_sqlite(store, cutoff_us(age_max)).await?;
    }
    Ok(deleted)
}

/// By count: `seq` has no gaps but at its old end.
async fn retain_rows_sqlite(store: &SqliteStore, rows_max: i64) -> Result<u64, sqlx::Error> {
    let mut deleted = 0;
    for table in ["judgments", "failures", "notices"] {
        let newest = sqlite_integer(store, &format!("SELECT max(seq) FROM {table}")).await?;
        let keep_from = newest.unwrap_or(0).saturating_sub(rows_max.max(1)) + 1;
        loop {
            let oldest = sqlite_integer(store, &format!("SELECT min(seq) FROM {table}")).await?;
            let behind = keep_from - oldest.unwrap_or(keep_from);
            if behind <= 0 {
                break;
            }
            let step = (behind / 16).clamp(ZONE_ROWS, STEP_ROWS_MAX);
            let sql = format!(
                "DELETE FROM {table} WHERE seq < {}",
                keep_from.min(oldest.unwrap_or(0) + step)
            );
            deleted += store.execute(Sql::new(Dialect::Sqlite, sql)).await?;
        }
        if table == "judgments" {
            let gone = keep_from / ZONE_ROWS;
            let sql = format!("DELETE FROM zones WHERE zone < {gone}");
            store.execute(Sql::new(Dialect::Sqlite, sql)).await?;
        }
    }
    Ok(deleted)
}

/// By age: zones tell where old judgments are, also when the clock was once wrong. The newest record always
/// stays, as `seq` goes on from it.
async fn retain_age_sqlite(store: &SqliteStore, cutoff: i64) -> Result<(), sqlx::Error> {
    let newest = sqlite_integer(store, "SELECT max(seq) FROM judgments").await?.unwrap_or(0);
    let oldest_zone = format!(
        "SELECT zone FROM zones WHERE judged_at_us_min < {cutoff} ORDER BY judged_at_us_min LIMIT 1"
    );
    while let Some(zone) = sqlite_integer(store, &oldest_zone).await? {
        let (first, end) = (zone * ZONE_ROWS, (zone + 1) * ZONE_ROWS);
        let delete = format!(
            "DELETE FROM judgments WHERE seq >= {first} AND seq < {end} AND seq <> {newest} \
             AND judged_at_us < {cutoff}"
        );
        store.execute(Sql::new(Dialect::Sqlite, delete)).await?;
        // One that says too much until it is written anew does no harm; one that is missing is not made again.
        if let Some(left) = read_zone(store, zone).await? {
            write_zones(store, &[left]).await?;
        } else {
            let sql = format!("DELETE FROM zones WHERE zone = {zone}");
            store.execute(Sql::new(Dialect::Sqlite, sql)).await?;
        }
        if zone == newest / ZONE_ROWS {
            break; // All that is left in it may be the newest record itself.
        }
    }
    let tail = format!(
        "DELETE FROM judgments WHERE seq >= (SELECT coalesce(max(zone) + 1, 0) FROM zones) * {ZONE_ROWS} \
         AND seq <> {newest} AND judged_at_us < {cutoff}"
    );
    store.execute(Sql::new(Dialect::Sqlite, tail)).await?;
    for (table, at) in [("failures", "failed_at_us"), ("notices", "at_us")] {
        let sql = format!(
            "DELETE FROM {table} WHERE seq IN (SELECT seq FROM {table} WHERE {at} < {cutoff} \
             AND seq < (SELECT max(seq) FROM {table}) ORDER BY {at} LIMIT {ZONE_ROWS})"
        );
        while store.execute(Sql::new(Dialect::Sqlite, sql.clone())).await? > 0 {}
    }
    Ok(())
}

async fn retain_postgres(
    store: &PostgresStore,
    retention: Retention,
    timeout: Duration,
) -> Result<(), sqlx::Error> {
    let integer = async |sql: String| {
        let sql = Sql::new(Dialect::Postgres, sql);
        in_time(timeout, read::postgres::integer(&store.reader, sql)).await
    };
    let mut conditions = Vec::new();
    for (table, at) in
        [("judgments", "judged_at_us"), ("failures", "failed_at_us"), ("notices", "at_us")]
    {
        if let Some(age_max) = retention.age_max {
            conditions.push((table, format!("{at} < {}", cutoff_us(age_max))));
        }
        let Some(rows_max) = retention.rows_max else { continue };
        // `seq` has gaps here; the planner's estimate tells cheaply whether counting is worth it.
        let estimate =
            format!("SELECT reltuples::int8 FROM pg_class WHERE oid = '{table}'::regclass");
        if integer(estimate).await?.unwrap_or(0) < rows_max as i64 {
            continue;
        }
        let first_kept =
            format!("SELECT seq FROM {table} ORDER BY seq DESC OFFSET {rows_max} LIMIT 1");
        if let Some(seq) = integer(first_kept).await? {
            conditions.push((table, format!("seq <= {seq}")));
        }
    }
    for (table, condition) in conditions {
        // Other hosts do the same; none waits for another.
        let sql = format!(
            "DELETE FROM {table} WHERE seq IN (SELECT seq FROM {table} WHERE {condition} \
             LIMIT {STEP_ROWS} FOR UPDATE SKIP LOCKED)"
        );
        loop {
            let query = read::postgres::query(Sql::new(Dialect::Postgres, sql.clone()));
            let deleted = in_time(timeout, query.execute(&store.reader)).await?;
            if deleted.rows_affected() == 0 {
                break;
            }
        }
    }
    Ok(())
}

async fn in_time<T>(
    limit: Duration,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
    tokio::time::timeout(limit, statement).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use cynic_proto::ids::{TaskId, WorkerId};
    use cynic_proto::message::{Ack, Timings};

    use super::super::entry::{Entry, JudgmentEntry};
    use super::super::record::Record;
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_clock_that_is_set_far_ahead_is_doubted_for_a_day() {
        let (start, wall) = (Instant::now(), SystemTime::now());
        let mut clock = Clock::default();
        let mut at =
            |passed: Duration, set: Duration| clock.is_trusted(start + passed, wall + passed + set);
        assert!(at(Duration::ZERO, Duration::ZERO));
        assert!(at(30 * HOUR, HOUR / 2), "time that has passed, and a clock put right a little");
        let year = 365 * 24 * HOUR;
        assert!(!at(31 * HOUR, year));
        assert!(
            !at(32 * HOUR, Duration::ZERO),
            "set back again: what was stamped meanwhile is in the future"
        );
        assert!(!at(54 * HOUR, Duration::ZERO));
        assert!(at(55 * HOUR, Duration::ZERO), "a day later");
    }

    /// Judgments of an hour each, the first at `first`; the numbers run on from the newest.
    fn hourly(first: u32, judgments: u32) -> Vec<std::sync::Arc<Record>> {
        let entry = |n: u32| JudgmentEntry {
            task: TaskId::new(),
            judged_at_us: i64::from(n) * HOUR.as_micros() as i64,
            judgment: zones::tests::judgment(),
            explanation: Vec::new(),
            content: None,
            client_uid: 0,
            ack: Ack::Judged,
            worker: WorkerId { slot: 0, generation: 0 },
            attempts: 1,
            timings: Timings::default(),
            calibration: 0,
        };
        let record = |n| Record::new(Entry::Judgment(Box::new(entry(n)))).into();
        (first..first + judgments).map(record).collect()
    }

    #[tokio::test]
    async fn a_zone_that_is_broken_off_in_the_middle_of_retention_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("cynic.db"), false).await.unwrap();
        store.write(&hourly(0, 600)).await.unwrap();
        make_zones(&store).await.unwrap();
        let execute = async |sql: &str| {
            store.execute(Sql::new(Dialect::Sqlite, sql.to_owned())).await.unwrap();
        };
        let zones = async || sqlite_integer(&store, "SELECT count(*) FROM zones").await.unwrap();
        assert_eq!(zones().await, Some(2));
        // Zones cannot be written: as if it were killed where it would write one.
        execute(
            "CREATE TRIGGER broken_off BEFORE INSERT ON zones BEGIN SELECT RAISE(ABORT, 'off'); END",
        )
        .await;
        let cutoff = 100 * HOUR.as_micros() as i64;
        retain_age_sqlite(&store, cutoff).await.unwrap_err();
        assert_eq!(zones().await, Some(2));
        execute("DROP TRIGGER broken_off").await;
        retain_age_sqlite(&store, cutoff).await.unwrap();
        let left = "SELECT count(*) FROM judgments";
        assert_eq!(sqlite_integer(&store, left).await.unwrap(), Some(500));
        let first = "SELECT min(judged_at_us_min) FROM zones";
        assert_eq!(sqlite_integer(&store, first).await.unwrap(), Some(cutoff));
        // A zone without judgments goes.
        retain_age_sqlite(&store, 300 * HOUR.as_micros() as i64).await.unwrap();
        assert_eq!(
            (zones().await, sqlite_integer(&store, left).await.unwrap()),
            (Some(1), Some(300))
        );
    }
}
