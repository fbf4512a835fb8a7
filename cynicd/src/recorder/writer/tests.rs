//! The writer by itself: single decisions, then seeded storms in simulated time.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const MS: Duration = Duration::from_millis(1);

fn config(spill: bool) -> WriterConfig {
    WriterConfig {
        flush_rows: 10,
        flush_interval: 100 * MS,
        batch_rows_max: 50,
        batch_bytes_max: 10_000,
        lanes: 2,
        spill: spill.then_some(SpillConfig {
            after: 2000 * MS,
            rows: 500,
            bytes: 100_000,
            left_behind: 0,
        }),
        seed: 1,
    }
}

fn items(seqs: std::ops::Range<u64>, now: Instant) -> Vec<Item> {
    seqs.map(|seq| Item { seq, bytes: 100, urgent: false, submitted: now }).collect()
}

/// The batches that are to be written.
fn writes(effects: &[Effect]) -> Vec<(Attempt, Vec<u64>)> {
    let write = |effect: &Effect| match effect {
        Effect::Write { attempt, seqs, .. } => Some((*attempt, seqs.clone())),
        _ => None,
    };
    effects.iter().filter_map(write).collect()
}

fn transient() -> Result<(), Failure> {
    Err(Failure::Transient("gone".to_owned()))
}

#[test]
fn a_batch_starts_by_count_age_bytes_request_and_close() {
    let now = Instant::now();
    let few = |n: u64| Event::Submitted(items(1..n + 1, now));

    let mut by_count = Writer::new(config(false));
    assert!(by_count.handle(few(9), now).is_empty());
    let more = by_count.handle(Event::Submitted(items(10..11, now)), now);
    assert_eq!(writes(&more)[0].1.len(), 10);

    let mut by_age = Writer::new(config(false));
    assert!(by_age.handle(few(1), now).is_empty());
    assert_eq!(by_age.wake_at(), Some(now + 100 * MS));
    assert_eq!(writes(&by_age.handle(Event::Tick, now + 100 * MS)).len(), 1);

    let mut by_bytes = Writer::new(config(false));
    let large = Item { bytes: 10_000, ..items(1..2, now)[0] };
    assert_eq!(writes(&by_bytes.handle(Event::Submitted(vec![large]), now)).len(), 1);

    let mut by_urgency = Writer::new(config(false));
    let urgent = Item { urgent: true, ..items(1..2, now)[0] };
    assert_eq!(writes(&by_urgency.handle(Event::Submitted(vec![urgent]), now)).len(), 1);

    for event in [Event::Flush, Event::Close { spill_at: now }] {
        let mut asked = Writer::new(config(false));
        let _ = asked.handle(few(1), now);
        assert_eq!(writes(&asked.handle(event, now)).len(), 1);
    }
}

#[test]
fn batches_grow_with_the_backlog_up_to_the_maximum() {
    let now = Instant::now();
    let mut writer = Writer::new(WriterConfig { lanes: 1, ..config(false) });
    let [(first, seqs)] = &writes(&writer.handle(Event::Submitted(items(1..11, now)), now))[..]
    else {
        panic!("one batch")
    };
    assert_eq!(seqs.len(), 10);
    assert!(writer.handle(Event::Submitted(items(11..111, now)), now).is_empty());
    let then = writes(&writer.handle(Event::Written(*first, Ok(())), now));
    assert_eq!(then[0].1, (11..61).collect::<Vec<_>>());
}

#[test]
fn full_batches_keep_a_pace_that_lets_them_grow_and_urgent_ones_do_not() {
    let now = Instant::now();
    let mut writer = Writer::new(config(false));
    assert_eq!(writes(&writer.handle(Event::Submitted(items(1..11, now)), now)).len(), 1);
    assert!(writer.handle(Event::Submitted(items(11..26, now)), now).is_empty());
    assert_eq!(writer.wake_at(), Some(now + BATCH_PACE));
    let then = writes(&writer.handle(Event::Tick, now + BATCH_PACE));
    assert_eq!(then[0].1.len(), 15);

    let mut writer = Writer::new(config(false));
    let _ = writer.handle(Event::Submitted(items(1..11, now)), now);
    let urgent = Item { urgent: true, ..items(11..12, now)[0] };
    assert_eq!(writes(&writer.handle(Event::Submitted(vec![urgent]), now)).len(), 1);
}

