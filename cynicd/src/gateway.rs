//! Clients: accepts connections, greets, and turns their frames into requests for the hub.
//!
//! A slow, silent or hostile client costs itself its connection and nobody else anything.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use cynic_proto::codec::Frame;
use cynic_proto::handshake::{Hello, Role};
use cynic_proto::limits::HANDSHAKE_TIMEOUT;
use cynic_proto::message::{RefusalKind, Reply, Request, ToClient, ToDaemon};
use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::StreamCommon as _;
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::frames::{Frames, ReadError};
use crate::hub::Input;
use crate::outbox::{Outbox, Socket};
use crate::pool::ClientId;

/// Pause after a failed accept: the usual cause is too many open descriptors, which time may cure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a refused client gets to read why.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another daemon answers there.
    #[error(
        "another daemon is listening at {}: stop it, or give this one another --socket", .0.display()
    )]
    InUse(PathBuf),
    /// Something else has that name.
    #[error("{} exists and is not a socket: remove it, or give another --socket", .0.display())]
    NotASocket(PathBuf),
    /// The socket cannot be made.
    #[error("could not listen at {}: is its directory there, and writable by this user?", path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Who a client is, by the kernel's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user id.
    pub uid: u32,
    /// Its process id; 0 where the kernel does not tell.
    pub pid: u32,
}

/// What happens to a client.
#[derive(Debug)]
pub enum ClientNews {
    /// It greeted. The hub answers through the outbox from now on.
    Connected(Peer, Outbox),
    /// It asks for something.
    Request(Box<ToDaemon>, Bytes),
    /// It has gone; `expelled` tells that it had to.
    Gone {
        /// It broke the protocol or did not read.
        expelled: bool,
    },
}

/// Opens the socket. A stale file is replaced; a living daemon's is not.
///
/// # Errors
/// See [`ListenError`].
pub fn listen(path: &Path, mode: u32) -> Result<Listener, ListenError> {
    let bind_error = |source| ListenError::Bind { path: path.to_owned(), source };
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(bind_error)?;
    }
    remove_stale(path)?;
    let name = path.to_fs_name::<GenericFilePath>().map_err(bind_error)?;
    let options = ListenerOptions::new().name(name).mode(mode);
    options.create_tokio().map_err(bind_error)
}

fn remove_stale(path: &Path) -> Result<(), ListenError> {
    use std::os::unix::fs::FileTypeExt;
    let Ok(meta) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !meta.file_type().is_socket() {
        return Err(ListenError::NotASocket(path.to_owned()));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)
            .map_err(|source| ListenError::Bind { path: path.to_owned(), source }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(ListenError::InUse(path.to_owned())),
    }
}

/// What every connection needs to know.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Where requests go.
    pub hub: mpsc::Sender<Input>,
    /// Largest frame in either direction.
    pub frame_bytes_max: usize,
    /// Connections at once.
    pub clients_max: usize,
}

