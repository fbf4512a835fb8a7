//! Frames: how a message and its payload travel over a socket. The only place that names bincode.
//!
//! ```text
//! ┌──────────────┬──────────────┬─────────────────┬──────────────────────┐
//! │ len: u32 LE  │ head: u32 LE │ message (head B)│ payload (len − head) │
//! └──────────────┴──────────────┴─────────────────┴──────────────────────┘
//! ```
//! `len` counts what follows the eight bytes. The payload is raw and is never re-encoded. Nothing is
//! allocated for a length that was not checked first.

use bytes::{Buf, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::limits::FRAME_BYTES_MAX;

/// Bytes before the message: two lengths.
pub const PREFIX_BYTES: usize = 8;

/// How much a read buffer grows by at least: one read takes many small frames.
pub const READ_BYTES: usize = 64 * 1024;

/// Why bytes are not a frame, or a message does not become one.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// The frame is larger than the receiver accepts.
    #[error("frame of {len} bytes is over the limit of {max} bytes")]
    TooLong {
        /// Length of message and payload.
        len: usize,
        /// The limit in force.
        max: usize,
    },
    /// The message is said to be longer than its frame.
    #[error("a message of {head} bytes does not fit its frame of {len} bytes")]
    HeadTooLong {
        /// Length of the message.
        head: usize,
        /// Length of message and payload.
        len: usize,
    },
    /// The message's bytes are not a message of this protocol.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// The peer went away inside a frame.
    #[error("the peer closed the connection inside a frame")]
    Truncated,
}

/// A frame whose message has not been decoded yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The encoded message.
    pub head: Bytes,
    /// What travels behind it.
    pub payload: Bytes,
}

impl Frame {
    /// Decodes the message.
    ///
    /// # Errors
    /// [`FrameError::Malformed`] when the bytes are not exactly one message.
    pub fn message<M: DeserializeOwned>(&self) -> Result<M, FrameError> {
        decode(&self.head)
    }
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<FRAME_BYTES_MAX>()
}

/// Decodes exactly one value.
///
/// # Errors
/// [`FrameError::Malformed`] when the bytes are not exactly one value.
pub fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, FrameError> {
    decode_borrowed(bytes)
}

/// Decodes a message that may borrow its texts from the bytes.
///
/// # Errors
/// As [`decode`].
pub fn decode_borrowed<'b, M: Deserialize<'b>>(bytes: &'b [u8]) -> Result<M, FrameError> {
    let (value, read) = bincode::serde::borrow_decode_from_slice(bytes, config())
        .map_err(|e| FrameError::Malformed(e.to_string()))?;
    if read == bytes.len() {
        Ok(value)
    } else {
        Err(FrameError::Malformed(format!("{} bytes left over", bytes.len() - read)))
    }
}

/// Encodes one value without a frame, such as the details of a judgment.
///
/// # Errors
/// [`FrameError::Malformed`] when the value cannot be encoded.
pub fn encode<M: Serialize>(value: &M) -> Result<Vec<u8>, FrameError> {
    bincode::serde::encode_to_vec(value, config()).map_err(|e| FrameError::Malformed(e.to_string()))
}

/// Appends a frame without its payload's bytes, which the caller writes next.
///
/// # Errors
/// [`FrameError::TooLong`] when message and payload are over `max` bytes; `out` is left as it was.
pub fn put_head<M: Serialize>(
    message: &M,
    payload_len: usize,
    max: usize,
    out: &mut Vec<u8>,
) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    if let Err(e) = bincode::serde::encode_into_std_write(message, out, config()) {
        out.truncate(start);
        return Err(FrameError::Malformed(e.to_string()));
    }
    let head = out.len() - start - PREFIX_BYTES;
    let len = head + payload_len;
    if len > max {
        out.truncate(start);
        return Err(FrameError::TooLong { len, max });
    }
    out[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&(head as u32).to_le_bytes());
    Ok(())
}

/// Appends a whole frame.
///
/// # Errors
/// [`FrameError::TooLong`] when message and payload are over `max` bytes; `out` is left as it was.
pub fn put<M: Serialize>(
    message: &M,
    payload: &[u8],
    max: usize,
    out: &mut Vec<u8>,
) -> Result<(), FrameError> {
    put_head(message, payload.len(), max, out)?;
    out.extend_from_slice(payload);
    Ok(())
}

/// Takes the first whole frame off the buffer, without copying; `None` when more bytes are needed,
/// for which the buffer has then been given room.
///
/// # Errors
/// The lengths are checked as soon as they are there, before any room is made for what they announce.
pub fn take(buffer: &mut BytesMut, max: usize) -> Result<Option<Frame>, FrameError> {
    let Some((len, head)) = lengths(buffer) else {
        buffer.reserve(READ_BYTES);
        return Ok(None);
    };
    if len > max {
        return Err(FrameError::TooLong { len, max });
    }
    if head > len {
        return Err(FrameError::HeadTooLong { head, len });
    }
    let missing = (PREFIX_BYTES + len).saturating_sub(buffer.len());
    if missing > 0 {
        // Room grows with what really arrives, so that a lying length costs its sender, not us.
        buffer.reserve(missing.min(READ_BYTES.max(buffer.len())));
        return Ok(None);
    }
    buffer.advance(PREFIX_BYTES);
    let head = buffer.split_to(head);
    let payload = buffer.split_to(len - head.len());
    Ok(Some(Frame { head: head.freeze(), payload: payload.freeze() }))
}

/// How long the frame is that the buffer begins with, as far as it has come.
pub fn announced(buffer: &[u8]) -> Option<usize> {
    lengths(buffer).map(|(len, _)| len)
}

fn lengths(buffer: &[u8]) -> Option<(usize, usize)> {
    let (len, rest) = buffer.split_first_chunk::<4>()?;
    let (head, _) = rest.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*len) as usize, u32::from_le_bytes(*head) as usize))
}
