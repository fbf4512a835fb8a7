//! The read side of one connection: whole frames off a socket.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cynic_proto::codec::{self, Frame, FrameError};
use cynic_proto::stream::Stream;
use tokio::time::timeout;

/// Payloads up to this size get memory of their own, so that one that waits long does not keep the whole
/// read buffer that it came in.
const COPY_BYTES_MAX: usize = 4096;

/// How long a peer may pause inside a frame: a live peer writes a frame in one go.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there are no more frames.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// What came is not a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The peer stopped inside a frame.
    #[error("the peer sent a part of a frame and then nothing for {} s", FRAME_TIMEOUT.as_secs())]
    Stalled,
    /// The socket failed.
    #[error("could not read from the socket")]
    Io(#[source] io::Error),
}

/// Frames of one socket.
#[derive(Debug)]
pub(crate) struct Frames {
    socket: Rc<Stream>,
    buffer: BytesMut,
    frame_bytes_max: usize,
}

impl Frames {
    /// Reads frames of at most that size.
    pub(crate) fn new(socket: Rc<Stream>, frame_bytes_max: usize) -> Frames {
        Frames { socket, buffer: BytesMut::new(), frame_bytes_max }
    }

    /// The next frame; `None` when the peer has closed between two. Cancel safe.
    ///
    /// # Errors
    /// Not a frame, a stall inside of one, or a failing socket.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, ReadError> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(Some(frame));
            }
            match self.read() {
                Ok(0) if self.buffer.is_empty() => return Ok(None),
                Ok(0) => return Err(FrameError::Truncated.into()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.readable().await?,
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(e) => return Err(ReadError::Io(e)),
            }
        }
    }

    /// The next frame, if it has been read already.
    ///
    /// # Errors
    /// What has been read is not a frame.
    pub(crate) fn buffered(&mut self) -> Result<Option<Frame>, ReadError> {
        let Some(mut frame) = codec::take(&mut self.buffer, self.frame_bytes_max)? else {
            return Ok(None);
        };
        if frame.payload.len() <= COPY_BYTES_MAX {
            frame.payload = Bytes::copy_from_slice(&frame.payload);
        }
        Ok(Some(frame))
    }

    /// Takes in what the kernel still holds after the peer's end, without waiting.
    ///
    /// # Errors
    /// What the kernel held is not a frame.
    pub(crate) fn drain(&mut self) -> Result<Option<Frame>, ReadError> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(Some(frame));
            }
            match self.read() {
                Ok(n) if n > 0 => {}
                _ => return Ok(None),
            }
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        self.socket.try_read(&mut self.buffer)
    }

    async fn readable(&self) -> Result<(), ReadError> {
        let readable = self.socket.readable();
        if self.buffer.is_empty() {
            return readable.await.map_err(ReadError::Io);
        }
        match timeout(FRAME_TIMEOUT, readable).await {
            Ok(ready) => ready.map_err(ReadError::Io),
            Err(_) => Err(ReadError::Stalled),
        }
    }
}
