//! The daemon as a whole: the real programs, a real socket, a real database.

mod access;
mod bench;
mod chunks;
mod dead_letters;
mod events;
mod examples;
mod figures;
mod inputs;
mod installing;
mod judging;
mod operations;
mod peers;
mod proofs;
mod reconnecting;
mod records;
mod roles;
mod service_manager;
mod shutdown;
mod stages;
mod starting;
mod storage;
mod streams;
#[path = "../../../cynicd/tests/recorder/tmpfs.rs"]
#[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
mod tmpfs;
mod waiting;

use bytes::Bytes;
use cynic_proto::client::Outcome;
use cynic_proto::ids::TaskId;
use cynic_proto::item::{Form, Hint};
use cynic_proto::message::{Ack, Judge, Lane};
use cynic_tests::daemon::Daemon;

/// A request to judge a JSON item, answered as soon as it is judged.
fn request() -> Judge {
    Judge {
        task: TaskId::new(),
        retry: false,
        lane: Lane::Interactive,
        ack: Ack::Judged,
        deadline_ms: None,
        hint: Hint::default(),
    }
}

/// The same for a plain text.
fn plain_request() -> Judge {
    Judge { hint: Hint { form: Form::Plain, ..Hint::default() }, ..request() }
}

/// A text that nothing is wrong with.
fn text() -> Bytes {
    Bytes::from_static(
        b"Please send the minutes of yesterday's meeting to everybody who was there.",
    )
}

/// Whatever happened: others are served, and no worker has died of it.
async fn is_unharmed(daemon: &Daemon) {
    let client = daemon.client().await;
    let outcome = client.judge(plain_request(), text()).await.expect("an answer");
    assert!(matches!(outcome, Outcome::Judged(_)), "{outcome:?}");
    let stats = client.stats().await.expect("the figures");
    assert!(stats.ready && stats.pool.deaths.is_empty(), "{stats:#?}");
}
