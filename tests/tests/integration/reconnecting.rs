//! A client whose daemon goes and comes back.

use std::time::Duration;

use cynic_proto::client::{Client, ClientError, Options, Outcome};
use cynic_proto::codec;
use cynic_proto::handshake::{Hello, Role};
use cynic_proto::limits::FRAME_BYTES_MAX;
use cynic_proto::message::{Ack, Judge};
use cynic_tests::daemon::Home;
use cynic_tests::procfs;
use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;

use crate::{plain_request, text};

/// The first daemon has the request and dies before it answers; the second is asked again under the same id.
#[tokio::test]
async fn a_judgment_is_asked_for_again_under_the_same_id() {
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.client().await;
    // Stopped, so that the request is on its way when it dies.
    procfs::signal(daemon.pid(), Signal::STOP);
    let request = Judge { ack: Ack::Stored, ..plain_request() };
    let (task, asking) = (request.task, client.clone());
    let asked = tokio::spawn(async move { asking.judge(request, text()).await });
    let pinging = client.clone();
    let pinged = tokio::spawn(async move { pinging.ping().await });
    tokio::task::yield_now().await;
    daemon.crash();
    // A ping of the first daemon says nothing of the second.
    let lost = pinged.await.expect("no panic").expect_err("lost");
    assert!(matches!(lost, ClientError::Lost), "{lost}");
    let daemon = home.start().await;
    let outcome = asked.await.expect("no panic").expect("an answer");
    let Outcome::Judged(answer) = outcome else { panic!("{outcome:?}") };
    assert_eq!((answer.judged.task, answer.judged.reached), (task, Ack::Stored));
    assert!(client.ping().await.expect("the same connection").ready);
    let shown = daemon.cynicctl(["show", &task.to_string()]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
}

/// An upgrade may put a daemon in the old one's place that this client cannot speak with.
#[tokio::test]
async fn a_client_that_meets_another_version_says_so_at_once() {
    let home = Home::new("");
    let daemon = home.start().await;
    let socket = daemon.socket().to_owned();
    let options = Options { reconnect_for: Duration::from_hours(1), ..Options::new(&socket) };
    let client = Client::connect(options).await.expect("a daemon");
    daemon.crash();
    std::fs::remove_file(&socket).expect("a crash leaves it");
    let listener = UnixListener::bind(&socket).expect("the place is free");
    let successor = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let hello = Hello::new(Role::Daemon).with_version(u16::MAX);
        let mut greeting = Vec::new();
        codec::put(&hello, &[], FRAME_BYTES_MAX, &mut greeting).expect("small");
        stream.write_all(&greeting).await.expect("a client");
        stream
    });
    let error = client.judge(plain_request(), text()).await.expect_err("another version");
    assert!(matches!(error, ClientError::Handshake(_)), "{error}");
    assert!(error.to_string().contains("install the same release on both sides"), "{error}");
    successor.await.expect("it greeted");
}

#[tokio::test]
async fn a_client_gives_up_when_told_to() {
    let home = Home::new("");
    let daemon = home.start().await;
    let options = Options { reconnect_for: Duration::ZERO, ..Options::new(daemon.socket()) };
    let client = Client::connect(options).await.expect("a daemon");
    procfs::signal(daemon.pid(), Signal::STOP);
    let asking = client.clone();
    let asked = tokio::spawn(async move { asking.judge(plain_request(), text()).await });
    tokio::task::yield_now().await;
    daemon.crash();
    let error = asked.await.expect("no panic").expect_err("nobody is there");
    assert!(matches!(error, ClientError::Lost), "{error}");
}
