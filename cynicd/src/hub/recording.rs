//! Everything between an answer and the store: what waits for its commit, what waits for room, what was
//! answered lately.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cynic_proto::error::{Death, ErrorKind, TaskError};
use cynic_proto::explanation;
use cynic_proto::ids::TaskId;
use cynic_proto::judgment::Details;
use cynic_proto::message::{Ack, Judged, RefusalKind, Reply, ToClient};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::answers::Held;
use super::clients::{conflict, refused};
use super::{Hub, Waiter};
use crate::pool::{ClientId, Event, Room};
use crate::recorder::{
    Entry, EntryKey, FailureEntry, Fate, JudgmentEntry, NoticeEntry, OnSettled, RecorderHandle,
    StoredJudgment, unix_us,
};

/// Answers kept for a client that lost its connection before it had read them; older ones are in the store.
const RECENT_MAX: usize = 512;

/// Larger explanations are not kept for that.
const RECENT_EXPLANATION_BYTES_MAX: usize = 16 * 1024;

/// How long the store gets to take the last entries when the daemon ends.
const FLUSH_BUDGET: Duration = Duration::from_secs(10);

/// How long the store gets to say whether it has a judgment already: the judge does not wait for a store that is away.
const LOOK_UP_BUDGET: Duration = Duration::from_millis(500);

/// What the recorder's thread says.
#[derive(Debug)]
pub(super) enum Settled {
    /// An entry that somebody waits for met its fate.
    Entry(TaskId, Fate),
    /// The judgment that a task has already, if it has one.
    LookedUp(TaskId, Option<Box<StoredJudgment>>),
    /// The answer to a question about the store.
    Reply(ClientId, Box<ToClient>),
}

/// A task that ended in an error.
pub(super) struct Failed {
    pub(super) task: TaskId,
    pub(super) error: TaskError,
    /// Whose it was.
    pub(super) uid: u32,
    /// The item's own id, where it is known.
    pub(super) item_id: Option<String>,
    pub(super) attempts: u8,
}

/// Questions about the store that are worked on at once: their answers are held in memory.
const QUESTIONS_MAX: usize = 32;

/// Questions about the store that one connection may have open: more is no use to it, and would keep others waiting.
const QUESTIONS_PER_CLIENT_MAX: u32 = 16;

/// Answered judgments that are not safe yet but were asked to be.
#[derive(Debug)]
struct Storing {
    uid: u32,
    judged: Judged,
    explanation: Bytes,
    waiters: Vec<Waiter>,
}

/// An answer given lately.
#[derive(Debug)]
struct Recent {
    uid: u32,
    judged: Judged,
    explanation: Bytes,
}

/// The hub's side of the recorder.
#[derive(Debug)]
pub(super) struct Recording {
    recorder: RecorderHandle,
    /// Unbounded, because the recorder's thread must not wait for the hub; holds at most one message for each
    /// entry that the recorder has taken, which it bounds.
    settle: mpsc::UnboundedSender<Settled>,
    storing: HashMap<TaskId, Storing>,
    /// When who waits for that is told that it is not done yet.
    due: BTreeSet<(Instant, TaskId)>,
    /// Entries that the recorder had no room for. Bounded by the tasks that were admitted before it said so.
    backlog: VecDeque<Pending>,
    /// One for each question that the store works on.
    turns: Rc<Semaphore>,
    /// What the pool knows of the room.
    told: Room,
    recent: HashMap<TaskId, Recent>,
    recent_order: VecDeque<TaskId>,
}

struct Pending {
    entry: Entry,
    on_settled: Option<OnSettled>,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("task", &self.entry.task()).finish_non_exhaustive()
    }
}

