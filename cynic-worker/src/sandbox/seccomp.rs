//! Only the system calls that judging needs; the rest end the worker.
//!
//! Owns the filter. What `seccompiler` compiles can match with one action only, hence two parts: what the first does not
//! refuse, the second allows or kills for. They are one program, because installing one costs a tenth of a worker's start.

mod rules;

use cynic_proto::sandbox::LayerStatus;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter, sock_filter,
};

use super::LayerError;

/// Installs the filter on this thread, which must be the only one: threads that exist already would stay
/// free, and later ones cannot be made.
pub(super) fn put_on() -> Result<LayerStatus, LayerError> {
    let program = program(std::process::id()).map_err(LayerError::new("compile the filter"))?;
    apply_filter(&program).map_err(LayerError::new("install the filter"))?;
    Ok(LayerStatus::Enforced)
}

fn program(pid: u32) -> Result<BpfProgram, BackendError> {
    // What well-meaning code tries and can do without gets "not permitted", not death.
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let refusals = compile(rules::refused()?, SeccompAction::Allow, refuse)?;
    // Any other than the allowed calls ends the process, and so does any call of another architecture (32-bit).
    let kill = compile(rules::allowed(pid)?, SeccompAction::KillProcess, SeccompAction::Allow)?;
    Ok(joined(refusals, kill))
}

/// Both programs as one: where the first allows, the second decides.
fn joined(mut first: BpfProgram, second: BpfProgram) -> BpfProgram {
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
    let end = first.len();
    for (n, instruction) in first.iter_mut().enumerate() {
        if instruction.code == RETURN && instruction.k == libc::SECCOMP_RET_ALLOW {
            let over = (end - n - 1) as u32;
            *instruction = sock_filter { code: JUMP, jt: 0, jf: 0, k: over };
        }
    }
    first.extend(second);
    first
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
    fn the_filter_compiles_and_fits_the_kernel() {
        // BPF_MAXINSNS: longer programs are refused at install.
        const INSTRUCTIONS_MAX: usize = 4096;
        let program = program(1).expect("valid rules");
        assert!((1..INSTRUCTIONS_MAX).contains(&program.len()));
    }

    #[test]
    fn no_call_is_allowed_that_is_always_refused() {
        let allowed = rules::allowed(1).expect("valid rules");
        for (call, _) in rules::refused().expect("valid rules").iter().filter(|r| r.1.is_empty()) {
            assert!(!allowed.contains_key(call), "call {call}");
        }
    }
}
