//! Who waits for a task's answer: how many may, and how one stops waiting.

use cynic_proto::error::ErrorKind;
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Judge, RefusalKind, Reply, Request};
use cynic_tests::daemon::{Daemon, Home};
use cynic_tests::procfs;
use cynic_tests::raw::RawClient;
use rustix::process::Signal;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

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

#[tokio::test]
async fn what_is_cancelled_is_answered_once_and_forgotten() {
    let home = Home::new(ONE_WORKER);
    let daemon = home.start().await;
    let worker = stopped_worker(&daemon);
    let mut client = connect(&daemon).await;
    let (running, waiting) = (plain_request(), plain_request());
    for (seq, request) in [(1, &running), (2, &waiting), (3, &running), (4, &waiting)] {
        ask(&mut client, seq, request).await;
    }
    for (cancel, task, seqs) in [(5, waiting.task, [2, 4]), (6, running.task, [1, 3])] {
        client.send(cancel, Request::Cancel(task), &[]).await.expect("taken");
        for expected in seqs {
            let (seq, reply) = reply(&mut client).await;
            assert_eq!(seq, expected);
            failed(&reply, task, ErrorKind::Cancelled);
        }
        assert_eq!(reply(&mut client).await, (cancel, Reply::Done));
    }
    client.send(7, Request::Cancel(running.task), &[]).await.expect("taken");
    let (seq, again) = reply(&mut client).await;
    assert!(matches!(again, Reply::Refused { kind: RefusalKind::NotFound, .. }), "{again:?}");
    assert_eq!(seq, 7);
    procfs::signal(worker, Signal::CONT);
    daemon.settled().await;
    client.send(8, Request::Ping, &[]).await.expect("taken");
    let (seq, pong) = reply(&mut client).await;
    assert!(matches!(pong, Reply::Pong(_)), "no second answer: {pong:?}");
    assert_eq!(seq, 8);
    is_unharmed(&daemon).await;
}

/// It is judged already, and stored whether somebody waits for that or not; who else waits still does.
#[tokio::test]
async fn who_waits_for_the_store_may_cancel() {
    let home = Home::new("");
    let daemon = home.start().await;
    let store = SqliteConnectOptions::new().filename(home.path("data/cynic.db"));
    let mut lock = store.connect().await.expect("the database");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut lock).await.expect("it is locked");
    let (mut leaver, mut other) = (connect(&daemon).await, connect(&daemon).await);
    let request = Judge { ack: Ack::Stored, ..plain_request() };
    ask(&mut leaver, 1, &request).await;
    daemon.until("it is judged", |stats| stats.pool.tasks_processed == 1).await;
    ask(&mut other, 1, &request).await;
    leaver.send(2, Request::Cancel(request.task), &[]).await.expect("taken");
    failed(&reply(&mut leaver).await.1, request.task, ErrorKind::Cancelled);
    assert_eq!(reply(&mut leaver).await, (2, Reply::Done));
    sqlx::query("ROLLBACK").execute(&mut lock).await.expect("it is free again");
    let (_, stored) = reply(&mut other).await;
    let Reply::Judged(judged) = stored else { panic!("{stored:?}") };
    assert_eq!(judged.reached, Ack::Stored);
}
