//! Good work among poison and kills: how much of its throughput is left.

use std::time::{Duration, Instant};

use cynic_proto::message::Lane;
use cynic_tests::daemon::{Daemon, Home};
use cynic_tests::load::{self, Plan, Tally, quantile};
use cynic_tests::procfs;
use rustix::process::Signal;

use crate::daemon::config;

/// Clients that send good work.
const CLIENTS: u64 = 4;

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
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let (socket, plan) = (daemon.socket().to_owned(), plan.clone());
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
