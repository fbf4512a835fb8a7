//! The daemon's own figures: what it answered, how fast, to how many.

use std::collections::BTreeMap;
use std::time::Instant;

use cynic_proto::handshake::BUILD;
use cynic_proto::message::Timings;
use cynic_proto::model::{Stage, Verdict};
use cynic_proto::stats::{ClientStats, LatencyStats, StageStats, Stats};
use hdrhistogram::Histogram;

use super::Hub;
use crate::metrics::{self, BUCKETS_US, Buckets};

/// Times above this are counted as this: longer than any deadline in use.
const TIME_MAX_US: u64 = 3_600_000_000;

/// Decimal digits of precision of the histograms: a percentile is right to about 1%.
const DIGITS: u8 = 2;

#[derive(Debug)]
pub(super) struct Figures {
    started: Instant,
    verdicts: [u64; 4],
    latency: Times,
    stages: [StageFigures; 4],
    clients: ClientStats,
}

#[derive(Debug)]
struct StageFigures {
    time: Times,
    failed: u64,
    over_budget: u64,
}

/// A distribution of times. Made when the first comes in: an idle daemon holds none.
#[derive(Debug, Default)]
struct Times(Option<Histogram<u32>>);

impl Times {
    fn record(&mut self, micros: u64) {
        if self.0.is_none() {
            self.0 = Histogram::new_with_bounds(1, TIME_MAX_US, DIGITS).ok();
        }
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(micros.max(1));
        }
    }

    fn buckets(&self) -> Buckets {
        let Some(histogram) = &self.0 else {
            return Buckets { at_most: vec![0; BUCKETS_US.len()], ..Buckets::default() };
        };
        let mut at_most = Vec::with_capacity(BUCKETS_US.len());
        let (mut from, mut sum) = (0, 0);
        for bound in BUCKETS_US {
            sum += histogram.count_between(from, bound);
            at_most.push(sum);
            // A value counts in the bucket whose equivalent range it is in: begin behind that.
            from = histogram.next_non_equivalent(bound);
        }
        let count = histogram.len();
        Buckets { at_most, count, sum_us: histogram.mean() * count as f64 }
    }

    fn stats(&self) -> LatencyStats {
        let Some(histogram) = &self.0 else { return LatencyStats::default() };
        LatencyStats {
            count: histogram.len(),
            mean_us: histogram.mean(),
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
            max_us: histogram.max(),
        }
    }
}

impl Default for Figures {
    fn default() -> Figures {
        Figures {
            started: Instant::now(),
            verdicts: [0; 4],
            latency: Times::default(),
            stages: std::array::from_fn(|_| StageFigures {
                time: Times::default(),
                failed: 0,
                over_budget: 0,
            }),
            clients: ClientStats::default(),
        }
    }
}

/// Budget of a worker's stage in microseconds: the roadmap's defaults.
fn budget_us(stage: Stage) -> u64 {
    match stage {
        Stage::Parse => 50_000,
        Stage::Score => 200_000,
        Stage::Aggregate => 30_000,
        Stage::Verdict => 20_000,
        Stage::Persist => 100_000,
    }
}

impl Figures {
    pub(super) fn client_connected(&mut self) {
        self.clients.accepted += 1;
        self.clients.connected += 1;
        self.clients.connected_max = self.clients.connected_max.max(self.clients.connected);
    }

    pub(super) fn client_gone(&mut self, expelled: bool) {
        self.clients.connected -= 1;
        self.clients.expelled += u64::from(expelled);
    }

    /// A client asked for what it may not.
    pub(super) fn refused(&mut self) {
        self.clients.refused += 1;
    }

    /// A worker answered a task.
    pub(super) fn answered(&mut self, timings: &Timings) {
        self.latency.record(u64::from(timings.queued_us) + u64::from(timings.running_us));
    }

    pub(super) fn judged(&mut self, verdict: Verdict, timings: &Timings) {
        self.verdicts[verdict as usize] += 1;
        for (n, figures) in self.stages.iter_mut().enumerate() {
            let micros = u64::from(timings.stages_us[n]);
            figures.time.record(micros);
            figures.over_budget += u64::from(micros > budget_us(Stage::ALL[n]));
        }
    }

    /// An item could not be parsed.
    pub(super) fn rejected(&mut self, timings: &Timings) {
        let parse = &mut self.stages[Stage::Parse as usize];
        parse.failed += 1;
        parse.time.record(timings.stages_us[Stage::Parse as usize].into());
    }

    fn stages(&self, doing: &BTreeMap<String, u64>) -> Vec<StageStats> {
        let stage = |(n, figures): (usize, &StageFigures)| {
            let stage = Stage::ALL[n];
            let time = figures.time.stats();
            StageStats {
                name: stage.name().to_owned(),
                in_flight: doing.get(stage.name()).copied().unwrap_or(0),
                done: time.count - figures.failed,
                failed: figures.failed,
                over_budget: figures.over_budget,
                budget_us: budget_us(stage),
                time,
            }
        };
        self.stages.iter().enumerate().map(stage).collect()
    }
}

impl Hub {
    /// What is wrong though judging goes on.
    pub(super) fn degraded(&self) -> Vec<String> {
        let mut problems: Vec<String> =
            self.recording.recorder().status().degraded.into_iter().collect();
        if self.pool.is_refusing_for_the_store() {
            problems.push("the store does not keep up and no work is admitted".to_owned());
        }
        problems
    }

    /// The figures for Prometheus.
    pub(super) fn metrics(&self) -> String {
        metrics::render(&self.stats(), &self.figures.latency.buckets())
    }

    pub(super) fn stats(&self) -> Stats {
        let workers = self.worker_stats();
        let mut doing = BTreeMap::new();
        for worker in &workers {
            let stage = worker.doing.split(' ').next().unwrap_or_default();
            *doing.entry(stage.to_owned()).or_default() += 1;
        }
        let figures = &self.figures;
        let recorder = self.recording.recorder().status().stats;
        let mut stages = figures.stages(&doing);
        stages.push(StageStats {
            name: Stage::Persist.name().to_owned(),
            in_flight: recorder.buffered,
            done: recorder.flushed,
            failed: recorder.dead_letters,
            over_budget: 0,
            budget_us: budget_us(Stage::Persist),
            time: recorder.flush_latency,
        });
        Stats {
            build: BUILD.to_owned(),
            pid: std::process::id(),
            uptime_s: figures.started.elapsed().as_secs(),
            ready: self.pool.is_ready(),
            draining: self.pool.is_draining(),
            degraded: self.degraded(),
            pool: self.pool.stats(Instant::now()),
            workers,
            verdicts: Verdict::ALL
                .into_iter()
                .map(|v| (v.name().to_owned(), figures.verdicts[v as usize]))
                .collect(),
            latency: figures.latency.stats(),
            stages,
            clients: figures.clients.clone(),
            recorder,
            isolation: self.options.launch.isolation(),
            quarantine: self.quarantine.stats(),
        }
    }
}
