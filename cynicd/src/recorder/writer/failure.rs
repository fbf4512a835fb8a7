//! What a write's result means for its entries: settled, halved, set aside, tried again or spooled.
//!
//! The second half of the [`Writer`]; like the first, it does no I/O and reads no clock.

use std::time::{Duration, Instant};

use super::{
    Attempt, BACKOFF_MAX, BACKOFF_MIN, Effect, Failure, Item, Job, Lane, Mode, Part, Place, Retry,
    Source, Writer,
};

impl Writer {
    /// Writes the job's next part.
    pub(super) fn start(
        &mut self,
        lane: usize,
        mut job: Job,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.attempts += 1;
        let attempt = Attempt { lane, number: self.attempts };
        let source = job.source;
        let Some(part) = job.parts.last() else {
            self.finish(lane, job, effects);
            return;
        };
        effects.push(match part {
            Part::Batch(items) => {
                Effect::Write { attempt, source, seqs: items.iter().map(|item| item.seq).collect() }
            }
            Part::Refused(item, error) => {
                Effect::DeadLetter { attempt, source, seq: item.seq, error: error.clone() }
            }
        });
        job.trouble_since.get_or_insert(now);
        self.lanes[lane] = Lane::Writing { number: attempt.number, job };
    }

    fn finish(&mut self, lane: usize, job: Job, effects: &mut Vec<Effect>) {
        self.lanes[lane] = Lane::Idle;
        if job.source == Source::Spool {
            let flushed = job.written.len() as u64 - job.dead_letters;
            self.lanes[lane] = Lane::Spool { flushed, dead_letters: job.dead_letters };
            effects.push(Effect::TrimSpool { seqs: job.written });
        }
    }

    pub(super) fn resume(&mut self, lane: usize, now: Instant, effects: &mut Vec<Effect>) {
        if let Lane::Waiting { job, .. } = std::mem::replace(&mut self.lanes[lane], Lane::Idle) {
            self.counts.retries += 1;
            self.start(lane, job, now, effects);
        }
    }

    pub(super) fn written(
        &mut self,
        attempt: Attempt,
        result: Result<(), Failure>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let lane = attempt.lane;
        let mut job = match std::mem::replace(&mut self.lanes[lane], Lane::Idle) {
            Lane::Writing { number, job } if number == attempt.number => job,
            // An abandoned attempt: its entries go another way.
            other => return self.lanes[lane] = other,
        };
        let Some(part) = job.parts.pop() else { return };
        match result {
            Ok(()) => {
                self.unproven = false;
                job.trouble_since = None;
                job.failures = 0;
                self.settle(&mut job, part, effects);
                self.start(lane, job, now, effects);
            }
            Err(Failure::Refused(error)) => match part {
                Part::Batch(items) => {
                    job.split(items, error);
                    self.start(lane, job, now, effects);
                }
                // A dead letter that is refused as well can only be tried again.
                Part::Refused(..) => self.retry_later(lane, job, part, error, now),
            },
            Err(Failure::Transient(error)) => self.retry_later(lane, job, part, error, now),
        }
    }

    fn settle(&mut self, job: &mut Job, part: Part, effects: &mut Vec<Effect>) {
        let (seqs, place) = match part {
            Part::Batch(items) => (items.iter().map(|item| item.seq).collect(), Place::Database),
            Part::Refused(item, error) => (vec![item.seq], Place::DeadLetters(error)),
        };
        let (rows, is_dead) = (seqs.len() as u64, place != Place::Database);
        match job.source {
            Source::Memory => {
                *if is_dead { &mut self.counts.dead_letters } else { &mut self.counts.flushed } +=
                    rows;
                effects.push(Effect::Settled { seqs, place });
            }
            Source::Spool => {
                job.written.extend(seqs);
                job.dead_letters += if is_dead { rows } else { 0 };
            }
        }
    }

