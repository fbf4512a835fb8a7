//! Exit codes of the worker, by which the supervisor tells deaths apart that no signal tells apart.
//!
//! A panic that nothing catches ends a worker with Rust's own 101. A worker may lie about all of them; what
//! depends on them is only how its death is called.

/// The supervisor closed the socket, or asked it to end.
pub const DONE: i32 = 0;
/// Its arguments make no sense (`EX_USAGE`): worker and supervisor are of different builds.
pub const USAGE: i32 = 64;
/// An allocation failed (`EX_OSERR`): it reached the limit on its memory.
pub const MEMORY: i32 = 71;
/// The supervisor sent something that is not a valid frame (`EX_PROTOCOL`).
pub const PROTOCOL: i32 = 76;
/// The sandbox is required and a layer of it is missing (`EX_NOPERM`).
pub const SANDBOX: i32 = 77;
