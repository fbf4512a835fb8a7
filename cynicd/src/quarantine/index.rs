//! What is in quarantine, and what has to go to make room. Pure: reads no clock, touches no file.

use std::collections::{BTreeSet, HashMap};

use cynic_proto::error::Death;
use cynic_proto::ids::TaskId;
use cynic_proto::item::Hint;
use cynic_proto::quarantine::{ItemKey, QuarantineRecord};
use cynic_proto::stats::QuarantineStats;

use super::Limits;

/// What a record takes besides its item and its texts: names, numbers, and the file around them.
const RECORD_BYTES: u64 = 1024;

/// What a listing has of each text that came with an item: most of any real one, and 10,000 records fit a frame.
const LISTED_BYTES_MAX: usize = 200;

/// The records by task, by item and by age.
#[derive(Debug)]
pub struct Index {
    limits: Limits,
    records: HashMap<TaskId, QuarantineRecord>,
    by_key: HashMap<ItemKey, TaskId>,
    /// How many records have an item of that length: most items need no hash to be found innocent.
    lengths: HashMap<u64, usize>,
    by_age: BTreeSet<(i64, TaskId)>,
    bytes: u64,
    hits: u64,
    evicted: u64,
}

impl Index {
    /// An empty index.
    pub fn new(limits: Limits) -> Index {
        Index {
            limits,
            records: HashMap::new(),
            by_key: HashMap::new(),
            lengths: HashMap::new(),
            by_age: BTreeSet::new(),
            bytes: 0,
            hits: 0,
            evicted: 0,
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether an item of that length may be known; if not, it need not be hashed.
    pub fn may_know(&self, bytes: usize) -> bool {
        self.lengths.contains_key(&(bytes as u64))
    }

    /// Takes a record in, in the place of an earlier one of the same item. Returns the records that it replaces
    /// or that have to make room; itself among them where it does not fit at all.
    #[must_use = "what has to go is still on disk"]
    pub fn insert(&mut self, record: QuarantineRecord) -> Vec<TaskId> {
        let mut gone: Vec<TaskId> = [self.by_key.get(&record.key).copied(), Some(record.task)]
            .into_iter()
            .flatten()
            .collect();
        gone.retain(|task| self.remove(*task).is_some());
        let task = record.task;
        self.bytes += weight(&record);
        self.by_key.insert(record.key, task);
        *self.lengths.entry(record.bytes).or_default() += 1;
        self.by_age.insert((record.at_us, task));
        self.records.insert(task, record);
        while self.records.len() > self.limits.records_max || self.bytes > self.limits.bytes_max {
            let Some((_, oldest)) = self.by_age.first().copied() else { break };
            gone.extend(self.evict(oldest));
        }
        // Its own file is written anew.
        gone.retain(|other| *other != task || !self.records.contains_key(&task));
        gone
    }

    /// Drops what is too old at that time. Returns the records that have to go.
    #[must_use = "what has to go is still on disk"]
    pub fn expire(&mut self, now_us: i64) -> Vec<TaskId> {
        let age_max_us = i64::try_from(self.limits.age_max.as_micros()).unwrap_or(i64::MAX);
        let mut gone = Vec::new();
        while let Some((at, task)) = self.by_age.first().copied() {
            if now_us.saturating_sub(at) <= age_max_us {
                break;
            }
            gone.extend(self.evict(task));
        }
        gone
    }

    /// The record of an item, if that version of the rules in that build is known to die over it. Counts.
    pub fn hit(&mut self, key: ItemKey, version: (u32, &str)) -> Option<&QuarantineRecord> {
        let task = self.by_key.get(&key)?;
        let record = self.records.get_mut(task)?;
        if (record.judge_version, record.build.as_str()) != version {
            return None;
        }
        record.hits += 1;
        self.hits += 1;
        Some(record)
    }

    /// A record.
    pub fn get(&self, task: TaskId) -> Option<&QuarantineRecord> {
        self.records.get(&task)
    }

    /// All records, newest first, without the texts of their deaths; those that came with their items are cut.
    pub fn list(&self) -> Vec<QuarantineRecord> {
        let newest_first = self.by_age.iter().rev();
        let records = newest_first.filter_map(|(_, task)| self.records.get(task));
        records
            .map(|record| QuarantineRecord {
                deaths: without_texts(record),
                hint: cut(&record.hint),
                ..record.clone()
            })
            .collect()
    }

    /// Forgets a record.
    pub fn remove(&mut self, task: TaskId) -> Option<QuarantineRecord> {
        let record = self.records.remove(&task)?;
        self.bytes -= weight(&record);
        self.by_key.remove(&record.key);
        self.by_age.remove(&(record.at_us, task));
        if let Some(count) = self.lengths.get_mut(&record.bytes) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&record.bytes);
            }
        }
        Some(record)
    }

    /// Forgets everything. Returns what has to go.
    pub fn clear(&mut self) -> Vec<TaskId> {
        let all: Vec<TaskId> = self.records.keys().copied().collect();
        for task in &all {
            self.remove(*task);
        }
        all
    }

    /// The figures.
    pub fn stats(&self) -> QuarantineStats {
        QuarantineStats {
            items: self.records.len() as u64,
            bytes: self.bytes,
            hits: self.hits,
            evicted: self.evicted,
        }
    }

    fn evict(&mut self, task: TaskId) -> Option<TaskId> {
        self.remove(task)?;
        self.evicted += 1;
        Some(task)
    }
}

