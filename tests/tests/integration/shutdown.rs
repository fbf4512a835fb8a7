//! The order in which the daemon ends.

use bytes::Bytes;
use cynic_proto::client::Outcome;
use cynic_tests::daemon::Home;

use crate::plain_request;

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
