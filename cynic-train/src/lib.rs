//! Training of the learned evidence and the data it is trained on. Deterministic: same data, same bytes.

pub mod corpus;
pub mod gates;
pub mod train;
