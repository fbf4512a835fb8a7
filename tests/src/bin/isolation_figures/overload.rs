//! More work than the daemon can do: who waits, who is refused, and what it costs the daemon.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use cynic_proto::error::ErrorKind;
use cynic_proto::message::Lane;
use cynic_tests::daemon::{Daemon, Home};
use cynic_tests::load::{self, Plan, Tally, quantile};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::runtime::Builder;

use crate::daemon::config;

/// How much more than can be done is offered.
const TIMES: f64 = 10.0;

/// Interactive tasks in a second of the client whose latency is looked at.
const PROBE_RATE: f64 = 200.0;

/// Clients that offer too much together.
const FLOOD_CLIENTS: u64 = 8;

/// Tasks that each of them has in flight at most: more than the queue takes.
const FLOOD_IN_FLIGHT: usize = 2000;

/// Which processors the flood's clients run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processors {
    /// Those of the daemon: what clients take of them, the daemon lacks.
    Shared,
    /// The last one, and everybody else on the others: what is left is the daemon's own doing.
    Apart,
}

impl Processors {
    /// Puts this thread, and what it starts, where it belongs.
    fn enter(self, flood: bool) {
        // Of this program's start: afterwards it would be told of those only that it is confined to.
        static COUNT: LazyLock<usize> =
            LazyLock::new(|| available_parallelism().map_or(1, NonZeroUsize::get));
        let count = *COUNT;
        let mut cpus = CpuSet::new();
        for cpu in 0..count {
            if self == Processors::Shared || flood == (cpu + 1 == count) {
                cpus.set(cpu);
            }
        }
        sched_setaffinity(None, &cpus).expect("more than one processor");
    }
}

pub(crate) async fn measure(time: Duration, processors: Processors) {
    processors.enter(false);
    measure_here(time, processors).await;
    Processors::Shared.enter(false);
}

async fn measure_here(time: Duration, processors: Processors) {
    let home = Home::new(&config("cynic-worker", ""));
    let daemon = home.start().await;
    let socket = daemon.socket();
    // Twice, and the second counts: what the caches gain from the first falls on nobody.
    let _ = load::send(socket, Plan::ordinary(Lane::Bulk, 256, time / 4), 1 << 40).await;
    let capacity =
        load::send(socket, Plan::ordinary(Lane::Bulk, 256, time / 2), 2 << 40).await.rate();
    daemon.settled().await;
    let unloaded = probe(&daemon, time / 2, 3 << 40).await;
    let memory = daemon.memory_bytes();
    println!(
        "\noverload, processors {processors:?}: {capacity:.0} bulk judgments/s are possible; {TIMES} times that is offered for {time:?}"
    );
    for (lane, n) in [(Lane::Bulk, 4), (Lane::Interactive, 5)] {
        let (probed, (flood, memory_most)) = tokio::join!(
            probe(&daemon, time, n << 40),
            flood(&daemon, lane, capacity * TIMES, time, n << 44, processors)
        );
        let over = Instant::now();
        daemon.settled().await;
        let settled = over.elapsed();
        let after = probe(&daemon, time / 4, n << 48).await;
        println!("  flood in the {lane:?} lane by {FLOOD_CLIENTS} clients");
        let reached = flood.sent as f64 / flood.took.as_secs_f64();
        println!(
            "    reached the daemon {reached:.0}/s, judged {:.0}/s, busy {}, without a hint {}, other failures {}",
            flood.rate(),
            flood.failed(ErrorKind::Busy),
            flood.without_hint,
            flood.failed.values().sum::<u64>() - flood.failed(ErrorKind::Busy),
        );
        let line = |name: &str, tally: &Tally| {
            let p = |share| quantile(&mut tally.latencies.clone(), share).as_secs_f64() * 1e3;
            println!("    {name:<40} p50 {:.2} ms, p99 {:.2} ms", p(0.5), p(0.99));
        };
        line("interactive client, unloaded", &unloaded);
        line("interactive client, in the flood", &probed);
        line("interactive client, after it", &after);
        line("the flood's own judged tasks", &flood);
        let p99 = |tally: &Tally| quantile(&mut tally.latencies.clone(), 0.99).as_secs_f64();
        let refused: u64 = probed.failed.values().sum();
        println!(
            "    p99 in the flood / unloaded: {:.2}; refused {refused}",
            p99(&probed) / p99(&unloaded)
        );
        println!(
            "    the daemon's memory: {} MiB before, {} MiB at most",
            memory >> 20,
            memory_most >> 20
        );
        println!(
            "    every queue empty {:.1} ms after the last answer",
            settled.as_secs_f64() * 1e3
        );
    }
}

/// On a thread of its own, as another client would be: a flood must not be felt through this program's own runtime.
async fn probe(daemon: &Daemon, time: Duration, first: u64) -> Tally {
    let plan = Plan { rate: Some(PROBE_RATE), ..Plan::ordinary(Lane::Interactive, 64, time) };
    let socket = daemon.socket().to_owned();
    let alone = tokio::task::spawn_blocking(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(load::send(&socket, plan, first))
    });
    alone.await.expect("every task is answered exactly once")
}

/// Offers work at a rate, on a thread of its own; returns what came of it and the most memory that the daemon had.
async fn flood(
    daemon: &Daemon,
    lane: Lane,
    rate: f64,
    time: Duration,
    first: u64,
    processors: Processors,
) -> (Tally, u64) {
    let rate = Some(rate / FLOOD_CLIENTS as f64);
    let plan = Plan { rate, ..Plan::ordinary(lane, FLOOD_IN_FLIGHT, time) };
    let socket = daemon.socket().to_owned();
    let mut flooding = tokio::task::spawn_blocking(move || {
        processors.enter(true);
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let tally = runtime.block_on(async {
            let mut clients = tokio::task::JoinSet::new();
            for client in 0..FLOOD_CLIENTS {
                let (socket, plan) = (socket.clone(), plan.clone());
                clients
                    .spawn(async move { load::send(&socket, plan, first + (client << 32)).await });
            }
            let mut tally = Tally::default();
            while let Some(client) = clients.join_next().await {
                tally.add(client.expect("every task is answered exactly once"));
            }
            tally
        });
        processors.enter(false);
        tally
    });
    let mut memory = 0;
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            tally = &mut flooding => return (tally.expect("every task is answered exactly once"), memory),
            _ = looks.tick() => memory = memory.max(daemon.memory_bytes()),
        }
    }
}

/// A client that keeps ten times as much in flight as another.
pub(crate) async fn measure_fairness(time: Duration) {
    const GREEDY: usize = 600;
    const MODEST: usize = 60;
    let home = Home::new(&config("cynic-worker", ""));
    let daemon = home.start().await;
    println!("\nfairness: one client with {GREEDY} tasks in flight, one with {MODEST}");
    for (lane, n) in [(Lane::Interactive, 1), (Lane::Bulk, 2)] {
        let plan = |in_flight| Plan::ordinary(lane, in_flight, time);
        let (greedy, modest) = tokio::join!(
            load::send(daemon.socket(), plan(GREEDY), n << 40),
            load::send(daemon.socket(), plan(MODEST), n << 44)
        );
        let (greedy, modest) = (greedy.judged_in_time, modest.judged_in_time);
        let share = 100.0 * modest as f64 / (greedy + modest) as f64;
        println!(
            "  {lane:?}: the modest client gets {share:.1}% ({modest} of {})",
            greedy + modest
        );
    }
}
