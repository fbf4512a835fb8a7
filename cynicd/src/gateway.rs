//! Clients: accepts connections, greets, and turns their frames into requests for the hub.
//!
//! A slow, silent or hostile client costs itself its connection and nobody else anything.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cynic_proto::codec::{self, Frame, FrameError};
use cynic_proto::handshake::{Hello, Role};
use cynic_proto::limits::{GREETING_BYTES_MAX, HANDSHAKE_TIMEOUT};
use cynic_proto::message::{RefusalKind, Reply, ToClient, ToDaemon};
use cynic_proto::stream;
use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use interprocess::os::unix::uds_local_socket;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::access::{Access, Credentials, Door, Roles};
use crate::arriving::Arriving;
use crate::frames::{Frames, ReadError};
use crate::hub::Input;
use crate::outbox::Outbox;
use crate::pool::ClientId;
use crate::process::peer_groups;
use crate::seats::Seats;

/// Pause after a failed accept: the usual cause is too many open descriptors, which time may cure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The mode of a socket that is not set up yet.
const MODE_PRIVATE: u32 = 0o600;

/// How long a client is not read from for each request that was refused because the queue is full, and for how long at
/// most at once: it is told when to try again, and who does not mind that is refused a thousand times a second.
const REFUSED_PAUSE: Duration = Duration::from_millis(1);
const REFUSED_PAUSE_MAX: Duration = Duration::from_millis(250);

/// How long a refused client gets to read why.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another daemon answers there.
    #[error(
        "another daemon is listening at {}: stop it, or give this one another path (--socket, or the key)", .0.display()
    )]
    InUse(PathBuf),
    /// Something else has that name.
    #[error("{} exists and is not a socket: remove it, or give another path", .0.display())]
    NotASocket(PathBuf),
    /// The socket cannot be given to its group.
    #[error(
        "could not give {} its group and mode: the daemon's user must be a member of that group", path.display()
    )]
    Give {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A socket of the service manager's cannot be used.
    #[error("could not use the socket that the service manager listens at")]
    Adopt(#[source] io::Error),
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

/// Who a client is, by the kernel's word, and what it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user id.
    pub uid: u32,
    /// Its process id; 0 for one in a PID namespace that the daemon cannot see into.
    pub pid: u32,
    /// Its roles.
    pub roles: Roles,
}

/// What happens to a client.
#[derive(Debug)]
pub enum ClientNews {
    /// It greeted. The hub answers through the outbox from now on.
    Connected {
        /// Who it is.
        peer: Peer,
        /// Where answers go.
        outbox: Outbox,
        /// How many wordings of explanations it knows by number.
        wordings: u16,
    },
    /// It asks for something.
    Request(Box<ToDaemon>, Bytes),
    /// It has gone.
    Gone,
}

/// Where to listen, and who may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketFile {
    /// Its path.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// The group that it is given to; unset is the daemon's own.
    pub gid: Option<u32>,
}

/// Opens the socket. A stale file is replaced; a living daemon's is not.
///
/// # Errors
/// See [`ListenError`].
pub fn listen(file: &SocketFile) -> Result<Listener, ListenError> {
    let path = file.path.as_path();
    let bind_error = |source| ListenError::Bind { path: path.to_owned(), source };
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(bind_error)?;
    }
    remove_stale(path)?;
    let name = path.to_fs_name::<GenericFilePath>().map_err(bind_error)?;
    // Nobody else's until it has its group and mode.
    let listener = ListenerOptions::new().name(name).mode(MODE_PRIVATE).create_tokio();
    let listener = listener.map_err(bind_error)?;
    let give = |source| ListenError::Give { path: path.to_owned(), source };
    if file.gid.is_some() {
        chown(path, None, file.gid).map_err(give)?;
    }
    std::fs::set_permissions(path, Permissions::from_mode(file.mode)).map_err(give)?;
    Ok(listener)
}

/// Takes over a socket that the service manager listens at. It stays the manager's: its file is never removed,
/// and clients wait in its backlog while there is no daemon.
///
/// # Errors
/// See [`ListenError`].
pub fn adopt(socket: std::os::unix::net::UnixListener) -> Result<Listener, ListenError> {
    let listener = uds_local_socket::Listener::from(socket);
    let adopted = uds_local_socket::tokio::Listener::try_from(listener);
    adopted.map(Listener::from).map_err(ListenError::Adopt)
}

