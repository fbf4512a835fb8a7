//! Workers' lives: start, heartbeat, death, what a death means for the tasks in hand, and replacement.

use std::time::{Duration, Instant};

use cynic_proto::error::{Death, DeathCause, ErrorKind};
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::message::Lane;

use super::dimensions::Rules;
use super::slot::{Heartbeat, Lease, Slot, State, backoff};
use super::task::{Place, Task};
use super::{ClientId, Config, Effect, Intake, Pool};

const SIGKILL: i32 = 9;

/// One part in so many by which a worker's replacement is put off at random, so that workers that started
/// together are not all due together.
const RECYCLE_JITTER_PART: u64 = 10;

/// Attempts after which a task is answered with an error even if none of the losses was its own: more than an operator
/// who restarts workers by hand would cost it, few enough to end soon.
const ATTEMPTS_MAX: u8 = 8;

impl Pool {
    /// Starts a process in each slot that should have one and may.
    pub(super) fn respawn(&mut self, now: Instant) {
        if matches!(self.intake, Intake::Stopping { .. }) {
            return;
        }
        for n in 0..self.slots.len() {
            let slot = &self.slots[n];
            let State::Down { until } = slot.state else { continue };
            if self.breaker.not_before(until, slot.id.slot).is_none_or(|at| at > now) {
                continue;
            }
            let jitter =
                self.random.next() % (self.config.recycle_tasks / RECYCLE_JITTER_PART).max(1);
            let slot = &mut self.slots[n];
            slot.id.generation = slot.id.generation.wrapping_add(1);
            slot.tasks = 0;
            slot.memory_bytes = 0;
            slot.cpu = Duration::ZERO;
            slot.recycle_wanted = false;
            slot.ready_at = None;
            slot.recycle_at = self.config.recycle_tasks.saturating_add(jitter);
            slot.state = State::Starting { deadline: now + self.config.start_timeout };
            self.effects.push(Effect::Spawn(slot.id));
        }
    }

    pub(super) fn ready(&mut self, worker: WorkerId, now: Instant) {
        let due = Heartbeat::Due(now + self.config.heartbeat_interval);
        let Some(slot) = self.slot_mut(worker) else { return };
        match slot.state {
            State::Starting { .. } => {
                slot.state = State::Idle { heartbeat: due };
                slot.ready_at = Some(now);
            }
            State::Killed { .. } | State::Stopping { .. } => return,
            _ => {
                let what = "READY from a worker that was ready".to_owned();
                return self.kill(worker, DeathCause::ProtocolViolation(what), true);
            }
        }
        if self.breaker.succeeded() {
            // The cause is gone: the others need not sit out their pauses.
            for slot in &mut self.slots {
                if let State::Down { until } = &mut slot.state {
                    *until = now;
                }
            }
        }
        self.note_ready();
    }

    /// The pool is ready for the first time when each slot that is wanted has a worker that is.
    fn note_ready(&mut self) {
        let wanted = usize::from(self.config.size.get());
        self.was_ready |= self.slots.iter().take(wanted).all(Slot::is_live);
    }

    pub(super) fn pong(&mut self, worker: WorkerId, nonce: u64, now: Instant) {
        let due = now + self.config.heartbeat_interval;
        let Some(slot) = self.slot_mut(worker) else { return };
        if let State::Idle { heartbeat } = &mut slot.state
            && matches!(heartbeat, Heartbeat::Asked { nonce: asked, .. } if *asked == nonce)
        {
            *heartbeat = Heartbeat::Due(due);
        }
        // Any other pong answers a question that work has overtaken.
    }

    /// Acts on the clocks of workers.
    pub(super) fn check_workers(&mut self, now: Instant) {
        for n in 0..self.slots.len() {
            let slot = &self.slots[n];
            if slot.timer().is_none_or(|at| at > now) {
                continue;
            }
            let worker = slot.id;
            match slot.state {
                State::Starting { .. } => self.kill(worker, DeathCause::StartTimeout, false),
                State::Idle { heartbeat: Heartbeat::Due(_) } => self.ask(worker, now),
                State::Idle { heartbeat: Heartbeat::Asked { .. } } => {
                    self.kill(worker, DeathCause::MissedHeartbeat, false);
                }
                State::Busy { .. } => self.kill(worker, DeathCause::Deadline, true),
                State::Stopping { .. } => self.kill(worker, DeathCause::MissedHeartbeat, false),
                State::Down { .. } | State::Killed { .. } | State::Retired => {}
            }
        }
    }

