//! What the hub tells the event bus, and who hears it.

use std::time::Instant;

use bytes::Bytes;
use cynic_proto::event::{EventsQuery, Happening};
use cynic_proto::message::{RefusalKind, Reply, ToClient};

use super::Hub;
use super::clients::refused;
use crate::pool::ClientId;
use crate::recorder::{RecorderStatus, unix_us};

/// The conditions as they were told last: a change of one is an event.
#[derive(Debug, Default)]
pub(super) struct Told {
    ready: bool,
    breaker_open: bool,
    store_full: bool,
    store_degraded_since: Option<Instant>,
    dead_letters: u64,
}

impl Hub {
    pub(super) fn publish(&mut self, what: Happening) {
        self.bus.publish(unix_us(), what);
    }

    /// Tells of a change of the pool's readiness, its breaker or its patience with the store.
    pub(super) fn look_at_pool(&mut self) {
        let (ready, breaker_open) = (self.pool.is_ready(), self.pool.is_breaker_open());
        if breaker_open != self.told.breaker_open {
            self.told.breaker_open = breaker_open;
            self.publish(if breaker_open {
                tracing::error!("no worker comes up; they are tried one at a time, at intervals");
                Happening::BreakerOpened
            } else {
                Happening::BreakerClosed
            });
        }
        let store_full = self.pool.is_refusing_for_the_store();
        if store_full != self.told.store_full {
            self.told.store_full = store_full;
            self.publish(if store_full {
                tracing::warn!("the store does not keep up: no more work is admitted");
                Happening::StoreFull
            } else {
                tracing::info!("the store keeps up again");
                Happening::StoreRoom
            });
        }
        if ready != self.told.ready {
            self.told.ready = ready;
            tracing::info!(ready, "readiness changed");
            self.publish(if ready {
                Happening::PoolReady
            } else {
                Happening::PoolNotReady { reason: self.unready_reason() }
            });
        }
    }

    /// Why a task sent now would not be judged, in a few words.
    pub(super) fn unready_reason(&self) -> String {
        if self.pool.is_draining() {
            return format!("draining, tasks left: {}", self.pool.tasks_held());
        }
        if self.pool.is_refusing_for_the_store() && !self.pool.is_breaker_open() {
            return "the store does not keep up".to_owned();
        }
        match self.figures.last_cause() {
            Some(cause) => format!("workers do not start, last: {cause}"),
            None => "starting workers".to_owned(),
        }
    }

    /// Tells of a change of the store's health.
    pub(super) fn look_at_store(&mut self, status: &RecorderStatus) {
        match (&status.degraded, self.told.store_degraded_since) {
            (Some(reason), None) => {
                self.told.store_degraded_since = Some(Instant::now());
                self.publish(Happening::StoreDegraded { reason: reason.clone() });
            }
            (None, Some(since)) => {
                self.told.store_degraded_since = None;
                let lasted_ms = since.elapsed().as_millis() as u64;
                self.publish(Happening::StoreRecovered { lasted_ms });
            }
            _ => {}
        }
        let count = status.stats.dead_letters.saturating_sub(self.told.dead_letters);
        self.told.dead_letters = status.stats.dead_letters;
        if count > 0 {
            self.publish(Happening::StoreDeadLetter { count });
        }
    }

    /// A client asks for events. An answer that has to be waited for is sent by [`Hub::send_events`].
    pub(super) fn events(&mut self, client: ClientId, seq: u64, query: &EventsQuery) {
        let reply = if query.follow {
            match self.bus.follow(client, seq, query) {
                Ok(()) => return,
                Err(error) => refused(RefusalKind::Unavailable, &error.to_string()),
            }
        } else {
            Reply::Events(Box::new(self.bus.recent(query)))
        };
        self.reply(client, &ToClient { seq, reply }, &Bytes::new());
    }

    /// Answers those who wait for events that have come.
    pub(super) fn send_events(&mut self) {
        for (client, seq, batch) in self.bus.due() {
            let reply = Reply::Events(Box::new(batch));
            self.reply(client, &ToClient { seq, reply }, &Bytes::new());
        }
    }
}
