//! The event loop: owns the pool, the tasks' bytes, the clients and the workers, and performs what the pool
//! decides.
//!
//! One task on one thread; everything else speaks to it by messages. It never waits for a client, a worker
//! or the database: what cannot be taken at once is buffered within bounds or refused.

mod answers;
mod clients;
mod doctor;
mod events;
mod figures;
mod operations;
mod permits;
mod quarantine;
mod recording;
mod records;
mod replay;
mod slow;
mod traced;
mod upkeep;
mod workers;

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cynic_proto::codec::FrameError;
use cynic_proto::error::{Death, DeathCause, ErrorKind};
use cynic_proto::event::Happening;
use cynic_proto::exit_code;
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::message::{Ack, RefusalKind, Reply, ToClient};
use cynic_proto::model::Dimension;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::bus::Bus;
use crate::gateway::ClientNews;
use crate::link::{Launch, News};
use crate::manager::Manager;
use crate::pool::{BreakerChange, ClientId, Effect, Event, Pool};
use crate::recorder::RecorderHandle;
use crate::seats::Seats;
use crate::traces::Tracer;

pub use quarantine::{Quarantine, QuarantineNews};

use answers::Held;
use clients::Client;
use events::Told;
use figures::Figures;
use operations::Rolling;
pub use operations::{Asker, Loaded, Operations};
use recording::{Recording, Settled};
use workers::Worker;

/// Messages to the hub that may wait; a full channel slows its senders down, never the hub.
pub const INPUTS_MAX: usize = 64;

/// Messages taken at once, before the answers are sent: lets one write carry many.
const BATCH: usize = 128;

/// How often workers' memory and processor time are looked at, besides after their answers: keeps the figures of
/// idle workers true, and costs nothing.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What the hub is told.
#[derive(Debug)]
pub enum Input {
    /// By the gateway.
    Client(ClientId, ClientNews),
    /// By a worker's link.
    Worker(WorkerId, News),
    /// By what was begun for a client's request about the quarantine.
    Quarantine(ClientId, u64, QuarantineNews),
    /// By whoever read the configuration again.
    Loaded(Box<Loaded>),
    /// By whoever looked something up for an operator.
    Answer(Asker, Reply),
    /// By whoever collects metrics: the figures in the form of Prometheus.
    Metrics(oneshot::Sender<String>),
}

/// What an operator wants of the whole daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Finish what was accepted, within the budget, then end.
    Drain,
    /// End now.
    Stop,
    /// Read the configuration again and work by it.
    Reload,
}

/// The tasks that accept clients. The hub ends them when the daemon is to end.
#[derive(Debug)]
pub struct Accepting {
    /// Those at the judge socket, for as long as work is taken.
    pub judges: JoinHandle<()>,
    /// Those at the admin socket.
    pub admins: JoinHandle<()>,
}

/// What the hub works with.
#[derive(Debug)]
pub struct Options {
    /// How workers are started.
    pub launch: Launch,
    /// The recorder.
    pub recorder: RecorderHandle,
    /// Where operators connect.
    pub admin_socket: PathBuf,
    /// The service manager.
    pub manager: Manager,
    /// Where traces go, if they are wanted.
    pub tracer: Option<Tracer>,
    /// How long the store may take to close after the hub has ended.
    pub close_budget: Duration,
    /// What may change while the daemon runs.
    pub operations: Operations,
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
    settlements: mpsc::UnboundedReceiver<Settled>,
    figures: Figures,
    bus: Bus,
    told: Told,
    quarantine: Quarantine,
    accepting: Accepting,
    /// Who is connected, and who was not let in.
    seats: Rc<Seats>,
    /// Clients whose outbox got something since the last flush.
    touched: Vec<ClientId>,
    /// The rules that the latest worker judges by; unknown until one is ready.
    judge_version: Option<u32>,
    /// When draining must be over.
    drain_until: Option<Instant>,
    /// The daemon was told to end.
    ending: bool,
    /// Why this daemon cannot work here at all, once that is known.
    refused: Option<String>,
    /// The replacement of all workers, while one is under way.
    rolling: Option<Rolling>,
    /// No process is left.
    stopped: bool,
}