    fn ask(&mut self, worker: WorkerId, now: Instant) {
        let nonce = self.random.next();
        let deadline = now + self.config.heartbeat_timeout;
        if let Some(slot) = self.slot_mut(worker) {
            slot.state = State::Idle { heartbeat: Heartbeat::Asked { nonce, deadline } };
            self.effects.push(Effect::Ping { worker, nonce });
        }
    }

    /// Kills a process; `blame` tells whether the task in its hands is held responsible.
    pub(super) fn kill(&mut self, worker: WorkerId, cause: DeathCause, blame: bool) {
        let Some(slot) = self.slot_mut(worker) else { return };
        let lease = match std::mem::replace(&mut slot.state, State::Retired) {
            // No process, or one that is being killed already: the first cause stands.
            state @ (State::Down { .. } | State::Retired | State::Killed { .. }) => {
                slot.state = state;
                return;
            }
            State::Busy { lease } => Some(lease),
            State::Starting { .. } | State::Idle { .. } | State::Stopping { .. } => None,
        };
        slot.state = State::Killed { cause, lease, blame };
        self.effects.push(Effect::Kill(worker));
    }

    /// Tells an idle worker to leave.
    pub(super) fn stop(&mut self, worker: WorkerId, now: Instant) {
        let deadline = now + self.config.stop_timeout;
        if let Some(slot) = self.slot_mut(worker).filter(|slot| slot.is_idle()) {
            slot.state = State::Stopping { deadline };
            self.effects.push(Effect::Stop(worker));
        }
    }

    /// Replaces idle workers that are due, one at a time.
    pub(super) fn recycle(&mut self, now: Instant) {
        let surplus = usize::from(self.config.size.get());
        let retiring: Vec<WorkerId> =
            self.slots.iter().skip(surplus).filter(|s| s.is_idle()).map(|s| s.id).collect();
        for worker in retiring {
            self.stop(worker, now);
        }
        if self.slots.iter().any(Slot::is_changing) {
            return;
        }
        let due = |slot: &&Slot| slot.is_idle() && slot.recycle_due(&self.config);
        if let Some(worker) = self.slots.iter().find(due).map(|slot| slot.id) {
            self.stop(worker, now);
        }
    }

    /// The kernel says that a process has ended.
    pub(super) fn died(&mut self, mut death: Death, now: Instant) {
        let Some(slot) = self.slot_mut(death.worker) else { return };
        let state = std::mem::replace(&mut slot.state, State::Down { until: now });
        let of_use = slot.was_of_use(now);
        if of_use {
            slot.failures = 0;
        }
        let (lease, blame, scheduled) = match state {
            State::Busy { lease } => {
                let blame = !is_from_outside(&death.cause);
                (Some(lease), blame, false)
            }
            State::Killed { cause, lease, blame } => {
                death.be_told_why_killed(cause);
                (lease, blame, false)
            }
            State::Stopping { .. } => (None, false, true),
            State::Starting { .. } | State::Idle { .. } => (None, false, false),
            state @ (State::Down { .. } | State::Retired) => {
                slot.state = state;
                return;
            }
        };
        let slot_number = death.worker.slot;
        let scheduled = scheduled || matches!(self.intake, Intake::Stopping { .. });
        if scheduled {
            self.counters.recycled += 1;
        } else {
            *self.counters.deaths.entry(death.cause.name()).or_default() += 1;
            if lease.is_none() && !of_use {
                self.start_failed(slot_number, &death.cause, now);
            }
        }
        self.retire_surplus(slot_number);
        if let Some(lease) = lease {
            // What the worker said that it was at counts if it can be true; else it was at the first.
            let claimed = lease.items.iter().find(|item| Some(item.task) == death.task);
            death.task = claimed.or(lease.items.front()).map(|item| item.task);
            let attempts = death.task.and_then(|id| self.tasks.get(&id)).map(|task| task.attempts);
            self.effects.push(Effect::Report(Box::new(death.clone()), attempts));
            let blame = blame && !(lease.worn && is_limit(&death.cause));
            self.hold_dimension_to_account(&death, blame, now);
            self.take_back(lease, &death, blame, now);
        } else if !scheduled {
            self.effects.push(Effect::Report(Box::new(death), None));
        } else if !matches!(self.intake, Intake::Stopping { .. }) {
            self.effects.push(Effect::Recycled(death.worker));
        }
    }

