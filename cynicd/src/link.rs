//! The conversation with one worker process, from its start to its end.
//!
//! Turns a process into events for the hub, in this order: started, ready, messages, died. The last comes
//! exactly once, after everything that the worker had sent. Decides nothing.

use std::ffi::OsString;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use cynic_proto::codec::{self, Frame, FrameError};
use cynic_proto::error::{Death, DeathCause};
use cynic_proto::handshake::{HandshakeError, Hello, Role};
use cynic_proto::ids::WorkerId;
use cynic_proto::limits::ANSWER_BYTES_MAX;
use cynic_proto::sandbox::{SandboxPlan, SandboxReport};
use cynic_proto::stats::IsolationStats;
use cynic_proto::stream::Stream;
use cynic_proto::trust::TrustedKey;
use cynic_proto::worker::FromWorker;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::causes::chain;
use crate::frames::{Frames, ReadError};
use crate::hub::Input;
use crate::outbox::Outbox;
use crate::process::{
    CgroupTree, Exit, Process, SpawnError, SpawnRequest, Spawner, StderrTail, Usage, WorkerCgroup,
    WorkerProcess, cause_of_death,
};

/// After its socket ended a worker has this long to be dead before it is killed, so that its own exit code
/// or signal is told and not ours.
const EXIT_GRACE: Duration = Duration::from_millis(50);

/// What happened to a worker.
#[derive(Debug)]
pub enum News {
    /// The process runs. The hub holds it from now on.
    Started(Rc<Hold>),
    /// It passed its self-test and says what confines it and which version of the rules it judges by.
    Ready(Box<SandboxReport>, u32),
    /// A message, with its payload.
    Message(Box<FromWorker>, Bytes),
    /// It broke the protocol. The hub should have it killed.
    Violation(String),
    /// It ended, or was never started.
    Died(Box<Death>),
}

/// What the hub holds of a running worker.
#[derive(Debug)]
pub struct Hold {
    /// Its process id.
    pub pid: u32,
    /// Where its leases go.
    pub outbox: Outbox,
    process: Process,
    stderr: StderrTail,
    socket: Rc<Stream>,
}

impl Hold {
    /// Ends the process at once.
    pub fn kill(&self) {
        if let Err(error) = self.process.kill() {
            tracing::error!(pid = self.pid, %error, "could not kill a worker");
        }
    }

    /// Tells the process to leave: the end of its input.
    pub fn stop(&self) {
        // Failing means that it has gone already.
        let _ = nix::sys::socket::shutdown(
            self.socket.as_fd().as_raw_fd(),
            nix::sys::socket::Shutdown::Write,
        );
    }

    /// Forgets what it wrote to its standard error, before it is given another item.
    pub fn forget_stderr(&self) {
        self.stderr.forget();
    }

    /// What it says it is doing; untrusted.
    pub fn progress(&self) -> Option<cynic_proto::progress::Progress> {
        self.process.progress()
    }

    /// What it uses of the machine, while it lives.
    pub fn usage(&self) -> Option<Usage> {
        self.process.usage()
    }
}

/// How to start workers.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Starts processes.
    pub spawner: Spawner,
    /// The worker program.
    pub program: PathBuf,
    /// Keys that its judge trusts.
    pub trusted_keys: Vec<TrustedKey>,
    /// What it is to be confined to.
    pub plan: SandboxPlan,
    /// Largest frame of a client's: a lease may be so much larger as its message is.
    pub frame_bytes_max: usize,
    /// Where the workers' control groups are, or why there are none.
    pub cgroups: Result<Rc<CgroupTree>, String>,
}

impl Launch {
    /// How workers are confined.
    pub fn isolation(&self) -> IsolationStats {
        let cgroup = match &self.cgroups {
            Ok(tree) => tree.path().display().to_string(),
            Err(why) => format!("none: {why}"),
        };
        IsolationStats { sandbox: self.plan.mode.name().to_owned(), cgroup }
    }

    /// The control group for a slot's next worker. Workers have limits of their own: one that cannot have a group
    /// goes without.
    fn cgroup(&self, worker: WorkerId) -> Option<WorkerCgroup> {
        let tree = self.cgroups.as_ref().ok()?;
        let group = tree.slot(worker.slot, self.plan.limits.memory_bytes);
        group.inspect_err(|e| tracing::error!(%worker, error = %e, "no control group")).ok()
    }
}

/// Starts a worker and tells the hub what becomes of it.
pub fn start(launch: Launch, worker: WorkerId, hub: mpsc::Sender<Input>) -> JoinHandle<()> {
    tokio::task::spawn_local(async move {
        let link = Link { worker, hub };
        let plan = serde_json::json!(launch.plan).to_string();
        let keys = launch.trusted_keys.iter().map(TrustedKey::to_string);
        let args = std::iter::once(plan).chain(keys).map(OsString::from).collect();
        let cgroup = launch.cgroup(worker);
        let kills = Kills::of(cgroup.clone());
        let request = SpawnRequest { program: launch.program.clone(), args, cgroup };
        let death = match launch.spawner.spawn(request).await {
            Ok(process) => link.live(process, &launch, &kills).await,
            Err(error) => link.stillborn(&error),
        };
        link.tell(News::Died(Box::new(death))).await;
    })
}

