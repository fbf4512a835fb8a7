//! Wire types, ids, limits, codec and client of the CYNIC judgment daemon.

pub mod codec;
pub mod death;
pub mod error;
pub mod handshake;
pub mod ids;
pub mod item;
pub mod judgment;
pub mod limits;
pub mod message;
pub mod model;
pub mod progress;
pub mod sandbox;
pub mod stats;
pub mod worker;
