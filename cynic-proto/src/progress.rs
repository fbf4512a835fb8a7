//! The progress page: what a worker is doing, in a form that can be read after its death.
//!
//! Owns the layout and the reading of it. One worker writes the page, the supervisor reads it; the reader
//! trusts nothing in it, since the writer may have been taken over. Never performs I/O.
//!
//! The page is [`PAGE_BYTES`] long; only its first [`RECORD_BYTES`] are used, part of one cache line. All numbers
//! are little endian but the task id, which is big endian as on the wire.
//!
//! | offset | bytes | content |
//! | --- | --- | --- |
//! | 0 | 8 | [`MAGIC`], which carries the version of the layout |
//! | 8 | 8 | sequence: odd while a task is being entered, so that nobody reads half of one |
//! | 16 | 16 | task id |
//! | 32 | 8 | position: stage u8, dimension u8, six zero bytes; one word, so it cannot tear |

use crate::ids::TaskId;
use crate::model::{Dimension, Stage};

/// Length of the page: one page of memory on every supported machine.
pub const PAGE_BYTES: usize = 4096;
/// How much of the page carries data.
pub const RECORD_BYTES: usize = 40;
/// First eight bytes of the page; the last of them is the version of the layout.
pub const MAGIC: u64 = u64::from_le_bytes(*b"CYNPROG2");

/// Where each field lies, in bytes from the start of the page.
pub mod offset {
    /// [`MAGIC`](super::MAGIC).
    pub const MAGIC: usize = 0;
    /// Odd while the fields of a task are being written.
    pub const SEQUENCE: usize = 8;
    /// Sixteen bytes.
    pub const TASK: usize = 16;
    /// An encoded [`Position`](super::Position), or 0 between tasks.
    pub const POSITION: usize = 32;
}

/// In the place of a dimension: none is being scored.
const NO_DIMENSION: u8 = 255;

/// The stages that run inside a worker, in order; their place plus one is their number in the page.
pub const STAGES: [Stage; 4] = [Stage::Parse, Stage::Score, Stage::Aggregate, Stage::Verdict];

/// Where in a task a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The step of the pipeline.
    pub stage: Stage,
    /// The dimension that is being scored, in [`Stage::Score`].
    pub dimension: Option<Dimension>,
}

impl Position {
    /// The position as the word that lies in the page; never 0, which stands for "between tasks".
    pub const fn encode(self) -> u64 {
        let dimension = match self.dimension {
            Some(dimension) => dimension as u8,
            None => NO_DIMENSION,
        };
        (self.stage as u64 + 1) | (dimension as u64) << 8
    }

    /// The position that a word stands for, if it stands for any.
    pub fn decode(word: u64) -> Option<Position> {
        let [stage, dimension, 0, 0, 0, 0, 0, 0] = word.to_le_bytes() else { return None };
        let stage = *STAGES.get(usize::from(stage).checked_sub(1)?)?;
        let dimension = match dimension {
            NO_DIMENSION => None,
            number => Some(Dimension::from_index(usize::from(number))?),
        };
        Some(Position { stage, dimension })
    }
}

/// What a worker says it is doing. Untrusted: compare the task with those of the lease before believing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The task.
    pub task: TaskId,
    /// Where in the task the worker is.
    pub position: Position,
}

/// Reads a page.
///
/// `None` between tasks, while a task is being entered, and for anything that is not a valid page. A page
/// that may be written meanwhile must be read between two equal [`sequence`] values to be of one piece.
pub fn decode(page: &[u8]) -> Option<Progress> {
    let word = |at: usize| -> Option<u64> {
        Some(u64::from_le_bytes(page.get(at..at + 8)?.try_into().expect("eight bytes")))
    };
    if word(offset::MAGIC)? != MAGIC || sequence(page)? % 2 != 0 {
        return None;
    }
    let task = page.get(offset::TASK..offset::TASK + 16)?.try_into().expect("sixteen bytes");
    Some(Progress {
        task: TaskId(u128::from_be_bytes(task)),
        position: Position::decode(word(offset::POSITION)?)?,
    })
}

/// The sequence number of a page; `None` if the page is too short.
pub fn sequence(page: &[u8]) -> Option<u64> {
    let bytes = page.get(offset::SEQUENCE..offset::SEQUENCE + 8)?;
    Some(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TaskId;
    use crate::model::DIMENSIONS;
    use proptest::prelude::*;

    fn position() -> impl Strategy<Value = Position> {
        (0..STAGES.len(), 0..=DIMENSIONS).prop_map(|(stage, dimension)| Position {
            stage: STAGES[stage],
            dimension: Dimension::from_index(dimension),
        })
    }

    fn page(progress: &Progress, sequence: u64) -> Vec<u8> {
        let mut page = vec![0; PAGE_BYTES];
        let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
        put(offset::MAGIC, &MAGIC.to_le_bytes());
        put(offset::SEQUENCE, &sequence.to_le_bytes());
        put(offset::TASK, &progress.task.0.to_be_bytes());
        put(offset::POSITION, &progress.position.encode().to_le_bytes());
        page
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            task: u128, position in position(),
            sequence in any::<u64>().prop_map(|n| n & !1),
        ) {
            let progress = Progress { task: TaskId(task), position };
            let page = page(&progress, sequence);
            prop_assert_eq!(decode(&page), Some(progress));
            prop_assert_eq!(decode(&page[..RECORD_BYTES]), Some(progress));
            for short in 0..RECORD_BYTES {
                prop_assert_eq!(decode(&page[..short]), None);
            }
        }

        #[test]
        fn a_task_that_is_being_entered_is_not_read(
            position in position(), sequence in any::<u64>().prop_map(|n| n | 1),
        ) {
            let progress = Progress { task: TaskId(7), position };
            prop_assert_eq!(decode(&page(&progress, sequence)), None);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_word_is_a_position_only_if_it_encodes_back(word: u64) {
            if let Some(position) = Position::decode(word) {
                prop_assert_eq!(position.encode(), word);
            }
        }

        #[test]
        fn only_known_stages_and_dimensions_are_positions(stage: u8, dimension: u8) {
            let word = u64::from(stage) | u64::from(dimension) << 8;
            let known = (1..=4).contains(&stage) && (dimension == 255 || dimension < 36);
            prop_assert_eq!(Position::decode(word).is_some(), known);
        }
    }

    #[test]
    fn no_position_is_the_word_between_tasks() {
        assert_eq!(Position::decode(0), None);
        let first = Position { stage: Stage::Parse, dimension: None };
        assert_eq!(Position::decode(first.encode()), Some(first));
    }
}