#[test]
fn a_failed_batch_is_kept_in_order_and_waits_longer_each_time_without_end() {
    let mut now = Instant::now();
    let mut writer = Writer::new(WriterConfig { lanes: 1, ..config(false) });
    let mut effects = writer.handle(Event::Submitted(items(1..11, now)), now);
    let mut waits = Vec::new();
    for _ in 0..40 {
        let (attempt, seqs) = writes(&effects).remove(0);
        assert_eq!(seqs, (1..11).collect::<Vec<_>>());
        let _ = writer.handle(Event::Written(attempt, transient()), now);
        let at = writer.wake_at().expect("it tries again");
        waits.push(at - now);
        now = at;
        effects = writer.handle(Event::Tick, now);
    }
    assert!(waits[0] <= 2 * BACKOFF_MIN && waits[0] >= BACKOFF_MIN);
    assert!(waits.iter().all(|wait| *wait <= BACKOFF_MAX));
    let late: BTreeSet<_> = waits[20..].iter().collect();
    assert!(late.len() > 10, "no jitter: {late:?}");
}

#[test]
fn a_store_is_not_called_healthy_before_something_has_come_through() {
    let mut now = Instant::now();
    let mut writer = Writer::new(config(true));
    let health = |effects: &[Effect]| {
        let said = effects.iter().filter_map(|effect| match effect {
            Effect::Degraded(text) => Some(text.is_some()),
            _ => None,
        });
        said.collect::<Vec<_>>()
    };
    let mut effects = writer.handle(Event::Submitted(items(1..11, now)), now);
    let mut said = Vec::new();
    // The database is gone, and the spool takes nothing either.
    for _ in 0..200 {
        said.extend(health(&effects));
        let event = match effects.into_iter().find(|effect| !matches!(effect, Effect::Degraded(_)))
        {
            Some(Effect::Write { attempt, .. }) => Event::Written(attempt, transient()),
            Some(Effect::Spool { .. }) => Event::Spooled(Err("it is full".to_owned())),
            Some(Effect::ReadSpool { .. }) => Event::SpoolRead(Ok(Vec::new())),
            _ => {
                now = writer.wake_at().expect("it tries again").max(now);
                Event::Tick
            }
        };
        effects = writer.handle(event, now);
    }
    assert!(said.contains(&true) && !said.contains(&false), "{said:?}");
    // It is enough that it could be asked something.
    let mut idle = Writer::new(config(true));
    assert_eq!(health(&idle.handle(Event::Tended(transient_text()), now)), [true]);
    assert!(idle.is_idle_but_unproven());
    assert_eq!(health(&idle.handle(Event::Tended(Ok(())), now)), [false]);
}

#[test]
fn a_spool_with_little_room_gets_fewer_entries_each_time() {
    const ROOM: usize = 3;
    let now = Instant::now();
    let mut writer = Writer::new(config(true));
    let _ = writer.handle(Event::Submitted(items(1..51, now)), now);
    let mut time = now + 3000 * MS;
    let mut effects = writer.handle(Event::Tick, time);
    let mut sizes = Vec::new();
    while sizes.last().is_none_or(|size| *size > ROOM) {
        let sent = effects.iter().find_map(|effect| match effect {
            Effect::Spool { seqs } => Some(seqs.len()),
            _ => None,
        });
        let event = if let Some(size) = sent {
            sizes.push(size);
            let full = || "it is full".to_owned();
            Event::Spooled(if size > ROOM { Err(full()) } else { Ok(()) })
        } else {
            time = writer.wake_at().expect("it tries again").max(time);
            Event::Tick
        };
        effects = writer.handle(event, time);
    }
    assert!(sizes.windows(2).all(|pair| pair[1] == pair[0] / 2), "{sizes:?}");
    assert_eq!(writer.counts().spooled, sizes[sizes.len() - 1] as u64);
}

fn transient_text() -> Result<(), String> {
    Err("gone".to_owned())
}

#[test]
fn a_refused_batch_is_halved_until_the_culprit_is_alone() {
    let now = Instant::now();
    let mut writer = Writer::new(WriterConfig { lanes: 1, ..config(false) });
    let mut effects = writer.handle(Event::Submitted(items(1..17, now)), now);
    let (mut tries, mut settled, mut dead) = (0, Vec::new(), Vec::new());
    while let Some(effect) = effects.pop() {
        let (attempt, result) = match effect {
            Effect::Write { attempt, seqs, .. } => {
                tries += 1;
                let refused = seqs.contains(&6);
                (attempt, if refused { Err(Failure::Refused("no".to_owned())) } else { Ok(()) })
            }
            Effect::DeadLetter { attempt, .. } => (attempt, Ok(())),
            Effect::Settled { seqs, place: Place::DeadLetters(_) } => {
                dead.extend(seqs);
                continue;
            }
            Effect::Settled { seqs, .. } => {
                settled.extend(seqs);
                continue;
            }
            _ => continue,
        };
        effects.extend(writer.handle(Event::Written(attempt, result), now));
    }
    assert_eq!(dead, [6]);
    settled.sort_unstable();
    assert_eq!(settled, (1..17).filter(|seq| *seq != 6).collect::<Vec<_>>());
    assert!(tries <= 9, "{tries} tries for one culprit among 16");
}

