//! `cynicctl bench`: puts load on the daemon and measures latency, throughput, processor time and memory.
//!
//! Owns the order of the runs, and puts the pool back to its size. Figures belong to the machine and to what else it
//! does; what is compared is measured in one go.

mod load;
mod mix;
mod page;
mod report;
mod texts;
mod usage;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use anstream::eprintln;
use anyhow::{Context as _, Result};
use bytes::Bytes;
use cynic_proto::client::{Client, unexpected};
use cynic_proto::message::{Reply, Request};
use cynic_proto::stats::Stats;
use tokio::time::{Instant, sleep};

use crate::args::bench::{BenchArgs, BenchCommand};
use crate::daemon::{connect, connect_for, print, soon, within};
use crate::exit::Exit;
use crate::html::HtmlFile;
use crate::interrupt::Interrupt;
use crate::view::style::{FAINT, columns, paint};
use crate::view::{bench as view, json};
use load::Load;
pub(crate) use load::OVERRUN;
use mix::Mix;
pub use report::{Percentiles, Report, Run, Series, Setting};
pub use usage::{CpuUsed, Memory};

/// Tasks in flight of each client: in a closed loop enough to keep a few workers busy, with a rate enough that the
/// rate decides.
const IN_FLIGHT: (u16, u16) = (16, 1024);

/// The shares of a closed loop's throughput that a sweep offers: up to and over the knee of the curve.
const SWEEP_SHARES: [f64; 9] = [0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0, 1.1];

/// How long a pool may take to have the size asked for.
const SCALE_PATIENCE: Duration = Duration::from_secs(30);

/// How often that is looked at.
const SCALE_LOOK: Duration = Duration::from_millis(20);

/// The program that measures the project's plan, beside this one where the tree was built; no part of what is installed.
const ROADMAP: &str = "cynic-roadmap";

/// Measures what the arguments say and shows it.
pub(crate) async fn run(socket: PathBuf, args: BenchArgs) -> Result<Exit> {
    if let Some(BenchCommand::Roadmap) = args.what {
        return roadmap();
    }
    let mix = Mix::resolve(args.mix.as_deref(), &args.files)?;
    // Fails as other commands do where there is no daemon, before anything is measured.
    let control = connect(socket.clone()).await?;
    let before = soon(control.stats()).await?;
    let page = args.html.as_deref().map(HtmlFile::open).transpose()?;
    let mut bench =
        Bench { setting: setting(&args, &mix), mix: Rc::new(mix), socket, args, runs: Vec::new() };
    let mut interrupt = Interrupt::listen()?;
    let measured = tokio::select! {
        () = interrupt.heard() => None,
        measured = bench.measure() => Some(measured),
    };
    if !bench.args.workers.is_empty() {
        // Whatever happened: the operator's pool is as it was.
        let restored = bench.scale(before.pool.pool_size as u16).await;
        if matches!(measured, Some(Ok(_))) {
            restored?;
        }
    }
    let Some(measured) = measured else { return Ok(Exit::Interrupted) };
    let series = measured?;
    bench.show(series, &before, page)
}

fn setting(args: &BenchArgs, mix: &Mix) -> Setting {
    let open = args.rate.is_some() || args.sweep.is_some();
    let sum: f64 = mix.parts.iter().map(|part| part.weight).sum();
    Setting {
        clients: args.clients,
        in_flight: args.in_flight.unwrap_or(if open { IN_FLIGHT.1 } else { IN_FLIGHT.0 }),
        lane: args.lane,
        ack: args.ack,
        duration_s: args.duration.as_secs_f64(),
        warmup_s: args.warmup.as_secs_f64(),
        mix: mix.parts.iter().map(|part| (part.name.clone(), part.weight / sum)).collect(),
    }
}

struct Bench {
    args: BenchArgs,
    setting: Setting,
    mix: Rc<Mix>,
    socket: PathBuf,
    runs: Vec<Run>,
}

impl Bench {
    async fn measure(&mut self) -> Result<Series> {
        if !self.args.workers.is_empty() {
            for size in self.args.workers.clone() {
                self.scale(size).await?;
                say(&format!("{size} workers"));
                let run = self.load(None).await?;
                self.runs.push(run);
            }
            return Ok(Series::Workers);
        }
        let Some(rates) = self.args.sweep.clone() else {
            let run = self.load(self.args.rate).await?;
            self.runs.push(run);
            return Ok(Series::Load);
        };
        for rate in if rates.is_empty() { self.rates().await? } else { rates } {
            say(&format!("{rate:.0} a second"));
            let run = self.load(Some(rate)).await?;
            self.runs.push(run);
        }
        Ok(Series::Sweep)
    }

