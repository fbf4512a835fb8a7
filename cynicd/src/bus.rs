//! The event bus: what happened lately, and what each subscriber has not fetched yet.
//!
//! Subscribers fetch; nothing is ever sent to one that does not ask. Each has a bounded buffer, and one that is
//! slower than the events is told how many it missed. Pure: reads no clock, holds no connection.

use std::collections::{HashMap, VecDeque};

use cynic_proto::event::{EVENTS_BATCH_MAX, Event, EventsBatch, EventsQuery, Happening, Kind};

use crate::pool::ClientId;

/// Events that are held for a subscriber between two fetches: a tenth of a second of the fastest judging, some
/// 150 KiB of judgments.
const BUFFER_EVENTS_MAX: usize = 2048;

/// Events of the recent past that are held for those who ask later. Judgments have a ring of their own, or a busy
/// daemon would have forgotten a worker's death within a second.
const RECENT_EVENTS_MAX: usize = 512;

/// Subscribers at once: bounds what all buffers hold together.
const SUBSCRIBERS_MAX: usize = 64;

/// An encoded event is smaller: nearly all of it is a death's tail of standard error.
const EVENT_BYTES_MAX: usize = 8 * 1024;

/// Why there is no subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// Too many listen.
    #[error("{SUBSCRIBERS_MAX} clients follow events, which is the limit; retry later")]
    Full,
    /// The last fetch has no answer yet.
    #[error("this connection waits for events already: one request at a time")]
    Waiting,
}

/// Kinds as a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kinds(u64);

impl Kinds {
    /// Those of a query: none named means all.
    fn of(kinds: &[Kind]) -> Kinds {
        if kinds.is_empty() {
            return Kinds(u64::MAX);
        }
        Kinds(kinds.iter().fold(0, |bits, kind| bits | 1 << *kind as u64))
    }

    fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u64) != 0
    }
}

#[derive(Debug)]
struct Subscriber {
    kinds: Kinds,
    buffer: VecDeque<Event>,
    missed: u64,
    /// The request that waits for events.
    waiting: Option<u64>,
}

impl Subscriber {
    fn push(&mut self, event: Event) {
        if self.buffer.len() >= BUFFER_EVENTS_MAX {
            self.buffer.pop_front();
            self.missed += 1;
        }
        self.buffer.push_back(event);
    }

    fn take(&mut self, events_max: usize) -> EventsBatch {
        let n = self.buffer.len().min(events_max);
        EventsBatch {
            missed: std::mem::take(&mut self.missed),
            events: self.buffer.drain(..n).collect(),
        }
    }
}

/// The bus.
#[derive(Debug)]
pub struct Bus {
    published: u64,
    recent_judgments: VecDeque<Event>,
    recent_others: VecDeque<Event>,
    subscribers: HashMap<ClientId, Subscriber>,
    events_max: usize,
}

impl Bus {
    /// A bus whose batches fit frames of that size.
    pub fn new(frame_bytes_max: usize) -> Bus {
        Bus {
            published: 0,
            recent_judgments: VecDeque::new(),
            recent_others: VecDeque::new(),
            subscribers: HashMap::new(),
            events_max: (frame_bytes_max / EVENT_BYTES_MAX).clamp(1, EVENTS_BATCH_MAX),
        }
    }

    /// Takes in what happened at a time, in microseconds since the Unix epoch.
    pub fn publish(&mut self, at_us: i64, what: Happening) {
        self.published += 1;
        let kind = what.kind();
        let event = Event { seq: self.published, at_us, what };
        for subscriber in self.subscribers.values_mut().filter(|s| s.kinds.has(kind)) {
            subscriber.push(event.clone());
        }
        let judgment = matches!(kind, Kind::JudgmentCompleted | Kind::JudgmentFailed);
        let ring = if judgment { &mut self.recent_judgments } else { &mut self.recent_others };
        if ring.len() >= RECENT_EVENTS_MAX {
            ring.pop_front();
        }
        ring.push_back(event);
    }

    /// What is remembered of those kinds, oldest first: at most the newest that one batch takes.
    pub fn recent(&self, query: &EventsQuery) -> EventsBatch {
        let mut events = self.remembered(Kinds::of(&query.kinds));
        events.drain(..events.len().saturating_sub(self.events_max));
        EventsBatch { missed: 0, events }
    }

    fn remembered(&self, kinds: Kinds) -> Vec<Event> {
        let all = self.recent_judgments.iter().chain(&self.recent_others);
        let mut events: Vec<Event> = all.filter(|e| kinds.has(e.what.kind())).cloned().collect();
        events.sort_unstable_by_key(|event| event.seq);
        events
    }

    /// A client asks for what comes next; [`Bus::due`] has the answer once there is one.
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub fn follow(
        &mut self,
        client: ClientId,
        seq: u64,
        query: &EventsQuery,
    ) -> Result<(), SubscribeError> {
        if let Some(subscriber) = self.subscribers.get_mut(&client) {
            if subscriber.waiting.is_some() {
                return Err(SubscribeError::Waiting);
            }
            subscriber.waiting = Some(seq);
            return Ok(());
        }
        if self.subscribers.len() >= SUBSCRIBERS_MAX {
            return Err(SubscribeError::Full);
        }
        let kinds = Kinds::of(&query.kinds);
        let buffer = if query.recent { self.remembered(kinds).into() } else { VecDeque::new() };
        let subscriber = Subscriber { kinds, buffer, missed: 0, waiting: Some(seq) };
        self.subscribers.insert(client, subscriber);
        Ok(())
    }

