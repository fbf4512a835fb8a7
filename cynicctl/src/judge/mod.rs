//! `cynicctl judge`: inputs become tasks, answers are shown in input order unless asked otherwise.
//!
//! Owns what ends a run. Never holds more than the window's bounds.

pub(crate) mod failure;
mod plan;
mod printer;
mod progress;
mod resume;

use std::path::PathBuf;
use std::time::Duration;

use cynic_proto::client::{self, ANSWER_GRACE, Client, ClientError, Options};
use cynic_proto::ids::TaskId;
use cynic_proto::item::Hint;
use cynic_proto::message::{Judge, Lane};

pub use plan::Plan;

use crate::exit::{Exit, UsageError};
use crate::flight::{Feed, Room, Window, feed};
use crate::input::{self, Event, Item};
use crate::interrupt::Interrupt;
use crate::view::judged::{Outcome, Row};
use printer::Printer;

/// Judges what the plan says.
///
/// # Errors
/// No daemon, a lost connection, an output that cannot be written. Items that fail are reported and
/// counted, not errors.
pub async fn run(socket: PathBuf, plan: Plan) -> anyhow::Result<Exit> {
    let mut options = Options::new(socket);
    if let Some(deadline) = plan.deadline {
        // Who gives up on an item waits no longer for the daemon itself.
        options.greeting_timeout = options.greeting_timeout.min(deadline + ANSWER_GRACE);
    }
    let client = Client::connect(options).await?;
    let (sources, reading) = (plan.sources.clone(), plan.reading);
    let events = feed(move |hand_over| {
        // The end of the input and the end of the interest in it are the same here.
        let _ = input::read_all(&sources, reading, &mut |event| {
            let bytes = match &event {
                Event::Item(item) => item.bytes.len(),
                _ => 0,
            };
            hand_over(event, bytes)
        });
    })?;
    let window = if plan.unordered { Window::unordered() } else { Window::new() };
    Run { client, printer: Printer::new(&plan), plan, window, stopped: false }.drive(events).await
}

/// What stands at one place of the output.
enum Shown {
    Row {
        row: Row,
        bytes: usize,
    },
    Note(String),
    /// The daemon could not be asked: nothing that follows can be shown.
    Broken(ClientError),
}

/// After this long without any answer it is said what is waited for.
const SLOW: Duration = Duration::from_secs(3);
const WAITING: &str = "no answer yet: the daemon is busy, draining or starting (`cynicctl ping` says which); still waiting";

struct Run {
    client: Client,
    plan: Plan,
    printer: Printer,
    window: Window<(Shown, Room)>,
    /// The first failure was shown, and the plan is strict.
    stopped: bool,
}

