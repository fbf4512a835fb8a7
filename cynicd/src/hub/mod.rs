//! The event loop: owns the pool, the tasks' bytes, the clients and the workers, and performs what the pool
//! decides.
//!
//! One task on one thread; everything else speaks to it by messages. It never waits for a client, a worker
//! or the database: what cannot be taken at once is buffered within bounds or refused.

mod answers;
mod clients;
mod figures;
mod recording;
mod workers;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cynic_proto::error::Death;
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::message::{Ack, ToClient};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::gateway::ClientNews;
use crate::link::{Launch, News};
use crate::pool::{ClientId, Effect, Event, Pool};
use crate::recorder::RecorderHandle;

use answers::Held;
use clients::Client;
use figures::Figures;
use recording::{Recording, Settled};
use workers::Worker;

/// Messages to the hub that may wait; a full channel slows its senders down, never the hub.
pub const INPUTS_MAX: usize = 1024;

/// Messages taken at once, before the answers are sent: lets one write carry many.
const BATCH: usize = 128;

/// How often workers' memory is looked at: often enough to replace a leaking worker before it meets its
/// limit at any plausible rate, and of no cost.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);

/// What the hub is told.
#[derive(Debug)]
pub enum Input {
    /// By the gateway.
    Client(ClientId, ClientNews),
    /// By a worker's link.
    Worker(WorkerId, News),
}

/// What an operator wants of the whole daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Finish what was accepted, within the budget, then end.
    Drain,
    /// End now.
    Stop,
}

/// What the hub works with.
#[derive(Debug)]
pub struct Options {
    /// How workers are started.
    pub launch: Launch,
    /// The recorder.
    pub recorder: RecorderHandle,
    /// Whether items are stored beside their judgments.
    pub store_content: bool,
    /// How long draining may take.
    pub drain_budget: Duration,
}

/// The event loop's state.
#[derive(Debug)]
pub struct Hub {
    pool: Pool,
    options: Options,
    inputs: mpsc::Sender<Input>,
    clients: HashMap<ClientId, Client>,
    workers: HashMap<WorkerId, Worker>,
    /// The tasks that the pool holds.
    tasks: HashMap<TaskId, Held>,
    recording: Recording,
    /// Taken by [`Hub::run`].
    settlements: Option<mpsc::UnboundedReceiver<Settled>>,
    figures: Figures,
    /// Accepts clients, for as long as work is taken.
    accepting: JoinHandle<()>,
    /// Clients whose outbox got something since the last flush.
    touched: Vec<ClientId>,
    /// When draining must be over.
    drain_until: Option<Instant>,
    /// No process is left.
    stopped: bool,
}

impl Hub {
    /// A hub for a pool. `inputs` is where links are to report; `accepting` is aborted when the daemon is to
    /// end.
    pub fn new(
        pool: Pool,
        options: Options,
        inputs: mpsc::Sender<Input>,
        accepting: JoinHandle<()>,
    ) -> Hub {
        let (recording, settlements) = Recording::new(options.recorder.clone());
        Hub {
            settlements: Some(settlements),
            pool,
            options,
            inputs,
            clients: HashMap::new(),
            workers: HashMap::new(),
            tasks: HashMap::new(),
            recording,
            figures: Figures::default(),
            accepting,
            touched: Vec::new(),
            drain_until: None,
            stopped: false,
        }
    }

