//! Load on the daemon: closed loops that send when they are answered, open loops that send by schedule.
//!
//! Owns what is counted and from when. All runs on one thread; the schedule's clock has a thread of its own, since
//! the runtime's timers are too coarse for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use cynic_proto::client::{Client, ClientError, Options, Outcome};
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Judge, Lane};
use cynic_proto::stats::Stats;
use fastrand::Rng;
use hdrhistogram::Histogram;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, sleep_until, timeout};

use super::mix::{Item, Mix};
use super::usage::{Cpu, CpuUsed, Memory};

/// Longest time that is told from longer ones, in microseconds: longer than any deadline in use.
const TIME_MAX_US: u64 = 3_600_000_000;

/// Decimal digits of precision of the histograms: times are right to a thousandth.
const DIGITS: u8 = 3;

/// How long answers are awaited after the end; what is not answered then is counted as such, with that wait.
const GRACE: Duration = Duration::from_secs(30);

/// Moments that the schedule may be ahead of the sender; behind them it waits, and the moments stay as they are.
const DUE_MAX: usize = 1024;

/// What a client waits that is refused without a hint.
const PAUSE: Duration = Duration::from_millis(10);

/// The same items in the same order, whatever is measured.
const SEED: u64 = 36;

/// What to send, how, and for how long.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) socket: PathBuf,
    pub(super) mix: Rc<Mix>,
    pub(super) clients: usize,
    pub(super) in_flight: usize,
    pub(super) lane: Lane,
    pub(super) ack: Ack,
    /// Items a second; closed loops where unset.
    pub(super) rate: Option<f64>,
    pub(super) warmup: Duration,
    pub(super) duration: Duration,
}

/// What was seen of a load.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) tally: Tally,
    /// The figures at the beginning and the end of what is measured.
    pub(super) stats: (Stats, Stats),
    /// Seconds between them, and answers.
    pub(super) between: (f64, u64),
    pub(super) cpu: CpuUsed,
    pub(super) memory: Memory,
}

/// What is counted. Times are microseconds from the moment at which an item was due.
#[derive(Debug)]
pub(super) struct Tally {
    /// Of all items due in the time measured.
    pub(super) latency: Histogram<u64>,
    /// The same for each part of the mix.
    pub(super) parts: Vec<Histogram<u64>>,
    /// From the moment at which an item was due to that at which it was sent.
    pub(super) late: Histogram<u64>,
    /// Items judged within the time measured.
    pub(super) judged: u64,
    /// Items not judged, by the kind of error.
    pub(super) failed: BTreeMap<&'static str, u64>,
    /// Not answered even after the grace.
    pub(super) unanswered: u64,
    /// Answers so far, measured or not.
    answers: u64,
}

struct State {
    load: Load,
    dice: Rng,
    from: Instant,
    until: Instant,
    tally: Tally,
    /// When the items were due that are not answered, by number.
    waiting: BTreeMap<u64, (usize, Instant)>,
    next: u64,
    broken: Option<ClientError>,
}

type Shared = Rc<RefCell<State>>;

/// Puts the load on the daemon and returns what was seen.
pub(super) async fn run(load: Load) -> Result<Seen> {
    let options = || Options { reconnect_for: Duration::ZERO, ..Options::new(&load.socket) };
    let control = Client::connect(options()).await?;
    let mut clients = Vec::with_capacity(load.clients);
    for _ in 0..load.clients {
        clients.push(Client::connect(options()).await?);
    }
    let from = Instant::now() + load.warmup;
    let until = from + load.duration;
    let tally = Tally::new(load.mix.parts.len())?;
    let state: Shared = Rc::new(RefCell::new(State {
        dice: Rng::with_seed(SEED),
        from,
        until,
        tally,
        waiting: BTreeMap::new(),
        next: 0,
        broken: None,
        load,
    }));
    let sent = async {
        let rate = state.borrow().load.rate;
        match rate {
            None => closed(&state, clients).await,
            Some(rate) => open(&state, &clients, rate).await?,
        }
        let broken = state.borrow_mut().broken.take();
        broken.map_or(Ok(()), |error| Err(anyhow::Error::from(error)))
    };
    let observed = observe(&state, &control);
    let ((), seen) = LocalSet::new().run_until(async { tokio::try_join!(sent, observed) }).await?;
    let mut state = state.borrow_mut();
    state.give_up();
    let tally = std::mem::replace(&mut state.tally, Tally::new(0)?);
    Ok(Seen { tally, ..seen })
}

