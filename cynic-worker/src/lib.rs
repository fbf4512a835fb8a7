//! The worker: one sandboxed process that judges one lease at a time.
//!
//! Never opens a file or a connection: its whole world is one socket, one progress page and its own memory.

pub mod memory;
pub mod progress;
pub mod sandbox;
