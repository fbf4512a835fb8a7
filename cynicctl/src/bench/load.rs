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
use cynic_proto::stats::RecorderStats;
use fastrand::Rng;
use hdrhistogram::Histogram;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, sleep_until, timeout_at};

use super::mix::{Item, Mix};
use super::usage::{Cpu, CpuUsed, Memory};
use crate::daemon::within;

/// Longest time that is told from longer ones, in microseconds: longer than any deadline in use.
const TIME_MAX_US: u64 = 3_600_000_000;

/// Decimal digits of precision of the histograms: times are right to a thousandth.
const DIGITS: u8 = 3;

/// How long answers are awaited after the end; what is not answered then is counted as such, with that wait.
pub(super) const GRACE: Duration = Duration::from_secs(30);

/// How long the daemon may take to give its figures: one that lives needs milliseconds under any load, and later they
/// are not those of that moment.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// How long after the end is still sent what was due before it. A sender that keeps up is late by milliseconds; one that
/// is later than this does not, and its backlog would take as long as it likes.
pub(crate) const OVERRUN: Duration = Duration::from_secs(1);

/// Slices of equal time in which what was never sent is counted: their waits are right to a thousandth of what is left of
/// the load, and counting takes no longer however many items that are.
const UNSENT_SLICES: u64 = 1000;

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
    /// How long answers are awaited after the end: [`GRACE`].
    pub(super) grace: Duration,
    /// How long figures are awaited: [`LOOK`].
    pub(super) look: Duration,
}

/// What was seen of a load.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) tally: Tally,
    /// Workers in the pool, by the last figures that the daemon gave.
    pub(super) workers: u32,
    /// `None` where the daemon did not give them in time at the beginning or at the end.
    pub(super) figures: Option<Figures>,
}

/// What the daemon's figures tell of the time measured.
#[derive(Debug)]
pub(super) struct Figures {
    /// At the beginning and at the end.
    pub(super) recorder: (RecorderStats, RecorderStats),
    /// Seconds between them, and answers.
    pub(super) between: (f64, u64),
    pub(super) cpu: CpuUsed,
    /// At the end.
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
    /// Due, and never sent.
    pub(super) unsent: u64,
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
    unsent: Option<Unsent>,
    broken: Option<ClientError>,
}

/// What an open loop had not sent when it stopped: all that was due from that moment to the end.
#[derive(Debug, Clone, Copy)]
struct Unsent {
    due: Instant,
    rate: f64,
    stopped: Instant,
}

type Shared = Rc<RefCell<State>>;

/// Puts the load on the daemon and returns what was seen.
pub(super) async fn run(load: Load) -> Result<Seen> {
    let options = || Options { reconnect_for: Duration::ZERO, ..Options::new(&load.socket) };
    let control = Client::connect(options()).await?;
    let workers = within(load.look, control.stats()).await?.pool.pool_size;
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
        unsent: None,
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
    let observed = observe(&state, &control, workers);
    let ((), (workers, figures)) =
        LocalSet::new().run_until(async { tokio::try_join!(sent, observed) }).await?;
    let mut state = state.borrow_mut();
    state.give_up();
    let tally = std::mem::replace(&mut state.tally, Tally::new(0)?);
    Ok(Seen { tally, workers, figures })
}

