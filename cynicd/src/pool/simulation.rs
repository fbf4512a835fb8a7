//! A seeded simulation of the pool with weighted faults, and the invariants that must hold after each event.
//!
//! Bugs planted once to see it fail, each found within seconds:
//! - `done` not comparing the nonce: "leased to a worker that has work";
//! - `take_back` dropping the items behind the culprit: a task said to be leased that is in no lease;
//! - `forget` not marking a leased item as abandoned: the same check;
//! - `slot_mut` not comparing generations: a late answer acts on the process's successor;
//! - a running task expiring by its queue clock: "timed out in the queue while a worker had it";
//! - `forget` leaving a task in `solo`: the counts of waiting tasks differ;
//! - `died` not ending the trial of a dimension: "a trial by nobody".

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use cynic_proto::error::{Death, DeathCause, ErrorKind};
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::message::Lane;
use cynic_proto::model::{DIMENSIONS, Dimension};
use cynic_proto::quarantine::{ItemKey, QuarantineRecord};

use super::dimensions::{PAUSE_MAX, Scored};
use super::slot::State;
use super::task::Place;
use super::{ClientId, Config, Effect, Effects, Event, Pool, Random, Room, Submission};
use crate::quarantine::{Index, Limits};

/// What a simulated process will do about the item that it is at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Answer,
    Die,
    Hang,
    Babble,
    AnswerThenDie,
}

#[derive(Debug)]
struct Process {
    /// Nonce and items in hand.
    lease: Option<(u64, Vec<TaskId>)>,
    last_nonce: u64,
    ending: bool,
}

/// Chances in a thousand.
#[derive(Debug, Clone, Copy)]
struct Faults {
    boot: u64,
    die: u64,
    hang: u64,
    babble: u64,
    reply_then_die: u64,
    idle_death: u64,
    cancel: u64,
}

const FAULTS: Faults = Faults {
    boot: 100,
    die: 60,
    hang: 15,
    babble: 15,
    reply_then_die: 15,
    idle_death: 10,
    cancel: 50,
};
const HEALTHY: Faults =
    Faults { boot: 0, die: 0, hang: 0, babble: 0, reply_then_die: 0, idle_death: 0, cancel: 0 };

struct World {
    pool: Pool,
    now: Instant,
    /// When the pool was last given something to handle.
    handled: Option<Instant>,
    random: Random,
    faults: Faults,
    processes: HashMap<WorkerId, Process>,
    /// What is going to happen, in order.
    agenda: BTreeMap<(Instant, u64), Event>,
    next_event: u64,
    next_task: u128,
    /// Tasks that have not been answered.
    open: HashSet<TaskId>,
    /// Tasks that kill whoever tries them, by their item.
    poison: HashMap<TaskId, u8>,
    /// A dimension whose scorer is broken.
    broken: Option<Dimension>,
    /// What the hub knows of items that kill.
    quarantine: Index,
    events: u64,
    delivered: u64,
    quarantined: u64,
    /// Answered at once because their item is in quarantine.
    hits: u64,
    /// Ended because the same item was given up meanwhile.
    condemned: u64,
    /// Breakers that opened and closed.
    breakers: [u64; 2],
    drained: u64,
    /// Parked tasks that the store had the judgment of.
    known: u64,
}

fn config() -> Config {
    Config {
        size: NonZeroU16::new(4).expect("four"),
        queue_tasks_max: 48,
        tasks_per_uid_max: 24,
        queue_bytes_max: 64 << 10,
        queue_timeout: Duration::from_millis(400),
        hard_deadline: Duration::from_millis(50),
        total_deadline: Duration::from_secs(2),
        recycle_tasks: 40,
        chunk_items_max: 6,
        chunk_bytes_max: 4096,
        dimension_pause: Duration::from_millis(20),
        ..Config::default()
    }
}

/// Small enough that records have to make room.
const QUARANTINE: Limits = Limits {
    records_max: 12,
    bytes_max: 1 << 20,
    age_max: Duration::from_hours(1),
    keep_content: false,
};

/// What the workers judge by.
const VERSION: (u32, &str) = (1, "simulated");

impl World {
    fn new(seed: u64) -> World {
        let now = Instant::now();
        World {
            pool: Pool::new(config(), seed, now),
            now,
            handled: None,
            random: Random(seed ^ 0x5eed),
            faults: FAULTS,
            processes: HashMap::new(),
            agenda: BTreeMap::new(),
            next_event: 0,
            next_task: 1,
            open: HashSet::new(),
            poison: HashMap::new(),
            broken: None,
            quarantine: Index::new(QUARANTINE),
            events: 0,
            delivered: 0,
            quarantined: 0,
            hits: 0,
            condemned: 0,
            breakers: [0; 2],
            drained: 0,
            known: 0,
        }
    }

