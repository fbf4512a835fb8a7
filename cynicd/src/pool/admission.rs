//! Who may come in: bounds by count and by bytes, a fair part for each client, and a hint for those refused.

use std::time::{Duration, Instant};

use cynic_proto::error::{ErrorKind, TaskError};
use cynic_proto::ids::TaskId;
use cynic_proto::message::Lane;

use super::task::{Place, Task};
use super::{Effect, Intake, Pool, Store, Submission};

/// A hint below this would be gone before the reply has arrived.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(5);
/// A hint above this says nothing that the client cannot find out better by trying.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

/// One part in so many of the queue, and of each user's share of it, which bulk work leaves to interactive work: whatever
/// a flood of files does, who asks for one thing is let in.
const INTERACTIVE_PART: usize = 4;

const NO_WORKER: &str = "no worker can be started; see `cynicctl stats` and the daemon's log";

/// Why a submission is refused.
enum Refusal {
    ShuttingDown,
    Unavailable,
    StoreFull,
    QueueFull,
    ShareUsed,
    UserShareUsed,
}

/// What one user's clients have waiting or running.
#[derive(Debug, Default)]
pub(super) struct Holding {
    pub(super) tasks: usize,
    pub(super) bytes: usize,
}

impl Pool {
    pub(super) fn submit(&mut self, submission: &Submission, now: Instant) {
        let id = submission.task;
        debug_assert!(!self.tasks.contains_key(&id), "the hub joins retries to the running task");
        if self.tasks.contains_key(&id) {
            return;
        }
        if let Some(refusal) = self.refusal(submission) {
            return self.refuse(id, &refusal);
        }
        if submission.lane == Lane::Interactive {
            self.interactive_at = Some(now);
        }
        let place = if submission.parked {
            Place::Parked
        } else {
            Place::Queued(self.queue.push(submission.lane, submission.uid, submission.client, id))
        };
        let task = Task {
            client: submission.client,
            uid: submission.uid,
            lane: submission.lane,
            bytes: submission.bytes,
            accepted: now,
            start_by: now + self.config.queue_timeout,
            end_by: now + submission.deadline.unwrap_or(self.config.total_deadline),
            place,
            attempts: 0,
            strikes: 0,
            deaths: Vec::new(),
        };
        self.expiries.insert((task.expiry(), id));
        self.hold(&task);
        self.counters.accepted += 1;
        self.entered_queue(task.bytes);
        self.tasks.insert(id, task);
    }

