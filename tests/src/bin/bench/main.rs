//! Measures the project, each figure beside the floor that it is to be held to: `make bench`.
//!
//! `bench growth [JUDGMENTS]`, which is `make growth`, measures what the daemon spends on a judgment as workers, clients
//! and its history grow.
//!
//! Uses the real programs on a real socket and a real database. Absolute figures belong to the machine and to
//! what else it does; what is compared is measured by turns in the same run, so the ratios say more.

#![expect(clippy::print_stdout, reason = "its output is the point")]

mod awaited;
mod growth;
mod items;
mod judging;
mod pool;
mod relay;
mod samples;
mod store;
mod trip;

use std::process::ExitCode;

use cynic_tests::daemon::Home;

/// Said by this program to itself when it starts the parts of the bare relay.
const RELAY: &str = "--relay";

/// What a daemon's history grows to unless said otherwise.
const JUDGMENTS: u64 = 10_000_000;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let part = args.next();
    if part.as_deref() == Some(RELAY) {
        return relay::part(args);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    // A task beside the client's own, as in a program that does other things too.
    let measured = runtime.expect("a runtime").block_on(async {
        match (part.as_deref(), args.next().map(|n| n.parse())) {
            (None, _) => tokio::spawn(measure()).await,
            (Some("growth"), None) => tokio::spawn(growth::measure(JUDGMENTS)).await,
            (Some("growth"), Some(Ok(judgments))) => tokio::spawn(growth::measure(judgments)).await,
            _ => panic!("usage: bench [growth [JUDGMENTS]]"),
        }
    });
    measured.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

async fn measure() {
    let home = Home::new("");
    let daemon = home.start().await;
    let workers = daemon.stats().await.pool.pool_size;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("{cores} cores, {workers} workers, sandbox as configured by default");
    trip::measure(&daemon).await;
    judging::measure();
    pool::measure(&daemon, workers).await;
    drop(daemon);
    // It runs its own runtime, as a worker does.
    tokio::task::spawn_blocking(awaited::measure).await.expect("no panic");
    store::measure().await;
}

/// The title of a group of figures, with the units of its columns.
fn title(name: &str, columns: &[&str]) {
    print!("\n{name:<46}");
    for column in columns {
        print!(" {column:>12}");
    }
    println!();
}

/// One line of a group.
fn line(name: &str, figures: &[String]) {
    print!("  {name:<44}");
    for figure in figures {
        print!(" {figure:>12}");
    }
    println!();
}
