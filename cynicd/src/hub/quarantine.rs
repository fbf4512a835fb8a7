//! Items that killed each worker that tried them: kept, answered at once when they come again, and shown,
//! judged again or replayed when somebody asks.

use std::time::Instant;

use bytes::Bytes;
use cynic_proto::error::{Death, ErrorKind, TaskError};
use cynic_proto::event::Happening;
use cynic_proto::handshake::BUILD;
use cynic_proto::ids::TaskId;
use cynic_proto::item::Hint;
use cynic_proto::message::{Ack, Lane, RefusalKind, Reply, ToClient};
use cynic_proto::quarantine::{QuarantineRecord, QuarantineRequest, Replayed};
use cynic_proto::worker::Outcome;

use super::answers::Held;
use super::clients::refused;
use super::replay::{Replay, Replaying};
use super::{Hub, Input, Waiter};
use crate::pool::{ClientId, Event, Submission};
use crate::quarantine::{Files, Index, Limits, key_of};
use crate::recorder::unix_us;

/// The hub's side of the quarantine.
#[derive(Debug)]
pub struct Quarantine {
    index: Index,
    /// Unset where its directory cannot be used: then it lasts as long as the daemon.
    files: Option<Files>,
    /// Tasks whose item was just given up, to be told to the pool once it is through with that.
    condemned: Vec<TaskId>,
    /// Replays so far; names their workers.
    pub(super) replays: u32,
    /// One at a time: a replay has a worker beside the pool's.
    pub(super) replaying: Option<Replaying>,
}

/// What is to be done with a record's item once it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Judge it as if it had just come.
    Retry,
    /// Run it alone and tell what happens.
    Replay,
}

/// Something about a record that took its time.
#[derive(Debug)]
pub enum QuarantineNews {
    /// The item that was to be read.
    Item(TaskId, Purpose, std::io::Result<Bytes>),
    /// A replay is over.
    Replayed(Box<Replayed>),
}

impl Quarantine {
    /// A quarantine with the records that are on disk.
    pub fn new(limits: Limits, files: Option<Files>, records: Vec<QuarantineRecord>) -> Quarantine {
        let mut quarantine = Quarantine {
            index: Index::new(limits),
            files,
            condemned: Vec::new(),
            replays: 0,
            replaying: None,
        };
        let gone = records.into_iter().flat_map(|record| quarantine.index.insert(record));
        let gone = gone.collect();
        quarantine.remove_files(gone);
        quarantine
    }

    pub(super) fn stats(&self) -> cynic_proto::stats::QuarantineStats {
        self.index.stats()
    }

    /// Waits for the last writes.
    pub(super) async fn close(&mut self) {
        if let Some(files) = self.files.take() {
            files.close().await;
        }
    }

    /// Has removed what could not be removed at once.
    pub(super) fn keep_up(&mut self) {
        if let Some(files) = &mut self.files {
            files.remove_again();
        }
    }

    fn remove_files(&mut self, tasks: Vec<TaskId>) {
        if let Some(files) = &mut self.files {
            files.remove(tasks);
        }
    }

    /// A task was answered: if its item was in quarantine under it and is proved to kill no more, the record goes.
    pub(super) fn release(&mut self, task: TaskId, hint: &Hint, item: &Bytes, outcome: &Outcome) {
        let cleared = |record: &QuarantineRecord| {
            clears(outcome, &record.deaths) && record.key == key_of(hint, item)
        };
        if self.index.get(task).is_some_and(cleared) {
            self.forget(task);
        }
    }

    fn forget(&mut self, task: TaskId) -> Option<QuarantineRecord> {
        let record = self.index.remove(task)?;
        self.remove_files(vec![task]);
        Some(record)
    }
}