/// Looks at the processes where the time measured begins and where it ends.
async fn observe(state: &Shared, control: &Client) -> Result<Seen> {
    let (from, until) = (state.borrow().from, state.borrow().until);
    let look = async |at: Instant| {
        sleep_until(at.into()).await;
        let figures = control.stats().await?;
        let cpu = Cpu::look(&figures);
        anyhow::Ok((figures, cpu, Instant::now(), state.borrow().tally.answers))
    };
    let first = look(from).await?;
    let last = look(until).await?;
    Ok(Seen {
        tally: Tally::new(0)?,
        between: ((last.2 - first.2).as_secs_f64(), last.3 - first.3),
        cpu: last.1.since(&first.1),
        memory: Memory::look(&last.0),
        stats: (first.0, last.0),
    })
}

/// Each client has so many items in flight, and sends the next when one is answered.
async fn closed(state: &Shared, clients: Vec<Client>) {
    let (in_flight, until) = (state.borrow().load.in_flight, state.borrow().until);
    let mut loops = JoinSet::new();
    for client in clients {
        for _ in 0..in_flight {
            let (state, client) = (Rc::clone(state), client.clone());
            loops.spawn_local(async move {
                while Instant::now() < until && state.borrow().broken.is_none() {
                    if let Some(pause) = send(&state, &client, Instant::now()).await {
                        sleep(pause).await;
                    }
                }
            });
        }
    }
    finish(until, loops).await;
}

/// Items are sent when they are due, whatever became of those before them.
async fn open(state: &Shared, clients: &[Client], rate: f64) -> Result<()> {
    let until = state.borrow().until;
    let places = Arc::new(Semaphore::new(clients.len() * state.borrow().load.in_flight));
    let mut due = schedule(rate, until)?;
    let mut flights = JoinSet::new();
    let mut clients = clients.iter().cycle();
    while let Some(due) = due.recv().await {
        let place = Arc::clone(&places).acquire_owned().await;
        while flights.try_join_next().is_some() {}
        if state.borrow().broken.is_some() {
            break;
        }
        let Some(client) = clients.next().cloned() else { break };
        let state = Rc::clone(state);
        flights.spawn_local(async move {
            send(&state, &client, due).await;
            drop(place);
        });
    }
    finish(until, flights).await;
    Ok(())
}

async fn finish(until: Instant, mut flights: JoinSet<()>) {
    let all = async { while flights.join_next().await.is_some() {} };
    let left = until.saturating_duration_since(Instant::now()) + GRACE;
    // What is not answered by then is counted by who looks at what still waits.
    let _ = timeout(left, all).await;
}

