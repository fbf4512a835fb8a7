//! Only the system calls that judging needs; the rest end the worker.
//!
//! Owns the two filters. The kernel runs both for every call and takes the stricter answer, so the list that
//! kills must let through what the list of refusals refuses. A filter can match with one action only, hence
//! two.

mod rules;

use cynic_proto::sandbox::LayerStatus;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter,
};

use super::LayerError;

/// Installs both filters on this thread, which must be the only one: threads that exist already would stay
/// free, and later ones cannot be made.
pub(super) fn put_on() -> Result<LayerStatus, LayerError> {
    let programs = filters(std::process::id()).map_err(LayerError::new("compile the filters"))?;
    for program in &programs {
        apply_filter(program).map_err(LayerError::new("install the filters"))?;
    }
    Ok(LayerStatus::Enforced)
}

/// The two filters in the order of their installation: the second forbids installing any more.
fn filters(pid: u32) -> Result<[BpfProgram; 2], BackendError> {
    // What well-meaning code tries and can do without gets "not permitted", not death.
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let refusals = compile(rules::refused()?, SeccompAction::Allow, refuse)?;
    // The allowed calls and the ones that the first filter deals with go through; any other ends the
    // process, and so does any call of another architecture (32-bit).
    let mut known = rules::allowed(pid)?;
    known.extend(rules::refused()?.into_keys().map(|call| (call, Vec::new())));
    let kill = compile(known, SeccompAction::KillProcess, SeccompAction::Allow)?;
    Ok([refusals, kill])
}

fn compile(
    rules: rules::Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, matched, arch)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile_and_fit_the_kernel() {
        // BPF_MAXINSNS: longer programs are refused at install.
        const INSTRUCTIONS_MAX: usize = 4096;
        for program in filters(1).expect("valid rules") {
            assert!((1..INSTRUCTIONS_MAX).contains(&program.len()));
        }
    }

    #[test]
    fn no_call_is_both_allowed_and_refused() {
        let allowed = rules::allowed(1).expect("valid rules");
        for call in rules::refused().expect("valid rules").keys() {
            assert!(!allowed.contains_key(call), "call {call}");
        }
    }
}
