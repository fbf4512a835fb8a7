//! From an item to its judgment, and what happens to those that cannot have one.

use bytes::Bytes;
use cynic_proto::client::Outcome;
use cynic_proto::codec;
use cynic_proto::error::ErrorKind;
use cynic_proto::item::ItemErrorKind;
use cynic_proto::message::{Ack, Judge, Reply, Request};
use cynic_tests::daemon::Home;
use cynic_tests::raw::RawClient;

use crate::{plain_request, request};

#[tokio::test]
async fn an_item_is_judged_and_says_why() {
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.client().await;
    let item =
        br#"{"type": "text", "id": "a", "content": "You have WON! Click http://bit.ly/x now!!!"}"#;
    let judge = request();
    let outcome = client.judge(judge.clone(), Bytes::from_static(item)).await.expect("an answer");
    let Outcome::Judged(answer) = outcome else { panic!("{outcome:?}") };
    assert_eq!(answer.judged.task, judge.task);
    assert_eq!(answer.judged.judgment.validate(), Ok(()));
    assert_eq!(answer.judged.judgment.covered(), 36);
    assert_eq!(answer.details.item_id.as_deref(), Some("a"));
    assert!(!answer.details.evidence.is_empty());
}

#[tokio::test]
async fn who_does_not_know_the_wordings_gets_them_in_full() {
    let home = Home::new("");
    let daemon = home.start().await;
    let judge = plain_request();
    let item = Bytes::from_static(b"You have WON! Click http://bit.ly/x now!!!");
    let outcome = daemon.client().await.judge(judge.clone(), item.clone()).await;
    let Ok(Outcome::Judged(answer)) = outcome else { panic!("{outcome:?}") };
    let mut plain = RawClient::connect(daemon.socket()).await.expect("a connection");
    plain.send(1, Request::Judge(judge), &item).await.expect("sent");
    let (reply, payload) = plain.reply_and_payload().await.expect("an answer");
    assert!(matches!(reply, Reply::Judged(_)), "{reply:?}");
    assert_eq!(codec::decode(&payload), Ok(answer.details));
}

#[tokio::test]
async fn what_cannot_be_judged_is_said_and_harms_nothing() {
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.client().await;
    let broken: [(&[u8], ItemErrorKind); 3] = [
        (b"{\"type\": \"text\", \"content\": ", ItemErrorKind::InvalidJson),
        (b"[1, 2]", ItemErrorKind::WrongType),
        (b"{\"type\": \"text\", \"content\": \"  \"}", ItemErrorKind::Empty),
    ];
    for (item, kind) in broken {
        let item = Bytes::copy_from_slice(item);
        let outcome = client.judge(request(), item).await.expect("an answer");
        let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.kind, ErrorKind::InvalidItem(kind), "{error}");
    }
    let stats = daemon.stats().await;
    assert!(stats.pool.deaths.is_empty());
    assert_eq!(stats.pool.tasks_processed, 3);
}

#[tokio::test]
async fn a_repeated_task_has_one_judgment() {
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.client().await;
    let judge = Judge { ack: Ack::Stored, ..plain_request() };
    let item = Bytes::from_static(b"Please send the minutes of yesterday's meeting.");
    let first = client.judge(judge.clone(), item.clone()).await.expect("an answer");
    let Outcome::Judged(first) = first else { panic!("{first:?}") };
    assert_eq!(first.judged.reached, Ack::Stored);
    // Once from what was answered lately, once from the database after a restart.
    let again = client.judge(judge.clone(), item).await.expect("an answer");
    let Outcome::Judged(again) = again else { panic!("{again:?}") };
    assert_eq!(again.judged.judgment, first.judged.judgment);
    drop(client);
    assert_eq!(daemon.stop().await, Some(0));
    let daemon = home.start().await;
    let client = daemon.client().await;
    let other = Bytes::from_static(b"something else entirely");
    let stored = client.judge(Judge { retry: true, ..judge }, other).await.expect("an answer");
    let Outcome::Judged(stored) = stored else { panic!("{stored:?}") };
    assert_eq!(stored.judged.judgment, first.judged.judgment);
    assert_eq!(daemon.stats().await.pool.tasks_processed, 0);
}
