//! A connected socket, as client and daemon use it: wakes its owner when there is something to read, and for
//! writing only where a write had to wait.
//!
//! tokio's own `UnixStream` waits for both at once, so that every byte that the peer takes wakes the sender: two
//! needless context switches in each round trip. Knows no frames.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::BytesMut;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use tokio::net::unix::pipe;

/// One end of a connection.
///
/// A pipe's reading end is what tokio calls a descriptor that is waited for in one direction; it asks nothing of
/// it that a socket does not do.
#[derive(Debug)]
pub struct Stream(pipe::Receiver);

impl Stream {
    /// Takes over a connected socket. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The runtime or the system does not take the descriptor.
    pub fn new(socket: impl Into<OwnedFd>) -> io::Result<Stream> {
        let socket = socket.into();
        rustix::io::ioctl_fionbio(&socket, true)?;
        pipe::Receiver::from_owned_fd_unchecked(socket).map(Stream)
    }

    /// Waits until [`Stream::try_read`] is worth a try. Cancel safe.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// Reads what is there into the buffer's room; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is there; else what the system says.
    pub fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let mut last = None;
        let read = self.0.try_io(|| {
            let room = buffer.capacity() - buffer.len();
            let read = self.0.try_read_buf(buffer)?;
            if read == 0 || read >= room {
                return Ok(read);
            }
            // That was all: the runtime need not be told so by another read that finds nothing.
            last = Some(read);
            Err(io::ErrorKind::WouldBlock.into())
        });
        last.map_or(read, Ok)
    }

    /// Writes what the socket takes now.
    ///
    /// # Errors
    /// `WouldBlock` where it takes nothing; else what the system says.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    /// The same for pieces, one behind another.
    ///
    /// # Errors
    /// As [`Stream::try_write`].
    pub fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut none = SendAncillaryBuffer::default();
        Ok(rustix::net::sendmsg(&self.0, pieces, &mut none, SendFlags::NOSIGNAL)?)
    }

    /// Waits until the socket takes bytes again, for which it is registered only as long. Cancel safe.
    ///
    /// # Errors
    /// The system has no descriptor left, or the runtime is shutting down.
    pub async fn writable(&self) -> io::Result<()> {
        let socket = self.0.as_fd().try_clone_to_owned()?;
        pipe::Sender::from_owned_fd_unchecked(socket)?.writable().await
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn what_is_sent_is_read_to_its_end() {
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let stream = Stream::new(near).expect("registered");
        let mut buffer = BytesMut::with_capacity(1024);
        let nothing = stream.try_read(&mut buffer).expect_err("nothing is there");
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        for part in [&b"one"[..], b"two"] {
            far.write_all(part).expect("written");
            stream.readable().await.expect("readable");
            assert_eq!(stream.try_read(&mut buffer).expect("read"), 3);
        }
        // The last bytes and the end come as one event.
        far.write_all(b"three").expect("written");
        drop(far);
        stream.readable().await.expect("readable");
        assert_eq!(stream.try_read(&mut buffer).expect("read"), 5);
        stream.readable().await.expect("readable");
        assert_eq!(stream.try_read(&mut buffer).expect("the end"), 0);
        assert_eq!(&buffer[..], b"onetwothree");
    }

    #[tokio::test]
    async fn more_than_fits_the_room_is_read_on() {
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let stream = Stream::new(near).expect("registered");
        far.write_all(&[7; 100]).expect("written");
        let mut read = 0;
        while read < 100 {
            let mut buffer = BytesMut::with_capacity(8);
            stream.readable().await.expect("readable");
            read += stream.try_read(&mut buffer).expect("read");
        }
    }

    #[tokio::test]
    async fn a_full_socket_is_waited_for() {
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let stream = Stream::new(near).expect("registered");
        let piece = [1; 4096];
        let mut written = 0;
        let full = loop {
            match stream.try_write_vectored(&[IoSlice::new(&piece), IoSlice::new(&piece)]) {
                Ok(taken) => written += taken,
                Err(full) => break full,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let reader = std::thread::spawn(move || {
            let mut taken = vec![0; written];
            far.read_exact(&mut taken).map(|()| far)
        });
        stream.writable().await.expect("writable");
        assert!(stream.try_write(b"more").is_ok());
        drop(reader.join().expect("no panic").expect("read"));
        assert!(stream.try_write(b"nobody reads").is_err());
    }
}
