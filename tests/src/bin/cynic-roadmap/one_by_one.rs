//! The steps before the pool: one process that judges one item after another, through the worker's host.

use std::time::Duration;

use cynic_judge::{Judge, Options, Panel};
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::item::{Form, Hint};
use cynic_proto::judgment::Judgment;
use cynic_proto::message::{Ack, Timings};
use cynic_proto::model::DIMENSIONS;
use cynic_proto::worker::{Lease, LeaseItem, Outcome};
use cynic_tests::scorers;
use cynic_worker::host::Host;
use cynic_worker::progress::ProgressWriter;
use cynicd::recorder::{Entry, JudgmentEntry, OnSettled, Recorder, RecorderConfig, RecorderHandle};
use sqlx::{Connection as _, SqliteConnection};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::step::{Estimate, Step, timed};

/// How long each step is measured.
const TIME: Duration = Duration::from_secs(4);

/// Writes of one judgment, each a round trip and a commit of its own.
const WRITES: i64 = 7;

/// How long the recorder may take to close, which measures nothing any more.
const CLOSE_BUDGET: Duration = Duration::from_mins(1);

pub(crate) const ITEM: &[u8] = b"The release is moved to Friday because two of the tests fail.";

/// Scorers one after another, writes one after another.
pub(crate) fn baseline(estimate: Estimate) -> Step {
    let name = "baseline: all in sequence";
    Step { estimate: Some(estimate), ..written_singly(name, scorers::in_turn) }
}

/// The scorers of a judgment wait at the same time.
pub(crate) fn concurrent() -> Step {
    written_singly("+ concurrent dimensions", scorers::awaited)
}

fn written_singly(name: &str, panel: fn(&Judge) -> Panel) -> Step {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = runtime();
    let mut store = runtime.block_on(open(&dir.path().join("single.db")));
    let mut judge = Judging::new(panel);
    let mut trips = 0_usize;
    let (latencies, took, cpu_s) = timed(TIME, || {
        let (judgment, details) = judge.judge();
        for n in 0..WRITES {
            runtime.block_on(write(&mut store, n, &judgment, &details));
            trips += 1;
        }
    });
    let round_trips = trips as f64 / latencies.len() as f64;
    Step { name: name.to_owned(), latencies, took, round_trips, cpu_s, estimate: None }
}

/// With the pragmas of the recorder's own store: a commit is on the disk when it returns.
async fn open(path: &std::path::Path) -> SqliteConnection {
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let mut store = SqliteConnection::connect(&url).await.expect("a database");
    for statement in [
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "CREATE TABLE writes (n INTEGER NOT NULL, q REAL NOT NULL, body BLOB NOT NULL)",
    ] {
        sqlx::query(statement).execute(&mut store).await.expect("done");
    }
    store
}

async fn write(store: &mut SqliteConnection, n: i64, judgment: &Judgment, details: &[u8]) {
    sqlx::query("INSERT INTO writes (n, q, body) VALUES (?, ?, ?)")
        .bind(n)
        .bind(judgment.q_score)
        .bind(details)
        .execute(store)
        .await
        .expect("written");
}

/// All of a judgment in one transaction, by the recorder; the answer waits for the commit.
pub(crate) fn batched() -> Step {
    recorded("+ batched writes", |recorder, entry, runtime| {
        let (done, settled) = oneshot::channel();
        let on_settled: OnSettled = Box::new(|fate| drop(done.send(fate)));
        submit(recorder, entry, Some(on_settled));
        runtime.block_on(settled).expect("a fate");
    })
}

/// The answer does not wait.
pub(crate) fn in_background(estimate: Estimate) -> Step {
    let step = recorded("+ background persistence", |recorder, entry, _| {
        submit(recorder, entry, None);
    });
    Step { estimate: Some(estimate), ..step }
}

fn submit(recorder: &RecorderHandle, entry: Entry, on_settled: Option<OnSettled>) {
    assert!(recorder.submit(entry, on_settled).is_ok(), "one at a time is never too much for it");
}

fn recorded(name: &str, store: impl Fn(&RecorderHandle, Entry, &Runtime)) -> Step {
    let dir = tempfile::tempdir().expect("a directory");
    let (recorder, thread) = Recorder::start(RecorderConfig::new(dir.path())).expect("a recorder");
    let runtime = runtime();
    let mut judge = Judging::new(scorers::awaited);
    let (latencies, took, cpu_s) = timed(TIME, || {
        let (judgment, details) = judge.judge();
        store(&recorder, entry(judgment, details), &runtime);
    });
    runtime.block_on(recorder.flush()).expect("flushed");
    let stats = recorder.status().stats;
    assert_eq!(stats.flushed as usize, latencies.len(), "all that was judged is stored");
    runtime.block_on(recorder.close(CLOSE_BUDGET)).expect("closed");
    thread.join().expect("no panic");
    let round_trips = stats.round_trips_per_judgment;
    Step { name: name.to_owned(), latencies, took, round_trips, cpu_s, estimate: None }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

struct Judging {
    host: Host,
}

impl Judging {
    fn new(panel: fn(&Judge) -> Panel) -> Judging {
        let judge = Judge::new(Options::default());
        let panel = panel(&judge);
        let host = Host::new(judge, panel, ProgressWriter::default()).expect("a host");
        Judging { host }
    }

    fn judge(&mut self) -> (Judgment, Vec<u8>) {
        let hint = Hint { form: Form::Plain, ..Hint::default() };
        let task = TaskId::new();
        let item = LeaseItem { task, bytes: ITEM.len() as u32, hint, soft_budget_us: 10_000_000 };
        let lease = Lease { nonce: 1, skip: 0, items: vec![item] };
        let judged = self.host.judge(&lease, 0, ITEM).expect("a judgment");
        let Outcome::Judged(judgment) = judged.outcome else { panic!("{:?}", judged.outcome) };
        assert_eq!(judgment.covered() as usize, DIMENSIONS, "each scorer has had its time");
        (*judgment, judged.explanation)
    }
}

fn entry(judgment: Judgment, explanation: Vec<u8>) -> Entry {
    Entry::Judgment(Box::new(JudgmentEntry {
        task: TaskId::new(),
        judged_at_us: 1_700_000_000_000_000,
        judgment,
        explanation,
        content: None,
        client_uid: 0,
        ack: Ack::Judged,
        worker: WorkerId { slot: 0, generation: 1 },
        attempts: 1,
        timings: Timings::default(),
        calibration: 0,
    }))
}
