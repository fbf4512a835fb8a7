//! A task from acceptance to answer.

use std::time::Instant;

use cynic_proto::error::Death;
use cynic_proto::ids::WorkerId;
use cynic_proto::message::Lane;

use super::queue::{self, ClientId};

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Not to be tried yet: the store is being asked whether it has its judgment.
    Parked,
    /// In the queue.
    Queued(queue::Place),
    /// Waiting for a fresh worker of its own.
    Solo,
    /// In a worker's hands.
    Leased(WorkerId),
}

/// A task that is not over.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) client: ClientId,
    /// The client's user.
    pub(super) uid: u32,
    pub(super) lane: Lane,
    pub(super) bytes: usize,
    pub(super) accepted: Instant,
    /// When it must have been started, counted from when it began to wait.
    pub(super) start_by: Instant,
    /// When it must be over.
    pub(super) end_by: Instant,
    pub(super) place: Place,
    /// Counted before each dispatch.
    pub(super) attempts: u8,
    /// Workers that died over it.
    pub(super) strikes: u8,
    pub(super) deaths: Vec<Death>,
}

impl Task {
    /// The next of its clocks to run out.
    pub(super) fn expiry(&self) -> Instant {
        match self.place {
            Place::Parked | Place::Queued(_) | Place::Solo => self.start_by.min(self.end_by),
            Place::Leased(_) => self.end_by,
        }
    }
}