    /// Rates around what a closed loop reaches.
    async fn rates(&self) -> Result<Vec<f64>> {
        say("closed loop, to know where the knee may be");
        let reached = self.load(None).await?.judged_per_s;
        anyhow::ensure!(reached > 0.0, "nothing was judged in {} s", self.setting.duration_s);
        Ok(SWEEP_SHARES.map(|share| (reached * share).max(0.1)).to_vec())
    }

    async fn load(&self, rate: Option<f64>) -> Result<Run> {
        // A closed loop that looks for the knee of a sweep has the usual number in flight.
        let in_flight = match (rate, self.args.in_flight) {
            (_, Some(in_flight)) => in_flight,
            (None, None) => IN_FLIGHT.0,
            (Some(_), None) => IN_FLIGHT.1,
        };
        let load = Load {
            socket: self.socket.clone(),
            mix: Rc::clone(&self.mix),
            clients: self.args.clients.into(),
            in_flight: in_flight.into(),
            lane: self.args.lane,
            ack: self.args.ack,
            rate,
            warmup: self.args.warmup,
            duration: self.args.duration,
            grace: load::GRACE,
            look: load::LOOK,
        };
        let seen = load::run(load).await?;
        let names: Vec<String> = self.mix.parts.iter().map(|part| part.name.clone()).collect();
        Ok(Run::of(&seen, &names, rate, self.args.duration.as_secs_f64(), cores()))
    }

    /// Has the pool be of that size, and waits until all its workers can work.
    async fn scale(&self, size: u16) -> Result<()> {
        let request = Request::Scale(Some(size));
        let client = connect_for(&request, self.socket.clone()).await?;
        match within(SCALE_PATIENCE, client.request(request, Bytes::new())).await? {
            (Reply::Report(_), _) => {}
            (other, _) => return Err(unexpected(other).into()),
        }
        let until = Instant::now() + SCALE_PATIENCE;
        loop {
            if is_of_size(&client, size).await? {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < until, "the pool did not get {size} workers in time");
            sleep(SCALE_LOOK).await;
        }
    }

    fn show(self, series: Series, stats: &Stats, page: Option<HtmlFile>) -> Result<Exit> {
        // A rate of nothing is no measurement. What was never sent is one: of a load that is too much.
        let failed = self.runs.iter().any(|run| run.unanswered > 0 || run.judged_per_s == 0.0);
        let report = Report {
            build: stats.build.clone(),
            cores: cores(),
            store: stats.recorder.store.clone(),
            sandbox: stats.isolation.sandbox.clone(),
            setting: self.setting,
            series,
            runs: self.runs,
        };
        let text =
            if self.args.json { json::line(&report)? } else { view::text(&report, columns()) };
        // First, so that what was measured is not lost with the page.
        print(&text)?;
        if let Some(page) = page {
            page.write(&page::render(&report))?;
        }
        Ok(if failed { Exit::Failed } else { Exit::Success })
    }
}

async fn is_of_size(client: &Client, size: u16) -> Result<bool> {
    let pool = soon(client.stats()).await?.pool;
    Ok(pool.pool_size == u32::from(size) && pool.workers_idle >= pool.pool_size)
}

/// Cores that this program may use; the daemon's are the same unless somebody confined one of them.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What is being measured, for who watches.
fn say(what: &str) {
    use std::io::IsTerminal as _;
    if std::io::stderr().is_terminal() {
        eprintln!("{}", paint(FAINT, &format!("measuring: {what}")));
    }
}

/// Runs the program that measures the plan's steps. It links the judge's host and the store, which this one must not,
/// and a simulated judge is no part of what is installed: docs/decisions/0008-roadmap-is-measured-outside-cynicctl.md
fn roadmap() -> Result<Exit> {
    let here = std::env::current_exe().context("could not find this program")?;
    let program = here.parent().unwrap_or(Path::new(".")).join(ROADMAP);
    if !program.is_file() {
        anyhow::bail!(
            "{} is not there: it simulates a judge and is not installed; `make roadmap` in the source tree builds and runs it",
            program.display()
        );
    }
    let status = Command::new(&program)
        .status()
        .with_context(|| format!("could not start {}", program.display()))?;
    Ok(if status.success() { Exit::Success } else { Exit::Failed })
}
