//! A worker that is killed, as a client of the daemon sees it.

use std::time::{Duration, Instant};

use cynic_proto::client::{Client, Outcome};
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Lane};
use cynic_proto::stats::{Stats, WorkerStats};
use cynic_tests::daemon::{Daemon, Home, binary, point};
use cynic_tests::raw::{self, RawClient};
use cynic_tests::{load, procfs};
use rustix::process::Signal;

use crate::figure::{Figure, headings};

const RUNS: usize = 200;

/// Storms at start that are healed, and the deaths after which each is: pauses have grown to their longest by then.
const HEALINGS: usize = 5;
const DEATHS: u64 = 16;

/// Idle workers that die again and again at once are replaced with pauses; this one has started well.
const STOOD: Duration = Duration::from_millis(110);

pub(crate) async fn measure() {
    let home = Home::new(&config("cynic-worker", ""));
    let daemon = home.start().await;
    let client = daemon.client().await;
    let (mut replaced, mut answered) = (Vec::new(), Vec::new());
    for n in 0..RUNS {
        replaced.push(replace(&daemon, &client).await);
        answered.push(answer(&daemon, &client, n as u64).await);
    }
    headings("a killed worker, as a client sees it");
    Figure::of(replaced).print("SIGKILL to replaced and ready");
    Figure::of(answered).print("SIGKILL to the task answered by another worker");
    for fault in ["boot_exit", "boot_crash"] {
        let mut healed = Vec::new();
        for _ in 0..HEALINGS {
            healed.push(heal(fault).await);
        }
        Figure::of(healed)
            .print(&format!("all workers die at start ({fault}): cause removed to ready"));
    }
}

/// A daemon none of whose workers comes up, until its pool has given up for the time being; then the cause is removed.
async fn heal(fault: &str) -> Duration {
    let home = Home::new("");
    let link = home.path(fault);
    point(&link, &binary("faulty_worker"));
    home.configure(&format!("[pool]\nsize = 2\nworker = \"{}\"\n", link.display()));
    let daemon = home.launch();
    while RawClient::connect(daemon.socket()).await.is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    daemon
        .until("its pauses are long", |stats| stats.pool.breaker_open && deaths(stats) >= DEATHS)
        .await;
    let mended = Instant::now();
    point(&link, &binary("cynic-worker"));
    daemon.ready().await;
    let healed = mended.elapsed();
    assert_eq!(daemon.stop().await, Some(0));
    healed
}

fn deaths(stats: &Stats) -> u64 {
    stats.pool.deaths.values().sum()
}

/// A daemon with that worker and more configuration behind it.
pub(crate) fn config(worker: &str, more: &str) -> String {
    format!("[pool]\nsize = 2\nworker = \"{}\"\n{more}", binary(worker).display())
}

async fn first(client: &Client) -> WorkerStats {
    let stats = client.stats().await.expect("the figures");
    stats.workers.into_iter().next().expect("a worker")
}

fn kill(pid: u32) -> Instant {
    let start = Instant::now();
    procfs::signal(pid, Signal::KILL);
    start
}

/// A worker that has stood there for a moment is killed.
async fn replace(daemon: &Daemon, client: &Client) -> Duration {
    daemon.settled().await;
    tokio::time::sleep(STOOD).await;
    let victim = first(client).await;
    let start = kill(victim.pid);
    loop {
        let worker = first(client).await;
        if worker.generation > victim.generation && worker.state == "idle" {
            return start.elapsed();
        }
    }
}

/// A stopped worker gets a task, which it cannot even begin; then it is killed.
async fn answer(daemon: &Daemon, client: &Client, n: u64) -> Duration {
    daemon.settled().await;
    let victim = first(client).await;
    procfs::signal(victim.pid, Signal::STOP);
    let request = raw::judge(TaskId::new(), Lane::Interactive, Ack::Judged);
    let asked = {
        let client = client.clone();
        tokio::spawn(async move {
            (client.judge(request, load::ordinary(n).into()).await, Instant::now())
        })
    };
    while first(client).await.state != "busy" {}
    let start = kill(victim.pid);
    let (outcome, end) = asked.await.expect("asked");
    let Ok(Outcome::Judged(judged)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(judged.judged.attempts, 2);
    end.duration_since(start)
}
