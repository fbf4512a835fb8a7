//! Wire types, ids, limits, codec and client of the CYNIC judgment daemon.
//!
//! The vocabulary that every other crate shares. Nothing here scores an item or touches a database; only
//! `client` and `stream` (features) do I/O.

pub mod access;
pub mod calibration;
pub mod canary;
#[cfg(feature = "client")]
pub mod client;
pub mod codec;
pub mod dead_letters;
pub mod error;
pub mod event;
pub mod exit_code;
pub mod explanation;
pub mod finding;
pub mod handshake;
pub mod history;
pub mod ids;
pub mod item;
pub mod judgment;
pub mod limits;
pub mod message;
pub mod model;
pub mod progress;
pub mod quarantine;
pub mod sandbox;
pub mod socket;
pub mod stats;
#[cfg(feature = "stream")]
pub mod stream;
pub mod trust;
mod wordings;
pub mod worker;