    /// The client has gone.
    pub fn forget(&mut self, client: ClientId) {
        self.subscribers.remove(&client);
    }

    /// The answers that are ready: to whom, to which request, and what.
    pub fn due(&mut self) -> Vec<(ClientId, u64, EventsBatch)> {
        let events_max = self.events_max;
        let ready = |(client, subscriber): (&ClientId, &mut Subscriber)| {
            if subscriber.buffer.is_empty() {
                return None;
            }
            let seq = subscriber.waiting.take()?;
            Some((*client, seq, subscriber.take(events_max)))
        };
        self.subscribers.iter_mut().filter_map(ready).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: ClientId = ClientId(1);

    fn bus() -> Bus {
        Bus::new(cynic_proto::limits::FRAME_BYTES_MAX)
    }

    fn query(kinds: &[Kind]) -> EventsQuery {
        EventsQuery { kinds: kinds.to_vec(), recent: false, follow: true }
    }

    fn next(bus: &mut Bus) -> EventsBatch {
        bus.follow(CLIENT, 7, &query(&[])).expect("room");
        let (client, seq, batch) = bus.due().pop().expect("an answer");
        assert_eq!((client, seq), (CLIENT, 7));
        batch
    }

    #[test]
    fn a_subscriber_gets_what_it_asked_for_once() {
        let mut bus = bus();
        bus.publish(1, Happening::PoolReady);
        bus.follow(CLIENT, 7, &query(&[Kind::StoreFull])).expect("room");
        bus.publish(2, Happening::PoolReady);
        assert_eq!(bus.due(), []);
        bus.publish(3, Happening::StoreFull);
        let event = Event { seq: 3, at_us: 3, what: Happening::StoreFull };
        let batch = EventsBatch { missed: 0, events: vec![event] };
        assert_eq!(bus.due(), [(CLIENT, 7, batch)]);
        bus.publish(4, Happening::StoreFull);
        assert_eq!(bus.due(), [], "nobody asks");
        assert_eq!(bus.follow(CLIENT, 8, &query(&[])), Ok(()));
        assert_eq!(bus.follow(CLIENT, 9, &query(&[])), Err(SubscribeError::Waiting));
        assert_eq!(bus.due().len(), 1);
        bus.forget(CLIENT);
        bus.publish(5, Happening::StoreFull);
        assert_eq!(bus.due(), []);
    }

    #[test]
    fn one_who_does_not_fetch_is_told_what_it_missed() {
        const MORE: usize = 10;
        let mut bus = bus();
        bus.publish(0, Happening::PoolReady);
        bus.follow(CLIENT, 7, &query(&[])).expect("room");
        for _ in 0..BUFFER_EVENTS_MAX + MORE {
            bus.publish(0, Happening::StoreFull);
        }
        let (_, _, first) = bus.due().pop().expect("an answer");
        assert_eq!(first.missed, MORE as u64);
        assert_eq!(first.events[0].seq, 2 + MORE as u64);
        let mut seqs: Vec<u64> = first.events.iter().map(|event| event.seq).collect();
        while seqs.len() < BUFFER_EVENTS_MAX {
            let batch = next(&mut bus);
            assert_eq!(batch.missed, 0);
            seqs.extend(batch.events.iter().map(|event| event.seq));
        }
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "without a gap");
    }

    #[test]
    fn judgments_do_not_push_out_what_is_rare() {
        let mut bus = bus();
        bus.publish(0, Happening::BreakerOpened);
        for _ in 0..RECENT_EVENTS_MAX * 2 {
            bus.publish(0, judgment_failed());
        }
        let kinds = vec![Kind::BreakerOpened];
        let recent = bus.recent(&EventsQuery { kinds, recent: true, follow: false });
        assert_eq!(recent.events.len(), 1);
        let all = bus.recent(&EventsQuery::default());
        assert_eq!(all.events.len(), EVENTS_BATCH_MAX);
        assert_eq!(all.events.last().map(|e| e.seq), Some(1 + 2 * RECENT_EVENTS_MAX as u64));
    }

    #[test]
    fn listeners_are_bounded() {
        let mut bus = bus();
        for n in 0..SUBSCRIBERS_MAX as u64 {
            assert_eq!(bus.follow(ClientId(n), 1, &query(&[])), Ok(()));
        }
        let late = ClientId(SUBSCRIBERS_MAX as u64);
        assert_eq!(bus.follow(late, 1, &query(&[])), Err(SubscribeError::Full));
    }

    fn judgment_failed() -> Happening {
        Happening::JudgmentFailed {
            task: cynic_proto::ids::TaskId(1),
            error: cynic_proto::error::ErrorKind::Busy,
            cause: None,
            uid: 0,
            attempts: 0,
        }
    }
}