    /// Runs until the workers have ended after a [`Control`].
    pub async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Input>,
        mut controls: mpsc::Receiver<Control>,
    ) {
        let Some(mut settlements) = self.settlements.take() else { return };
        let recorder = self.recording.recorder().clone();
        let (mut batch, mut settled) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        let mut memory = tokio::time::interval(MEMORY_INTERVAL);
        self.feed(Event::Tick);
        while !self.stopped {
            let timer = self.pool.next_timer().into_iter().chain(self.drain_until).min();
            tokio::select! {
                biased;
                Some(control) = controls.recv() => self.control(control),
                _ = inbox.recv_many(&mut batch, BATCH) => {}
                _ = settlements.recv_many(&mut settled, BATCH) => {}
                () = recorder.room(), if self.recording.is_full() => self.record_again(),
                () = at(timer), if timer.is_some() => self.tick(),
                _ = memory.tick() => self.look_at_memory(),
            }
            for input in batch.drain(..) {
                match input {
                    Input::Client(client, news) => self.client_news(client, news),
                    Input::Worker(worker, news) => self.worker_news(worker, news),
                }
            }
            for settlement in settled.drain(..) {
                self.settled(settlement);
            }
            self.flush();
        }
        self.accepting.abort();
        self.finish_recording(&mut settlements).await;
        self.farewell().await;
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Drain => {
                tracing::info!(tasks = self.pool.tasks_held(), "draining");
                self.accepting.abort();
                self.drain_until = Some(Instant::now() + self.options.drain_budget);
                self.feed(Event::Drain);
                self.end_if_drained();
            }
            Control::Stop => self.feed(Event::Shutdown),
        }
    }

    fn tick(&mut self) {
        if self.drain_until.is_some_and(|until| until <= Instant::now()) {
            self.drain_until = None;
            tracing::warn!(tasks = self.pool.tasks_held(), "the drain budget is spent");
            self.feed(Event::Shutdown);
        } else {
            self.feed(Event::Tick);
        }
    }

    /// Gives the pool an event and performs what it decides.
    fn feed(&mut self, event: Event) {
        let was_ready = self.pool.is_ready();
        let effects = self.pool.handle(event, Instant::now());
        for effect in effects {
            self.perform(effect);
        }
        let ready = self.pool.is_ready();
        if ready != was_ready {
            tracing::info!(ready, "readiness changed");
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn(worker) => self.spawn(worker),
            Effect::Lease { worker, nonce, items } => self.lease(worker, nonce, &items),
            Effect::Ping { worker, nonce } => self.ping(worker, nonce),
            Effect::Stop(worker) => self.stop_worker(worker),
            Effect::Kill(worker) => self.kill_worker(worker),
            // Performed where the result is at hand: see `worker_done`.
            Effect::Deliver(delivery) => {
                debug_assert!(false, "a delivery without a result: {delivery:?}");
            }
            Effect::Fail { task, error } => self.fail(task, *error),
            Effect::Quarantine(task) => tracing::warn!(%task, "quarantined"),
            Effect::Report(death) => self.report(&death),
            Effect::Drained => self.drained(),
            Effect::Stopped => self.stopped = true,
        }
    }

    fn report(&mut self, death: &Death) {
        tracing::warn!(
            worker = %death.worker,
            cause = %death.cause,
            task = death.task.map(tracing::field::display),
            stage = death.stage.map(tracing::field::display),
            dimension = death.dimension.map(tracing::field::display),
            stderr = %death.stderr_tail,
            "a worker died"
        );
        self.record_death(death);
    }

    fn drained(&mut self) {
        tracing::info!("drained");
        self.end_if_drained();
    }

    /// Puts a reply into a client's outbox; a client that has gone gets none.
    fn reply(&mut self, client: ClientId, message: &ToClient, payload: &Bytes) {
        let Some(entry) = self.clients.get(&client) else { return };
        let max = self.options.launch.frame_bytes_max;
        match entry.outbox.push(message, payload, max) {
            Ok(()) => self.touched.push(client),
            Err(error) => {
                tracing::error!(client = client.0, %error, "could not send a reply");
                entry.outbox.close();
            }
        }
    }

    fn flush(&mut self) {
        self.touched.sort_unstable();
        self.touched.dedup();
        for client in self.touched.drain(..) {
            if let Some(client) = self.clients.get(&client) {
                client.outbox.flush();
            }
        }
    }
}

/// Waits for a moment; for ever where there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// Who waits for a task's answer, and how far it must have got.
#[derive(Debug, Clone, Copy)]
struct Waiter {
    client: ClientId,
    seq: u64,
    ack: Ack,
}
