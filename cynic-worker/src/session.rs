//! The worker's conversation with its supervisor: greet, take a lease, answer its items one by one.
//!
//! Synchronous: one lease in hand, no thread but the one. Knows nothing of how an item is judged.

use std::io;
use std::os::fd::AsFd as _;

use bytes::{Bytes, BytesMut};
use cynic_judge::JUDGE_VERSION;
use cynic_proto::codec::{self, FrameError};
use cynic_proto::exit_code;
use cynic_proto::handshake::{HandshakeError, Hello, Role};
use cynic_proto::limits::{ANSWER_BYTES_MAX, LEASE_BYTES_MAX};
use cynic_proto::sandbox::SandboxReport;
use cynic_proto::trust::ParseTrustedKeyError;
use cynic_proto::worker::{FromWorker, Lease, Outcome, PROFILE_NULL, Spent, ToWorker};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::host::{Host, HostError};
use crate::sandbox::SandboxError;

/// Buffered answers above this are sent: more would only grow the buffer.
const OUTBOX_BYTES_HIGH: usize = 32 * 1024;

/// What one read takes at most: a socket buffer's worth of small leases.
const READ_BYTES: usize = 64 * 1024;

/// Memory that one large item left in a buffer is given back above this.
const BUFFER_BYTES_KEPT: usize = 1024 * 1024;

/// Why a worker ends other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The first argument makes no sense to this build.
    #[error("no plan in the first argument: a worker is started by cynicd, not by hand")]
    Plan(#[from] serde_json::Error),
    /// A key that is none.
    #[error(transparent)]
    TrustedKey(#[from] ParseTrustedKeyError),
    /// The sandbox does not hold.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The judge does not judge its canary as it must.
    #[error(transparent)]
    SelfTest(#[from] cynic_judge::SelfTestError),
    /// The host of the scorers could not be set up.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The supervisor is of another version, or is none.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// What came is not a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A lease whose lengths do not add up.
    #[error("the lease's items do not add up to its payload")]
    LeaseLengths,
    /// The socket failed.
    #[error("could not {action} the supervisor's socket")]
    Socket {
        /// What was being done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl SessionError {
    /// The exit code that tells the supervisor.
    pub fn exit_code(&self) -> i32 {
        match self {
            SessionError::Plan(_) | SessionError::TrustedKey(_) => exit_code::USAGE,
            SessionError::Sandbox(_) => exit_code::SANDBOX,
            _ => exit_code::PROTOCOL,
        }
    }
}

/// Waits until there is something to read: the greeting, or the end. The supervisor greets once it has opened what it
/// wants to see of this process. Reads nothing, and leaves a failure to who reads.
pub(crate) fn await_greeting() {
    let stdin = io::stdin();
    let mut socket = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let _ = retry(|| poll(&mut socket, PollTimeout::NONE));
}

/// The socketpair's end that the worker gets as its standard input.
struct Socket {
    stdin: io::Stdin,
    /// What one read may bring; zeroed once, unlike room made in `inbox`.
    scratch: Box<[u8]>,
    inbox: BytesMut,
    outbox: Vec<u8>,
}

impl Socket {
    /// The next frame; `None` when the supervisor is gone or has no more for us.
    fn receive(&mut self) -> Result<Option<codec::Frame>, SessionError> {
        loop {
            if let Some(frame) = codec::take(&mut self.inbox, LEASE_BYTES_MAX)? {
                return Ok(Some(frame));
            }
            let read = retry(|| nix::unistd::read(&self.stdin, &mut self.scratch));
            let read =
                read.map_err(|source| SessionError::Socket { action: "read from", source })?;
            match (read, self.inbox.len()) {
                (0, 0) => return Ok(None),
                (0, _) => return Err(FrameError::Truncated.into()),
                _ => self.inbox.extend_from_slice(&self.scratch[..read]),
            }
        }
    }

    fn put(&mut self, message: &FromWorker, payload: &[u8]) -> Result<(), SessionError> {
        Ok(codec::put(message, payload, ANSWER_BYTES_MAX, &mut self.outbox)?)
    }

    /// Sends what is buffered.
    fn flush(&mut self) -> Result<(), SessionError> {
        let mut rest = &self.outbox[..];
        while !rest.is_empty() {
            let written = retry(|| nix::unistd::write(&self.stdin, rest));
            let written =
                written.map_err(|source| SessionError::Socket { action: "write to", source })?;
            rest = &rest[written..];
        }
        self.outbox.clear();
        self.outbox.shrink_to(BUFFER_BYTES_KEPT);
        Ok(())
    }

    /// Gives back what a large item needed.
    fn trim(&mut self) {
        if self.inbox.is_empty() && self.inbox.capacity() > BUFFER_BYTES_KEPT {
            self.inbox = BytesMut::new();
        }
    }
}

fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            outcome => return outcome.map_err(io::Error::from),
        }
    }
}

/// Serves leases until the supervisor is gone.
///
/// # Errors
/// The supervisor broke the protocol, or the socket failed.
pub fn serve(mut host: Host, sandbox: &SandboxReport) -> Result<(), SessionError> {
    let mut socket = Socket {
        stdin: io::stdin(),
        scratch: vec![0; READ_BYTES].into_boxed_slice(),
        inbox: BytesMut::new(),
        outbox: Vec::new(),
    };
    let Some(greeting) = socket.receive()? else { return Ok(()) };
    codec::put(&Hello::new(Role::Worker), &[], ANSWER_BYTES_MAX, &mut socket.outbox)?;
    socket.flush()?;
    greeting.message::<Hello>()?.expect(Role::Daemon)?;
    let ready = FromWorker::Ready { judge_version: JUDGE_VERSION };
    socket.put(&ready, &codec::encode(sandbox)?)?;
    socket.flush()?;
    while let Some(frame) = socket.receive()? {
        match frame.message()? {
            ToWorker::Lease(lease) => work(&mut socket, &mut host, &lease, frame.payload)?,
            ToWorker::Ping(nonce) => socket.put(&FromWorker::Pong(nonce), &[])?,
        }
        socket.flush()?;
        socket.trim();
    }
    Ok(())
}

/// Answers each item of a lease as soon as it is done.
fn work(
    socket: &mut Socket,
    host: &mut Host,
    lease: &Lease,
    mut payload: Bytes,
) -> Result<(), SessionError> {
    for (n, item) in lease.items.iter().enumerate() {
        if item.bytes as usize > payload.len() {
            return Err(SessionError::LeaseLengths);
        }
        let bytes = payload.split_to(item.bytes as usize);
        let done = |outcome, spent| FromWorker::Done {
            nonce: lease.nonce,
            task: item.task,
            outcome,
            spent,
        };
        if item.hint.profile.as_deref() == Some(PROFILE_NULL) {
            // Nothing can go wrong with these, so their answers may wait for one another.
            socket.put(&done(Outcome::Echoed, Spent::default()), &[])?;
            if socket.outbox.len() > OUTBOX_BYTES_HIGH {
                socket.flush()?;
            }
            continue;
        }
        // What is done must not be held back, or lost, by what comes next.
        socket.flush()?;
        let result = host.judge(lease, n, &bytes)?;
        socket.put(&done(result.outcome, result.spent), &result.explanation)?;
    }
    if payload.is_empty() { Ok(()) } else { Err(SessionError::LeaseLengths) }
}
