//! Who may do what: the roles of a peer, and which of them each request takes.

use std::fmt;

use crate::calibration::CalibrationRequest;
use crate::message::Request;
use crate::quarantine::QuarantineRequest;

/// What a peer may do. One peer may have several roles; none includes another, except that `admin` has all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Have items judged, and look up and comment on its own.
    Judge,
    /// See everybody's records and the events.
    Read,
    /// Change how the daemon works. Only at the admin socket.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 3] = [Role::Judge, Role::Read, Role::Admin];

    /// The name, as in the configuration and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Judge => "judge",
            Role::Read => "read",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Any role at all.
    Any,
    /// That role.
    Role(Role),
    /// That role, or `judge` where it is about the peer's own tasks only.
    OwnOr(Role),
}

impl Request {
    /// Which role it takes.
    pub const fn takes(&self) -> Takes {
        match self {
            // Figures name no item and no client.
            Request::Ping | Request::Stats => Takes::Any,
            Request::Judge(_) | Request::Cancel(_) | Request::Canary(_) => Takes::Role(Role::Judge),
            // Who may see a judgment may say what became of it.
            Request::History(_) | Request::Show(_) | Request::Feedback { .. } => {
                Takes::OwnOr(Role::Read)
            }
            Request::Events(_)
            | Request::Calibrate(CalibrationRequest::Show | CalibrationRequest::DryRun) => {
                Takes::Role(Role::Read)
            }
            Request::Quarantine(request) if request.is_read() => Takes::Role(Role::Read),
            Request::DeadLetters(request) if request.is_read() => Takes::Role(Role::Read),
            Request::Drain
            | Request::Resume
            | Request::Calibrate(_)
            | Request::Backup(_)
            | Request::Quarantine(_)
            | Request::DeadLetters(_)
            | Request::Reload
            | Request::Scale(_)
            | Request::RestartWorkers
            | Request::KillWorker(_)
            | Request::LogLevel(_)
            | Request::Doctor => Takes::Role(Role::Admin),
        }
    }

    /// What it is called in logs and messages: the command that sends it.
    pub const fn name(&self) -> &'static str {
        match self {
            Request::Judge(_) => "judge",
            Request::Cancel(_) => "cancel",
            Request::Ping => "ping",
            Request::Stats => "stats",
            Request::History(_) => "history",
            Request::Show(_) => "show",
            Request::Drain => "drain",
            Request::Resume => "resume",
            Request::Events(_) => "events",
            Request::Feedback { .. } => "feedback",
            Request::Calibrate(_) => "calibrate",
            Request::Backup(_) => "backup",
            Request::Quarantine(QuarantineRequest::Replay(_)) => "replay",
            Request::Quarantine(_) => "quarantine",
            Request::DeadLetters(_) => "dead-letters",
            Request::Reload => "reload",
            Request::Scale(_) => "scale",
            Request::RestartWorkers => "restart-workers",
            Request::KillWorker(_) => "kill-worker",
            Request::LogLevel(_) => "log-level",
            Request::Canary(_) => "ping --deep",
            Request::Doctor => "doctor",
        }
    }
}
