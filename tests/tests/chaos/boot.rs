//! Workers that do not come up: the daemon says so, does not spin, answers at once, and heals by itself.

use std::path::Path;
use std::time::{Duration, Instant};

use cynic_proto::client::Outcome;
use cynic_proto::error::ErrorKind;
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Lane};
use cynic_tests::daemon::{Daemon, Home, binary, point};
use cynic_tests::{procfs, raw};
use rustix::process::Signal;

use crate::items;

/// How long a daemon is watched for spinning.
const WATCH: Duration = Duration::from_millis(1500);

/// Most starts in that time with two slots: pauses from 10 ms, doubling, give about 8 each in a second.
const STARTS_MAX: u64 = 60;

async fn judge(daemon: &Daemon) -> Outcome {
    let client = daemon.client().await;
    let request = raw::judge(TaskId::new(), Lane::Interactive, Ack::Judged);
    client.judge(request, items::ordinary(1).into()).await.expect("an answer")
}

/// A daemon whose workers start under a name: the name is the fault.
async fn assert_heals(name: &str, program: &str) {
    let home = Home::new("");
    let link = home.path(name);
    point(&link, Path::new(program));
    home.configure(&items::config(&link));
    let daemon = home.launch();
    // It is up, says that it is not ready, and answers for it at once.
    let stats = until_breaker(&daemon).await;
    assert!(!stats.ready, "{name}");
    let outcome = judge(&daemon).await;
    let Outcome::Failed { error, .. } = outcome else { panic!("{name}: {outcome:?}") };
    assert_eq!(error.kind, ErrorKind::Unavailable, "{name}: {error}");

    let deaths = |stats: &cynic_proto::stats::Stats| stats.pool.deaths.values().sum::<u64>();
    let before = deaths(&daemon.stats().await);
    tokio::time::sleep(WATCH).await;
    let after = daemon.stats().await;
    let started = deaths(&after) - before;
    assert!(started <= STARTS_MAX, "{name}: {started} starts in {WATCH:?}");

    let mended = Instant::now();
    point(&link, &binary("cynic-worker"));
    daemon.ready().await;
    let healed = mended.elapsed();
    let outcome = judge(&daemon).await;
    assert!(matches!(outcome, Outcome::Judged(_)), "{name}: {outcome:?}");
    eprintln!("{name:<20} {started:>3} starts in {WATCH:?} while broken; healed in {healed:?}");
    assert_eq!(daemon.stop().await, Some(0), "{name}");
}

async fn until_breaker(daemon: &Daemon) -> cynic_proto::stats::Stats {
    let listening = Instant::now() + cynic_tests::daemon::PATIENCE;
    while raw::RawClient::connect(daemon.socket()).await.is_none() {
        assert!(Instant::now() < listening, "the daemon does not listen:\n{}", daemon.log());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    daemon.until("the breaker is open", |stats| stats.pool.breaker_open).await
}

macro_rules! heals {
    ($($name:ident by $program:literal),+ $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            assert_heals(stringify!($name), env!(concat!("CARGO_BIN_EXE_", $program))).await;
        }
    )+};
}

heals! {
    boot_crash by "faulty_worker",
    boot_exit by "faulty_worker",
    boot_hang by "faulty_worker",
    wrong_version by "false_worker",
    wrong_role by "false_worker",
    garbage_greeting by "false_worker",
    unconfined by "false_worker",
}

#[tokio::test]
async fn a_program_that_vanishes_and_comes_back() {
    let home = Home::new("");
    let link = home.path("worker");
    point(&link, &binary("cynic-worker"));
    home.configure(&items::config(&link));
    let daemon = home.start().await;
    std::fs::remove_file(&link).expect("removed");
    for pid in daemon.workers() {
        procfs::signal(pid, Signal::KILL);
    }
    daemon.until("it is not ready", |stats| !stats.ready).await;
    point(&link, &binary("cynic-worker"));
    daemon.ready().await;
    assert!(matches!(judge(&daemon).await, Outcome::Judged(_)));
}
