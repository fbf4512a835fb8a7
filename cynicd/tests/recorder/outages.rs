//! PostgreSQL goes away, hangs, refuses or stumbles: nothing that was taken is lost or doubled.

use std::time::Duration;

use cynicd::recorder::{Database, Fate, RecorderError, RecorderStatus, SafePlace};

use sqlx::Connection;

use super::entries::{numbered, task};
use super::proxy::Proxy;
use super::rig::{Rig, status, submit, until};

/// Entries of one test: a few batches.
const ENTRIES: u32 = 60;

/// Gives the database up at once, so that the tests need not wait for it.
fn rig() -> Rig {
    let mut rig = Rig::postgres();
    rig.config.spill_after = Duration::from_millis(50);
    rig.config.flush_interval = Duration::from_millis(5);
    rig
}

/// All entries are in the database, each once and in the order of submission, and the store is healthy.
async fn all_there(rig: &Rig, entries: u32) {
    until("all is in the database", async || rig.judgments().await == i64::from(entries)).await;
    let out_of_order = "SELECT count(*) FROM (SELECT task_id, lag(task_id) OVER (ORDER BY seq) AS before \
         FROM judgments) AS pairs WHERE before > task_id";
    assert_eq!(rig.integer(out_of_order).await, 0, "out of order");
    assert_eq!(rig.integer("SELECT count(*) FROM dead_letters").await, 0);
}

fn is_safe(fate: &Fate) -> bool {
    matches!(fate, Fate::Stored { earlier: None, .. })
}

#[tokio::test]
async fn down_at_the_start() {
    let mut rig = rig();
    rig.server.as_mut().unwrap().stop();
    let handle = rig.start();
    for n in 0..ENTRIES {
        let fate = submit(&handle, numbered(n)).await.unwrap();
        assert_eq!(fate, Fate::Stored { place: SafePlace::Spool, earlier: None });
    }
    let spilled = |status: &RecorderStatus| status.stats.spilled == u64::from(ENTRIES);
    status(&handle, |status| status.degraded.is_some() && spilled(status)).await;
    // What waits in the spool is found there.
    assert_eq!(handle.lookup(task(3)).await.unwrap().unwrap().row.task, task(3));
    rig.server.as_mut().unwrap().resume();
    status(&handle, |status| status.degraded.is_none() && status.stats.spilled == 0).await;
    all_there(&rig, ENTRIES).await;
    // It says afterwards that it was ill.
    let told = "SELECT count(*) FROM notices WHERE kind = 'store.recovered'";
    until("the outage is noted", async || rig.integer(told).await == 1).await;
    rig.close().await;
}

/// A server that takes connections and cannot be used at the start, until it is well again.
async fn unusable_at_the_start(mut rig: Rig, goes_to: SafePlace, well_again: &str) {
    let handle = rig.start();
    status(&handle, |status| status.degraded.is_some()).await;
    let fate = submit(&handle, numbered(1)).await.unwrap();
    assert_eq!(fate, Fate::Stored { place: goes_to, earlier: None });
    rig.execute(well_again).await;
    status(&handle, |status| status.degraded.is_none() && status.stats.spilled == 0).await;
    all_there(&rig, 1).await;
    rig.close().await;
}

#[tokio::test]
async fn read_only_at_the_start() {
    let rig = rig();
    rig.execute("ALTER DATABASE cynic SET default_transaction_read_only = on").await;
    let well_again = "BEGIN READ WRITE; ALTER DATABASE cynic RESET ALL; COMMIT";
    unusable_at_the_start(rig, SafePlace::Spool, well_again).await;
}

#[tokio::test]
async fn without_a_table_of_calibrations_at_the_start() {
    let mut rig = rig();
    rig.start();
    rig.close().await;
    rig.execute("ALTER TABLE calibration_uses RENAME TO elsewhere").await;
    let well_again = "ALTER TABLE elsewhere RENAME TO calibration_uses";
    unusable_at_the_start(rig, SafePlace::Database, well_again).await;
}

#[tokio::test]
async fn silent_from_the_first_question_on() {
    let mut rig = rig();
    let proxy = Proxy::new(&rig.server.as_ref().unwrap().socket());
    let real = std::mem::replace(&mut rig.config.database, Database::Postgres(proxy.url()));
    // The first thing that is asked.
    proxy.hold(b"?column?");
    let handle = rig.start();
    status(&handle, |status| status.degraded.is_some()).await;
    let fate = submit(&handle, numbered(1)).await.unwrap();
    assert_eq!(fate, Fate::Stored { place: SafePlace::Spool, earlier: None });
    proxy.release();
    status(&handle, |status| status.degraded.is_none() && status.stats.spilled == 0).await;
    rig.config.database = real;
    all_there(&rig, 1).await;
    rig.close().await;
}

#[tokio::test]
async fn down_at_the_start_with_nothing_to_write() {
    let mut rig = rig();
    rig.server.as_mut().unwrap().stop();
    let handle = rig.start();
    status(&handle, |status| status.degraded.is_some()).await;
    rig.server.as_mut().unwrap().resume();
    status(&handle, |status| status.degraded.is_none()).await;
    rig.close().await;
}

