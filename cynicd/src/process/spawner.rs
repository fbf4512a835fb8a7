//! The thread that starts worker processes.
//!
//! Owns the one place where a child is made and, for those that nobody waits for any more, ended. The thread
//! lives as long as the [`Spawner`] or any process of its making, because the kernel kills a worker when the
//! *thread* that started it ends. For the same reason nothing is ever started from a runtime's own threads.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::oneshot;

use super::cgroup::{CgroupError, WorkerCgroup};
use super::life::{Life, bury};
use super::page::ProgressPage;
use super::usage::Meter;
use super::worker::WorkerProcess;

/// Orders that may wait for the thread. A pool orders one process per slot and has at most a few hundred;
/// an order takes about a millisecond.
const ORDERS_MAX: usize = 1024;

/// What to start.
#[derive(Debug, Clone)]
pub struct SpawnRequest {
    /// Absolute path of the program: a bare name would be searched for, and is refused.
    pub program: PathBuf,
    /// Its arguments. Its environment is empty.
    pub args: Vec<OsString>,
    /// The control group to move it to, where there is one.
    pub cgroup: Option<WorkerCgroup>,
}

/// Why no process was started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The path has no directory.
    #[error("the worker's program must be an absolute path, not `{}`", .0.display())]
    RelativePath(PathBuf),
    /// A descriptor for the worker could not be made: most likely too many are open.
    #[error("could not make the {what} for a worker")]
    Descriptor {
        /// Which one.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program could not be started.
    #[error("could not start `{}`", program.display())]
    Start {
        /// Which program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be moved to its control group, so it was ended again.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// More orders are waiting than a pool can have slots, or the thread is gone.
    #[error("the spawning thread does not take orders")]
    Refused,
}

/// Starts processes on a thread of its own.
#[derive(Debug, Clone)]
pub struct Spawner {
    orders: SyncSender<Order>,
}

/// What the thread does. The last sender's end is the thread's end, so a life carries one.
#[derive(Debug)]
pub(super) enum Order {
    Start(SpawnRequest, SyncSender<Order>, oneshot::Sender<Result<Newborn, SpawnError>>),
    /// Kill and reap a process that its owner has dropped.
    Bury(OwnedFd),
}

/// A process with its descriptors, not yet known to a runtime.
#[derive(Debug)]
pub(super) struct Newborn {
    pub(super) life: Life,
    pub(super) socket: UnixStream,
    pub(super) stderr: OwnedFd,
    pub(super) page: ProgressPage,
    pub(super) meter: Option<Meter>,
}

impl Spawner {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start() -> io::Result<Spawner> {
        let (orders, waiting) = sync_channel(ORDERS_MAX);
        std::thread::Builder::new().name("spawner".to_owned()).spawn(move || serve(&waiting))?;
        Ok(Spawner { orders })
    }

    /// Starts a process. Must be called on a runtime with I/O and time.
    ///
    /// Cancel safe: a process that is started after the caller has gone is killed and reaped.
    ///
    /// # Errors
    /// See [`SpawnError`]; nothing is left behind.
    pub async fn spawn(&self, request: SpawnRequest) -> Result<WorkerProcess, SpawnError> {
        let (answer, answered) = oneshot::channel();
        let order = Order::Start(request, self.orders.clone(), answer);
        self.orders.try_send(order).map_err(|_| SpawnError::Refused)?;
        let newborn = answered.await.map_err(|_| SpawnError::Refused)??;
        WorkerProcess::adopt(newborn)
            .map_err(|source| SpawnError::Descriptor { what: "watch", source })
    }
}

/// The thread's loop: one order after another, until no one is left to give any.
fn serve(orders: &Receiver<Order>) {
    while let Ok(order) = orders.recv() {
        match order {
            Order::Start(request, orders, answer) => {
                // A newborn that nobody takes is dropped here, which buries it.
                drop(answer.send(start(request, orders)));
            }
            // Its owner is gone: nobody is left to tell.
            Order::Bury(pidfd) => drop(bury(&pidfd)),
        }
    }
}

fn start(request: SpawnRequest, orders: SyncSender<Order>) -> Result<Newborn, SpawnError> {
    if !request.program.is_absolute() {
        return Err(SpawnError::RelativePath(request.program));
    }
    let descriptor = |what| move |source| SpawnError::Descriptor { what, source };
    let (socket, workers_end) = UnixStream::pair().map_err(descriptor("socket"))?;
    socket.set_nonblocking(true).map_err(descriptor("socket"))?;
    let page = ProgressPage::new().map_err(descriptor("progress page"))?;
    let workers_page = page.for_worker().map_err(descriptor("progress page"))?;
    let (stderr, workers_stderr) = io::pipe().map_err(descriptor("pipe for standard error"))?;
    // No uid, no gid, no closure before exec: with any of them the standard library forks, which copies this
    // process's page tables and stalls its other threads meanwhile. A process group of its own keeps a
    // Ctrl-C on the terminal away from the workers.
    let child = Command::new(&request.program)
        .args(request.args)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(OwnedFd::from(workers_end))
        .stdout(workers_page)
        .stderr(workers_stderr)
        .spawn()
        .map_err(|source| SpawnError::Start { program: request.program, source })?;
    let life = Life::of(child, orders).map_err(descriptor("process descriptor"))?;
    // Before anybody greets the worker: it waits for that until it makes itself undumpable. A program that does not wait
    // works all the same, unseen.
    let meter = Meter::of(life.pid()).ok();
    // After the start, because only a fork could start it there. It has nothing to do yet: the greeting that
    // it waits for is sent by who receives it.
    if let Some(cgroup) = request.cgroup {
        cgroup.admit(life.pid())?;
    }
    Ok(Newborn { life, socket, stderr: stderr.into(), page, meter })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Exit;
    use std::path::Path;
    use std::time::{Duration, Instant};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn shell(script: &str) -> SpawnRequest {
        SpawnRequest {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            cgroup: None,
        }
    }

    async fn spawn(script: &str) -> WorkerProcess {
        let spawner = Spawner::start().expect("a thread");
        spawner.spawn(shell(script)).await.expect("a process")
    }

    fn is_gone(pid: u32) -> bool {
        !Path::new(&format!("/proc/{pid}")).exists()
    }

    async fn until(what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < deadline, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn exits_are_told_as_they_were_and_leave_no_zombie() {
        for (script, expected) in [
            ("exit 0", Exit::Code(0)),
            ("exit 7", Exit::Code(7)),
            ("kill -SEGV $$", Exit::Signal(11)),
            ("kill -KILL $$", Exit::Signal(9)),
            // A real-time signal, which has no name: it must not confuse the reaping.
            ("kill -40 $$", Exit::Signal(40)),
        ] {
            let worker = spawn(script).await;
            assert_eq!(worker.process.exited().await.expect("told"), expected, "{script}");
            assert_eq!(worker.process.exited().await.expect("told again"), expected, "{script}");
            assert!(is_gone(worker.pid), "{script}");
            assert_eq!(worker.process.usage(), None, "{script}");
            worker.process.kill().expect("killing the dead does nothing");
        }
    }

    #[tokio::test]
    async fn a_worker_speaks_through_its_standard_input() {
        let mut worker = spawn("read line; echo \"got $line\" >&0; echo warning >&2; exit 3").await;
        worker.socket.write_all(b"work\n").await.expect("written");
        let mut answer = String::new();
        worker.socket.read_to_string(&mut answer).await.expect("an answer and the end");
        assert_eq!(answer, "got work\n");
        assert_eq!(worker.process.exited().await.expect("told"), Exit::Code(3));
        assert_eq!(worker.stderr.finish(), "warning");
    }

    #[tokio::test]
    async fn a_worker_starts_in_the_root_directory_with_no_environment() {
        // What the shell adds by itself is there; nothing of this process's is.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let mut worker = spawn("echo $PWD $(env | grep -c -e CARGO -e PATH -e HOME) >&0").await;
        let mut answer = String::new();
        worker.socket.read_to_string(&mut answer).await.expect("an answer");
        assert_eq!(answer, "/ 0\n");
    }

    #[tokio::test]
    async fn a_killed_worker_is_told_from_a_living_one() {
        let worker = spawn("while :; do :; done").await;
        until("processor time is used", || {
            worker.process.usage().is_some_and(|usage| usage.cpu > Duration::from_millis(1))
        })
        .await;
        assert_eq!(worker.process.progress(), None, "it wrote no page");
        worker.process.kill().expect("killed");
        assert_eq!(worker.process.exited().await.expect("told"), Exit::Signal(9));
    }

    #[tokio::test]
    async fn a_dropped_worker_is_killed_and_reaped() {
        let worker = spawn("while :; do :; done").await;
        let pid = worker.pid;
        assert!(!is_gone(pid));
        drop(worker);
        until("the worker is gone", || is_gone(pid)).await;
    }

    #[tokio::test]
    async fn a_worker_outlives_its_spawner_but_not_its_own_hold() {
        let spawner = Spawner::start().expect("a thread");
        let worker = spawner.spawn(shell("read line; exit 5")).await.expect("a process");
        drop(spawner);
        let WorkerProcess { mut socket, process, .. } = worker;
        socket.write_all(b"\n").await.expect("still reading");
        assert_eq!(process.exited().await.expect("told"), Exit::Code(5));
    }

    #[tokio::test]
    async fn what_cannot_be_started_is_said() {
        let spawner = Spawner::start().expect("a thread");
        let request = |program: &str| SpawnRequest {
            program: program.into(),
            args: Vec::new(),
            cgroup: None,
        };
        let error = spawner.spawn(request("cat")).await.expect_err("relative");
        assert!(matches!(error, SpawnError::RelativePath(_)), "{error}");
        let error = spawner.spawn(request("/no/such/program")).await.expect_err("missing");
        assert_eq!(error.to_string(), "could not start `/no/such/program`");
    }
}
