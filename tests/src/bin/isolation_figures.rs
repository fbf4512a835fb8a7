//! Measures what isolation costs: `cargo run --release -p cynic-tests --bin isolation_figures`.
//!
//! Uses the real worker and the supervisor's own process handling. Prints medians and 99th percentiles; the
//! ratios say more than the absolute figures.

#![expect(clippy::print_stdout, reason = "its output is the point")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cynic_proto::sandbox::SandboxMode;
use cynic_proto::worker::{FromWorker, ToWorker};
use cynic_tests::worker::Conversation;
use cynicd::process::Spawner;

/// Enough for a 99th percentile to mean something.
const RUNS: usize = 300;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let program = worker();
    let spawner = Spawner::start().expect("a thread");
    // The first ones pay for a cold page cache.
    for _ in 0..10 {
        Conversation::begin(&spawner, &program, SandboxMode::Required).await;
    }
    println!("{} runs each with {}", RUNS, program.display());
    println!("{:<44} {:>10} {:>10}", "", "p50", "p99");
    let (mut free, mut confined) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        free.push(start(&spawner, &program, SandboxMode::Off).await);
        confined.push(start(&spawner, &program, SandboxMode::Required).await);
    }
    let (free, confined) = (Figure::of(free), Figure::of(confined));
    free.print("spawn to ready, without sandbox");
    confined.print("spawn to ready, with sandbox");
    println!(
        "{:<44} {:>8}us",
        "the sandbox costs at start",
        micros(confined.p50) - micros(free.p50)
    );
    deaths(&spawner, &program).await;
    for (mode, name) in [
        (SandboxMode::Off, "ping and pong, without sandbox"),
        (SandboxMode::Required, "ping and pong, with sandbox"),
    ] {
        Figure::of(pings(&spawner, &program, mode).await).print(name);
    }
}

/// The product's worker, beside this program.
fn worker() -> PathBuf {
    let this = std::env::current_exe().expect("a path");
    let worker = this.with_file_name("cynic-worker");
    assert!(worker.exists(), "build the worker first: cargo build --release -p cynic-worker");
    worker
}

async fn start(spawner: &Spawner, program: &std::path::Path, mode: SandboxMode) -> Duration {
    let start = Instant::now();
    let conversation = Conversation::begin(spawner, program, mode).await;
    let taken = start.elapsed();
    drop(conversation);
    taken
}

/// From the kill of a worker to its death being known, and to its replacement being ready.
async fn deaths(spawner: &Spawner, program: &std::path::Path) {
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

async fn pings(spawner: &Spawner, program: &std::path::Path, mode: SandboxMode) -> Vec<Duration> {
    let mut conversation = Conversation::begin(spawner, program, mode).await;
    let mut taken = Vec::new();
    for n in 0..20 * RUNS as u64 {
        let start = Instant::now();
        conversation.tell(&ToWorker::Ping(n), &[]).await;
        assert_eq!(conversation.answer().await, FromWorker::Pong(n));
        taken.push(start.elapsed());
    }
    taken
}

struct Figure {
    p50: Duration,
    p99: Duration,
}

impl Figure {
    fn of(mut samples: Vec<Duration>) -> Figure {
        samples.sort_unstable();
        let at = |share: f64| samples[((samples.len() - 1) as f64 * share) as usize];
        Figure { p50: at(0.5), p99: at(0.99) }
    }

    fn print(&self, name: &str) {
        println!("{name:<44} {:>8}us {:>8}us", micros(self.p50), micros(self.p99));
    }
}

fn micros(duration: Duration) -> i128 {
    i128::try_from(duration.as_micros()).unwrap_or(i128::MAX)
}