    fn retry_later(&mut self, lane: usize, mut job: Job, part: Part, error: String, now: Instant) {
        job.parts.push(part);
        self.trouble = Some(error);
        self.unproven = true;
        match (job.source, self.mode) {
            // It is still in the spool, and read again from there.
            (Source::Spool, _) => {
                let retry = self.drain_retry.next(&mut self.rng, now);
                self.drain_retry = retry;
                self.counts.retries += 1;
            }
            (Source::Memory, Mode::Spooling) => self.requeue(job.into_items()),
            (Source::Memory, Mode::Direct) => {
                job.failures += 1;
                let until = now + backoff(&mut self.rng, job.failures);
                self.lanes[lane] = Lane::Waiting { until, job };
            }
        }
    }

    /// Turns to the spool when the database has failed or hung for too long, or memory fills up.
    pub(super) fn give_up_for_the_spool(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Some(spill) = &self.config.spill else { return };
        let after = spill.after;
        let closed = self.closing.is_some_and(|at| at <= now);
        let hopeless =
            |lane: &Lane| lane.trouble_since().is_some_and(|at| closed || now >= at + after);
        // A spool that fails is no way out of a full memory while the database takes writes.
        let full = (self.queue.len() >= spill.rows || self.queue_bytes >= spill.bytes)
            && self.spool_retry.failures == 0;
        if self.mode == Mode::Direct && (full || self.lanes.iter().any(hopeless)) {
            self.mode = Mode::Spooling;
            self.drain_retry = Retry { failures: 0, at: Some(now + BACKOFF_MIN) };
            self.trouble.get_or_insert_with(|| "the database is too slow".to_owned());
        }
        if self.mode == Mode::Direct {
            return;
        }
        for lane in 0..self.lanes.len() {
            if hopeless(&self.lanes[lane]) {
                self.unproven = true;
                match std::mem::replace(&mut self.lanes[lane], Lane::Idle) {
                    Lane::Writing { number, job } => {
                        effects.push(Effect::Abandon(Attempt { lane, number }));
                        self.requeue(job.into_items());
                    }
                    Lane::Waiting { job, .. } => self.requeue(job.into_items()),
                    other => self.lanes[lane] = other,
                }
            }
        }
    }

    pub(super) fn spooled(
        &mut self,
        result: Result<(), String>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(batch) = self.spooling.take() else { return };
        match result {
            Ok(()) => {
                self.spool_retry = Retry::default();
                self.spool_trouble = None;
                self.spool_rows_max = self.config.batch_rows_max;
                self.counts.spooled += batch.len() as u64;
                let seqs = batch.iter().map(|item| item.seq).collect();
                effects.push(Effect::Settled { seqs, place: Place::Spool });
            }
            Err(error) => {
                self.spool_rows_max = (batch.len() / 2).max(1);
                self.requeue(batch);
                self.spool_trouble = Some(error);
                self.spool_retry = self.spool_retry.next(&mut self.rng, now);
            }
        }
    }

    pub(super) fn spool_read(
        &mut self,
        result: Result<Vec<Item>, String>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.lanes[0] = Lane::Idle;
        match result {
            Ok(items) if items.is_empty() => {
                // What was sent meanwhile may have come too late to be read.
                if self.spool_writes_read == self.spool_writes && self.spooling.is_none() {
                    self.counts.spooled = 0;
                } else {
                    self.drain_retry = Retry { failures: 0, at: Some(now + BACKOFF_MIN) };
                }
            }
            Ok(items) => self.start(0, Job::new(Source::Spool, items), now, effects),
            Err(error) => self.spool_unreadable(error, now),
        }
    }

    pub(super) fn spool_trimmed(&mut self, result: Result<(), String>, now: Instant) {
        match std::mem::replace(&mut self.lanes[0], Lane::Idle) {
            Lane::Spool { flushed, dead_letters } if result.is_ok() => {
                self.counts.flushed += flushed;
                self.counts.dead_letters += dead_letters;
                self.counts.spooled = self.counts.spooled.saturating_sub(flushed + dead_letters);
                self.drain_retry = Retry::default();
                self.spool_trouble = None;
            }
            _ => {}
        }
        if let Err(error) = result {
            self.spool_unreadable(error, now);
        }
    }

