//! What each step of the project's plan gains, measured beside the plan's estimates: `make roadmap`.
//!
//! The load is the plan's: 36 scorers that each take 5 ms, and 7 writes a judgment. The parts are the product's: the
//! worker's host, the recorder on SQLite, the daemon with its pool. Only the scorers are simulated, and in the first
//! two steps the store that writes one row at a time, which the product has not got.

#![expect(clippy::print_stdout, reason = "its output is the point")]

mod daemon;
mod one_by_one;
mod step;

use step::{Estimate, Step};

/// The plan's estimates, each beside the last step of the phase that it was made for.
const BEGINNING: Estimate = Estimate { latency_ms: Some(500.0), per_s: 2.0, cpu: None };
const FIRST_PHASE: Estimate = Estimate { latency_ms: Some(300.0), per_s: 3.3, cpu: None };
const POOL: Estimate = Estimate { latency_ms: None, per_s: 13.0, cpu: None };
const PIPELINE: Estimate = Estimate { latency_ms: None, per_s: 20.0, cpu: Some(0.62) };

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("36 simulated scorers of 5 ms, 7 writes a judgment, SQLite, {cores} cores");
    println!("each step adds to those before it; in brackets what the plan estimated\n");
    println!("{}", Step::header());
    let mut first = None;
    let mut show = |step: Step| {
        let gain = step.per_s() / *first.get_or_insert(step.per_s());
        println!("{}", step.line(gain, cores));
    };
    show(one_by_one::baseline(BEGINNING));
    show(one_by_one::concurrent());
    show(one_by_one::batched());
    show(one_by_one::in_background(FIRST_PHASE));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        for step in daemon::steps(POOL, PIPELINE).await {
            show(step);
        }
    });
    println!(
        "\nThe plan had slow database round trips in its estimates; here the database is on this disk."
    );
    println!(
        "Latency in the last two rows is that of a task among as many in flight as are named."
    );
}
