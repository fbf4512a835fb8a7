//! Exit codes: the one list of them, from which the help, the man page and the documents are made.
//!
//! Owns what a code means and which failure gets which. Never prints.

use std::io;
use std::process::ExitCode;

use cynic_proto::client::ClientError;
use cynic_proto::message::RefusalKind;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All that was asked for was done.
    Success = 0,
    /// Something failed: an item that could not be judged, a file that could not be written.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A verdict is as bad as `--fail-on` says, or worse.
    FailOn = 3,
    /// No daemon, or one that cannot judge now.
    Unavailable = 4,
    /// The daemon refused: no permission, another protocol version.
    Refused = 5,
    /// There is no record with that id.
    NotFound = 6,
    /// Interrupted by the user; as a shell reports SIGINT.
    Interrupted = 130,
    /// Nobody reads the output any more; as a shell reports SIGPIPE.
    OutputClosed = 141,
}

impl Exit {
    /// All exit codes.
    pub const ALL: [Exit; 9] = [
        Exit::Success,
        Exit::Failed,
        Exit::Usage,
        Exit::FailOn,
        Exit::Unavailable,
        Exit::Refused,
        Exit::NotFound,
        Exit::Interrupted,
        Exit::OutputClosed,
    ];

    /// What the code means, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Success => "all that was asked for was done",
            Exit::Failed => "something failed, such as an item that could not be judged",
            Exit::Usage => "the command line is wrong",
            Exit::FailOn => "a verdict is as bad as --fail-on says, or worse",
            Exit::Unavailable => "no daemon is running, or it cannot judge now",
            Exit::Refused => "the daemon refused: no permission, or another version",
            Exit::NotFound => "there is no record with that id",
            Exit::Interrupted => "interrupted",
            Exit::OutputClosed => "nobody reads the output any more",
        }
    }

    /// The list that ends the help.
    pub fn list() -> String {
        let lines: Vec<String> = Exit::ALL
            .iter()
            .map(|exit| format!("  {:<4} {}", *exit as u8, exit.meaning()))
            .collect();
        format!("Exit codes:\n{}", lines.join("\n"))
    }

    /// The code that a failure ends the program with.
    pub fn of(failure: &anyhow::Error) -> Exit {
        failure.chain().find_map(of_cause).unwrap_or(Exit::Failed)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// The command line asks for something that makes no sense; the message says what would.
#[derive(Debug)]
pub struct UsageError(pub String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(error) = cause.downcast_ref::<ClientError>() {
        return Some(of_client_error(error));
    }
    if cause.is::<UsageError>() {
        return Some(Exit::Usage);
    }
    let error = cause.downcast_ref::<io::Error>()?;
    (error.kind() == io::ErrorKind::BrokenPipe).then_some(Exit::OutputClosed)
}

fn of_client_error(error: &ClientError) -> Exit {
    match error {
        ClientError::NotRunning { .. }
        | ClientError::Io { .. }
        | ClientError::NoAnswer { .. }
        | ClientError::Lost => Exit::Unavailable,
        ClientError::NotPermitted { .. } | ClientError::Handshake(_) => Exit::Refused,
        ClientError::Refused { kind, .. } => of_refusal(*kind),
        ClientError::Frame(_) | ClientError::Unexpected => Exit::Failed,
    }
}

fn of_refusal(kind: RefusalKind) -> Exit {
    match kind {
        RefusalKind::NotFound => Exit::NotFound,
        RefusalKind::Unavailable => Exit::Unavailable,
        RefusalKind::TooLarge | RefusalKind::Malformed => Exit::Failed,
        RefusalKind::Handshake | RefusalKind::NotPermitted => Exit::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_cause_deep_in_the_chain_decides() {
        let refused =
            ClientError::Refused { kind: RefusalKind::NotFound, message: "no such task".into() };
        let failure = Err::<(), _>(refused).context("could not show it").expect_err("failed");
        assert_eq!(Exit::of(&failure), Exit::NotFound);
        assert_eq!(Exit::of(&anyhow::anyhow!("else")), Exit::Failed);
        let pipe = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(Exit::of(&pipe), Exit::OutputClosed);
    }

    #[test]
    fn codes_are_distinct() {
        let mut codes = Exit::ALL.map(|exit| exit as u8);
        codes.sort_unstable();
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
