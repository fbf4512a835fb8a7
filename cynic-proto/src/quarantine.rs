//! Quarantine: items that killed each worker that tried them, kept to be looked at and answered at once.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Death;
use crate::ids::TaskId;
use crate::item::{Hint, ItemError};
use crate::judgment::{Fallback, Judgment};

/// What is asked about the quarantine. Records are named by the task that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuarantineRequest {
    /// All records, newest first, without the texts of their deaths; those that came with their items are cut.
    List,
    /// One record with everything that is known.
    Show(TaskId),
    /// Forget the record and judge the item once more. The payload is the item where none is kept.
    Retry(TaskId),
    /// Forget the record: the item is tried again when it comes again.
    Drop(TaskId),
    /// Forget all records.
    Clear,
    /// Run the item alone in a fresh worker beside the pool and tell what happens; the record stays. The
    /// payload is the item where none is kept.
    Replay(TaskId),
}

impl QuarantineRequest {
    /// Whether it only looks.
    pub const fn is_read(self) -> bool {
        matches!(self, QuarantineRequest::List | QuarantineRequest::Show(_))
    }
}

/// SHA-256 over how an item is to be read and its bytes: what makes two items the same to the judge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemKey(pub [u8; 32]);

/// An item that is in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineRecord {
    /// The task that was given up; names the record.
    pub task: TaskId,
    /// What the item is recognised by.
    pub key: ItemKey,
    /// When it was given up, in microseconds since the Unix epoch.
    pub at_us: i64,
    /// Length of the item in bytes.
    pub bytes: u64,
    /// How it was to be read.
    pub hint: Hint,
    /// How often it was tried.
    pub attempts: u8,
    /// The deaths of the workers that held it, first to last.
    pub deaths: Vec<Death>,
    /// User id of who sent it.
    pub client_uid: u32,
    /// Version of the rules and weights that died over it; another version tries the item again.
    pub judge_version: u32,
    /// The daemon's build.
    pub build: String,
    /// Whether the item itself is kept.
    pub kept: bool,
    /// How often it came again and was answered at once, since the daemon's start.
    #[serde(default)]
    pub hits: u64,
}

/// What came of an item that was run alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    /// The record's task.
    pub task: TaskId,
    /// How it ended.
    pub outcome: ReplayOutcome,
    /// Microseconds from the lease to the end; 0 if the worker did not get that far.
    pub running_us: u64,
    /// Microseconds spent in parse, score, aggregate and verdict, where the worker lived to tell.
    pub stages_us: [u32; 4],
}

/// How a replay ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayOutcome {
    /// It was judged, with these dimensions fallen back.
    Judged(Box<Judgment>, Vec<Fallback>),
    /// It cannot be judged.
    Rejected(ItemError),
    /// The worker died over it.
    Died(Box<Death>),
}

impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// Text where a person reads it (JSON), 32 raw bytes on the wire.
impl Serialize for ItemKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for ItemKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ItemKey, D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; 32]>::deserialize(deserializer).map(ItemKey);
        }
        let text = String::deserialize(deserializer)?;
        let byte = |n: usize| u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok();
        let mut key = [0; 32];
        for (n, place) in key.iter_mut().enumerate() {
            *place = byte(n).ok_or_else(|| serde::de::Error::custom("not a SHA-256 in hex"))?;
        }
        Ok(ItemKey(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_text_for_people() {
        let key = ItemKey(std::array::from_fn(|n| n as u8));
        let text = key.to_string();
        assert!(text.starts_with("000102") && text.len() == 64, "{text}");
        let deserializer = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(&text);
        assert_eq!(ItemKey::deserialize(deserializer), Ok(key));
        for wrong in ["", "00", "zz", "é0"] {
            let deserializer =
                serde::de::value::StrDeserializer::<serde::de::value::Error>::new(wrong);
            assert!(ItemKey::deserialize(deserializer).is_err(), "{wrong}");
        }
    }
}
