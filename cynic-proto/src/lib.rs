//! Wire types, ids, limits, codec and client of the CYNIC judgment daemon.

pub mod ids;
pub mod item;
pub mod judgment;
pub mod limits;
pub mod model;
