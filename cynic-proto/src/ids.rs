//! Ids. A newtype for each, so that one is never taken for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names one task for ever: minted once by the client (`UUIDv7`, so ordered by time), it makes a retry
/// idempotent and keys the stored judgment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub u128);

impl TaskId {
    /// A new id, ordered after those minted before it by this process.
    #[expect(clippy::new_without_default, reason = "each call mints another id: no default value")]
    pub fn new() -> TaskId {
        TaskId(Uuid::now_v7().as_u128())
    }
}

/// Names a dead letter: what made recording its entry idempotent. Of a judgment that is its task's id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LetterId(pub u128);

/// The text is not a UUID.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a task id: expected a UUID such as 019123ab-4567-7abc-8def-0123456789ab")]
pub struct ParseTaskIdError(String);

/// The text is not a UUID.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a dead letter's id: expected one that `cynicctl dead-letters list` gives")]
pub struct ParseLetterIdError(String);

/// An id that is a UUID: text where a person reads it (JSON), 16 raw bytes on the wire.
macro_rules! is_uuid {
    ($id:ident, $error:ident) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&Uuid::from_u128(self.0), f)
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $id {
            type Err = $error;

            fn from_str(text: &str) -> Result<$id, $error> {
                let uuid = Uuid::parse_str(text.trim()).map_err(|_| $error(text.to_owned()))?;
                Ok($id(uuid.as_u128()))
            }
        }

        impl Serialize for $id {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.to_be_bytes().serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$id, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    Ok($id(u128::from_be_bytes(<[u8; 16]>::deserialize(deserializer)?)))
                }
            }
        }
    };
}

is_uuid!(TaskId, ParseTaskIdError);
is_uuid!(LetterId, ParseLetterIdError);

/// A worker's place in the pool and the generation of the process in it, so that a late event of a
/// dead process is told from one of its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkerId {
    /// Which place, from 0.
    pub slot: u16,
    /// How many processes had been in it before, plus one.
    pub generation: u32,
}

impl WorkerId {
    /// No place in the pool: a process that replays an item from the quarantine, alone.
    pub const REPLAY_SLOT: u16 = u16::MAX;
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.slot == WorkerId::REPLAY_SLOT {
            return write!(f, "replay.{}", self.generation);
        }
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_ids_are_ordered_and_read_back() {
        let (a, b) = (TaskId::new(), TaskId::new());
        assert!(a < b);
        assert_eq!(a.to_string().parse(), Ok(a));
        assert!("nonsense".parse::<TaskId>().is_err());
    }
}
