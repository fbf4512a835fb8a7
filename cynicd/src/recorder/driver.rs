//! The recorder's thread: turns commands, results and timers into the writer's events and performs its effects.
//!
//! It owns the entries in memory. It decides nothing about batches and failures; the writer does.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cynic_proto::ids::TaskId;
use cynic_proto::message::Ack;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::RecorderError;
use super::care::{Care, Round};
use super::entry::{Entry, EntryKey, Fate, NoticeEntry, OnSettled, SafePlace, StoredJudgment};
use super::gate::Gate;
use super::record::Record;
use super::spool::Spooled;
use super::status::{Meter, RecorderStatus};
use super::store::{Earlier, Stores, Written};
use super::writer::{Attempt, Effect, Event, Failure, Item, Place, Source, Writer};

/// Commands taken in one go: lets a burst become one batch instead of a first small one.
const COMMANDS_MAX: usize = 1024;

/// How often the store is cared for: retention, zones.
const CARE_INTERVAL: Duration = Duration::from_secs(1);

/// How long closing waits for questions and care that are half-way. A connection that is dropped while it works
/// closes its files only later, which would keep them open beyond the recorder's end.
const GRACE_ON_CLOSE: Duration = Duration::from_secs(1);

/// What is done with the stores on behalf of a query.
pub(super) type Ask = Box<dyn FnOnce(Rc<Stores>) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// What a handle tells the recorder's thread.
pub(super) enum Command {
    Submit(Entry, Option<OnSettled>),
    Flush(oneshot::Sender<()>),
    Close(Duration, oneshot::Sender<CloseReport>),
    Lookup(TaskId, oneshot::Sender<Result<Option<StoredJudgment>, RecorderError>>),
    Ask(Ask),
}

/// How the recorder was closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CloseReport {
    /// Entries that were neither in the database nor in the spool when the budget was spent.
    pub lost: u64,
    /// Entries that wait in the spool for the next start.
    pub spooled: u64,
}

struct Pending {
    record: Arc<Record>,
    bytes: usize,
    on_settled: Option<OnSettled>,
    submitted: Instant,
}

/// What a task of the driver brings back.
enum Done {
    Event(Event),
    Written { attempt: Attempt, result: Result<(Written, Earlier), Failure>, took: Duration },
    SpoolRead(Result<Vec<Spooled>, String>),
    Cared(Round, Result<bool, String>),
    Answered,
}

pub(super) struct Driver {
    writer: Writer,
    stores: Rc<Stores>,
    gate: Arc<Gate>,
    commands: mpsc::UnboundedReceiver<Command>,
    status: watch::Sender<RecorderStatus>,
    next_seq: u64,
    /// In memory only, by number: the lowest is the oldest.
    pending: BTreeMap<u64, Pending>,
    /// Read from the spool and on their way to the database.
    drained: HashMap<u64, Arc<Record>>,
    earlier: Earlier,
    tasks: JoinSet<Done>,
    attempts: HashMap<Attempt, AbortHandle>,
    flushes: Vec<(u64, oneshot::Sender<()>)>,
    meter: Meter,
    care: Care,
    care_running: bool,
    /// Why the database could not be reached at the start.
    unreached: Option<String>,
    degraded_since: Option<(Instant, String)>,
    closing: Option<Closing>,
}

struct Closing {
    deadline: Instant,
    reports: Vec<oneshot::Sender<CloseReport>>,
}

/// What a driver is made of.
pub(super) struct Parts {
    pub writer: Writer,
    pub stores: Stores,
    pub gate: Arc<Gate>,
    pub commands: mpsc::UnboundedReceiver<Command>,
    pub status: watch::Sender<RecorderStatus>,
    pub commit_budget: Duration,
    pub first_seq: u64,
    pub care: Care,
    /// Why the database could not be reached at the start, if it could not.
    pub unreached: Option<String>,
}

impl Driver {
    pub(super) fn new(parts: Parts) -> Driver {
        Driver {
            writer: parts.writer,
            meter: Meter::new(parts.stores.store.name(), parts.commit_budget),
            stores: Rc::new(parts.stores),
            gate: parts.gate,
            commands: parts.commands,
            status: parts.status,
            next_seq: parts.first_seq,
            pending: BTreeMap::new(),
            drained: HashMap::new(),
            earlier: HashMap::new(),
            tasks: JoinSet::new(),
            attempts: HashMap::new(),
            flushes: Vec::new(),
            care: parts.care,
            care_running: false,
            unreached: parts.unreached,
            degraded_since: None,
            closing: None,
        }
    }

