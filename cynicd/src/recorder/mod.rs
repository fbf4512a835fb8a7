//! The recorder: storage that loses nothing.
//!
//! It runs on a thread and a runtime of its own, so that no database ever delays the dispatcher. Judging never
//! waits for it: [`RecorderHandle::submit`] takes an entry or turns it away at once, and what was taken is
//! written, spooled, or reported as lost, never silently dropped.

#![expect(
    clippy::cast_possible_wrap,
    reason = "databases count in i64: rows, bytes and times here stay far below, and bit sets keep their bits"
)]

mod ask;
mod backup;
mod care;
mod columns;
mod config;
mod data_dir;
mod driver;
mod entry;
mod error;
mod feedback;
mod gate;
mod letters;
mod postgres;
mod query;
mod read;
mod record;
mod schema;
mod spool;
mod sqlite;
mod status;
mod store;
mod writer;
mod zones;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc as sync_mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use cynic_proto::calibration::{Calibration, CalibrationReport, CalibrationRequest};
use cynic_proto::dead_letters::{DeadLettersReply, DeadLettersRequest};
use cynic_proto::history::{
    BackupReport, Feedback, FeedbackRow, HistoryPage, HistoryQuery, ShowRow,
};
use cynic_proto::ids::TaskId;
use tokio::sync::{mpsc, oneshot, watch};

pub use config::{Database, RecorderConfig, Retention, SPOOL_BYTES_MAX};
pub use data_dir::DataDir;
pub use driver::CloseReport;
pub use entry::{
    Entry, EntryKey, FailureEntry, Fate, JudgmentEntry, NoticeEntry, OnSettled, SafePlace,
    StoredJudgment,
};
pub use error::RecorderError;
pub use status::RecorderStatus;

use care::Care;
use driver::{Command, Driver, Parts};
use gate::Gate;
use postgres::{FIRST_ANSWER_TIMEOUT, PostgresStore};
use spool::{LeftBehind, Spool};
use sqlite::SqliteStore;
use store::{Store, Stores};
use writer::{SpillConfig, Writer, WriterConfig};

/// The budget for closing when every handle was dropped and nobody said.
const CLOSE_BUDGET_DEFAULT: Duration = Duration::from_secs(5);

/// How long a question to the store may take: a search through everything on a slow server.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(30);

/// How long it may take to look whether a task has its judgment: somebody waits for being judged.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a backup waits for what was submitted before.
const BACKUP_FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a backup may take: the largest store on the slowest disk.
const BACKUP_TIMEOUT: Duration = Duration::from_hours(12);

/// Starts recorders.
#[derive(Debug)]
pub struct Recorder;

/// Speaks to a recorder. Cheap to clone, usable from any thread and runtime.
#[derive(Debug, Clone)]
pub struct RecorderHandle {
    commands: mpsc::UnboundedSender<Command>,
    gate: Arc<Gate>,
    status: watch::Receiver<RecorderStatus>,
    calibration: watch::Receiver<Arc<Calibration>>,
}

/// The thread of a recorder; ends after [`RecorderHandle::close`].
#[derive(Debug)]
pub struct RecorderThread {
    thread: thread::JoinHandle<CloseReport>,
}

impl RecorderThread {
    /// Waits for the thread to end.
    ///
    /// # Errors
    /// The thread panicked.
    pub fn join(self) -> thread::Result<CloseReport> {
        self.thread.join()
    }
}

/// An entry that was not taken, and whoever was to be told of its fate.
pub struct Rejected {
    /// The entry.
    pub entry: Entry,
    /// Not called.
    pub on_settled: Option<OnSettled>,
}

