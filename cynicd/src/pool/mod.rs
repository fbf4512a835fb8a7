//! The pure core of the supervisor: which task goes to which worker, what a death means, when to respawn.
//!
//! `handle(event, now) -> effects`. Performs no I/O, reads no clock, holds no channel and no item content;
//! the shell ([`crate::hub`]) turns sockets, processes and timers into events and performs the effects.

mod admission;
mod breaker;
mod config;
mod dimensions;
mod dispatch;
mod lifecycle;
mod pauses;
mod queue;
mod report;
mod slot;
mod task;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use cynic_proto::error::{Death, DeathCause, ErrorKind, TaskError};
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::message::Lane;
use cynic_proto::model::Dimension;

pub use config::{Config, default_size};
pub use dimensions::{BreakerChange, Scored};
pub use queue::ClientId;

use admission::Holding;
use breaker::Breaker;
use dimensions::Dimensions;
use dispatch::ItemTimes;
use queue::Queue;
use report::Counters;
use slot::{Slot, State};
use task::Task;

/// What happens to the pool.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A client asks for a task that the pool does not hold.
    Submit(Submission),
    /// Nobody waits for the task any more.
    Cancel(TaskId),
    /// The store has no judgment of a parked task: it is to be tried.
    Unpark(TaskId),
    /// The store has the judgment of a parked task, which is over.
    Known(TaskId),
    /// A process passed its self-test.
    Ready(WorkerId),
    /// A worker answered the item that it was at.
    Done {
        /// Who answered.
        worker: WorkerId,
        /// The nonce that the answer repeats.
        nonce: u64,
        /// The task that it is about.
        task: TaskId,
        /// How its dimensions were scored.
        scored: Scored,
    },
    /// A worker answered a ping.
    Pong {
        /// Who answered.
        worker: WorkerId,
        /// The nonce that the answer repeats.
        nonce: u64,
    },
    /// A worker sent something that it must not.
    Violation {
        /// Who.
        worker: WorkerId,
        /// What.
        what: String,
    },
    /// The kernel says that a process has ended (or it could not be started). Comes once for each process,
    /// after all that it had sent. Its `worker` tells which.
    Died(Box<Death>),
    /// What a worker uses of the machine.
    Usage {
        /// Which worker.
        worker: WorkerId,
        /// Its resident memory.
        memory_bytes: u64,
        /// Its processor time since its start.
        cpu: Duration,
    },
    /// The task's item is one that was just given up: it is not tried either.
    Condemn(TaskId),
    /// A timer is due; see [`Pool::next_timer`].
    Tick,
    /// How much room the store has for what workers make.
    StoreRoom(Room),
    /// Take no more work; finish what was accepted.
    Drain,
    /// Take work again.
    Resume,
    /// Drained or out of time: answer what is left with an error and end all workers.
    Shutdown,
    /// Work with another configuration from now on.
    Configure(Box<Config>),
    /// Replace all workers, one after another.
    Restart,
    /// An operator kills a worker.
    KillWorker(WorkerId),
}

/// A task as the pool sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Which task.
    pub task: TaskId,
    /// Whose.
    pub client: ClientId,
    /// The user id of that client.
    pub uid: u32,
    /// In which lane.
    pub lane: Lane,
    /// Size of the item and of what came with it.
    pub bytes: usize,
    /// How long it may take in all, where the client said so.
    pub deadline: Option<Duration>,
    /// It waits for [`Event::Unpark`] or [`Event::Known`] first.
    pub parked: bool,
}

/// What the shell has to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Start a process.
    Spawn(WorkerId),
    /// Send a lease.
    Lease {
        /// To whom.
        worker: WorkerId,
        /// Its nonce.
        nonce: u64,
        /// What to judge, and how much time scoring may take.
        items: Vec<(TaskId, Duration)>,
        /// Bit `d` is set where dimension `d` is to be left out.
        skip: u64,
    },
    /// Ask a worker whether it lives.
    Ping {
        /// Whom.
        worker: WorkerId,
        /// To be repeated by the answer.
        nonce: u64,
    },
    /// Tell a worker to leave.
    Stop(WorkerId),
    /// Kill a process.
    Kill(WorkerId),
    /// Answer the task with the result that the event brought. The task is over.
    Deliver(Delivery),
    /// Answer the task with an error. The task is over.
    Fail {
        /// Which task.
        task: TaskId,
        /// Why.
        error: Box<TaskError>,
    },
    /// The task killed every worker that tried it: keep it where it can be looked at. `Fail` follows.
    Quarantine(TaskId, Vec<Death>),
    /// A worker died, not on schedule: log, count and publish it, with how often its task had been tried.
    Report(Box<Death>, Option<u8>),
    /// A worker ended on schedule: publish it.
    Recycled(WorkerId),
    /// A dimension is left out from now on, or scored again: log, count and publish it.
    Dimension(Dimension, BreakerChange),
    /// Nothing that was accepted is left.
    Drained,
    /// No process is left.
    Stopped,
}

