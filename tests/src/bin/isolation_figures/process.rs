//! One worker process: its start, its death, and what the sandbox costs it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cynic_proto::ids::TaskId;
use cynic_proto::item::Hint;
use cynic_proto::sandbox::SandboxMode;
use cynic_proto::worker::{FromWorker, Lease, LeaseItem, ToWorker};
use cynic_tests::load;
use cynic_tests::worker::Conversation;
use cynicd::process::Spawner;

use crate::figure::{Figure, headings};

/// Enough for a 99th percentile to mean something.
const RUNS: usize = 300;

pub(crate) async fn measure() {
    let program = worker();
    let spawner = Spawner::start().expect("a thread");
    // The first ones pay for a cold page cache.
    for _ in 0..10 {
        Conversation::begin(&spawner, &program, SandboxMode::Required).await;
    }
    headings("one worker process");
    let (mut free, mut confined) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        free.push(start(&spawner, &program, SandboxMode::Off).await);
        confined.push(start(&spawner, &program, SandboxMode::Required).await);
    }
    Figure::of(free).print("spawn to ready, without sandbox");
    Figure::of(confined).print("spawn to ready, with sandbox");
    deaths(&spawner, &program).await;
    let mut free = Conversation::begin(&spawner, &program, SandboxMode::Off).await;
    let mut confined = Conversation::begin(&spawner, &program, SandboxMode::Required).await;
    let (mut of_free, mut of_confined) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    // In turns, so that whatever else the machine does falls on both.
    for n in 0..20 * RUNS as u64 {
        of_free.0.push(ping(&mut free, n).await);
        of_confined.0.push(ping(&mut confined, n).await);
        of_free.1.push(judge(&mut free, n).await);
        of_confined.1.push(judge(&mut confined, n).await);
    }
    Figure::of(of_free.0).print("one message there and back, without sandbox");
    Figure::of(of_confined.0).print("one message there and back, with sandbox");
    Figure::of(of_free.1).print("one judgment, without sandbox");
    Figure::of(of_confined.1).print("one judgment, with sandbox");
}

/// The product's worker, beside this program.
fn worker() -> PathBuf {
    let this = std::env::current_exe().expect("a path");
    let worker = this.with_file_name("cynic-worker");
    assert!(worker.exists(), "build the worker first: cargo build --release -p cynic-worker");
    worker
}

async fn start(spawner: &Spawner, program: &Path, mode: SandboxMode) -> Duration {
    let start = Instant::now();
    let conversation = Conversation::begin(spawner, program, mode).await;
    let taken = start.elapsed();
    drop(conversation);
    taken
}

/// From the kill of a worker to its death being known, and to its replacement being ready.
async fn deaths(spawner: &Spawner, program: &Path) {
    let (mut noticed, mut replaced) = (Vec::new(), Vec::new());
    let mut conversation = Conversation::begin(spawner, program, SandboxMode::Required).await;
    for _ in 0..RUNS {
        let start = Instant::now();
        conversation.worker.process.kill().expect("killed");
        conversation.worker.process.exited().await.expect("told");
        noticed.push(start.elapsed());
        conversation = Conversation::begin(spawner, program, SandboxMode::Required).await;
        replaced.push(start.elapsed());
    }
    Figure::of(noticed).print("SIGKILL to noticed and reaped");
    Figure::of(replaced).print("SIGKILL to replaced and ready");
}

async fn ping(conversation: &mut Conversation, n: u64) -> Duration {
    let start = Instant::now();
    conversation.tell(&ToWorker::Ping(n), &[]).await;
    assert_eq!(conversation.answer().await, FromWorker::Pong(n));
    start.elapsed()
}

async fn judge(conversation: &mut Conversation, n: u64) -> Duration {
    let payload = load::ordinary(n);
    let item = LeaseItem {
        task: TaskId::new(),
        bytes: payload.len() as u32,
        hint: Hint::default(),
        soft_budget_us: 200_000,
    };
    let lease = ToWorker::Lease(Lease { nonce: n, skip: 0, items: vec![item] });
    let start = Instant::now();
    conversation.tell(&lease, &payload).await;
    assert!(matches!(conversation.answer().await, FromWorker::Done { nonce, .. } if nonce == n));
    start.elapsed()
}