/// Looks at the processes where the time measured begins and where it ends. Tells how many workers there are, as far as
/// is known, and the figures unless one of the looks came to nothing: a daemon that hangs does not keep the bench.
async fn observe(
    state: &Shared,
    control: &Client,
    mut workers: u32,
) -> Result<(u32, Option<Figures>)> {
    let (from, until, patience) = {
        let state = state.borrow();
        (state.from, state.until, state.load.look)
    };
    let mut look = async |at: Instant| {
        sleep_until(at.into()).await;
        let figures = match within(patience, control.stats()).await {
            Ok(figures) => figures,
            Err(ClientError::NoAnswer { .. }) => return Ok(None),
            Err(error) => return Err(anyhow::Error::from(error)),
        };
        workers = figures.pool.pool_size;
        let cpu = Cpu::look(&figures);
        Ok(Some((figures, cpu, Instant::now(), state.borrow().tally.answers)))
    };
    let first = look(from).await?;
    let last = look(until).await?;
    let figures = first.zip(last).map(|(first, last)| Figures {
        between: ((last.2 - first.2).as_secs_f64(), last.3 - first.3),
        cpu: last.1.since(&first.1),
        memory: Memory::look(&last.0),
        recorder: (first.0.recorder, last.0.recorder),
    });
    Ok((workers, figures))
}

/// Each client has so many items in flight, and sends the next when one is answered.
async fn closed(state: &Shared, clients: Vec<Client>) {
    let (in_flight, until) = (state.borrow().load.in_flight, state.borrow().until);
    let end = state.borrow().end();
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
    finish(end, loops).await;
}

