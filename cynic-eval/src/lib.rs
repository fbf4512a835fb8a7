//! How well a judge tells good from bad: labelled data in, figures and reports out.
//!
//! Knows judgments, never judges: the caller sends the items to a judge and hands the answers to
//! [`Collector`]. Reads only the readers it is given and writes nothing.

pub mod dataset;
pub mod evaluation;
pub mod metrics;
pub mod report;

pub use dataset::{DatasetError, Label, Labelled, Pair, Record};
pub use evaluation::{Collector, Evaluation, Failure, Judged, JudgedPair};
