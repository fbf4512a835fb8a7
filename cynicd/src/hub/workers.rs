//! Workers: starting them, ending them, and taking in what they say.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cynic_proto::event::Happening;
use cynic_proto::ids::WorkerId;
use cynic_proto::sandbox::{Layer, LayerStatus, SandboxReport};
use cynic_proto::stats::WorkerStats;
use cynic_proto::worker::{FromWorker, ToWorker};

use super::Hub;
use super::answers::Answer;
use crate::link::{self, Hold, News};
use crate::pool::Event;

/// Shortest time between two looks at one worker: a look takes some ten microseconds, and in this time no worker
/// can touch enough memory to get from the mark above which it is replaced to its limit.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(2);

/// A worker as the hub knows it.
#[derive(Debug, Default)]
pub(super) struct Worker {
    /// Set once the process runs.
    pub(super) hold: Option<Rc<Hold>>,
    sandbox: String,
    /// When its use of the machine was last looked at.
    looked_at: Option<Instant>,
    /// To be killed as soon as it runs.
    doomed: bool,
}

impl Hub {
    pub(super) fn spawn(&mut self, worker: WorkerId) {
        self.workers.insert(worker, Worker::default());
        link::start(self.options.launch.clone(), worker, self.inputs.clone());
    }

    pub(super) fn worker_news(&mut self, worker: WorkerId, news: News) {
        match news {
            News::Started(hold) => {
                let Some(entry) = self.workers.get_mut(&worker) else { return };
                if entry.doomed {
                    hold.kill();
                }
                let pid = hold.pid;
                entry.hold = Some(hold);
                self.publish(Happening::WorkerSpawned { worker, pid });
            }
            News::Ready(report, judge_version) => {
                self.judge_version = Some(judge_version);
                let sandbox = describe(*report);
                if let Some(entry) = self.workers.get_mut(&worker) {
                    entry.sandbox.clone_from(&sandbox);
                }
                tracing::debug!(%worker, "worker ready");
                self.publish(Happening::WorkerReady { worker, sandbox });
                self.feed(Event::Ready(worker));
            }
            News::Message(message, payload) => self.message(worker, *message, payload),
            News::Violation(what) => self.feed(Event::Violation { worker, what }),
            News::Died(death) => {
                self.workers.remove(&worker);
                self.feed(Event::Died(death));
            }
        }
    }

    fn message(&mut self, worker: WorkerId, message: FromWorker, explanation: Bytes) {
        match message {
            FromWorker::Ready { .. } => {
                let what = "READY for the second time".to_owned();
                self.feed(Event::Violation { worker, what });
            }
            FromWorker::Done { nonce, task, outcome, spent } => {
                self.worker_done(Answer { worker, nonce, task, outcome, spent, explanation });
            }
            FromWorker::Pong(nonce) => self.feed(Event::Pong { worker, nonce }),
        }
    }

    pub(super) fn ping(&mut self, worker: WorkerId, nonce: u64) {
        let max = self.options.launch.frame_bytes_max;
        let Some(hold) = self.workers.get(&worker).and_then(|w| w.hold.as_ref()) else { return };
        match hold.outbox.push(&ToWorker::Ping(nonce), &Bytes::new(), max) {
            Ok(()) => hold.outbox.flush(),
            Err(error) => tracing::error!(%worker, %error, "could not ping a worker"),
        }
    }

    pub(super) fn stop_worker(&mut self, worker: WorkerId) {
        if let Some(hold) = self.workers.get(&worker).and_then(|w| w.hold.as_ref()) {
            hold.stop();
        }
    }

    pub(super) fn kill_worker(&mut self, worker: WorkerId) {
        let Some(entry) = self.workers.get_mut(&worker) else { return };
        match &entry.hold {
            Some(hold) => hold.kill(),
            None => entry.doomed = true,
        }
    }

    pub(super) fn look_at_workers(&mut self) {
        let workers: Vec<WorkerId> = self.workers.keys().copied().collect();
        for worker in workers {
            self.look_at_worker(worker);
        }
    }

    /// Looks at what a worker uses, unless that was done just now.
    pub(super) fn look_at_worker(&mut self, worker: WorkerId) {
        let now = Instant::now();
        let Some(entry) = self.workers.get_mut(&worker) else { return };
        if entry.looked_at.is_some_and(|at| now.duration_since(at) < LOOK_INTERVAL_MIN) {
            return;
        }
        entry.looked_at = Some(now);
        let Some(usage) = entry.hold.as_ref().and_then(|hold| hold.usage()) else { return };
        self.feed(Event::Usage { worker, memory_bytes: usage.resident_bytes, cpu: usage.cpu });
    }

    /// The pool's figures of each worker, with what only the hub knows.
    pub(super) fn worker_stats(&self) -> Vec<WorkerStats> {
        let mut workers = self.pool.workers();
        for stats in &mut workers {
            let id = WorkerId { slot: stats.slot, generation: stats.generation };
            let Some(entry) = self.workers.get(&id) else { continue };
            stats.sandbox.clone_from(&entry.sandbox);
            let Some(hold) = &entry.hold else { continue };
            stats.pid = hold.pid;
            if stats.state == "busy" {
                stats.doing = doing(hold);
            }
        }
        workers
    }
}

fn doing(hold: &Hold) -> String {
    let Some(progress) = hold.progress() else { return String::new() };
    let position = progress.position;
    match position.dimension {
        Some(dimension) => format!("{} {dimension}", position.stage),
        None => position.stage.to_string(),
    }
}

/// The sandbox in a few words: all of it, or what is not whole.
fn describe(report: SandboxReport) -> String {
    let lacking = |layer: &Layer| report.layer(*layer) != LayerStatus::Enforced;
    let lacking: Vec<String> = Layer::ALL
        .into_iter()
        .filter(lacking)
        .map(|layer| format!("{} {}", layer.name(), report.layer(layer).name()))
        .collect();
    if lacking.is_empty() { "enforced".to_owned() } else { lacking.join(", ") }
}