/// Removes a socket at which nobody listens any more.
///
/// # Errors
/// Somebody does, or it is no socket.
pub fn remove_stale(path: &Path) -> Result<(), ListenError> {
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
#[derive(Debug)]
pub struct Gateway {
    /// Where requests go.
    pub hub: mpsc::Sender<Input>,
    /// Largest frame in either direction.
    pub frame_bytes_max: usize,
    /// Who may what.
    pub access: Access,
    /// Who is connected.
    pub seats: Rc<Seats>,
    /// Room for large frames that are on their way.
    pub arriving: Rc<Arriving>,
}

impl Gateway {
    /// Accepts clients at a socket until dropped.
    pub async fn serve(self: Rc<Gateway>, listener: Listener, door: Door) {
        loop {
            let stream = match listener.accept().await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "could not accept a client");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let gateway = Rc::clone(&self);
            tokio::task::spawn_local(async move {
                let peer = gateway.peer(&stream, door);
                gateway.client(peer, stream, door).await;
            });
        }
    }

    /// Who connected. A peer that the kernel does not name is nobody, and may nothing.
    fn peer(&self, stream: &Stream, door: Door) -> Option<Peer> {
        let Stream::UdSocket(socket) = stream;
        let creds = getsockopt(&socket.inner().as_fd(), PeerCredentials).ok()?;
        let (uid, gid) = (creds.uid(), creds.gid());
        let groups = peer_groups(socket.inner().as_fd()).unwrap_or_else(|error| {
            tracing::warn!(uid, %error, "could not tell a client's groups; going by its user alone");
            Vec::new()
        });
        let daemon_uid = rustix::process::geteuid().as_raw();
        let roles = self.access.roles(&Credentials { uid, gid, groups }, door, daemon_uid);
        Some(Peer { uid, pid: creds.pid().cast_unsigned(), roles })
    }

    async fn client(&self, peer: Option<Peer>, stream: Stream, door: Door) {
        let Stream::UdSocket(socket) = stream;
        let socket = match OwnedFd::try_from(socket).and_then(stream::Stream::new) {
            Ok(socket) => Rc::new(socket),
            Err(error) => return tracing::warn!(%error, "could not take in a client"),
        };
        let seat = self.seats.take(door, peer);
        let lingering = seat.is_err().then(|| self.seats.linger());
        if matches!(lingering, Some(None)) {
            return;
        }
        let outbox = Outbox::new(Rc::clone(&socket));
        let mut frames = Frames::new(socket, GREETING_BYTES_MAX);
        let flusher = tokio::task::spawn_local({
            let outbox = outbox.clone();
            async move { outbox.run().await }
        });
        let refusal = match &seat {
            Ok((peer, _)) => {
                let refusal = self.converse(*peer, &mut frames, &outbox).await;
                if refusal.is_some() {
                    self.seats.expelled();
                }
                refusal
            }
            Err(why) => {
                // Who is hung up on while it greets never reads why.
                drop(timeout(FAREWELL_TIMEOUT, frames.next()).await);
                Some(why.refusal())
            }
        };
        if let Some((kind, message)) = refusal {
            let (uid, pid) = peer.map_or((u32::MAX, 0), |peer| (peer.uid, peer.pid));
            if self.seats.tells(uid, Instant::now()) {
                tracing::warn!(uid, pid, ?door, %message, "connection refused");
            }
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
        peer: Peer,
        frames: &mut Frames,
        outbox: &Outbox,
    ) -> Option<(RefusalKind, String)> {
        let wordings = match self.greet(frames, outbox).await {
            Ok(Some(wordings)) => wordings,
            Ok(None) => return None,
            Err(refusal) => return Some(refusal),
        };
        frames.admit(self.frame_bytes_max, Rc::clone(&self.arriving), peer.uid);
        let id = self.seats.number();
        let connected = ClientNews::Connected { peer, outbox: outbox.clone(), wordings };
        self.hub.send(Input::Client(id, connected)).await.ok()?;
        let ended = self.requests(id, frames, outbox).await;
        let refusal = ended.err().map(|error| refusal_of(&error));
        self.hub.send(Input::Client(id, ClientNews::Gone)).await.ok()?;
        refusal
    }

    /// Returns how many wordings the client knows; `None` for one that just looks whether somebody listens.
    async fn greet(
        &self,
        frames: &mut Frames,
        outbox: &Outbox,
    ) -> Result<Option<u16>, (RefusalKind, String)> {
        let handshake = |message: String| (RefusalKind::Handshake, message);
        let first = match timeout(HANDSHAKE_TIMEOUT, frames.next()).await {
            Err(_) => return Err(handshake("no greeting came in time".to_owned())),
            // What other protocols begin with reads as a length without end.
            Ok(Err(ReadError::Frame(_))) => {
                return Err(handshake("this is not the CYNIC protocol".to_owned()));
            }
            Ok(Err(error)) => return Err(refusal_of(&error)),
            Ok(Ok(None)) => return Ok(None),
            Ok(Ok(Some(frame))) => frame,
        };
        let no_greeting =
            || handshake("the first frame is not a greeting of the CYNIC protocol".to_owned());
        let hello = first.message::<Hello>().map_err(|_| no_greeting())?;
        hello.expect(Role::Client).map_err(|e| handshake(e.to_string()))?;
        let wordings = match &first.payload[..] {
            [] => 0,
            known => codec::decode(known).map_err(|_| no_greeting())?,
        };
        let takes_bytes_max = u32::try_from(self.frame_bytes_max).unwrap_or(u32::MAX);
        codec::encode(&takes_bytes_max)
            .and_then(|limit| {
                outbox.push(&Hello::new(Role::Daemon), &limit.into(), self.frame_bytes_max)
            })
            .map_err(|e| handshake(e.to_string()))?;
        outbox.flush();
        Ok(Some(wordings))
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
            // Nor may who asks on though there is no room: saying no that often would take the time of those let in.
            let refusals = outbox.take_refusals();
            if refusals > 0 {
                sleep((REFUSED_PAUSE * refusals).min(REFUSED_PAUSE_MAX)).await;
            }
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
    if !message.request.takes_payload() && !frame.payload.is_empty() {
        let what = "this request carries no payload".to_owned();
        return Err(FrameError::Malformed(what).into());
    }
    Ok(message)
}

fn refusal_of(error: &ReadError) -> (RefusalKind, String) {
    let kind = match error {
        ReadError::Frame(FrameError::TooLong { .. }) => RefusalKind::TooLarge,
        _ => RefusalKind::Malformed,
    };
    (kind, error.to_string())
}
