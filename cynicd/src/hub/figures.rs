//! The daemon's own figures: what it answered, how fast, to how many.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use cynic_proto::error::{Death, ErrorKind};
use cynic_proto::handshake::BUILD;
use cynic_proto::message::Timings;
use cynic_proto::model::{Stage, Verdict};
use cynic_proto::stats::{LastDeath, LatencyStats, PoolStats, StageStats, Stats};
use hdrhistogram::Histogram;

use super::Hub;
use crate::metrics::{self, BUCKETS_US, Buckets};

/// Times above this are counted as this: longer than any deadline in use.
const TIME_MAX_US: u64 = 3_600_000_000;

/// Deaths that are shown with their causes.
const LAST_DEATHS_MAX: usize = 8;

/// Decimal digits of precision of the histograms: a percentile is right to about 1%.
const DIGITS: u8 = 2;

#[derive(Debug)]
pub(super) struct Figures {
    started: Instant,
    verdicts: [u64; 4],
    latency: Times,
    stages: [StageFigures; 4],
    /// Tasks that workers answered without a judgment, by the kind of the error.
    failures: BTreeMap<&'static str, u64>,
    /// The newest last.
    deaths: VecDeque<(Instant, LastDeath)>,
}

#[derive(Debug)]
struct StageFigures {
    time: Times,
    failed: u64,
    over_budget: u64,
}

/// What each stage should take at most, in the order of the stages.
type Budgets = [Duration; 5];

impl StageFigures {
    fn took(&mut self, micros: u32, budget: Duration) {
        self.time.record(micros.into());
        self.over_budget += u64::from(Duration::from_micros(micros.into()) > budget);
    }
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

    fn len(&self) -> f64 {
        self.0.as_ref().map_or(0.0, |histogram| histogram.len() as f64)
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
            failures: BTreeMap::new(),
            deaths: VecDeque::new(),
        }
    }
}

impl Figures {
    pub(super) fn died(&mut self, death: &Death) {
        let stage = death.stage.map(|stage| stage.to_string());
        let dimension = death.dimension.map(|dimension| dimension.to_string());
        let doing: Vec<String> = [stage, dimension].into_iter().flatten().collect();
        let death = LastDeath {
            ago_ms: 0,
            worker: death.worker.to_string(),
            cause: death.cause.to_string(),
            doing: doing.join(" "),
        };
        if self.deaths.len() == LAST_DEATHS_MAX {
            self.deaths.pop_front();
        }
        self.deaths.push_back((Instant::now(), death));
    }

    /// What the last worker died of.
    pub(super) fn last_cause(&self) -> Option<&str> {
        self.deaths.back().map(|(_, death)| &death.cause[..])
    }

    fn last_deaths(&self) -> Vec<LastDeath> {
        let aged = |(at, death): &(Instant, LastDeath)| {
            let ago_ms = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
            LastDeath { ago_ms, ..death.clone() }
        };
        self.deaths.iter().map(aged).collect()
    }

    /// A worker answered a task.
    pub(super) fn answered(&mut self, timings: &Timings) {
        self.latency.record(u64::from(timings.queued_us) + u64::from(timings.running_us));
    }

    pub(super) fn judged(&mut self, verdict: Verdict, timings: &Timings, budgets: &Budgets) {
        self.verdicts[verdict as usize] += 1;
        for (n, figures) in self.stages.iter_mut().enumerate() {
            figures.took(timings.stages_us[n], budgets[n]);
        }
    }

    /// A worker got as far as this stage and no further.
    pub(super) fn failed_at(
        &mut self,
        stage: Stage,
        kind: ErrorKind,
        timings: &Timings,
        budgets: &Budgets,
    ) {
        let stage = stage as usize;
        *self.failures.entry(kind.name()).or_default() += 1;
        self.stages[stage].failed += 1;
        self.stages[stage].took(timings.stages_us[stage], budgets[stage]);
    }

    /// The pool's figures with the failures that workers reported.
    fn with_failures(&self, mut pool: PoolStats) -> PoolStats {
        for (kind, count) in &self.failures {
            *pool.failures.entry((*kind).to_owned()).or_default() += count;
        }
        pool
    }

    /// The worker's stage that takes the most time of all: the one to look at when workers are what is short.
    fn slowest(&self) -> Stage {
        let total = |n: &usize| self.stages[*n].time.stats().mean_us * self.stages[*n].time.len();
        let slowest = (0..self.stages.len()).max_by(|a, b| total(a).total_cmp(&total(b)));
        Stage::ALL[slowest.unwrap_or(Stage::Score as usize)]
    }