/// A server that takes connections and answers some questions. As nothing is written, only care can notice.
async fn hangs_while_there_is_nothing_to_write(is_over: impl AsyncFnOnce(&Proxy)) {
    let mut rig = Rig::postgres();
    let proxy = Proxy::new(&rig.server.as_ref().unwrap().socket());
    rig.config.database = Database::Postgres(proxy.url());
    rig.config.care_timeout = Duration::from_secs(1);
    // The planner's estimate, which retention begins with.
    proxy.hold(b"reltuples");
    let handle = rig.start();
    let timed_out = |why: &String| why.contains("could not tend the store");
    status(&handle, |status| status.degraded.as_ref().is_some_and(timed_out)).await;
    is_over(&proxy).await;
    status(&handle, |status| status.degraded.is_none()).await;
    rig.close().await;
}

#[tokio::test]
async fn hangs_while_there_is_nothing_to_write_and_goes_on() {
    hangs_while_there_is_nothing_to_write(async |proxy| proxy.release()).await;
}

/// As when its host is gone: nothing ever comes on the connections that there were.
#[tokio::test]
async fn hangs_while_there_is_nothing_to_write_and_comes_back_anew() {
    hangs_while_there_is_nothing_to_write(async |proxy| {
        until("all connections for queries hang", async || proxy.waiting() == 2).await;
        proxy.lose();
    })
    .await;
}

#[tokio::test]
async fn goes_down_under_load_and_comes_back_again_and_again() {
    let mut rig = rig();
    let handle = rig.start();
    let mut fates = Vec::new();
    for outage in 0..4 {
        for n in 0..ENTRIES {
            fates.push(submit(&handle, numbered(outage * ENTRIES + n)));
            if n == ENTRIES / 2 {
                let server = rig.server.as_mut().unwrap();
                if outage % 2 == 0 { server.crash() } else { server.stop() }
            }
            tokio::task::yield_now().await;
        }
        status(&handle, |status| status.degraded.is_some()).await;
        rig.server.as_mut().unwrap().resume();
        status(&handle, |status| status.degraded.is_none()).await;
    }
    for fate in fates {
        let fate = fate.await.unwrap();
        assert!(is_safe(&fate), "{fate:?}");
    }
    handle.flush().await.unwrap();
    until("all is there", async || rig.judgments().await == i64::from(4 * ENTRIES)).await;
    rig.close().await;
}

#[tokio::test]
async fn hangs_and_goes_on() {
    let mut rig = rig();
    let handle = rig.start();
    submit(&handle, numbered(0)).await.unwrap();
    rig.server.as_ref().unwrap().signal("STOP");
    for n in 1..ENTRIES {
        let fate = submit(&handle, numbered(n)).await.unwrap();
        assert_eq!(fate, Fate::Stored { place: SafePlace::Spool, earlier: None });
    }
    status(&handle, |status| status.degraded.is_some()).await;
    // Who asks is told so, in time; what is in the spool is found even now.
    let unknown = handle.lookup(task(ENTRIES)).await.unwrap_err();
    assert!(
        matches!(unknown, RecorderError::NoAnswer(_) | RecorderError::Query { .. }),
        "{unknown}"
    );
    assert!(handle.lookup(task(1)).await.unwrap().is_some());
    rig.server.as_ref().unwrap().signal("CONT");
    status(&handle, |status| status.degraded.is_none() && status.stats.spilled == 0).await;
    all_there(&rig, ENTRIES).await;
    rig.close().await;
}

#[tokio::test]
async fn refuses_connections_for_a_while() {
    let mut rig = rig();
    let handle = rig.start();
    submit(&handle, numbered(0)).await.unwrap();
    let admin = rig.server.as_ref().unwrap().url().replace("/cynic", "/postgres");
    let at_server = async |sql: &'static str| {
        let mut connection = sqlx::PgConnection::connect(&admin).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    };
    at_server("ALTER DATABASE cynic ALLOW_CONNECTIONS false").await;
    at_server("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'cynic'")
        .await;
    for n in 1..ENTRIES {
        assert!(is_safe(&submit(&handle, numbered(n)).await.unwrap()));
    }
    status(&handle, |status| status.degraded.is_some()).await;
    at_server("ALTER DATABASE cynic ALLOW_CONNECTIONS true").await;
    status(&handle, |status| status.degraded.is_none() && status.stats.spilled == 0).await;
    all_there(&rig, ENTRIES).await;
    rig.close().await;
}