    fn spool_unreadable(&mut self, error: String, now: Instant) {
        self.spool_trouble = Some(error);
        self.drain_retry = self.drain_retry.next(&mut self.rng, now);
    }

    pub(super) fn report_health(&mut self, effects: &mut Vec<Effect>) {
        let degraded = self.is_failing() || self.unproven;
        if !degraded {
            self.trouble = None;
            self.spool_trouble = None;
        }
        let text = degraded.then(|| self.trouble_text());
        if self.reported != text {
            self.reported.clone_from(&text);
            effects.push(Effect::Degraded(text));
        }
    }

    fn is_failing(&self) -> bool {
        let failing = |lane: &Lane| lane.job().is_some_and(|job| job.failures > 0);
        self.mode == Mode::Spooling || self.lanes.iter().any(failing)
    }

    /// Whether all that is wrong is that nothing has come through since the database failed last: there is nothing to write.
    pub(in super::super) fn is_idle_but_unproven(&self) -> bool {
        self.unproven && !self.is_failing()
    }

    /// What could be asked of the database says how it is where there is nothing to write.
    pub(super) fn tended(&mut self, result: Result<(), String>) {
        self.unproven = result.is_err();
        if let Err(error) = result {
            // What was said when it failed first says more than that there is still no connection.
            self.trouble.get_or_insert(error);
        }
    }

    fn trouble_text(&self) -> String {
        match (&self.trouble, &self.spool_trouble) {
            (Some(database), Some(spool)) => format!("{database}; {spool}"),
            (Some(only), None) | (None, Some(only)) => only.clone(),
            (None, None) => "bringing back what was left in the spool".to_owned(),
        }
    }
}

impl Lane {
    pub(super) fn job(&self) -> Option<&Job> {
        match self {
            Lane::Writing { job, .. } | Lane::Waiting { job, .. } => Some(job),
            Lane::Idle | Lane::Spool { .. } => None,
        }
    }

    /// Since when entries that are only in memory have been waiting for a write to succeed.
    pub(super) fn trouble_since(&self) -> Option<Instant> {
        self.job().filter(|job| job.source == Source::Memory)?.trouble_since
    }
}

impl Job {
    pub(super) fn new(source: Source, items: Vec<Item>) -> Job {
        let parts = vec![Part::Batch(items)];
        Job {
            source,
            parts,
            written: Vec::new(),
            dead_letters: 0,
            trouble_since: None,
            failures: 0,
        }
    }

    /// Halves a refused batch, the earlier half first, until the one that breaks it is alone.
    fn split(&mut self, mut items: Vec<Item>, error: String) {
        if items.len() > 1 {
            let later = items.split_off(items.len() / 2);
            self.parts.push(Part::Batch(later));
            self.parts.push(Part::Batch(items));
        } else {
            self.parts.extend(items.pop().map(|item| Part::Refused(item, error)));
        }
    }

    pub(super) fn into_items(self) -> Vec<Item> {
        let mut items = Vec::new();
        for part in self.parts {
            match part {
                Part::Batch(batch) => items.extend(batch),
                Part::Refused(item, _) => items.push(item),
            }
        }
        items
    }
}

impl Retry {
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.at.is_none_or(|at| at <= now)
    }

    fn next(&self, rng: &mut u64, now: Instant) -> Retry {
        let failures = self.failures + 1;
        Retry { failures, at: Some(now + backoff(rng, failures)) }
    }
}

/// Doubles with each failure up to the maximum; half of it is chance, so that many hosts do not come back
/// to one database in step.
fn backoff(rng: &mut u64, failures: u32) -> Duration {
    let full = BACKOFF_MIN.saturating_mul(1 << failures.min(16)).min(BACKOFF_MAX);
    // SplitMix64: any generator will do for jitter.
    *rng = rng.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *rng;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let share = ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
    full.mul_f64(0.5 + share / 2.0)
}
