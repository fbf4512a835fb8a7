//! Tasks' bytes on their way to a worker, and what comes back on its way to those who wait.

use bytes::Bytes;
use cynic_proto::error::{ErrorKind, TaskError};
use cynic_proto::event::Happening;
use cynic_proto::explanation::{self, Encoded};
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::item::Hint;
use cynic_proto::judgment::{Fallback, FallbackReason, Judgment};
use cynic_proto::limits::{ITEM_ID_BYTES_MAX, LEASE_HEAD_BYTES_MAX};
use cynic_proto::message::{Ack, Judged, Reply, Timings, ToClient};
use cynic_proto::model::{DIMENSIONS, Stage};
use cynic_proto::worker::{Lease, LeaseItem, Outcome, Spent, ToWorker};
use std::time::{Duration, Instant};

use super::recording::Failed;
use super::{Hub, Waiter};
use crate::pool::{Delivery, Effect, Event, Scored};

/// More bytes are no explanation: the judge quotes a bounded number of short passages.
const EXPLANATION_BYTES_MAX: usize = 1024 * 1024;

/// Nor are these an error message: the judge's are a line or two, and a thousand of them are a page of history.
const MESSAGE_BYTES_MAX: usize = 4096;

/// A task that is not answered yet.
#[derive(Debug)]
pub(super) struct Held {
    /// The item, opaque.
    pub(super) payload: Bytes,
    pub(super) hint: Hint,
    pub(super) waiters: Vec<Waiter>,
    /// Whose it is.
    pub(super) uid: u32,
    /// A canary is judged like any other, but neither counted nor stored.
    pub(super) canary: bool,
    /// When it came, if it is traced.
    pub(super) traced: Option<Instant>,
    /// The item's own id, once a worker that could not read the rest said so.
    pub(super) item_id: Option<String>,
}

impl Held {
    /// Whether somebody waits until it is stored.
    pub(super) fn is_to_be_stored(&self) -> bool {
        self.waiters.iter().any(|waiter| waiter.ack == Ack::Stored)
    }
}

/// A worker's answer to one item.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) worker: WorkerId,
    pub(super) nonce: u64,
    pub(super) task: TaskId,
    pub(super) outcome: Outcome,
    pub(super) spent: Spent,
    /// Encoded as [`explanation`] does.
    pub(super) explanation: Bytes,
}

impl Hub {
    pub(super) fn lease(
        &mut self,
        worker: WorkerId,
        nonce: u64,
        skip: u64,
        items: &[(TaskId, Duration)],
    ) {
        let mut lease = Lease { nonce, skip, items: Vec::with_capacity(items.len()) };
        let mut payload = Vec::with_capacity(items.len());
        for (task, soft_budget) in items {
            let Some(held) = self.tasks.get(task) else { continue };
            lease.items.push(LeaseItem {
                task: *task,
                bytes: held.payload.len() as u32,
                hint: held.hint.clone(),
                soft_budget_us: u32::try_from(soft_budget.as_micros()).unwrap_or(u32::MAX),
            });
            payload.push(held.payload.clone());
        }
        self.send_lease(worker, lease, &payload);
    }

    /// Takes a worker's answer: checks it, asks the pool what it means, and passes it on.
    pub(super) fn worker_done(&mut self, answer: Answer) {
        let worker = answer.worker;
        let scored = match check(&answer.outcome, &answer.explanation) {
            Ok((scored, _)) => scored,
            Err(what) => return self.feed(Event::Violation { worker, what }),
        };
        // Before its next lease: a worker that leaks is replaced, not given more.
        self.look_at_worker(worker);
        let event = Event::Done { worker, nonce: answer.nonce, task: answer.task, scored };
        let mut answer = Some(answer);
        for effect in self.pool.handle(event, Instant::now()) {
            match effect {
                Effect::Deliver(delivery) => {
                    if let Some(answer) = answer.take() {
                        self.deliver(delivery, answer);
                    }
                }
                other => self.perform(other),
            }
        }
        self.look_at_pool();
    }

