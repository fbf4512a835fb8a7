//! The trainer.

use cynic_judge::Weights;

use crate::corpus::{Labelled, Pair};

/// Trains the learned evidence. Call it with one fold left out to judge that fold honestly.
pub fn train(items: &[&Labelled], pairs: &[&Pair]) -> Weights {
    let _ = (items, pairs);
    Weights::untrained()
}