impl Gateway {
    /// Accepts clients until dropped.
    pub async fn serve(self, listener: Listener) {
        let connected = Rc::new(());
        let mut next = 0;
        loop {
            let stream = match listener.accept().await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "could not accept a client");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            next += 1;
            let (gateway, seat) = (self.clone(), Rc::clone(&connected));
            let full = Rc::strong_count(&connected) > self.clients_max + 1;
            tokio::task::spawn_local(async move {
                gateway.client(ClientId(next), stream, full).await;
                drop(seat);
            });
        }
    }

    async fn client(&self, id: ClientId, stream: Stream, full: bool) {
        let creds = stream.peer_creds().ok();
        let peer = Peer {
            uid: creds.and_then(|c| c.euid()).unwrap_or(u32::MAX),
            pid: creds.and_then(|c| c.pid()).map_or(0, i32::cast_unsigned),
        };
        let socket = Rc::new(Socket::Client(stream));
        let outbox = Outbox::new(Rc::clone(&socket));
        let mut frames = Frames::new(socket, self.frame_bytes_max);
        let flusher = tokio::task::spawn_local({
            let outbox = outbox.clone();
            async move { outbox.run().await }
        });
        let refusal = if full {
            let message = format!(
                "{} clients are connected, which is the limit (clients.max); retry later",
                self.clients_max
            );
            Some((RefusalKind::Unavailable, message))
        } else {
            self.converse(id, peer, &mut frames, &outbox).await
        };
        if let Some((kind, message)) = refusal {
            tracing::debug!(client = id.0, uid = peer.uid, pid = peer.pid, %message, "client refused");
            let farewell = ToClient { seq: 0, reply: Reply::Refused { kind, message } };
            // A farewell that does not fit or is not read is nobody's loss.
            drop(outbox.push(&farewell, &Bytes::new(), self.frame_bytes_max));
            outbox.flush();
            drop(timeout(FAREWELL_TIMEOUT, outbox.drained()).await);
        }
        outbox.close();
        flusher.abort();
    }

    /// Serves one client until it goes. Returns why it is sent away, if it is.
    async fn converse(
        &self,
        id: ClientId,
        peer: Peer,
        frames: &mut Frames,
        outbox: &Outbox,
    ) -> Option<(RefusalKind, String)> {
        match self.greet(frames, outbox).await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(refusal) => return Some(refusal),
        }
        let connected = ClientNews::Connected(peer, outbox.clone());
        self.hub.send(Input::Client(id, connected)).await.ok()?;
        let ended = self.requests(id, frames, outbox).await;
        let refusal = ended.err().map(|error| refusal_of(&error));
        let gone = ClientNews::Gone { expelled: refusal.is_some() };
        self.hub.send(Input::Client(id, gone)).await.ok()?;
        refusal
    }

    /// Returns whether the client is to be served; one that just looks whether somebody listens is not.
    async fn greet(
        &self,
        frames: &mut Frames,
        outbox: &Outbox,
    ) -> Result<bool, (RefusalKind, String)> {
        let handshake = |message: String| (RefusalKind::Handshake, message);
        let first = match timeout(HANDSHAKE_TIMEOUT, frames.next()).await {
            Err(_) => return Err(handshake("no greeting came in time".to_owned())),
            Ok(Err(error)) => return Err(refusal_of(&error)),
            Ok(Ok(None)) => return Ok(false),
            Ok(Ok(Some(frame))) => frame,
        };
        let hello = first.message::<Hello>().map_err(|_| {
            handshake("the first frame is not a greeting of the CYNIC protocol".to_owned())
        })?;
        hello.expect(Role::Client).map_err(|e| handshake(e.to_string()))?;
        outbox
            .push(&Hello::new(Role::Daemon), &Bytes::new(), self.frame_bytes_max)
            .map_err(|e| handshake(e.to_string()))?;
        outbox.flush();
        Ok(true)
    }

    async fn requests(
        &self,
        id: ClientId,
        frames: &mut Frames,
        outbox: &Outbox,
    ) -> Result<(), ReadError> {
        loop {
            // Who does not take answers may not ask more.
            outbox.room().await;
            let frame = tokio::select! {
                frame = frames.next() => frame?,
                () = outbox.closed() => return Ok(()),
            };
            let Some(frame) = frame else { return Ok(()) };
            let request = decode(&frame)?;
            let news = ClientNews::Request(Box::new(request), frame.payload);
            if self.hub.send(Input::Client(id, news)).await.is_err() {
                return Ok(());
            }
        }
    }
}

fn decode(frame: &Frame) -> Result<ToDaemon, ReadError> {
    let message: ToDaemon = frame.message()?;
    if !matches!(message.request, Request::Judge(_)) && !frame.payload.is_empty() {
        let what = "this request carries no payload".to_owned();
        return Err(cynic_proto::codec::FrameError::Malformed(what).into());
    }
    Ok(message)
}

fn refusal_of(error: &ReadError) -> (RefusalKind, String) {
    let kind = match error {
        ReadError::Frame(cynic_proto::codec::FrameError::TooLong { .. }) => RefusalKind::TooLarge,
        _ => RefusalKind::Malformed,
    };
    (kind, error.to_string())
}