    fn stages(&self, doing: &BTreeMap<String, u64>, budgets: &Budgets) -> Vec<StageStats> {
        let stage = |(n, figures): (usize, &StageFigures)| {
            let stage = Stage::ALL[n];
            let time = figures.time.stats();
            StageStats {
                name: stage.name().to_owned(),
                in_flight: doing.get(stage.name()).copied().unwrap_or(0),
                done: time.count - figures.failed,
                failed: figures.failed,
                over_budget: figures.over_budget,
                budget_us: budgets[n].as_micros() as u64,
                time,
                // A worker takes an item through all its stages: nothing waits between them.
                ..StageStats::default()
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
        let missing = self.pool.workers_missing(Instant::now());
        if missing > 0 {
            let of = self.pool.config().size;
            let why = self.figures.last_cause().unwrap_or("unknown");
            problems.push(format!("{missing} of {of} workers do not start, last: {why}"));
        }
        let left_out = self.pool.dimensions_left_out();
        if !left_out.is_empty() {
            let names: Vec<_> = left_out.iter().map(|dimension| dimension.name()).collect();
            problems.push(format!("left out, as they keep failing: {}", names.join(", ")));
        }
        problems
    }

    /// The figures for Prometheus.
    pub(super) fn metrics(&self) -> String {
        metrics::render(&self.stats(), &self.figures.latency.buckets())
    }

    /// All stages, with what waits between them and which one holds the others up.
    fn stages(&self, doing: &BTreeMap<String, u64>) -> Vec<StageStats> {
        let budgets = &self.options.operations.config.stage_budgets;
        let recorder = self.recording.recorder().status();
        let mut stages = self.figures.stages(doing, budgets);
        stages.push(StageStats {
            name: Stage::Persist.name().to_owned(),
            in_flight: recorder.stats.buffered,
            done: recorder.stats.flushed,
            failed: recorder.stats.dead_letters,
            over_budget: recorder.over_budget,
            budget_us: budgets[Stage::Persist as usize].as_micros() as u64,
            time: recorder.stats.flush_latency,
            ..StageStats::default()
        });
        stages[Stage::Verdict as usize].waiting = self.recording.waiting() as u64;
        if let Some(stage) = self.held_up_by() {
            stages[stage as usize].holds_up = true;
        }
        stages
    }

    /// The stage that is full while work waits for it, if one is.
    fn held_up_by(&self) -> Option<Stage> {
        if self.recording.is_full() {
            return Some(Stage::Persist);
        }
        let pool = self.pool.stats(Instant::now());
        let workers_full = pool.queue_length > 0 && pool.workers_idle == 0;
        workers_full.then(|| self.figures.slowest())
    }

    pub(super) fn stats(&self) -> Stats {
        let workers = self.worker_stats();
        let mut doing = BTreeMap::new();
        for worker in &workers {
            let stage = worker.doing.split(' ').next().unwrap_or_default();
            *doing.entry(stage.to_owned()).or_default() += 1;
        }
        let figures = &self.figures;
        let stages = self.stages(&doing);
        let recorder = self.recording.recorder().status().stats;
        Stats {
            build: BUILD.to_owned(),
            pid: std::process::id(),
            uptime_s: figures.started.elapsed().as_secs(),
            ready: self.pool.is_ready(),
            draining: self.pool.is_draining(),
            degraded: self.degraded(),
            last_deaths: figures.last_deaths(),
            pool: figures.with_failures(self.pool.stats(Instant::now())),
            workers,
            verdicts: Verdict::ALL
                .into_iter()
                .map(|v| (v.name().to_owned(), figures.verdicts[v as usize]))
                .collect(),
            latency: figures.latency.stats(),
            stages,
            clients: self.seats.stats(),
            recorder,
            isolation: self.options.launch.isolation(),
            quarantine: self.quarantine.stats(),
        }
    }
}

#[cfg(test)]
mod tests {
    use cynic_proto::item::ItemErrorKind;

    use super::*;

    const BUDGETS: Budgets = [Duration::from_micros(100); 5];

    fn timings(stages_us: [u32; 4]) -> Timings {
        Timings { stages_us, ..Timings::default() }
    }

    #[test]
    fn a_stage_counts_what_is_over_its_budget_and_no_more() {
        let mut figures = Figures::default();
        figures.judged(Verdict::Wag, &timings([100, 101, 0, 100_000]), &BUDGETS);
        let invalid = ErrorKind::InvalidItem(ItemErrorKind::Empty);
        figures.failed_at(Stage::Parse, invalid, &timings([101, 0, 0, 0]), &BUDGETS);
        let pool = figures.with_failures(PoolStats::default());
        assert_eq!(pool.failures, BTreeMap::from([("invalid_item".to_owned(), 1)]));
        let stages = figures.stages(&BTreeMap::new(), &BUDGETS);
        let counts = |of: fn(&StageStats) -> u64| stages.iter().map(of).collect::<Vec<_>>();
        assert_eq!(counts(|stage| stage.over_budget), [1, 1, 0, 1]);
        assert_eq!(counts(|stage| stage.done), [1, 1, 1, 1]);
        assert_eq!(counts(|stage| stage.failed), [1, 0, 0, 0]);
        assert_eq!(counts(|stage| stage.budget_us), [100; 4]);
    }

    #[test]
    fn the_stage_to_look_at_is_the_one_that_takes_most_in_all() {
        let mut figures = Figures::default();
        figures.judged(Verdict::Wag, &timings([900, 400, 10, 10]), &BUDGETS);
        assert_eq!(figures.slowest(), Stage::Parse);
        for _ in 0..10 {
            figures.judged(Verdict::Wag, &timings([10, 400, 10, 10]), &BUDGETS);
        }
        assert_eq!(figures.slowest(), Stage::Score);
    }
}