impl std::fmt::Debug for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rejected").field("task", &self.entry.task()).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Takes hold of the data directory, opens the store, and starts the recorder's thread. Blocks until the
    /// store is open; a PostgreSQL server that does not answer is waited for a few seconds.
    ///
    /// # Errors
    /// The data directory is in use, cannot be written or is damaged; the schema is newer than this build.
    pub fn start(
        config: RecorderConfig,
    ) -> Result<(RecorderHandle, RecorderThread), RecorderError> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let gate = Arc::new(Gate::new(config.buffered_rows_max, config.buffered_bytes_max));
        let (status_sender, status) = watch::channel(RecorderStatus::default());
        let (opened_sender, opened) = sync_mpsc::channel();
        let (in_use, calibration) = watch::channel(Arc::default());
        let thread_gate = gate.clone();
        let body = move || {
            // Somebody waits for the hub and for workers, hardly anybody for the store. Threads made here inherit it; where it
            // is not permitted the store competes with them.
            let _ = rustix::process::nice(NICE);
            let fail = |e| {
                // The other end waits for exactly this.
                let _ = opened_sender.send(Err(e));
                CloseReport::default()
            };
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(e) => return fail(RecorderError::Thread(e)),
            };
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async {
                let (dir, opened) = match open(&config, in_use).await {
                    Ok(opened) => opened,
                    Err(e) => return fail(e),
                };
                let parts = parts(&config, opened, thread_gate, receiver, status_sender);
                let mut driver = Driver::new(parts);
                driver.begin();
                let _ = opened_sender.send(Ok(()));
                let report = driver.run().await;
                if let Err(error) = dir.release() {
                    tracing::warn!(%error, "could not leave the mark of a clean stop");
                }
                report
            })
        };
        let thread = thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(body)
            .map_err(RecorderError::Thread)?;
        opened.recv().map_err(|_| RecorderError::Closed)??;
        Ok((RecorderHandle { commands, gate, status, calibration }, RecorderThread { thread }))
    }
}

/// How much the store's threads yield to the others while all processors are busy.
const NICE: i32 = 5;

/// The stores, what the spool was left with, and why the database could not be reached if it could not.
type Opened = (Stores, LeftBehind, Option<String>);

async fn open(
    config: &RecorderConfig,
    calibration: watch::Sender<Arc<Calibration>>,
) -> Result<(DataDir, Opened), RecorderError> {
    let dir = DataDir::hold(&config.data_dir)?;
    let (mut left, mut unreached) = (LeftBehind::default(), None);
    let stores = match &config.database {
        Database::Sqlite => {
            warn_of_spool(&dir.file("spool.db"), config.spool_bytes_max).await;
            let store = SqliteStore::open(&dir.file("cynic.db"), dir.was_left_unclean()).await?;
            let stores = Stores {
                store: Store::Sqlite(store),
                spool: None,
                batch_bytes_max: config.batch_bytes_max,
                page_bytes_max: config.page_bytes_max,
                calibration,
            };
            stores.refresh_calibration().await?;
            stores
        }
        Database::Postgres(url) => {
            let store = PostgresStore::new(url, config.lanes)?;
            let (spool, left_behind) =
                Spool::open(&dir.file("spool.db"), config.spool_bytes_max, dir.was_left_unclean())
                    .await?;
            left = left_behind;
            unreached = store.try_first().await?;
            let stores = Stores {
                store: Store::Postgres(store),
                spool: Some(spool),
                batch_bytes_max: config.batch_bytes_max,
                page_bytes_max: config.page_bytes_max,
                calibration,
            };
            stores.recall_calibration().await;
            if unreached.is_none() {
                let refreshed = within(FIRST_ANSWER_TIMEOUT, stores.refresh_calibration()).await;
                unreached = refreshed.err().map(|error| store::describe(&error));
            }
            stores
        }
    };
    Ok((dir, (stores, left, unreached)))
}

/// Judgments that wait for PostgreSQL are not for the embedded store: they would be missing where they are looked for.
async fn warn_of_spool(path: &Path, bytes_max: u64) {
    if !path.exists() {
        return;
    }
    match Spool::open(path, bytes_max, false).await {
        Ok((_, LeftBehind { rows: 0, .. })) => {}
        Ok((spool, LeftBehind { rows, .. })) => {
            tracing::warn!(
                rows,
                path = %path.display(),
                "judgments and failures wait in a spool for PostgreSQL, and this daemon has the embedded store: they are stored \
                 when it is started with `database` as before"
            );
            spool.close().await;
        }
        Err(error) => tracing::warn!(
            path = %path.display(),
            error = store::describe(&error),
            "there is a spool for PostgreSQL that cannot be read"
        ),
    }
}