impl Recording {
    pub(super) fn new(recorder: RecorderHandle) -> (Recording, mpsc::UnboundedReceiver<Settled>) {
        let (settle, settlements) = mpsc::unbounded_channel();
        let recording = Recording {
            recorder,
            settle,
            storing: HashMap::new(),
            due: BTreeSet::new(),
            backlog: VecDeque::new(),
            turns: Rc::new(Semaphore::new(QUESTIONS_MAX)),
            told: Room::Ample,
            recent: HashMap::new(),
            recent_order: VecDeque::new(),
        };
        (recording, settlements)
    }

    /// Entries that wait for room in the recorder.
    pub(super) fn waiting(&self) -> usize {
        self.backlog.len()
    }

    pub(super) fn is_full(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// One more waits for a judgment that is being stored; false if it is not.
    pub(super) fn join(&mut self, task: TaskId, waiter: Waiter) -> bool {
        let Some(storing) = self.storing.get_mut(&task) else { return false };
        storing.waiters.push(waiter);
        self.due.insert((waiter.answer_by, task));
        true
    }

    /// When the next one is told that its judgment is not stored yet.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Whether somebody waits for a judgment to be stored.
    fn is_waited_for(&self) -> bool {
        self.storing.values().any(|storing| !storing.waiters.is_empty())
    }

    /// How many wait for a judgment to be stored.
    pub(super) fn waiters(&self, task: TaskId) -> usize {
        self.storing.get(&task).map_or(0, |storing| storing.waiters.len())
    }

    /// A client waits no more until a judgment is stored. Returns what it waited with.
    pub(super) fn forget_waiters(&mut self, task: TaskId, client: ClientId) -> Vec<Waiter> {
        let Some(storing) = self.storing.get_mut(&task) else { return Vec::new() };
        let gone: Vec<Waiter> =
            storing.waiters.extract_if(.., |waiter| waiter.client == client).collect();
        for waiter in &gone {
            self.due.remove(&(waiter.answer_by, task));
        }
        // Two may wait until the same moment.
        self.due.extend(storing.waiters.iter().map(|waiter| (waiter.answer_by, task)));
        gone
    }

    /// Whose a task is that was judged lately.
    pub(super) fn owner(&self, task: TaskId) -> Option<u32> {
        let storing = self.storing.get(&task).map(|storing| storing.uid);
        storing.or_else(|| self.recent.get(&task).map(|recent| recent.uid))
    }

    /// The answer that a task got lately, if it has got as far as is asked for.
    pub(super) fn recent(&self, task: TaskId, ack: Ack) -> Option<(Reply, Bytes)> {
        let recent = self.recent.get(&task)?;
        let enough = ack == Ack::Judged || recent.judged.reached == Ack::Stored;
        let reply = || Reply::Judged(Box::new(recent.judged.clone()));
        enough.then(|| (reply(), recent.explanation.clone()))
    }

    /// The first judgment of a task is the one that counts, until it is known which one is stored.
    fn remember(&mut self, uid: u32, judged: &Judged, explanation: &Bytes) {
        if explanation.len() > RECENT_EXPLANATION_BYTES_MAX {
            return;
        }
        let recent = Recent { uid, judged: judged.clone(), explanation: explanation.clone() };
        if let Some(earlier) = self.recent.get_mut(&judged.task) {
            if judged.reached == Ack::Stored {
                *earlier = recent;
            }
            return;
        }
        if self.recent_order.len() >= RECENT_MAX
            && let Some(oldest) = self.recent_order.pop_front()
        {
            self.recent.remove(&oldest);
        }
        self.recent.insert(judged.task, recent);
        self.recent_order.push_back(judged.task);
    }

    /// What a task was answered is not so any more.
    fn forget(&mut self, task: TaskId) {
        if self.recent.remove(&task).is_some() {
            self.recent_order.retain(|other| *other != task);
        }
    }

    /// Asks the store for the judgment of a task.
    pub(super) fn look_up(&self, task: TaskId) {
        let (recorder, settle) = (self.recorder.clone(), self.settle.clone());
        tokio::task::spawn_local(async move {
            // A store that does not answer has not got it: judged again, it is stored once all the same.
            let found = timeout(LOOK_UP_BUDGET, recorder.lookup(task)).await;
            let found = found.ok().and_then(Result::ok).flatten().map(Box::new);
            drop(settle.send(Settled::LookedUp(task, found)));
        });
    }

    /// Answers a question about the store whenever the store does.
    fn ask(
        &self,
        client: ClientId,
        seq: u64,
        question: impl AsyncFnOnce(RecorderHandle) -> Reply + 'static,
    ) {
        let (recorder, settle) = (self.recorder.clone(), self.settle.clone());
        let turns = Rc::clone(&self.turns);
        tokio::task::spawn_local(async move {
            // Never closed.
            let _turn = turns.acquire().await;
            let reply = question(recorder).await;
            drop(settle.send(Settled::Reply(client, Box::new(ToClient { seq, reply }))));
        });
    }

    pub(super) fn recorder(&self) -> &RecorderHandle {
        &self.recorder
    }

    /// How much room there is for more.
    fn room(&self) -> Room {
        if self.is_full() {
            Room::None
        } else if self.recorder.is_filling() {
            Room::Scarce
        } else {
            Room::Ample
        }
    }

    /// Hands an entry over; returns whether the recorder has no room for more.
    fn submit(&mut self, pending: Pending) -> bool {
        // In order: what waits already goes first.
        if !self.backlog.is_empty() {
            self.backlog.push_back(pending);
            return true;
        }
        let Err(rejected) = self.recorder.submit(pending.entry, pending.on_settled) else {
            return false;
        };
        let (entry, on_settled) = (rejected.entry, rejected.on_settled);
        self.backlog.push_back(Pending { entry, on_settled });
        true
    }

    /// Hands over what waits for room, as nothing comes after it. The recorder goes on with it for as long as it may, and
    /// counts what is lost.
    fn hand_over(&mut self) {
        for Pending { entry, on_settled } in self.backlog.drain(..) {
            // Its thread ends before only by a panic, which is told of.
            drop(self.recorder.submit_anyway(entry, on_settled));
        }
    }
}

impl Hub {
    /// Has a judgment recorded; those who wait until it is stored are answered then.
    pub(super) fn record_judgment(
        &mut self,
        held: &Held,
        judged: Judged,
        calibration: u32,
        explanation: Bytes,
    ) {
        let content = self.options.operations.config.store_content.then(|| held.payload.to_vec());
        let waiters = held.waiters.iter().filter(|waiter| waiter.ack == Ack::Stored);
        let waiters: Vec<Waiter> = waiters.copied().collect();
        let uid = held.uid;
        let task = judged.task;
        let stored = !waiters.is_empty();
        let entry = Entry::Judgment(Box::new(JudgmentEntry {
            task,
            judged_at_us: unix_us(),
            judgment: judged.judgment.clone(),
            explanation: explanation.to_vec(),
            content,
            client_uid: uid,
            ack: if stored { Ack::Stored } else { Ack::Judged },
            worker: judged.worker,
            attempts: judged.attempts,
            timings: judged.timings,
            calibration,
        }));
        self.recording.remember(uid, &judged, &explanation);
        let on_settled = stored.then(|| {
            let due = waiters.iter().map(|waiter| (waiter.answer_by, task));
            self.recording.due.extend(due);
            self.recording.storing.insert(task, Storing { uid, judged, explanation, waiters });
            let settle = self.recording.settle.clone();
            let told = move |fate| drop(settle.send(Settled::Entry(task, fate)));
            Box::new(told) as OnSettled
        });
        self.record(entry, on_settled);
    }

