//! What the daemon spends on a judgment as everything grows: workers, clients, and what it has judged before.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cynic_proto::client::{Client, Outcome};
use cynic_proto::message::{Judge, Lane};
use cynic_tests::daemon::{Daemon, Home, binary};
use cynic_tests::procfs;
use tokio::task::JoinSet;

use crate::pool::{judged, rate};
use crate::trip::null_request;
use crate::{items, line, title};

/// How long each figure is measured.
const TIME: Duration = Duration::from_secs(3);

/// Numbers of workers. Each waits 5 ms for a judgment's scorers, so that more of them than processors are of use.
const WORKERS: [usize; 4] = [1, 4, 16, 64];

/// Numbers of clients, each with a connection of its own and one task in flight.
const CLIENTS: [usize; 4] = [1, 10, 100, 1000];

/// Lines of the last table: each stands for that part of the judgments.
const PARTS: u64 = 10;

/// In flight at once in that table.
const IN_FLIGHT: usize = 512;

pub(crate) async fn measure(judgments: u64) {
    workers().await;
    clients().await;
    history(judgments).await;
}

async fn workers() {
    title("workers that wait 5 ms, two tasks each", &["judged/s", "daemon us"]);
    for size in WORKERS {
        let worker = binary("patient_worker");
        let home =
            Home::new(&format!("[pool]\nsize = {size}\nworker = \"{}\"\n", worker.display()));
        let daemon = home.start().await;
        daemon.until("all workers idle", |s| s.pool.workers_idle as usize == size).await;
        let clients = vec![daemon.client().await];
        let spent =
            drive(&daemon, &clients, 2 * size, || judged(Lane::Interactive), Until::time()).await;
        line(&format!("{size} workers"), &[rate(spent.per_s), micros(spent.cpu_us)]);
        assert_eq!(daemon.stop().await, Some(0));
    }
}

async fn clients() {
    title("clients with one null task each", &["tasks/s", "daemon us"]);
    let home = Home::new("[clients]\nmax = 4000\n");
    let daemon = home.start().await;
    for count in CLIENTS {
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(daemon.client().await);
        }
        let request = || null_request(Lane::Interactive);
        let spent = drive(&daemon, &clients, 1, request, Until::time()).await;
        line(&format!("{count} clients"), &[rate(spent.per_s), micros(spent.cpu_us)]);
    }
    assert_eq!(daemon.stop().await, Some(0));
}

/// Judged and stored, with a retention that has to delete nearly all of it.
async fn history(judgments: u64) {
    title(
        &format!("{judgments} judgments of 200 B, stored, 200,000 kept"),
        &["judged/s", "daemon us", "memory MiB", "store MiB"],
    );
    let home = Home::new("[recorder]\nretention_rows = 200000\n");
    let daemon = home.start().await;
    let clients = vec![daemon.client().await];
    for part in 1..=PARTS {
        let until = Until::Done(judgments / PARTS);
        let spent = drive(&daemon, &clients, IN_FLIGHT, || judged(Lane::Bulk), until).await;
        let memory = daemon.memory_bytes() as f64 / 1_048_576.0;
        let store = std::fs::metadata(home.path("data/cynic.db")).map_or(0, |meta| meta.len());
        let figures = [
            rate(spent.per_s),
            micros(spent.cpu_us),
            format!("{memory:.1}"),
            format!("{}", store / 1_048_576),
        ];
        line(&format!("up to {}", part * (judgments / PARTS)), &figures);
    }
    assert_eq!(daemon.stop().await, Some(0));
}

fn micros(us: f64) -> String {
    format!("{us:.1}")
}

/// When it is enough.
#[derive(Clone, Copy)]
enum Until {
    Time(Instant),
    Done(u64),
}

impl Until {
    fn time() -> Until {
        Until::Time(Instant::now() + TIME)
    }
}

struct Spent {
    per_s: f64,
    /// Processor time of the daemon, without its workers, for each task.
    cpu_us: f64,
}

/// Keeps so many tasks of each client in flight.
async fn drive(
    daemon: &Daemon,
    clients: &[Client],
    in_flight: usize,
    request: fn() -> Judge,
    until: Until,
) -> Spent {
    let item = Bytes::from(items::text("mail/ordinary.eml", 200));
    let flights = (clients.len() * in_flight) as u64;
    let (began, before) = (Instant::now(), procfs::cpu_s(daemon.pid()));
    let mut running = JoinSet::new();
    for client in clients {
        for _ in 0..in_flight {
            let (client, item) = (client.clone(), item.clone());
            running.spawn(async move {
                let mut done = 0;
                while match until {
                    Until::Time(end) => Instant::now() < end,
                    Until::Done(all) => done < all / flights,
                } {
                    let outcome = client.judge_sealed(request(), item.clone()).await;
                    let outcome = outcome.expect("an answer");
                    assert!(!matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
                    done += 1;
                }
                done
            });
        }
    }
    let done: u64 = running.join_all().await.into_iter().sum();
    let cpu_s = procfs::cpu_s(daemon.pid()) - before;
    let done = done.max(1) as f64;
    Spent { per_s: done / began.elapsed().as_secs_f64(), cpu_us: cpu_s * 1e6 / done }
}