    fn chance(&mut self, in_a_thousand: u64) -> bool {
        self.random.next() % 1000 < in_a_thousand
    }

    fn after(&mut self, micros_max: u64, event: Event) {
        let delay = Duration::from_micros(1 + self.random.next() % micros_max);
        self.next_event += 1;
        self.agenda.insert((self.now + delay, self.next_event), event);
    }

    /// Lets the next thing happen: what is on the agenda, or a timer.
    fn step(&mut self) {
        let timer = self.pool.next_timer();
        let next = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let event = match (next, timer) {
            (Some(at), timer) if timer.is_none_or(|timer| at <= timer) => {
                self.now = self.now.max(at);
                self.agenda.pop_first().map(|(_, event)| event)
            }
            (_, Some(timer)) => {
                assert!(Some(timer) > self.handled, "a timer that is due again at once spins");
                self.now = self.now.max(timer);
                None
            }
            (_, None) => None,
        };
        self.feed(event.unwrap_or(Event::Tick));
    }

    fn feed(&mut self, event: Event) {
        if !self.observe(&event) {
            return;
        }
        self.events += 1;
        self.handled = Some(self.now);
        let effects = self.pool.handle(event, self.now);
        let given_up = self.perform(effects);
        // As the hub does: what has the same item is not tried either.
        for task in given_up {
            self.condemned += 1;
            let effects = self.pool.handle(Event::Condemn(task), self.now);
            assert!(self.perform(effects).is_empty());
        }
        self.check();
    }

    /// The process's side of an event; false for a death that has been told.
    fn observe(&mut self, event: &Event) -> bool {
        match event {
            Event::Died(death) => self.processes.remove(&death.worker).is_some(),
            Event::Known(task) => {
                // The hub answers it.
                self.known += u64::from(self.open.remove(task));
                true
            }
            Event::Done { worker, nonce, task, .. } => {
                // What a dead process had sent may still come in; the pool must not mind.
                let Some(process) = self.processes.get_mut(worker) else { return true };
                match &mut process.lease {
                    Some((held, items)) if held == nonce && items.first() == Some(task) => {
                        items.remove(0);
                        if items.is_empty() {
                            process.lease = None;
                        }
                        true
                    }
                    // Babble: it may send whatever it likes.
                    _ => true,
                }
            }
            _ => true,
        }
    }

    /// Does what the pool decided; returns the tasks whose item was given up with another.
    fn perform(&mut self, effects: Effects) -> Vec<TaskId> {
        let mut given_up = Vec::new();
        for effect in effects {
            match effect {
                Effect::Spawn(worker) => self.spawn(worker),
                Effect::Lease { worker, nonce, items, skip } => {
                    self.lease(worker, nonce, &items, skip);
                }
                Effect::Ping { worker, nonce } => {
                    if !self.chance(self.faults.hang) {
                        self.after(100, Event::Pong { worker, nonce });
                    }
                }
                Effect::Stop(worker) | Effect::Kill(worker) => {
                    let process =
                        self.processes.get_mut(&worker).expect("ended a process that is not there");
                    if !std::mem::replace(&mut process.ending, true) {
                        self.after(200, killed(worker));
                    }
                }
                Effect::Deliver(delivery) => {
                    self.delivered += 1;
                    assert!(delivery.attempts > 0);
                    assert!(self.open.remove(&delivery.task), "answered twice: {}", delivery.task);
                }
                Effect::Fail { task, error } => {
                    let mut held = self.processes.values().flat_map(|p| &p.lease);
                    assert!(
                        error.kind != ErrorKind::QueueTimeout
                            || !held.any(|(_, items)| items.contains(&task)),
                        "timed out in the queue while a worker had it"
                    );
                    assert!(self.open.remove(&task), "answered twice: {task}");
                }
                Effect::Quarantine(task, deaths) => {
                    let own = deaths.iter().filter(|death| {
                        !matches!(death.cause, DeathCause::Signal(9) | DeathCause::KilledByOperator)
                    });
                    assert!(own.count() > 0, "only killed from outside: {deaths:?}");
                    self.quarantined += 1;
                    assert!(self.open.contains(&task));
                    given_up.extend(self.give_up(task));
                }
                Effect::Dimension(_, change) => {
                    self.breakers[usize::from(change == super::BreakerChange::Closed)] += 1;
                }
                Effect::Report(..) | Effect::Recycled(_) => {}
                Effect::Drained | Effect::Stopped => self.drained += 1,
            }
        }
        for (worker, process) in &self.processes {
            let Some((_, items)) = &process.lease else { continue };
            for (other, also) in &self.processes {
                let both = also.lease.iter().flat_map(|(_, items)| items);
                assert!(
                    worker == other
                        || process.ending
                        || also.ending
                        || !both.clone().any(|t| items.contains(t) && self.open.contains(t)),
                    "one task on two workers"
                );
            }
        }
        given_up
    }

