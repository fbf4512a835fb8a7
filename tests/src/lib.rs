//! What the tests share: real processes to start, and ways to misbehave.

pub mod attempts;
pub mod cli;
pub mod daemon;
pub mod faults;
pub mod load;
pub mod procfs;
pub mod raw;
pub mod scorers;
pub mod worker;
