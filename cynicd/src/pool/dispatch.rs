//! Who gets what: leases for idle workers, and what becomes of their answers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cynic_proto::error::DeathCause;
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::message::Lane;

use super::slot::{Heartbeat, Lease, Leased, Slot, State};
use super::task::{Place, Task};
use super::{Delivery, Effect, Intake, Pool, Scored, Store};

/// Items that a chunk may have though the next client in line has fewer waiting: most of what chunks gain.
const SHARED_CHUNK_ITEMS_MIN: usize = 8;

/// Weight of the newest figure in the running mean of an item's time: smooth over about eight leases.
const MEAN_WEIGHT: u32 = 8;

/// While somebody asks interactively, bulk chunks are shorter by this: most of an interactive task's time is the wait for
/// the end of one.
const BULK_SHORTER: u32 = 4;

/// Interactive chunks are shorter, and smaller, by these: they save null and small tasks the wake-ups, and one large or
/// slow item must not keep those behind it from a worker that is idle.
const INTERACTIVE_SHORTER: u32 = 8;
const INTERACTIVE_SMALLER: usize = 64;

/// For how long after an interactive task the next one is expected.
const INTERACTIVE_EXPECTED: Duration = Duration::from_secs(1);

/// Mean time of a recent item in a worker, by lane.
#[derive(Debug)]
pub(super) struct ItemTimes {
    interactive: Duration,
    bulk: Duration,
}

impl ItemTimes {
    /// Before the first answer.
    pub(super) fn all(time: Duration) -> ItemTimes {
        ItemTimes { interactive: time, bulk: time }
    }

    fn of(&self, lane: Lane) -> Duration {
        match lane {
            Lane::Interactive => self.interactive,
            Lane::Bulk => self.bulk,
        }
    }

    fn add(&mut self, lane: Lane, time: Duration) {
        let mean = match lane {
            Lane::Interactive => &mut self.interactive,
            Lane::Bulk => &mut self.bulk,
        };
        *mean = (*mean * (MEAN_WEIGHT - 1) + time) / MEAN_WEIGHT;
    }
}

impl Pool {
    /// Gives work to idle workers until one of the two runs out.
    pub(super) fn dispatch(&mut self, now: Instant) {
        if matches!(self.intake, Intake::Stopping { .. }) {
            return;
        }
        self.recycle(now);
        self.queue.end_pauses(now);
        self.dispatch_solo(now);
        while let Some(lane) = self.queue.next_lane(|lane| self.holds_back(lane)) {
            let Some(worker) = self.idle_worker() else { return };
            let items = self.take(lane, now);
            self.lease(worker, items, now);
        }
    }

    /// What cannot be stored yet is not made, but by those who wait for it: their work is let in for so long only that its
    /// judgments fit the hub's memory. A store that falls behind is left half of the workers' time to catch up in, before
    /// that becomes necessary for bulk work and after for the other. When draining, time is shorter than memory.
    fn holds_back(&self, lane: Lane) -> bool {
        if self.intake != Intake::Open {
            return false;
        }
        match (self.store, lane) {
            (Store::Ample, _) | (Store::Scarce, Lane::Interactive) => false,
            (Store::Full { .. } | Store::Refusing, Lane::Bulk) => true,
            (Store::Scarce, Lane::Bulk)
            | (Store::Full { .. } | Store::Refusing, Lane::Interactive) => {
                let at_it = |slot: &&Slot| slot.lease().is_some_and(|lease| lease.lane == lane);
                self.slots.iter().filter(at_it).count() >= (self.size() / 2).max(1)
            }
        }
    }

    /// A task that killed two workers is tried once more, alone in a worker that has done nothing else.
    fn dispatch_solo(&mut self, now: Instant) {
        loop {
            let called = self.solo_called.filter(|task| self.solo.contains(task));
            let may_go = || self.solo.iter().copied().find(|task| self.may_go(*task));
            let Some(task) = called.or_else(may_go) else { return };
            let idle = |slot: &&Slot| slot.is_idle();
            if let Some(fresh) = self.slots.iter().filter(idle).find(|slot| slot.tasks == 0) {
                let worker = fresh.id;
                self.solo.retain(|waiting| *waiting != task);
                self.solo_called = None;
                self.lease(worker, vec![task], now);
                continue;
            }
            // The fresh worker that comes is for this task, whatever else its client's tasks do meanwhile; it is a
            // replacement more, and charged as such.
            if called.is_none() {
                self.solo_called = Some(task);
                if let Some(task) = self.tasks.get(&task) {
                    self.queue.charge(task.uid, task.client, now);
                }
            }
            // One slot at a time is given up for this, so that a burst of poison does not take the pool away
            // from good work; and none while a fresh worker is coming anyway, or does not come up.
            if !self.slots.iter().any(Slot::is_changing) {
                let used = self.slots.iter().find(idle).map(|slot| slot.id);
                if let Some(worker) = used {
                    self.stop(worker, now);
                }
            }
            return;
        }
    }

