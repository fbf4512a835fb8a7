//! The event bus: who follows is told, who does not read harms nobody.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use cynic_proto::client::{Client, Outcome};
use cynic_proto::error::{DeathCause, ErrorKind};
use cynic_proto::event::{Event, EventsBatch, EventsQuery, Happening, Kind};
use cynic_proto::message::{Judge, Lane, RefusalKind, Reply, Request};
use cynic_proto::model::Stage;
use cynic_proto::stats::LastDeath;
use cynic_tests::cli::program;
use cynic_tests::daemon::{Daemon, Home};
use cynic_tests::{faults, procfs};
use rustix::process::Signal;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Executor as _};

use crate::{plain_request, request, text};

async fn fetch(client: &Client, query: &EventsQuery) -> EventsBatch {
    let request = Request::Events(Box::new(query.clone()));
    let (reply, _) = client.request(request, Bytes::new()).await.expect("an answer");
    let Reply::Events(batch) = reply else { panic!("{reply:?}") };
    *batch
}

async fn recent(daemon: &Daemon, kinds: &[Kind]) -> Vec<Event> {
    let query = EventsQuery { kinds: kinds.to_vec(), ..EventsQuery::default() };
    fetch(&daemon.client().await, &query).await.events
}

async fn judge(client: &Client) -> Outcome {
    client.judge(plain_request(), text()).await.expect("an answer")
}

/// Tasks asked for at once: far below what the queue takes of one client.
const ROUND: usize = 250;

/// Makes that many rounds of events cheaply: items that cannot be parsed, many in a lease.
async fn reject_many(client: &Client, rounds: usize) {
    for _ in 0..rounds {
        let mut answers = Vec::new();
        for _ in 0..ROUND {
            let client = client.clone();
            answers.push(tokio::spawn(async move { reject(&client).await }));
        }
        for answer in answers {
            answer.await.expect("no panic");
        }
    }
}

async fn reject(client: &Client) {
    let request = Judge { lane: Lane::Bulk, ..request() };
    let outcome = client.judge(request, Bytes::from_static(b"{")).await.expect("an answer");
    let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
    assert!(matches!(error.kind, ErrorKind::InvalidItem(_)), "{error:?}");
}

#[tokio::test]
async fn what_happens_is_told_in_order() {
    let home = Home::new("[pool]\nsize = 1");
    let daemon = home.start().await;
    let client = daemon.client().await;
    judge(&client).await;
    let broken = Bytes::from_static(b"{\"content\": \"secret words");
    client.judge(request(), broken).await.expect("an answer");
    let events = recent(&daemon, &[]).await;
    let kinds: Vec<Kind> = events.iter().map(|event| event.what.kind()).collect();
    let expected = [
        Kind::WorkerSpawned,
        Kind::WorkerReady,
        Kind::PoolReady,
        Kind::JudgmentCompleted,
        Kind::JudgmentFailed,
    ];
    assert_eq!(kinds, expected);
    assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    let told = format!("{events:?}");
    assert!(!told.contains("secret") && !told.contains("minutes"), "{told}");
}

#[tokio::test]
async fn a_killed_worker_is_an_event_with_its_cause() {
    let home = Home::new("[pool]\nsize = 1");
    let daemon = home.start().await;
    let client = daemon.client().await;
    procfs::signal(daemon.workers()[0], Signal::KILL);
    let kinds = vec![Kind::WorkerDied, Kind::WorkerReady];
    let query = EventsQuery { kinds, recent: true, follow: true };
    let mut told = Vec::new();
    while told.len() < 3 {
        told.extend(fetch(&client, &query).await.events.into_iter().map(|event| event.what));
    }
    let [first, Happening::WorkerDied { cause, worker, .. }, second] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((cause, worker.generation), (&DeathCause::Signal(9), 1));
    for (ready, generation) in [(first, 1), (second, 2)] {
        let Happening::WorkerReady { worker, .. } = ready else { panic!("{told:?}") };
        assert_eq!(worker.generation, generation);
    }
}

