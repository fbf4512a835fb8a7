//! The read side of one connection: whole frames off a socket.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cynic_proto::codec::{self, Frame, FrameError};
use cynic_proto::stream::Stream;
use tokio::time::{Instant, timeout_at};

use crate::arriving::{Arriving, Claim};

/// Payloads up to this size get memory of their own, so that one that waits long does not keep the whole
/// read buffer that it came in: several times as much.
const COPY_BYTES_MAX: usize = codec::READ_BYTES / 2;

/// How long a frame may take from its first bytes to its last: a live peer writes it in one go.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there are no more frames.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// What came is not a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The peer stopped inside a frame, or sends it by drops.
    #[error("the peer sent a part of a frame and not the rest within {} s", FRAME_TIMEOUT.as_secs())]
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
    /// Where large frames need room, and whose they are.
    arriving: Option<(Rc<Arriving>, u32)>,
    /// The room of the frame that is being read, and that of the one before.
    claim: Option<Claim>,
    given: Option<Claim>,
}

impl Frames {
    /// Reads frames of at most that size.
    pub(crate) fn new(socket: Rc<Stream>, frame_bytes_max: usize) -> Frames {
        let buffer = BytesMut::new();
        Frames { socket, buffer, frame_bytes_max, arriving: None, claim: None, given: None }
    }

    /// From now on frames may have that size. Large ones wait for room among all that arrive.
    pub(crate) fn admit(&mut self, frame_bytes_max: usize, arriving: Rc<Arriving>, uid: u32) {
        self.frame_bytes_max = frame_bytes_max;
        self.arriving = Some((arriving, uid));
    }

    /// The next frame; `None` when the peer has closed between two. Cancel safe. The room of the one before is given back:
    /// it is whoever's by now that counts it among what waits.
    ///
    /// # Errors
    /// Not a frame, one that does not come to its end, or a failing socket.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, ReadError> {
        self.given = None;
        // While nobody reads it is not the peer that is slow.
        let mut until = None;
        loop {
            if let Some(frame) = self.buffered()? {
                self.given = self.claim.take();
                return Ok(Some(frame));
            }
            if let Some(claim) = self.wanted_room() {
                self.claim = Some(claim.await);
                until = None;
            }
            match self.read() {
                Ok(0) if self.buffer.is_empty() => return Ok(None),
                Ok(0) => return Err(FrameError::Truncated.into()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.readable(&mut until).await?;
                }
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(e) => return Err(ReadError::Io(e)),
            }
        }
    }

    /// The room that the frame in the buffer waits for, if it is large and has none yet.
    fn wanted_room(&self) -> Option<impl Future<Output = Claim> + use<>> {
        let len = codec::announced(&self.buffer).filter(|len| *len > codec::READ_BYTES)?;
        let (arriving, uid) = self.arriving.clone().filter(|_| self.claim.is_none())?;
        Some(async move { arriving.claim(uid, len).await })
    }

    /// The next frame, if it has been read already.
    ///
    /// # Errors
    /// What has been read is not a frame.
    pub(crate) fn buffered(&mut self) -> Result<Option<Frame>, ReadError> {
        let Some(mut frame) = codec::take(&mut self.buffer, self.frame_bytes_max)? else {
            return Ok(None);
        };
        if frame.head.len() + frame.payload.len() > codec::READ_BYTES {
            // Else what comes next, however small, would lie in the room of this one and keep it.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
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

    async fn readable(&self, until: &mut Option<Instant>) -> Result<(), ReadError> {
        let readable = self.socket.readable();
        if self.buffer.is_empty() {
            return readable.await.map_err(ReadError::Io);
        }
        let until = *until.get_or_insert_with(|| Instant::now() + FRAME_TIMEOUT);
        match timeout_at(until, readable).await {
            Ok(ready) => ready.map_err(ReadError::Io),
            Err(_) => Err(ReadError::Stalled),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    const LARGE: usize = 1024 * 1024;

    fn pair() -> (Frames, UnixStream) {
        let (near, far) = UnixStream::pair().expect("a pair");
        let socket = Rc::new(Stream::new(near).expect("registered"));
        (Frames::new(socket, 2 * LARGE), far)
    }

    fn frame(payload: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        codec::put(&7_u8, &vec![7; payload], usize::MAX, &mut bytes).expect("fits");
        bytes
    }

    /// Writes on a thread of its own, as a peer does; gives back the socket.
    fn write(mut far: UnixStream, bytes: Vec<u8>) -> std::thread::JoinHandle<UnixStream> {
        std::thread::spawn(move || {
            far.write_all(&bytes).expect("taken");
            far
        })
    }

    #[tokio::test]
    async fn small_frames_do_not_keep_the_room_of_a_large_one() {
        let (mut frames, far) = pair();
        let writer = write(far, [frame(LARGE), frame(COPY_BYTES_MAX + 1)].concat());
        let large = frames.next().await.expect("a frame").expect("a frame");
        assert_eq!(large.payload.len(), LARGE);
        drop(large);
        let small = frames.next().await.expect("a frame").expect("a frame").payload;
        assert_eq!(small.len(), COPY_BYTES_MAX + 1);
        drop((writer.join().expect("written"), frames));
        // It alone is left of its buffer.
        let room = small.try_into_mut().map(|bytes| bytes.capacity());
        assert!(room.as_ref().is_ok_and(|room| *room < 8 * COPY_BYTES_MAX), "{:?}", room.ok());
    }

    #[tokio::test]
    async fn large_frames_wait_for_room_and_small_ones_do_not() {
        let arriving = Rc::new(Arriving::new(LARGE + 100, LARGE + 100));
        let [(mut one, one_far), (mut two, two_far), (mut three, three_far)] =
            [pair(), pair(), pair()];
        for frames in [&mut one, &mut two, &mut three] {
            frames.admit(2 * LARGE, Rc::clone(&arriving), 1);
        }
        let mut first = frame(LARGE);
        let rest = first.split_off(10);
        let one_far = write(one_far, first).join().expect("written");
        begin(&mut one).await;
        assert!(one.claim.is_some());
        let two_writer = write(two_far, frame(LARGE));
        begin(&mut two).await;
        assert!(two.buffer.len() <= 2 * codec::READ_BYTES && two.claim.is_none());
        let three_writer = write(three_far, frame(100));
        assert!(three.next().await.expect("a frame").is_some(), "small ones need none");
        let one_writer = write(one_far, rest);
        assert!(one.next().await.expect("a frame").is_some());
        assert!(is_pending(&mut two).await, "nobody has taken over the first yet");
        assert!(is_pending(&mut one).await);
        assert!(two.next().await.expect("a frame").is_some());
        for writer in [one_writer, two_writer, three_writer] {
            writer.join().expect("written");
        }
    }

    /// Takes in the first bytes of a frame that is not there yet.
    async fn begin(frames: &mut Frames) {
        while frames.buffer.is_empty() {
            frames.socket.readable().await.expect("readable");
            assert!(is_pending(frames).await);
        }
    }

    /// Whether the next frame is not there yet, having looked once.
    async fn is_pending(frames: &mut Frames) -> bool {
        let mut next = pin!(frames.next());
        poll_fn(|context| Poll::Ready(next.as_mut().poll(context).is_pending())).await
    }
}
