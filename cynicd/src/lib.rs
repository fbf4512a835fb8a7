//! The supervisor of the CYNIC judgment daemon: hands opaque items to isolated workers and their judgments
//! to clients and the store. It never parses an item and never links the judge.

pub mod access;
pub mod arriving;
pub mod bus;
pub mod calibration;
mod causes;
pub mod config;
mod frames;
pub mod gateway;
pub mod hub;
pub mod journal;
pub mod link;
pub mod manager;
pub mod metrics;
pub mod outbox;
pub mod pool;
pub mod process;
pub mod quarantine;
pub mod recorder;
pub mod seats;
pub mod service;
pub mod traces;
