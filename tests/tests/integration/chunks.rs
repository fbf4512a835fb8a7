//! Chunks of bulk items over real processes: what one item does to the others that travel with it.

use std::collections::BTreeMap;

use cynic_proto::client::Outcome;
use cynic_proto::error::ErrorKind;
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Judge, Judged, Lane, Reply, Request};
use cynic_tests::daemon::{Daemon, Home, PATIENCE, binary};
use cynic_tests::raw::{self, RawClient};
use cynic_tests::{faults, load, procfs};
use rustix::process::Signal;

use crate::{plain_request, text};

/// Where the culprit stands in its chunk, by the number of its request; the others are ordinary.
const CULPRIT: u64 = 3;

/// Requests of the chunk: 1 to 5.
const ITEMS: u64 = 5;

/// Bulk items from which the pool learns how little time one takes: a chunk grows by an eighth with each.
const WARM: u64 = 40;

/// One worker that takes all that waits as one chunk.
fn home(strikes_max: u8, hard_ms: u32) -> Home {
    let worker = binary("faulty_worker").display().to_string();
    Home::new(&format!(
        "[pool]\nsize = 1\nworker = {worker:?}\nchunk_time_us = 60000000\nstrikes_max = {strikes_max}\n\
         heartbeat_timeout_ms = 600000\n\n[deadlines]\nhard_ms = {hard_ms}\n"
    ))
}

/// A daemon that has judged enough bulk items to send those that follow together.
async fn warm(home: &Home) -> Daemon {
    let daemon = home.start().await;
    let client = daemon.client().await;
    for _ in 0..WARM {
        let request = Judge { lane: Lane::Bulk, ..plain_request() };
        let outcome = client.judge(request, text()).await.expect("an answer");
        assert!(matches!(outcome, Outcome::Judged(_)), "{outcome:?}");
    }
    daemon
}

/// Sends the items while the worker is held at another one, so that they leave the queue together.
async fn send_chunk(daemon: &Daemon, client: &mut RawClient, fault: &str) {
    let [worker] = daemon.workers()[..] else { panic!("one worker") };
    procfs::signal(worker, Signal::STOP);
    let mut send = async |seq, lane, item: &[u8]| {
        let request = Request::Judge(raw::judge(TaskId::new(), lane, Ack::Judged));
        client.send(seq, request, item).await.expect("the connection holds");
    };
    send(0, Lane::Interactive, &load::ordinary(0)).await;
    for seq in 1..=ITEMS {
        let item = if seq == CULPRIT { faults::item(fault) } else { load::ordinary(seq) };
        send(seq, Lane::Bulk, &item).await;
    }
    daemon.until("all wait", |stats| u64::from(stats.pool.queue_length) == ITEMS).await;
    procfs::signal(worker, Signal::CONT);
}

async fn reply(client: &mut RawClient) -> (u64, Reply) {
    let reply = tokio::time::timeout(PATIENCE, client.reply()).await.expect("in time");
    reply.expect("the connection holds")
}

fn judged(reply: Reply) -> Judged {
    let Reply::Judged(judged) = reply else { panic!("{reply:?}") };
    *judged
}

/// Its answer is not there, and will never be; those before it are not held back, those behind it go on.
#[tokio::test]
async fn a_slow_item_holds_back_no_answer_that_is_there() {
    // One strike, after longer than anything else here takes.
    let home = home(1, 8_000);
    let daemon = warm(&home).await;
    let mut client = RawClient::connect(daemon.socket()).await.expect("a connection");
    send_chunk(&daemon, &mut client, "sleep").await;
    for expected in 0..CULPRIT {
        let (seq, reply) = reply(&mut client).await;
        assert_eq!((seq, judged(reply).attempts), (expected, 1));
    }
    let stats = daemon.stats().await;
    assert!(stats.pool.deaths.is_empty(), "answered while the slow one is in hand: {stats:#?}");
    assert_eq!((stats.pool.active_tasks, stats.pool.queue_length), (3, 0), "one chunk");
    let mut rest = BTreeMap::new();
    while rest.len() < 3 {
        let (seq, reply) = reply(&mut client).await;
        assert!(rest.insert(seq, reply).is_none(), "{seq} is answered twice");
    }
    for seq in CULPRIT + 1..=ITEMS {
        judged(rest.remove(&seq).expect("an answer"));
    }
    let (seq, culprit) = rest.pop_first().expect("an answer");
    let Reply::Failed { error, .. } = culprit else { panic!("{culprit:?}") };
    assert_eq!((seq, error.kind, error.deaths.len()), (CULPRIT, ErrorKind::Quarantined, 1));
    assert_eq!(daemon.settled().await.pool.quarantined, 1, "nobody else is to blame");
}

/// It is tried again until it is given up; the others are judged once, whoever they travelled with.
#[tokio::test]
async fn a_worker_that_dies_over_a_chunk_costs_only_the_culprit_its_retry() {
    const STRIKES: u8 = 3;
    let home = home(STRIKES, 60_000);
    let daemon = warm(&home).await;
    let mut client = RawClient::connect(daemon.socket()).await.expect("a connection");
    send_chunk(&daemon, &mut client, "segfault").await;
    let mut replies = BTreeMap::new();
    while replies.len() as u64 <= ITEMS {
        let (seq, reply) = reply(&mut client).await;
        assert!(replies.insert(seq, reply).is_none(), "{seq} is answered twice");
    }
    let culprit = replies.remove(&CULPRIT).expect("an answer");
    let Reply::Failed { error, .. } = culprit else { panic!("{culprit:?}") };
    assert_eq!((error.kind, error.deaths.len()), (ErrorKind::Quarantined, usize::from(STRIKES)));
    for (seq, reply) in replies {
        let _ = judged(reply);
        assert!(seq <= ITEMS);
    }
    let stats = daemon.settled().await;
    assert_eq!(stats.pool.deaths.values().sum::<u64>(), u64::from(STRIKES), "{stats:#?}");
    assert_eq!((stats.pool.retries, stats.pool.quarantined), (u64::from(STRIKES) - 1, 1));
    assert_eq!(stats.pool.tasks_processed, WARM + ITEMS, "each of the others once");
}
