//! Data directories that are not as they should be.

use std::fs;
use std::path::{Path, PathBuf};

use cynic_proto::client::Outcome;
use cynic_proto::error::ErrorKind;
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Judge, Reply, Request};
use cynic_tests::cli::{Ended, program};
use cynic_tests::daemon::Home;
use cynic_tests::raw::RawClient;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::tmpfs::Tmpfs;
use crate::{is_unharmed, plain_request, text};

fn cynicd(home: &Home) -> Ended {
    let mut command = program("cynicd");
    command.arg("--socket").arg(home.path("cynicd.sock"));
    Ended::of(command.arg("--data-dir").arg(home.path("data")))
}

#[tokio::test]
async fn a_database_from_a_newer_version() {
    let home = Home::new("");
    assert_eq!(home.start().await.stop().await, Some(0));
    let path = home.path("data/cynic.db");
    let mut store =
        SqliteConnectOptions::new().filename(&path).connect().await.expect("the database");
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999, 'of tomorrow', TRUE, X'00', 0)",
    )
    .execute(&mut store)
    .await
    .expect("written");
    store.close().await.expect("closed");
    let before = fs::read(&path).expect("the database");
    let ended = cynicd(&home);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for word in ["cynic.db", "schema version 999", "newer cynicd"] {
        assert!(ended.err.contains(word), "{word:?} is not in {ended:?}");
    }
    assert_eq!(fs::read(&path).expect("the database"), before, "it is left as it was");
}

#[test]
fn a_database_that_is_none() {
    let home = Home::new("");
    fs::create_dir(home.path("data")).expect("created");
    fs::write(home.path("data/cynic.db"), "somebody's notes, long enough for a header".repeat(100))
        .expect("written");
    let ended = cynicd(&home);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("cynic.db"), "{ended:?}");
    assert!(!home.path("cynicd.sock").exists());
}

/// The data directory as a small file system of its own.
fn small(home: &Home, size: &str) -> Option<Tmpfs> {
    fs::create_dir(home.path("data")).expect("created");
    Tmpfs::mount(&home.path("data"), size)
}

/// Writes until there is no room; returns the file that takes it.
fn fill(disk: &Tmpfs) -> PathBuf {
    let filler = disk.path().join("filler");
    let mut file = fs::File::create(&filler).expect("created");
    let page = [1; 4096];
    while std::io::Write::write_all(&mut file, &page).is_ok() {}
    filler
}

#[test]
fn a_read_only_data_directory() {
    let home = Home::new("");
    let Some(disk) = small(&home, "1m") else { return };
    disk.remount("ro");
    let ended = cynicd(&home);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let place = home.path("data").display().to_string();
    assert!(ended.err.contains(&place) && ended.err.contains("writable"), "{ended:?}");
    assert!(ended.err.contains("Read-only file system"), "{ended:?}");
}

#[test]
fn a_data_directory_without_room_to_start() {
    let home = Home::new("");
    let Some(disk) = small(&home, "1m") else { return };
    let filler = fill(&disk);
    let ended = cynicd(&home);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let place = home.path("data").display().to_string();
    assert!(ended.err.contains(&place), "{ended:?}");
    let full = ["No space left", "disk is full"].iter().any(|word| ended.err.contains(word));
    assert!(full, "{ended:?}");
    // Room for the files, and none for what is in them.
    let filler = fs::File::options().write(true).open(filler).expect("there");
    filler.set_len(968 << 10).expect("cut");
    let ended = cynicd(&home);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("no room") && ended.err.contains("--data-dir"), "{ended:?}");
}

/// Judging goes on, what is judged is kept, and is stored when there is room again.
#[tokio::test]
async fn a_data_directory_that_fills_up() {
    const TASKS: i64 = 50;
    let home = Home::new("");
    let Some(disk) = small(&home, "8m") else { return };
    let daemon = home.start().await;
    let filler = fill(&disk);
    let client = daemon.client().await;
    for _ in 0..TASKS {
        let outcome = client.judge(plain_request(), text()).await.expect("an answer");
        assert!(matches!(outcome, Outcome::Judged(_)), "{outcome:?}");
    }
    let stats = daemon.until("the store is degraded", |stats| !stats.degraded.is_empty()).await;
    assert!(stats.ready, "it judges all the same");
    let ping = daemon.cynicctl(["ping"]);
    assert_eq!(ping.code, Some(0), "{ping:?}");
    assert!(ping.out.contains("full") || ping.err.contains("full"), "{ping:?}");
    let request = Judge { ack: Ack::Stored, ..plain_request() };
    let waiting = tokio::spawn(async move { client.judge(request, text()).await });
    fs::remove_file(filler).expect("removed");
    let outcome = waiting.await.expect("no panic").expect("an answer");
    let Outcome::Judged(answer) = outcome else { panic!("{outcome:?}") };
    assert_eq!(answer.judged.reached, Ack::Stored);
    daemon.until("nothing is left to store", |stats| stats.recorder.buffered == 0).await;
    is_unharmed(&daemon).await;
    assert_eq!(daemon.stop().await, Some(0));
    // And the one that `is_unharmed` asked for.
    assert_eq!(judgments(&home.path("data/cynic.db")).await, TASKS + 2);
}