/// The next frame. Both signs of death end the conversation (where something else holds the socket open, only
/// the process tells), but not before everything that the worker had sent is read.
async fn next(hold: &Hold, frames: &mut Frames) -> Result<Option<Frame>, ReadError> {
    tokio::select! {
        biased;
        frame = frames.next() => frame,
        _ = hold.process.exited() => frames.drain(),
    }
}

/// Tells a worker that the kernel killed for want of memory from one that somebody else killed.
struct Kills {
    cgroup: Option<WorkerCgroup>,
    before: u64,
}

impl Kills {
    fn of(cgroup: Option<WorkerCgroup>) -> Kills {
        let before = cgroup.as_ref().map_or(0, WorkerCgroup::memory_kills);
        Kills { cgroup, before }
    }

    fn rose(&self) -> bool {
        self.cgroup.as_ref().is_some_and(|cgroup| cgroup.memory_kills() > self.before)
    }
}

struct Link {
    worker: WorkerId,
    hub: mpsc::Sender<Input>,
}

/// Why a conversation ended before the process did.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("its sandbox is weaker than required: {0}")]
    Sandbox(String),
    #[error("it spoke before it was ready")]
    NotReady,
}

impl Link {
    async fn tell(&self, news: News) {
        // The hub is gone only when the daemon ends.
        let _ = self.hub.send(Input::Worker(self.worker, news)).await;
    }

    fn stillborn(&self, error: &SpawnError) -> Death {
        self.death(DeathCause::SpawnFailed(chain(error)), String::new())
    }

    fn death(&self, cause: DeathCause, stderr_tail: String) -> Death {
        Death { cause, worker: self.worker, task: None, stage: None, dimension: None, stderr_tail }
    }

    async fn live(&self, worker: WorkerProcess, launch: &Launch, kills: &Kills) -> Death {
        let WorkerProcess { pid, socket, process, stderr } = worker;
        let socket = match socket.into_std().and_then(Stream::new) {
            Ok(socket) => Rc::new(socket),
            Err(error) => {
                let cause = DeathCause::SpawnFailed(format!("its socket is of no use: {error}"));
                return self.death(cause, String::new());
            }
        };
        let outbox = Outbox::new(Rc::clone(&socket));
        let hold = Rc::new(Hold { pid, outbox, process, stderr, socket: Rc::clone(&socket) });
        let flusher = tokio::task::spawn_local({
            let outbox = hold.outbox.clone();
            async move { outbox.run().await }
        });
        self.tell(News::Started(Rc::clone(&hold))).await;
        let mut frames = Frames::new(socket, ANSWER_BYTES_MAX);
        if let Some(what) = self.converse(&hold, &mut frames, launch).await {
            // Told first, so that the hub knows why when the kernel says that it is dead.
            self.tell(News::Violation(what)).await;
            hold.kill();
        }
        let death = self.bury(&hold, kills).await;
        hold.outbox.close();
        flusher.abort();
        death
    }

    /// Speaks with the worker until one of the two ends. Returns what it did wrong, if it did.
    async fn converse(&self, hold: &Hold, frames: &mut Frames, launch: &Launch) -> Option<String> {
        let ended = self.greet(hold, frames, launch).await;
        let truncated =
            matches!(ended, Err(LinkError::Read(ReadError::Frame(FrameError::Truncated))));
        match ended {
            Err(error) if !truncated => return Some(error.to_string()),
            _ => {}
        }
        // Its socket has ended: is it dying, or does it only pretend?
        match timeout(EXIT_GRACE, hold.process.exited()).await {
            Err(_) => Some("it closed its socket and went on".to_owned()),
            Ok(Ok(Exit::Code(0))) if truncated => Some(FrameError::Truncated.to_string()),
            Ok(_) => None,
        }
    }

    /// Greets and passes messages on until the worker closes its end or dies.
    async fn greet(
        &self,
        hold: &Hold,
        frames: &mut Frames,
        launch: &Launch,
    ) -> Result<(), LinkError> {
        let greeting = Hello::new(Role::Daemon);
        hold.outbox.push(&greeting, &Bytes::new(), launch.frame_bytes_max)?;
        hold.outbox.flush();
        let Some(answer) = next(hold, frames).await? else { return Ok(()) };
        answer.message::<Hello>()?.expect(Role::Worker)?;
        let Some(ready) = next(hold, frames).await? else { return Ok(()) };
        let FromWorker::Ready { judge_version } = ready.message()? else {
            return Err(LinkError::NotReady);
        };
        let report: SandboxReport = codec::decode(&ready.payload)?;
        if !report.satisfies(launch.plan.mode) {
            return Err(LinkError::Sandbox(format!("{:?}", report.layers)));
        }
        self.tell(News::Ready(Box::new(report), judge_version)).await;
        while let Some(frame) = next(hold, frames).await? {
            let message = Box::new(frame.message()?);
            self.tell(News::Message(message, frame.payload)).await;
        }
        Ok(())
    }

    /// Waits for the kernel's word; whoever is to blame has asked the hub to kill by now.
    async fn bury(&self, hold: &Hold, kills: &Kills) -> Death {
        let cause = match hold.process.exited().await {
            Ok(exit) => cause_of_death(exit, kills.rose()),
            Err(error) => DeathCause::SpawnFailed(format!("its exit is unknown: {error}")),
        };
        let mut death = self.death(cause, hold.stderr.finish());
        if let Some(progress) = hold.process.progress() {
            death.task = Some(progress.task);
            death.stage = Some(progress.position.stage);
            death.dimension = progress.position.dimension;
        }
        death
    }
}
