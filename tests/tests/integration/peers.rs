//! Peers that are no clients: each is sent away with a reason, and nobody else notices.

use std::time::Duration;

use bytes::Bytes;
use cynic_proto::client::{Client, Outcome};
use cynic_proto::error::ErrorKind;
use cynic_proto::handshake::{Hello, PROTOCOL_VERSION, Role};
use cynic_proto::item::ItemErrorKind;
use cynic_proto::limits::FRAME_BYTES_MAX;
use cynic_proto::message::{RefusalKind, Reply, Request};
use cynic_proto::worker::PROFILE_NULL;
use cynic_tests::daemon::{Daemon, Home, PATIENCE};
use cynic_tests::procfs;
use cynic_tests::raw::RawClient;
use rustix::process::Signal;
use tokio::time::timeout;

use crate::{is_unharmed, plain_request, text};

/// The last word of the daemon to a peer, behind which it closes.
async fn farewell(mut peer: RawClient) -> (RefusalKind, String) {
    let heard = async {
        let (seq, reply) = peer.reply().await.expect("a farewell");
        assert_eq!((seq, peer.reply().await), (0, None), "nothing comes behind it");
        let Reply::Refused { kind, message } = reply else { panic!("{reply:?}") };
        (kind, message)
    };
    timeout(PATIENCE, heard).await.expect("in time")
}

async fn expelled(daemon: &Daemon, count: u64) {
    daemon.until("the peer is counted", |stats| stats.clients.expelled >= count).await;
    is_unharmed(daemon).await;
}

#[tokio::test]
async fn bytes_that_are_no_greeting() {
    let home = Home::new("");
    let daemon = home.start().await;
    let mut http = RawClient::stranger(daemon.socket()).await;
    http.say(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let (kind, message) = farewell(http).await;
    assert_eq!(kind, RefusalKind::Handshake, "{message}");
    assert!(message.contains("not the CYNIC protocol"), "{message}");
    let mut other = RawClient::stranger(daemon.socket()).await;
    other.say(&[4, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4]).await;
    let (kind, message) = farewell(other).await;
    assert_eq!(kind, RefusalKind::Handshake);
    assert!(message.contains("not a greeting"), "{message}");
    expelled(&daemon, 2).await;
}

#[tokio::test]
async fn another_version_is_told_which_one_this_is() {
    let home = Home::new("");
    let daemon = home.start().await;
    let mut old = RawClient::stranger(daemon.socket()).await;
    old.greet(&Hello::new(Role::Client).with_version(PROTOCOL_VERSION + 1)).await;
    let (kind, message) = farewell(old).await;
    assert_eq!(kind, RefusalKind::Handshake);
    let versions = format!("speaks version {}, this program", PROTOCOL_VERSION + 1);
    assert!(message.contains(&versions), "{message}");
    let mut worker = RawClient::stranger(daemon.socket()).await;
    worker.greet(&Hello::new(Role::Worker)).await;
    let (kind, message) = farewell(worker).await;
    assert_eq!(kind, RefusalKind::Handshake);
    assert!(message.contains("expected a Client"), "{message}");
    is_unharmed(&daemon).await;
}

#[tokio::test]
async fn who_never_greets_is_sent_away() {
    let home = Home::new("");
    let daemon = home.start().await;
    let silent = RawClient::stranger(daemon.socket()).await;
    let (kind, message) = farewell(silent).await;
    assert_eq!(kind, RefusalKind::Handshake);
    assert!(message.contains("no greeting"), "{message}");
    is_unharmed(&daemon).await;
}

#[tokio::test]
async fn garbage_behind_a_greeting() {
    let home = Home::new("");
    let daemon = home.start().await;
    let mut peer = RawClient::connect(daemon.socket()).await.expect("greeted");
    peer.say(&[6, 0, 0, 0, 6, 0, 0, 0, 250, 250, 250, 250, 250, 250]).await;
    assert_eq!(farewell(peer).await.0, RefusalKind::Malformed);
    let mut peer = RawClient::connect(daemon.socket()).await.expect("greeted");
    peer.say(&[2, 0, 0, 0, 200, 0, 0, 0, 1, 2]).await;
    assert_eq!(farewell(peer).await.0, RefusalKind::Malformed);
    let mut peer = RawClient::connect(daemon.socket()).await.expect("greeted");
    peer.send(1, Request::Ping, b"a payload that a ping does not have").await;
    assert_eq!(farewell(peer).await.0, RefusalKind::Malformed);
    expelled(&daemon, 3).await;
}

#[tokio::test]
async fn an_oversize_frame_is_refused_before_it_comes() {
    let home = Home::new("");
    let daemon = home.start().await;
    let before = daemon.memory_bytes();
    let mut peer = RawClient::connect(daemon.socket()).await.expect("greeted");
    peer.say(&[0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0]).await;
    let (kind, message) = farewell(peer).await;
    assert_eq!(kind, RefusalKind::TooLarge);
    assert!(message.contains("4294967295") && message.contains("16777216"), "{message}");
    expelled(&daemon, 1).await;
    assert!(daemon.memory_bytes() < before + (16 << 20));
    // The client library notices by itself, and its connection stays of use.
    let client = daemon.client().await;
    let huge = Bytes::from(vec![b'x'; FRAME_BYTES_MAX]);
    let outcome = client.judge(plain_request(), huge).await.expect("an answer");
    let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind, ErrorKind::InvalidItem(ItemErrorKind::TooLarge), "{error:?}");
    assert!(client.ping().await.is_ok());
}