/// Who set a deadline is told of it, though the answer is not stored; nobody is waited for who has gone.
#[tokio::test]
async fn a_store_that_takes_longer_than_the_deadline() {
    let home = Home::new("");
    let daemon = home.start().await;
    let store = SqliteConnectOptions::new().filename(home.path("data/cynic.db"));
    let mut other = store.connect().await.expect("the database");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("it is locked");
    let mut client = RawClient::connect(daemon.socket()).await.expect("connected");
    let task = TaskId::new();
    let request = |deadline_ms, retry| Judge {
        task,
        retry,
        ack: Ack::Stored,
        deadline_ms: Some(deadline_ms),
        ..plain_request()
    };
    for (seq, retry) in [(1, false), (2, true)] {
        let asked = Request::Judge(request(200, retry));
        client.send(seq, asked, &text()).await.expect("sent");
        let (_, reply) = client.reply().await.expect("a reply");
        let Reply::Failed { error, .. } = reply else { panic!("{reply:?}") };
        assert_eq!(error.kind, ErrorKind::StorageUnavailable);
        assert!(error.message.contains("judged, but not stored"), "{error:?}");
    }
    client.send(3, Request::Judge(request(60_000, true)), &text()).await.expect("sent");
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("it is free again");
    let (_, reply) = client.reply().await.expect("a reply");
    let Reply::Judged(judged) = reply else { panic!("{reply:?}") };
    assert_eq!(judged.reached, Ack::Stored);
    assert_eq!(judgments(&home.path("data/cynic.db")).await, 1);
}

/// A judgment that was answered before it was stored is no stored one for who asks again and wants that.
#[tokio::test]
async fn a_repeated_task_is_stored_when_it_says_so() {
    let home = Home::new("");
    let daemon = home.start().await;
    let store = SqliteConnectOptions::new().filename(home.path("data/cynic.db"));
    let mut other = store.connect().await.expect("the database");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("it is locked");
    let mut client = RawClient::connect(daemon.socket()).await.expect("connected");
    let task = TaskId::new();
    let mut ask = async |ack, retry, deadline_ms| {
        let judge = Judge { task, retry, ack, deadline_ms, ..plain_request() };
        client.send(1, Request::Judge(judge), &text()).await.expect("sent");
        client.reply().await.expect("a reply").1
    };
    let (waits, short) = (Some(60_000), Some(2_000));
    let Reply::Judged(first) = ask(Ack::Judged, false, waits).await else { panic!("not judged") };
    // It is in memory, in the judge's answers of late and in the recorder.
    for retry in [false, true] {
        let reply = ask(Ack::Stored, retry, short).await;
        let Reply::Failed { error, .. } = reply else { panic!("{reply:?}") };
        assert_eq!(error.kind, ErrorKind::StorageUnavailable);
    }
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("it is free again");
    let reply = ask(Ack::Stored, false, waits).await;
    let Reply::Judged(stored) = reply else { panic!("{reply:?}") };
    assert_eq!((stored.reached, &stored.judgment), (Ack::Stored, &first.judgment));
    assert_eq!(judgments(&home.path("data/cynic.db")).await, 1);
    // Who lost the connection before that answer is told the same.
    let Reply::Judged(again) = ask(Ack::Stored, false, waits).await else { panic!("not judged") };
    assert_eq!(again, stored);
}

/// What the database refuses is not stored, however often somebody asks.
#[tokio::test]
async fn a_repeated_task_that_the_database_refuses() {
    let home = Home::new("");
    let daemon = home.start().await;
    let store = SqliteConnectOptions::new().filename(home.path("data/cynic.db"));
    let mut other = store.connect().await.expect("the database");
    let refuse =
        "CREATE TRIGGER refuse BEFORE INSERT ON judgments BEGIN SELECT RAISE(ABORT, 'no'); END";
    sqlx::query(refuse).execute(&mut other).await.expect("made");
    let client = daemon.client().await;
    let request = Judge { ack: Ack::Stored, ..plain_request() };
    for _ in 0..2 {
        let outcome = client.judge(request.clone(), text()).await.expect("an answer");
        let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.kind, ErrorKind::StorageUnavailable, "{error}");
        assert!(error.message.contains("refuses"), "{error}");
    }
}

/// When nothing can be stored any more, a copy of what is stored is worth all the more.
#[tokio::test]
async fn a_backup_of_a_store_that_is_full() {
    let home = Home::new("");
    let Some(disk) = small(&home, "8m") else { return };
    let daemon = home.start().await;
    let client = daemon.client().await;
    let stored = || Judge { ack: Ack::Stored, ..plain_request() };
    for _ in 0..3 {
        client.judge(stored(), text()).await.expect("an answer");
    }
    let filler = fill(&disk);
    for _ in 0..5 {
        client.judge(plain_request(), text()).await.expect("an answer");
    }
    daemon.until("the store is degraded", |stats| !stats.degraded.is_empty()).await;

    let backup = |name: &str| daemon.cynicctl(["backup", &*home.path(name).to_string_lossy()]);
    let copied = backup("elsewhere.db");
    assert_eq!(copied.code, Some(0), "{copied:?}\n{}", daemon.log());
    assert!(copied.out.contains("3 judgments"), "{copied:?}");
    assert_eq!(judgments(&home.path("elsewhere.db")).await, 3);
    // Where there is no room for a copy either, none is left half made.
    let full = backup("data/copy.db");
    assert_eq!(full.code, Some(4), "{full:?}");
    assert!(full.err.contains("full"), "{full:?}");
    let names: Vec<_> = fs::read_dir(home.path("data")).expect("a directory").flatten().collect();
    assert!(
        !names.iter().any(|name| name.file_name().to_string_lossy().contains("copy")),
        "{names:?}"
    );

    fs::remove_file(filler).expect("removed");
    daemon.until("nothing is left to store", |stats| stats.recorder.buffered == 0).await;
    let copied = backup("later.db");
    assert!(copied.out.contains("8 judgments"), "{copied:?}");
    assert_eq!(judgments(&home.path("later.db")).await, 8);
}

async fn judgments(path: &Path) -> i64 {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut store = options.connect().await.expect("the database");
    let count = sqlx::query_scalar("SELECT count(*) FROM judgments").fetch_one(&mut store).await;
    count.expect("a number")
}
