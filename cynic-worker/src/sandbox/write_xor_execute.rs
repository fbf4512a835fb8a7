//! No memory that was ever writable becomes executable: injected code has nowhere to run.

use std::io::Error;

use cynic_proto::sandbox::LayerStatus;

use super::LayerError;

/// Asks the kernel to refuse memory that is written and executed, in every form (also the ones that a
/// system call filter cannot see). Native just-in-time compilers fail under it; interpreters do not.
///
/// Kernels before 6.3 do not know it; there the filter's refusal of `PROT_EXEC` is all there is.
pub(super) fn put_on() -> Result<LayerStatus, LayerError> {
    match refuse_exec_gain() {
        Ok(()) => Ok(LayerStatus::Enforced),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(LayerStatus::Partial),
        Err(error) => Err(LayerError::new("refuse executable memory")(error)),
    }
}

#[expect(unsafe_code, reason = "no safe binding for PR_SET_MDWE")]
fn refuse_exec_gain() -> Result<(), Error> {
    let flags = u64::from(libc::PR_MDWE_REFUSE_EXEC_GAIN);
    // SAFETY: this prctl takes no pointer; unused arguments are zero as it demands.
    let result = unsafe { libc::prctl(libc::PR_SET_MDWE, flags, 0_u64, 0_u64, 0_u64) };
    if result == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}
