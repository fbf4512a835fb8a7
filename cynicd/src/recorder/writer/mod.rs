//! The batch writer's decisions: when to flush, what goes into a batch, and what a failure means.
//!
//! A plain state machine. It knows entries by number and size only, does no I/O and reads no clock. What it
//! must never do: forget an entry before it is settled, or settle one twice.

mod failure;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// First wait after a failed batch: long enough for a restarting database to notice, short enough not to
/// be felt after a blip.
const BACKOFF_MIN: Duration = Duration::from_millis(50);

/// Longest wait between attempts: an operator who has repaired the database sees it used within seconds.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Full batches follow each other no faster than this unless somebody waits for one: at a thousand judgments a
/// second and more a batch is then larger than the least, and a commit costs each of them less.
const BATCH_PACE: Duration = Duration::from_millis(20);

/// The bounds of a [`Writer`].
#[derive(Debug, Clone)]
pub(super) struct WriterConfig {
    pub flush_rows: usize,
    pub flush_interval: Duration,
    pub batch_rows_max: usize,
    pub batch_bytes_max: usize,
    pub lanes: usize,
    /// `None` where there is no spool: the embedded store is on the same disk as a spool would be.
    pub spill: Option<SpillConfig>,
    /// For the jitter of back-offs.
    pub seed: u64,
}

/// When entries go to the spool instead.
#[derive(Debug, Clone)]
pub(super) struct SpillConfig {
    /// A write that has failed or hung for so long is given up for the spool.
    pub after: Duration,
    /// This many entries in memory are too many, however healthy the database looks.
    pub rows: usize,
    /// The same in bytes.
    pub bytes: usize,
    /// Entries that a run before this one left in the spool.
    pub left_behind: u64,
}

/// An entry as far as the writer is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    /// Its number, in the order of submission.
    pub seq: u64,
    pub bytes: usize,
    /// Somebody waits for the commit.
    pub urgent: bool,
    pub submitted: Instant,
}

/// One write to one lane, so that the result of an abandoned one is told from its successor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    pub lane: usize,
    pub number: u64,
}

/// Why a write failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The database is gone, busy or full; the same write may succeed later. It may even have succeeded.
    Transient(String),
    /// The database refuses what is in the batch.
    Refused(String),
}

impl Failure {
    pub(super) fn into_text(self) -> String {
        match self {
            Failure::Transient(text) | Failure::Refused(text) => text,
        }
    }
}

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    Submitted(Vec<Item>),
    /// Write everything submitted so far without waiting for more.
    Flush,
    /// The same, and for good. From `spill_at` on, what the database has not taken goes to the spool.
    Close {
        spill_at: Instant,
    },
    Written(Attempt, Result<(), Failure>),
    Spooled(Result<(), String>),
    /// The oldest entries of the spool; empty when it is empty.
    SpoolRead(Result<Vec<Item>, String>),
    SpoolTrimmed(Result<(), String>),
    /// The store was tended, or could not be.
    Tended(Result<(), String>),
    /// The time of [`Writer::wake_at`] has come.
    Tick,
}

/// What to do.
#[must_use = "a dropped effect leaves entries unwritten for ever"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Write these in one go; answered by [`Event::Written`].
    Write { attempt: Attempt, source: Source, seqs: Vec<u64> },
    /// Set this one aside with the database's error; answered by [`Event::Written`].
    DeadLetter { attempt: Attempt, source: Source, seq: u64, error: String },
    /// Nobody waits for this attempt any more; its connection is not to be used again.
    Abandon(Attempt),
    /// Append these to the spool; answered by [`Event::Spooled`].
    Spool { seqs: Vec<u64> },
    /// Read the oldest of the spool; answered by [`Event::SpoolRead`].
    ReadSpool { rows_max: usize },
    /// These are in the database: remove them from the spool; answered by [`Event::SpoolTrimmed`].
    TrimSpool { seqs: Vec<u64> },
    /// These are safe there; tell whoever waits and free their memory.
    Settled { seqs: Vec<u64>, place: Place },
    /// The store has just become degraded (why), is so for another reason, or is healthy again.
    Degraded(Option<String>),
}

/// Where the entries of a write are kept meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Memory,
    Spool,
}

/// Where an entry is safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Database,
    Spool,
    DeadLetters(String),
}

/// Counters of a [`Writer`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub flushed: u64,
    pub retries: u64,
    pub dead_letters: u64,
    /// In the spool now.
    pub spooled: u64,
}

#[derive(Debug)]
enum Part {
    Batch(Vec<Item>),
    Refused(Item, String),
}

