//! The round trip of a task that is not judged: client, daemon, worker and back, beside the bare relay.

use std::time::Instant;

use bytes::Bytes;
use cynic_proto::client::{Client, Outcome};
use cynic_proto::codec;
use cynic_proto::ids::TaskId;
use cynic_proto::item::{Form, Hint};
use cynic_proto::limits::FRAME_BYTES_MAX;
use cynic_proto::message::{Ack, Judge, Lane, Reply, Request, ToClient, ToDaemon};
use cynic_proto::worker::{self, FromWorker, Lease, LeaseItem, PROFILE_NULL, ToWorker};
use cynic_tests::daemon::Daemon;
use serde::Serialize;

use crate::relay::{Lengths, Relay};
use crate::samples::Samples;
use crate::{line, title};

/// Turns of one and the other; what disturbs the machine meanwhile disturbs both.
const TURNS: usize = 40;

/// Round trips of each turn.
const TRIPS: usize = 500;

/// What a small item has.
const ITEM_BYTES: usize = 200;

/// The most that the trip may cost beside the relay, at the median.
const GOAL: f64 = 1.5;

pub(crate) async fn measure(daemon: &Daemon) {
    title("round trip of a null task", &["p50 us", "p99 us"]);
    let client = daemon.client().await;
    let item = Bytes::from(vec![b'x'; ITEM_BYTES]);
    let mut relay = Relay::start(lengths(&item));
    let (mut bare, mut whole) = (Samples::default(), Samples::default());
    // The first ones pay for cold caches.
    turn(&client, &item, &mut relay, &mut Samples::default(), &mut Samples::default()).await;
    for _ in 0..TURNS {
        turn(&client, &item, &mut relay, &mut bare, &mut whole).await;
    }
    let figures = |p50: f64, p99: f64| [format!("{p50:.1}"), format!("{p99:.1}")];
    line("client, daemon, worker and back", &figures(whole.p50(), whole.p99()));
    line("three processes that relay the same bytes", &figures(bare.p50(), bare.p99()));
    let ratios = [whole.p50() / bare.p50(), whole.p99() / bare.p99()];
    let name = format!("ratio (goal at p50: {GOAL} at most)");
    line(&name, &ratios.map(|ratio| format!("{ratio:.2}")));
}

async fn turn(
    client: &Client,
    item: &Bytes,
    relay: &mut Relay,
    bare: &mut Samples,
    whole: &mut Samples,
) {
    for _ in 0..TRIPS {
        let start = Instant::now();
        relay.round_trip();
        bare.add(start);
    }
    for _ in 0..TRIPS {
        let request = null_request(Lane::Interactive);
        let start = Instant::now();
        let outcome = client.judge(request, item.clone()).await;
        whole.add(start);
        assert!(matches!(outcome, Ok(Outcome::Echoed(_))), "{outcome:?}");
    }
}

/// A request that goes all the way and is not judged.
pub(crate) fn null_request(lane: Lane) -> Judge {
    let profile = Some(PROFILE_NULL.to_owned());
    let hint = Hint { form: Form::Plain, profile, ..Hint::default() };
    Judge { task: TaskId::new(), retry: false, lane, ack: Ack::Judged, deadline_ms: None, hint }
}

/// How long the four messages of the real round trip are.
fn lengths(item: &[u8]) -> Lengths {
    let judge = null_request(Lane::Interactive);
    let (task, hint) = (judge.task, judge.hint.clone());
    let leased = LeaseItem { task, bytes: item.len() as u32, hint, soft_budget_us: 200_000 };
    let lease = Lease { nonce: u64::MAX, skip: 0, items: vec![leased] };
    let outcome = worker::Outcome::Echoed;
    let done = FromWorker::Done { nonce: u64::MAX, task, outcome, spent: worker::Spent::default() };
    Lengths {
        request: frame(&ToDaemon { seq: 1000, request: Request::Judge(judge) }, item),
        lease: frame(&ToWorker::Lease(lease), item),
        done: frame(&done, &[]),
        reply: frame(&ToClient { seq: 1000, reply: Reply::Echoed(task) }, &[]),
    }
}

fn frame<M: Serialize>(message: &M, payload: &[u8]) -> usize {
    let mut bytes = Vec::new();
    codec::put(message, payload, FRAME_BYTES_MAX, &mut bytes).expect("fits");
    bytes.len()
}
