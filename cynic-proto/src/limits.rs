//! Every limit of the wire, each with the reason for its value.

use std::time::Duration;

/// Largest frame that is accepted unless configured otherwise: holds a 10 MiB item with room to spare,
/// and bounds what one connection can make its peer hold.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the message of a lease may add to its items: they may fill a frame already, and come with their task, their
/// budget and their hint.
pub const LEASE_HEAD_BYTES_MAX: usize = 1024 * 1024;

/// Largest lease that a worker takes.
pub const LEASE_BYTES_MAX: usize = FRAME_BYTES_MAX + LEASE_HEAD_BYTES_MAX;

/// Longest item id that is kept, in bytes: room for any path or URL-like name, too short to smuggle a document.
pub const ITEM_ID_BYTES_MAX: usize = 256;

/// Largest frame that a worker answers with: an explanation of a megabyte, which is ten times as long as any, and as much
/// again. Whatever clients may send and take.
pub const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Longest text of a [`crate::item::Hint`], in bytes: room for any file name and most paths. Hints are kept and travel
/// wherever their items do.
pub const HINT_TEXT_BYTES_MAX: usize = 1024;

/// Largest greeting that the daemon takes: ten times as long as any. Until it has come nobody is known to be a client.
pub const GREETING_BYTES_MAX: usize = 4096;

/// How long the daemon waits for a peer's greeting: a local peer that is alive sends it in microseconds, and one
/// that is overloaded within a second or two.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of a dead worker's standard error is kept in its death record: the end of a panic message
/// or of an allocator's complaint fits in a screenful.
pub const STDERR_TAIL_BYTES_MAX: usize = 2048;
