//! The write side of one connection: what is to be sent, and a task that sends what the socket did not take
//! at once.
//!
//! Pushing never waits. Whoever produces for it looks at [`Outbox::is_high`] and slows down by itself.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use cynic_proto::codec::{self, FrameError};
use cynic_proto::stream::Stream;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Payloads up to this size are copied behind their message: cheaper than another piece to write.
const COPY_BYTES_MAX: usize = 4096;

/// Bytes waiting above which a peer is not reading as fast as it asks.
const HIGH_BYTES: usize = 1024 * 1024;

/// How long a peer may take nothing at all before it is given up: longer than any pause of a live program
/// that a local socket's buffer does not hide.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Pieces that one system call takes.
const PIECES_MAX: usize = 16;

/// What waits to be sent on a socket. Clones are the same outbox.
#[derive(Debug, Clone)]
pub struct Outbox(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    socket: Rc<Stream>,
    /// Whole pieces, before `tail`.
    pieces: RefCell<VecDeque<Bytes>>,
    /// Small frames, one behind another.
    tail: RefCell<Vec<u8>>,
    bytes: Cell<usize>,
    closed: Cell<bool>,
    /// Requests that were refused for want of room since the peer was last read from.
    refused: Cell<u32>,
    /// Something could not be sent at once.
    blocked: Notify,
    /// Something was sent, or the outbox was closed.
    moved: Notify,
}

impl Outbox {
    /// An empty outbox. Its flusher must be run beside it; see [`Outbox::run`].
    pub fn new(socket: Rc<Stream>) -> Outbox {
        Outbox(Rc::new(Inner {
            socket,
            pieces: RefCell::default(),
            tail: RefCell::default(),
            bytes: Cell::new(0),
            closed: Cell::new(false),
            refused: Cell::new(0),
            blocked: Notify::new(),
            moved: Notify::new(),
        }))
    }

    /// Puts a frame in; it is sent by the next [`Outbox::flush`].
    ///
    /// # Errors
    /// The frame is over the limit.
    pub fn push<M: Serialize>(
        &self,
        message: &M,
        payload: &Bytes,
        max: usize,
    ) -> Result<(), FrameError> {
        self.push_pieces(message, std::slice::from_ref(payload), max)
    }

    /// Puts a frame in whose payload is in pieces.
    ///
    /// # Errors
    /// The frame is over the limit.
    pub fn push_pieces<M: Serialize>(
        &self,
        message: &M,
        payload: &[Bytes],
        max: usize,
    ) -> Result<(), FrameError> {
        if self.0.closed.get() {
            return Ok(());
        }
        let mut tail = self.0.tail.borrow_mut();
        let before = tail.len();
        let payload_bytes = payload.iter().map(Bytes::len).sum();
        codec::put_head(message, payload_bytes, max, &mut tail)?;
        let head = tail.len() - before;
        for piece in payload {
            if piece.len() <= COPY_BYTES_MAX {
                tail.extend_from_slice(piece);
            } else {
                let mut pieces = self.0.pieces.borrow_mut();
                pieces.push_back(Bytes::from(std::mem::take(&mut *tail)));
                pieces.push_back(piece.clone());
            }
        }
        self.0.bytes.set(self.0.bytes.get() + head + payload_bytes);
        Ok(())
    }

    /// Notes that a request of the peer's was refused for want of room.
    pub fn note_refusal(&self) {
        self.0.refused.set(self.0.refused.get().saturating_add(1));
    }

    /// How many requests were refused so since this was last asked.
    pub fn take_refusals(&self) -> u32 {
        self.0.refused.take()
    }

    /// Sends what the socket takes now; the rest is the flusher's.
    pub fn flush(&self) {
        match self.send() {
            Ok(true) => {}
            Ok(false) => self.0.blocked.notify_one(),
            Err(_) => self.close(),
        }
    }

    /// Returns whether everything was sent.
    fn send(&self) -> io::Result<bool> {
        let stream = &self.0.socket;
        let mut pieces = self.0.pieces.borrow_mut();
        let mut tail = self.0.tail.borrow_mut();
        let mut left = self.0.bytes.get();
        while left > 0 {
            let written = if pieces.is_empty() {
                stream.try_write(&tail)
            } else {
                let mut slices = Vec::with_capacity(PIECES_MAX);
                slices.extend(pieces.iter().take(PIECES_MAX - 1).map(|piece| IoSlice::new(piece)));
                if pieces.len() < PIECES_MAX {
                    slices.push(IoSlice::new(&tail));
                }
                stream.try_write_vectored(&slices)
            };
            match written {
                Ok(written) => {
                    left -= written;
                    advance(&mut pieces, &mut tail, written);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        self.0.bytes.set(left);
        self.0.moved.notify_waiters();
        Ok(left == 0)
    }

    /// Sends what could not be sent at once, until the peer is gone or takes nothing for too long.
    pub async fn run(&self) {
        loop {
            self.0.blocked.notified().await;
            while !self.0.closed.get() && self.0.bytes.get() > 0 {
                let writable = timeout(STALL_TIMEOUT, self.0.socket.writable()).await;
                let sent = match writable {
                    Ok(Ok(())) => self.send(),
                    _ => Err(io::ErrorKind::TimedOut.into()),
                };
                if sent.is_err() {
                    self.close();
                }
            }
            if self.0.closed.get() {
                return;
            }
        }
    }

    /// Whether the peer does not read as fast as it asks.
    pub fn is_high(&self) -> bool {
        self.0.bytes.get() > HIGH_BYTES
    }

    /// Waits until the peer has read on, or the outbox is closed.
    pub async fn room(&self) {
        while self.is_high() && !self.0.closed.get() {
            self.0.moved.notified().await;
        }
    }

    /// Waits until everything is sent, or the outbox is closed.
    pub async fn drained(&self) {
        while self.0.bytes.get() > 0 && !self.0.closed.get() {
            self.0.moved.notified().await;
        }
    }

    /// Waits until the outbox is closed.
    pub async fn closed(&self) {
        while !self.0.closed.get() {
            self.0.moved.notified().await;
        }
    }

    /// Drops what is left and takes nothing more.
    pub fn close(&self) {
        self.0.closed.set(true);
        self.0.pieces.borrow_mut().clear();
        self.0.tail.borrow_mut().clear();
        self.0.bytes.set(0);
        self.0.moved.notify_waiters();
        self.0.blocked.notify_one();
    }
}

fn advance(pieces: &mut VecDeque<Bytes>, tail: &mut Vec<u8>, mut written: usize) {
    while let Some(first) = pieces.front_mut() {
        if written < first.len() {
            return first.advance(written);
        }
        written -= first.len();
        pieces.pop_front();
    }
    if written == tail.len() {
        tail.clear();
    } else if written > 0 {
        let rest = Bytes::from(std::mem::take(tail)).slice(written..);
        pieces.push_back(rest);
    }
}