    pub(super) fn record_failure(&mut self, failed: Failed) {
        let Failed { task, error, uid, item_id, attempts } = failed;
        let entry = Entry::Failure(Box::new(FailureEntry {
            key: EntryKey::new(),
            task,
            failed_at_us: unix_us(),
            kind: error.kind,
            message: error.message,
            deaths: error.deaths,
            item_id,
            client_uid: uid,
            attempts,
        }));
        self.record(entry, None);
    }

    pub(super) fn record_death(&mut self, death: &Death) {
        self.record_notice("worker.died", death.task, death.to_string());
    }

    pub(super) fn record_notice(&mut self, kind: &str, task: Option<TaskId>, message: String) {
        let entry = Entry::Notice(Box::new(NoticeEntry {
            key: EntryKey::new(),
            at_us: unix_us(),
            kind: kind.to_owned(),
            task,
            message,
        }));
        self.record(entry, None);
    }

    fn record(&mut self, entry: Entry, on_settled: Option<OnSettled>) {
        self.recording.submit(Pending { entry, on_settled });
        self.look_at_room();
    }

    /// Tells the pool when there is more room in the store, or less.
    fn look_at_room(&mut self) {
        let room = self.recording.room();
        if std::mem::replace(&mut self.recording.told, room) != room {
            self.feed(Event::StoreRoom(room));
        }
    }