impl Hub {
    /// The pool gave a task up.
    pub(super) fn quarantine(&mut self, task: TaskId, deaths: Vec<Death>) {
        let Some(held) = self.tasks.get(&task) else { return };
        let last = deaths.last().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(%task, uid = held.uid, bytes = held.payload.len(), last, "quarantined");
        let uid = held.uid;
        let key = key_of(&held.hint, &held.payload);
        let quarantine = &mut self.quarantine;
        let kept = quarantine.index.limits().keep_content && quarantine.files.is_some();
        let record = QuarantineRecord {
            task,
            key,
            at_us: unix_us(),
            bytes: held.payload.len() as u64,
            hint: held.hint.clone(),
            attempts: u8::try_from(deaths.len()).unwrap_or(u8::MAX),
            deaths,
            client_uid: held.uid,
            judge_version: self.judge_version.unwrap_or_default(),
            build: BUILD.to_owned(),
            kept,
            hits: 0,
        };
        let gone = quarantine.index.insert(record.clone());
        quarantine.remove_files(gone);
        if let Some(files) =
            quarantine.files.as_mut().filter(|_| quarantine.index.get(task).is_some())
        {
            files.write(record, kept.then(|| held.payload.clone()));
        }
        let same = |(other, held): (&TaskId, &Held)| {
            let alike = *other != task
                && held.payload.len() == self.tasks[&task].payload.len()
                && key_of(&held.hint, &held.payload) == key;
            alike.then_some(*other)
        };
        let same: Vec<TaskId> = self.tasks.iter().filter_map(same).collect();
        self.quarantine.condemned.extend(same);
        self.publish(Happening::TaskQuarantined { task, uid });
    }

    /// Ends the tasks whose item was just given up. Not while the pool's effects are being performed.
    pub(super) fn condemn(&mut self) {
        while let Some(task) = self.quarantine.condemned.pop() {
            self.feed(Event::Condemn(task));
        }
    }

    /// The answer to an item that is known to kill workers. Another user than the one whose it was is told neither that
    /// one's task nor what the workers said.
    pub(super) fn known_poison(
        &mut self,
        uid: u32,
        hint: &Hint,
        item: &Bytes,
    ) -> Option<TaskError> {
        let quarantine = &mut self.quarantine;
        if !quarantine.index.may_know(item.len()) {
            return None;
        }
        let old = quarantine.index.expire(unix_us());
        quarantine.remove_files(old);
        let version = (self.judge_version?, BUILD);
        let record = quarantine.index.hit(key_of(hint, item), version)?;
        let kind = ErrorKind::Quarantined;
        let (task, mut deaths, killed) = (record.task, record.deaths.clone(), record.deaths.len());
        let message = if record.client_uid == uid {
            format!(
                "the same item killed {killed} workers as task {task} and is not tried again; see `cynicctl \
                 quarantine show {task}`"
            )
        } else {
            for death in &mut deaths {
                death.stderr_tail.clear();
                death.task = None;
            }
            format!("the same item killed {killed} workers and is not tried again")
        };
        Some(TaskError { kind, message, deaths, retry_after_ms: None })
    }

    pub(super) fn quarantine_request(
        &mut self,
        client: ClientId,
        seq: u64,
        request: QuarantineRequest,
        item: &Bytes,
    ) {
        let old = self.quarantine.index.expire(unix_us());
        self.quarantine.remove_files(old);
        let reply = match request {
            QuarantineRequest::List => Reply::Quarantine(self.quarantine.index.list()),
            QuarantineRequest::Show(task) => match self.quarantine.index.get(task) {
                Some(record) => Reply::Quarantine(vec![record.clone()]),
                None => unknown(),
            },
            QuarantineRequest::Drop(task) => {
                self.quarantine.forget(task).map_or_else(unknown, |_| Reply::Done)
            }
            QuarantineRequest::Clear => {
                let all = self.quarantine.index.clear();
                self.quarantine.remove_files(all);
                Reply::Done
            }
            QuarantineRequest::Retry(task) => {
                return self.fetch(client, seq, task, Purpose::Retry, item);
            }
            QuarantineRequest::Replay(task) => {
                return self.fetch(client, seq, task, Purpose::Replay, item);
            }
        };
        self.reply(client, &ToClient { seq, reply }, &Bytes::new());
    }

