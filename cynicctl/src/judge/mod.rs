//! `cynicctl judge`: inputs become tasks, a bounded window of which is in flight; answers are shown in
//! input order.
//!
//! Owns the window and what ends a run. Reading has its own thread, the connection its own task.

mod failure;
mod plan;
mod printer;
mod progress;
mod retry;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use cynic_proto::client::{self, Client, ClientError, Options};
use cynic_proto::ids::TaskId;
use cynic_proto::item::Hint;
use cynic_proto::message::{Judge, Lane};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, JoinHandle};

pub use plan::Plan;

use crate::exit::{Exit, UsageError};
use crate::input::{self, Event, Item};
use crate::view::judged::{Outcome, Row};
use printer::Printer;

/// Tasks asked for and not yet shown: enough to keep every worker of a large host busy while one slow item
/// holds back the row that is next.
const WINDOW_TASKS_MAX: usize = 256;

/// Bytes of items read and not yet answered: two of the largest items, or the whole window of usual ones.
const WINDOW_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What the smallest item counts for in the window, so that its bookkeeping is bounded too.
const ITEM_BYTES_MIN: usize = 1024;

/// Events that the reader may be ahead: a few, since the window is what keeps the workers busy.
const EVENTS_MAX: usize = 32;

/// Judges what the plan says.
///
/// # Errors
/// No daemon, a lost connection, an output that cannot be written. Items that fail are reported and
/// counted, not errors.
pub async fn run(socket: PathBuf, plan: Plan) -> anyhow::Result<Exit> {
    let client = Client::connect(Options::new(socket)).await?;
    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    let (sources, reading) = (plan.sources.clone(), plan.reading);
    let room = Arc::new(Semaphore::new(WINDOW_BYTES_MAX));
    let runtime = Handle::current();
    // Detached on purpose: it may sit in a read of standard input that never returns.
    std::thread::Builder::new()
        .name("reader".to_owned())
        .spawn(move || {
            // The end of reading and a window that is gone are the same to the reader.
            let _ = input::read_all(&sources, reading, &mut |event| {
                forward(event, &runtime, &room, &events)
            });
        })
        .context("could not start the thread that reads the input")?;
    Run { client, printer: Printer::new(&plan), plan, window: VecDeque::new() }.drive(inbox).await
}

