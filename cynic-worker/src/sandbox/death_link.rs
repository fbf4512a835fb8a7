//! The worker dies with its supervisor, even when both are stuck.

use cynic_proto::sandbox::LayerStatus;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use super::LayerError;

/// Asks the kernel for SIGKILL when the thread that started this process ends.
///
/// The end of the socket says the same to a worker that reads; this says it to one that does not.
pub(super) fn put_on() -> Result<LayerStatus, LayerError> {
    set_pdeathsig(Signal::SIGKILL)
        .map_err(LayerError::new("link this worker's life to its supervisor"))?;
    Ok(LayerStatus::Enforced)
}

/// Whether the supervisor died before the link held, in which case no signal will ever come.
///
/// Asks for the supervisor's own process id, since an orphan's parent is not always process 1 and a
/// supervisor in a container often is.
pub(super) fn is_orphan(supervisor: Option<u32>) -> bool {
    supervisor.is_some_and(|pid| getppid().as_raw() as u32 != pid)
}