    /// Workers that there should be. Slots are more after the pool has shrunk.
    fn size(&self) -> usize {
        usize::from(self.config.size.get())
    }

    fn may_go(&self, task: TaskId) -> bool {
        self.tasks.get(&task).is_none_or(|task| self.queue.may_go(task.uid, task.client))
    }

    /// An idle worker, one that is not due for replacement before one that is.
    fn idle_worker(&self) -> Option<WorkerId> {
        let idle = || self.slots.iter().filter(|slot| slot.is_idle());
        let sound = idle().find(|slot| !slot.recycle_due(&self.config));
        sound.or_else(|| idle().next()).map(|slot| slot.id)
    }

    /// Takes the next lease's tasks off the queue: one, or a chunk of small ones that one client sent.
    fn take(&mut self, lane: Lane, now: Instant) -> Vec<TaskId> {
        // What a dimension is tried with again travels alone.
        let items_max =
            if self.dimensions.trial_due(now) { 1 } else { self.chunk_items(lane, now) };
        let bytes_max = match lane {
            Lane::Interactive => self.config.chunk_bytes_max / INTERACTIVE_SMALLER,
            Lane::Bulk => self.config.chunk_bytes_max,
        };
        let tasks = &self.tasks;
        let (mut items, mut bytes, mut closed) = (0, 0, false);
        self.queue.take(lane, |id| {
            let Some(task) = tasks.get(&id) else { return true };
            // What has killed a worker travels alone from then on.
            let alone = task.strikes > 0;
            let fits = items < items_max && bytes + task.bytes <= bytes_max && !alone && !closed;
            if items > 0 && !fits {
                return false;
            }
            items += 1;
            bytes += task.bytes;
            closed = alone;
            true
        })
    }

    /// How many items of the client whose turn it is make about [`super::Config::chunk_time`], or a part of it.
    fn chunk_items(&self, lane: Lane, now: Instant) -> usize {
        if lane == Lane::Interactive && self.tasks_waiting < 2 * self.size() {
            return 1; // each worker has its own
        }
        let expected = |at| now.saturating_duration_since(at) < INTERACTIVE_EXPECTED;
        let (waiting, then) = self.queue.waiting(lane);
        // Nobody gets much more with one turn than the next one can take with his.
        let fair = then.map_or(usize::MAX, |waiting| waiting.max(SHARED_CHUNK_ITEMS_MIN));
        let (shorter, most) = match lane {
            // No more than leaves as many to each of the other workers.
            Lane::Interactive => (INTERACTIVE_SHORTER, fair.min(waiting / self.size())),
            Lane::Bulk if self.interactive_at.is_some_and(expected) => (BULK_SHORTER, fair),
            Lane::Bulk => (1, fair),
        };
        let per_item = self.item_times.of(lane).as_nanos().max(1);
        let items = (self.config.chunk_time / shorter).as_nanos() / per_item;
        let most = most.min(self.config.chunk_items_max);
        usize::try_from(items).unwrap_or(usize::MAX).min(most).max(1)
    }

