//! The async client: many requests at once over one connection, which is made again when it breaks.
//!
//! A task owns the connection; handles talk to it by messages. A judgment asked for before the connection
//! broke is asked for again under the same task id, which the daemon answers with the same judgment.

mod connection;
mod patience;
pub mod stream;

pub use patience::ANSWER_GRACE;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::codec::FrameError;
use crate::error::TaskError;
use crate::explanation;
use crate::handshake::HandshakeError;
use crate::ids::TaskId;
use crate::judgment::Details;
use crate::message::{Judge, Judged, Pong, RefusalKind, Reply, Request};
use crate::stats::Stats;

use connection::Command;

/// Requests that may wait for the connection's task: enough to fill a socket buffer with small frames,
/// after which callers wait.
const COMMANDS_MAX: usize = 256;

/// Above what a daemon under systemd may take to stop and to start again; meanwhile clients wait in its socket.
const GREETING_TIMEOUT: Duration = Duration::from_mins(1);

/// How a client connects.
#[derive(Debug, Clone)]
pub struct Options {
    /// The daemon's socket.
    pub socket: PathBuf,
    /// How long to wait for the daemon's greeting. Where the service manager holds the socket, that is how long a
    /// restart may take.
    pub greeting_timeout: Duration,
    /// How long to go on trying after a connection broke; zero never tries again.
    pub reconnect_for: Duration,
    /// Largest frame to send or take.
    pub frame_bytes_max: usize,
}

impl Options {
    /// The defaults, for a socket.
    pub fn new(socket: impl Into<PathBuf>) -> Options {
        Options {
            socket: socket.into(),
            greeting_timeout: GREETING_TIMEOUT,
            reconnect_for: Duration::from_secs(10),
            frame_bytes_max: crate::limits::FRAME_BYTES_MAX,
        }
    }
}

/// Why a request had no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens there.
    #[error(
        "no daemon is listening at {}: start it with `systemctl start cynicd` or `cynicd`, \
         or name its socket with --socket or CYNIC_SOCKET", path.display()
    )]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The socket may not be used.
    #[error(
        "not permitted to use {}: ask to be added to the group that owns it (`ls -l {}`)",
        path.display(), path.display()
    )]
    NotPermitted {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The socket failed.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The two sides do not fit each other.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The daemon took the connection and said nothing for as long as was worth waiting.
    #[error(
        "the daemon did not answer within {waited:?}: it hangs, or is starting or ending; `systemctl status cynicd` \
         and `journalctl -u cynicd` say which, and `systemctl restart cynicd` helps one that hangs"
    )]
    NoAnswer {
        /// How long it was waited for.
        waited: Duration,
    },
    /// What came is not a frame, or what should go does not fit one.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The connection broke and could not be made again.
    #[error("lost the connection to the daemon before it answered")]
    Lost,
    /// The daemon refused the request.
    #[error("{message}")]
    Refused {
        /// What kind of refusal.
        kind: RefusalKind,
        /// Why, and what to do.
        message: String,
    },
    /// A reply of another kind than the request's.
    #[error("the daemon answered with something else than was asked for")]
    Unexpected,
}

/// A judgment with its explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The judgment and how it came about.
    pub judged: Judged,
    /// Why it is what it is.
    pub details: Details,
}

/// A judgment whose explanation is not taken out yet: forty strings, which take longer than all else on the client's side.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// The judgment and how it came about.
    pub judged: Judged,
    /// As [`explanation::decode`] reads it.
    pub explanation: Bytes,
}

impl Sealed {
    /// Takes the explanation out.
    ///
    /// # Errors
    /// It is none.
    pub fn open(self) -> Result<Answer, ClientError> {
        let details = explanation::decode(&self.explanation)?.into_owned();
        Ok(Answer { judged: self.judged, details })
    }
}

/// What came of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<A = Answer> {
    /// It was judged.
    Judged(Box<A>),
    /// It passed through under the `null` profile.
    Echoed(TaskId),
    /// It was not.
    Failed {
        /// The task.
        task: TaskId,
        /// Why.
        error: Box<TaskError>,
    },
}

/// A handle to the daemon. Clones share one connection.
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
}

impl Client {
    /// Connects and greets.
    ///
    /// # Errors
    /// No daemon, no permission, another version. Must be called within a tokio runtime.
    pub async fn connect(options: Options) -> Result<Client, ClientError> {
        let opened = connection::open(&options).await?;
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        tokio::spawn(connection::run(options, opened, inbox));
        Ok(Client { commands })
    }

    /// Sends a request and waits for its reply and the payload behind it.
    ///
    /// Dropping the future does not take the request back; see [`Request::Cancel`].
    ///
    /// # Errors
    /// The connection broke (and, for anything but a judgment, was not tried again).
    pub async fn request(
        &self,
        request: Request,
        payload: Bytes,
    ) -> Result<(Reply, Bytes), ClientError> {
        let (reply, answer) = oneshot::channel();
        let command = Command { request, payload, reply };
        self.commands.send(command).await.map_err(|_| ClientError::Lost)?;
        answer.await.map_err(|_| ClientError::Lost)?
    }

    /// Asks for a judgment of an item's bytes.
    ///
    /// # Errors
    /// The daemon could not be asked. A task that was not judged is an [`Outcome`], not an error.
    pub async fn judge(&self, request: Judge, item: Bytes) -> Result<Outcome, ClientError> {
        Ok(match self.judge_sealed(request, item).await? {
            Outcome::Judged(sealed) => Outcome::Judged(Box::new(sealed.open()?)),
            Outcome::Echoed(task) => Outcome::Echoed(task),
            Outcome::Failed { task, error } => Outcome::Failed { task, error },
        })
    }

    /// The same for who wants verdicts, and explanations of few of them or none.
    ///
    /// # Errors
    /// As [`Client::judge`].
    pub async fn judge_sealed(
        &self,
        request: Judge,
        item: Bytes,
    ) -> Result<Outcome<Sealed>, ClientError> {
        match self.request(Request::Judge(request), item).await? {
            (Reply::Judged(judged), explanation) => {
                Ok(Outcome::Judged(Box::new(Sealed { judged: *judged, explanation })))
            }
            (Reply::Echoed(task), _) => Ok(Outcome::Echoed(task)),
            (Reply::Failed { task, error }, _) => Ok(Outcome::Failed { task, error }),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Is the daemon there, and ready?
    ///
    /// # Errors
    /// It could not be asked.
    pub async fn ping(&self) -> Result<Pong, ClientError> {
        match self.request(Request::Ping, Bytes::new()).await? {
            (Reply::Pong(pong), _) => Ok(pong),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// The daemon's figures.
    ///
    /// # Errors
    /// It could not be asked.
    pub async fn stats(&self) -> Result<Stats, ClientError> {
        match self.request(Request::Stats, Bytes::new()).await? {
            (Reply::Stats(stats), _) => Ok(*stats),
            (other, _) => Err(unexpected(other)),
        }
    }
}

/// The error that a reply of an unexpected kind stands for.
pub fn unexpected(reply: Reply) -> ClientError {
    match reply {
        Reply::Refused { kind, message } => ClientError::Refused { kind, message },
        _ => ClientError::Unexpected,
    }
}
