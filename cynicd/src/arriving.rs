//! Room for the large frames that are on their way from clients: bounds what their parts take in memory, however many
//! connections they come by, and leaves some of it to each user.
//!
//! Counts what frames announce. Never reads one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many bytes of large frames may be on their way at once.
#[derive(Debug)]
pub struct Arriving {
    all: Arc<Semaphore>,
    /// What is free of each user's share; those with nothing on its way are not here.
    shares: RefCell<HashMap<u32, Arc<Semaphore>>>,
    share: u32,
}

/// Room for one frame, given back when dropped.
#[derive(Debug)]
pub struct Claim {
    arriving: Rc<Arriving>,
    uid: u32,
    /// Of its user's share, and of all.
    permits: Vec<OwnedSemaphorePermit>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.permits.clear();
        let mut shares = self.arriving.shares.borrow_mut();
        // Neither held by a frame nor waited for by one.
        if shares.get(&self.uid).is_some_and(|share| Arc::strong_count(share) == 1) {
            shares.remove(&self.uid);
        }
    }
}

impl Arriving {
    /// Room for so many bytes, and for so many of one user's.
    pub fn new(bytes_max: usize, bytes_per_uid_max: usize) -> Arriving {
        let permits = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
        let all = permits(bytes_max);
        Arriving {
            all: Arc::new(Semaphore::new(all as usize)),
            shares: RefCell::default(),
            share: permits(bytes_per_uid_max).min(all),
        }
    }

    /// Waits for room for a frame; those of one user in their order. One that is larger than its user's share takes all of
    /// it. Cancel safe.
    pub async fn claim(self: &Rc<Arriving>, uid: u32, bytes: usize) -> Claim {
        let share = || Arc::new(Semaphore::new(self.share as usize));
        let share = Arc::clone(self.shares.borrow_mut().entry(uid).or_insert_with(share));
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.share);
        // Dropped while it waits, it leaves nothing behind either.
        let mut claim = Claim { arriving: Rc::clone(self), uid, permits: Vec::new() };
        // Neither is ever closed.
        claim.permits.extend(share.acquire_many_owned(bytes).await);
        claim.permits.extend(Arc::clone(&self.all).acquire_many_owned(bytes).await);
        claim
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const ALICE: u32 = 1;
    const BOB: u32 = 2;

    /// What comes of it without waiting.
    fn now<F: Future>(future: F) -> Option<F::Output> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_user_has_its_share_and_all_together_what_there_is() {
        let arriving = Rc::new(Arriving::new(100, 75));
        let first = now(arriving.claim(ALICE, 50)).expect("room");
        assert!(now(arriving.claim(ALICE, 50)).is_none(), "over the share");
        let other = now(arriving.claim(BOB, 50)).expect("room");
        assert!(now(arriving.claim(BOB, 1)).is_none(), "there is no more");
        drop(first);
        assert!(now(arriving.claim(BOB, 1)).is_some());
        drop(other);
        let whole = now(arriving.claim(ALICE, 1_000_000)).expect("the largest goes alone");
        assert!(now(arriving.claim(ALICE, 1)).is_none());
        assert!(now(arriving.claim(BOB, 25)).is_some());
        drop(whole);
        assert_eq!(arriving.all.available_permits(), 100);
        assert!(arriving.shares.borrow().is_empty(), "nothing is kept of who has gone");
    }
}
