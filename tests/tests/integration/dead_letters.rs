//! What the database refused, by the command line: listed, shown, written again, dropped.

use cynic_proto::client::Outcome;
use cynic_proto::error::ErrorKind;
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Judge};
use cynic_tests::daemon::{Daemon, Home};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use crate::{plain_request, text};

const NOBODYS: &str = "019123ab-4567-7abc-8def-0123456789ab";

/// A change of the schema by hand that nothing fits.
const BROKEN: &str = "CREATE TRIGGER by_hand BEFORE INSERT ON judgments BEGIN SELECT RAISE(ABORT, 'no \x1b[2J room'); END";
const MENDED: &str = "DROP TRIGGER by_hand";

async fn store(home: &Home) -> SqliteConnection {
    let store = SqliteConnectOptions::new().filename(home.path("data/cynic.db"));
    store.connect().await.expect("the database")
}

async fn execute(store: &mut SqliteConnection, sql: &str) {
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(store).await.expect("done");
}

/// Has a text judged that the database refuses.
async fn refused(daemon: &Daemon) -> TaskId {
    let request = Judge { ack: Ack::Stored, ..plain_request() };
    let task = request.task;
    let outcome = daemon.client().await.judge(request, text()).await.expect("an answer");
    let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind, ErrorKind::StorageUnavailable, "{error}");
    task
}

#[tokio::test]
async fn dead_letters_are_looked_at_and_written_again() {
    let home = Home::new("");
    let daemon = home.start().await;
    let mut store = store(&home).await;
    let letters = |args: &[&str]| daemon.cynicctl([&["dead-letters"], args].concat());
    let none = letters(&["list"]);
    assert_eq!((none.code, &*none.out), (Some(0), "there are no dead letters\n"));
    assert_eq!(letters(&["retry", "--all"]).code, Some(0));

    execute(&mut store, BROKEN).await;
    let tasks = [refused(&daemon).await, refused(&daemon).await, refused(&daemon).await];
    let ids = tasks.map(|task| task.to_string());
    let listed = letters(&["list", "--json"]).json();
    let said: Vec<_> = listed.iter().rev().map(|letter| letter["id"].as_str().unwrap()).collect();
    assert_eq!(said, ids, "newest first, named by their tasks");
    assert!(listed[0]["error"].as_str().unwrap().contains("room"), "{listed:?}");
    let table = letters(&["list"]).out;
    assert!(ids.iter().all(|id| table.contains(id)) && !table.contains('\x1b'), "{table}");

    let shown = letters(&["show", &ids[0], "--json"]).json();
    assert_eq!(shown[0]["judgment"]["task_id"], *ids[0]);
    assert!(shown[0]["judgment"]["q_score"].is_number(), "{shown:?}");
    let shown = letters(&["show", &ids[0]]).out;
    assert!(shown.contains("verdict") && shown.contains("room"), "{shown}");

    let still = letters(&["retry", &ids[0], &ids[1]]);
    assert_eq!((still.code, still.out.lines().count()), (Some(1), 2), "{still:?}");
    assert!(still.out.contains("stays: the database still refuses it"), "{still:?}");
    let doctor = daemon.cynicctl(["doctor"]).out;
    assert!(doctor.contains("cynicctl dead-letters"), "{doctor}");

    execute(&mut store, MENDED).await;
    let retried = letters(&["retry", &ids[0]]);
    assert_eq!((retried.code, retried.out), (Some(0), format!("stored {}\n", ids[0])));
    let shown = daemon.cynicctl(["show", &ids[0], "--json"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let dropped = letters(&["drop", &ids[1]]);
    assert_eq!((dropped.code, dropped.out), (Some(0), format!("dropped {}\n", ids[1])));
    let [all] = &letters(&["retry", "--all", "--json"]).json()[..] else { panic!("one is left") };
    assert_eq!((all["id"].as_str(), all["outcome"].as_str()), (Some(&*ids[2]), Some("stored")));
    let history = daemon.cynicctl(["history", "--json"]).json();
    let known: Vec<_> = history.iter().filter_map(|row| row["task_id"].as_str()).collect();
    assert!(known.contains(&&*ids[2]) && !known.contains(&&*ids[1]), "{known:?}");
    assert_eq!(letters(&["list", "--json"]).out, "");

    // Who asks for the task again is answered from the store.
    let again = Judge { task: tasks[0], retry: true, ack: Ack::Stored, ..plain_request() };
    let outcome = daemon.client().await.judge(again, text()).await.expect("an answer");
    assert!(matches!(outcome, Outcome::Judged(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_letter_that_stays_is_told_and_one_that_is_not_there_too() {
    let home = Home::new("");
    let daemon = home.start().await;
    let mut store = store(&home).await;
    execute(&mut store, BROKEN).await;
    let task = refused(&daemon).await.to_string();
    execute(&mut store, MENDED).await;
    execute(&mut store, "UPDATE dead_letters SET entry = X'09'").await;
    let letters = |args: &[&str]| daemon.cynicctl([&["dead-letters"], args].concat());

    let strange = letters(&["retry", &task]);
    assert_eq!(strange.code, Some(1), "{strange:?}");
    assert!(strange.out.contains("this daemon cannot read it"), "{strange:?}");
    let [told] = &letters(&["retry", "--all", "--json"]).json()[..] else { panic!("one letter") };
    assert_eq!(told["outcome"], "unreadable");
    let shown = letters(&["show", &task, "--json"]).json();
    assert!(shown[0]["unreadable"].is_string(), "{shown:?}");
    for command in ["show", "retry", "drop"] {
        let unknown = letters(&[command, NOBODYS]);
        assert_eq!(unknown.code, Some(6), "{unknown:?}");
        assert!(unknown.err.contains("cynicctl dead-letters list"), "{unknown:?}");
        let wrong = letters(&[command, "7"]);
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
    }
    for command in ["retry", "drop"] {
        assert_eq!(letters(&[command]).code, Some(2), "{command} what?");
        assert_eq!(letters(&[command, "--all", &task]).code, Some(2), "{command}: all or one");
    }
    let dropped = letters(&["drop", "--all"]);
    assert_eq!((dropped.code, &*dropped.out), (Some(0), "dropped 1 dead letter\n"));
    assert_eq!(letters(&["list", "--json"]).out, "");
}
