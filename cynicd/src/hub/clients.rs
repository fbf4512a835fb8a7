//! What clients ask, and what becomes of a client that goes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cynic_proto::access::Role;
use cynic_proto::canary;
use cynic_proto::error::{ErrorKind, TaskError};
use cynic_proto::ids::TaskId;
use cynic_proto::item::{Form, Hint};
use cynic_proto::message::{Ack, Judge, Pong, RefusalKind, Reply, Request, ToClient, ToDaemon};

use super::answers::Held;
use super::operations::{Asker, ENDING};
use super::records::Said;
use super::{Hub, Waiter};
use crate::gateway::{ClientNews, Peer};
use crate::outbox::Outbox;
use crate::pool::{ClientId, Event, Submission};

/// How long clients get to read their last answers when the daemon ends.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Who may wait for one task at once, a connection counted for each time that it asked: a client that retries is there
/// twice or thrice. All are answered in one go.
const WAITERS_MAX: usize = 16;

/// When to ask again for a task that so many wait for: most are answered by then.
const WAITERS_RETRY_AFTER: Duration = Duration::from_millis(250);

/// A connected client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) peer: Peer,
    pub(super) outbox: Outbox,
    /// How many wordings of explanations it knows by number.
    pub(super) wordings: u16,
    /// Tasks whose answer it waits for, and how many times it asked.
    tasks: HashMap<TaskId, usize>,
    /// Its questions about the store that are not answered yet.
    pub(super) questions: u32,
}

impl Client {
    /// It waits for one answer more.
    pub(super) fn expects(&mut self, task: TaskId) {
        *self.tasks.entry(task).or_default() += 1;
    }

    /// It was answered once.
    pub(super) fn answered(&mut self, task: TaskId) {
        if let Entry::Occupied(mut left) = self.tasks.entry(task) {
            *left.get_mut() -= 1;
            if *left.get() == 0 {
                left.remove();
            }
        }
    }
}

impl Hub {
    pub(super) fn client_news(&mut self, id: ClientId, news: ClientNews) {
        match news {
            ClientNews::Connected { peer, outbox, wordings } => {
                let tasks = HashMap::new();
                self.clients.insert(id, Client { peer, outbox, wordings, tasks, questions: 0 });
            }
            ClientNews::Request(message, payload) => self.request(id, *message, payload),
            ClientNews::Gone => self.client_gone(id),
        }
    }

    /// Work whose client has gone is cancelled, unless somebody else waits for it too.
    fn client_gone(&mut self, id: ClientId) {
        let Some(client) = self.clients.remove(&id) else { return };
        self.bus.forget(id);
        if let Some(replaying) = &mut self.quarantine.replaying {
            replaying.client_gone(id);
        }
        for task in client.tasks.into_keys() {
            self.forget_waiters(task, id);
        }
        self.end_if_drained();
    }

    /// A client waits for a task no more; a task that nobody waits for is cancelled. Returns what it waited with.
    fn forget_waiters(&mut self, task: TaskId, client: ClientId) -> Vec<Waiter> {
        let mut gone = self.recording.forget_waiters(task, client);
        let Some(held) = self.tasks.get_mut(&task) else { return gone };
        gone.extend(held.waiters.extract_if(.., |waiter| waiter.client == client));
        if held.waiters.is_empty() {
            self.feed(Event::Cancel(task));
        }
        gone
    }

    fn cancel(&mut self, task: TaskId, client: ClientId) -> Reply {
        let waiters = self.forget_waiters(task, client);
        if waiters.is_empty() {
            return refused(RefusalKind::NotFound, "this connection waits for no such task");
        }
        for waiter in waiters {
            let reply = Reply::failed(task, ErrorKind::Cancelled, "cancelled by the client");
            self.answer(task, waiter, reply, &Bytes::new());
        }
        self.end_if_drained();
        Reply::Done
    }

    fn request(&mut self, client: ClientId, message: ToDaemon, payload: Bytes) {
        let seq = message.seq;
        let records = match self.permit(client, &message.request) {
            Ok(records) => records,
            Err(reply) => return self.reply(client, &ToClient { seq, reply }, &Bytes::new()),
        };
        if let Err(message) = message.request.check() {
            let reply = Reply::Refused { kind: RefusalKind::Malformed, message };
            return self.reply(client, &ToClient { seq, reply }, &Bytes::new());
        }
        let reply = match message.request {
            Request::Judge(judge) => return self.judge(client, seq, judge, payload, false),
            Request::Canary(judge) if payload.is_empty() => {
                let judge = Judge { hint: Hint { form: Form::Json, ..Hint::default() }, ..judge };
                let item = Bytes::from_static(canary::BAD.as_bytes());
                return self.judge(client, seq, judge, item, true);
            }
            Request::Canary(judge) => {
                let of_admin = |client: &Client| client.peer.roles.has(Role::Admin);
                if self.clients.get(&client).is_some_and(of_admin) {
                    return self.judge(client, seq, judge, payload, true);
                }
                let message = "a canary of one's own leaves no record, and takes role `admin`";
                refused(RefusalKind::NotPermitted, message)
            }
            Request::Doctor => return self.doctor(Asker { client, seq }),
            Request::Cancel(task) => self.cancel(task, client),
            Request::Ping => Reply::Pong(self.pong()),
            Request::Stats => Reply::Stats(Box::new(self.stats())),
            Request::History(query) => return self.history(client, seq, *query, records),
            Request::Show(task) => return self.show(client, seq, task, records),
            Request::Feedback { task, truth, note } => {
                return self.feedback(client, seq, Said { task, truth, note }, records);
            }
            Request::Calibrate(request) => return self.calibrate(client, seq, request),
            Request::Backup(path) => return self.backup(client, seq, path),
            Request::Events(query) => return self.events(client, seq, &query),
            Request::Quarantine(request) => {
                return self.quarantine_request(client, seq, request, &payload);
            }
            Request::DeadLetters(request) => return self.dead_letters(client, seq, request),
            Request::Reload => return self.reload(Some(Asker { client, seq })),
            Request::Scale(size) => return self.scale(Asker { client, seq }, size),
            Request::RestartWorkers => return self.restart_workers(Asker { client, seq }),
            Request::KillWorker(slot) => self.kill_in_slot(slot),
            Request::LogLevel(filter) => self.log_level(&filter),
            Request::Drain => {
                self.feed(Event::Drain);
                Reply::Done
            }
            // Its socket is closed, and with work let in it would sit out the drain's whole budget.
            Request::Resume if self.ending => refused(RefusalKind::Unavailable, ENDING),
            Request::Resume => {
                self.feed(Event::Resume);
                Reply::Done
            }
        };
        self.reply(client, &ToClient { seq, reply }, &Bytes::new());
    }