impl Hub {
    /// A hub for a pool. `inputs` is where links are to report; `accepting` is aborted when the daemon is to
    /// end.
    pub fn new(
        pool: Pool,
        options: Options,
        quarantine: Quarantine,
        inputs: mpsc::Sender<Input>,
        accepting: Accepting,
        seats: Rc<Seats>,
    ) -> Hub {
        let (recording, settlements) = Recording::new(options.recorder.clone());
        Hub {
            settlements,
            bus: Bus::new(options.launch.frame_bytes_max),
            told: Told::default(),
            pool,
            options,
            inputs,
            clients: HashMap::new(),
            workers: HashMap::new(),
            tasks: HashMap::new(),
            recording,
            figures: Figures::default(),
            quarantine,
            accepting,
            seats,
            touched: Vec::new(),
            judge_version: None,
            drain_until: None,
            ending: false,
            refused: None,
            rolling: None,
            stopped: false,
        }
    }

    /// Runs until the workers have ended after a [`Control`].
    ///
    /// # Errors
    /// The sandbox is required, and this system lacks a layer of it: what the worker said.
    pub async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Input>,
        mut controls: mpsc::Receiver<Control>,
    ) -> Result<(), String> {
        let recorder = self.recording.recorder().clone();
        let (mut batch, mut settled) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        let mut store = recorder.watch();
        self.feed(Event::Tick);
        while !self.stopped {
            let timer = self.next_timer();
            tokio::select! {
                biased;
                Some(control) = controls.recv() => self.control(control),
                _ = inbox.recv_many(&mut batch, BATCH) => {}
                _ = self.settlements.recv_many(&mut settled, BATCH) => {}
                () = recorder.room(), if self.recording.is_full() => self.record_again(),
                () = at(timer), if timer.is_some() => self.tick(),
                _ = look.tick() => self.look_at_workers(),
                Ok(()) = store.changed() => self.look_at_store(&store.borrow_and_update()),
            }
            for input in batch.drain(..) {
                match input {
                    Input::Client(client, news) => self.client_news(client, news),
                    Input::Worker(worker, news) => self.worker_news(worker, news),
                    Input::Quarantine(client, seq, news) => {
                        self.quarantine_news(client, seq, news);
                    }
                    Input::Loaded(loaded) => self.loaded(*loaded),
                    Input::Answer(asker, reply) => self.answer_asker(asker, reply),
                    // Who asked may have gone.
                    Input::Metrics(answer) => drop(answer.send(self.metrics())),
                }
            }
            for settlement in settled.drain(..) {
                self.settled(settlement);
            }
            self.condemn();
            self.keep_up(Instant::now());
            self.send_events();
            self.flush();
        }
        self.accepting.judges.abort();
        self.accepting.admins.abort();
        self.finish_recording().await;
        self.farewell().await;
        self.quarantine.close().await;
        self.refused.map_or(Ok(()), Err)
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Drain => {
                tracing::info!(tasks = self.pool.tasks_held(), "draining");
                self.ending = true;
                // Operators are let in to the end.
                self.accepting.judges.abort();
                let budget = self.options.operations.config.drain_budget;
                self.options.manager.stopping(self.stop_budget());
                self.drain_until = Some(Instant::now() + budget);
                self.feed(Event::Drain);
                self.end_if_drained();
            }
            Control::Stop => {
                self.ending = true;
                self.options.manager.stopping(self.stop_budget());
                self.feed(Event::Shutdown);
            }
            Control::Reload => self.reload(None),
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
        self.answer_unstored(Instant::now());
    }

    /// Gives the pool an event and performs what it decides.
    fn feed(&mut self, event: Event) {
        let effects = self.pool.handle(event, Instant::now());
        for effect in effects {
            self.perform(effect);
        }
        self.look_at_pool();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn(worker) => self.spawn(worker),
            Effect::Lease { worker, nonce, items, skip } => {
                self.lease(worker, nonce, skip, &items);
            }
            Effect::Ping { worker, nonce } => self.ping(worker, nonce),
            Effect::Stop(worker) => self.stop_worker(worker),
            Effect::Kill(worker) => self.kill_worker(worker),
            // Performed where the result is at hand: see `worker_done`.
            Effect::Deliver(delivery) => {
                debug_assert!(false, "a delivery without a result: {delivery:?}");
            }
            Effect::Fail { task, error } => self.fail(task, *error),
            Effect::Quarantine(task, deaths) => self.quarantine(task, deaths),
            Effect::Report(death, attempts) => self.report(&death, attempts),
            Effect::Dimension(dimension, change) => self.dimension_changed(dimension, change),
            Effect::Recycled(worker) => self.publish(Happening::WorkerRecycled { worker }),
            Effect::Drained => self.drained(),
            Effect::Stopped => self.stopped = true,
        }
    }

    fn report(&mut self, death: &Death, attempts: Option<u8>) {
        tracing::warn!(
            worker = %death.worker,
            cause = %death.cause,
            task = death.task.map(tracing::field::display),
            stage = death.stage.map(tracing::field::display),
            dimension = death.dimension.map(tracing::field::display),
            attempts,
            stderr = %death.stderr_tail,
            "a worker died"
        );
        self.publish(Happening::of_death(death, attempts));
        self.figures.died(death);
        self.record_death(death);
        // A kernel does not grow a missing layer: trying again would only hide it.
        if death.cause == DeathCause::ExitCode(exit_code::SANDBOX) && self.judge_version.is_none() {
            self.refused = Some(death.stderr_tail.trim().to_owned());
            self.feed(Event::Shutdown);
        }
    }

    fn dimension_changed(&mut self, dimension: Dimension, change: BreakerChange) {
        let message = match change {
            BreakerChange::Opened(pause) => {
                let seconds = pause.as_secs_f64();
                tracing::warn!(%dimension, seconds, "a dimension keeps failing and is left out");
                let pause_ms = pause.as_millis() as u64;
                self.publish(Happening::DimensionOpened { dimension, pause_ms });
                format!("{dimension} keeps crashing or overrunning: left out for {seconds:.1} s")
            }
            BreakerChange::Closed => {
                tracing::info!(%dimension, "a dimension is scored again");
                self.publish(Happening::DimensionClosed { dimension });
                format!("{dimension} is scored again")
            }
        };
        self.record_notice("dimension.breaker", None, message);
    }

    fn drained(&mut self) {
        tracing::info!("drained");
        self.end_if_drained();
    }

    /// Puts a reply into a client's outbox; a client that has gone gets none.
    fn reply(&mut self, client: ClientId, message: &ToClient, payload: &Bytes) {
        let Some(entry) = self.clients.get(&client) else { return };
        let max = self.options.launch.frame_bytes_max;
        let pushed = entry.outbox.push(message, payload, max).or_else(|error| {
            tracing::warn!(client = client.0, %error, "a reply was too large to be sent");
            let reply = not_sent(&message.reply, &error);
            entry.outbox.push(&ToClient { seq: message.seq, reply }, &Bytes::new(), max)
        });
        match pushed {
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

/// Stands in for a reply that does not fit a frame, so that whoever asked is answered all the same.
fn not_sent(reply: &Reply, error: &FrameError) -> Reply {
    match reply {
        Reply::Judged(judged) => {
            let message = format!("judged, but the answer does not fit: {error}; {RAISE}");
            Reply::failed(judged.task, ErrorKind::Internal, message)
        }
        Reply::Failed { task, error: failed } => {
            let message = format!("it failed, but why does not fit: {error}; {RAISE}");
            Reply::failed(*task, failed.kind, message)
        }
        _ => {
            let message = format!("the answer does not fit: {error}; ask for less, or {RAISE}");
            Reply::Refused { kind: RefusalKind::TooLarge, message }
        }
    }
}

const RAISE: &str = "raise `clients.frame_bytes_max`";

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
    /// When it is told that its judgment is not stored yet.
    answer_by: Instant,
}