    /// Gets a record's item: from the request, if it is there, else from the disk.
    fn fetch(&mut self, client: ClientId, seq: u64, task: TaskId, purpose: Purpose, item: &Bytes) {
        let quarantine = &self.quarantine;
        let reply = match quarantine.index.get(task) {
            None => unknown(),
            Some(record) if !item.is_empty() => {
                if key_of(&record.hint, item) == record.key {
                    return self.fetched(client, seq, task, purpose, item.clone());
                }
                let message = "this is not the item of that record: its bytes differ";
                refused(RefusalKind::Malformed, message)
            }
            Some(QuarantineRecord { kept: true, .. }) if let Some(files) = &quarantine.files => {
                let (inputs, read) = (self.inputs.clone(), files.read(task));
                tokio::task::spawn_local(async move {
                    let news = QuarantineNews::Item(task, purpose, read.await);
                    // The hub is gone only when the daemon ends.
                    let _ = inputs.send(Input::Quarantine(client, seq, news)).await;
                });
                return;
            }
            Some(_) => refused(
                RefusalKind::Unavailable,
                "only the item's hash is kept (set `keep_content` under [quarantine] to keep items): give \
                 the item with --item FILE",
            ),
        };
        self.reply(client, &ToClient { seq, reply }, &Bytes::new());
    }

    pub(super) fn quarantine_news(&mut self, client: ClientId, seq: u64, news: QuarantineNews) {
        let reply = match news {
            QuarantineNews::Item(task, purpose, Ok(item)) => {
                return self.fetched(client, seq, task, purpose, item);
            }
            QuarantineNews::Item(_, _, Err(error)) => {
                let message = format!("the item cannot be read: {error}; give it with --item FILE");
                Reply::Refused { kind: RefusalKind::Unavailable, message }
            }
            QuarantineNews::Replayed(replayed) => {
                self.quarantine.replaying = None;
                Reply::Replayed(replayed)
            }
        };
        self.reply(client, &ToClient { seq, reply }, &Bytes::new());
    }

    fn fetched(&mut self, client: ClientId, seq: u64, task: TaskId, purpose: Purpose, item: Bytes) {
        let reply = match (self.quarantine.index.get(task), purpose) {
            (None, _) => unknown(),
            // It was read from the disk for somebody who has gone meanwhile.
            (Some(_), Purpose::Replay) if !self.clients.contains_key(&client) => return,
            (Some(record), Purpose::Replay) if self.quarantine.replaying.is_none() => {
                let replay = Replay::new(record, item, self.pool.config(), &self.options.launch);
                return self.replay(client, seq, replay);
            }
            (Some(_), Purpose::Replay) => {
                refused(RefusalKind::Unavailable, "another replay is running; try again after it")
            }
            (Some(_), Purpose::Retry) if self.tasks.contains_key(&task) => {
                refused(RefusalKind::Unavailable, "it is being judged already")
            }
            (Some(_), Purpose::Retry) => return self.retry(client, seq, task, item),
        };
        self.reply(client, &ToClient { seq, reply }, &Bytes::new());
    }

    /// Judges a record's item as if it had just come. The task is still its user's, whoever has it tried again; who does is
    /// charged for it. The record stays until that has come to something.
    fn retry(&mut self, client: ClientId, seq: u64, task: TaskId, payload: Bytes) {
        let Some(entry) = self.clients.get_mut(&client) else { return };
        let Some(record) = self.quarantine.index.get(task) else { return };
        entry.expects(task);
        let bytes = payload.len() + record.hint.bytes();
        let (lane, deadline, parked) = (Lane::Interactive, None, false);
        let uid = entry.peer.uid;
        let answer_by = Instant::now() + self.pool.config().total_deadline;
        let waiters = vec![Waiter { client, seq, ack: Ack::Judged, answer_by }];
        let held = Held {
            payload,
            hint: record.hint.clone(),
            waiters,
            uid: record.client_uid,
            canary: false,
            traced: self.traced(task),
            item_id: None,
        };
        self.tasks.insert(task, held);
        self.feed(Event::Submit(Submission { task, client, uid, lane, bytes, deadline, parked }));
    }
}

/// Whether an answer shows that an item kills no more: what it killed workers in was done this time, and not left out because
/// a breaker is open or time ran out.
fn clears(outcome: &Outcome, deaths: &[Death]) -> bool {
    match outcome {
        Outcome::Judged(judgment) => {
            let blamed = deaths.iter().filter_map(|death| death.dimension);
            let blamed = blamed.fold(0, |bits, dimension| bits | 1 << dimension as u32);
            !judgment.partial && judgment.fallbacks & blamed == 0
        }
        Outcome::Rejected { .. } => true,
        Outcome::Echoed => false,
    }
}

fn unknown() -> Reply {
    refused(RefusalKind::NotFound, "no such record; see `cynicctl quarantine list`")
}