    /// The recorder has room again.
    pub(super) fn record_again(&mut self) {
        let mut backlog = std::mem::take(&mut self.recording.backlog);
        while let Some(pending) = backlog.pop_front() {
            if self.recording.submit(pending) {
                self.recording.backlog.extend(backlog);
                return;
            }
        }
        self.look_at_room();
    }

    /// Has the store answer a question of a client's, who may have a few open at once.
    pub(super) fn ask_store(
        &mut self,
        client: ClientId,
        seq: u64,
        question: impl AsyncFnOnce(RecorderHandle) -> Reply + 'static,
    ) {
        let Some(entry) = self.clients.get_mut(&client) else { return };
        if entry.questions < QUESTIONS_PER_CLIENT_MAX {
            entry.questions += 1;
            return self.recording.ask(client, seq, question);
        }
        let message = format!(
            "{QUESTIONS_PER_CLIENT_MAX} questions about the store are open on this connection: wait for answers first"
        );
        let reply = refused(RefusalKind::Unavailable, &message);
        self.reply(client, &ToClient { seq, reply }, &Bytes::new());
    }

    pub(super) fn settled(&mut self, settled: Settled) {
        match settled {
            Settled::Entry(task, fate) => self.entry_settled(task, fate),
            Settled::LookedUp(task, found) => self.looked_up(task, found),
            Settled::Reply(client, message) => {
                if let Some(entry) = self.clients.get_mut(&client) {
                    entry.questions -= 1;
                }
                self.reply(client, &message, &Bytes::new());
            }
        }
        self.end_if_drained();
    }

    fn entry_settled(&mut self, task: TaskId, fate: Fate) {
        let Some(storing) = self.recording.storing.remove(&task) else { return };
        let (reply, explanation) = match fate {
            Fate::Stored { earlier: Some(earlier), .. } => answer_of(*earlier, storing.uid),
            Fate::Stored { earlier: None, .. } => {
                let judged = Judged { reached: Ack::Stored, ..storing.judged };
                (Reply::Judged(Box::new(judged)), storing.explanation)
            }
            Fate::Refused(why) => {
                let message = format!("judged, but the database refuses to store it: {why}");
                (Reply::failed(task, ErrorKind::StorageUnavailable, message), Bytes::new())
            }
            Fate::NotStored => {
                let message = "judged, but not stored before the daemon ended; retry";
                (Reply::failed(task, ErrorKind::StorageUnavailable, message), Bytes::new())
            }
        };
        // Who asks again is told no more and no less.
        match &reply {
            Reply::Judged(judged) => self.recording.remember(storing.uid, judged, &explanation),
            _ => self.recording.forget(task),
        }
        for waiter in storing.waiters {
            self.recording.due.remove(&(waiter.answer_by, task));
            self.answer(task, waiter, reply.clone(), &explanation);
        }
    }

