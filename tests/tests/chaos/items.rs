//! Ordinary items, and the configuration of the daemons that judge them.

use std::path::Path;

pub(crate) use cynic_tests::load::ordinary;

/// What the daemons of these tests are told. No clock in it is short enough to run out because the machine does
/// other things too; no dimension is left out, since all faults are in the same one.
pub(crate) fn config(worker: &Path) -> String {
    config_with(worker, 2000, 20_000, "dimension_failures_max = 0")
}

/// The same with a hard deadline that a hang meets soon, for tests that wait for that.
pub(crate) fn impatient_config(worker: &Path) -> String {
    config_with(worker, 1000, 1500, "dimension_failures_max = 0")
}

/// The same with other budgets, in milliseconds, and more lines for `[pool]`.
pub(crate) fn config_with(worker: &Path, soft_ms: u32, hard_ms: u32, pool: &str) -> String {
    format!(
        "[pool]\nsize = 2\nworker = \"{}\"\nstart_timeout_ms = 2000\nheartbeat_interval_ms = 500\n\
         heartbeat_timeout_ms = 20000\n{pool}\n[deadlines]\nsoft_ms = {soft_ms}\nhard_ms = {hard_ms}\n",
        worker.display()
    )
}

/// An item larger than the buffers of a socket.
pub(crate) fn large() -> Vec<u8> {
    let content = "The quick brown fox jumps over the lazy dog. ".repeat(8 << 10);
    format!(r#"{{"type":"text","content":"{content}"}}"#).into_bytes()
}