/// What a lane works off; the last part is next.
#[derive(Debug)]
struct Job {
    source: Source,
    parts: Vec<Part>,
    /// Of a spool job: what has been written and may be trimmed, and how many of it were set aside.
    written: Vec<u64>,
    dead_letters: u64,
    /// When the write that has not succeeded yet was first started.
    trouble_since: Option<Instant>,
    failures: u32,
}

#[derive(Debug)]
enum Lane {
    Idle,
    Writing {
        number: u64,
        job: Job,
    },
    Waiting {
        until: Instant,
        job: Job,
    },
    /// Lane 0 only: waits for the spool to be read, or for so many entries of it to be removed, which are
    /// counted then: those that cannot be removed are read and written again.
    Spool {
        flushed: u64,
        dead_letters: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Memory to database.
    Direct,
    /// Memory to spool, spool to database.
    Spooling,
}

/// The batch writer.
#[derive(Debug)]
pub(super) struct Writer {
    config: WriterConfig,
    mode: Mode,
    queue: VecDeque<Item>,
    queue_bytes: usize,
    urgent: usize,
    /// Everything up to this number is to be written without waiting for more.
    flush_through: Option<u64>,
    closing: Option<Instant>,
    lanes: Vec<Lane>,
    attempts: u64,
    /// When the last batch was taken.
    taken_at: Option<Instant>,
    /// On its way to the spool.
    spooling: Option<Vec<Item>>,
    spool_retry: Retry,
    /// Most entries sent to the spool at once: fewer each time that it takes none, as a few may fit where many do not.
    spool_rows_max: usize,
    /// How often something was sent to the spool, and how often when it was last read.
    spool_writes: u64,
    spool_writes_read: u64,
    drain_retry: Retry,
    /// What went wrong last with the database, until all is well again.
    trouble: Option<String>,
    /// Nothing has come through to the database since it failed last.
    unproven: bool,
    /// What went wrong last with the spool, until it works again.
    spool_trouble: Option<String>,
    reported: Option<String>,
    counts: Counts,
    rng: u64,
}

/// When to try again.
#[derive(Debug, Default)]
struct Retry {
    failures: u32,
    at: Option<Instant>,
}

impl Writer {
    /// A writer with nothing to write but what the spool was left with.
    pub(super) fn new(config: WriterConfig) -> Writer {
        let spooled = config.spill.as_ref().map_or(0, |spill| spill.left_behind);
        Writer {
            mode: if spooled > 0 { Mode::Spooling } else { Mode::Direct },
            queue: VecDeque::new(),
            queue_bytes: 0,
            urgent: 0,
            flush_through: None,
            closing: None,
            lanes: (0..config.lanes.max(1)).map(|_| Lane::Idle).collect(),
            attempts: 0,
            taken_at: None,
            spooling: None,
            spool_retry: Retry::default(),
            spool_rows_max: config.batch_rows_max,
            spool_writes: 0,
            spool_writes_read: 0,
            drain_retry: Retry::default(),
            trouble: None,
            unproven: false,
            spool_trouble: None,
            reported: None,
            counts: Counts { spooled, ..Counts::default() },
            rng: config.seed,
            config,
        }
    }

    /// The counters so far.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether everything submitted is settled.
    pub(super) fn is_settled(&self) -> bool {
        let in_memory = |lane: &Lane| lane.job().is_some_and(|job| job.source == Source::Memory);
        self.queue.is_empty() && self.spooling.is_none() && !self.lanes.iter().any(in_memory)
    }

    /// Takes in what happened and says what to do.
    pub(super) fn handle(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Submitted(items) => items.into_iter().for_each(|item| self.enqueue(item)),
            Event::Flush => self.flush_through = self.queue.back().map(|item| item.seq),
            Event::Close { spill_at } => self.closing = Some(spill_at),
            Event::Written(attempt, result) => self.written(attempt, result, now, &mut effects),
            Event::Spooled(result) => self.spooled(result, now, &mut effects),
            Event::SpoolRead(result) => self.spool_read(result, now, &mut effects),
            Event::SpoolTrimmed(result) => self.spool_trimmed(result, now),
            Event::Tended(result) => self.tended(result),
            Event::Tick => {}
        }
        self.give_up_for_the_spool(now, &mut effects);
        self.dispatch(now, &mut effects);
        self.report_health(&mut effects);
        effects
    }