fn parts(
    config: &RecorderConfig,
    (stores, left, unreached): Opened,
    gate: Arc<Gate>,
    commands: mpsc::UnboundedReceiver<Command>,
    status: watch::Sender<RecorderStatus>,
) -> Parts {
    let spill = stores.spool.is_some().then_some(SpillConfig {
        after: config.spill_after,
        // At half of what memory may hold: the other half takes what arrives while the spool is written.
        rows: config.buffered_rows_max / 2,
        bytes: config.buffered_bytes_max / 2,
        left_behind: left.rows,
    });
    let writer = Writer::new(WriterConfig {
        flush_rows: config.flush_rows.max(1),
        flush_interval: config.flush_interval,
        batch_rows_max: config.batch_rows_max.max(1),
        batch_bytes_max: config.batch_bytes_max.max(1),
        lanes: if spill.is_some() { config.lanes.max(1) } else { 1 },
        spill,
        seed: uuid::Uuid::now_v7().as_u64_pair().1,
    });
    Parts {
        writer,
        stores,
        gate,
        commands,
        status,
        commit_budget: config.commit_budget,
        first_seq: left.last_seq + 1,
        care: Care::new(config.retention, config.care_timeout),
        unreached,
    }
}

/// Waits no longer than that for a database. Safe for single statements outside a transaction, which is all that
/// questions are made of.
async fn within<T>(
    limit: Duration,
    question: impl Future<Output = Result<T, RecorderError>>,
) -> Result<T, RecorderError> {
    let answer = tokio::time::timeout(limit, question).await;
    answer.unwrap_or(Err(RecorderError::NoAnswer(limit)))
}

/// Now, in microseconds since the Unix epoch.
pub(crate) fn unix_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

impl RecorderHandle {
    /// Hands over an entry; never blocks. `on_settled` is called exactly once with the entry's fate, on the
    /// recorder's thread, and makes the entry urgent: it is written as soon as a batch can start.
    ///
    /// # Errors
    /// Memory is full or the recorder is closed; both come back untouched.
    pub fn submit(&self, entry: Entry, on_settled: Option<OnSettled>) -> Result<(), Box<Rejected>> {
        if !self.gate.enter(entry.bytes()) {
            return Err(Box::new(Rejected { entry, on_settled }));
        }
        self.send(entry, on_settled)
    }

    /// Hands over an entry whether there is room or not: for the last ones, that wait for it in memory when all ends.
    ///
    /// # Errors
    /// The recorder is closed; both come back untouched.
    pub fn submit_anyway(
        &self,
        entry: Entry,
        on_settled: Option<OnSettled>,
    ) -> Result<(), Box<Rejected>> {
        self.gate.force(entry.bytes());
        self.send(entry, on_settled)
    }

    fn send(&self, entry: Entry, on_settled: Option<OnSettled>) -> Result<(), Box<Rejected>> {
        let bytes = entry.bytes();
        self.commands.send(Command::Submit(entry, on_settled)).map_err(|unsent| {
            self.gate.leave(1, bytes);
            let Command::Submit(entry, on_settled) = unsent.0 else {
                unreachable!("what was not sent comes back as it was")
            };
            Box::new(Rejected { entry, on_settled })
        })
    }

    /// Whether more entries come than are stored: half of the memory for them is taken.
    pub fn is_filling(&self) -> bool {
        self.gate.is_filling()
    }

    /// Waits until entries are taken again. Cancel-safe.
    pub async fn room(&self) {
        self.gate.room().await;
    }

    /// The figures and the health, as of now.
    pub fn status(&self) -> RecorderStatus {
        let mut status = self.status.borrow().clone();
        status.stats.buffered = self.gate.rows() as u64;
        status.stats.oldest_age_ms =
            status.oldest.map_or(0, |oldest| oldest.elapsed().as_millis() as u64);
        status
    }

    /// Tells of each change of the figures and the health.
    pub fn watch(&self) -> watch::Receiver<RecorderStatus> {
        self.status.clone()
    }

    /// Writes everything submitted before without waiting for more; returns when it is safe.
    ///
    /// # Errors
    /// The recorder is closed.
    pub async fn flush(&self) -> Result<(), RecorderError> {
        let (done, flushed) = oneshot::channel();
        self.command(Command::Flush(done))?;
        flushed.await.map_err(|_| RecorderError::Closed)
    }

    /// Takes no more, writes everything, and ends the thread; gives up after the budget. What a database does
    /// not take in half of it goes to the spool, where there is one.
    ///
    /// # Errors
    /// The recorder is closed already.
    pub async fn close(&self, budget: Duration) -> Result<CloseReport, RecorderError> {
        let (report, closed) = oneshot::channel();
        self.command(Command::Close(budget, report))?;
        closed.await.map_err(|_| RecorderError::Closed)
    }