    /// Looks at what was left behind, so that the first status says it.
    pub(super) fn begin(&mut self) {
        let unreached = self.unreached.take();
        self.turn(unreached.map_or(Event::Tick, |error| Event::Tended(Err(error))));
        self.publish();
    }

    /// Works until closed and everything is safe, or the budget for closing is spent.
    pub(super) async fn run(mut self) -> CloseReport {
        let mut commands = Vec::with_capacity(COMMANDS_MAX);
        let mut care_at = tokio::time::interval(CARE_INTERVAL);
        care_at.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.is_finished() {
            let deadline = self.closing.as_ref().map(|closing| closing.deadline);
            let wake_at = self.writer.wake_at().into_iter().chain(deadline).min();
            tokio::select! {
                biased;
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => self.done(done),
                taken = self.commands.recv_many(&mut commands, COMMANDS_MAX),
                    if self.closing.is_none() || !self.commands.is_empty() =>
                {
                    if taken == 0 {
                        // Every handle is gone: nobody can close us properly any more.
                        self.close(super::CLOSE_BUDGET_DEFAULT, None);
                    }
                    self.take(&mut commands);
                }
                () = sleep_until(wake_at), if wake_at.is_some() => self.turn(Event::Tick),
                _ = care_at.tick() => self.start_care(),
            }
            self.publish();
            self.complete_flushes();
        }
        self.finish().await
    }

    fn is_finished(&self) -> bool {
        self.closing.as_ref().is_some_and(|closing| {
            let idle = self.pending.is_empty() && self.commands.is_empty();
            idle && self.writer.is_settled() || Instant::now() >= closing.deadline
        })
    }

    fn take(&mut self, commands: &mut Vec<Command>) {
        let now = Instant::now();
        let mut items = Vec::new();
        for command in commands.drain(..) {
            match command {
                Command::Submit(entry, on_settled) => {
                    items.push(self.admit(entry, on_settled, now));
                }
                Command::Flush(done) => {
                    self.submit(&mut items);
                    self.flushes.push((self.next_seq, done));
                    self.turn(Event::Flush);
                }
                Command::Close(budget, report) => {
                    self.submit(&mut items);
                    self.close(budget, Some(report));
                }
                Command::Lookup(task, reply) => self.lookup(task, reply),
                Command::Ask(ask) => {
                    let answer = ask(self.stores.clone());
                    self.tasks.spawn_local(async move {
                        answer.await;
                        Done::Answered
                    });
                }
            }
        }
        self.submit(&mut items);
    }

    fn submit(&mut self, items: &mut Vec<Item>) {
        if !items.is_empty() {
            self.turn(Event::Submitted(std::mem::take(items)));
        }
    }

    fn admit(&mut self, entry: Entry, on_settled: Option<OnSettled>, now: Instant) -> Item {
        let bytes = entry.bytes();
        let seq = self.next_seq;
        self.next_seq += 1;
        let item = Item { seq, bytes, urgent: on_settled.is_some(), submitted: now };
        let record = Arc::new(Record::new(entry));
        self.pending.insert(seq, Pending { record, bytes, on_settled, submitted: now });
        item
    }

    fn close(&mut self, budget: Duration, report: Option<oneshot::Sender<CloseReport>>) {
        let now = Instant::now();
        self.commands.close();
        let closing =
            self.closing.get_or_insert(Closing { deadline: now + budget, reports: Vec::new() });
        closing.reports.extend(report);
        // Half of the budget for the database, half for the spool.
        self.turn(Event::Close { spill_at: now + budget / 2 });
    }

    fn lookup(
        &mut self,
        task: TaskId,
        reply: oneshot::Sender<Result<Option<StoredJudgment>, RecorderError>>,
    ) {
        let found = self.pending.values().find_map(|pending| {
            let same = pending.record.judgment_task() == Some(task);
            if same { pending.record.stored_judgment(Ack::Judged) } else { None }
        });
        if found.is_some() {
            // Nobody may be waiting any more.
            let _ = reply.send(Ok(found));
            return;
        }
        let stores = self.stores.clone();
        self.tasks.spawn_local(async move {
            let _ = reply.send(super::within(super::LOOKUP_TIMEOUT, stores.lookup(task)).await);
            Done::Answered
        });
    }