    fn lease(&mut self, worker: WorkerId, tasks: Vec<TaskId>, now: Instant) {
        let may_try = self.may_try(&tasks);
        let skip = self.dimensions.skip(worker, may_try, now);
        let nonce = self.random.next();
        let mut items = Vec::with_capacity(tasks.len());
        let mut leased = VecDeque::with_capacity(tasks.len());
        let (mut bytes_leased, mut lane) = (0, Lane::Interactive);
        for id in tasks {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            self.expiries.remove(&(task.expiry(), id));
            task.place = Place::Leased(worker);
            task.attempts = task.attempts.saturating_add(1);
            self.expiries.insert((task.expiry(), id));
            let left = task.end_by.saturating_duration_since(now);
            let bytes = task.bytes;
            lane = task.lane;
            let soft_budget = self.config.soft_budget + self.config.time_for(bytes);
            items.push((id, soft_budget.min(left)));
            leased.push_back(Leased { task: id, abandoned: false });
            bytes_leased += bytes;
            self.left_queue(bytes);
        }
        let deadline = now + self.config.hard_deadline + self.config.time_for(bytes_leased);
        let slot = self.slots.get_mut(usize::from(worker.slot));
        if let Some(slot) = slot.filter(|slot| slot.id == worker) {
            let worn = slot.is_worn(&self.config);
            let count = leased.len() as u32;
            let lease =
                Lease { nonce, lane, count, began: now, items: leased, since: now, deadline, worn };
            slot.state = State::Busy { lease };
        }
        let active = self.tasks.len() - self.tasks_waiting;
        self.counters.active_max = self.counters.active_max.max(active);
        self.effects.push(Effect::Lease { worker, nonce, items, skip });
    }

    /// Whether a dimension may be tried again with this lease: with one task, and one that has not failed.
    fn may_try(&self, tasks: &[TaskId]) -> bool {
        matches!(tasks, [task] if self.tasks.get(task).is_some_and(|task| task.strikes == 0))
    }

    /// A worker answered the item that it was at.
    pub(super) fn done(
        &mut self,
        worker: WorkerId,
        nonce: u64,
        id: TaskId,
        scored: Scored,
        now: Instant,
    ) {
        let hard_deadline = self.config.hard_deadline;
        let slot = self.slots.get_mut(usize::from(worker.slot));
        let Some(slot) = slot.filter(|slot| slot.id == worker) else { return };
        if matches!(slot.state, State::Killed { cause: DeathCause::ProtocolViolation(_), .. }) {
            return;
        }
        let fits = slot.lease().is_some_and(|lease| {
            lease.nonce == nonce && lease.items.front().is_some_and(|item| item.task == id)
        });
        if !fits {
            // The task in hand is not to blame for an answer that belongs to another lease.
            let stale = slot.lease().is_none_or(|lease| lease.nonce != nonce);
            let what = "an answer that fits no item in its hands".to_owned();
            return self.kill(worker, DeathCause::ProtocolViolation(what), !stale);
        }
        slot.tasks += 1;
        slot.failures = 0;
        let worn = slot.is_worn(&self.config);
        let Some(lease) = slot.lease_mut() else { return };
        let since = std::mem::replace(&mut lease.since, now);
        lease.deadline = now + hard_deadline;
        lease.worn = worn;
        let item = lease.items.pop_front();
        let lane = lease.lane;
        let over = lease.items.is_empty();
        // Of the whole lease: its answers come in heaps, so that the time between two of them says nothing.
        let per_item = now.saturating_duration_since(lease.began) / lease.count.max(1);
        let rules = self.breaker_rules();
        let changes = self.dimensions.answered(worker, scored, rules, now);
        let changes = changes.into_iter().map(|(d, change)| Effect::Dimension(d, change));
        self.effects.extend(changes);
        if over {
            self.item_times.add(lane, per_item);
            self.dimensions.lease_over(worker, now);
            self.lease_over(worker, now);
        }
        let running = now.saturating_duration_since(since);
        self.counters.processed += 1;
        self.counters.processing += running;
        if item.is_some_and(|item| !item.abandoned) {
            self.deliver(id, since, running);
        }
    }

    fn lease_over(&mut self, worker: WorkerId, now: Instant) {
        let due = Heartbeat::Due(now + self.config.heartbeat_interval);
        let Some(slot) = self.slot_mut(worker) else { return };
        match &mut slot.state {
            State::Killed { lease, .. } => *lease = None,
            state => *state = State::Idle { heartbeat: due },
        }
    }

    fn deliver(&mut self, id: TaskId, since: Instant, running: Duration) {
        let Some(task) = self.tasks.remove(&id) else { return };
        self.expiries.remove(&(task.expiry(), id));
        self.let_go(&task);
        let Task { attempts, accepted, .. } = task;
        let queued = since.saturating_duration_since(accepted);
        self.effects.push(Effect::Deliver(Delivery { task: id, attempts, queued, running }));
    }
}
