//! A stream of judgments in constant memory: items go in for as long as there is credit, and credit comes back with each
//! answer that is taken out.
//!
//! Owns the bound on what is in flight, whoever is slow: the daemon, or the reader of the answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{Client, ClientError, Outcome};
use crate::message::Judge;

/// Items in flight by default: enough for every worker of a large host, and far below what a daemon queues.
const ITEMS: u32 = 256;

/// Bytes in flight by default: two of the largest items, or a window of usual ones.
const BYTES: u32 = 32 * 1024 * 1024;

/// How long a task is offered again by default that the daemon cannot take now: outlasts its restart.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a stream flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Items sent whose answers were not taken, at most; at least 1.
    pub items: u32,
    /// Bytes of such items, at most; at least 1. A larger item goes alone.
    pub bytes: u32,
    /// Whether answers are given in the order of the items; otherwise as they come.
    pub ordered: bool,
    /// How long a task is offered again that the daemon cannot take now.
    pub patience: Duration,
}

impl Default for Flow {
    fn default() -> Flow {
        Flow { items: ITEMS, bytes: BYTES, ordered: true, patience: PATIENCE }
    }
}

/// Where items go in.
#[derive(Debug)]
pub struct Items {
    client: Client,
    flow: Flow,
    places: Arc<Semaphore>,
    room: Arc<Semaphore>,
    answers: mpsc::UnboundedSender<Flight>,
    next: u64,
}

/// Where answers come out.
#[derive(Debug)]
pub struct Answers {
    ordered: bool,
    /// Unbounded in itself: each message holds credit, of which there is only so much.
    inbox: mpsc::UnboundedReceiver<Flight>,
    /// Came before their turn; bounded by the credit that they hold.
    early: BTreeMap<u64, Flight>,
    next: u64,
}

/// What came of one item.
#[derive(Debug)]
pub struct Streamed {
    /// The item's number, from 0 in the order in which they were sent.
    pub number: u64,
    /// Its outcome, or why the daemon could not be asked.
    pub outcome: Result<Outcome, ClientError>,
}

/// An answer and the credit that its item holds until it is taken.
#[derive(Debug)]
struct Flight {
    answer: Streamed,
    _credit: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// Nobody takes the answers any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody takes the answers of this stream any more")]
pub struct StreamClosed;

impl Client {
    /// A stream over this connection. Items are to be sent and answers to be taken by two tasks, or by turns with
    /// `select`: whoever only sends waits for credit for ever.
    ///
    /// A connection that breaks is made again, and what was in flight is asked for again, as by [`Client::judge`].
    pub fn stream(&self, flow: Flow) -> (Items, Answers) {
        let (answers, inbox) = mpsc::unbounded_channel();
        let credit = |n: u32| Arc::new(Semaphore::new(n.max(1) as usize));
        let items = Items {
            client: self.clone(),
            places: credit(flow.items),
            room: credit(flow.bytes),
            flow,
            answers,
            next: 0,
        };
        (items, Answers { ordered: flow.ordered, inbox, early: BTreeMap::new(), next: 0 })
    }
}

impl Items {
    /// Sends an item as soon as there is credit for it, and returns its number. Cancel safe: an item that waits for
    /// credit is not sent.
    ///
    /// # Errors
    /// The answers were dropped.
    pub async fn send(&mut self, request: Judge, item: Bytes) -> Result<u64, StreamClosed> {
        let bytes = u32::try_from(item.len()).unwrap_or(u32::MAX).clamp(1, self.flow.bytes.max(1));
        let place = tokio::select! {
            biased;
            () = self.answers.closed() => return Err(StreamClosed),
            place = Arc::clone(&self.places).acquire_owned() => place.map_err(|_| StreamClosed)?,
        };
        let room = tokio::select! {
            biased;
            () = self.answers.closed() => return Err(StreamClosed),
            room = Arc::clone(&self.room).acquire_many_owned(bytes) => {
                room.map_err(|_| StreamClosed)?
            }
        };
        let number = self.next;
        self.next += 1;
        let (client, answers, patience) =
            (self.client.clone(), self.answers.clone(), self.flow.patience);
        tokio::spawn(async move {
            let outcome = client.judge_within(request, item, patience).await;
            let answer = Streamed { number, outcome };
            // Who asked may have gone; what is judged is stored all the same.
            drop(answers.send(Flight { answer, _credit: (place, room) }));
        });
        Ok(number)
    }
}

impl Answers {
    /// The next answer; `None` once the items' end was dropped and all are taken. Cancel safe. Credit for another item
    /// comes back with it.
    pub async fn next(&mut self) -> Option<Streamed> {
        loop {
            if let Some(flight) = self.early.remove(&self.next) {
                self.next += 1;
                return Some(flight.answer);
            }
            let flight = self.inbox.recv().await?;
            if !self.ordered {
                return Some(flight.answer);
            }
            self.early.insert(flight.answer.number, flight);
        }
    }
}