    fn turn(&mut self, event: Event) {
        let effects = self.writer.handle(event, Instant::now());
        for effect in effects {
            self.perform(effect);
        }
        self.earlier.clear();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Write { attempt, source, seqs } => self.write(attempt, source, &seqs),
            Effect::DeadLetter { attempt, source, seq, error } => {
                self.dead_letter(attempt, source, seq, error);
            }
            Effect::Abandon(attempt) => {
                if let Some(task) = self.attempts.remove(&attempt) {
                    task.abort();
                }
            }
            Effect::Spool { seqs } => self.spool(&seqs),
            Effect::ReadSpool { rows_max } => {
                let stores = self.stores.clone();
                self.tasks
                    .spawn_local(async move { Done::SpoolRead(stores.read_spool(rows_max).await) });
            }
            Effect::TrimSpool { seqs } => {
                for seq in &seqs {
                    self.drained.remove(seq);
                }
                let stores = self.stores.clone();
                self.tasks.spawn_local(async move {
                    Done::Event(Event::SpoolTrimmed(stores.trim_spool(&seqs).await))
                });
            }
            Effect::Settled { seqs, place } => self.settle(seqs, &place),
            Effect::Degraded(trouble) => self.health_changed(trouble),
        }
    }

    fn records(&self, source: Source, seqs: &[u64]) -> Vec<(u64, Arc<Record>)> {
        let find = |seq: &u64| match source {
            Source::Memory => self.pending.get(seq).map(|pending| pending.record.clone()),
            Source::Spool => self.drained.get(seq).cloned(),
        };
        seqs.iter().filter_map(|seq| Some((*seq, find(seq)?))).collect()
    }

    fn write(&mut self, attempt: Attempt, source: Source, seqs: &[u64]) {
        let records: Vec<_> =
            self.records(source, seqs).into_iter().map(|(_, record)| record).collect();
        let waiting =
            |seq: &u64| self.pending.get(seq).filter(|pending| pending.on_settled.is_some());
        let wanted: HashSet<TaskId> = match source {
            Source::Memory => seqs
                .iter()
                .filter_map(waiting)
                .filter_map(|pending| pending.record.task())
                .collect(),
            Source::Spool => HashSet::new(),
        };
        let stores = self.stores.clone();
        let task = self.tasks.spawn_local(async move {
            let started = Instant::now();
            let result = stores.write(attempt.lane, &records, &wanted).await;
            Done::Written { attempt, result, took: started.elapsed() }
        });
        self.attempts.insert(attempt, task);
    }

    fn dead_letter(&mut self, attempt: Attempt, source: Source, seq: u64, error: String) {
        let record = self.records(source, &[seq]).pop();
        tracing::error!(error, task = ?record.as_ref().and_then(|(_, r)| r.task()), "entry refused by the database");
        let stores = self.stores.clone();
        let task = self.tasks.spawn_local(async move {
            let result = match record {
                Some((_, record)) => stores.store.dead_letter(attempt.lane, &record, &error).await,
                None => Ok(()),
            };
            Done::Event(Event::Written(attempt, result))
        });
        self.attempts.insert(attempt, task);
    }

    fn spool(&mut self, seqs: &[u64]) {
        let records = self.records(Source::Memory, seqs);
        let stores = self.stores.clone();
        self.tasks.spawn_local(async move {
            Done::Event(Event::Spooled(stores.spool_records(records).await))
        });
    }

    fn done(&mut self, done: Result<Done, JoinError>) {
        match done {
            Ok(Done::Event(event)) => {
                if let Event::Written(attempt, _) = &event {
                    self.attempts.remove(attempt);
                }
                self.turn(event);
            }
            Ok(Done::Written { attempt, result, took }) => {
                self.attempts.remove(&attempt);
                let result = result.map(|(written, earlier)| {
                    self.meter.written(&written, took);
                    self.earlier = earlier;
                });
                if let Err(Failure::Transient(error) | Failure::Refused(error)) = &result {
                    tracing::debug!(error, "batch not written");
                }
                self.turn(Event::Written(attempt, result));
            }
            Ok(Done::SpoolRead(result)) => {
                let now = Instant::now();
                let result = result.map(|records| {
                    let item = |spooled: Spooled| {
                        self.drained.insert(spooled.seq, spooled.record);
                        Item {
                            seq: spooled.seq,
                            bytes: spooled.bytes,
                            urgent: false,
                            submitted: now,
                        }
                    };
                    records.into_iter().map(item).collect()
                });
                self.turn(Event::SpoolRead(result));
            }
            Ok(Done::Cared(round, result)) => {
                self.care_running = false;
                match result {
                    Ok(more) => {
                        if round.is_full() {
                            self.turn(Event::Tended(Ok(())));
                        }
                        if more {
                            self.care.catch_up();
                            self.start_care();
                        }
                    }
                    Err(error) => self.turn(Event::Tended(Err(error))),
                }
            }
            Ok(Done::Answered) => {}
            // An abandoned attempt.
            Err(error) if error.is_cancelled() => {}
            Err(error) => self.panicked(&error),
        }
    }

    /// A panic is a defect; even so the entries of its batch are written by another attempt.
    fn panicked(&mut self, error: &JoinError) {
        tracing::error!(%error, "a task of the recorder panicked");
        let attempt = self.attempts.iter().find(|(_, task)| task.id() == error.id());
        if let Some(attempt) = attempt.map(|(attempt, _)| *attempt) {
            self.attempts.remove(&attempt);
            let failure = Failure::Transient("a defect of the recorder, see the log".to_owned());
            self.turn(Event::Written(attempt, Err(failure)));
        }
    }

    fn settle(&mut self, seqs: Vec<u64>, place: &Place) {
        let mut bytes = 0;
        let mut rows = 0;
        for seq in seqs {
            let Some(pending) = self.pending.remove(&seq) else { continue };
            rows += 1;
            bytes += pending.bytes;
            if let Some(on_settled) = pending.on_settled {
                let earlier = pending.record.task().and_then(|task| self.earlier.remove(&task));
                on_settled(match place {
                    Place::Database => {
                        Fate::Stored { place: SafePlace::Database, earlier: earlier.map(Box::new) }
                    }
                    Place::Spool => Fate::Stored { place: SafePlace::Spool, earlier: None },
                    Place::DeadLetters(error) => Fate::Refused(error.clone()),
                });
            }
        }
        self.gate.leave(rows, bytes);
    }

    fn health_changed(&mut self, trouble: Option<String>) {
        if let Some(trouble) = trouble {
            tracing::error!(trouble, "the store is degraded: judgments are kept and written later");
            let since = self.degraded_since.take().map_or_else(Instant::now, |(since, _)| since);
            self.degraded_since = Some((since, trouble));
        } else if let Some((since, trouble)) = self.degraded_since.take() {
            let lasted = since.elapsed().as_secs_f32();
            tracing::info!(lasted, "the store is healthy again");
            self.care.catch_up();
            if self.closing.is_some() {
                return;
            }
            // For those who look into it later; not through the gate, as nobody else is to be turned away.
            let entry = Entry::Notice(Box::new(NoticeEntry {
                key: EntryKey::new(),
                at_us: super::unix_us(),
                kind: "store.recovered".to_owned(),
                task: None,
                message: format!("was degraded for {lasted:.1} s: {trouble}"),
            }));
            self.gate.force(entry.bytes());
            let item = self.admit(entry, None, Instant::now());
            self.turn(Event::Submitted(vec![item]));
        }
    }

    fn start_care(&mut self) {
        let (degraded, unproven) =
            (self.degraded_since.is_some(), self.writer.is_idle_but_unproven());
        if self.care_running || self.closing.is_some() || degraded && !unproven {
            return;
        }
        if unproven {
            self.care.catch_up();
        }
        self.care_running = true;
        let (round, stores) = (self.care.take_due(), self.stores.clone());
        self.tasks.spawn_local(async move { Done::Cared(round, round.tend(&stores).await) });
    }

    fn publish(&mut self) {
        let oldest = self.pending.first_key_value().map(|(_, pending)| pending.submitted);
        let degraded = self.degraded_since.as_ref().map(|(_, trouble)| trouble);
        self.meter.publish(&self.status, self.writer.counts(), oldest, degraded);
    }

    fn complete_flushes(&mut self) {
        let oldest = self.pending.first_key_value().map(|(seq, _)| *seq);
        let (done, waiting) = std::mem::take(&mut self.flushes)
            .into_iter()
            .partition(|(through, _)| oldest.is_none_or(|oldest| oldest >= *through));
        self.flushes = waiting;
        for (_, flushed) in done {
            // Nobody may be waiting any more.
            let _ = flushed.send(());
        }
    }

    async fn finish(mut self) -> CloseReport {
        let report =
            CloseReport { lost: self.pending.len() as u64, spooled: self.writer.counts().spooled };
        if report.lost > 0 {
            tracing::error!(report.lost, "closing with entries that no store would take");
        }
        let deadline = self.closing.as_ref().map_or_else(Instant::now, |closing| closing.deadline);
        let until = deadline.min(Instant::now() + GRACE_ON_CLOSE);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout_at(until.into(), ended).await;
        self.tasks.shutdown().await;
        for (_, pending) in std::mem::take(&mut self.pending) {
            if let Some(on_settled) = pending.on_settled {
                on_settled(Fate::NotStored);
            }
        }
        self.stores.close().await;
        self.meter.publish_now(&self.status, self.writer.counts(), None, None);
        for waiting in self.closing.take().into_iter().flat_map(|closing| closing.reports) {
            let _ = waiting.send(report);
        }
        report
    }
}

async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
}