/// What a record takes.
fn weight(record: &QuarantineRecord) -> u64 {
    let texts: usize = record.deaths.iter().map(|death| death.stderr_tail.len()).sum();
    let texts = (texts + record.hint.bytes()) as u64;
    RECORD_BYTES + texts + if record.kept { record.bytes } else { 0 }
}

fn cut(hint: &Hint) -> Hint {
    let cut = |text: &Option<String>| {
        text.as_ref().map(|text| text[..text.floor_char_boundary(LISTED_BYTES_MAX)].to_owned())
    };
    let (item_type, name, profile) = (cut(&hint.item_type), cut(&hint.name), cut(&hint.profile));
    Hint { form: hint.form, item_type, name, profile }
}

fn without_texts(record: &QuarantineRecord) -> Vec<Death> {
    let without = |death: &Death| Death { stderr_tail: String::new(), ..death.clone() };
    record.deaths.iter().map(without).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use cynic_proto::codec;
    use cynic_proto::error::DeathCause;
    use cynic_proto::ids::WorkerId;
    use cynic_proto::limits::{FRAME_BYTES_MAX, HINT_TEXT_BYTES_MAX, STDERR_TAIL_BYTES_MAX};
    use cynic_proto::message::{Reply, ToClient};
    use proptest::prelude::*;
    use std::time::Duration;

    pub(crate) fn record(task: u128, at_us: i64) -> QuarantineRecord {
        QuarantineRecord {
            task: TaskId(task),
            key: ItemKey([task as u8; 32]),
            at_us,
            bytes: task as u64 % 7,
            hint: Hint::default(),
            attempts: 3,
            deaths: Vec::new(),
            client_uid: 0,
            judge_version: 1,
            build: "cynic/0".to_owned(),
            kept: true,
            hits: 0,
        }
    }

    fn limits(records_max: usize) -> Limits {
        Limits { records_max, age_max: Duration::from_secs(1), ..Limits::default() }
    }

    #[test]
    fn a_known_item_is_found_by_the_version_that_died_over_it() {
        let mut index = Index::new(limits(10));
        assert!(!index.may_know(3));
        assert_eq!(index.insert(record(3, 0)), []);
        assert!(index.may_know(3));
        let version = (1, "cynic/0");
        assert_eq!(index.hit(ItemKey([3; 32]), version).map(|r| r.hits), Some(1));
        assert_eq!(index.hit(ItemKey([3; 32]), (2, "cynic/0")), None, "other rules may survive it");
        assert_eq!(index.hit(ItemKey([3; 32]), (1, "cynic/1")), None, "and so may another build");
        assert_eq!(index.hit(ItemKey([4; 32]), version), None);
        assert_eq!(index.stats().hits, 1);
        assert!(index.remove(TaskId(3)).is_some());
        assert_eq!(index.hit(ItemKey([3; 32]), version), None);
        assert!(!index.may_know(3));
        assert_eq!(index.stats().bytes, 0);
    }

    #[test]
    fn the_same_item_again_replaces_its_record() {
        let mut index = Index::new(limits(10));
        assert_eq!(index.insert(record(3, 0)), []);
        let again = QuarantineRecord { task: TaskId(99), ..record(3, 5) };
        assert_eq!(index.insert(again.clone()), [TaskId(3)]);
        assert_eq!(index.insert(again), [], "its own file is written anew");
        assert_eq!(index.stats().items, 1);
    }

    #[test]
    fn the_oldest_make_room() {
        let mut index = Index::new(limits(2));
        assert_eq!(index.insert(record(1, 10)), []);
        assert_eq!(index.insert(record(2, 5)), []);
        assert_eq!(index.insert(record(3, 20)), [TaskId(2)]);
        let large = QuarantineRecord { bytes: 1 << 40, ..record(4, 30) };
        assert_eq!(index.insert(large), [TaskId(1), TaskId(3), TaskId(4)], "itself at last");
        assert_eq!((index.stats().items, index.stats().evicted), (0, 4));
    }

    /// A record as long as one gets.
    fn longest(task: u128) -> QuarantineRecord {
        let text = || Some("ü".repeat(HINT_TEXT_BYTES_MAX / 2));
        let hint = Hint { item_type: text(), name: text(), profile: text(), ..Hint::default() };
        let death = Death {
            cause: DeathCause::ProtocolViolation("x".repeat(100)),
            worker: WorkerId { slot: 1, generation: u32::MAX },
            task: Some(TaskId(task)),
            stage: None,
            dimension: None,
            stderr_tail: "x".repeat(STDERR_TAIL_BYTES_MAX),
        };
        let key = ItemKey(std::array::from_fn(|n| task.to_le_bytes()[n % 16]));
        QuarantineRecord { key, hint, deaths: vec![death; 3], ..record(task, task as i64) }
    }

    #[test]
    fn what_came_with_an_item_counts_and_a_listing_fits_a_frame() {
        const RECORDS_MAX: usize = 10_000;
        let mut index = Index::new(Limits { bytes_max: 1 << 30, ..limits(RECORDS_MAX) });
        for task in 0..RECORDS_MAX as u128 {
            assert_eq!(index.insert(longest(task)), []);
        }
        assert!(index.stats().bytes > (RECORDS_MAX * 3 * HINT_TEXT_BYTES_MAX) as u64);
        let listed = index.list();
        assert_eq!(listed.len(), RECORDS_MAX);
        let name = listed[0].hint.name.as_deref();
        assert_eq!(name.map(str::len), Some(LISTED_BYTES_MAX));
        assert!(listed[0].hint.form == longest(0).hint.form);
        let reply = ToClient { seq: u64::MAX, reply: Reply::Quarantine(listed) };
        assert!(codec::put(&reply, &[], FRAME_BYTES_MAX, &mut Vec::new()).is_ok());
        let mut index = Index::new(Limits { bytes_max: 64 << 10, ..limits(RECORDS_MAX) });
        let gone: usize = (0..20).map(|task| index.insert(longest(task)).len()).sum();
        assert!(gone > 10, "{gone} made room");
    }

    #[test]
    fn old_records_go() {
        let mut index = Index::new(limits(9));
        assert_eq!(index.insert(record(1, 0)), []);
        assert_eq!(index.insert(record(2, 900_000)), []);
        assert_eq!(index.expire(1_000_000), []);
        assert_eq!(index.expire(1_000_001), [TaskId(1)]);
        assert_eq!(index.list().len(), 1);
        assert_eq!(index.clear(), [TaskId(2)]);
    }

    proptest! {
        /// Whatever is done to it, the bounds hold, the parts agree, and nothing goes untold.
        #[test]
        fn bounds_hold(steps in prop::collection::vec((0..4_u8, 0..40_u128, 0..3_000_000_i64), 1..200)) {
            let mut index = Index::new(limits(8));
            let mut on_disk = std::collections::HashSet::new();
            for (step, task, at) in steps {
                let gone = match step {
                    0 => index.expire(at),
                    1 => index.remove(TaskId(task)).map(|r| r.task).into_iter().collect(),
                    _ => {
                        let key = ItemKey([task as u8 % 16; 32]);
                        on_disk.insert(TaskId(task));
                        index.insert(QuarantineRecord { key, ..record(task, at) })
                    }
                };
                for task in gone {
                    on_disk.remove(&task);
                }
                prop_assert!(index.records.len() <= 8);
                prop_assert_eq!(index.by_key.len(), index.records.len());
                prop_assert_eq!(index.by_age.len(), index.records.len());
                prop_assert_eq!(index.lengths.values().sum::<usize>(), index.records.len());
                prop_assert_eq!(index.bytes, index.records.values().map(weight).sum::<u64>());
                prop_assert_eq!(on_disk.len(), index.records.len());
                prop_assert!(on_disk.iter().all(|task| index.get(*task).is_some()));
            }
        }
    }
}
