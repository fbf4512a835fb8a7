//! One connection to the daemon and the task that owns it. Knows nothing of what requests mean, except
//! that a judgment may be asked for twice.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use interprocess::local_socket::tokio::Stream as LocalStream;
use interprocess::local_socket::traits::tokio::Stream as _;
use interprocess::local_socket::{GenericFilePath, ToFsName};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::patience::left_of;
use super::{ClientError, Options};
use crate::codec::{self, Frame, FrameError};
use crate::error::{ErrorKind, TaskError};
use crate::explanation;
use crate::handshake::{Hello, Role};
use crate::item::ItemErrorKind;
use crate::message::{RefusalKind, Reply, Request, ToClient, ToDaemon};
use crate::stream::Stream;

/// Pause between attempts to connect again: short, because a restarting daemon is back in milliseconds.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Bytes waiting to be written above which no more requests are taken from callers.
const OUTBOX_BYTES_HIGH: usize = 1024 * 1024;

type ReplySender = oneshot::Sender<Result<(Reply, Bytes), ClientError>>;

#[derive(Debug)]
pub(super) struct Command {
    pub(super) request: Request,
    pub(super) payload: Bytes,
    pub(super) reply: ReplySender,
}

/// How often a greeting that was cut off is tried again: a daemon that ends takes connections to its last moment, and
/// behind the service manager's socket the next one is there already. Nothing was asked yet.
const CUT_OFF_MAX: u32 = 3;

/// A connection that has been greeted, and the largest frame that the daemon takes.
pub(super) type Opened = (Stream, usize);

/// Connects and greets.
pub(super) async fn open(options: &Options) -> Result<Opened, ClientError> {
    let mut cut_off = 0;
    loop {
        match open_once(options).await {
            Err(error) if cut_off < CUT_OFF_MAX && is_cut_off(&error) => {
                cut_off += 1;
                sleep(RECONNECT_PAUSE).await;
            }
            done => return done,
        }
    }
}

/// Whether the peer has closed before it greeted.
fn is_cut_off(error: &ClientError) -> bool {
    match error {
        ClientError::Frame(error) => matches!(error, FrameError::Truncated),
        ClientError::Io { source, .. } => {
            matches!(source.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
        }
        _ => false,
    }
}

async fn open_once(options: &Options) -> Result<Opened, ClientError> {
    let path = &options.socket;
    let io_error = |action| {
        let path = path.clone();
        move |source| ClientError::Io { action, path, source }
    };
    let name = path.as_path().to_fs_name::<GenericFilePath>().map_err(io_error("name"))?;
    let LocalStream::UdSocket(socket) =
        LocalStream::connect(name).await.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning { path: path.clone(), source }
            }
            io::ErrorKind::PermissionDenied => {
                ClientError::NotPermitted { path: path.clone(), source }
            }
            _ => ClientError::Io { action: "connect to", path: path.clone(), source },
        })?;
    let stream = OwnedFd::try_from(socket).and_then(Stream::new).map_err(io_error("use"))?;
    match timeout(options.greeting_timeout, greet(&stream, options)).await {
        Ok(greeted) => greeted.map(|takes_bytes_max| (stream, takes_bytes_max)),
        Err(_) => Err(ClientError::NoAnswer { waited: options.greeting_timeout }),
    }
}

/// Returns the largest frame that the daemon takes.
async fn greet(stream: &Stream, options: &Options) -> Result<usize, ClientError> {
    let failed = |action| {
        let path = options.socket.clone();
        move |source| ClientError::Io { action, path, source }
    };
    let mut out = Vec::new();
    let known = codec::encode(&explanation::WORDINGS)?;
    codec::put(&Hello::new(Role::Client), &known, options.frame_bytes_max, &mut out)?;
    let mut out = Bytes::from(out);
    while out.has_remaining() {
        match stream.try_write(&out) {
            Ok(n) => out.advance(n),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                stream.writable().await.map_err(failed("write to"))?;
            }
            Err(e) => return Err(failed("write to")(e)),
        }
    }
    // Read no further than the greeting: what follows belongs to the pump.
    let mut buffer = BytesMut::new();
    loop {
        if let Some(frame) = codec::take(&mut buffer, options.frame_bytes_max)? {
            let takes_bytes_max = accept_greeting(&frame)?;
            return Ok(takes_bytes_max.min(options.frame_bytes_max));
        }
        stream.readable().await.map_err(failed("read from"))?;
        match stream.try_read(&mut buffer) {
            Ok(0) => return Err(FrameError::Truncated.into()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(failed("read from")(e)),
        }
    }
}