/// The particulars of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Which task.
    pub task: TaskId,
    /// How often it was tried.
    pub attempts: u8,
    /// From acceptance to the dispatch that succeeded.
    pub queued: Duration,
    /// From there to now.
    pub running: Duration,
}

/// Effects in the order in which they must be performed.
pub type Effects = Vec<Effect>;

/// Whether the pool takes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intake {
    Open,
    /// Finishing; whether that has been announced.
    Draining {
        announced: bool,
    },
    /// Workers are being ended; whether the end has been announced.
    Stopping {
        announced: bool,
    },
}

/// How long work waits for a full store before it is refused: far above a slow commit, far below what a client waits.
const STORE_PATIENCE: Duration = Duration::from_secs(1);

/// How much room there is for what workers make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Enough for a burst.
    Ample,
    /// More is made than is stored.
    Scarce,
    /// None: what is made waits in the hub's memory.
    None,
}

/// Whether the store takes what workers make. Where room becomes scarce, only half of the workers take bulk work, so that
/// the store has processors to keep up with the rest. Full, it holds bulk work back and leaves half of the workers to the
/// other, so that a store that is slow for a moment, as under a burst, costs time and no refusal; only when that does not
/// help is work of either lane refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Store {
    Ample,
    Scarce,
    Full { since: Instant },
    Refusing,
}

impl Store {
    fn becomes(&mut self, room: Room, now: Instant) {
        match (room, *self) {
            (Room::Ample, _) => *self = Store::Ample,
            (Room::Scarce, _) => *self = Store::Scarce,
            (Room::None, Store::Ample | Store::Scarce) => *self = Store::Full { since: now },
            (Room::None, Store::Full { .. } | Store::Refusing) => {}
        }
    }

    fn grow_impatient(&mut self, now: Instant) {
        if self.timer().is_some_and(|at| at <= now) {
            *self = Store::Refusing;
        }
    }

    fn timer(self) -> Option<Instant> {
        match self {
            Store::Full { since } => Some(since + STORE_PATIENCE),
            Store::Ample | Store::Scarce | Store::Refusing => None,
        }
    }
}

/// The pool's whole state.
#[derive(Debug)]
pub struct Pool {
    config: Config,
    slots: Vec<Slot>,
    tasks: HashMap<TaskId, Task>,
    queue: Queue,
    /// Tasks that are tried once more, each alone in a fresh worker.
    solo: VecDeque<TaskId>,
    /// The one of them for which the next fresh worker is.
    solo_called: Option<TaskId>,
    /// When each task that is not over runs out of time, in its queue or in all.
    expiries: BTreeSet<(Instant, TaskId)>,
    breaker: Breaker,
    dimensions: Dimensions,
    intake: Intake,
    store: Store,
    /// Every worker of the first set has been ready.
    was_ready: bool,
    random: Random,
    counters: Counters,
    /// Each user's tasks that are not over.
    holdings: HashMap<u32, Holding>,
    /// Bytes of all tasks that are not over.
    bytes_held: usize,
    bytes_waiting: usize,
    tasks_waiting: usize,
    /// Sizes the chunks.
    item_times: ItemTimes,
    /// When an interactive task came last.
    interactive_at: Option<Instant>,
    effects: Effects,
}

impl Pool {
    /// An empty pool; the first [`Event::Tick`] starts its workers. `seed` should be unpredictable.
    pub fn new(config: Config, seed: u64, now: Instant) -> Pool {
        let slots = (0..config.size.get()).map(|slot| Slot::new(slot, now)).collect();
        Pool {
            item_times: ItemTimes::all(config.chunk_time),
            interactive_at: None,
            config,
            slots,
            tasks: HashMap::new(),
            queue: Queue::default(),
            solo: VecDeque::new(),
            solo_called: None,
            expiries: BTreeSet::new(),
            breaker: Breaker::default(),
            dimensions: Dimensions::default(),
            intake: Intake::Open,
            store: Store::Ample,
            was_ready: false,
            random: Random(seed),
            counters: Counters::default(),
            holdings: HashMap::new(),
            bytes_held: 0,
            bytes_waiting: 0,
            tasks_waiting: 0,
            effects: Effects::new(),
        }
    }

