//! Bounds what waits in memory, by count and by bytes.
//!
//! Entries pass on the submitter's thread without blocking it; the recorder frees their room once they are
//! safe elsewhere.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Room is told of again once this part of it is free: about a batch, so that it does not come and go with each entry, and
/// whoever waits for it does not wait for several batches.
const MARGIN_PART: usize = 16;

/// Counts what has passed and not yet been freed.
#[derive(Debug)]
pub(super) struct Gate {
    rows_max: usize,
    bytes_max: usize,
    rows: AtomicUsize,
    bytes: AtomicUsize,
    /// Somebody was turned away and has not been told of room since.
    turned_away: AtomicBool,
    room: Notify,
}

impl Gate {
    pub(super) fn new(rows_max: usize, bytes_max: usize) -> Gate {
        Gate {
            rows_max,
            bytes_max,
            rows: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            turned_away: AtomicBool::new(false),
            room: Notify::new(),
        }
    }

    /// Takes room for one entry; `false` when there is none. An entry larger than the whole bound passes
    /// when it is alone, so that none is refused for ever.
    pub(super) fn enter(&self, bytes: usize) -> bool {
        let rows = self.rows.fetch_add(1, Ordering::AcqRel);
        let held = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        if rows == 0 || (rows < self.rows_max && held + bytes <= self.bytes_max) {
            return true;
        }
        self.turned_away.store(true, Ordering::Release);
        // Frees what was taken; whoever frees last sees the mark and tells of room.
        self.leave(1, bytes);
        false
    }

    /// Takes room for an entry that nobody is to be turned away for, whether there is any or not.
    pub(super) fn force(&self, bytes: usize) {
        self.rows.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Frees the room of entries that are safe elsewhere.
    pub(super) fn leave(&self, rows: usize, bytes: usize) {
        self.rows.fetch_sub(rows, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if self.has_room() && self.turned_away.swap(false, Ordering::AcqRel) {
            self.room.notify_waiters();
        }
    }

    /// Whether there is room again, with a margin.
    pub(super) fn has_room(&self) -> bool {
        self.rows.load(Ordering::Acquire) <= self.rows_max - self.rows_max.div_ceil(MARGIN_PART)
            && self.bytes.load(Ordering::Acquire)
                <= self.bytes_max - self.bytes_max.div_ceil(MARGIN_PART)
    }

    /// Whether more comes in than goes out: half of the room is taken.
    pub(super) fn is_filling(&self) -> bool {
        self.rows() > self.rows_max / 2 || self.bytes() > self.bytes_max / 2
    }

    /// Waits until there is room. Cancel-safe.
    pub(super) async fn room(&self) {
        loop {
            let notified = self.room.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            self.turned_away.store(true, Ordering::Release);
            if self.has_room() {
                return;
            }
            notified.await;
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.load(Ordering::Acquire)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_by_rows_and_by_bytes() {
        let gate = Gate::new(2, 100);
        assert!(gate.enter(10));
        assert!(gate.enter(10));
        assert!(!gate.enter(10));
        gate.leave(1, 10);
        assert!(!gate.enter(91));
        assert!(gate.enter(90));
        assert_eq!((gate.rows(), gate.bytes()), (2, 100));
    }

    #[test]
    fn an_oversize_entry_passes_alone() {
        let gate = Gate::new(2, 100);
        assert!(gate.enter(1000));
        assert!(!gate.enter(1));
        gate.leave(1, 1000);
        assert!(gate.enter(1));
    }

    #[tokio::test]
    async fn one_turned_away_is_told_of_room() {
        let gate = Gate::new(4, 100);
        while gate.enter(1) {}
        let room = gate.room();
        tokio::pin!(room);
        tokio::select! {
            biased;
            () = &mut room => panic!("there is no room yet"),
            () = tokio::task::yield_now() => {}
        }
        gate.leave(1, 1);
        room.await;
    }
}
