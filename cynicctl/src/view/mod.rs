//! How things look: tables, JSON and notes for people. Pure: values in, text out; the caller prints.

mod advice;
pub mod bench;
pub mod calibration;
pub mod dead_letters;
pub mod events;
pub mod explain;
pub mod history;
pub mod influence;
pub mod json;
pub mod judged;
pub mod quarantine;
pub mod show;
pub mod stats;
pub mod style;
pub mod table;

#[cfg(test)]
mod tests;
