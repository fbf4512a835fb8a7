//! `cynicctl bench` as the user types it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};
use cynic_proto::message::{Ack, Lane};

use super::{ACKS, LANES, duration, duration_or_none, one_of};

/// What load to put on the daemon, and what to show of it.
#[derive(Debug, Args)]
#[command(after_help = HELP, args_conflicts_with_subcommands = true)]
pub struct BenchArgs {
    /// Another measurement than that of the daemon.
    #[command(subcommand)]
    pub what: Option<BenchCommand>,
    /// Items of your own: a file is a body, *.jsonl has one item a line
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Which items, and how often each.
    #[arg(
        long,
        value_name = "MIX",
        help = "Which items, and how often each: KIND[:SIZE][=WEIGHT],… [default: all kinds alike, or the files]"
    )]
    pub mix: Option<String>,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub clients: u16,
    /// Tasks that each client has in flight at most [default: 16; with a rate 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub in_flight: Option<u16>,
    /// Where to queue
    #[arg(long, default_value = "interactive", value_parser = one_of(&LANES))]
    pub lane: Lane,
    /// When to answer: once judged, or once stored
    #[arg(long, default_value = "judged", value_parser = one_of(&ACKS))]
    pub ack: Ack,
    /// How long each figure is measured
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub duration: Duration,
    /// How long the same load runs before that, unmeasured
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration_or_none)]
    pub warmup: Duration,
    /// Open loop: so many items a second at random moments, whatever is answered
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub rate: Option<f64>,
    /// Latency against load: one open loop for each rate [default: shares of what a closed loop reaches]
    #[arg(long, value_name = "RATES", conflicts_with = "rate", num_args = 0..=1, require_equals = true, value_delimiter = ',', value_parser = rate)]
    pub sweep: Option<Vec<f64>>,
    /// Throughput against workers: one closed loop for each pool size, such as 1,2,4; takes the role `admin`
    #[arg(long, value_name = "SIZES", conflicts_with = "rate", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Vec<u16>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
    /// Write a page with the figures and pictures of them
    #[arg(long, value_name = "PAGE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
}

/// Measurements of other things.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum BenchCommand {
    /// What each step of the project's plan gains, measured with simulated scorers beside the plan's estimates
    Roadmap,
}

const HELP: &str = "\
Kinds: chat, mail, prompt, shell, code, prose, event; `null` passes through a
worker unjudged; `files` are the files named. A SIZE repeats the text up to it.

Without a rate each client sends the next item when one is answered (closed
loop): that shows throughput. With one, items are due at moments set before,
and latency counts from there, however late the answers to others come (open
loop): that shows what clients feel under this load. What the daemon judges
here is stored like anything else; measure on a store that may grow.

Examples:
  cynicctl bench
  cynicctl bench --mix chat=8,mail=2,prose:20k --lane bulk --clients 8
  cynicctl bench --rate 2000 --duration 1m
  cynicctl bench --sweep --html load.html
  cynicctl bench --mix null --workers 1,2,4
  cynicctl bench items.jsonl --json";

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=10_000_000.0).contains(rate));
    rate.ok_or_else(|| "expected items a second, from 0.1 to 10000000".to_owned())
}
