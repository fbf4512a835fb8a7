//! A running worker process as its supervisor holds it.
//!
//! Owns the supervisor's ends of everything a worker has. Never reads the socket: the link does.

use std::io;

use cynic_proto::progress::Progress;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use super::cause::Exit;
use super::life::Life;
use super::page::ProgressPage;
use super::spawner::Newborn;
use super::stderr::StderrTail;
use super::usage::{Meter, Usage};

/// A worker that was just started, in the parts that different owners take.
#[derive(Debug)]
pub struct WorkerProcess {
    /// Its process id, for logs and for people.
    pub pid: u32,
    /// The supervisor's end of its standard input: the whole conversation.
    pub socket: UnixStream,
    /// The process itself.
    pub process: Process,
    /// Its standard error.
    pub stderr: StderrTail,
}

/// The hold on a worker's process. Dropped before the exit was read, it kills the worker, and the spawning
/// thread reaps it.
#[derive(Debug)]
pub struct Process {
    life: AsyncFd<Life>,
    page: ProgressPage,
    meter: Option<Meter>,
}

impl WorkerProcess {
    pub(super) fn adopt(newborn: Newborn) -> io::Result<WorkerProcess> {
        let Newborn { life, socket, stderr, page, meter } = newborn;
        Ok(WorkerProcess {
            pid: life.pid(),
            socket: UnixStream::from_std(socket)?,
            stderr: StderrTail::start(stderr)?,
            process: Process { life: watch(life)?, page, meter },
        })
    }
}

#[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
fn watch(life: Life) -> io::Result<AsyncFd<Life>> {
    // SAFETY: a life has one descriptor, which it owns, never changes, and gives up only when it is dropped;
    // the registration, which owns the life, ends before that.
    let watched = unsafe { AsyncFd::register_with_interest(life, Interest::READABLE) };
    Ok(watched?)
}

impl Process {
    /// Waits for the end of the process and reaps it. Cancel safe; says the same when asked again.
    ///
    /// # Errors
    /// The kernel does not tell: somebody else has reaped it.
    pub async fn exited(&self) -> io::Result<Exit> {
        loop {
            // Asked only once there is something to tell: this is awaited beside every message of the worker.
            let mut ready = self.life.readable().await?;
            match self.life.get_ref().exit()? {
                Some(exit) => return Ok(exit),
                None => ready.clear_ready(),
            }
        }
    }

    /// Ends the process at once; does nothing if it has ended.
    ///
    /// # Errors
    /// The kernel refuses, which it does not for a child of this user.
    pub fn kill(&self) -> io::Result<()> {
        self.life.get_ref().kill()
    }

    /// What the worker says it is doing, or was doing when it died; `None` between tasks. Untrusted: compare
    /// the task with those of its lease.
    pub fn progress(&self) -> Option<Progress> {
        self.page.read()
    }

    /// What the worker uses of the machine; `None` once it has ended, or where the kernel does not tell.
    pub fn usage(&self) -> Option<Usage> {
        match self.life.get_ref().exit() {
            Ok(None) => self.meter.as_ref()?.read(),
            _ => None,
        }
    }
}
