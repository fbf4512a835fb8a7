//! Real daemons with workers that misbehave, are killed and are stopped; clients that vanish; garbage on every
//! socket; the daemon itself killed and started again.
//!
//! What must hold throughout: each accepted task is answered exactly once and stored exactly once, every death
//! has its true cause, nobody else's task suffers, nothing is left behind. A short run is part of the tests;
//! `make chaos` runs longer (`CHAOS_SECONDS`). `CHAOS_SEED` repeats a run.

mod boot;
mod crash;
mod dimension;
mod faults;
mod items;
mod load;
mod partial;
mod piped;
#[path = "../../../cynicd/tests/recorder/postgres.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the recorder's tests do more to a server")]
mod postgres;
mod quarantine;
mod random;
mod store;
mod storm;