/// Hands an event over once there is room for its bytes.
fn forward(
    event: Event,
    runtime: &Handle,
    room: &Arc<Semaphore>,
    events: &mpsc::Sender<Read>,
) -> ControlFlow<()> {
    let bytes = match &event {
        Event::Item(item) => item.bytes.len().clamp(ITEM_BYTES_MIN, WINDOW_BYTES_MAX),
        _ => ITEM_BYTES_MIN,
    };
    let Ok(permit) = runtime.block_on(Arc::clone(room).acquire_many_owned(bytes as u32)) else {
        return ControlFlow::Break(());
    };
    match events.blocking_send(Read { event, permit }) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

/// An event and the room that it takes until its row is shown.
struct Read {
    event: Event,
    permit: OwnedSemaphorePermit,
}

/// A row to be, in input order.
enum Place {
    Asked { label: String, item: Bytes, answer: Answer },
    Known(Row),
    Note(String),
}

enum Answer {
    Awaited(JoinHandle<Result<Outcome, ClientError>>),
    Here(Result<Result<Outcome, ClientError>, JoinError>),
}

struct Waiting {
    place: Place,
    /// Gives the room back when the row is shown.
    _permit: OwnedSemaphorePermit,
}

struct Run {
    client: Client,
    plan: Plan,
    printer: Printer,
    window: VecDeque<Waiting>,
}

impl Run {
    async fn drive(mut self, mut inbox: mpsc::Receiver<Read>) -> anyhow::Result<Exit> {
        let interrupt = tokio::signal::ctrl_c();
        tokio::pin!(interrupt);
        let mut reading = true;
        loop {
            self.show_ready()?;
            if !reading && self.window.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                _ = &mut interrupt => return self.interrupted(),
                read = inbox.recv(), if reading && self.window.len() < WINDOW_TASKS_MAX => {
                    match read {
                        Some(read) => self.take(read),
                        None => reading = false,
                    }
                }
                () = front_ready(&mut self.window) => {}
            }
        }
        self.printer.finish()?;
        Ok(self.exit())
    }

    fn take(&mut self, Read { event, permit }: Read) {
        let place = match event {
            Event::Item(item) => self.ask(item),
            Event::Problem(problem) => Place::Known(Row {
                label: problem.label.clone(),
                outcome: Outcome::Failed(failure::of_problem(problem)),
            }),
            Event::Note(note) => Place::Note(note),
            Event::Total(bytes) => return self.printer.expect(bytes),
        };
        self.window.push_back(Waiting { place, _permit: permit });
    }

    fn ask(&self, item: Item) -> Place {
        let request = Judge {
            task: TaskId::new(),
            retry: false,
            lane: self.plan.lane.unwrap_or(if item.bulk { Lane::Bulk } else { Lane::Interactive }),
            ack: self.plan.ack,
            deadline_ms: self.plan.deadline.map(plan::millis),
            hint: Hint {
                form: item.form,
                item_type: self.plan.item_type.clone(),
                name: item.name,
                profile: self.plan.profile.clone(),
            },
        };
        let (client, bytes) = (self.client.clone(), item.bytes.clone());
        let patience = self.plan.patience();
        let answer = tokio::spawn(async move {
            Ok(match retry::judge(&client, request, bytes, patience).await? {
                client::Outcome::Judged(answer) => Outcome::Judged(answer),
                client::Outcome::Echoed(task) => Outcome::Echoed(task),
                client::Outcome::Failed { task, error } => {
                    Outcome::Failed(failure::of_task(task, &error))
                }
            })
        });
        Place::Asked { label: item.label, item: item.bytes, answer: Answer::Awaited(answer) }
    }

    /// Shows all rows at the front that are ready, then lets them be seen.
    fn show_ready(&mut self) -> anyhow::Result<()> {
        while self.window.front().is_some_and(|waiting| waiting.place.is_ready()) {
            let Some(Waiting { place, .. }) = self.window.pop_front() else { break };
            match place {
                Place::Known(row) => self.printer.row(&row, 0)?,
                Place::Note(note) => self.printer.note(&note)?,
                Place::Asked { label, item, answer: Answer::Here(outcome) } => {
                    let outcome = outcome.context("a request ended without an answer")?;
                    let row = Row { label, outcome: self.settle(outcome, &item)? };
                    self.printer.row(&row, item.len())?;
                }
                Place::Asked { answer: Answer::Awaited(_), .. } => {}
            }
        }
        self.printer.flush()
    }

    /// Tells what fails one item from what fails the run.
    fn settle(
        &mut self,
        outcome: Result<Outcome, ClientError>,
        item: &[u8],
    ) -> anyhow::Result<Outcome> {
        let mut failure = match outcome {
            Ok(Outcome::Failed(failure)) => failure,
            Ok(outcome) => return Ok(outcome),
            Err(ClientError::Frame(error)) => failure::of_frame(&error),
            Err(error) => {
                self.printer.finish()?;
                return Err(error.into());
            }
        };
        if self.plan.profile.is_some() && failure.cause.as_deref() == Some("unknown_profile") {
            // It is the same for all that follow: the command line is wrong, not the item.
            self.printer.finish()?;
            return Err(UsageError(failure.message).into());
        }
        failure.item_id = failure::item_id(item);
        Ok(Outcome::Failed(failure))
    }

    fn interrupted(mut self) -> anyhow::Result<Exit> {
        self.printer.interrupted(self.window.len())?;
        Ok(Exit::Interrupted)
    }

    fn exit(&self) -> Exit {
        let tally = self.printer.tally();
        match self.plan.fail_on {
            Some(verdict) if tally.at_or_below(verdict) > 0 => Exit::FailOn,
            _ if tally.failed > 0 => Exit::Failed,
            _ => Exit::Success,
        }
    }
}

impl Place {
    fn is_ready(&self) -> bool {
        !matches!(self, Place::Asked { answer: Answer::Awaited(_), .. })
    }
}

/// Waits until the row at the front can be shown. Cancel safe.
async fn front_ready(window: &mut VecDeque<Waiting>) {
    match window.front_mut() {
        Some(Waiting { place: Place::Asked { answer, .. }, .. }) => {
            if let Answer::Awaited(handle) = answer {
                *answer = Answer::Here(handle.await);
            }
        }
        Some(_) => {}
        None => std::future::pending().await,
    }
}