    /// Answers those whose time is over while the store has not taken their judgment. It is still stored; who asks again
    /// waits for that.
    pub(super) fn answer_unstored(&mut self, now: Instant) {
        while let Some((at, task)) =
            self.recording.due.first().copied().filter(|(at, _)| *at <= now)
        {
            self.recording.due.remove(&(at, task));
            let Some(storing) = self.recording.storing.get_mut(&task) else { continue };
            let late: Vec<_> =
                storing.waiters.extract_if(.., |waiter| waiter.answer_by <= now).collect();
            for waiter in late {
                let message = "judged, but not stored within the deadline; the daemon goes on trying \
                               (`cynicctl ping` says what is wrong), and asking again waits for it";
                let reply = Reply::failed(task, ErrorKind::StorageUnavailable, message);
                self.answer(task, waiter, reply, &Bytes::new());
            }
        }
        self.end_if_drained();
    }

    fn looked_up(&mut self, task: TaskId, found: Option<Box<StoredJudgment>>) {
        // What is not safe yet does not do for who wants it to be: judged again, it waits for the commit, which keeps the first.
        let for_safety = self.tasks.get(&task).is_some_and(Held::is_to_be_stored);
        let enough = |found: &StoredJudgment| found.reached == Ack::Stored || !for_safety;
        let found = found.filter(|found| enough(found));
        let Some(found) = found else { return self.feed(Event::Unpark(task)) };
        // Cancelled, or out of time.
        let Some(held) = self.tasks.remove(&task) else { return };
        self.feed(Event::Known(task));
        let (reply, explanation) = answer_of(*found, held.uid);
        for waiter in held.waiters {
            self.answer(task, waiter, reply.clone(), &explanation);
        }
    }

    /// Draining ends when what was to be stored is stored.
    pub(super) fn end_if_drained(&mut self) {
        if self.drain_until.is_some()
            && self.pool.tasks_held() == 0
            && !self.recording.is_waited_for()
        {
            self.drain_until = None;
            self.feed(Event::Shutdown);
        }
    }

    /// Has the last entries written, and answers those who wait for that.
    pub(super) async fn finish_recording(&mut self) {
        let recorder = self.recording.recorder.clone();
        self.recording.hand_over();
        match timeout(FLUSH_BUDGET, recorder.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "could not flush the store"),
            Err(_) => tracing::error!("the store did not take everything in time"),
        }
        while let Ok(settled) = self.settlements.try_recv() {
            self.settled(settled);
        }
        let left: Vec<TaskId> = self.recording.storing.keys().copied().collect();
        for task in left {
            self.entry_settled(task, Fate::NotStored);
        }
        self.flush();
    }
}

/// The reply that repeats a judgment to the user whose it is.
fn answer_of(stored: StoredJudgment, uid: u32) -> (Reply, Bytes) {
    let StoredJudgment { reached, row, explanation } = stored;
    if row.client_uid != uid {
        return (conflict(row.task), Bytes::new());
    }
    let judged = Judged {
        task: row.task,
        judgment: row.judgment,
        reached,
        attempts: row.attempts,
        worker: row.worker,
        timings: row.timings,
    };
    (Reply::Judged(Box::new(judged)), readable(explanation).into())
}