    fn deliver(&mut self, delivery: Delivery, answer: Answer) {
        let task = delivery.task;
        let Some(mut held) = self.tasks.remove(&task) else { return };
        let timings = Timings {
            queued_us: micros(delivery.queued),
            running_us: micros(delivery.running),
            stages_us: answer.spent.stages_us,
        };
        if !held.canary {
            self.figures.answered(&timings);
        }
        self.quarantine.release(task, &held.hint, &held.payload, &answer.outcome);
        match answer.outcome {
            Outcome::Judged(judgment) if judgment.fallbacks.count_ones() as usize == DIMENSIONS => {
                let error = nothing_scored(&judgment);
                self.failed_at(Stage::Score, &held, error.kind, &timings);
                self.failed(task, held, error, delivery.attempts);
            }
            Outcome::Judged(mut judgment) => {
                let calibration = self.options.recorder.calibration();
                // A canary shows what the worker says, whatever is made of it.
                if !held.canary {
                    calibration.apply(&mut judgment);
                    let budgets = &self.options.operations.config.stage_budgets;
                    self.figures.judged(judgment.verdict, &timings, budgets);
                }
                let judged = Judged {
                    task,
                    judgment: *judgment,
                    reached: Ack::Judged,
                    attempts: delivery.attempts,
                    worker: answer.worker,
                    timings,
                };
                self.trace_judgment(&held, &judged);
                self.publish(completed(&judged, &held));
                if !held.canary {
                    self.note_if_slow(&judged, &answer.spent, held.payload.len());
                }
                self.answer_at_once(&held, &judged, &answer.explanation);
                if !held.canary {
                    self.record_judgment(&held, judged, calibration.version, answer.explanation);
                }
            }
            Outcome::Rejected { error, item_id } => {
                held.item_id = item_id;
                let kind = ErrorKind::InvalidItem(error.kind);
                self.failed_at(Stage::Parse, &held, kind, &timings);
                let message = error.message;
                let error = TaskError { kind, message, deaths: Vec::new(), retry_after_ms: None };
                self.failed(task, held, error, delivery.attempts);
            }
            Outcome::Echoed => {
                for waiter in held.waiters {
                    self.answer(task, waiter, Reply::Echoed(task), &Bytes::new());
                }
            }
        }
    }

    /// Answers those who do not wait until the judgment is stored.
    fn answer_at_once(&mut self, held: &Held, judged: &Judged, explanation: &Bytes) {
        for waiter in held.waiters.iter().filter(|waiter| waiter.ack == Ack::Judged) {
            let reply = Reply::Judged(Box::new(judged.clone()));
            self.answer(judged.task, *waiter, reply, explanation);
        }
    }

    /// The pool says that the task ended in an error.
    pub(super) fn fail(&mut self, task: TaskId, error: TaskError) {
        let Some(held) = self.tasks.remove(&task) else { return };
        let attempts = u8::try_from(error.deaths.len()).unwrap_or(u8::MAX);
        self.failed(task, held, error, attempts);
    }

    fn failed_at(&mut self, stage: Stage, held: &Held, kind: ErrorKind, timings: &Timings) {
        if !held.canary {
            let budgets = &self.options.operations.config.stage_budgets;
            self.figures.failed_at(stage, kind, timings, budgets);
        }
    }

    fn failed(&mut self, task: TaskId, held: Held, error: TaskError, attempts: u8) {
        if says_something(&error) {
            self.trace_failure(&held, task, &error, attempts);
        }
        for waiter in held.waiters {
            let reply = Reply::Failed { task, error: Box::new(error.clone()) };
            self.answer(task, waiter, reply, &Bytes::new());
        }
        if held.canary {
            return;
        }
        // Refusals at the door are neither events nor history, or an overload would load those too.
        if says_something(&error) {
            let cause = error.deaths.last().map(|death| death.cause.clone());
            let (kind, uid) = (error.kind, held.uid);
            self.publish(Happening::JudgmentFailed { task, error: kind, cause, uid, attempts });
            let (uid, item_id) = (held.uid, held.item_id);
            self.record_failure(Failed { task, error, uid, item_id, attempts });
        }
    }

    /// Answers one who waits, with an explanation if there is a judgment.
    pub(super) fn answer(
        &mut self,
        task: TaskId,
        waiter: Waiter,
        reply: Reply,
        explanation: &Bytes,
    ) {
        let mut payload = explanation.clone();
        if let Some(client) = self.clients.get_mut(&waiter.client) {
            client.answered(task);
            if matches!(&reply, Reply::Failed { error, .. } if error.kind == ErrorKind::Busy) {
                client.outbox.note_refusal();
            }
            if client.wordings < explanation::WORDINGS && !payload.is_empty() {
                let spelled = explanation::spelled_out(&payload, client.wordings);
                payload = spelled.unwrap_or_default().into();
            }
        }
        self.reply(waiter.client, &ToClient { seq: waiter.seq, reply }, &payload);
    }

