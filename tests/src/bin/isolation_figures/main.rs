//! Measures what isolation costs and what it holds:
//! `cargo run --release -p cynic-tests --bin isolation_figures -- [PART…] [--seconds N] [--items N] [--svg PATH]`.
//!
//! Uses the real daemon and workers. The parts: `process` (start, death, sandbox), `daemon` (a killed worker as a
//! client sees it), `storm` (poison and kills among good work), `bursts` (of poison), `overload`, `fairness`, and `soak`, which is not
//! run unless it is named. Ratios say more than absolute figures. `CHAOS_SEED` repeats a run's choices.

#![expect(clippy::print_stdout, reason = "its output is the point")]

mod daemon;
mod figure;
mod overload;
mod plot;
mod process;
mod soak;
mod storm;

use std::path::PathBuf;
use std::time::Duration;

/// What to measure, and for how long.
#[derive(Debug)]
pub(crate) struct Options {
    parts: Vec<String>,
    /// Length of each phase of the open-ended parts.
    pub(crate) time: Duration,
    /// Judgments of the soak.
    pub(crate) items: u64,
    /// Where the soak's picture goes.
    pub(crate) svg: Option<PathBuf>,
}

impl Options {
    fn parse() -> Options {
        let mut options = Options {
            parts: Vec::new(),
            time: Duration::from_secs(10),
            items: 1_000_000,
            svg: None,
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
            match arg.as_str() {
                "--seconds" => {
                    options.time = Duration::from_secs(value().parse().expect("seconds"));
                }
                "--items" => options.items = value().parse().expect("a number"),
                "--svg" => options.svg = Some(value().into()),
                part => options.parts.push(part.to_owned()),
            }
        }
        options
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.iter().any(|named| named == part) || self.parts.is_empty() && part != "soak"
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::parse();
    if options.wants("process") {
        process::measure().await;
    }
    if options.wants("daemon") {
        daemon::measure().await;
    }
    if options.wants("storm") {
        storm::measure(options.time).await;
    }
    if options.wants("bursts") {
        storm::measure_bursts().await;
    }
    if options.wants("overload") {
        overload::measure(options.time, overload::Processors::Shared).await;
        overload::measure(options.time, overload::Processors::Apart).await;
    }
    if options.wants("fairness") {
        overload::measure_fairness(options.time).await;
    }
    if options.wants("soak") {
        soak::measure(&options).await;
    }
}