    /// The judgment that a task has already, wherever it has got to: a repeated task is answered with it.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn lookup(&self, task: TaskId) -> Result<Option<StoredJudgment>, RecorderError> {
        let (reply, found) = oneshot::channel();
        self.command(Command::Lookup(task, reply))?;
        found.await.map_err(|_| RecorderError::Closed)?
    }

    /// One page of history, of a query that makes sense ([`HistoryQuery::check`]).
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, RecorderError> {
        self.ask(QUESTION_TIMEOUT, async move |stores| stores.history(query).await).await
    }

    /// Everything stored of a task or about to be; empty when nothing is.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn show(&self, task: TaskId) -> Result<ShowRow, RecorderError> {
        let mut show =
            self.ask(QUESTION_TIMEOUT, async move |stores| stores.show(task).await).await?;
        if show.judgment.is_none()
            && let Some(waiting) = self.lookup(task).await?
        {
            show.details = ask::details(&waiting.explanation);
            show.judgment = Some(Box::new(waiting.row));
        }
        Ok(show)
    }

    /// Stores what turned out to be true of a judgment, wherever that has got to. Said again, it replaces what
    /// was said before.
    ///
    /// # Errors
    /// No judgment of the task is known; the note is too long; the database does not answer.
    pub async fn feedback(&self, feedback: Feedback) -> Result<FeedbackRow, RecorderError> {
        feedback::check(&feedback)?;
        let task = feedback.task;
        let Some(judged) = self.lookup(task).await? else {
            return Err(RecorderError::NotFound(format!("no judgment of task {task} is known")));
        };
        self.ask(QUESTION_TIMEOUT, async move |stores| {
            stores.give_feedback(feedback, &judged.row).await
        })
        .await
    }

    /// The calibration in use: what is judged from now on is to be given its verdict.
    pub fn calibration(&self) -> Arc<Calibration> {
        self.calibration.borrow().clone()
    }

    /// Fits a calibration to the feedback on a judge (`None` is the one that judged last), puts one to use, or says what
    /// is in use.
    ///
    /// # Errors
    /// There is no such version; the database does not answer.
    pub async fn calibrate(
        &self,
        request: CalibrationRequest,
        judge_version: Option<u32>,
    ) -> Result<CalibrationReport, RecorderError> {
        let asked = async move |stores: Rc<Stores>| stores.calibrate(request, judge_version).await;
        self.ask(QUESTION_TIMEOUT, asked).await
    }

    /// Looks at the entries that the database refused, writes them again, or drops them.
    ///
    /// # Errors
    /// There is no such letter; the database does not answer.
    pub async fn dead_letters(
        &self,
        request: DeadLettersRequest,
    ) -> Result<DeadLettersReply, RecorderError> {
        self.ask(QUESTION_TIMEOUT, async move |stores| stores.dead_letters(request).await).await
    }

    /// Copies the embedded store into a new file while it is written to. What was handed over before is in it.
    ///
    /// # Errors
    /// The path is not absolute, the file exists or cannot be written; the store is PostgreSQL, which brings
    /// its own tools.
    pub async fn backup(&self, path: PathBuf) -> Result<BackupReport, RecorderError> {
        // While the database takes nothing, a copy of what it has is worth all the more.
        let _ = tokio::time::timeout(BACKUP_FLUSH_TIMEOUT, self.flush()).await;
        self.ask(BACKUP_TIMEOUT, async move |stores| stores.backup(&path).await).await
    }

    fn command(&self, command: Command) -> Result<(), RecorderError> {
        self.commands.send(command).map_err(|_| RecorderError::Closed)
    }

    /// Has something done with the stores on the recorder's thread.
    async fn ask<T: Send + 'static>(
        &self,
        limit: Duration,
        question: impl AsyncFnOnce(Rc<Stores>) -> Result<T, RecorderError> + Send + 'static,
    ) -> Result<T, RecorderError> {
        let (sender, answer) = oneshot::channel();
        self.command(Command::Ask(Box::new(move |stores| {
            Box::pin(async move {
                // Whoever asked may have gone.
                let _ = sender.send(within(limit, question(stores)).await);
            })
        })))?;
        answer.await.map_err(|_| RecorderError::Closed)?
    }
}
