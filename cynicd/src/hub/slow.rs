//! The slow log: judgments that took longer than a threshold, with where their time went.

use std::time::Duration;

use cynic_proto::message::Judged;
use cynic_proto::model::{DIMENSIONS, Stage};
use cynic_proto::worker::Spent;

use super::Hub;

impl Hub {
    /// Logs a judgment that took too long; costs a comparison where it did not.
    pub(super) fn note_if_slow(&self, judged: &Judged, spent: &Spent, bytes: usize) {
        let Some(threshold) = self.options.operations.config.slow else { return };
        let timings = &judged.timings;
        let micros = |us: u32| Duration::from_micros(us.into());
        let took = micros(timings.queued_us) + micros(timings.running_us);
        if took < threshold {
            return;
        }
        let stage = |stage: Stage| micros(timings.stages_us[stage as usize]);
        // What a worker says: no more of it than can be true.
        let slowest = spent.slow_dimensions.iter().take(DIMENSIONS);
        let dimensions: Vec<_> =
            slowest.map(|(dimension, us)| format!("{dimension}={:?}", micros(*us))).collect();
        tracing::warn!(
            task = %judged.task,
            ?took,
            queued = ?micros(timings.queued_us),
            running = ?micros(timings.running_us),
            parse = ?stage(Stage::Parse),
            score = ?stage(Stage::Score),
            aggregate = ?stage(Stage::Aggregate),
            verdict = ?stage(Stage::Verdict),
            dimensions = %dimensions.join(" "),
            bytes,
            domain = %judged.judgment.domain,
            worker = %judged.worker,
            attempts = judged.attempts,
            "slow judgment"
        );
    }
}