    /// What killed the worker may be the dimension that it was scoring.
    fn hold_dimension_to_account(&mut self, death: &Death, blame: bool, now: Instant) {
        let strikes = |task| self.tasks.get(&task).map_or(0, |task: &Task| task.strikes);
        let first = death.task.is_none_or(|task| strikes(task) == 0);
        if let Some(dimension) = death.dimension.filter(|_| blame && first) {
            let rules = self.breaker_rules();
            let change = self.dimensions.died(death.worker, dimension, rules, now);
            self.effects.extend(change.map(|change| Effect::Dimension(dimension, change)));
        }
        self.dimensions.lease_over(death.worker, now);
    }

    pub(super) fn breaker_rules(&mut self) -> Rules {
        Rules {
            failures_max: self.config.dimension_failures_max,
            pause: self.config.dimension_pause,
            jitter: self.random.unit(),
        }
    }

    /// A process died before it was of any use: its slot pauses, and if none comes up the pool says so.
    fn start_failed(&mut self, slot: u16, cause: &DeathCause, now: Instant) {
        let jitter = self.random.unit();
        if let Some(slot) = self.slots.get_mut(usize::from(slot)) {
            slot.failures = slot.failures.saturating_add(1);
            slot.state = State::Down { until: now + backoff(slot.failures, jitter) };
        }
        let any_live = self.slots.iter().any(Slot::is_live);
        if self.breaker.failed(any_live, *cause == DeathCause::StartTimeout, now) {
            let waiting: Vec<TaskId> = self.tasks.keys().copied().collect();
            for task in waiting {
                let message = "no worker can be started; see the daemon's log".to_owned();
                self.fail(task, ErrorKind::Unavailable, message);
            }
        }
    }

    fn retire_surplus(&mut self, slot: u16) {
        let size = self.config.size.get();
        if slot >= size
            && let Some(slot) = self.slots.get_mut(usize::from(slot))
        {
            slot.state = State::Retired;
        }
    }

    /// The worker's tasks after its death: the one that it was at is to blame, the others go on.
    fn take_back(&mut self, lease: Lease, death: &Death, blame: bool, now: Instant) {
        let culprit = death.task;
        // Last first, so that they are in front of the queue in their old order.
        for item in lease.items.into_iter().rev().filter(|item| !item.abandoned) {
            if Some(item.task) != culprit {
                self.put_back(item.task, now);
            } else if blame {
                self.strike(item.task, death, now);
            } else {
                self.lost(item.task, death, now);
            }
        }
    }

    /// A worker was lost with the task, which is not to blame: it is tried again, but not for ever.
    fn lost(&mut self, id: TaskId, death: &Death, now: Instant) {
        self.note_death(id, death);
        let Some(task) = self.tasks.get(&id) else { return };
        let attempts = task.attempts;
        if attempts < ATTEMPTS_MAX {
            return self.put_back(id, now);
        }
        // Each may have looked like the worker's own failure; so many are the task's.
        if !task.deaths.iter().all(|death| is_from_outside(&death.cause)) {
            return self.give_up(id);
        }
        let message = format!(
            "{attempts} workers were lost while they had it, killed by somebody else; see the daemon's log, and try again"
        );
        self.fail(id, ErrorKind::Unavailable, message);
    }