    pub(super) fn pong(&self) -> Pong {
        let ready = self.pool.is_ready();
        let degraded = self.degraded();
        let status = match &degraded[..] {
            _ if !ready => format!("not ready: {}", self.unready_reason()),
            [] => "ready".to_owned(),
            problems => format!("ready, degraded: {}", problems.join("; ")),
        };
        Pong { ready, degraded: !degraded.is_empty(), status }
    }

    fn judge(&mut self, client: ClientId, seq: u64, judge: Judge, payload: Bytes, canary: bool) {
        let task = judge.task;
        let Some(entry) = self.clients.get_mut(&client) else { return };
        // What is not stored is not waited for.
        let ack = if canary { Ack::Judged } else { judge.ack };
        let deadline = judge.deadline_ms.map(|ms| Duration::from_millis(ms.into()));
        let answer_by = Instant::now() + deadline.unwrap_or(self.pool.config().total_deadline);
        let (peer, waiter) = (entry.peer, Waiter { client, seq, ack, answer_by });
        // A task that is known already is not judged twice; who asks again waits with the others. A canary is judged to
        // be forgotten, and has no answer for them.
        let known = self.tasks.get(&task).map(|held| (held.uid, held.canary));
        let known = known.or_else(|| self.recording.owner(task).map(|uid| (uid, false)));
        if known.is_some_and(|known| known != (peer.uid, canary)) {
            let reply = conflict(task);
            return self.reply(client, &ToClient { seq, reply }, &Bytes::new());
        }
        entry.expects(task);
        let waiting = self.tasks.get(&task).map_or(0, |held| held.waiters.len());
        if waiting.max(self.recording.waiters(task)) >= WAITERS_MAX {
            return self.answer(task, waiter, crowded(task), &Bytes::new());
        }
        if let Some(held) = self.tasks.get_mut(&task) {
            return held.waiters.push(waiter);
        }
        if self.recording.join(task, waiter) {
            return;
        }
        if let Some((reply, explanation)) = self.recording.recent(task, ack) {
            return self.answer(task, waiter, reply, &explanation);
        }
        if let Some(error) = self.known_poison(peer.uid, &judge.hint, &payload) {
            let reply = Reply::Failed { task, error: Box::new(error) };
            return self.answer(task, waiter, reply, &Bytes::new());
        }
        // It may have been stored, also before this daemon started: only the store knows.
        let parked = judge.retry || known.is_some();
        let submission = Submission {
            task,
            client,
            uid: peer.uid,
            lane: judge.lane,
            bytes: payload.len() + judge.hint.bytes(),
            deadline,
            parked,
        };
        let waiters = vec![waiter];
        let traced = if canary { None } else { self.traced(task) };
        let (uid, hint) = (peer.uid, judge.hint);
        let held = Held { payload, hint, waiters, uid, canary, traced, item_id: None };
        self.tasks.insert(task, held);
        self.feed(Event::Submit(submission));
        if parked && self.tasks.contains_key(&task) {
            self.recording.look_up(task);
        }
    }

    /// Sends the last answers before the daemon ends.
    pub(super) async fn farewell(&mut self) {
        let drained = async {
            for client in self.clients.values() {
                client.outbox.drained().await;
            }
        };
        // Who does not read by then has had its chance.
        drop(tokio::time::timeout(FAREWELL_TIMEOUT, drained).await);
    }
}

/// Task ids are their users' own: nobody may learn, or choose, what another one is told.
pub(super) fn conflict(task: TaskId) -> Reply {
    let message =
        "this task id is that of another user's task, or of a canary: ask under an id of your own";
    Reply::failed(task, ErrorKind::Conflict, message)
}

/// So many wait for the task that one more would only make its answer dearer.
fn crowded(task: TaskId) -> Reply {
    let message = format!(
        "{WAITERS_MAX} requests wait for this task already: wait for their answers, or retry later"
    );
    let retry_after_ms = Some(WAITERS_RETRY_AFTER.as_millis() as u32);
    let error = TaskError { kind: ErrorKind::Busy, message, deaths: Vec::new(), retry_after_ms };
    Reply::Failed { task, error: Box::new(error) }
}

pub(super) fn refused(kind: RefusalKind, message: &str) -> Reply {
    Reply::Refused { kind, message: message.to_owned() }
}
