//! From how a process ended to the cause of its death. Pure: looks at nothing but its arguments.

use cynic_proto::error::DeathCause;
use cynic_proto::exit_code;

// The numbers are the same on x86-64 and aarch64.
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;
const SIGSYS: i32 = 31;

/// How a process ended, as the kernel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with that code.
    Code(i32),
    /// By that signal.
    Signal(i32),
}

/// Why the supervisor killed a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillReason {
    /// A task ran past its hard deadline.
    Deadline,
    /// It did not answer while idle.
    MissedHeartbeat,
    /// It broke the protocol, in these words.
    ProtocolViolation(String),
    /// An operator asked for it.
    Operator,
    /// It did not become ready in time.
    StartTimeout,
}

impl From<KillReason> for DeathCause {
    fn from(reason: KillReason) -> DeathCause {
        match reason {
            KillReason::Deadline => DeathCause::Deadline,
            KillReason::MissedHeartbeat => DeathCause::MissedHeartbeat,
            KillReason::ProtocolViolation(what) => DeathCause::ProtocolViolation(what),
            KillReason::Operator => DeathCause::KilledByOperator,
            KillReason::StartTimeout => DeathCause::StartTimeout,
        }
    }
}

/// What a worker died of, from its exit, the supervisor's reason if it killed it, and whether the kernel
/// counted an out-of-memory kill in the worker's cgroup.
///
/// A crash that came before the supervisor's kill says more than the kill: the worker that is killed for half
/// a frame may have died of a bad pointer while it wrote the other half.
pub fn cause_of_death(
    exit: Exit,
    killed_for: Option<KillReason>,
    out_of_memory_killed: bool,
) -> DeathCause {
    match (exit, killed_for) {
        (Exit::Code(exit_code::MEMORY), _) => DeathCause::MemoryLimit,
        (Exit::Signal(SIGXCPU), _) => DeathCause::CpuLimit,
        // A call outside of the filter, or a file beyond the limit of zero bytes.
        (Exit::Signal(SIGSYS | SIGXFSZ), _) => DeathCause::SandboxViolation,
        (Exit::Signal(SIGKILL), None) if out_of_memory_killed => DeathCause::MemoryLimit,
        (Exit::Signal(SIGKILL) | Exit::Code(_), Some(reason)) => reason.into(),
        (Exit::Signal(signal), _) => DeathCause::Signal(signal),
        (Exit::Code(code), None) => DeathCause::ExitCode(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_exit_has_its_cause() {
        let alone = |exit| cause_of_death(exit, None, false);
        assert_eq!(alone(Exit::Signal(11)), DeathCause::Signal(11));
        assert_eq!(alone(Exit::Signal(SIGKILL)), DeathCause::Signal(9));
        assert_eq!(alone(Exit::Signal(SIGSYS)), DeathCause::SandboxViolation);
        assert_eq!(alone(Exit::Signal(SIGXCPU)), DeathCause::CpuLimit);
        assert_eq!(alone(Exit::Code(0)), DeathCause::ExitCode(0));
        assert_eq!(alone(Exit::Code(101)), DeathCause::ExitCode(101));
        assert_eq!(alone(Exit::Code(exit_code::MEMORY)), DeathCause::MemoryLimit);
    }

    #[test]
    fn the_kernels_memory_kill_is_told_from_a_kill_from_outside() {
        assert_eq!(cause_of_death(Exit::Signal(SIGKILL), None, true), DeathCause::MemoryLimit);
        assert_eq!(cause_of_death(Exit::Signal(11), None, true), DeathCause::Signal(11));
    }

    #[test]
    fn a_kill_of_our_own_has_our_reason() {
        let killed = |exit, reason| cause_of_death(exit, Some(reason), false);
        assert_eq!(killed(Exit::Signal(SIGKILL), KillReason::Deadline), DeathCause::Deadline);
        let violation = KillReason::ProtocolViolation("half a frame".to_owned());
        assert_eq!(
            killed(Exit::Code(0), violation),
            DeathCause::ProtocolViolation("half a frame".to_owned())
        );
    }

    #[test]
    fn a_crash_before_the_kill_says_more_than_the_kill() {
        let killed = |exit| cause_of_death(exit, Some(KillReason::Deadline), false);
        assert_eq!(killed(Exit::Signal(11)), DeathCause::Signal(11));
        assert_eq!(killed(Exit::Signal(SIGSYS)), DeathCause::SandboxViolation);
        assert_eq!(killed(Exit::Code(exit_code::MEMORY)), DeathCause::MemoryLimit);
    }
}