    pub(super) fn unpark(&mut self, id: TaskId) {
        let refusal = self.nothing_is_judged();
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.place == Place::Parked) else {
            return;
        };
        if let Some(refusal) = refusal {
            drop(self.forget(id));
            return self.refuse(id, &refusal);
        }
        task.place = Place::Queued(self.queue.push(task.lane, task.uid, task.client, id));
    }

    fn hold(&mut self, task: &Task) {
        self.bytes_held += task.bytes;
        let holding = self.holdings.entry(task.uid).or_default();
        holding.tasks += 1;
        holding.bytes += task.bytes;
    }

    /// The task is over.
    pub(super) fn let_go(&mut self, task: &Task) {
        self.bytes_held -= task.bytes;
        if let Some(holding) = self.holdings.get_mut(&task.uid) {
            holding.tasks -= 1;
            holding.bytes -= task.bytes;
            if holding.tasks == 0 {
                self.holdings.remove(&task.uid);
            }
        }
    }

    pub(super) fn entered_queue(&mut self, bytes: usize) {
        self.tasks_waiting += 1;
        self.bytes_waiting += bytes;
        self.counters.waiting_max = self.counters.waiting_max.max(self.tasks_waiting);
        self.counters.bytes_waiting_max = self.counters.bytes_waiting_max.max(self.bytes_waiting);
    }

    fn refusal(&self, submission: &Submission) -> Option<Refusal> {
        if self.intake != Intake::Open {
            return Some(Refusal::ShuttingDown);
        }
        // What may be judged already needs neither a worker nor room in the store; what is not is refused later.
        if !submission.parked
            && let Some(refusal) = self.nothing_is_judged()
        {
            return Some(refusal);
        }
        let room = |most: usize| match submission.lane {
            Lane::Interactive => most,
            Lane::Bulk => most - most / INTERACTIVE_PART,
        };
        let bytes_full = self.bytes_held + submission.bytes > room(self.config.queue_bytes_max);
        let tasks_full = self.tasks_waiting >= room(self.config.queue_tasks_max);
        if tasks_full || bytes_full && self.bytes_held > 0 {
            return Some(Refusal::QueueFull);
        }
        if let Some(holding) = self.holdings.get(&submission.uid)
            && (holding.tasks >= room(self.config.tasks_per_uid_max)
                || holding.bytes + submission.bytes > room(self.config.bytes_per_uid_max))
        {
            return Some(Refusal::UserShareUsed);
        }
        // While others wait too, nobody may fill the queue: each may hold an equal part of it, with one part
        // kept free for whoever comes next.
        let waiting = self.queue.len_of(submission.lane, submission.uid, submission.client);
        let others = self.queue.clients(submission.lane) + usize::from(waiting == 0);
        let share = self.config.queue_tasks_max / (others + 1);
        (waiting > 0 && waiting >= share).then_some(Refusal::ShareUsed)
    }

    /// Why nothing is begun at present, whoever asks for it.
    fn nothing_is_judged(&self) -> Option<Refusal> {
        if self.breaker.is_open() {
            Some(Refusal::Unavailable)
        } else {
            (self.store == Store::Refusing).then_some(Refusal::StoreFull)
        }
    }

    fn refuse(&mut self, task: TaskId, refusal: &Refusal) {
        let (kind, reason, message) = match refusal {
            Refusal::ShuttingDown => (
                ErrorKind::ShuttingDown,
                "shutting_down",
                "the daemon is draining and takes no more work; retry when it is back",
            ),
            Refusal::Unavailable => (ErrorKind::Unavailable, "unavailable", NO_WORKER),
            Refusal::StoreFull => (
                ErrorKind::Busy,
                "store_full",
                "the store does not keep up and its buffers are full; retry later",
            ),
            Refusal::QueueFull => (ErrorKind::Busy, "queue_full", "the queue is full; retry later"),
            Refusal::ShareUsed => (
                ErrorKind::Busy,
                "client_share",
                "this client's part of the queue is full; retry later or wait for answers first",
            ),
            Refusal::UserShareUsed => (
                ErrorKind::Busy,
                "user_share",
                "this user's part of the queue is full (access.share_per_user); retry later or wait for answers first",
            ),
        };
        *self.counters.rejects.entry(reason).or_default() += 1;
        let retry_after = match refusal {
            Refusal::Unavailable | Refusal::ShuttingDown => Duration::from_secs(1),
            _ => self.wait_estimate(),
        };
        let error = TaskError {
            kind,
            message: message.to_owned(),
            deaths: Vec::new(),
            retry_after_ms: Some(retry_after.as_millis() as u32),
        };
        self.effects.push(Effect::Fail { task, error: Box::new(error) });
    }

    /// How long the queue takes to empty at the present speed.
    fn wait_estimate(&self) -> Duration {
        let live = self.slots.iter().filter(|slot| slot.is_live()).count().max(1);
        let mean = self.counters.processing_mean();
        let waiting = u32::try_from(self.tasks_waiting / live).unwrap_or(u32::MAX);
        mean.saturating_mul(waiting).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)
    }

    pub(super) fn cancel(&mut self, id: TaskId) {
        self.fail(id, ErrorKind::Cancelled, "cancelled by the client".to_owned());
    }

    /// Answers the tasks whose time has run out.
    pub(super) fn expire_tasks(&mut self, now: Instant) {
        while let Some((at, id)) = self.expiries.first().copied() {
            if at > now {
                break;
            }
            let Some(task) = self.tasks.get(&id) else {
                self.expiries.remove(&(at, id));
                continue;
            };
            let waited = now.duration_since(task.accepted).as_millis();
            if task.end_by <= now {
                let message =
                    format!("not finished within its deadline ({waited} ms since acceptance)");
                self.fail(id, ErrorKind::DeadlineExceeded, message);
            } else {
                let mut message = match task.strikes {
                    0 => format!("waited {waited} ms in the queue and was not started"),
                    strikes => format!(
                        "its time in the queue was over before it was tried again, {waited} ms since \
                         acceptance; workers that died over it: {strikes}"
                    ),
                };
                if self.queue.pauses(task.uid, task.client) {
                    message.push_str(
                        "; others go first while workers die over the tasks of this client or user",
                    );
                }
                self.fail(id, ErrorKind::QueueTimeout, message);
            }
        }
    }

    pub(super) fn drain(&mut self) {
        if self.intake == Intake::Open {
            self.intake = Intake::Draining { announced: false };
        }
    }

    pub(super) fn resume(&mut self) {
        if matches!(self.intake, Intake::Draining { .. }) {
            self.intake = Intake::Open;
        }
    }
}
