//! The hold on one child: its exit, its death, its burial.
//!
//! Owns the process descriptor. Never leaves a zombie: a child that is let go unreaped is killed and reaped
//! by the spawning thread. Never signals by number, which may be another process's by then.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process::Child;
use std::sync::Mutex;
use std::sync::mpsc::SyncSender;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use super::cause::Exit;
use super::spawner::Order;

/// A child process. Its descriptor becomes readable when the process ends.
#[derive(Debug)]
pub(super) struct Life {
    pid: u32,
    /// Taken only when the life is dropped.
    pidfd: Option<OwnedFd>,
    /// Locked while asking the kernel, which tells an exit only once.
    exit: Mutex<Option<Exit>>,
    grave: SyncSender<Order>,
}

impl Life {
    /// Takes hold of a child that was just started.
    pub(super) fn of(mut child: Child, grave: SyncSender<Order>) -> io::Result<Life> {
        // Not reaped yet, so the number cannot be another process's.
        let pid = Pid::from_child(&child);
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => {
                Ok(Life { pid: child.id(), pidfd: Some(pidfd), exit: Mutex::new(None), grave })
            }
            Err(error) => {
                child.kill().and_then(|()| child.wait())?;
                Err(error.into())
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// How the process ended, reaping it if that was not done; `None` while it lives.
    pub(super) fn exit(&self) -> io::Result<Option<Exit>> {
        let mut exit = self.exit.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if exit.is_none() {
            *exit = reap(self.as_fd(), WaitIdOptions::NOHANG)?;
        }
        Ok(*exit)
    }

    /// Ends the process at once; does nothing if it has ended.
    pub(super) fn kill(&self) -> io::Result<()> {
        kill(self.as_fd())
    }
}

impl AsFd for Life {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_ref().expect("taken only by drop").as_fd()
    }
}

impl AsRawFd for Life {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let reaped = matches!(self.exit.get_mut(), Ok(Some(_)));
        let Some(pidfd) = self.pidfd.take().filter(|_| !reaped) else { return };
        // The wait for a large process to die is the spawning thread's; without it, this one's.
        if let Err(refused) = self.grave.try_send(Order::Bury(pidfd)) {
            let (std::sync::mpsc::TrySendError::Full(order)
            | std::sync::mpsc::TrySendError::Disconnected(order)) = refused;
            if let Order::Bury(pidfd) = order {
                drop(bury(&pidfd));
            }
        }
    }
}

/// Kills a child and waits for its end.
pub(super) fn bury(pidfd: &OwnedFd) -> io::Result<()> {
    kill(pidfd.as_fd())?;
    reap(pidfd.as_fd(), WaitIdOptions::empty()).map(drop)
}

fn kill(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    match pidfd_send_signal(pidfd, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn reap(pidfd: BorrowedFd<'_>, options: WaitIdOptions) -> io::Result<Option<Exit>> {
    let status = loop {
        match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED | options) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    Ok(status.map(|status| match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    }))
}
