//! Ordinary items, and the configuration of the daemons that judge them.

use std::path::Path;

/// What the daemons of these tests are told. The hard deadline is far above what an item takes and low enough
/// that a hang is over soon.
pub(crate) fn config(worker: &Path) -> String {
    format!(
        "[pool]\nsize = 2\nworker = \"{}\"\nstart_timeout_ms = 1000\nheartbeat_interval_ms = 500\n\
         heartbeat_timeout_ms = 500\n[deadlines]\nsoft_ms = 250\nhard_ms = 600\n",
        worker.display()
    )
}

/// An ordinary item, a different one for each number.
pub(crate) fn ordinary(n: u64) -> Vec<u8> {
    let content = format!("Meeting {n} moved to {} o'clock; the agenda is unchanged.", n % 24);
    format!(r#"{{"type":"text","content":"{content}"}}"#).into_bytes()
}

/// An item larger than the buffers of a socket.
pub(crate) fn large() -> Vec<u8> {
    let content = "The quick brown fox jumps over the lazy dog. ".repeat(24 << 10);
    format!(r#"{{"type":"text","content":"{content}"}}"#).into_bytes()
}