/// A stored explanation, or one that says that it cannot be read: it is damaged, or of another release.
fn readable(explanation: Vec<u8>) -> Vec<u8> {
    if explanation::decode(&explanation).is_ok() {
        return explanation;
    }
    let summary =
        "(its explanation is of another release, and cannot be read by this one)".to_owned();
    explanation::encode(&Details { summary, ..Details::default() }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use cynic_proto::ids::WorkerId;
    use cynic_proto::judgment::Judgment;
    use cynic_proto::message::Timings;
    use cynic_proto::model::{AXIOMS, DIMENSIONS, Domain, Verdict};
    use sqlx::ConnectOptions as _;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;
    use crate::recorder::{Recorder, RecorderConfig};

    fn notice(n: u128) -> Pending {
        let key = EntryKey(n);
        let (kind, message) = ("worker.died".to_owned(), "a worker died".to_owned());
        let entry = NoticeEntry { key, at_us: 0, kind, task: None, message };
        Pending { entry: Entry::Notice(Box::new(entry)), on_settled: None }
    }

    #[tokio::test]
    async fn what_waits_for_room_at_the_end_is_stored_or_counted_as_lost() {
        for (budget, lost) in [(Duration::ZERO, 5), (Duration::from_mins(1), 0)] {
            let home = tempfile::tempdir().expect("a directory");
            let config =
                RecorderConfig { buffered_rows_max: 2, ..RecorderConfig::new(home.path()) };
            let (recorder, thread) = Recorder::start(config).expect("a recorder");
            let store = SqliteConnectOptions::new().filename(home.path().join("cynic.db"));
            let mut other = store.connect().await.expect("the database");
            sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("it is locked");
            let (mut recording, _) = Recording::new(recorder.clone());
            for n in 1..=5 {
                recording.submit(notice(n));
            }
            assert_eq!(recording.waiting(), 3);
            recording.hand_over();
            assert_eq!(recording.waiting(), 0);
            let unlocked = async {
                if lost == 0 {
                    sqlx::query("ROLLBACK").execute(&mut other).await.expect("it is free again");
                }
            };
            let (report, ()) = tokio::join!(recorder.close(budget), unlocked);
            assert_eq!(report.expect("it is closed").lost, lost);
            assert!(thread.join().is_ok());
        }
    }

    fn judged(task: TaskId) -> Judged {
        let judgment = Judgment {
            q_score: 55.0,
            verdict: Verdict::Wag,
            confidence: 0.5,
            domain: Domain::Prose,
            axioms: [55.0; AXIOMS],
            dimensions: [55.0; DIMENSIONS],
            fallbacks: 0,
            partial: false,
            final_score: None,
            body_bytes: 9,
            body_sha256: [0; 32],
            judge_version: 1,
        };
        Judged {
            task,
            judgment,
            reached: Ack::Judged,
            attempts: 1,
            worker: WorkerId { slot: 0, generation: 1 },
            timings: Timings::default(),
        }
    }

    /// A deadline may be weeks away: what is kept for it goes with who waits, and with nobody else.
    #[test]
    fn who_waits_no_more_leaves_nothing_behind() {
        let home = tempfile::tempdir().expect("a directory");
        let (recorder, _thread) =
            Recorder::start(RecorderConfig::new(home.path())).expect("a store");
        let (mut recording, _settlements) = Recording::new(recorder);
        let (task, now) = (TaskId::new(), Instant::now());
        let waiter = |client, seconds| Waiter {
            client: ClientId(client),
            seq: 1,
            ack: Ack::Stored,
            answer_by: now + Duration::from_secs(seconds),
        };
        let storing = Storing {
            uid: 0,
            judged: judged(task),
            explanation: Bytes::new(),
            waiters: Vec::new(),
        };
        recording.storing.insert(task, storing);
        for (client, seconds) in [(1, 5), (1, 9), (2, 9)] {
            assert!(recording.join(task, waiter(client, seconds)));
        }
        let gone: Vec<_> = recording.forget_waiters(task, ClientId(1));
        assert_eq!(gone.iter().map(|waiter| waiter.client).collect::<Vec<_>>(), [ClientId(1); 2]);
        assert_eq!(recording.waiters(task), 1);
        assert_eq!(
            recording.next_due(),
            Some(now + Duration::from_secs(9)),
            "another waits for it"
        );
        assert_eq!(recording.forget_waiters(task, ClientId(2)).len(), 1);
        assert_eq!(recording.next_due(), None);
    }
}
