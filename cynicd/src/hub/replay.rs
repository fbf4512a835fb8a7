//! One item alone in a fresh worker beside the pool, to see what happens.
//!
//! Speaks to the worker's link as the hub does. Never touches the pool, the store or the record.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cynic_proto::error::{Death, DeathCause};
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::item::Hint;
use cynic_proto::limits::LEASE_HEAD_BYTES_MAX;
use cynic_proto::quarantine::{QuarantineRecord, ReplayOutcome, Replayed};
use cynic_proto::worker::{FromWorker, Lease, LeaseItem, Outcome, ToWorker};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

use super::answers::check;
use super::quarantine::QuarantineNews;
use super::{Hub, Input};
use crate::link::{self, Hold, Launch, News};
use crate::pool::{self, ClientId};

/// Messages of the one worker that may wait; it is heard at once.
const NEWS_MAX: usize = 16;

/// How long a worker that was killed may take to die before the replay goes on without its last words.
const BURIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// What is run, and how long it may take.
#[derive(Debug)]
pub(super) struct Replay {
    task: TaskId,
    hint: Hint,
    item: Bytes,
    soft_budget: Duration,
    hard_deadline: Duration,
    start_timeout: Duration,
    launch: Launch,
}

/// A replay under way.
#[derive(Debug)]
pub(super) struct Replaying {
    client: ClientId,
    /// Dropped when nobody waits for it any more.
    wanted: Option<oneshot::Sender<()>>,
}

impl Replaying {
    /// Ends it if that was its client: its worker may be about to spin until the hard deadline, and no other replay
    /// can begin until then.
    pub(super) fn client_gone(&mut self, client: ClientId) {
        if self.client == client {
            self.wanted = None;
        }
    }
}

impl Hub {
    pub(super) fn replay(&mut self, client: ClientId, seq: u64, replay: Replay) {
        let (wanted, unwanted) = oneshot::channel();
        self.quarantine.replaying = Some(Replaying { client, wanted: Some(wanted) });
        self.quarantine.replays = self.quarantine.replays.wrapping_add(1);
        let worker = WorkerId { slot: WorkerId::REPLAY_SLOT, generation: self.quarantine.replays };
        let inputs = self.inputs.clone();
        tracing::info!(task = %replay.task, "replaying");
        tokio::task::spawn_local(async move {
            let news = QuarantineNews::Replayed(Box::new(replay.run(worker, unwanted).await));
            // The hub is gone only when the daemon ends.
            let _ = inputs.send(Input::Quarantine(client, seq, news)).await;
        });
    }
}

/// What the worker has done so far.
#[derive(Debug, Default)]
struct Progress {
    hold: Option<Rc<Hold>>,
    leased: Option<Instant>,
    running: Duration,
    /// Its answer, which counts even if it dies right after.
    answer: Option<(ReplayOutcome, [u32; 4])>,
    /// Why it was killed.
    killed: Option<DeathCause>,
}

impl Replay {
    pub(super) fn new(
        record: &QuarantineRecord,
        item: Bytes,
        config: &pool::Config,
        launch: &Launch,
    ) -> Replay {
        let extra = config.time_for(item.len());
        Replay {
            task: record.task,
            hint: record.hint.clone(),
            item,
            soft_budget: config.soft_budget + extra,
            hard_deadline: config.hard_deadline + extra,
            start_timeout: config.start_timeout,
            launch: launch.clone(),
        }
    }

    /// Runs to its end, or until nobody wants it any more; in either case until its worker is dead.
    async fn run(self, worker: WorkerId, mut unwanted: oneshot::Receiver<()>) -> Replayed {
        let (hub, mut news) = mpsc::channel(NEWS_MAX);
        link::start(self.launch.clone(), worker, hub);
        let mut progress = Progress::default();
        let mut deadline = Instant::now() + self.start_timeout;
        let death = loop {
            let heard = tokio::select! {
                _ = &mut unwanted, if progress.killed.is_none() => {
                    tracing::info!(task = %self.task, "the replay is ended: its client has gone");
                    progress.kill(DeathCause::KilledByOperator);
                    deadline = Instant::now() + BURIAL_TIMEOUT;
                    continue;
                }
                heard = timeout_at(deadline.into(), news.recv()) => heard,
            };
            match heard {
                Ok(Some(Input::Worker(_, News::Died(death)))) => break Some(death),
                Ok(Some(Input::Worker(_, News::Ready(..)))) => {
                    self.lease(&mut progress);
                    deadline = Instant::now() + self.hard_deadline;
                }
                Ok(Some(Input::Worker(_, news))) => self.heard(news, &mut progress),
                Ok(_) => break None,
                Err(_) if progress.killed.is_some() => break None,
                Err(_) => {
                    let started = progress.leased.is_some();
                    let cause =
                        if started { DeathCause::Deadline } else { DeathCause::StartTimeout };
                    progress.kill(cause);
                    deadline = Instant::now() + BURIAL_TIMEOUT;
                }
            }
        };
        progress.told(self.task, worker, death)
    }