    fn spawn(&mut self, worker: WorkerId) {
        let living = self.processes.keys().any(|other| other.slot == worker.slot);
        assert!(!living, "spawned over a living process");
        self.processes.insert(worker, Process { lease: None, last_nonce: 0, ending: false });
        if self.chance(self.faults.boot) {
            self.after(500, died(worker));
        } else {
            self.after(1500, Event::Ready(worker));
        }
    }

    /// Remembers the item of a task that was given up; returns the other tasks that have it.
    fn give_up(&mut self, task: TaskId) -> Vec<TaskId> {
        let Some(item) = self.poison.get(&task).copied() else { return Vec::new() };
        let record = QuarantineRecord {
            task,
            key: ItemKey([item; 32]),
            at_us: self.events.cast_signed(),
            bytes: 1,
            hint: cynic_proto::item::Hint::default(),
            attempts: 3,
            deaths: Vec::new(),
            client_uid: 0,
            judge_version: VERSION.0,
            build: VERSION.1.to_owned(),
            kept: false,
            hits: 0,
        };
        drop(self.quarantine.insert(record));
        let same = self.poison.iter().filter(|(other, of)| **of == item && **other != task);
        same.map(|(other, _)| *other).filter(|other| self.open.contains(other)).collect()
    }

    fn lease(&mut self, worker: WorkerId, nonce: u64, items: &[(TaskId, Duration)], skip: u64) {
        let process =
            self.processes.get_mut(&worker).expect("leased to a process that is not there");
        assert!(process.lease.is_none(), "leased to a worker that has work");
        assert!(!process.ending, "leased to a worker that is leaving");
        assert!(!items.is_empty());
        assert_eq!(skip >> DIMENSIONS, 0);
        let stale_nonce = std::mem::replace(&mut process.last_nonce, nonce);
        process.lease = Some((nonce, items.iter().map(|(task, _)| *task).collect()));
        let mut delay = 0;
        for (task, _) in items.iter().copied() {
            assert!(self.open.contains(&task), "leased a task that is over");
            delay += 300;
            let mut scored = Scored { failed: 0, succeeded: !skip };
            if let Some(broken) = self.broken.filter(|broken| skip >> *broken as u32 & 1 == 0) {
                if self.chance(500) {
                    return self.at(delay, died_scoring(worker, broken));
                }
                scored.failed = 1 << broken as u32;
            }
            let done = Event::Done { worker, nonce, task, scored };
            match self.fate(task) {
                Fate::Answer => self.at(delay, done),
                Fate::Die => return self.at(delay, died(worker)),
                Fate::Hang => return,
                Fate::Babble if self.chance(500) => {
                    return self.at(delay, {
                        let scored = Scored::default();
                        Event::Done { worker, nonce: stale_nonce, task, scored }
                    });
                }
                Fate::Babble => {
                    let what = "garbage".to_owned();
                    return self.at(delay, Event::Violation { worker, what });
                }
                Fate::AnswerThenDie => {
                    self.at(delay, done);
                    return self.at(delay, died(worker));
                }
            }
        }
    }

    fn at(&mut self, micros: u64, event: Event) {
        self.next_event += 1;
        self.agenda.insert((self.now + Duration::from_micros(micros), self.next_event), event);
    }

    fn fate(&mut self, task: TaskId) -> Fate {
        let Faults { die, hang, babble, reply_then_die, .. } = self.faults;
        if self.poison.contains_key(&task) {
            return Fate::Die;
        }
        match self.random.next() % 1000 {
            n if n < die => Fate::Die,
            n if n < die + hang => Fate::Hang,
            n if n < die + hang + babble => Fate::Babble,
            n if n < die + hang + babble + reply_then_die => Fate::AnswerThenDie,
            _ => Fate::Answer,
        }
    }

