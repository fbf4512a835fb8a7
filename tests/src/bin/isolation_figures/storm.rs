//! Good work among poison and kills: how much of its throughput is left.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cynic_proto::message::Lane;
use cynic_tests::daemon::{Daemon, Home, PATIENCE};
use cynic_tests::load::{self, Plan, Tally, quantile};
use cynic_tests::procfs;
use rustix::process::Signal;

use crate::daemon::config;

/// Clients that send good work.
const CLIENTS: u64 = 4;

/// Bursts of each size, of which the median is told.
const BURSTS_EACH: u64 = 3;

/// Tasks that each has in flight.
const IN_FLIGHT: usize = 16;

/// A worker is killed this often, and every fifth time stopped instead.
const KILL_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) async fn measure(time: Duration) {
    println!(
        "\n{:<44} {:>12} {:>8} {:>10} {:>20}",
        "throughput", "judged/s", "of it", "p99", "not judged"
    );
    let home = Home::new(&config("faulty_worker", "[deadlines]\nsoft_ms = 100\nhard_ms = 300\n"));
    let daemon = home.start().await;
    // What the caches gain from the first seconds falls on nobody.
    let _ = work(&daemon, time / 4, None, 1).await;
    let mut number = 2;
    for (name, poison, kills) in [
        ("1 item in 1000 kills its worker", Some(1000), false),
        ("1 item in 100 kills its worker", Some(100), false),
        ("10 workers a second killed or stopped", None, true),
        ("all of that", Some(100), true),
    ] {
        // Each beside a run without faults, so that whatever else the machine does falls on both.
        let free = work(&daemon, time, None, number).await;
        let killing = kills.then(|| kill_workers(&daemon, time));
        let end = Instant::now() + time;
        let (tally, ()) = tokio::join!(work(&daemon, time, poison, number + 1), async {
            if let Some(killing) = killing {
                killing.await;
            }
        });
        number += 2;
        assert!(Instant::now() >= end);
        daemon.settled().await;
        print("good work alone", &free, &free);
        print(name, &tally, &free);
    }
}

/// Poison that one client sends at once while others send good work, and no dimension that could be left out for it: the
/// worst case. What it takes from the others is looked at for as long as it lasts, and for a second at least.
pub(crate) async fn measure_bursts() {
    const BURSTS: [u64; 2] = [20, 200];
    println!(
        "\n{:<44} {:>12} {:>12} {:>8} {:>20}",
        "a burst of poison by one client", "good/s", "of it", "burst over", "answers"
    );
    let slow = "dimension_failures_max = 1000000\n[deadlines]\nsoft_ms = 100\nhard_ms = 300\n";
    let home = Home::new(&config("faulty_worker", slow));
    let daemon = home.start().await;
    for (n, (lane, size)) in [Lane::Interactive, Lane::Bulk]
        .into_iter()
        .flat_map(|lane| BURSTS.map(|size| (lane, size)))
        .enumerate()
    {
        let mut runs = Vec::new();
        for repeat in 0..BURSTS_EACH {
            runs.push(burst(&daemon, lane, size, 2 * (BURSTS_EACH * n as u64 + repeat)).await);
        }
        runs.sort_by(|one, other| one.share.total_cmp(&other.share));
        let Burst { share, good, took, answers } = &runs[runs.len() / 2];
        let (least, most) = (100.0 * runs[0].share, 100.0 * runs[runs.len() - 1].share);
        let name = format!("{size} in the {lane:?} lane");
        println!(
            "{name:<44} {good:>12.0} {:>7.1}% {:>8.0}ms {answers} ({least:.0} to {most:.0}%)",
            100.0 * share,
            took.as_secs_f64() * 1e3,
        );
    }
}

/// What came of one.
struct Burst {
    /// Of the good work that was done in the seconds before.
    share: f64,
    good: f64,
    took: Duration,
    answers: String,
}

async fn burst(daemon: &Daemon, lane: Lane, size: u64, number: u64) -> Burst {
    // The store's buffers are full by then, or what is stored more slowly would look like the poison's doing.
    const WARM_UP: Duration = Duration::from_secs(7);
    const BEFORE: Duration = Duration::from_secs(4);
    let good = Plan::ordinary(lane, IN_FLIGHT, 4 * PATIENCE);
    let over = good.left.clone();
    let good = tokio::spawn(clients(daemon.socket().to_owned(), good, number));
    tokio::time::sleep(WARM_UP).await;
    let looked_from = Instant::now();
    tokio::time::sleep(BEFORE).await;
    let began = Instant::now();
    let in_flight = usize::try_from(size).expect("small");
    let plan = Plan { poison_one_in: Some(1), ..Plan::ordinary(lane, in_flight, 4 * PATIENCE) };
    let poison =
        load::send(daemon.socket(), plan.at_most(size), ((number + 1) * CLIENTS) << 32).await;
    let took = began.elapsed();
    let looked_at = took.max(Duration::from_secs(1));
    tokio::time::sleep_until((began + looked_at).into()).await;
    over.store(0, Ordering::Relaxed);
    let good = good.await.expect("every task is answered exactly once");
    daemon.settled().await;
    let during = good.rate_between(began, began + looked_at);
    let failed = poison.failed.iter().map(|(kind, count)| format!("{count} {kind}"));
    let judged = (poison.judged > 0).then(|| format!("{} judged", poison.judged));
    let answers: Vec<String> = failed.chain(judged).collect();
    Burst {
        share: during / good.rate_between(looked_from, began),
        good: during,
        took,
        answers: answers.join(", "),
    }
}

fn print(name: &str, tally: &Tally, free: &Tally) {
    let p99 = quantile(&mut tally.latencies.clone(), 0.99);
    let failed: Vec<_> =
        tally.failed.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let failed = failed.join(", ");
    let share = 100.0 * tally.rate() / free.rate();
    println!(
        "{name:<44} {:>12.0} {share:>7.1}% {:>8.1}ms {failed:>20}",
        tally.rate(),
        p99.as_secs_f64() * 1e3
    );
}

async fn work(daemon: &Daemon, time: Duration, poison_one_in: Option<u64>, number: u64) -> Tally {
    let plan = Plan { poison_one_in, ..Plan::ordinary(Lane::Interactive, IN_FLIGHT, time) };
    clients(daemon.socket().to_owned(), plan, number).await
}

/// Several clients with one plan.
async fn clients(socket: PathBuf, plan: Plan, number: u64) -> Tally {
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let (socket, plan) = (socket.clone(), plan.clone());
        let first = (number * CLIENTS + client) << 32;
        clients.spawn(async move { load::send(&socket, plan, first).await });
    }
    let mut tally = Tally::default();
    while let Some(client) = clients.join_next().await {
        tally.add(client.expect("every task is answered exactly once"));
    }
    tally
}

async fn kill_workers(daemon: &Daemon, time: Duration) {
    let end = Instant::now() + time;
    let mut n = 0;
    while Instant::now() < end {
        tokio::time::sleep(KILL_INTERVAL).await;
        n += 1;
        let workers = daemon.workers();
        if let Some(pid) = workers.get(n % workers.len().max(1)) {
            procfs::signal(*pid, if n % 5 == 0 { Signal::STOP } else { Signal::KILL });
        }
    }
}