/// The database gives a batch up for reasons that have nothing to do with what is in it.
#[tokio::test]
async fn a_serialization_failure_or_a_deadlock_is_tried_again_and_nobody_is_set_aside() {
    let mut rig = rig();
    rig.config.spill_after = Duration::from_mins(1);
    let handle = rig.start();
    rig.execute(
        "CREATE SEQUENCE trips; \
         CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           CASE nextval('trips') \
             WHEN 2 THEN RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001'; \
             WHEN 5 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; \
             WHEN 7 THEN RAISE EXCEPTION 'too many connections' USING ERRCODE = '53300'; \
             ELSE RETURN NEW; END CASE; RETURN NEW; END $$; \
         CREATE TRIGGER stumble BEFORE INSERT ON judgments FOR EACH ROW EXECUTE FUNCTION stumble();",
    )
    .await;
    let fates: Vec<_> = (0..ENTRIES).map(|n| submit(&handle, numbered(n))).collect();
    for fate in fates {
        let fate = fate.await.unwrap();
        assert_eq!(fate, Fate::Stored { place: SafePlace::Database, earlier: None });
    }
    status(&handle, |status| status.stats.retries >= 3).await;
    assert_eq!(rig.judgments().await, i64::from(ENTRIES));
    assert_eq!(rig.integer("SELECT count(*) FROM dead_letters").await, 0);
    rig.close().await;
}

/// A connection given up in the middle of something must not swallow what is written after it: with sqlx 0.9.0,
/// a pool can hand out one that is inside of a transaction which nobody commits.
#[tokio::test]
async fn what_is_said_to_be_stored_is_stored_however_late_the_answers_come() {
    let mut rig = rig();
    let proxy = Proxy::new(&rig.server.as_ref().unwrap().socket());
    let direct = std::mem::replace(&mut rig.config.database, Database::Postgres(proxy.url()));
    // Given up all the time: an answer takes about as long as anybody waits for it.
    rig.config.spill_after = Duration::from_millis(20);
    let handle = rig.start();
    proxy.delay(Duration::from_millis(15));
    for n in 0..ENTRIES {
        assert!(is_safe(&submit(&handle, numbered(n)).await.unwrap()));
        if n % 7 == 0 {
            // Queries and care use the pool; they are broken off too.
            let query = handle.history(cynic_proto::history::HistoryQuery::default());
            let _ = tokio::time::timeout(Duration::from_millis(10), query).await;
        }
    }
    proxy.delay(Duration::ZERO);
    status(&handle, |status| status.degraded.is_none() && status.stats.spilled == 0).await;
    let report = rig.close().await;
    assert_eq!((report.lost, report.spooled), (0, 0));
    rig.config.database = direct;
    all_there(&rig, ENTRIES).await;
}

#[tokio::test]
async fn a_full_spool_pushes_back_and_empties_when_the_database_is_back() {
    let mut rig = rig();
    rig.config.spool_bytes_max = 200 * 1024;
    rig.config.buffered_rows_max = 40;
    rig.server.as_mut().unwrap().stop();
    let handle = rig.start();
    let mut taken = 0;
    // Until neither the spool nor memory takes any more.
    until("it pushes back", async || {
        while handle.submit(numbered(taken), None).is_ok() {
            taken += 1;
        }
        handle.status().degraded.is_some_and(|why| why.contains("full"))
    })
    .await;
    assert!(handle.submit(numbered(taken), None).is_err());
    rig.server.as_mut().unwrap().resume();
    tokio::time::timeout(super::rig::DEADLINE, handle.room()).await.unwrap();
    status(&handle, |status| status.degraded.is_none() && status.stats.spilled == 0).await;
    handle.flush().await.unwrap();
    all_there(&rig, taken).await;
    rig.close().await;
}

#[tokio::test]
async fn what_a_stop_leaves_in_the_spool_is_brought_in_by_the_next_start() {
    let mut rig = rig();
    rig.server.as_mut().unwrap().stop();
    let handle = rig.start();
    for n in 0..ENTRIES {
        handle.submit(numbered(n), None).unwrap();
    }
    let report = rig.close().await;
    assert_eq!((report.lost, report.spooled), (0, u64::from(ENTRIES)));
    rig.server.as_mut().unwrap().resume();
    let handle = rig.start();
    handle.submit(numbered(ENTRIES), None).unwrap();
    status(&handle, |status| status.degraded.is_none() && status.stats.spilled == 0).await;
    handle.flush().await.unwrap();
    all_there(&rig, ENTRIES + 1).await;
    rig.close().await;
}

#[tokio::test]
async fn two_batches_are_written_at_once() {
    let mut rig = Rig::postgres();
    rig.config.batch_rows_max = 10;
    rig.config.spill_after = Duration::from_mins(1);
    let handle = rig.start();
    rig.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$; \
         CREATE TRIGGER wait BEFORE INSERT ON judgments FOR EACH ROW EXECUTE FUNCTION wait();",
    )
    .await;
    let mut holder =
        sqlx::PgConnection::connect(&rig.server.as_ref().unwrap().url()).await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_lock(1)").execute(&mut holder).await.unwrap();
    for n in 0..ENTRIES {
        handle.submit(numbered(n), None).unwrap();
    }
    let writing = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE 'INSERT%'";
    until("both lanes write", async || rig.integer(writing).await == 2).await;
    sqlx::raw_sql("SELECT pg_advisory_unlock(1)").execute(&mut holder).await.unwrap();
    handle.flush().await.unwrap();
    assert_eq!(rig.judgments().await, i64::from(ENTRIES));
    rig.close().await;
}
