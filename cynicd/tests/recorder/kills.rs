//! `kill -9` at each step of an entry's way: buffered, spooled, in the middle of a commit, committed but not
//! acknowledged. What was acknowledged is there afterwards; what is asked for again is there once.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use cynicd::recorder::{Database, Fate, Recorder, RecorderConfig, SafePlace};

use super::disks::this_test;
use super::entries::{numbered, task};
use super::proxy::{INSERTED, Proxy};
use super::rig::{Rig, on_both_stores, status, submit, until};

/// Entries of one test: a few batches.
const ENTRIES: u32 = 60;

/// How often the process that writes all the time is killed.
const KILLS: u32 = 12;

/// A recorder in another process; dies by SIGKILL with this value at the latest.
struct Victim {
    child: Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Victim {
    fn start(config: &RecorderConfig) -> Victim {
        let database = match &config.database {
            Database::Sqlite => String::new(),
            Database::Postgres(url) => url.clone(),
        };
        let mut child = this_test("kills::victim")
            .env("CYNIC_TEST_DATA", &config.data_dir)
            .env("CYNIC_TEST_DATABASE", database)
            .env("CYNIC_TEST_FLUSH_MS", config.flush_interval.as_millis().to_string())
            .env("CYNIC_TEST_SPILL_MS", config.spill_after.as_millis().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut victim = Victim { child, orders, lines };
        while victim.line() != "started" {}
        victim
    }

    /// Has it submit entries; with `told`, it says which are settled and where.
    fn submit(&mut self, entries: std::ops::Range<u32>, told: bool) {
        let order = if told { "ask" } else { "submit" };
        writeln!(self.orders, "{order} {} {}", entries.start, entries.end).unwrap();
        if !told {
            while self.line() != "submitted" {}
        }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("it runs").unwrap()
    }

    /// The next one that it says is settled.
    fn settled(&mut self) -> (u32, SafePlace) {
        loop {
            let line = self.line();
            let mut words = line.split(' ');
            if words.next() == Some("settled") {
                let number = words.next().unwrap().parse().unwrap();
                let place = match words.next().unwrap() {
                    "Database" => SafePlace::Database,
                    _ => SafePlace::Spool,
                };
                return (number, place);
            }
        }
    }

    /// Kills it; returns what it had said was settled before.
    fn kill(mut self) -> Vec<u32> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let said = self.lines.by_ref().map_while(Result::ok);
        said.filter_map(|line| line.strip_prefix("settled ")?.split(' ').next()?.parse().ok())
            .collect()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // Both do nothing if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
#[ignore = "run by the tests below, as another process"]
async fn victim() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let millis = |name| Duration::from_millis(variable(name).parse().unwrap());
    let mut config = RecorderConfig::new(variable("CYNIC_TEST_DATA"));
    config.flush_interval = millis("CYNIC_TEST_FLUSH_MS");
    config.spill_after = millis("CYNIC_TEST_SPILL_MS");
    if config.flush_interval > Duration::from_mins(1) {
        config.flush_rows = usize::MAX;
    }
    let database = variable("CYNIC_TEST_DATABASE");
    if !database.is_empty() {
        config.database = Database::Postgres(database);
    }
    let (handle, _thread) = Recorder::start(config).unwrap();
    println!("\nstarted");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let (from, to): (u32, u32) = (words[1].parse().unwrap(), words[2].parse().unwrap());
        for n in from..to {
            let told = move |fate| match fate {
                Fate::Stored { place, .. } => println!("settled {n} {place:?}"),
                other => println!("settled {n} {other:?}"),
            };
            let on_settled = (words[0] == "ask").then(|| Box::new(told) as _);
            handle.submit(numbered(n), on_settled).unwrap();
        }
        println!("submitted");
    }
}

/// Starts a recorder on what the dead one left, asks for everything again, and looks that all is there once.
async fn asked_again_all_is_there_once(rig: &mut Rig, entries: u32) {
    let handle = rig.start();
    let fates: Vec<_> = (0..entries).map(|n| submit(&handle, numbered(n))).collect();
    for fate in fates {
        assert!(matches!(fate.await.unwrap(), Fate::Stored { .. }));
    }
    status(&handle, |status| status.degraded.is_none() && status.stats.spilled == 0).await;
    handle.flush().await.unwrap();
    assert_eq!(rig.judgments().await, i64::from(entries));
    for n in [0, entries / 2, entries - 1] {
        assert_eq!(handle.lookup(task(n)).await.unwrap().unwrap().row.task, task(n));
    }
    assert_eq!(rig.integer("SELECT count(*) FROM dead_letters").await, 0);
    rig.close().await;
}

on_both_stores! {
    async fn killed_while_entries_are_buffered(rig: Rig) {
        rig.config.flush_interval = Duration::from_hours(1);
        let mut victim = Victim::start(&rig.config);
        victim.submit(0..ENTRIES, false);
        assert!(victim.kill().is_empty());
        assert_eq!(rig.judgments().await, 0);
        asked_again_all_is_there_once(&mut rig, ENTRIES).await;
    }

    async fn killed_again_and_again_under_load(rig: Rig) {
        rig.config.flush_interval = Duration::from_millis(5);
        let mut random = 1_u32;
        for kill in 0..KILLS {
            let mut victim = Victim::start(&rig.config);
            let first = kill * ENTRIES;
            victim.submit(first..first + ENTRIES, true);
            // After some of the acknowledgements, wherever the rest may be by then.
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut settled = Vec::new();
            for _ in 0..(random >> 16) % ENTRIES {
                settled.push(victim.settled().0);
            }
            settled.extend(victim.kill());
            let handle = rig.start();
            for n in &settled {
                let found = handle.lookup(task(*n)).await.unwrap();
                assert!(found.is_some(), "{n} was acknowledged, but is not there");
            }
            rig.close().await;
        }
        asked_again_all_is_there_once(&mut rig, KILLS * ENTRIES).await;
    }
}

#[tokio::test]
async fn killed_with_entries_in_the_spool() {
    let mut rig = Rig::postgres();
    rig.config.spill_after = Duration::from_millis(50);
    rig.server.as_mut().unwrap().stop();
    let mut victim = Victim::start(&rig.config);
    victim.submit(0..ENTRIES, true);
    for _ in 0..ENTRIES {
        assert_eq!(victim.settled().1, SafePlace::Spool);
    }
    victim.kill();
    rig.server.as_mut().unwrap().resume();
    // Nobody asks again: what was acknowledged is brought in by itself.
    let handle = rig.start();
    status(&handle, |status| status.degraded.is_none() && status.stats.spilled == 0).await;
    assert_eq!(rig.judgments().await, i64::from(ENTRIES));
    rig.close().await;
}

#[tokio::test]
async fn killed_in_the_middle_of_a_commit() {
    let mut rig = Rig::postgres();
    rig.config.spill_after = Duration::from_mins(1);
    rig.start();
    rig.close().await;
    rig.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON judgments DEFERRABLE INITIALLY DEFERRED \
           FOR EACH ROW EXECUTE FUNCTION wait();",
    )
    .await;
    let url = rig.server.as_ref().unwrap().url();
    let mut holder = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_lock(1)").execute(&mut holder).await.unwrap();
    let mut victim = Victim::start(&rig.config);
    victim.submit(0..ENTRIES, true);
    let committing = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'";
    until("it is committing", async || rig.integer(committing).await > 0).await;
    assert!(victim.kill().is_empty());
    sqlx::raw_sql("SELECT pg_advisory_unlock(1)").execute(&mut holder).await.unwrap();
    asked_again_all_is_there_once(&mut rig, ENTRIES).await;
}

