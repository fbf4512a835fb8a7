//! Workers: starting them, ending them, and taking in what they say.

use std::rc::Rc;

use bytes::Bytes;
use cynic_proto::ids::WorkerId;
use cynic_proto::sandbox::{Layer, LayerStatus, SandboxReport};
use cynic_proto::stats::WorkerStats;
use cynic_proto::worker::{FromWorker, ToWorker};

use super::Hub;
use super::answers::Answer;
use crate::link::{self, Hold, News};
use crate::pool::Event;

/// A worker as the hub knows it.
#[derive(Debug, Default)]
pub(super) struct Worker {
    /// Set once the process runs.
    pub(super) hold: Option<Rc<Hold>>,
    sandbox: String,
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
                entry.hold = Some(hold);
            }
            News::Ready(report) => {
                if let Some(entry) = self.workers.get_mut(&worker) {
                    entry.sandbox = describe(*report);
                }
                tracing::debug!(%worker, "worker ready");
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

    fn message(&mut self, worker: WorkerId, message: FromWorker, details: Bytes) {
        match message {
            FromWorker::Ready => {
                let what = "READY for the second time".to_owned();
                self.feed(Event::Violation { worker, what });
            }
            FromWorker::Done { nonce, task, outcome, stages_us } => {
                self.worker_done(Answer { worker, nonce, task, outcome, stages_us, details });
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

    pub(super) fn look_at_memory(&mut self) {
        let look = |(worker, entry): (&WorkerId, &Worker)| {
            Some((*worker, entry.hold.as_ref()?.memory_bytes()?))
        };
        let memory: Vec<(WorkerId, u64)> = self.workers.iter().filter_map(look).collect();
        for (worker, bytes) in memory {
            self.feed(Event::Memory { worker, bytes });
        }
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