fn accept_greeting(frame: &Frame) -> Result<usize, ClientError> {
    if let Ok(hello) = frame.message::<Hello>() {
        hello.expect(Role::Daemon)?;
        return Ok(match &frame.payload[..] {
            [] => usize::MAX,
            limit => usize::try_from(codec::decode::<u32>(limit)?).unwrap_or(usize::MAX),
        });
    }
    // A daemon that refuses us says why in place of a greeting.
    match frame.message::<ToClient>()?.reply {
        Reply::Refused { kind, message } => Err(ClientError::Refused { kind, message }),
        _ => Err(ClientError::Unexpected),
    }
}

/// Whether trying again to connect is of no use.
fn is_final(error: &ClientError) -> bool {
    match error {
        ClientError::Handshake(_) | ClientError::NotPermitted { .. } => true,
        ClientError::Refused { kind, .. } => *kind != RefusalKind::Unavailable,
        _ => false,
    }
}

/// The same error for another who waits. System errors have no copy but their kind.
fn again(error: &ClientError) -> ClientError {
    match error {
        ClientError::Handshake(e) => ClientError::Handshake(e.clone()),
        ClientError::NotPermitted { path, source } => {
            ClientError::NotPermitted { path: path.clone(), source: source.kind().into() }
        }
        ClientError::Refused { kind, message } => {
            ClientError::Refused { kind: *kind, message: message.clone() }
        }
        _ => ClientError::Lost,
    }
}

/// What is in flight on a connection, by request number.
struct InFlight {
    request: Request,
    payload: Bytes,
    reply: ReplySender,
    sent_at: Instant,
}

struct Pump {
    options: Options,
    /// The largest frame that the daemon takes.
    takes_bytes_max: usize,
    next_seq: u64,
    in_flight: HashMap<u64, InFlight>,
    outbox: BytesMut,
    inbox: BytesMut,
}

/// Runs until the last handle is gone or the connection cannot be made again.
pub(super) async fn run(options: Options, opened: Opened, mut commands: mpsc::Receiver<Command>) {
    let (mut stream, takes_bytes_max) = opened;
    let mut pump = Pump {
        options,
        takes_bytes_max,
        next_seq: 1,
        in_flight: HashMap::new(),
        outbox: BytesMut::new(),
        inbox: BytesMut::new(),
    };
    loop {
        match pump.drive(&stream, &mut commands).await {
            Ok(()) => return,
            Err(ClientError::Frame(e)) => return pump.fail_all(|| ClientError::Frame(e.clone())),
            Err(ClientError::Refused { kind, message }) => {
                return pump.fail_all(|| ClientError::Refused { kind, message: message.clone() });
            }
            Err(_) => {}
        }
        match pump.reconnect().await {
            Ok(again) => stream = again,
            Err(error) => return pump.fail_all(|| again(&error)),
        }
    }
}

/// What is answered to a request that fits no frame: an item that is too large fails alone.
fn unsent(request: &Request, error: FrameError) -> Result<(Reply, Bytes), ClientError> {
    match (request, error) {
        (Request::Judge(judge), FrameError::TooLong { len, max }) => {
            let message = format!(
                "the item takes a frame of {len} bytes, and the daemon takes {max} at most \
                 (`clients.frame_bytes_max`): shorten it, or send it in parts"
            );
            let kind = ErrorKind::InvalidItem(ItemErrorKind::TooLarge);
            let error = TaskError { kind, message, deaths: Vec::new(), retry_after_ms: None };
            Ok((Reply::Failed { task: judge.task, error: Box::new(error) }, Bytes::new()))
        }
        (_, error) => Err(error.into()),
    }
}

