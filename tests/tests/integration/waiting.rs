//! Who waits for a task's answer, and how many may.

use cynic_proto::error::ErrorKind;
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Judge, Reply, Request};
use cynic_tests::daemon::{Daemon, Home};
use cynic_tests::procfs;
use cynic_tests::raw::RawClient;
use rustix::process::Signal;

use crate::{is_unharmed, plain_request, text};

/// One worker, which may stand still for long.
const ONE_WORKER: &str = "[pool]\nsize = 1\n[deadlines]\nhard_ms = 60000\nsoft_ms = 30000\n";

/// Has the only worker stand still; returns it.
fn stopped_worker(daemon: &Daemon) -> u32 {
    let [worker] = daemon.workers()[..] else { panic!("one worker") };
    procfs::signal(worker, Signal::STOP);
    worker
}

async fn connect(daemon: &Daemon) -> RawClient {
    RawClient::connect(daemon.socket()).await.expect("greeted")
}

async fn ask(client: &mut RawClient, seq: u64, request: &Judge) {
    client.send(seq, Request::Judge(request.clone()), &text()).await.expect("taken");
}

async fn reply(client: &mut RawClient) -> (u64, Reply) {
    client.reply().await.expect("a reply")
}

#[track_caller]
fn failed(reply: &Reply, task: TaskId, kind: ErrorKind) {
    let Reply::Failed { task: failed, error } = reply else { panic!("{reply:?}") };
    assert_eq!((*failed, error.kind), (task, kind), "{error:?}");
    assert_eq!(error.retry_after_ms.is_some(), kind == ErrorKind::Busy, "{error:?}");
}

#[tokio::test]
async fn only_so_many_wait_for_one_task() {
    const WAITERS: u64 = 16;
    const ASKED: u64 = 1000;
    let home = Home::new(ONE_WORKER);
    let daemon = home.start().await;
    let worker = stopped_worker(&daemon);
    let mut client = connect(&daemon).await;
    let request = plain_request();
    for seq in 0..ASKED {
        ask(&mut client, seq, &request).await;
    }
    for expected in WAITERS..ASKED {
        let (seq, reply) = reply(&mut client).await;
        assert_eq!(seq, expected);
        failed(&reply, request.task, ErrorKind::Busy);
    }
    procfs::signal(worker, Signal::CONT);
    for expected in 0..WAITERS {
        let (seq, reply) = reply(&mut client).await;
        assert!(matches!(reply, Reply::Judged(_)), "{reply:?}");
        assert_eq!(seq, expected);
    }
    // What it was refused does not keep what it asked for and left behind.
    let worker = stopped_worker(&daemon);
    let request = plain_request();
    for seq in 0..=WAITERS {
        ask(&mut client, seq, &request).await;
    }
    failed(&reply(&mut client).await.1, request.task, ErrorKind::Busy);
    drop(client);
    let cancelled = |stats: &cynic_proto::stats::Stats| {
        stats.pool.failures.get("cancelled").copied() == Some(1)
    };
    daemon.until("it is cancelled", cancelled).await;
    procfs::signal(worker, Signal::CONT);
    is_unharmed(&daemon).await;
}
