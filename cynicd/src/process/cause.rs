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

/// What a worker died of, from its exit, and whether the kernel counted an out-of-memory kill in the worker's
/// cgroup. Why the supervisor killed it, if it did, only the supervisor knows: see [`Death::be_told_why_killed`].
///
/// [`Death::be_told_why_killed`]: cynic_proto::error::Death::be_told_why_killed
pub fn cause_of_death(exit: Exit, out_of_memory_killed: bool) -> DeathCause {
    match exit {
        Exit::Code(exit_code::MEMORY) => DeathCause::MemoryLimit,
        Exit::Code(code) => DeathCause::ExitCode(code),
        Exit::Signal(SIGXCPU) => DeathCause::CpuLimit,
        // A call outside of the filter, or a file beyond the limit of zero bytes.
        Exit::Signal(SIGSYS | SIGXFSZ) => DeathCause::SandboxViolation,
        Exit::Signal(SIGKILL) if out_of_memory_killed => DeathCause::MemoryLimit,
        Exit::Signal(signal) => DeathCause::Signal(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_exit_has_its_cause() {
        let alone = |exit| cause_of_death(exit, false);
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
        assert_eq!(cause_of_death(Exit::Signal(SIGKILL), true), DeathCause::MemoryLimit);
        assert_eq!(cause_of_death(Exit::Signal(11), true), DeathCause::Signal(11));
    }
}