#[test]
fn a_late_result_of_an_abandoned_attempt_changes_nothing() {
    let now = Instant::now();
    let mut writer = Writer::new(config(true));
    let effects = writer.handle(Event::Submitted(items(1..11, now)), now);
    let (attempt, _) = writes(&effects)[0].clone();
    let later = now + 2000 * MS;
    let effects = writer.handle(Event::Tick, later);
    assert!(effects.contains(&Effect::Abandon(attempt)));
    assert!(effects.iter().any(|e| matches!(e, Effect::Spool { seqs } if seqs.len() == 10)));
    let effects = writer.handle(Event::Written(attempt, Ok(())), later);
    assert!(!effects.iter().any(|e| matches!(e, Effect::Settled { .. })));
    assert!(!writer.is_settled());
}

/// The last batch on its way to an empty spool, and the time for looking into the spool has come: there is
/// nothing to wake up for until the write comes back.
#[test]
fn nothing_wakes_the_writer_while_only_a_result_is_awaited() {
    let now = Instant::now();
    let mut writer = Writer::new(config(true));
    let _ = writer.handle(Event::Submitted(items(1..11, now)), now);
    let later = now + 2000 * MS;
    let _ = writer.handle(Event::Tick, later);
    assert_eq!(writer.wake_at(), None);
    let effects = writer.handle(Event::Spooled(Ok(())), later);
    assert!(effects.iter().any(|e| matches!(e, Effect::Settled { place: Place::Spool, .. })));
    assert!(writer.wake_at().is_some(), "it looks into the spool later");
}

/// A world around a writer: a database and a spool that fail, hang and refuse by chance.
struct World {
    now: Instant,
    random: u64,
    /// Committed entries, by number: how often.
    database: BTreeMap<u64, u32>,
    dead: BTreeSet<u64>,
    spool: BTreeSet<u64>,
    settled: BTreeMap<u64, u32>,
    abandoned: BTreeSet<u64>,
    /// Results under way, by when they arrive.
    coming: Vec<(Instant, Event)>,
    trouble: bool,
}

/// Entries that the database refuses.
fn is_poison(seq: u64) -> bool {
    seq % 97 == 13
}

impl World {
    fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % end
    }

    fn once_in(&mut self, n: u64) -> bool {
        self.trouble && self.below(n) == 0
    }

    fn soon(&mut self, event: Event) {
        let hang = self.once_in(10);
        let wait = if hang { self.below(5000) } else { self.below(5) };
        self.coming.push((self.now + MS * wait as u32, event));
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Write { attempt, seqs, .. } => {
                if seqs.iter().any(|seq| is_poison(*seq)) {
                    return self
                        .soon(Event::Written(attempt, Err(Failure::Refused("no".to_owned()))));
                }
                // Of unknown fate: committed, and the answer an error.
                let (fails, unknown) = (self.once_in(4), self.once_in(2));
                if !fails || unknown {
                    for seq in seqs {
                        // ON CONFLICT DO NOTHING.
                        self.database.entry(seq).or_insert(1);
                    }
                }
                self.soon(Event::Written(attempt, if fails { transient() } else { Ok(()) }));
            }
            Effect::DeadLetter { attempt, seq, .. } => {
                let fails = self.once_in(4);
                if !fails {
                    self.dead.insert(seq);
                }
                self.soon(Event::Written(attempt, if fails { transient() } else { Ok(()) }));
            }
            Effect::Abandon(attempt) => drop(self.abandoned.insert(attempt.number)),
            Effect::Spool { seqs } => {
                let fails = self.once_in(4);
                if !fails {
                    self.spool.extend(seqs);
                }
                self.soon(Event::Spooled(if fails { Err("full".to_owned()) } else { Ok(()) }));
            }
            Effect::ReadSpool { rows_max } => {
                let oldest = self.spool.iter().take(rows_max).map(|seq| Item {
                    seq: *seq,
                    bytes: 100,
                    urgent: false,
                    submitted: self.now,
                });
                let read = Ok(oldest.collect());
                let fails = self.once_in(10);
                self.soon(Event::SpoolRead(if fails {
                    Err("unreadable".to_owned())
                } else {
                    read
                }));
            }
            Effect::TrimSpool { seqs } => {
                let fails = self.once_in(10);
                if !fails {
                    for seq in seqs {
                        let there = self.database.contains_key(&seq) || self.dead.contains(&seq);
                        assert!(there, "{seq} leaves the spool but is in no database");
                        self.spool.remove(&seq);
                    }
                }
                self.soon(Event::SpoolTrimmed(if fails { Err("full".to_owned()) } else { Ok(()) }));
            }
            Effect::Settled { seqs, place } => {
                for seq in seqs {
                    let (stored, dead) =
                        (self.database.contains_key(&seq), self.dead.contains(&seq));
                    let safe = match place {
                        Place::Database => stored,
                        // Or brought on from there already.
                        Place::Spool => self.spool.contains(&seq) || stored || dead,
                        Place::DeadLetters(_) => dead,
                    };
                    assert!(safe, "{seq} is said to be safe in {place:?} but is not there");
                    *self.settled.entry(seq).or_default() += 1;
                }
            }
            Effect::Degraded(_) => {}
        }
    }

    /// The next thing that happens, if anything will.
    fn next(&mut self, wake_at: Option<Instant>) -> Option<Event> {
        let first = self.coming.iter().enumerate().min_by_key(|(_, (at, _))| *at);
        let first = first.map(|(n, (at, _))| (n, *at));
        match (first, wake_at) {
            (Some((_, at)), Some(wake)) if wake < at => {
                self.now = self.now.max(wake);
                Some(Event::Tick)
            }
            (Some((n, at)), _) => {
                self.now = self.now.max(at);
                Some(self.coming.swap_remove(n).1)
            }
            (None, Some(wake)) => {
                self.now = self.now.max(wake);
                Some(Event::Tick)
            }
            (None, None) => None,
        }
    }
}

