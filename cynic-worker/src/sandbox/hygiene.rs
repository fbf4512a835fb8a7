//! What a worker must not inherit or leave behind.

use std::io::Error;

use cynic_proto::sandbox::LayerStatus;
use nix::sys::prctl::{set_dumpable, set_no_new_privs};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

use super::{LayerError, capabilities};

/// How far above its size a worker looks in the eyes of the kernel's out-of-memory killer, in thousandths of
/// the machine's memory: past any daemon of ordinary size, since a worker is the cheapest thing to lose.
const OOM_SCORE_ADJUST: &str = "500";

/// First descriptor that is not the socket, the progress page or the pipe for standard error.
const FIRST_FOREIGN_DESCRIPTOR: u32 = 3;

pub(super) fn put_on() -> Result<LayerStatus, LayerError> {
    // Before DUMPABLE, which makes /proc/self root's. Failing only means that a host that runs out of memory
    // chooses by size, so it does not stop a worker.
    let adjusted = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJUST).is_ok();
    // No core dump with items in it, and no other process of this user may attach, read or trace.
    set_dumpable(false).map_err(LayerError::new("make this process undumpable"))?;
    // Nothing that is executed gains rights; also what Landlock and seccomp ask of the unprivileged.
    set_no_new_privs().map_err(LayerError::new("renounce new privileges"))?;
    // A daemon that runs as root must not lend that to a worker.
    capabilities::drop_all().map_err(LayerError::new("drop all capabilities"))?;
    // Descriptors that the supervisor, or who started it, forgot to mark close-on-exec.
    close_foreign_descriptors().map_err(LayerError::new("close inherited descriptors"))?;
    // The supervisor decides when a worker ends, not a Ctrl-C that reaches the whole terminal or a service
    // manager that signals every process of a service: a drain would lose the tasks in hand. All others,
    // which the supervisor may have blocked, are let through.
    let blocked = SigSet::from_iter([Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM]);
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&blocked), None)
        .map_err(LayerError::new("reset the signal mask"))?;
    Ok(if adjusted { LayerStatus::Enforced } else { LayerStatus::Partial })
}

#[expect(unsafe_code, reason = "no safe binding for close_range")]
fn close_foreign_descriptors() -> Result<(), Error> {
    // SAFETY: the worker owns no descriptor above standard error at this point (the progress page is mapped,
    // not open), so nothing that Rust code still holds is closed under it.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, FIRST_FOREIGN_DESCRIPTOR, u32::MAX, 0_u32) };
    if result == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}
