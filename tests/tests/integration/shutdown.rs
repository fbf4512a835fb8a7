//! The order in which the daemon ends.

use std::time::Instant;

use bytes::Bytes;
use cynic_proto::client::Outcome;
use cynic_proto::error::ErrorKind;
use cynic_proto::message::{RefusalKind, Reply, Request};
use cynic_tests::daemon::{Home, PATIENCE};
use cynic_tests::procfs;
use rustix::process::Signal;

use crate::{is_unharmed, plain_request};

#[tokio::test]
async fn what_was_accepted_is_answered_before_the_end() {
    const TASKS: u64 = 300;
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.client().await;
    let mut answers = Vec::new();
    for n in 0..TASKS {
        let client = client.clone();
        let item = Bytes::from(format!("Message number {n}: the meeting is moved to Friday."));
        answers.push(tokio::spawn(async move { client.judge(plain_request(), item).await }));
    }
    daemon.until("all tasks are accepted", |stats| stats.pool.tasks_queued == TASKS).await;
    let socket = daemon.socket().to_owned();
    assert_eq!(daemon.stop().await, Some(0));
    assert!(!socket.exists(), "the socket is removed");
    for answer in answers {
        let outcome = answer.await.expect("no panic").expect("an answer");
        assert!(matches!(outcome, Outcome::Judged(_)), "{outcome:?}");
    }
}

/// The first signal waits for the worker that does not answer; the second does not.
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let config = "[pool]\nsize = 1\nheartbeat_interval_ms = 600000\n\
                  [deadlines]\nhard_ms = 600000\ntotal_ms = 900000\ndrain_ms = 600000\n";
    let home = Home::new(config);
    let daemon = home.start().await;
    let client = daemon.client().await;
    for worker in daemon.workers() {
        procfs::signal(worker, Signal::STOP);
    }
    let text = Bytes::from_static(b"The meeting is moved to Friday.");
    let asking = client.clone();
    let asked = tokio::spawn(async move { asking.judge(plain_request(), text).await });
    daemon.until("it is in the worker's hands", |stats| stats.pool.active_tasks == 1).await;
    procfs::signal(daemon.pid(), Signal::TERM);
    // On the connection that there is: a draining daemon takes no other.
    while !client.stats().await.expect("the figures").draining {
        tokio::task::yield_now().await;
    }
    assert_eq!(daemon.stop().await, Some(0));
    let outcome = asked.await.expect("no panic").expect("an answer");
    let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind, ErrorKind::ShuttingDown, "{error}");
}

/// Who wants it to go on while it ends is told, and what was accepted is answered.
#[tokio::test]
async fn reload_and_resume_do_not_hold_up_its_end() {
    let config = "[pool]\nsize = 1\nheartbeat_interval_ms = 600000\n\
                  [deadlines]\nhard_ms = 600000\ntotal_ms = 900000\ndrain_ms = 600000\n";
    let home = Home::new(config);
    let daemon = home.start().await;
    let (client, admin) = (daemon.client().await, daemon.admin().await);
    let workers = daemon.workers();
    for worker in &workers {
        procfs::signal(*worker, Signal::STOP);
    }
    let text = Bytes::from_static(b"The meeting is moved to Friday.");
    let asked = tokio::spawn(async move { client.judge(plain_request(), text).await });
    daemon.until("it is in the worker's hands", |stats| stats.pool.active_tasks == 1).await;
    procfs::signal(daemon.pid(), Signal::TERM);
    while !admin.stats().await.expect("the figures").draining {
        tokio::task::yield_now().await;
    }
    // Whatever would be read now: two workers, or nothing that makes sense.
    home.configure(&config.replace("size = 1", "size = 2"));
    procfs::signal(daemon.pid(), Signal::HUP);
    home.configure("nonsense");
    for request in [Request::Reload, Request::Resume] {
        let (reply, _) = admin.request(request, Bytes::new()).await.expect("an answer");
        let Reply::Refused { kind: RefusalKind::Unavailable, message } = reply else {
            panic!("{reply:?}")
        };
        assert!(message.contains("the daemon ends"), "{message}");
    }
    let until = Instant::now() + PATIENCE;
    while daemon.log().matches("not reading the configuration again").count() < 2 {
        assert!(Instant::now() < until, "the signal was not taken:\n{}", daemon.log());
        tokio::task::yield_now().await;
    }
    let stats = admin.stats().await.expect("the figures");
    assert_eq!((stats.draining, stats.pool.pool_size), (true, 1), "{stats:?}");
    assert_eq!(daemon.workers(), workers, "they are neither replaced nor joined by others");
    for worker in workers {
        procfs::signal(worker, Signal::CONT);
    }
    let outcome = asked.await.expect("no panic").expect("an answer");
    assert!(matches!(outcome, Outcome::Judged(_)), "{outcome:?}");
    assert_eq!(daemon.ended().await, Some(0));
}

#[tokio::test]
async fn a_hangup_is_not_the_end() {
    let home = Home::new("");
    let daemon = home.start().await;
    procfs::signal(daemon.pid(), Signal::HUP);
    is_unharmed(&daemon).await;
    assert_eq!(daemon.stop().await, Some(0));
}