fn storm(seed: u64, spill: bool) {
    const ENTRIES: u64 = 600;
    let now = Instant::now();
    let mut world = World {
        now,
        random: seed,
        database: BTreeMap::new(),
        dead: BTreeSet::new(),
        spool: BTreeSet::new(),
        settled: BTreeMap::new(),
        abandoned: BTreeSet::new(),
        coming: Vec::new(),
        trouble: true,
    };
    let mut writer = Writer::new(WriterConfig { seed, ..config(spill) });
    let mut submitted = 0;
    let (mut turns, mut idle_ticks) = (0_u64, 0);
    loop {
        turns += 1;
        assert!(turns < 200_000, "seed {seed}: it never comes to rest");
        let event = if submitted < ENTRIES && (world.coming.is_empty() || world.below(3) == 0) {
            let n = 1 + world.below(40).min(ENTRIES - submitted - 1);
            let urgent = world.below(5) == 0;
            let more = items(submitted + 1..submitted + n + 1, world.now);
            submitted += n;
            Event::Submitted(more.into_iter().map(|item| Item { urgent, ..item }).collect())
        } else if submitted == ENTRIES && world.trouble {
            // The end of all trouble, and of patience.
            world.trouble = false;
            Event::Flush
        } else {
            let Some(event) = world.next(writer.wake_at()) else { break };
            event
        };
        let at = world.now;
        let is_tick = matches!(event, Event::Tick);
        let effects = writer.handle(event, world.now);
        // A busy loop: woken again and again at the same moment with nothing to do.
        let stuck =
            is_tick && effects.is_empty() && writer.wake_at().is_some_and(|wake| wake <= at);
        idle_ticks = if stuck { idle_ticks + 1 } else { 0 };
        assert!(idle_ticks < 2, "seed {seed}: busy without anything to do: {writer:?}");
        for effect in effects {
            world.perform(effect);
        }
    }
    assert!(writer.is_settled() && world.spool.is_empty(), "seed {seed}: {writer:?}");
    for seq in 1..=ENTRIES {
        assert_eq!(world.settled.get(&seq), Some(&1), "seed {seed}: {seq} settled");
        let place = (world.database.contains_key(&seq), world.dead.contains(&seq));
        assert_eq!(place, (!is_poison(seq), is_poison(seq)), "seed {seed}: {seq}");
    }
    let counts = writer.counts();
    let counted = (counts.flushed, counts.dead_letters);
    let there = (world.database.len() as u64, world.dead.len() as u64);
    assert_eq!(counted, there, "seed {seed}: flushed and dead letters");
}

#[test]
fn in_any_storm_every_entry_is_settled_once_and_is_where_it_is_said_to_be() {
    for seed in 0..300 {
        storm(seed, seed % 2 == 0);
    }
}
