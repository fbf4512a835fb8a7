//! Only the system calls that judging needs; the rest end the worker.
//!
//! Owns the two filters. The kernel runs both for every call and takes the stricter answer, so the list that
//! kills must let through what the list of refusals refuses. A filter can match with one action only, hence
//! two.

mod rules;

use std::collections::BTreeMap;

use cynic_proto::sandbox::LayerStatus;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use super::LayerError;

/// Installs both filters on this thread, which must be the only one: threads that exist already would stay
/// free, and later ones cannot be made.
pub(super) fn put_on() -> Result<LayerStatus, LayerError> {
    let pid = std::process::id();
    let allowed = rules::allowed(pid).map_err(LayerError::new("write the system call rules"))?;
    let programs = [refusals(), kill_all_but(allowed)];
    for program in programs {
        let program = program.map_err(LayerError::new("compile the system call filter"))?;
        apply_filter(&program).map_err(LayerError::new("install the system call filter"))?;
    }
    Ok(LayerStatus::Enforced)
}

/// Answers calls that well-meaning code tries and can do without with "not permitted", not with death.
fn refusals() -> Result<BpfProgram, BackendError> {
    let refused = rules::REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    compile(refused, SeccompAction::Allow, refuse)
}

/// Lets the allowed and the refused calls through and kills the process on any other, on another
/// architecture's calls (32-bit) among them.
fn kill_all_but(mut allowed: BTreeMap<i64, Vec<SeccompRule>>) -> Result<BpfProgram, BackendError> {
    allowed.extend(rules::REFUSED.iter().map(|call| (*call, Vec::new())));
    compile(allowed, SeccompAction::KillProcess, SeccompAction::Allow)
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
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
    fn both_filters_compile_and_fit_the_kernel() {
        // BPF_MAXINSNS: longer programs are refused at install.
        const INSTRUCTIONS_MAX: usize = 4096;
        let allowed = rules::allowed(1).expect("valid rules");
        for program in [refusals(), kill_all_but(allowed)] {
            let program = program.expect("compiles");
            assert!((1..INSTRUCTIONS_MAX).contains(&program.len()));
        }
    }

    #[test]
    fn no_call_is_both_allowed_and_refused() {
        let allowed = rules::allowed(1).expect("valid rules");
        for call in rules::REFUSED {
            assert!(!allowed.contains_key(call), "call {call}");
        }
    }
}
