//! Training of the learned evidence and the data it is trained on. Deterministic: same data, same bytes.

pub mod corpus;
pub mod gates;
pub mod logistic;
pub mod order;
pub mod rubric;
pub mod seeds;
pub mod train;