impl Pump {
    /// Moves bytes until the handles are gone (`Ok`) or the connection breaks.
    async fn drive(
        &mut self,
        stream: &Stream,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Result<(), ClientError> {
        let broke = |_| ClientError::Lost;
        loop {
            let idle = self.in_flight.is_empty() && self.outbox.is_empty();
            tokio::select! {
                command = commands.recv(), if self.outbox.len() < OUTBOX_BYTES_HIGH => match command {
                    Some(command) => self.send(command),
                    None if idle => return Ok(()),
                    None => return self.finish(stream).await,
                },
                ready = stream.writable(), if !self.outbox.is_empty() => {
                    ready.map_err(broke)?;
                    self.write(stream)?;
                }
                ready = stream.readable() => {
                    ready.map_err(broke)?;
                    self.read(stream)?;
                }
            }
            // Take all that is there before going back to the system.
            while self.outbox.len() < OUTBOX_BYTES_HIGH {
                match commands.try_recv() {
                    Ok(command) => self.send(command),
                    Err(_) => break,
                }
            }
            self.write(stream)?;
        }
    }

    /// The handles are gone, but answers are awaited.
    async fn finish(&mut self, stream: &Stream) -> Result<(), ClientError> {
        while !(self.in_flight.is_empty() && self.outbox.is_empty()) {
            self.write(stream)?;
            if self.in_flight.values().all(|waiting| waiting.reply.is_closed()) {
                return Ok(());
            }
            stream.readable().await.map_err(|_| ClientError::Lost)?;
            self.read(stream)?;
        }
        Ok(())
    }

    fn send(&mut self, command: Command) {
        let Command { request, payload, reply } = command;
        let seq = self.next_seq;
        self.next_seq += 1;
        match self.encode(seq, &request, &payload) {
            Ok(()) => {
                self.in_flight
                    .insert(seq, InFlight { request, payload, reply, sent_at: Instant::now() });
            }
            Err(error) => drop(reply.send(unsent(&request, error))),
        }
    }

    fn encode(&mut self, seq: u64, request: &Request, payload: &[u8]) -> Result<(), FrameError> {
        let mut frame = Vec::with_capacity(128 + payload.len());
        let message = ToDaemon { seq, request: request.clone() };
        codec::put(&message, payload, self.takes_bytes_max, &mut frame)?;
        self.outbox.extend_from_slice(&frame);
        Ok(())
    }

    fn write(&mut self, stream: &Stream) -> Result<(), ClientError> {
        while !self.outbox.is_empty() {
            match stream.try_write(&self.outbox) {
                Ok(n) => self.outbox.advance(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Err(ClientError::Lost),
            }
        }
        Ok(())
    }

    fn read(&mut self, stream: &Stream) -> Result<(), ClientError> {
        loop {
            while let Some(frame) = codec::take(&mut self.inbox, self.options.frame_bytes_max)? {
                self.settle(&frame)?;
            }
            match stream.try_read(&mut self.inbox) {
                Ok(0) => return Err(ClientError::Lost),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(ClientError::Lost),
            }
        }
    }

    fn settle(&mut self, frame: &Frame) -> Result<(), ClientError> {
        let ToClient { seq, reply } = frame.message()?;
        if let Some(waiting) = self.in_flight.remove(&seq) {
            // The caller may have stopped waiting; that is its right.
            drop(waiting.reply.send(Ok((reply, frame.payload.clone()))));
        } else if let Reply::Refused { kind, message } = reply {
            // It belongs to no request: the daemon is about to hang up on us.
            return Err(ClientError::Refused { kind, message });
        }
        Ok(())
    }

    /// Makes the connection again and asks again for the judgments that were in flight.
    ///
    /// # Errors
    /// Nobody answered in time, or somebody did who will not take this client however often it asks.
    async fn reconnect(&mut self) -> Result<Stream, ClientError> {
        let until = Instant::now() + self.options.reconnect_for;
        self.outbox.clear();
        self.inbox.clear();
        let in_flight = std::mem::take(&mut self.in_flight);
        let (again, lost): (Vec<_>, Vec<_>) =
            in_flight.into_iter().partition(|(_, w)| matches!(w.request, Request::Judge(_)));
        for (_, waiting) in lost {
            drop(waiting.reply.send(Err(ClientError::Lost)));
        }
        self.in_flight = again.into_iter().collect();
        while Instant::now() < until {
            match open(&self.options).await {
                Ok((stream, takes_bytes_max)) => {
                    self.takes_bytes_max = takes_bytes_max;
                    self.ask_again();
                    return Ok(stream);
                }
                Err(error) if is_final(&error) => return Err(error),
                Err(_) => sleep(RECONNECT_PAUSE).await,
            }
        }
        Err(ClientError::Lost)
    }

    fn ask_again(&mut self) {
        let mut again: Vec<(u64, InFlight)> =
            std::mem::take(&mut self.in_flight).into_iter().collect();
        again.sort_by_key(|(seq, _)| *seq);
        for (seq, mut waiting) in again {
            if let Request::Judge(judge) = &mut waiting.request {
                judge.retry = true;
                judge.deadline_ms = left_of(judge.deadline_ms, waiting.sent_at.elapsed());
                waiting.sent_at = Instant::now();
            }
            match self.encode(seq, &waiting.request.clone(), &waiting.payload.clone()) {
                Ok(()) => {
                    self.in_flight.insert(seq, waiting);
                }
                Err(error) => drop(waiting.reply.send(unsent(&waiting.request, error))),
            }
        }
    }

    fn fail_all(&mut self, error: impl Fn() -> ClientError) {
        for (_, waiting) in self.in_flight.drain() {
            drop(waiting.reply.send(Err(error())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TaskId;
    use crate::item::Hint;
    use crate::message::{Ack, Judge, Lane};

    /// A daemon that comes back late owes no answer that the client has given up.
    #[tokio::test]
    async fn what_is_asked_for_again_has_what_is_left_of_its_deadline() {
        let mut pump = Pump {
            takes_bytes_max: usize::MAX,
            options: Options::new("unused"),
            next_seq: 1,
            in_flight: HashMap::new(),
            outbox: BytesMut::new(),
            inbox: BytesMut::new(),
        };
        let passed = Duration::from_secs(3);
        let sent_at = Instant::now().checked_sub(passed).expect("a machine up for that long");
        for (seq, deadline_ms) in [(1, None), (2, Some(60_000)), (3, Some(1000))] {
            let request = Request::Judge(Judge {
                task: TaskId(seq.into()),
                retry: false,
                lane: Lane::Bulk,
                ack: Ack::Judged,
                deadline_ms,
                hint: Hint::default(),
            });
            let (reply, _) = oneshot::channel();
            let waiting = InFlight { request, payload: Bytes::new(), reply, sent_at };
            pump.in_flight.insert(seq, waiting);
        }
        pump.ask_again();
        let mut asked = || {
            let frame = codec::take(&mut pump.outbox, pump.options.frame_bytes_max);
            let message = frame.expect("a frame").expect("a frame").message::<ToDaemon>();
            match message.expect("a request").request {
                Request::Judge(judge) => judge,
                other => panic!("asked for {other:?}"),
            }
        };
        let (without, long, over) = (asked(), asked(), asked());
        assert!(without.retry && without.deadline_ms.is_none(), "{without:?}");
        assert!(long.deadline_ms <= Some(57_000) && long.deadline_ms > Some(1), "{long:?}");
        assert_eq!(over.deadline_ms, Some(1), "the daemon says that it is over");
    }
}