    pub(super) fn send_lease(&mut self, worker: WorkerId, lease: Lease, payload: &[Bytes]) {
        let max = self.options.launch.frame_bytes_max;
        let Some(hold) = self.workers.get(&worker).and_then(|w| w.hold.as_ref()) else { return };
        // The message adds to items that fill a frame already, so a lease may be a little larger than that.
        let room = max.saturating_add(LEASE_HEAD_BYTES_MAX);
        hold.forget_stderr();
        match hold.outbox.push_pieces(&ToWorker::Lease(lease), payload, room) {
            Ok(()) => hold.outbox.flush(),
            Err(error) => tracing::error!(%worker, %error, "could not send a lease"),
        }
    }
}

/// Whether a failure says something about the item or the pool.
fn says_something(error: &TaskError) -> bool {
    let said = matches!(
        error.kind,
        ErrorKind::InvalidItem(_)
            | ErrorKind::Quarantined
            | ErrorKind::DeadlineExceeded
            | ErrorKind::QueueTimeout
            | ErrorKind::Internal
    );
    // Workers that were killed over it are told of, also where it may be tried again.
    said || !error.deaths.is_empty()
}

fn completed(judged: &Judged, held: &Held) -> Happening {
    let (judgment, timings) = (&judged.judgment, judged.timings);
    let stored = held.is_to_be_stored();
    Happening::JudgmentCompleted {
        task: judged.task,
        q_score: judgment.q_score,
        verdict: judgment.verdict,
        confidence: judgment.confidence,
        domain: judgment.domain,
        partial: judgment.partial,
        ack: if stored { Ack::Stored } else { Ack::Judged },
        uid: held.uid,
        attempts: judged.attempts,
        worker: judged.worker,
        queued_us: timings.queued_us,
        running_us: timings.running_us,
    }
}

/// The neutral 50 of a judgment in which nothing was scored would read as an opinion.
fn nothing_scored(judgment: &Judgment) -> TaskError {
    let (kind, message) = if judgment.partial {
        let message = "the soft budget ran out before any dimension was scored: send less at once, or raise \
                       `deadlines.soft_ms`";
        (ErrorKind::DeadlineExceeded, message)
    } else {
        let message = "no dimension could be scored; see the dimensions in `cynicctl stats`";
        (ErrorKind::Unavailable, message)
    };
    TaskError { kind, message: message.to_owned(), deaths: Vec::new(), retry_after_ms: None }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// A worker may have been taken over: nothing that it says is passed on unchecked. Returns how the dimensions were
/// scored, and why some were not.
pub(super) fn check(
    outcome: &Outcome,
    explanation: &[u8],
) -> Result<(Scored, Vec<Fallback>), String> {
    match outcome {
        Outcome::Judged(judgment) => check_judgment(judgment, explanation),
        Outcome::Rejected { error, .. } if error.message.len() > MESSAGE_BYTES_MAX => {
            Err("an error message without end".to_owned())
        }
        Outcome::Rejected { item_id: Some(id), .. } if id.len() > ITEM_ID_BYTES_MAX => {
            Err(format!("an item's id of {} bytes", id.len()))
        }
        Outcome::Rejected { .. } | Outcome::Echoed if !explanation.is_empty() => {
            Err("a payload behind an answer that has none".to_owned())
        }
        Outcome::Rejected { .. } | Outcome::Echoed => Ok((Scored::default(), Vec::new())),
    }
}

fn check_judgment(
    judgment: &Judgment,
    explanation: &[u8],
) -> Result<(Scored, Vec<Fallback>), String> {
    judgment.validate().map_err(|e| e.to_string())?;
    if explanation.len() > EXPLANATION_BYTES_MAX {
        return Err(format!("{} bytes of explanation", explanation.len()));
    }
    let explanation = Encoded::read(explanation).map_err(|e| e.to_string())?;
    explanation.check().map_err(|e| e.to_string())?;
    let broke = |fallback: &&Fallback| {
        matches!(fallback.reason, FallbackReason::Panicked(_) | FallbackReason::Overran)
    };
    let fallbacks = explanation.into_fallbacks();
    let failed = fallbacks.iter().filter(broke);
    let failed = failed.fold(0, |bits, fallback| bits | 1 << fallback.dimension as u32);
    let failed = failed & judgment.fallbacks;
    Ok((Scored { failed, succeeded: !judgment.fallbacks }, fallbacks))
}