    fn submit(&mut self) {
        let task = TaskId(self.next_task);
        self.next_task += 1;
        self.open.insert(task);
        if self.chance(40) && self.faults.die > 0 {
            let item = (self.random.next() % 40) as u8;
            self.poison.insert(task, item);
            if self.quarantine.hit(ItemKey([item; 32]), VERSION).is_some() {
                // Answered at once; the pool never hears of it.
                self.hits += 1;
                self.open.remove(&task);
                return;
            }
        }
        let lane = if self.chance(500) { Lane::Interactive } else { Lane::Bulk };
        let deadline = self.chance(100).then(|| Duration::from_millis(self.random.next() % 80));
        let client = ClientId(self.random.next() % 5);
        let bytes = (self.random.next() % 3000) as usize;
        let parked = self.chance(100);
        self.feed(Event::Submit(Submission {
            task,
            client,
            uid: client.0 as u32 % 3,
            lane,
            bytes,
            deadline,
            parked,
        }));
        if parked {
            let known = self.chance(300);
            self.after(5000, if known { Event::Known(task) } else { Event::Unpark(task) });
        }
        if self.chance(self.faults.cancel) {
            self.after(3000, Event::Cancel(task));
        }
    }

    fn disturb(&mut self) {
        let worker = self.processes.keys().min().copied();
        match self.random.next() % 40 {
            0 => self.feed(Event::Restart),
            1 => self.feed(Event::StoreRoom(Room::None)),
            2 => self.feed(Event::StoreRoom(Room::Scarce)),
            3..=5 => self.feed(Event::StoreRoom(Room::Ample)),
            6 => self.feed(Event::Drain),
            7..=10 => self.feed(Event::Resume),
            11 => {
                let size = NonZeroU16::new(1 + (self.random.next() % 6) as u16).expect("positive");
                self.feed(Event::Configure(Box::new(Config { size, ..config() })));
            }
            12 => worker.into_iter().for_each(|w| self.feed(Event::KillWorker(w))),
            13 => worker.into_iter().for_each(|worker| {
                let cpu = Duration::from_secs(self.random.next() % 900);
                self.feed(Event::Usage { worker, memory_bytes: 1 << 40, cpu });
            }),
            15 => self.broken = Some(Dimension::ALL[(self.random.next() % 3) as usize]),
            16..=18 => self.broken = None,
            14 => {
                let gone = WorkerId { slot: 0, generation: 0 };
                self.feed(Event::Violation { worker: gone, what: "late".to_owned() });
            }
            _ if self.chance(self.faults.idle_death) => {
                if let Some(worker) = worker {
                    self.feed(killed(worker));
                }
            }
            _ => {}
        }
    }

    /// The invariants of the pool's own state.
    fn check(&self) {
        let pool = &self.pool;
        let waiting = |task: &&super::Task| !matches!(task.place, Place::Leased(_));
        assert_eq!(pool.tasks_waiting, pool.tasks.values().filter(waiting).count());
        assert_eq!(pool.bytes_held, pool.tasks.values().map(|t| t.bytes).sum::<usize>());
        let held = pool.holdings.values().fold((0, 0), |sum, h| (sum.0 + h.tasks, sum.1 + h.bytes));
        assert_eq!(held, (pool.tasks.len(), pool.bytes_held));
        let parked = pool.tasks.values().filter(|task| task.place == Place::Parked).count();
        assert_eq!(pool.queue.iter().count() + pool.solo.len() + parked, pool.tasks_waiting);
        assert_eq!(pool.expiries.len(), pool.tasks.len());
        assert_eq!(pool.tasks.len(), self.open.len(), "tasks held and tasks open differ");
        // What comes back from dead workers is let in whatever waits.
        let fresh = || pool.tasks.values().filter(waiting).filter(|task| task.attempts == 0);
        let most = pool.config.queue_tasks_max;
        assert!(fresh().count() <= most);
        assert!(fresh().filter(|task| task.lane == Lane::Bulk).count() <= most - most / 4);
        for holding in pool.holdings.values() {
            assert!(holding.tasks <= pool.config.tasks_per_uid_max);
            assert!(holding.bytes <= pool.config.bytes_per_uid_max);
        }
        assert!(pool.bytes_held <= pool.config.queue_bytes_max);
        for slot in &pool.slots {
            let process = self.processes.contains_key(&slot.id);
            assert_eq!(slot.has_process(), process, "slot {slot:?}");
        }
        for worker in pool.dimensions.trials() {
            assert!(
                pool.slot(worker).is_some_and(|slot| slot.lease().is_some()),
                "a trial by nobody"
            );
        }
        for (id, task) in &pool.tasks {
            let Place::Leased(worker) = task.place else { continue };
            let lease = pool.slot(worker).and_then(super::Slot::lease);
            assert!(lease.is_some_and(|l| l.items.iter().any(|i| i.task == *id && !i.abandoned)));
        }
    }

