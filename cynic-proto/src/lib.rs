//! Wire types, ids, limits, codec and client of the CYNIC judgment daemon.
//!
//! The vocabulary that every other crate shares. Nothing here scores an item or touches a database; only
//! `client` (a feature) does I/O.

#[cfg(feature = "client")]
pub mod client;
pub mod codec;
pub mod error;
pub mod exit_code;
pub mod handshake;
pub mod history;
pub mod ids;
pub mod item;
pub mod judgment;
pub mod limits;
pub mod message;
pub mod model;
pub mod progress;
pub mod sandbox;
pub mod socket;
pub mod stats;
pub mod worker;
