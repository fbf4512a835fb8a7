//! Typed failures: an accepted task ends in a judgment or in one of these, and a failure is never a verdict.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{TaskId, WorkerId};
use crate::item::ItemErrorKind;
use crate::model::{Dimension, Stage};

/// The answer to a task that was not judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct TaskError {
    /// What happened, for programs.
    pub kind: ErrorKind,
    /// What happened and what to do, for people.
    pub message: String,
    /// The deaths of workers that held the task, first to last.
    pub deaths: Vec<Death>,
    /// After how many milliseconds a retry may succeed, where one may.
    pub retry_after_ms: Option<u32>,
}

/// The kinds of [`TaskError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The item cannot be judged as it is: the client's mistake.
    InvalidItem(ItemErrorKind),
    /// The queue is full; retry later.
    Busy,
    /// No worker can run; retry later.
    Unavailable,
    /// It waited in the queue longer than allowed and was not started.
    QueueTimeout,
    /// Its total time ran out.
    DeadlineExceeded,
    /// The client cancelled it or went away.
    Cancelled,
    /// It killed each worker that tried it, and is not tried again.
    Quarantined,
    /// The daemon is stopping and takes no more work.
    ShuttingDown,
    /// Something that cannot be stored now was asked to be stored.
    StorageUnavailable,
    /// The daemon's own fault.
    Internal,
    /// The task id is that of another user's task, or of a canary.
    Conflict,
}

impl ErrorKind {
    /// The kind's name, as in JSON, logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorKind::InvalidItem(_) => "invalid_item",
            ErrorKind::Busy => "busy",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::QueueTimeout => "queue_timeout",
            ErrorKind::DeadlineExceeded => "deadline_exceeded",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Quarantined => "quarantined",
            ErrorKind::ShuttingDown => "shutting_down",
            ErrorKind::StorageUnavailable => "storage_unavailable",
            ErrorKind::Internal => "internal",
            ErrorKind::Conflict => "conflict",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a worker died of and over what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// Why the process ended.
    pub cause: DeathCause,
    /// Which worker.
    pub worker: WorkerId,
    /// The item in its hands.
    pub task: Option<TaskId>,
    /// The stage that the item was in.
    pub stage: Option<Stage>,
    /// The dimension that was being scored.
    pub dimension: Option<Dimension>,
    /// The end of what it wrote to standard error; untrusted text.
    pub stderr_tail: String,
}

/// Why a worker's process ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeathCause {
    /// A signal that nobody here sent.
    Signal(i32),
    /// It exited by itself.
    ExitCode(i32),
    /// It asked for more memory than a worker may have.
    MemoryLimit,
    /// It used more processor time than a worker may.
    CpuLimit,
    /// It did something that the sandbox forbids.
    SandboxViolation,
    /// It was killed because the task overran its hard deadline.
    Deadline,
    /// It was killed because it did not answer while idle.
    MissedHeartbeat,
    /// It was killed because it broke the protocol.
    ProtocolViolation(String),
    /// It was killed by an operator.
    KilledByOperator,
    /// It did not become ready in time.
    StartTimeout,
    /// It could not be started at all.
    SpawnFailed(String),
}

impl DeathCause {
    /// The cause's name without its particulars, for counters.
    pub const fn name(&self) -> &'static str {
        match self {
            DeathCause::Signal(_) => "signal",
            DeathCause::ExitCode(_) => "exit_code",
            DeathCause::MemoryLimit => "memory_limit",
            DeathCause::CpuLimit => "cpu_limit",
            DeathCause::SandboxViolation => "sandbox_violation",
            DeathCause::Deadline => "deadline",
            DeathCause::MissedHeartbeat => "missed_heartbeat",
            DeathCause::ProtocolViolation(_) => "protocol_violation",
            DeathCause::KilledByOperator => "killed_by_operator",
            DeathCause::StartTimeout => "start_timeout",
            DeathCause::SpawnFailed(_) => "spawn_failed",
        }
    }
}

impl fmt::Display for DeathCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeathCause::Signal(number) => write!(f, "signal {number}{}", signal_name(*number)),
            DeathCause::ExitCode(code) => write!(f, "exit code {code}"),
            DeathCause::MemoryLimit => f.write_str("memory limit"),
            DeathCause::CpuLimit => f.write_str("CPU limit"),
            DeathCause::SandboxViolation => f.write_str("sandbox violation"),
            DeathCause::Deadline => f.write_str("hard deadline"),
            DeathCause::MissedHeartbeat => f.write_str("missed heartbeat"),
            DeathCause::ProtocolViolation(what) => write!(f, "protocol violation ({what})"),
            DeathCause::KilledByOperator => f.write_str("killed by operator"),
            DeathCause::StartTimeout => f.write_str("not ready in time"),
            DeathCause::SpawnFailed(why) => write!(f, "could not be started ({why})"),
        }
    }
}

/// The common fatal signals, by the numbers that x86-64 and aarch64 Linux share.
fn signal_name(number: i32) -> &'static str {
    match number {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        24 => " (SIGXCPU)",
        31 => " (SIGSYS)",
        _ => "",
    }
}

impl Death {
    /// The supervisor killed this worker for that cause. A crash that came before the kill says more than the kill,
    /// and stays.
    pub fn be_told_why_killed(&mut self, cause: DeathCause) {
        const SIGKILL: i32 = 9;
        if matches!(self.cause, DeathCause::Signal(SIGKILL) | DeathCause::ExitCode(_)) {
            self.cause = cause;
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {} died of {}", self.worker, self.cause)?;
        if let Some(stage) = self.stage {
            write!(f, " in stage {stage}")?;
        }
        if let Some(dimension) = self.dimension {
            write!(f, " while scoring {dimension}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn killed_for_its_deadline(died_of: DeathCause) -> DeathCause {
        let worker = WorkerId { slot: 0, generation: 1 };
        let mut death = Death {
            cause: died_of,
            worker,
            task: None,
            stage: None,
            dimension: None,
            stderr_tail: String::new(),
        };
        death.be_told_why_killed(DeathCause::Deadline);
        death.cause
    }

    #[test]
    fn a_kill_of_our_own_has_our_reason() {
        assert_eq!(killed_for_its_deadline(DeathCause::Signal(9)), DeathCause::Deadline);
        assert_eq!(killed_for_its_deadline(DeathCause::ExitCode(0)), DeathCause::Deadline);
    }

    #[test]
    fn a_crash_before_the_kill_says_more_than_the_kill() {
        for crash in [DeathCause::Signal(11), DeathCause::SandboxViolation, DeathCause::MemoryLimit]
        {
            assert_eq!(killed_for_its_deadline(crash.clone()), crash);
        }
    }
}