/// Items are sent when they are due, whatever became of those before them; [`OVERRUN`] after the end no more are.
async fn open(state: &Shared, clients: &[Client], rate: f64) -> Result<()> {
    let (until, end) = (state.borrow().until, state.borrow().end());
    let places = Arc::new(Semaphore::new(clients.len() * state.borrow().load.in_flight));
    let stop = end.min(until + OVERRUN);
    let mut moments = schedule(rate, until)?;
    let mut flights = JoinSet::new();
    let mut clients = clients.iter().cycle();
    while let Some(due) = moments.recv().await {
        let place = timeout_at(stop.into(), Arc::clone(&places).acquire_owned()).await;
        let stopped = Instant::now();
        let (Ok(Ok(place)), true) = (place, stopped < stop) else {
            state.borrow_mut().unsent = Some(Unsent { due, rate, stopped });
            break;
        };
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
    // Nobody listens: the thread that keeps the schedule ends.
    drop(moments);
    finish(end, flights).await;
    Ok(())
}

async fn finish(end: Instant, mut flights: JoinSet<()>) {
    let all = async { while flights.join_next().await.is_some() {} };
    // What is not answered by then is counted by who looks at what still waits.
    let _ = timeout_at(end.into(), all).await;
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

    /// When nothing is waited for any longer.
    fn end(&self) -> Instant {
        self.until + self.load.grace
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
                    self.tally.took(part, now - due, 1);
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
                self.tally.took(part, now - due, 1);
            }
        }
        if let Some(unsent) = self.unsent.take() {
            self.count_unsent(unsent, now);
        }
    }

    /// The same for what was never sent. Its moments were never drawn; there are as many as the rate makes of the time,
    /// evenly spread.
    fn count_unsent(&mut self, unsent: Unsent, now: Instant) {
        let first = unsent.due.max(self.from);
        let left = self.until.saturating_duration_since(first);
        if left.is_zero() {
            return;
        }
        let items = ((left.as_secs_f64() * unsent.rate).round() as u64).max(1);
        let slices = items.min(UNSENT_SLICES);
        for slice in 0..slices {
            let due = first + left.mul_f64(slice as f64 / slices as f64);
            let count = items * (slice + 1) / slices - items * slice / slices;
            let (part, _) = self.load.mix.pick((self.dice.f64(), self.dice.f64()));
            self.tally.unsent += count;
            self.tally.took(part, now.saturating_duration_since(due), count);
            let late = micros(unsent.stopped.saturating_duration_since(due));
            self.tally.late.saturating_record_n(late, count);
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
            unsent: 0,
            answers: 0,
        })
    }

    fn took(&mut self, part: usize, time: Duration, items: u64) {
        let micros = micros(time);
        self.latency.saturating_record_n(micros, items);
        if let Some(part) = self.parts.get_mut(part) {
            part.saturating_record_n(micros, items);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).clamp(1, TIME_MAX_US)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::BytesMut;
    use cynic_proto::codec;
    use cynic_proto::handshake::{Hello, Role};
    use cynic_proto::limits::FRAME_BYTES_MAX;
    use cynic_proto::message::{Reply, Request, ToClient, ToDaemon};
    use cynic_proto::stats::Stats;
    use tempfile::TempDir;
    use tokio::time::timeout;

    use super::*;

    /// Above what any of these takes on a machine that does other things too: that it ends is tested, not when.
    const ENDS: Duration = Duration::from_secs(20);

    /// A socket at which a daemon gives its figures so many times, and lets all items pass or answers nothing else, as one
    /// that hangs from then on.
    struct Peer {
        dir: TempDir,
        /// How often it was asked for its figures.
        looks: Arc<AtomicUsize>,
    }

    impl Peer {
        fn hangs_after(looks_answered: usize) -> Peer {
            Peer::new(looks_answered, false)
        }

        fn new(looks_answered: usize, works: bool) -> Peer {
            let dir = TempDir::new().expect("a temporary directory");
            let listener = UnixListener::bind(dir.path().join("socket")).expect("bound");
            let looks = Arc::new(AtomicUsize::new(0));
            let seen = Arc::clone(&looks);
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let seen = Arc::clone(&seen);
                    std::thread::spawn(move || serve(stream, &seen, looks_answered, works));
                }
            });
            Peer { dir, looks }
        }

        /// A short load; each client has one item in flight.
        fn load(&self, rate: Option<f64>) -> Load {
            Load {
                socket: self.dir.path().join("socket"),
                clients: 2,
                rate,
                duration: Duration::from_millis(500),
                grace: Duration::from_millis(200),
                look: Duration::from_secs(1),
                ..load()
            }
        }
    }

    /// Speaks as a daemon on one connection until the client leaves.
    fn serve(mut stream: UnixStream, looks: &AtomicUsize, looks_answered: usize, works: bool) {
        let (mut inbox, mut bytes, mut greeted) = (BytesMut::new(), [0; 4096], false);
        loop {
            while let Some(frame) = codec::take(&mut inbox, FRAME_BYTES_MAX).expect("a frame") {
                let mut out = Vec::new();
                if greeted {
                    let ToDaemon { seq, request } = frame.message().expect("a request");
                    let reply = match request {
                        Request::Judge(judge) if works => Reply::Echoed(judge.task),
                        Request::Stats if looks.fetch_add(1, Ordering::SeqCst) < looks_answered => {
                            let mut stats = Stats::default();
                            stats.pool.pool_size = 3;
                            Reply::Stats(Box::new(stats))
                        }
                        _ => continue,
                    };
                    codec::put(&ToClient { seq, reply }, &[], FRAME_BYTES_MAX, &mut out)
                        .expect("a frame");
                } else {
                    greeted = true;
                    let hello = Hello::new(Role::Daemon);
                    codec::put(&hello, &[], FRAME_BYTES_MAX, &mut out).expect("a frame");
                }
                // The bench may have gone by now, which is its right.
                let _ = stream.write_all(&out);
            }
            match stream.read(&mut bytes) {
                Ok(0) | Err(_) => return,
                Ok(n) => inbox.extend_from_slice(&bytes[..n]),
            }
        }
    }

    #[tokio::test]
    async fn a_bench_of_a_daemon_that_hangs_ends_and_says_what_is_not_known() {
        // It answers the look before the load, and then the one where the time measured begins or not even that.
        for (rate, looks_answered) in [(None, 1), (Some(1000.0), 2)] {
            let daemon = Peer::hangs_after(looks_answered);
            let seen = timeout(ENDS, run(daemon.load(rate))).await;
            let seen = seen.unwrap_or_else(|_| panic!("{rate:?} does not end")).expect("seen");
            assert!(seen.figures.is_none(), "{seen:?}");
            assert_eq!((seen.workers, seen.tally.judged), (3, 0));
            assert!(seen.tally.unanswered >= 2, "each client has one in flight: {seen:?}");
            assert_eq!(seen.tally.unsent > 0, rate.is_some(), "what has no place is never sent");
            assert_eq!(daemon.looks.load(Ordering::SeqCst), 3);
        }
    }

    #[tokio::test]
    async fn a_daemon_that_hangs_from_the_start_is_no_measurement() {
        let daemon = Peer::hangs_after(0);
        let seen = timeout(ENDS, run(daemon.load(None))).await.expect("it ends");
        let error = seen.expect_err("nothing was measured").downcast::<ClientError>();
        assert!(matches!(error, Ok(ClientError::NoAnswer { .. })), "{error:?}");
    }

    /// Far more than can be sent; a sender that worked its backlog off would take minutes.
    #[tokio::test]
    async fn an_open_loop_ends_however_much_is_due() {
        let rate = 10_000_000.0;
        let daemon = Peer::new(usize::MAX, true);
        let load = Load { in_flight: 64, grace: GRACE, ..daemon.load(Some(rate)) };
        let due = (load.duration.as_secs_f64() * rate) as u64;
        let tally = timeout(ENDS, run(load)).await.expect("it ends").expect("seen").tally;
        assert!(tally.judged > 0 && tally.unsent > due / 2, "{tally:?}");
        let parts: u64 = tally.parts.iter().map(Histogram::len).sum();
        assert_eq!((parts, tally.late.len()), (tally.latency.len(), tally.latency.len()));
        assert!(tally.latency.len() > tally.unsent, "what was sent counts beside what was not");
        assert!(tally.latency.max() >= 500_000, "the first of them waited the longest");
    }

    #[test]
    fn what_was_due_and_never_sent_is_not_left_out() {
        let mut state = state();
        // Due in the warm-up, which does not count, and in the time measured.
        state.unsent = Some(Unsent { due: ago(40), rate: 1000.0, stopped: Instant::now() });
        state.until = Instant::now();
        state.give_up();
        let tally = &state.tally;
        assert!((29_999..30_100).contains(&tally.unsent), "{tally:?}");
        assert_eq!((tally.latency.len(), tally.late.len()), (tally.unsent, tally.unsent));
        let (least, most) = (tally.latency.min(), tally.latency.max());
        assert!(least < 1_000_000 && most >= 29_900_000, "waits of all lengths: {least} to {most}");
        assert!(tally.parts.iter().all(|part| !part.is_empty()), "of all kinds");
    }

    #[test]
    fn one_that_never_had_a_place_counts_at_any_rate() {
        let mut state = state();
        state.unsent = Some(Unsent { due: ago(3), rate: 0.1, stopped: Instant::now() });
        state.until = ago(2);
        state.give_up();
        assert_eq!((state.tally.unsent, state.tally.latency.len()), (1, 1));
        state.unsent = Some(Unsent { due: ago(1), rate: 0.1, stopped: Instant::now() });
        state.give_up();
        assert_eq!(state.tally.unsent, 1, "nothing is due after the end");
    }

    fn load() -> Load {
        let mix = Mix::resolve(Some("chat,shell"), &[]).expect("valid");
        Load {
            socket: PathBuf::new(),
            mix: Rc::new(mix),
            clients: 1,
            in_flight: 1,
            lane: Lane::Interactive,
            ack: Ack::Judged,
            rate: None,
            warmup: Duration::ZERO,
            duration: Duration::from_mins(1),
            grace: GRACE,
            look: LOOK,
        }
    }

    fn state() -> State {
        let now = Instant::now();
        State {
            load: load(),
            dice: Rng::with_seed(SEED),
            from: now.checked_sub(Duration::from_secs(30)).expect("a machine up for that long"),
            until: now + Duration::from_secs(30),
            tally: Tally::new(2).expect("histograms"),
            waiting: BTreeMap::new(),
            next: 0,
            unsent: None,
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
