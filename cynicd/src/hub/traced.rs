//! Traces of tasks that have been answered.

use std::time::{Duration, Instant};

use cynic_proto::error::TaskError;
use cynic_proto::ids::TaskId;
use cynic_proto::message::Judged;

use super::Hub;
use super::answers::Held;
use crate::traces::{self, Trace, Work};

impl Hub {
    /// When the task came, if it is one of those that are traced.
    pub(super) fn traced(&self, task: TaskId) -> Option<Instant> {
        self.options.tracer.as_ref()?.samples(task).then(Instant::now)
    }

    /// Traces a judgment.
    pub(super) fn trace_judgment(&mut self, held: &Held, judged: &Judged) {
        let Some(accepted) = held.traced else { return };
        let (judgment, timings) = (&judged.judgment, &judged.timings);
        let micros = |us: u32| Duration::from_micros(us.into());
        let work = Work {
            queued: micros(timings.queued_us),
            running: micros(timings.running_us),
            stages_us: timings.stages_us,
        };
        let result = traces::Judged {
            domain: judgment.domain.to_string(),
            verdict: judgment.verdict.to_string(),
            q_score: judgment.q_score,
            confidence: judgment.confidence,
            partial: judgment.partial,
            worker: judged.worker.to_string(),
        };
        self.trace(accepted, judged.task, held, (judged.attempts, Some(work), Ok(result)));
    }

    /// Traces a failure.
    pub(super) fn trace_failure(
        &mut self,
        held: &Held,
        task: TaskId,
        error: &TaskError,
        attempts: u8,
    ) {
        let Some(accepted) = held.traced else { return };
        let why = format!("{}: {}", error.kind.name(), error.message);
        self.trace(accepted, task, held, (attempts, None, Err(why)));
    }

    fn trace(
        &mut self,
        accepted: Instant,
        task: TaskId,
        held: &Held,
        (attempts, work, result): (u8, Option<Work>, Result<traces::Judged, String>),
    ) {
        let (bytes, uid) = (held.payload.len(), held.uid);
        if let Some(tracer) = &mut self.options.tracer {
            tracer.ended(Trace { task, accepted, work, attempts, bytes, uid, result });
        }
    }
}