    /// Runs until nothing is open; fails when that takes longer than it may.
    fn finish(&mut self) {
        self.faults = HEALTHY;
        self.feed(Event::Configure(Box::new(config())));
        self.feed(Event::StoreRoom(Room::Ample));
        self.feed(Event::Resume);
        let until = self.now + Duration::from_secs(30);
        while !self.open.is_empty() {
            assert!(self.now < until, "never answered: {} tasks", self.open.len());
            self.step();
        }
        while !self.pool.is_ready() {
            assert!(self.now < until, "never ready again: {:?}", self.pool.slots);
            self.step();
        }
        // However often they opened, breakers close again once what they are for works.
        self.broken = None;
        self.now += PAUSE_MAX * 2;
        for _ in 0..1000 {
            if self.pool.stats(self.now).dimensions.iter().all(|d| d.state == "closed") {
                return;
            }
            self.submit();
            while !self.open.is_empty() {
                self.step();
            }
        }
        panic!("never scored again: {:?}", self.pool.stats(self.now).dimensions);
    }
}

fn died(worker: WorkerId) -> Event {
    Event::Died(Box::new(death(worker)))
}

/// By the supervisor, or by somebody outside.
fn killed(worker: WorkerId) -> Event {
    Event::Died(Box::new(Death { cause: DeathCause::Signal(9), ..death(worker) }))
}

fn death(worker: WorkerId) -> Death {
    Death {
        cause: DeathCause::Signal(11),
        worker,
        task: None,
        stage: None,
        dimension: None,
        stderr_tail: String::new(),
    }
}

fn died_scoring(worker: WorkerId, dimension: Dimension) -> Event {
    let (cause, dimension) = (DeathCause::Signal(11), Some(dimension));
    Event::Died(Box::new(Death { cause, dimension, ..death(worker) }))
}

fn run(seed: u64, events: u64) -> World {
    let mut world = World::new(seed);
    world.feed(Event::Tick);
    while world.events < events {
        match world.random.next() % 10 {
            0..=2 => world.submit(),
            3 => world.disturb(),
            _ => world.step(),
        }
    }
    world.finish();
    world
}

#[test]
fn a_million_events_with_faults_break_no_invariant() {
    let mut events = 0;
    let (mut delivered, mut quarantined) = (0, 0);
    let (mut hits, mut condemned, mut known, mut breakers) = (0, 0, 0, [0; 2]);
    for seed in 0..50 {
        let world = run(seed, 20_000);
        events += world.events;
        delivered += world.delivered;
        quarantined += world.quarantined;
        hits += world.hits;
        condemned += world.condemned;
        known += world.known;
        breakers = [breakers[0] + world.breakers[0], breakers[1] + world.breakers[1]];
    }
    assert!(events >= 1_000_000);
    // The simulation must really reach the states that it is about.
    assert!(delivered > 100_000, "only {delivered} tasks were judged");
    assert!(quarantined > 500, "only {quarantined} tasks were quarantined");
    assert!(hits > 500, "only {hits} tasks were answered by the quarantine");
    assert!(condemned > 20, "only {condemned} tasks were ended for their item");
    assert!(known > 500, "only {known} tasks were judged before");
    let [opened, closed] = breakers;
    assert!(opened > 500 && closed > 200, "breakers opened {opened} times, closed {closed} times");
}

#[test]
fn shutdown_ends_everything_from_any_state() {
    for seed in 1000..1200 {
        let mut world = run_some(seed);
        world.feed(Event::Shutdown);
        let until = world.now + Duration::from_secs(5);
        while world.drained == 0 || !world.processes.is_empty() {
            assert!(world.now < until, "processes left: {:?}", world.pool.slots);
            world.step();
        }
        assert!(world.open.is_empty());
        assert!(world.pool.slots.iter().all(|slot| !matches!(slot.state, State::Busy { .. })));
        assert_eq!(world.pool.next_timer(), None);
    }
}

fn run_some(seed: u64) -> World {
    let mut world = World::new(seed);
    world.feed(Event::Tick);
    let events = 50 + seed % 300;
    while world.events < events {
        match world.random.next() % 4 {
            0 => world.submit(),
            _ => world.step(),
        }
    }
    world.drained = 0;
    world
}
