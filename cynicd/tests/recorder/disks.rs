//! Disks that fill up, turn read-only or are held by somebody else; data that is damaged or of a later build.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cynicd::recorder::{Fate, Recorder, RecorderError, RecorderHandle, SafePlace};
use sqlx::{Connection, SqliteConnection};

use super::entries::{entry, numbered};
use super::rig::{DEADLINE, Rig, status, submit, until};
use super::tmpfs::Tmpfs;

/// Submits until nothing more is taken and the alarm says what it should.
async fn fill(handle: &RecorderHandle, alarm: &str) -> u32 {
    let mut taken = 0;
    until("it pushes back with an alarm", async || {
        while handle.submit(numbered(taken), None).is_ok() {
            taken += 1;
        }
        handle.status().degraded.is_some_and(|why| why.contains(alarm))
    })
    .await;
    taken
}

async fn is_intact(path: &Path) {
    let url = format!("sqlite://{}", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let found: String =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
    assert_eq!(found, "ok");
}

#[tokio::test]
async fn a_full_disk_pushes_back_and_damages_nothing() {
    let place = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::mount(place.path(), "3m") else { return };
    let mut rig = Rig::sqlite();
    rig.config.data_dir = disk.path().join("data");
    rig.config.buffered_rows_max = 100;
    let handle = rig.start();
    let taken = fill(&handle, "full").await;
    disk.remount("size=64m");
    tokio::time::timeout(DEADLINE, handle.room()).await.unwrap();
    handle.flush().await.unwrap();
    status(&handle, |status| status.degraded.is_none()).await;
    assert_eq!(rig.judgments().await, i64::from(taken));
    rig.close().await;
    is_intact(&rig.database()).await;
}

#[tokio::test]
async fn a_full_disk_under_the_spool_pushes_back_and_damages_nothing() {
    let place = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::mount(place.path(), "2m") else { return };
    let mut rig = Rig::postgres();
    rig.config.data_dir = disk.path().join("data");
    rig.config.buffered_rows_max = 100;
    rig.config.spill_after = Duration::from_millis(50);
    rig.server.as_mut().unwrap().stop();
    let handle = rig.start();
    let taken = fill(&handle, "full").await;
    disk.remount("size=64m");
    rig.server.as_mut().unwrap().resume();
    tokio::time::timeout(DEADLINE, handle.room()).await.unwrap();
    status(&handle, |status| status.degraded.is_none() && status.stats.spilled == 0).await;
    handle.flush().await.unwrap();
    assert_eq!(rig.judgments().await, i64::from(taken));
    rig.close().await;
    is_intact(&rig.config.data_dir.join("spool.db")).await;
}

#[tokio::test]
async fn a_full_disk_of_the_server_sends_judgments_to_the_spool() {
    let place = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::mount(place.path(), "3m") else { return };
    let mut rig = Rig::postgres();
    rig.config.spill_after = Duration::from_millis(50);
    let handle = rig.start();
    let space = disk.path().join("space");
    rig.server.as_ref().unwrap().make_dir(&space);
    let at = space.display().to_string();
    rig.execute(&format!("CREATE TABLESPACE tight LOCATION '{at}'")).await;
    rig.execute("ALTER TABLE judgments SET TABLESPACE tight").await;
    let mut taken = 0;
    until("it says that the server's disk is full", async || {
        for _ in 0..50 {
            handle.submit(numbered(taken), None).unwrap();
            taken += 1;
        }
        handle.flush().await.unwrap();
        handle.status().degraded.is_some_and(|why| why.contains("No space left"))
    })
    .await;
    disk.remount("size=64m");
    status(&handle, |status| status.degraded.is_none() && status.stats.spilled == 0).await;
    handle.flush().await.unwrap();
    assert_eq!(rig.judgments().await, i64::from(taken));
    assert_eq!(rig.integer("SELECT count(*) FROM dead_letters").await, 0);
    rig.close().await;
}

#[tokio::test]
async fn a_read_only_file_system_is_waited_out() {
    let place = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::mount(place.path(), "64m") else { return };
    let mut rig = Rig::sqlite();
    rig.config.data_dir = disk.path().join("data");
    let handle = rig.start();
    submit(&handle, numbered(0)).await.unwrap();
    rig.close().await;
    disk.remount("ro");
    let refused = Recorder::start(rig.config.clone()).unwrap_err();
    assert!(matches!(refused, RecorderError::DataDir { .. }), "{refused}");
    assert!(refused.to_string().contains("writable"), "{refused}");
    disk.remount("rw");
    let handle = rig.start();
    let fate = submit(&handle, numbered(1)).await.unwrap();
    assert_eq!(fate, Fate::Stored { place: SafePlace::Database, earlier: None });
    rig.close().await;
}

#[tokio::test]
async fn a_database_locked_by_another_process_is_waited_for() {
    let mut rig = Rig::sqlite();
    let handle = rig.start();
    submit(&handle, entry(1)).await.unwrap();
    let lock = rig.hold_lock();
    let fate = submit(&handle, entry(2));
    // SQLite waits a while, then the batch is tried again, for as long as it takes.
    let locked = |why: &String| why.contains("locked");
    status(&handle, |status| {
        status.stats.retries >= 1 && status.degraded.as_ref().is_some_and(locked)
    })
    .await;
    assert_eq!(rig.judgments().await, 1);
    drop(lock);
    assert_eq!(fate.await.unwrap(), Fate::Stored { place: SafePlace::Database, earlier: None });
    status(&handle, |status| status.degraded.is_none()).await;
    assert_eq!(rig.judgments().await, 2);
    rig.close().await;
}

/// Another process that holds the write lock until its standard input ends.
#[tokio::test]
#[ignore = "run by the test above, as another process"]
async fn holds_the_lock() {
    let path = std::env::var("CYNIC_TEST_LOCK").unwrap();
    let mut connection = SqliteConnection::connect(&format!("sqlite://{path}")).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
    println!("locked");
    let _ = std::io::stdin().read(&mut [0]);
}

/// Ends with this value.
struct Lock {
    child: std::process::Child,
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

impl Rig {
    fn hold_lock(&self) -> Lock {
        let mut child = this_test("disks::holds_the_lock")
            .env("CYNIC_TEST_LOCK", self.database())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let locked = lines.map_while(Result::ok).any(|line| line.contains("locked"));
        assert!(locked, "the other process took no lock");
        Lock { child }
    }
}

/// This program, to run one ignored test as another process.
pub(crate) fn this_test(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command
}

#[tokio::test]
async fn a_damaged_database_is_found_after_an_unclean_stop() {
    let mut rig = Rig::sqlite();
    let handle = rig.start();
    for n in 0..200 {
        handle.submit(entry(n), None).unwrap();
    }
    rig.close().await;
    // A query that was broken off may hold the file a moment longer, and its log hides what is below.
    let log = rig.config.data_dir.join("cynic.db-wal");
    until("the file is closed", async || !log.exists()).await;
    // As a crash leaves it, with a page of the table overwritten.
    std::fs::write(rig.config.data_dir.join("running"), "").unwrap();
    let mut bytes = std::fs::read(rig.database()).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    std::fs::write(rig.database(), bytes).unwrap();
    let started = Recorder::start(rig.config.clone()).map(drop);
    let refused = started.expect_err("it is damaged");
    assert!(matches!(refused, RecorderError::Damaged { .. }), "{refused:?}");
    assert!(refused.to_string().contains("restore a backup"), "{refused}");
    // Not forgotten by trying again.
    let again = Recorder::start(rig.config.clone()).unwrap_err();
    assert!(matches!(again, RecorderError::Damaged { .. }), "{again:?}");
    // Of a later build it is that build's to check, however long that takes.
    rig.execute(FROM_THE_FUTURE).await;
    let newer = Recorder::start(rig.config.clone()).unwrap_err();
    assert!(matches!(newer, RecorderError::NewerSchema { found: 99, .. }), "{newer:?}");
}

const FROM_THE_FUTURE: &str = "INSERT INTO _sqlx_migrations \
    (version, description, success, checksum, execution_time) \
    VALUES (99, 'from the future', true, 'x', 0)";

#[tokio::test]
async fn a_damaged_spool_is_left_for_a_person_to_put_aside() {
    let mut rig = Rig::postgres();
    std::fs::create_dir_all(&rig.config.data_dir).unwrap();
    let spool: PathBuf = rig.config.data_dir.join("spool.db");
    std::fs::write(
        &spool,
        "this is no database, whatever its name says; a few words more".repeat(100),
    )
    .unwrap();
    let refused = Recorder::start(rig.config.clone()).unwrap_err();
    assert!(matches!(refused, RecorderError::Damaged { .. }), "{refused:?}");
    assert!(refused.to_string().contains("spool.db"), "{refused}");
    std::fs::remove_file(&spool).unwrap();
    let handle = rig.start();
    submit(&handle, entry(1)).await.unwrap();
    rig.close().await;
}

#[tokio::test]
async fn a_newer_schema_of_a_server_is_refused() {
    let mut rig = Rig::postgres();
    rig.start();
    rig.close().await;
    rig.execute(FROM_THE_FUTURE).await;
    let refused = Recorder::start(rig.config.clone()).unwrap_err();
    assert!(matches!(refused, RecorderError::NewerSchema { found: 99, .. }), "{refused:?}");
    assert!(refused.to_string().contains("start the newer cynicd again"), "{refused}");
}
