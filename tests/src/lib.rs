//! What the tests share: real processes to start, and ways to misbehave.

pub mod attempts;
pub mod faults;
pub mod worker;