/// A thread that says when the next item is due: at random, independent moments, as many clients would send.
fn schedule(rate: f64, until: Instant) -> Result<mpsc::Receiver<Instant>> {
    let (moments, inbox) = mpsc::channel(DUE_MAX);
    // The kernel may wake a sleeper 50 µs late to save power; the schedule should not be. Refused, it is.
    let _ = std::fs::write("/proc/self/timerslack_ns", "1000");
    let tick = move || {
        let (mut dice, mut due) = (Rng::with_seed(SEED), Instant::now());
        loop {
            // 1 minus the number is never 0.
            due += Duration::from_secs_f64(-(1.0 - dice.f64()).ln() / rate);
            if due >= until {
                return;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if moments.blocking_send(due).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("schedule".to_owned())
        .spawn(tick)
        .context("could not start the thread that keeps the schedule")?;
    Ok(inbox)
}

/// Sends one item and counts its answer; returns how long to wait before the next if it was refused.
async fn send(state: &Shared, client: &Client, due: Instant) -> Option<Duration> {
    let (number, part, item, request) = state.borrow_mut().next(due);
    let answer = client.judge_sealed(request, item.bytes).await;
    let mut state = state.borrow_mut();
    state.waiting.remove(&number);
    match answer {
        Ok(Outcome::Judged(_) | Outcome::Echoed(_)) => {
            state.count(part, due, Ok(()));
            None
        }
        Ok(Outcome::Failed { error, .. }) => {
            state.count(part, due, Err(error.kind.name()));
            let hint = error.retry_after_ms.map(|ms| Duration::from_millis(ms.into()));
            Some(hint.unwrap_or(PAUSE))
        }
        Err(error) => {
            state.broken.get_or_insert(error);
            None
        }
    }
}

impl State {
    fn next(&mut self, due: Instant) -> (u64, usize, Item, Judge) {
        let random = (self.dice.f64(), self.dice.f64());
        let (part, item) = self.load.mix.pick(random);
        let (item, number) = (item.clone(), self.next);
        self.next += 1;
        self.waiting.insert(number, (part, due));
        if self.measures(due) {
            let _ = self.tally.late.record(micros(due.elapsed()));
        }
        let request = Judge {
            task: TaskId::new(),
            retry: false,
            lane: self.load.lane,
            ack: self.load.ack,
            deadline_ms: None,
            hint: item.hint.clone(),
        };
        (number, part, item, request)
    }

    fn measures(&self, moment: Instant) -> bool {
        (self.from..self.until).contains(&moment)
    }

    fn count(&mut self, part: usize, due: Instant, answer: Result<(), &'static str>) {
        let now = Instant::now();
        self.tally.answers += 1;
        match answer {
            Ok(()) => {
                self.tally.judged += u64::from(self.measures(now));
                if self.measures(due) {
                    self.tally.took(part, now - due);
                }
            }
            Err(kind) if self.measures(due) => *self.tally.failed.entry(kind).or_default() += 1,
            Err(_) => {}
        }
    }

    /// What was not answered took at least until now: left out, the worst would look best.
    fn give_up(&mut self) {
        let now = Instant::now();
        for (part, due) in std::mem::take(&mut self.waiting).into_values() {
            if self.measures(due) {
                self.tally.unanswered += 1;
                self.tally.took(part, now - due);
            }
        }
    }
}

impl Tally {
    fn new(parts: usize) -> Result<Tally> {
        let histogram = || Histogram::new_with_bounds(1, TIME_MAX_US, DIGITS);
        let parts = (0..parts).map(|_| histogram()).collect::<Result<_, _>>();
        Ok(Tally {
            latency: histogram().context("could not make a histogram")?,
            parts: parts.context("could not make a histogram")?,
            late: histogram().context("could not make a histogram")?,
            judged: 0,
            failed: BTreeMap::new(),
            unanswered: 0,
            answers: 0,
        })
    }

    fn took(&mut self, part: usize, time: Duration) {
        let micros = micros(time);
        self.latency.saturating_record(micros);
        if let Some(part) = self.parts.get_mut(part) {
            part.saturating_record(micros);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).clamp(1, TIME_MAX_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let mix = Mix::resolve(Some("chat,shell"), &[]).expect("valid");
        let load = Load {
            socket: PathBuf::new(),
            mix: Rc::new(mix),
            clients: 1,
            in_flight: 1,
            lane: Lane::Interactive,
            ack: Ack::Judged,
            rate: None,
            warmup: Duration::ZERO,
            duration: Duration::from_mins(1),
        };
        let now = Instant::now();
        State {
            load,
            dice: Rng::with_seed(SEED),
            from: now.checked_sub(Duration::from_secs(30)).expect("a machine up for that long"),
            until: now + Duration::from_secs(30),
            tally: Tally::new(2).expect("histograms"),
            waiting: BTreeMap::new(),
            next: 0,
            broken: None,
        }
    }

    fn ago(seconds: u64) -> Instant {
        Instant::now()
            .checked_sub(Duration::from_secs(seconds))
            .expect("a machine up for that long")
    }

    /// An answer that others before it have held up counts from when its item was due, not from when it was sent.
    #[test]
    fn latency_counts_from_when_an_item_was_due() {
        let mut state = state();
        let due = ago(5);
        let (_, part, ..) = state.next(due);
        assert!(state.tally.late.max() >= 4_990_000, "sent late");
        state.count(part, due, Ok(()));
        assert!(state.tally.latency.max() >= 4_990_000);
        assert_eq!((state.tally.judged, state.tally.parts[part].len()), (1, 1));
    }

    #[test]
    fn what_was_due_in_the_warmup_is_not_measured() {
        let mut state = state();
        let due = ago(40);
        let (_, part, ..) = state.next(due);
        state.count(part, due, Err("busy"));
        assert!(state.tally.failed.is_empty() && state.tally.late.is_empty());
        state.count(part, due, Ok(()));
        assert!(state.tally.latency.is_empty());
        assert_eq!(state.tally.judged, 1, "but it was judged in the time measured");
    }

    #[test]
    fn what_is_not_answered_is_not_left_out() {
        let mut state = state();
        let _ = state.next(ago(3));
        state.give_up();
        assert_eq!((state.tally.unanswered, state.tally.latency.len()), (1, 1));
        assert!(state.tally.latency.max() >= 2_990_000);
    }
}
