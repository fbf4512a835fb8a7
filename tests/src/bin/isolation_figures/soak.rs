//! Hours of work in minutes, with every kind of fault in it: nothing may grow.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cynic_proto::message::{Ack, Lane};
use cynic_tests::daemon::{Daemon, Home};
use cynic_tests::load::{self, Plan, Tally, quantile};
use cynic_tests::procfs;
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::Options;
use crate::daemon::config;
use crate::plot::{Panel, svg};

const CLIENTS: u64 = 4;

/// Faults of the poison; leaks and panics are faults that are survived.
const FAULTS: &[&str] = &[
    "segfault",
    "leak",
    "abort",
    "scorer_panic",
    "exit_7",
    "leak",
    "garbage",
    "stack_overflow",
    "leak",
    "attempt open_a_tcp_socket",
    "huge_length",
    "thousand_panics",
];

const POISON_ONE_IN: u64 = 500;

/// How often memory and descriptors are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// A worker is killed or stopped every so many looks.
const HURT_EVERY: usize = 2;

/// One of the figures of a sample.
type Of = fn(&Sample) -> f64;

/// What was seen at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: f64,
    daemon_mib: f64,
    workers_mib: f64,
    descriptors: f64,
}

pub(crate) async fn measure(options: &Options) {
    let seed = seed();
    let home = Home::new(&config("faulty_worker", "[deadlines]\nsoft_ms = 100\nhard_ms = 500\n"));
    let daemon = home.start().await;
    daemon.settled().await;
    println!("\nsoak: {} tasks, CHAOS_SEED={seed}", options.items);
    let mut clients = JoinSet::new();
    let day = Duration::from_hours(24);
    // All are at work until the last task is sent: a load that changes would be seen as growth.
    let plan = Plan {
        poison_one_in: Some(POISON_ONE_IN),
        faults: FAULTS,
        ..Plan::ordinary(Lane::Interactive, 64, day)
    }
    .at_most(options.items);
    for client in 0..CLIENTS {
        let lane = if client % 2 == 0 { Lane::Bulk } else { Lane::Interactive };
        let ack = if client == 0 { Ack::Stored } else { Ack::Judged };
        let plan = Plan { lane, ack, ..plan.clone() };
        let socket = daemon.socket().to_owned();
        let first = (seed.wrapping_add(client) & 0xFFFF) << 40;
        clients.spawn(async move { load::send(&socket, plan, first).await });
    }
    let (mut tally, samples) = watch(&daemon, clients, seed).await;
    let stats = daemon.settled().await;
    daemon.no_zombies().await;
    let failed: u64 = tally.failed.values().sum();
    assert_eq!(tally.judged + failed, tally.sent, "a task is not answered");
    println!(
        "  {} judged in {:.0} s ({:.0}/s), {failed} given up {:?}",
        tally.judged,
        tally.took.as_secs_f64(),
        tally.rate(),
        tally.failed
    );
    println!(
        "  deaths {:?}, retries {}, recycled {}, quarantined {}",
        stats.pool.deaths, stats.pool.retries, stats.pool.recycled, stats.pool.quarantined
    );
    let p = |tally: &mut Tally, share| quantile(&mut tally.latencies, share).as_secs_f64() * 1e3;
    println!("  latency p50 {:.1} ms, p99 {:.1} ms", p(&mut tally, 0.5), p(&mut tally, 0.99));
    told(&samples);
    if let Some(path) = &options.svg {
        std::fs::write(path, picture(&samples, tally.sent)).expect("written");
        println!("  picture: {}", path.display());
    }
    assert_eq!(daemon.stop().await, Some(0));
}

fn seed() -> u64 {
    let given = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    given.unwrap_or_else(clock)
}

async fn watch(daemon: &Daemon, mut clients: JoinSet<Tally>, seed: u64) -> (Tally, Vec<Sample>) {
    let began = Instant::now();
    let (mut tally, mut samples) = (Tally::default(), Vec::new());
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    let mut looked = 0;
    loop {
        tokio::select! {
            client = clients.join_next() => match client {
                Some(client) => tally.add(client.expect("every task is answered exactly once")),
                None => return (tally, samples),
            },
            _ = looks.tick() => {
                samples.push(look(daemon, began));
                looked += 1;
                hurt(daemon, looked, seed);
            }
        }
    }
}

fn look(daemon: &Daemon, began: Instant) -> Sample {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Sample {
        at: began.elapsed().as_secs_f64(),
        daemon_mib: mib(daemon.memory_bytes()),
        workers_mib: mib(daemon.workers().iter().map(|pid| procfs::memory_bytes(*pid)).sum()),
        descriptors: daemon.descriptors() as f64,
    }
}

fn hurt(daemon: &Daemon, look: usize, seed: u64) {
    if !look.is_multiple_of(HURT_EVERY) {
        return;
    }
    let workers = daemon.workers();
    let choice = (seed as usize).wrapping_add(look / HURT_EVERY);
    if let Some(pid) = workers.get(choice % workers.len().max(1)) {
        procfs::signal(*pid, if choice.is_multiple_of(4) { Signal::STOP } else { Signal::KILL });
    }
}

/// The lower quartiles of the second fifth of the run, when all caches are warm, and of the last, which must be no higher. (A mean
/// would have in it what waits for the store, which comes and goes.)
fn told(samples: &[Sample]) {
    let part = (samples.len() / 5).max(1);
    let quartile = |samples: &[Sample], of: Of| {
        let mut figures: Vec<f64> = samples.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 4).copied().unwrap_or_default()
    };
    let early = &samples[part.min(samples.len())..(2 * part).min(samples.len())];
    let late = &samples[samples.len().saturating_sub(part)..];
    // With what may be added without growing: caches that were not full yet, workers in the middle of their start.
    let figures: [(&str, Of, f64); 3] = [
        ("the daemon's memory, MiB", |s| s.daemon_mib, 8.0),
        ("its workers' memory, MiB", |s| s.workers_mib, 8.0),
        ("the daemon's descriptors", |s| s.descriptors, 8.0),
    ];
    for (name, of, slack) in figures {
        let (early, late) = (quartile(early, of), quartile(late, of));
        println!(
            "  {name}: {early:.1} in the second fifth, {late:.1} in the last (lower quartiles)"
        );
        assert!(late <= early * 1.1 + slack, "{name} grows");
    }
}

fn picture(samples: &[Sample], tasks: u64) -> String {
    let points = |of: Of| samples.iter().map(|s| (s.at, of(s))).collect();
    let panels = [
        Panel {
            title: "the daemon's memory, MiB",
            color: "#1f5fa8",
            points: points(|s| s.daemon_mib),
        },
        Panel {
            title: "its workers' memory, MiB",
            color: "#2f8f4e",
            points: points(|s| s.workers_mib),
        },
        Panel {
            title: "the daemon's descriptors",
            color: "#b3541e",
            points: points(|s| s.descriptors),
        },
    ];
    svg(&format!("{tasks} tasks with faults"), &panels)
}