#[tokio::test]
async fn who_does_not_read_is_told_what_it_missed_and_slows_nobody() {
    const ROUNDS: usize = 14;
    let home = Home::new("");
    let daemon = home.start().await;
    let (reader, client) = (daemon.client().await, daemon.client().await);
    let query = EventsQuery { kinds: vec![Kind::JudgmentFailed], recent: true, follow: true };
    reject(&client).await;
    // Subscribed from here on, and then silent.
    let first = fetch(&reader, &query).await;
    let before = daemon.memory_bytes();
    reject_many(&client, ROUNDS).await;
    let (mut told, mut missed) = (first.events.len() as u64, first.missed);
    let completed = daemon.stats().await.pool.tasks_processed;
    while told + missed < completed {
        let batch = fetch(&reader, &query).await;
        told += batch.events.len() as u64;
        missed += batch.missed;
    }
    assert_eq!(told + missed, completed, "each is told or counted");
    assert!(missed > 0 && told > 0, "{told} told, {missed} missed");
    let grown = daemon.memory_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
}

#[tokio::test]
async fn one_connection_waits_once() {
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.client().await;
    let query = EventsQuery { kinds: vec![Kind::StoreFull], recent: false, follow: true };
    let request = Request::Events(Box::new(query));
    let first = client.request(request.clone(), Bytes::new());
    let second = client.request(request, Bytes::new());
    tokio::select! {
        biased;
        answer = first => panic!("{answer:?}"),
        answer = second => {
            let (reply, _) = answer.expect("an answer");
            let Reply::Refused { kind, .. } = reply else { panic!("{reply:?}") };
            assert_eq!(kind, RefusalKind::Unavailable);
        }
    }
}