    /// Takes in an event and says what must be done about it.
    #[must_use = "dropped effects desynchronise the pool from its processes"]
    pub fn handle(&mut self, event: Event, now: Instant) -> Effects {
        match event {
            Event::Submit(submission) => self.submit(&submission, now),
            Event::Cancel(task) => self.cancel(task),
            Event::Unpark(task) => self.unpark(task),
            Event::Known(task) => drop(self.forget(task)),
            Event::Ready(worker) => self.ready(worker, now),
            Event::Done { worker, nonce, task, scored } => {
                self.done(worker, nonce, task, scored, now);
            }
            Event::Pong { worker, nonce } => self.pong(worker, nonce, now),
            Event::Violation { worker, what } => {
                self.kill(worker, DeathCause::ProtocolViolation(what), true);
            }
            Event::Died(death) => self.died(*death, now),
            Event::Usage { worker, memory_bytes, cpu } => {
                if let Some(slot) = self.slot_mut(worker) {
                    (slot.memory_bytes, slot.cpu) = (memory_bytes, cpu);
                }
            }
            Event::Condemn(task) => {
                let message = "the same item was just given up; see `cynicctl quarantine list`";
                self.fail(task, ErrorKind::Quarantined, message.to_owned());
            }
            Event::Tick => {}
            Event::StoreRoom(room) => self.store.becomes(room, now),
            Event::Drain => self.drain(),
            Event::Resume => self.resume(),
            Event::Shutdown => self.shutdown(now),
            Event::Configure(config) => self.configure(*config, now),
            Event::Restart => self.slots.iter_mut().for_each(|slot| slot.recycle_wanted = true),
            Event::KillWorker(worker) => self.kill(worker, DeathCause::KilledByOperator, false),
        }
        self.settle(now);
        std::mem::take(&mut self.effects)
    }

    /// What follows from the state and the time, whatever the event was.
    fn settle(&mut self, now: Instant) {
        self.store.grow_impatient(now);
        self.expire_tasks(now);
        self.check_workers(now);
        self.respawn(now);
        self.dispatch(now);
        self.announce();
    }

    /// When to send [`Event::Tick`] if nothing happens before.
    pub fn next_timer(&self) -> Option<Instant> {
        let expiry = self.expiries.first().map(|(at, _)| *at);
        let slots = self.slots.iter().filter_map(|slot| self.slot_timer(slot));
        slots.chain(expiry).chain(self.store.timer()).min()
    }

    fn slot_timer(&self, slot: &Slot) -> Option<Instant> {
        match slot.state {
            State::Down { .. } if matches!(self.intake, Intake::Stopping { .. }) => None,
            State::Down { until } => self.breaker.not_before(until, slot.id.slot),
            _ => slot.timer(),
        }
    }

    /// Whether no work is admitted because the store has been full for a while.
    pub fn is_refusing_for_the_store(&self) -> bool {
        self.store == Store::Refusing
    }

    /// Whether a task sent now would be judged: each worker has passed its self-test, and work is taken.
    pub fn is_ready(&self) -> bool {
        self.was_ready
            && !self.breaker.is_open()
            && self.store != Store::Refusing
            && self.intake == Intake::Open
            && self.slots.iter().any(Slot::is_live_or_coming)
    }

    #[cfg(test)]
    fn slot(&self, worker: WorkerId) -> Option<&Slot> {
        self.slots.get(usize::from(worker.slot)).filter(|slot| slot.id == worker)
    }

    /// The slot, if the process that is meant is still the one in it.
    fn slot_mut(&mut self, worker: WorkerId) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(worker.slot)).filter(|slot| slot.id == worker)
    }

    /// Ends a task with an error.
    fn fail(&mut self, id: TaskId, kind: ErrorKind, message: String) {
        let Some(task) = self.forget(id) else { return };
        *self.counters.failures.entry(kind.name()).or_default() += 1;
        let error = TaskError { kind, message, deaths: task.deaths, retry_after_ms: None };
        self.effects.push(Effect::Fail { task: id, error: Box::new(error) });
    }

    /// Takes a task out of every place in which it may be.
    fn forget(&mut self, id: TaskId) -> Option<Task> {
        let task = self.tasks.remove(&id)?;
        self.expiries.remove(&(task.expiry(), id));
        self.let_go(&task);
        match task.place {
            task::Place::Parked => self.left_queue(task.bytes),
            task::Place::Queued(place) => {
                self.queue.remove(place);
                self.left_queue(task.bytes);
            }
            task::Place::Solo => {
                self.solo.retain(|waiting| *waiting != id);
                self.left_queue(task.bytes);
            }
            task::Place::Leased(worker) => self.abandon(worker, id),
        }
        Some(task)
    }

    fn left_queue(&mut self, bytes: usize) {
        self.tasks_waiting -= 1;
        self.bytes_waiting -= bytes;
    }

    /// The worker goes on with the item, but nobody waits for it.
    fn abandon(&mut self, worker: WorkerId, id: TaskId) {
        let lease = self.slot_mut(worker).and_then(Slot::lease_mut);
        for item in lease.into_iter().flat_map(|lease| lease.items.iter_mut()) {
            item.abandoned |= item.task == id;
        }
    }

    fn announce(&mut self) {
        match &mut self.intake {
            Intake::Draining { announced } if !*announced && self.tasks.is_empty() => {
                *announced = true;
                self.effects.push(Effect::Drained);
            }
            Intake::Stopping { announced }
                if !*announced && !self.slots.iter().any(Slot::has_process) =>
            {
                *announced = true;
                self.effects.push(Effect::Stopped);
            }
            _ => {}
        }
    }
}

/// A small generator for jitter and nonces; seeded, so that a simulation can be repeated.
#[derive(Debug)]
struct Random(u64);

impl Random {
    /// `SplitMix64` (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
