//! How a worker process ended, in the words that operators and clients read.
//!
//! Owns the vocabulary only; how a cause is found belongs to the supervisor's `process` module.

use serde::{Deserialize, Serialize};

/// Why a worker is no longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeathCause {
    /// A signal that nobody in this service sent: a crash, or a kill from outside.
    Signal(i32),
    /// It left by itself, in the middle of a task or before it was told to.
    ExitCode(i32),
    /// It asked for more memory than it may have.
    MemoryLimit,
    /// It used more processor time than it may.
    CpuLimit,
    /// It tried something that the sandbox forbids.
    Forbidden,
    /// It could not put on the sandbox that the configuration requires.
    SandboxRefused,
    /// A task ran past its hard deadline and the supervisor killed it.
    Deadline,
    /// It did not become ready, or did not answer, in time.
    MissedHeartbeat,
    /// It sent something that is not a valid frame, or one that answers no lease of its own.
    ProtocolViolation,
    /// An operator asked for it.
    KilledByOperator,
    /// The supervisor ended it as planned: recycled, reloaded or shut down.
    Retired,
}

impl DeathCause {
    /// The cause's name, as in JSON, in counters and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            DeathCause::Signal(_) => "signal",
            DeathCause::ExitCode(_) => "exit_code",
            DeathCause::MemoryLimit => "memory_limit",
            DeathCause::CpuLimit => "cpu_limit",
            DeathCause::Forbidden => "forbidden",
            DeathCause::SandboxRefused => "sandbox_refused",
            DeathCause::Deadline => "deadline",
            DeathCause::MissedHeartbeat => "missed_heartbeat",
            DeathCause::ProtocolViolation => "protocol_violation",
            DeathCause::KilledByOperator => "killed_by_operator",
            DeathCause::Retired => "retired",
        }
    }
}

impl std::fmt::Display for DeathCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            DeathCause::Signal(signal) => match signal_name(signal) {
                Some(name) => write!(f, "killed by {name}"),
                None => write!(f, "killed by signal {signal}"),
            },
            DeathCause::ExitCode(code) => write!(f, "exited with code {code}"),
            DeathCause::MemoryLimit => f.write_str("ran out of its memory limit"),
            DeathCause::CpuLimit => f.write_str("ran out of its processor time"),
            DeathCause::Forbidden => f.write_str("tried what the sandbox forbids"),
            DeathCause::SandboxRefused => f.write_str("could not put on the required sandbox"),
            DeathCause::Deadline => f.write_str("killed at the hard deadline"),
            DeathCause::MissedHeartbeat => f.write_str("killed after it stopped responding"),
            DeathCause::ProtocolViolation => f.write_str("killed for breaking the protocol"),
            DeathCause::KilledByOperator => f.write_str("killed by the operator"),
            DeathCause::Retired => f.write_str("retired"),
        }
    }
}

/// The name of a signal that ends processes on Linux (the numbers are the same on x86-64 and aarch64).
pub const fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

/// Exit codes of the worker. A panic that nothing catches ends it with Rust's own 101.
pub mod exit_code {
    /// The supervisor closed the socket or asked it to end.
    pub const DONE: i32 = 0;
    /// Its arguments make no sense (`EX_USAGE`): the worker's and the supervisor's versions differ.
    pub const USAGE: i32 = 64;
    /// An allocation failed (`EX_OSERR`): the limit on its memory.
    pub const MEMORY: i32 = 71;
    /// The supervisor sent something that is not a valid frame (`EX_PROTOCOL`).
    pub const PROTOCOL: i32 = 76;
    /// The sandbox is required and a layer of it is missing (`EX_NOPERM`).
    pub const SANDBOX: i32 = 77;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_read_as_sentences() {
        assert_eq!(DeathCause::Signal(11).to_string(), "killed by SIGSEGV");
        assert_eq!(DeathCause::Signal(40).to_string(), "killed by signal 40");
        assert_eq!(DeathCause::ExitCode(7).to_string(), "exited with code 7");
    }
}
