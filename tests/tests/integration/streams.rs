//! Long inputs: run again they go on, and strict runs stop.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use cynic_tests::daemon::Home;

const HALF: usize = 40;

fn lines(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, n| {
        let _ =
            writeln!(text, r#"{{"type":"text","content":"The bridge number {n} opens in May."}}"#);
        text
    })
}

/// The daemon dies without a word between two runs; the second judges only what the first did not store.
#[tokio::test]
async fn a_run_goes_on_where_the_store_ends() {
    let home = Home::new("");
    let path = home.path("items.jsonl");
    let daemon = home.start().await;
    fs::write(&path, lines(HALF)).expect("written");
    let run = |daemon: &cynic_tests::daemon::Daemon| {
        let path = path.display().to_string();
        let ended = daemon.cynicctl(["judge", "--json", "--resume", "--ack", "stored", &path]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let id = |row: &serde_json::Value| row["task_id"].as_str().expect("an id").to_owned();
        ended.json().iter().map(id).collect::<Vec<_>>()
    };
    let first = run(&daemon);
    daemon.crash();
    let daemon = home.start().await;
    fs::write(&path, lines(2 * HALF)).expect("written");
    let second = run(&daemon);
    assert_eq!((first.len(), second.len()), (HALF, 2 * HALF));
    assert_eq!(first[..], second[..HALF], "the same order and the same tasks");
    assert_eq!(second.iter().collect::<BTreeSet<_>>().len(), 2 * HALF, "a task for each line");
    let processed = daemon.stats().await.pool.tasks_processed;
    assert_eq!(processed, HALF as u64, "what was stored is not judged again");
    let listed = daemon.cynicctl(["history", "--json", "--limit", "1000"]);
    assert_eq!(listed.json().len(), 2 * HALF, "each is stored once");
}

#[tokio::test]
async fn a_strict_run_stops_at_the_first_bad_line() {
    let home = Home::new("");
    let daemon = home.start().await;
    let path = home.path("items.jsonl");
    fs::write(&path, format!("{}nonsense\n{}", lines(2), lines(5))).expect("written");
    let path = path.display().to_string();
    let ended = daemon.cynicctl(["judge", "--json", "--strict", &path]);
    let rows = ended.json();
    assert_eq!((ended.code, rows.len()), (Some(1), 3), "{ended:?}");
    assert_eq!(rows[2]["id"], format!("{path}:3"));
    assert!(ended.err.contains("--strict"), "{ended:?}");
}