#[tokio::test]
async fn killed_after_a_commit_that_it_was_not_told_of() {
    let mut rig = Rig::postgres();
    rig.config.spill_after = Duration::from_mins(1);
    let proxy = Proxy::new(&rig.server.as_ref().unwrap().socket());
    let mut config = rig.config.clone();
    config.database = Database::Postgres(proxy.url());
    let mut victim = Victim::start(&config);
    victim.submit(0..1, true);
    victim.settled();
    victim.submit(1..2, true);
    victim.settled();
    proxy.hold(INSERTED);
    victim.submit(2..ENTRIES, true);
    until("the server has committed something", async || rig.judgments().await > 2).await;
    assert!(victim.kill().is_empty(), "nothing was acknowledged while answers were kept back");
    proxy.release();
    asked_again_all_is_there_once(&mut rig, ENTRIES).await;
}

#[tokio::test]
async fn killed_between_the_commit_and_the_emptying_of_the_spool() {
    let mut rig = Rig::postgres();
    rig.config.spill_after = Duration::from_millis(50);
    rig.start();
    rig.close().await;
    let proxy = Proxy::new(&rig.server.as_ref().unwrap().socket());
    let mut config = rig.config.clone();
    config.database = Database::Postgres(proxy.url());
    rig.server.as_mut().unwrap().stop();
    let mut victim = Victim::start(&config);
    victim.submit(0..ENTRIES, true);
    for _ in 0..ENTRIES {
        victim.settled();
    }
    proxy.hold(INSERTED);
    rig.server.as_mut().unwrap().resume();
    until("the server has committed what was in the spool", async || rig.judgments().await > 0)
        .await;
    victim.kill();
    proxy.release();
    let handle = rig.start();
    status(&handle, |status| status.degraded.is_none() && status.stats.spilled == 0).await;
    assert_eq!(rig.judgments().await, i64::from(ENTRIES));
    rig.close().await;
}