#[tokio::test]
async fn the_command_line_prints_lines_of_json() {
    let home = Home::new("[pool]\nsize = 1");
    let daemon = home.start().await;
    judge(&daemon.client().await).await;
    let ended = daemon.cynicctl(["events", "--kind", "judgment,pool"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let lines = ended.json();
    assert_eq!(lines[0]["kind"], "pool.ready");
    assert_eq!(lines[1]["kind"], "judgment.completed");
    assert!(lines[1]["task_id"].is_string() && lines[1]["verdict"].is_string(), "{lines:?}");
    let wrong = daemon.cynicctl(["events", "--kind", "nonsense"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("worker.died"), "{}", wrong.err);
}

#[tokio::test]
async fn the_story_of_an_item_that_kills_its_workers() {
    let worker = env!("CARGO_BIN_EXE_faulty_worker");
    let home = Home::new(&format!("[pool]\nsize = 1\nworker = \"{worker}\""));
    let daemon = home.start().await;
    let client = daemon.client().await;
    let judge = request();
    let outcome = client.judge(judge.clone(), faults::item("uncaught_panic").into()).await;
    let Outcome::Failed { error, .. } = outcome.expect("an answer") else { panic!("judged") };
    assert_eq!(error.kind, ErrorKind::Quarantined);
    let kinds = [Kind::WorkerDied, Kind::TaskQuarantined, Kind::JudgmentFailed];
    let told = recent(&daemon, &kinds).await;
    let mut deaths = 0;
    for event in &told {
        let Happening::WorkerDied { cause, task, stage, attempts, stderr_tail, .. } = &event.what
        else {
            continue;
        };
        deaths += 1;
        assert_eq!((cause, *task), (&DeathCause::Signal(6), Some(judge.task)));
        assert_eq!(*stage, Some(Stage::Score));
        // Where, not what: that may quote the item.
        assert!(stderr_tail.contains("panicked at tests/src/faults.rs"), "{stderr_tail}");
        assert!(!stderr_tail.contains("the first panic"), "{stderr_tail}");
        assert_eq!(*attempts, Some(deaths));
    }
    assert_eq!(deaths, 3, "{told:?}");
    // Whoever looks later still sees them.
    let last = daemon.stats().await.last_deaths;
    let cause = DeathCause::Signal(6).to_string();
    let as_told = |death: &LastDeath| death.cause == cause && death.doing.starts_with("score");
    assert!(last.len() == 3 && last.iter().all(as_told), "{last:?}");
    let uid = rustix::process::geteuid().as_raw();
    let quarantined = Happening::TaskQuarantined { task: judge.task, uid };
    assert!(told.iter().any(|event| event.what == quarantined), "{told:?}");
    let failed = |what: &Happening| {
        let Happening::JudgmentFailed { task, error, cause, .. } = what else { return false };
        (*task, *error, cause) == (judge.task, ErrorKind::Quarantined, &Some(DeathCause::Signal(6)))
    };
    assert!(told.iter().any(|event| failed(&event.what)), "{told:?}");
}

/// What a follower is told of those kinds until it is one of that kind.
async fn until(client: &Client, kind: Kind) -> Vec<Happening> {
    let kinds = vec![Kind::StoreDegraded, Kind::StoreRecovered, Kind::StoreDeadLetter];
    let query = EventsQuery { kinds, recent: true, follow: true };
    let mut told = Vec::new();
    let wait = async {
        while !told.iter().any(|what: &Happening| what.kind() == kind) {
            told.extend(fetch(client, &query).await.events.into_iter().map(|event| event.what));
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait).await.expect("an event of that kind");
    told
}

async fn database(home: &Home) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(home.path("data/cynic.db"));
    options.connect().await.expect("the database")
}

#[tokio::test]
async fn a_store_that_is_locked_is_degraded_until_it_is_not() {
    let home = Home::new("");
    let daemon = home.start().await;
    let (client, follower) = (daemon.client().await, daemon.client().await);
    let mut lock = database(&home).await;
    lock.execute("BEGIN EXCLUSIVE").await.expect("locked");
    judge(&client).await;
    let told = until(&follower, Kind::StoreDegraded).await;
    assert!(
        matches!(&told[..], [Happening::StoreDegraded { reason }] if !reason.is_empty()),
        "{told:?}"
    );
    assert!(client.ping().await.expect("alive").degraded);
    lock.execute("ROLLBACK").await.expect("unlocked");
    let told = until(&follower, Kind::StoreRecovered).await;
    assert!(matches!(told.last(), Some(Happening::StoreRecovered { .. })), "{told:?}");
    daemon
        .until("it is stored", |stats| stats.recorder.flushed > 0 && stats.degraded.is_empty())
        .await;
}

#[tokio::test]
async fn what_the_database_refuses_is_an_event() {
    let home = Home::new("");
    let daemon = home.start().await;
    let trigger = "CREATE TRIGGER refuse BEFORE INSERT ON judgments WHEN NEW.item_id = 'refused'
                   BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    database(&home).await.execute(trigger).await.expect("a trigger");
    let client = daemon.client().await;
    for id in ["taken", "refused"] {
        let item =
            format!("{{\"id\": \"{id}\", \"content\": \"The meeting is moved to Friday.\"}}");
        client.judge(request(), item.into()).await.expect("an answer");
    }
    let told = until(&client, Kind::StoreDeadLetter).await;
    assert_eq!(told, [Happening::StoreDeadLetter { count: 1 }]);
}

/// The whole way of a slow reader: the program's output is full, so it does not ask, so the daemon drops and counts.
#[tokio::test]
async fn a_program_whose_output_nobody_takes_misses_events_and_says_so() {
    const ROUNDS: usize = 18;
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.client().await;
    reject(&client).await;
    let args = ["events", "--follow", "--recent", "--kind", "judgment.failed"];
    let mut command = program("cynicctl");
    command.arg("--socket").arg(daemon.socket()).args(args).stdout(Stdio::piped());
    let mut follower = command.spawn().expect("a program");
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("text");
    assert!(first.contains("judgment.failed"), "{first}");
    // Nobody reads from here on, until all is judged.
    reject_many(&client, ROUNDS).await;
    let (mut told, mut missed, mut last) = (0, 0, 0);
    while told + missed < ROUNDS * ROUND {
        let line = lines.next().expect("a line").expect("text");
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        if let Some(n) = line["missed"].as_u64() {
            missed += n as usize;
        } else {
            let seq = line["seq"].as_u64().expect("a number");
            assert!(seq > last, "in order");
            (last, told) = (seq, told + 1);
        }
    }
    assert_eq!(told + missed, ROUNDS * ROUND);
    assert!(missed > 0 && told > 0, "{told} told, {missed} missed");
    follower.kill().expect("killed");
    follower.wait().expect("reaped");
}