/// Before its greeting nobody is known to be a client, and nothing is kept of it.
#[tokio::test]
async fn a_greeting_without_end_is_not_waited_for() {
    let home = Home::new("");
    let daemon = home.start().await;
    let mut peer = RawClient::stranger(daemon.socket()).await;
    peer.say(&[0, 0, 0x80, 0, 9, 0, 0, 0]).await;
    let (kind, message) = farewell(peer).await;
    assert_eq!(kind, RefusalKind::Handshake);
    assert!(message.contains("not the CYNIC protocol"), "{message}");
    expelled(&daemon, 1).await;
}

#[tokio::test]
async fn half_a_frame_and_then_silence_holds_nobody_up() {
    let home = Home::new("");
    let daemon = home.start().await;
    let mut peers = Vec::new();
    for _ in 0..50 {
        let mut peer = RawClient::connect(daemon.socket()).await.expect("greeted");
        peer.say(&[100, 0, 0, 0, 50, 0, 0, 0, 1]).await.expect("taken");
        peers.push(peer);
    }
    is_unharmed(&daemon).await;
    // One stays for as long as it may, and one sends a byte now and then.
    let (patient, mut dripping) = (peers.pop().expect("fifty"), peers.pop().expect("fifty"));
    drop(peers);
    let drops = async {
        loop {
            let heard = timeout(Duration::from_secs(1), dripping.reply()).await;
            if let Ok(reply) = heard {
                return reply.expect("a farewell").1;
            }
            dripping.say(&[1]).await.expect("taken");
        }
    };
    let farewell_of_drops = timeout(PATIENCE, drops).await.expect("in time");
    let Reply::Refused { kind, message } = farewell_of_drops else { panic!("a refusal") };
    assert_eq!(kind, RefusalKind::Malformed, "{message}");
    let (kind, message) = farewell(patient).await;
    assert_eq!(kind, RefusalKind::Malformed);
    assert!(message.contains("part of a frame"), "{message}");
    daemon.until("they are gone", |stats| stats.clients.connected <= 1).await;
    is_unharmed(&daemon).await;
}

/// It asks and asks and takes no answer: it is not read from any more, and everybody else is served.
#[tokio::test]
async fn who_never_reads_holds_nobody_up() {
    let home = Home::new("");
    let daemon = home.start().await;
    let before = daemon.memory_bytes();
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let mut peer = RawClient::connect(daemon.socket()).await.expect("greeted");
        deaf.push(tokio::spawn(async move {
            // Until the daemon takes no more; a pause of a second is not the end of a healthy one's patience.
            let mut seq = 0;
            loop {
                seq += 1;
                let sent = timeout(Duration::from_secs(1), peer.send(seq, Request::Stats, &[]));
                if sent.await.is_err() {
                    return peer;
                }
            }
        }));
    }
    let client = daemon.client().await;
    while deaf.iter().any(|peer| !peer.is_finished()) {
        echoed(&client).await;
    }
    for _ in 0..100 {
        echoed(&client).await;
    }
    is_unharmed(&daemon).await;
    // Their unread answers are bounded, each by a megabyte and a socket's buffer.
    let grown = daemon.memory_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
}

async fn echoed(client: &Client) {
    let mut request = plain_request();
    request.hint.profile = Some(PROFILE_NULL.to_owned());
    let outcome = client.judge(request, text()).await.expect("an answer");
    assert!(matches!(outcome, Outcome::Echoed(_)), "{outcome:?}");
}

/// Work that nobody waits for any more is not done.
#[tokio::test]
async fn what_a_client_left_behind_is_cancelled() {
    const TASKS: u64 = 20;
    let home = Home::new("[pool]\nsize = 1\n[deadlines]\nhard_ms = 60000\nsoft_ms = 30000\n");
    let daemon = home.start().await;
    let [worker] = daemon.workers()[..] else { panic!("one worker") };
    procfs::signal(worker, Signal::STOP);
    let mut leaver = RawClient::connect(daemon.socket()).await.expect("greeted");
    for seq in 0..TASKS {
        let request = Request::Judge(plain_request());
        leaver.send(seq, request, &text()).await.expect("taken");
    }
    daemon.until("all are accepted", |stats| stats.pool.queue_length as u64 == TASKS - 1).await;
    drop(leaver);
    let stats = daemon.until("they are gone", |stats| stats.pool.queue_length == 0).await;
    assert_eq!(stats.pool.failures.get("cancelled"), Some(&TASKS));
    procfs::signal(worker, Signal::CONT);
    is_unharmed(&daemon).await;
}
