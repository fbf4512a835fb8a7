//! What a bench found: plain figures, in the form of its JSON.

use std::collections::BTreeMap;

use cynic_proto::message::{Ack, Lane};
use cynic_proto::stats::RecorderStats;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::load::Seen;
use super::usage::{CpuUsed, Memory};

/// Everything that `cynicctl bench --json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The daemon's build.
    pub build: String,
    /// Processor cores that this program may use.
    pub cores: usize,
    /// `sqlite` or `postgres`.
    pub store: String,
    /// How the workers are confined.
    pub sandbox: String,
    /// What was sent, and how.
    pub setting: Setting,
    /// `load`, `sweep` or `workers`: what differs between the runs.
    pub series: Series,
    /// What was measured, in this order.
    pub runs: Vec<Run>,
}

/// What was sent, and how.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// Connections.
    pub clients: u16,
    /// Tasks that each had in flight at most.
    pub in_flight: u16,
    /// Where it queued.
    pub lane: Lane,
    /// When it was answered.
    pub ack: Ack,
    /// Seconds that each run was measured.
    pub duration_s: f64,
    /// Seconds that it ran before.
    pub warmup_s: f64,
    /// Kinds of items, with their share of all.
    pub mix: Vec<(String, f64)>,
}

/// What differs between the runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Series {
    /// There is one run.
    Load,
    /// The rate.
    Sweep,
    /// The number of workers.
    Workers,
}

/// One load and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Workers in the pool.
    pub workers: u32,
    /// Items due a second; `None` in a closed loop.
    pub offered_per_s: Option<f64>,
    /// Items judged a second.
    pub judged_per_s: f64,
    /// Items judged in the time measured.
    pub judged: u64,
    /// Items not judged, by the kind of error.
    pub failed: BTreeMap<String, u64>,
    /// Items that were sent and had no answer.
    pub unanswered: u64,
    /// Items that were due in an open loop and not sent by a second after the end: the load was more than this program or
    /// the daemon takes. They count in the latency for as long as was waited.
    pub unsent: u64,
    /// From the moment at which an item was due to its answer.
    pub latency: Percentiles,
    /// The same for each kind of items.
    pub kinds: Vec<(String, Percentiles)>,
    /// How late this program sent, in an open loop; it is part of the latency.
    pub late: Option<Percentiles>,
    /// Processor seconds for 1,000 answers.
    pub cpu_per_1000: CpuUsed,
    /// The share of all cores that daemon, workers and client used together.
    pub cpu_share: Option<f64>,
    /// Memory at the end.
    pub memory: Memory,
    /// The daemon did not give its figures in time at the beginning or at the end of the run; without them the three above
    /// and the one below are not known.
    pub figures_late: bool,
    /// Database round trips for each judgment committed in the time measured; `None` where none was.
    pub round_trips_per_judgment: Option<f64>,
}

/// A distribution of times in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many.
    pub count: u64,
    /// Mean.
    pub mean_us: f64,
    /// Half are below.
    pub p50_us: u64,
    /// Nine in ten are below.
    pub p90_us: u64,
    /// All but one in a hundred are below.
    pub p99_us: u64,
    /// All but one in a thousand are below.
    pub p999_us: u64,
    /// The largest.
    pub max_us: u64,
}

impl Percentiles {
    pub(super) fn of(times: &Histogram<u64>) -> Percentiles {
        if times.is_empty() {
            return Percentiles::default();
        }
        Percentiles {
            count: times.len(),
            mean_us: times.mean(),
            p50_us: times.value_at_quantile(0.5),
            p90_us: times.value_at_quantile(0.9),
            p99_us: times.value_at_quantile(0.99),
            p999_us: times.value_at_quantile(0.999),
            max_us: times.max(),
        }
    }
}

impl Run {
    pub(super) fn of(
        seen: &Seen,
        names: &[String],
        offered: Option<f64>,
        measured_s: f64,
        cores: usize,
    ) -> Run {
        let tally = &seen.tally;
        let figures = seen.figures.as_ref();
        let cpu = figures.map_or_else(CpuUsed::default, |figures| figures.cpu);
        let answers = figures.map_or(0, |figures| figures.between.1);
        let per_1000 = |used: Option<f64>| used.map(|used| used * 1000.0 / answers.max(1) as f64);
        Run {
            workers: seen.workers,
            offered_per_s: offered,
            judged_per_s: tally.judged as f64 / measured_s,
            judged: tally.judged,
            failed: tally.failed.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect(),
            unanswered: tally.unanswered,
            unsent: tally.unsent,
            latency: Percentiles::of(&tally.latency),
            kinds: names.iter().cloned().zip(tally.parts.iter().map(Percentiles::of)).collect(),
            late: offered.is_some().then(|| Percentiles::of(&tally.late)),
            cpu_per_1000: CpuUsed {
                daemon_s: per_1000(cpu.daemon_s),
                workers_s: per_1000(cpu.workers_s),
                client_s: per_1000(cpu.client_s),
            },
            cpu_share: figures.map(|f| cpu.sum_s() / f.between.0.max(1e-9) / cores as f64),
            memory: figures.map_or_else(Memory::default, |figures| figures.memory),
            figures_late: figures.is_none(),
            round_trips_per_judgment: figures
                .and_then(|figures| round_trips(&figures.recorder.0, &figures.recorder.1)),
        }
    }

    /// Items that were not judged.
    pub fn lost(&self) -> u64 {
        self.failed.values().sum::<u64>() + self.unanswered + self.unsent
    }
}

/// Round trips for each judgment committed between two looks. The daemon tells them as a mean over its whole life.
fn round_trips(before: &RecorderStats, after: &RecorderStats) -> Option<f64> {
    let all = |stats: &RecorderStats| stats.round_trips_per_judgment * stats.flushed as f64;
    let committed = after.flushed.saturating_sub(before.flushed);
    // Means are rounded: a difference of nothing may come out a hair below it.
    (committed > 0).then(|| ((all(after) - all(before)) / committed as f64).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_are_of_the_run_and_not_of_the_daemons_life() {
        let at = |flushed, round_trips_per_judgment| RecorderStats {
            flushed,
            round_trips_per_judgment,
            ..RecorderStats::default()
        };
        // 1,000 alone, then 1,000 in batches of a hundred.
        let (before, after) = (at(1000, 1.0), at(2000, 0.505));
        let found = round_trips(&before, &after).expect("some were stored");
        assert!((found - 0.01).abs() < 1e-9, "{found}");
        assert_eq!(round_trips(&after, &after), None);
        assert_eq!(round_trips(&at(0, 0.0), &at(0, 0.0)), None);
    }
}