    /// A nonce need not be random here: there is one lease.
    fn lease(&self, progress: &mut Progress) {
        let Some(hold) = &progress.hold else { return };
        let item = LeaseItem {
            task: self.task,
            bytes: self.item.len() as u32,
            hint: self.hint.clone(),
            soft_budget_us: u32::try_from(self.soft_budget.as_micros()).unwrap_or(u32::MAX),
        };
        let lease = ToWorker::Lease(Lease { nonce: 1, skip: 0, items: vec![item] });
        let room = self.launch.frame_bytes_max.saturating_add(LEASE_HEAD_BYTES_MAX);
        match hold.outbox.push_pieces(&lease, std::slice::from_ref(&self.item), room) {
            Ok(()) => hold.outbox.flush(),
            Err(error) => tracing::error!(%error, "could not send a lease"),
        }
        progress.leased = Some(Instant::now());
    }

    fn heard(&self, news: News, progress: &mut Progress) {
        match news {
            News::Started(hold) => {
                // Killed before it was there.
                if progress.killed.is_some() {
                    hold.kill();
                }
                progress.hold = Some(hold);
            }
            News::Violation(what) => progress.kill(DeathCause::ProtocolViolation(what)),
            News::Message(message, explanation) => match (*message, &progress.answer) {
                (FromWorker::Done { nonce: 1, task, outcome, spent }, None)
                    if task == self.task && progress.leased.is_some() =>
                {
                    progress.answered(outcome, &explanation, spent.stages_us);
                }
                _ => {
                    let what = "an answer that fits no item in its hands".to_owned();
                    progress.kill(DeathCause::ProtocolViolation(what));
                }
            },
            News::Ready(..) | News::Died(_) => {}
        }
    }
}

impl Progress {
    fn kill(&mut self, cause: DeathCause) {
        self.killed.get_or_insert(cause);
        self.running = self.leased.map_or(Duration::ZERO, |at| at.elapsed());
        if let Some(hold) = &self.hold {
            hold.kill();
        }
    }

    fn answered(&mut self, outcome: Outcome, explanation: &[u8], stages_us: [u32; 4]) {
        let fallbacks = match check(&outcome, explanation) {
            Ok((_, fallbacks)) => fallbacks,
            Err(what) => return self.kill(DeathCause::ProtocolViolation(what)),
        };
        self.running = self.leased.map_or(Duration::ZERO, |at| at.elapsed());
        let outcome = match outcome {
            Outcome::Judged(judgment) => ReplayOutcome::Judged(judgment, fallbacks),
            Outcome::Rejected { error, .. } => ReplayOutcome::Rejected(error),
            Outcome::Echoed => {
                let what = "an echo where a judgment was asked for".to_owned();
                return self.kill(DeathCause::ProtocolViolation(what));
            }
        };
        self.answer = Some((outcome, stages_us));
        if let Some(hold) = &self.hold {
            hold.stop();
        }
    }

    fn told(self, task: TaskId, worker: WorkerId, death: Option<Box<Death>>) -> Replayed {
        let running = if self.running.is_zero() {
            self.leased.map_or(Duration::ZERO, |at| at.elapsed())
        } else {
            self.running
        };
        let running_us = running.as_micros() as u64;
        if let Some((outcome, stages_us)) = self.answer {
            return Replayed { task, outcome, running_us, stages_us };
        }
        let mut death = death.unwrap_or_else(|| {
            Box::new(Death {
                cause: DeathCause::Deadline,
                worker,
                task: Some(task),
                stage: None,
                dimension: None,
                stderr_tail: String::new(),
            })
        });
        if let Some(killed) = self.killed {
            death.be_told_why_killed(killed);
        }
        Replayed { task, outcome: ReplayOutcome::Died(death), running_us, stages_us: [0; 4] }
    }
}