impl Run {
    async fn drive(mut self, mut events: Feed<Event>) -> anyhow::Result<Exit> {
        let mut interrupt = Interrupt::listen()?;
        let slow = tokio::time::sleep(SLOW);
        tokio::pin!(slow);
        let (mut reading, mut told) = (true, false);
        loop {
            while let Some(answer) = self.window.take() {
                self.show(answer?.0)?;
                if self.stopped {
                    return self.stop();
                }
            }
            self.printer.flush()?;
            if !reading && self.window.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = interrupt.heard() => return self.interrupted(),
                () = self.window.ready(), if !self.window.is_empty() => {}
                () = &mut slow, if !told && !self.window.is_empty() => {
                    told = true;
                    if self.printer.tally().is_empty() {
                        self.printer.note(WAITING)?;
                    }
                }
                event = events.recv(), if reading && self.window.has_room() => match event {
                    Some((event, room)) => self.take(event, room),
                    None => reading = false,
                },
            }
        }
        self.printer.finish()?;
        if self.printer.tally().is_empty() {
            // A gate must not let through what it has not seen.
            anyhow::bail!("there are no items in the input: nothing was judged");
        }
        Ok(self.exit())
    }

    fn take(&mut self, event: Event, room: Room) {
        let shown = match event {
            Event::Item(item) => return self.ask(item, room),
            Event::Total(bytes) => return self.printer.expect(bytes),
            Event::Note(note) => Shown::Note(note),
            Event::Problem(problem) => {
                let label = problem.label.clone();
                let outcome = Outcome::Failed(failure::of_problem(problem));
                Shown::Row { row: Row { label, outcome }, bytes: 0 }
            }
        };
        self.window.known((shown, room));
    }

    fn ask(&mut self, item: Item, room: Room) {
        let request = self.request(&item);
        let (client, patience) = (self.client.clone(), self.plan.patience());
        self.window.ask(async move {
            let Item { label, bytes: item, .. } = item;
            let answer = client.judge_within(request, item.clone(), patience).await;
            let shown = match outcome(answer, &item) {
                Ok(outcome) => Shown::Row { row: Row { label, outcome }, bytes: item.len() },
                Err(error) => Shown::Broken(error),
            };
            (shown, room)
        });
    }

    fn request(&self, item: &Item) -> Judge {
        let usual = if item.bulk { Lane::Bulk } else { Lane::Interactive };
        Judge {
            task: if self.plan.resume { resume::task(item, &self.plan) } else { TaskId::new() },
            // Only the store knows what a run before this one has done.
            retry: self.plan.resume,
            lane: self.plan.lane.unwrap_or(usual),
            ack: self.plan.ack,
            deadline_ms: self.plan.deadline.map(plan::millis),
            hint: Hint {
                form: item.form,
                item_type: self.plan.item_type.clone(),
                name: item.name.clone(),
                profile: self.plan.profile.clone(),
            },
        }
    }

    fn show(&mut self, shown: Shown) -> anyhow::Result<()> {
        match shown {
            Shown::Note(note) => self.printer.note(&note),
            Shown::Broken(error) if self.printer.tally().is_empty() => {
                self.printer.finish()?;
                Err(error.into())
            }
            Shown::Broken(error) => {
                // Some were judged: the rest need not be lost work.
                self.printer.interrupted(self.window.len() + 1, self.plan.resume)?;
                Err(error.into())
            }
            Shown::Row { row: Row { outcome: Outcome::Failed(failure), .. }, .. }
                if self.plan.profile.is_some()
                    && failure.cause.as_deref() == Some(failure::UNKNOWN_PROFILE) =>
            {
                // It is the same for all that follow: the command line is wrong, not the item.
                self.printer.finish()?;
                Err(UsageError(failure.message).into())
            }
            Shown::Row { row, bytes } => {
                self.stopped = self.plan.strict && matches!(row.outcome, Outcome::Failed(_));
                self.printer.row(&row, bytes)
            }
        }
    }

    /// Ends the run at the row that was shown last.
    fn stop(mut self) -> anyhow::Result<Exit> {
        self.printer.finish()?;
        anstream::eprintln!("stopped at the first failure (--strict)");
        Ok(self.exit())
    }

    fn interrupted(mut self) -> anyhow::Result<Exit> {
        self.printer.interrupted(self.window.len(), self.plan.resume)?;
        Ok(Exit::Interrupted)
    }

    fn exit(&self) -> Exit {
        let tally = self.printer.tally();
        match self.plan.fail_on {
            Some(verdict) if tally.at_or_below(verdict) > 0 => Exit::FailOn,
            _ if tally.failed > 0 && tally.unavailable == tally.items() => Exit::Unavailable,
            _ if tally.failed > 0 => Exit::Failed,
            _ => Exit::Success,
        }
    }
}

/// Tells what fails one item from what fails the run. That an item fits its frame was seen to when it was read: an error
/// of frames is the daemon's.
fn outcome(
    answer: Result<client::Outcome, ClientError>,
    item: &[u8],
) -> Result<Outcome, ClientError> {
    let mut failure = match answer {
        Ok(client::Outcome::Judged(answer)) => return Ok(Outcome::Judged(answer)),
        Ok(client::Outcome::Echoed(task)) => return Ok(Outcome::Echoed(task)),
        Ok(client::Outcome::Failed { task, error }) => failure::of_task(task, &error),
        Err(error) => return Err(error),
    };
    failure.item_id = failure::item_id(item);
    Ok(Outcome::Failed(failure))
}