    /// When [`Event::Tick`] is due, if it is.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let can_take = match self.mode {
            Mode::Direct => self.lanes.iter().any(|lane| matches!(lane, Lane::Idle)),
            Mode::Spooling => self.spooling.is_none(),
        };
        let head = self.queue.front().filter(|_| can_take).map(|item| {
            let mut age = item.submitted + self.config.flush_interval;
            if let Some(taken_at) = self.taken_at
                && self.queue.len() >= self.config.flush_rows
            {
                age = age.min(taken_at + BATCH_PACE);
            }
            if self.mode == Mode::Spooling { self.spool_retry.at.unwrap_or(age) } else { age }
        });
        // With an empty spool there is nothing to drain until the write to it has come back.
        let may_drain = self.mode == Mode::Spooling
            && matches!(self.lanes[0], Lane::Idle)
            && (self.counts.spooled > 0 || self.spooling.is_none());
        let drain = self.drain_retry.at.filter(|_| may_drain && self.closing.is_none());
        let spill_after = self.config.spill.as_ref().map(|spill| spill.after);
        let lanes = self.lanes.iter().filter_map(|lane| {
            let give_up = lane.trouble_since().and_then(|since| {
                let at = since + spill_after?;
                Some(self.closing.map_or(at, |spill_at| at.min(spill_at)))
            });
            match lane {
                Lane::Waiting { until, .. } => Some(give_up.map_or(*until, |at| at.min(*until))),
                _ => give_up,
            }
        });
        lanes.chain(head).chain(drain).min()
    }

    fn enqueue(&mut self, item: Item) {
        self.queue_bytes += item.bytes;
        self.urgent += usize::from(item.urgent);
        self.queue.push_back(item);
    }

    /// Puts back what a lane did not get rid of, in the order of submission.
    fn requeue(&mut self, mut items: Vec<Item>) {
        for item in &items {
            self.queue_bytes += item.bytes;
            self.urgent += usize::from(item.urgent);
        }
        items.extend(self.queue.drain(..));
        items.sort_by_key(|item| item.seq);
        self.queue = items.into();
    }

    fn take_batch(&mut self, rows_max: usize, now: Instant) -> Vec<Item> {
        self.taken_at = Some(now);
        let mut batch = Vec::with_capacity(self.queue.len().min(rows_max));
        let mut bytes = 0;
        while batch.len() < rows_max {
            let Some(item) = self.queue.front() else { break };
            if !batch.is_empty() && bytes + item.bytes > self.config.batch_bytes_max {
                break;
            }
            bytes += item.bytes;
            batch.extend(self.queue.pop_front());
        }
        self.queue_bytes -= bytes;
        self.urgent -= batch.iter().filter(|item| item.urgent).count();
        batch
    }

    /// Whether the queue's head need not wait for more to come.
    fn is_due(&self, now: Instant) -> bool {
        let Some(head) = self.queue.front() else { return false };
        self.is_full_enough(now)
            || self.queue_bytes >= self.config.batch_bytes_max
            || self.urgent > 0
            || self.closing.is_some()
            || self.flush_through.is_some_and(|seq| head.seq <= seq)
            || now >= head.submitted + self.config.flush_interval
    }

    /// Whether so many wait that it is not worth waiting for more.
    fn is_full_enough(&self, now: Instant) -> bool {
        self.queue.len() >= self.config.batch_rows_max
            || self.queue.len() >= self.config.flush_rows
                && self.taken_at.is_none_or(|at| now >= at + BATCH_PACE)
    }

    fn dispatch(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for lane in 0..self.lanes.len() {
            if let Lane::Waiting { until, .. } = self.lanes[lane]
                && until <= now
            {
                self.resume(lane, now, effects);
            }
        }
        match self.mode {
            Mode::Direct => self.dispatch_to_database(now, effects),
            Mode::Spooling => {
                self.dispatch_to_spool(now, effects);
                self.dispatch_drain(now, effects);
            }
        }
    }

    fn dispatch_to_database(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for lane in 0..self.lanes.len() {
            if matches!(self.lanes[lane], Lane::Idle) && self.is_due(now) {
                let job =
                    Job::new(Source::Memory, self.take_batch(self.config.batch_rows_max, now));
                self.start(lane, job, now, effects);
            }
        }
    }

    fn dispatch_to_spool(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.spooling.is_none() && self.spool_retry.is_due(now) && self.is_due(now) {
            let batch = self.take_batch(self.spool_rows_max, now);
            effects.push(Effect::Spool { seqs: batch.iter().map(|item| item.seq).collect() });
            self.spooling = Some(batch);
            self.spool_writes += 1;
        }
    }

    /// Brings back what is in the spool; an empty one means that the database is tried directly again.
    fn dispatch_drain(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let idle = matches!(self.lanes[0], Lane::Idle);
        if !idle || !self.drain_retry.is_due(now) || self.closing.is_some() {
            return;
        }
        if self.counts.spooled > 0 {
            self.lanes[0] = Lane::Spool { flushed: 0, dead_letters: 0 };
            self.spool_writes_read = self.spool_writes;
            effects.push(Effect::ReadSpool { rows_max: self.config.batch_rows_max });
        } else if self.spooling.is_none() {
            self.mode = Mode::Direct;
            self.dispatch_to_database(now, effects);
        }
    }
}
