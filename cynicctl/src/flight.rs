//! Many tasks at once and answers in order (or as they come): a reader thread feeds items under a budget of bytes, a bounded
//! window of requests is in flight.
//!
//! Owns the bounds that keep memory constant however long the input is. Knows nothing of what is asked.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, JoinHandle, JoinSet};

/// Requests asked and not yet shown: enough to keep every worker of a large host busy while one slow item
/// holds back the row that is next.
const REQUESTS_MAX: usize = 256;

/// Bytes of items read and not yet shown: two of the largest items, or the whole window of usual ones.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// What the smallest item counts for, so that its bookkeeping is bounded too.
const ITEM_BYTES_MIN: usize = 1024;

/// Items that the reader may be ahead of the window: a few, since the window keeps the workers busy.
const FEED_MAX: usize = 32;

/// Room for an item's bytes, given back when it is dropped.
pub type Room = OwnedSemaphorePermit;

/// What the reader thread hands over, with the room that it takes.
pub type Feed<E> = mpsc::Receiver<(E, Room)>;

/// Starts a thread that reads. It calls its argument with each event and the bytes that it holds, and stops
/// when told to.
///
/// The thread is detached: it may sit in a read of standard input that never returns.
///
/// # Errors
/// The system has no room for another thread.
pub fn feed<E: Send + 'static>(
    read: impl FnOnce(&mut dyn FnMut(E, usize) -> ControlFlow<()>) + Send + 'static,
) -> Result<Feed<E>> {
    let (events, inbox) = mpsc::channel(FEED_MAX);
    let room = Arc::new(Semaphore::new(BYTES_MAX));
    let runtime = Handle::current();
    let hand_over = move |event, bytes: usize| {
        let bytes = bytes.clamp(ITEM_BYTES_MIN, BYTES_MAX) as u32;
        let room = runtime.block_on(Arc::clone(&room).acquire_many_owned(bytes));
        match room.map(|room| events.blocking_send((event, room))) {
            Ok(Ok(())) => ControlFlow::Continue(()),
            // Nobody listens any more.
            _ => ControlFlow::Break(()),
        }
    };
    std::thread::Builder::new()
        .name("reader".to_owned())
        .spawn(move || {
            let mut hand_over = hand_over;
            read(&mut hand_over);
        })
        .context("could not start the thread that reads the input")?;
    Ok(inbox)
}

/// Requests in flight.
#[derive(Debug)]
pub struct Window<T> {
    /// In the order in which they were asked; where that is of no matter, only what is answered.
    requests: VecDeque<Request<T>>,
    /// Where order is of no matter: what is not answered yet.
    unordered: Option<JoinSet<T>>,
}

#[derive(Debug)]
enum Request<T> {
    Awaited(JoinHandle<T>),
    Answered(Result<T, JoinError>),
}

impl<T: Send + 'static> Window<T> {
    /// An empty window that gives answers in the order of the questions.
    pub fn new() -> Window<T> {
        Window { requests: VecDeque::new(), unordered: None }
    }

    /// An empty window that gives answers as they come: a slow one holds nothing back.
    pub fn unordered() -> Window<T> {
        Window { unordered: Some(JoinSet::new()), ..Window::new() }
    }

    /// Whether another request may be asked.
    pub fn has_room(&self) -> bool {
        self.len() < REQUESTS_MAX
    }

    /// Requests without an answer that was taken.
    pub fn len(&self) -> usize {
        self.requests.len() + self.unordered.as_ref().map_or(0, JoinSet::len)
    }

    /// Whether all answers were taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks.
    pub fn ask(&mut self, request: impl Future<Output = T> + Send + 'static) {
        match &mut self.unordered {
            Some(waiting) => drop(waiting.spawn(request)),
            None => self.requests.push_back(Request::Awaited(tokio::spawn(request))),
        }
    }

    /// Puts an answer that is known already in its place.
    pub fn known(&mut self, answer: T) {
        self.requests.push_back(Request::Answered(Ok(answer)));
    }

    /// Takes the next answer, if it is there.
    ///
    /// # Errors
    /// The request panicked.
    pub fn take(&mut self) -> Option<Result<T>> {
        while let Some(answer) = self.unordered.as_mut().and_then(JoinSet::try_join_next) {
            self.requests.push_back(Request::Answered(answer));
        }
        self.requests.front().filter(|request| matches!(request, Request::Answered(_)))?;
        match self.requests.pop_front()? {
            Request::Answered(answer) => Some(answer.context("a request ended without an answer")),
            Request::Awaited(_) => None,
        }
    }

    /// Waits until [`Window::take`] has something to give. Cancel safe.
    pub async fn ready(&mut self) {
        match (self.requests.front_mut(), &mut self.unordered) {
            (Some(Request::Answered(_)), _) => {}
            (Some(request), _) => {
                if let Request::Awaited(answer) = request {
                    *request = Request::Answered(answer.await);
                }
            }
            (None, Some(waiting)) => match waiting.join_next().await {
                Some(answer) => self.requests.push_back(Request::Answered(answer)),
                None => std::future::pending().await,
            },
            (None, None) => std::future::pending().await,
        }
    }
}

impl<T: Send + 'static> Default for Window<T> {
    fn default() -> Window<T> {
        Window::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn answers_are_taken_in_the_order_of_the_questions() {
        let mut window = Window::new();
        let (first, second) = (oneshot::channel(), oneshot::channel());
        window.ask(async { first.1.await.expect("answered") });
        window.ask(async { second.1.await.expect("answered") });
        window.known(3);
        second.0.send(2).expect("awaited");
        assert!(window.take().is_none());
        first.0.send(1).expect("awaited");
        for expected in 1..=3 {
            window.ready().await;
            assert_eq!(window.take().expect("ready").expect("no panic"), expected);
        }
        assert!(window.is_empty());
    }

    #[tokio::test]
    async fn without_order_a_slow_answer_holds_nothing_back() {
        let mut window = Window::unordered();
        let slow = oneshot::channel::<i32>();
        window.ask(async { slow.1.await.expect("answered") });
        window.ask(async { 2 });
        window.known(3);
        let mut taken = Vec::new();
        while taken.len() < 2 {
            window.ready().await;
            taken.extend(window.take().map(|answer| answer.expect("no panic")));
        }
        taken.sort_unstable();
        assert_eq!((&taken[..], window.len()), (&[2, 3][..], 1));
        slow.0.send(1).expect("awaited");
        window.ready().await;
        assert_eq!(window.take().expect("ready").expect("no panic"), 1);
        assert!(window.is_empty());
    }

    #[tokio::test]
    async fn the_reader_stops_at_its_budget_and_when_nobody_listens() {
        let (ended, end) = oneshot::channel();
        let mut inbox = feed(move |hand_over| {
            let mut handed = 0;
            while hand_over(handed, BYTES_MAX / 2).is_continue() {
                handed += 1;
            }
            let _ = ended.send(handed);
        })
        .expect("a thread");
        let first = inbox.recv().await.expect("handed over");
        let second = inbox.recv().await.expect("handed over");
        assert_eq!((first.0, second.0), (0, 1));
        // The budget is spent until room is given back.
        assert!(inbox.try_recv().is_err());
        drop(first);
        assert_eq!(inbox.recv().await.map(|(n, _)| n), Some(2));
        drop((second, inbox));
        assert!(end.await.expect("the thread ends") >= 3);
    }
}
