//! The recorder's figures: counted here, read anywhere.

use std::time::{Duration, Instant};

use cynic_proto::stats::{LatencyStats, RecorderStats};
use hdrhistogram::Histogram;
use tokio::sync::watch;

use super::store::Written;
use super::writer::Counts;

/// Figures are published at most so often while nothing else changes.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(100);

/// Batches that took longer are counted as this.
const TOOK_MAX_US: u64 = 3_600_000_000;

/// What the recorder says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecorderStatus {
    /// The figures.
    pub stats: RecorderStats,
    /// Why the store is degraded, if it is: judgments are kept but not yet in the database.
    pub degraded: Option<String>,
    /// Batches whose commit took longer than the stage's budget.
    pub over_budget: u64,
    /// When the oldest entry in memory was submitted.
    pub(super) oldest: Option<Instant>,
}

/// Gathers what the writes cost.
pub(super) struct Meter {
    store: &'static str,
    transactions: u64,
    round_trips: u64,
    took: Histogram<u64>,
    sum_us: u64,
    budget: Duration,
    over_budget: u64,
    published_at: Option<Instant>,
    published: Counts,
}

impl Meter {
    pub(super) fn new(store: &'static str, budget: Duration) -> Meter {
        Meter {
            store,
            budget,
            over_budget: 0,
            transactions: 0,
            round_trips: 0,
            took: Histogram::new_with_bounds(1, TOOK_MAX_US, 2)
                .expect("bounds and digits in range"),
            sum_us: 0,
            published_at: None,
            published: Counts::default(),
        }
    }

    pub(super) fn written(&mut self, written: &Written, took: Duration) {
        self.transactions += written.transactions;
        self.round_trips += written.round_trips;
        let took_us = took.as_micros() as u64;
        self.sum_us += took_us;
        self.over_budget += u64::from(took > self.budget);
        self.took.saturating_record(took_us);
    }

    /// Publishes when something changed and it is time.
    pub(super) fn publish(
        &mut self,
        status: &watch::Sender<RecorderStatus>,
        counts: Counts,
        oldest: Option<Instant>,
        degraded: Option<&String>,
    ) {
        let due = self.published_at.is_none_or(|at| at.elapsed() >= PUBLISH_INTERVAL);
        let idle = oldest.is_none() && counts != self.published;
        let health = status.borrow().degraded.as_ref() != degraded;
        if due || idle || health {
            self.publish_now(status, counts, oldest, degraded);
        }
    }

    pub(super) fn publish_now(
        &mut self,
        status: &watch::Sender<RecorderStatus>,
        counts: Counts,
        oldest: Option<Instant>,
        degraded: Option<&String>,
    ) {
        self.published_at = Some(Instant::now());
        self.published = counts;
        let figures = RecorderStats {
            store: self.store.to_owned(),
            flushed: counts.flushed,
            transactions: self.transactions,
            retries: counts.retries,
            dead_letters: counts.dead_letters,
            spilled: counts.spooled,
            flush_latency: self.latency(),
            round_trips_per_judgment: self.round_trips as f64 / counts.flushed.max(1) as f64,
            ..RecorderStats::default()
        };
        status.send_replace(RecorderStatus {
            stats: figures,
            degraded: degraded.cloned(),
            over_budget: self.over_budget,
            oldest,
        });
    }

    fn latency(&self) -> LatencyStats {
        let count = self.took.len();
        LatencyStats {
            count,
            mean_us: self.sum_us as f64 / count.max(1) as f64,
            p50_us: self.took.value_at_quantile(0.5),
            p99_us: self.took.value_at_quantile(0.99),
            max_us: self.took.max(),
        }
    }
}