    fn note_death(&mut self, id: TaskId, death: &Death) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.deaths.push(death.clone());
            self.counters.retries += 1;
        }
    }

    /// A worker died over the task: retry it, then alone in a fresh worker, then give it up.
    fn strike(&mut self, id: TaskId, death: &Death, now: Instant) {
        let strikes_max = self.config.strikes_max.max(1);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.strikes += 1;
        self.queue.charge(task.uid, task.client, now);
        let strikes = task.strikes;
        if strikes >= strikes_max {
            task.deaths.push(death.clone());
            return self.give_up(id);
        }
        self.note_death(id, death);
        if strikes + 1 == strikes_max && strikes_max > 1 {
            self.wait_again(id, now, |pool, _| {
                pool.solo.push_back(id);
                Place::Solo
            });
        } else {
            self.put_back(id, now);
        }
    }

    fn give_up(&mut self, id: TaskId) {
        let Some(deaths) = self.tasks.get(&id).map(|task| task.deaths.clone()) else { return };
        let message = format!(
            "gave up after {} workers died over it; see `cynicctl quarantine show {id}`",
            deaths.len()
        );
        self.counters.quarantined += 1;
        self.effects.push(Effect::Quarantine(id, deaths));
        self.fail(id, ErrorKind::Quarantined, message);
    }

    fn put_back(&mut self, id: TaskId, now: Instant) {
        self.wait_again(id, now, |pool, (lane, uid, client)| {
            Place::Queued(pool.queue.push_front(lane, uid, client, id))
        });
    }

    fn wait_again(
        &mut self,
        id: TaskId,
        now: Instant,
        place: impl FnOnce(&mut Pool, (Lane, u32, ClientId)) -> Place,
    ) {
        let Some(task) = self.tasks.get(&id) else { return };
        let (expiry, bytes, whose) =
            (task.expiry(), task.bytes, (task.lane, task.uid, task.client));
        self.expiries.remove(&(expiry, id));
        let place = place(self, whose);
        self.entered_queue(bytes);
        let start_by = now + self.config.queue_timeout;
        if let Some(task) = self.tasks.get_mut(&id) {
            task.place = place;
            task.start_by = start_by;
            self.expiries.insert((task.expiry(), id));
        }
    }

    pub(super) fn shutdown(&mut self, now: Instant) {
        if matches!(self.intake, Intake::Stopping { .. }) {
            return;
        }
        self.intake = Intake::Stopping { announced: false };
        let left: Vec<TaskId> = self.tasks.keys().copied().collect();
        for task in left {
            let message = "the daemon stopped before it was judged; retry when it is back";
            self.fail(task, ErrorKind::ShuttingDown, message.to_owned());
        }
        for n in 0..self.slots.len() {
            let worker = self.slots[n].id;
            match self.slots[n].state {
                State::Down { .. } => self.slots[n].state = State::Retired,
                State::Idle { .. } => self.stop(worker, now),
                _ => self.kill(worker, DeathCause::KilledByOperator, false),
            }
        }
    }

    pub(super) fn configure(&mut self, config: Config, now: Instant) {
        self.config = config;
        let size = usize::from(self.config.size.get());
        for (n, slot) in self.slots.iter_mut().enumerate() {
            match slot.state {
                State::Retired if n < size => slot.state = State::Down { until: now },
                State::Down { .. } if n >= size => slot.state = State::Retired,
                _ => {}
            }
        }
        for n in self.slots.len()..size {
            self.slots.push(Slot::new(n as u16, now));
        }
        self.note_ready();
    }
}

/// Whether somebody outside ended a worker: an operator, or the kernel when the whole host is short of memory. What
/// the pool kills itself has its own cause by then.
const fn is_from_outside(cause: &DeathCause) -> bool {
    matches!(cause, DeathCause::Signal(SIGKILL) | DeathCause::KilledByOperator)
}

/// Whether a worker met a limit on what it may use in all its life, to which each of its tasks has added.
const fn is_limit(cause: &DeathCause) -> bool {
    matches!(cause, DeathCause::MemoryLimit | DeathCause::CpuLimit)
}
