//! Long inputs and streams: in constant memory, whoever is slow; killed they go on; bad lines are named.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use cynic_proto::client::Outcome;
use cynic_proto::client::stream::{Flow, StreamClosed};
use cynic_tests::cli::program;
use cynic_tests::daemon::{Daemon, Home};
use cynic_tests::procfs;
use rustix::process::Signal;
use serde_json::Value;

use crate::{plain_request, text};

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
    let run = |daemon: &Daemon| {
        let path = path.display().to_string();
        let ended = daemon.cynicctl(["judge", "--json", "--resume", "--ack", "stored", &path]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let id = |row: &Value| row["task_id"].as_str().expect("an id").to_owned();
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

#[tokio::test]
async fn a_bad_line_is_named_and_the_others_go_on() {
    let home = Home::new("");
    let daemon = home.start().await;
    let path = home.path("items.jsonl");
    let unfinished = "{\"content\": \n";
    fs::write(&path, format!("{}nonsense\n\n{}{unfinished}{}", lines(2), lines(5), lines(1)))
        .expect("written");
    let path = path.display().to_string();
    for order in [None, Some("--unordered")] {
        let args = ["judge", "--json", &path].into_iter().chain(order);
        let ended = daemon.cynicctl(args);
        let rows = ended.json();
        assert_eq!((ended.code, rows.len()), (Some(1), 10), "{ended:?}");
        let bad = rows.iter().filter(|row| row.get("error").is_some());
        let mut bad: Vec<&str> = bad.filter_map(|row| row["id"].as_str()).collect();
        bad.sort_unstable();
        assert_eq!(bad, [format!("{path}:10"), format!("{path}:3")], "by its line");
    }
}

/// `cynicctl` in the middle of its work, its input and output in our hands.
fn streaming(daemon: &Daemon, args: &[&str]) -> Child {
    let mut command = program("cynicctl");
    command.arg("--socket").arg(daemon.socket()).args(args);
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    pipes.spawn().expect("a program")
}

/// A run that has answered the first half of its lines and waits for more.
fn half_judged(daemon: &Daemon) -> (Child, ChildStdin, Lines<BufReader<ChildStdout>>) {
    let mut run = streaming(daemon, &["judge", "--jsonl", "--json", "-"]);
    let mut input = run.stdin.take().expect("piped");
    input.write_all(lines(HALF).as_bytes()).expect("taken");
    let mut rows = BufReader::new(run.stdout.take().expect("piped")).lines();
    for _ in 0..HALF {
        let row = rows.next().expect("a row for each line").expect("text");
        assert!(row.contains("\"verdict\""), "{row}");
    }
    (run, input, rows)
}

#[tokio::test]
async fn an_interrupted_run_says_what_is_done_and_how_to_go_on() {
    let home = Home::new("");
    let daemon = home.start().await;
    let (mut run, _input, _rows) = half_judged(&daemon);
    procfs::signal(run.id(), Signal::INT);
    let mut said = String::new();
    run.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert_eq!(run.wait().expect("ended").code(), Some(130), "{said}");
    for part in ["interrupted after 40 items", "left: ", "0 items of it asked", "--resume"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

/// What was sent and never answered is no success.
#[tokio::test]
async fn a_run_whose_daemon_does_not_come_back_ends_with_its_exit_code() {
    let home = Home::new("");
    let daemon = home.start().await;
    let (mut run, mut input, rows) = half_judged(&daemon);
    daemon.crash();
    // The client may be told before it has sent them all.
    let _ = input.write_all(lines(HALF).as_bytes());
    drop(input);
    let lost: Vec<String> = rows.map(|row| row.expect("text")).collect();
    let mut said = String::new();
    run.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    let code = run.wait().expect("ended").code();
    assert_eq!(code, Some(4), "{lost:?} {said}");
    assert!(said.contains("--resume"), "{said}");
    assert!(!lost.iter().any(|row| row.contains("\"verdict\"")), "{lost:?}");
}

/// First the client is killed in mid-stream, then the daemon: in the end each line is stored once.
#[tokio::test]
async fn killed_runs_go_on_and_store_each_line_once() {
    const LINES: usize = 600;
    let home = Home::new("");
    let path = home.path("items.jsonl");
    fs::write(&path, lines(LINES)).expect("written");
    let path = path.display().to_string();
    let args = ["judge", "--json", "--resume", "--ack", "stored", &path];
    let daemon = home.start().await;

    let mut first = streaming(&daemon, &args);
    let mut rows = BufReader::new(first.stdout.take().expect("piped")).lines();
    for _ in 0..HALF {
        rows.next().expect("a row").expect("text");
    }
    first.kill().expect("killed");
    first.wait().expect("reaped");

    // The second outlives its daemon: it connects again and asks again.
    let mut second = streaming(&daemon, &args);
    let mut rows = BufReader::new(second.stdout.take().expect("piped")).lines();
    let mut told = Vec::new();
    for _ in 0..2 * HALF {
        told.push(rows.next().expect("a row").expect("text"));
    }
    daemon.crash();
    let daemon = home.start().await;
    told.extend(rows.map(|row| row.expect("text")));
    assert_eq!(second.wait().expect("ended").code(), Some(0), "{told:?}");

    let id = |row: &String| {
        let row: Value = serde_json::from_str(row).expect("an object a line");
        row["task_id"].as_str().expect("an id").to_owned()
    };
    let told: Vec<String> = told.iter().map(id).collect();
    assert_eq!((told.len(), told.iter().collect::<BTreeSet<_>>().len()), (LINES, LINES));
    let listed = daemon.cynicctl(["history", "--json", "--limit", "10000"]);
    let stored: Vec<String> = listed.out.lines().map(|row| id(&row.to_owned())).collect();
    assert_eq!(stored.len(), LINES, "each is stored once");
    assert_eq!(stored.iter().collect::<BTreeSet<_>>(), told.iter().collect::<BTreeSet<_>>());
}

#[tokio::test]
async fn a_stream_of_the_librarys_has_no_more_in_flight_than_its_credit() {
    const CREDIT: u32 = 8;
    const ITEMS: u64 = 100;
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.client().await;
    let (mut items, mut answers) = client.stream(Flow { items: CREDIT, ..Flow::default() });
    let sender = tokio::spawn(async move {
        for _ in 0..ITEMS {
            items.send(plain_request(), text()).await.expect("wanted");
        }
    });
    // Nobody takes an answer: what there is credit for is judged, and nothing else is even sent.
    let stats = daemon
        .until("the credit is spent", |stats| stats.pool.tasks_processed == u64::from(CREDIT))
        .await;
    assert_eq!(stats.pool.tasks_queued, u64::from(CREDIT));
    assert!(!sender.is_finished());
    let mut taken = 0;
    while let Some(answer) = answers.next().await {
        assert_eq!(answer.number, taken, "in order");
        assert!(matches!(answer.outcome, Ok(Outcome::Judged(_))), "{answer:?}");
        taken += 1;
        let accepted = daemon.stats().await.pool.tasks_queued;
        assert!(accepted <= taken + u64::from(CREDIT), "{accepted} sent, {taken} taken");
    }
    assert_eq!(taken, ITEMS);
    sender.await.expect("no panic");

    let flow = Flow { items: CREDIT, bytes: 1, ordered: false, ..Flow::default() };
    let (mut items, answers) = client.stream(flow);
    items.send(plain_request(), text()).await.expect("wanted: a large item goes alone");
    drop(answers);
    assert_eq!(items.send(plain_request(), text()).await, Err(StreamClosed));
}

/// As many as are wanted: `STREAM_ITEMS=200000 cargo test --release -p cynic-tests --test integration constant_memory`.
fn items_wanted() -> usize {
    std::env::var("STREAM_ITEMS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

/// A bound on memory, not on time: nobody reads the output, then somebody reads all of it.
#[tokio::test]
async fn a_long_stream_takes_constant_memory_whoever_is_slow() {
    /// What the program may take of an input whose output nobody reads: its window, its buffers and two pipes.
    const TAKEN_BYTES_MAX: usize = 1024 * 1024;
    /// What each process may take, however long the stream is: several times what it takes when it begins.
    const CLIENT_BYTES_MAX: u64 = 48 * 1024 * 1024;
    const DAEMON_BYTES_MAX: u64 = 128 * 1024 * 1024;
    let count = items_wanted();
    let home = Home::new("");
    let daemon = home.start().await;
    let mut run = streaming(&daemon, &["judge", "--jsonl", "--json", "-"]);
    let (pid, mut input) = (run.id(), run.stdin.take().expect("piped"));
    let fed = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let feeder = std::thread::spawn({
        let fed = std::sync::Arc::clone(&fed);
        move || {
            for line in lines(count).split_inclusive('\n') {
                input.write_all(line.as_bytes()).expect("taken");
                fed.fetch_add(line.len(), std::sync::atomic::Ordering::Relaxed);
            }
        }
    });
    let taken = || fed.load(std::sync::atomic::Ordering::Relaxed);
    // The output's pipe is full when the daemon has nothing to do although there is more to judge. However early this
    // looks, more than the bound must never have been taken.
    let seen = std::cell::Cell::new((0, 0));
    daemon
        .until("the output is full", |stats| {
            assert!(taken() < TAKEN_BYTES_MAX, "{} bytes taken, none shown", taken());
            let now = (stats.pool.tasks_processed as usize, taken());
            let stands = now == seen.get() && now.0 > 0 && stats.pool.active_tasks == 0;
            seen.set(now);
            stands
        })
        .await;
    let mut rows = BufReader::new(run.stdout.take().expect("piped")).lines();
    let memory = || (procfs::memory_bytes(pid), daemon.memory_bytes());
    for n in 1..=count {
        let row = rows.next().expect("a row for each line").expect("text");
        assert!(row.starts_with(&format!(r#"{{"id":"-:{n}""#)), "in order: {row}");
        // While there is more to come: a program that has ended takes none.
        if n % (count / 10) == 0 && n < count {
            let (client, daemon) = memory();
            println!("{n} items: client {client}, daemon {daemon} bytes");
            assert!(client <= CLIENT_BYTES_MAX && daemon <= DAEMON_BYTES_MAX);
        }
    }
    assert!(rows.next().is_none());
    feeder.join().expect("no panic");
    assert_eq!(run.wait().expect("ended").code(), Some(0));
}
