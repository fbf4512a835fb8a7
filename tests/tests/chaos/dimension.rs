//! A dimension that fails over every item: it is left out, the other 35 go on, and it comes back once it works.

use std::os::unix::fs::symlink;
use std::time::Duration;

use cynic_proto::client::{Client, Outcome};
use cynic_proto::ids::TaskId;
use cynic_proto::judgment::FallbackReason;
use cynic_proto::message::{Ack, Judged, Lane};
use cynic_proto::model::{DIMENSIONS, Dimension};
use cynic_proto::stats::{DimensionStats, Stats};
use cynic_tests::daemon::{Daemon, Home, binary};
use cynic_tests::raw;

use crate::items;

/// Failures that open the breaker in these tests.
const FAILURES_MAX: u64 = 3;

/// Items that are tried until the dimension is left out: far more than that takes.
const ITEMS_MAX: u64 = 40;

fn vigilance(stats: &Stats) -> DimensionStats {
    let named = stats.pool.dimensions.iter().find(|d| d.name == Dimension::Vigilance.name());
    named.cloned().unwrap_or_default()
}

/// Judges an item; `None` if it was given up.
async fn judge(client: &Client, n: u64) -> Option<(Judged, Option<FallbackReason>)> {
    let request = raw::judge(TaskId::new(), Lane::Interactive, Ack::Judged);
    let outcome = client.judge(request, items::ordinary(n).into()).await.expect("an answer");
    match outcome {
        Outcome::Judged(answer) => {
            let of = |f: &&cynic_proto::judgment::Fallback| f.dimension == Dimension::Vigilance;
            let reason = answer.details.fallbacks.iter().find(of).map(|f| f.reason.clone());
            Some((answer.judged, reason))
        }
        _ => None,
    }
}

/// Judges items until VIGILANCE is left out; returns how many were given up before.
async fn until_skipped(daemon: &Daemon, client: &Client) -> u64 {
    let mut given_up = 0;
    for n in 0..ITEMS_MAX {
        match judge(client, n).await {
            Some((judged, Some(FallbackReason::Skipped))) => {
                assert_eq!(judged.judgment.covered() as usize, DIMENSIONS - 1);
                return given_up;
            }
            Some(_) => {}
            None => given_up += 1,
        }
    }
    panic!("never left out: {:?}\n{}", daemon.stats().await.pool, daemon.log());
}

/// A daemon whose workers have a broken VIGILANCE, and are mended later.
async fn assert_left_out_and_back(name: &str) -> (u64, Stats) {
    let home = Home::new("");
    let link = home.path(name);
    symlink(env!("CARGO_BIN_EXE_faulty_worker"), &link).expect("linked");
    // A pause that is over when the next item comes, so that trials are made.
    let breaker = format!("dimension_failures_max = {FAILURES_MAX}\ndimension_pause_ms = 300");
    home.configure(&items::config_with(&link, 1000, 20_000, &breaker));
    let daemon = home.start().await;
    let client = daemon.client().await;
    let given_up = until_skipped(&daemon, &client).await;
    let broken = daemon.stats().await;
    assert!(vigilance(&broken).opened >= 1, "{broken:?}");
    assert_ne!(vigilance(&broken).state, "closed");
    assert!(broken.degraded.concat().contains("left out, as they keep failing: VIGILANCE"));

    // Mended: the next workers are sound. Those that are not die in a trial or are killed here.
    let next = home.path("next");
    symlink(binary("cynic-worker"), &next).expect("linked");
    std::fs::rename(&next, &link).expect("renamed");
    for pid in daemon.workers() {
        cynic_tests::procfs::signal(pid, rustix::process::Signal::KILL);
    }
    let deadline = std::time::Instant::now() + cynic_tests::daemon::PATIENCE;
    loop {
        let judged = judge(&client, ITEMS_MAX).await;
        if judged.is_some_and(|(judged, _)| judged.judgment.covered() as usize == DIMENSIONS) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "never scored again:\n{}", daemon.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stats = daemon.until("it is closed", |stats| vigilance(stats).state == "closed").await;
    assert_eq!(daemon.stop().await, Some(0));
    eprintln!("{name}: {given_up} tasks given up before it was left out; {:?}", vigilance(&stats));
    (given_up, broken)
}

#[tokio::test]
async fn a_dimension_that_kills_its_worker_is_left_out() {
    let (given_up, stats) = assert_left_out_and_back("dying_dimension").await;
    assert!(given_up <= FAILURES_MAX, "{given_up} tasks were given up for it");
    assert!(vigilance(&stats).deaths >= FAILURES_MAX);
}

#[tokio::test]
async fn a_dimension_that_panics_is_left_out() {
    let (given_up, stats) = assert_left_out_and_back("panicking_dimension").await;
    assert_eq!(given_up, 0);
    assert!(vigilance(&stats).fallbacks >= FAILURES_MAX);
}

#[tokio::test]
async fn a_dimension_that_takes_all_the_time_is_left_out() {
    let (given_up, stats) = assert_left_out_and_back("slow_dimension").await;
    assert_eq!(given_up, 0);
    assert!(vigilance(&stats).fallbacks >= FAILURES_MAX);
}

#[tokio::test]
async fn the_slow_log_names_the_dimension_that_took_long() {
    let home = Home::new("");
    let link = home.path("slow_dimension");
    symlink(env!("CARGO_BIN_EXE_faulty_worker"), &link).expect("linked");
    let config = items::config_with(&link, 15_000, 20_000, "dimension_failures_max = 0");
    home.configure(&format!("{config}[log]\nslow_ms = 1000\n"));
    let daemon = home.start().await;
    assert!(judge(&daemon.client().await, 0).await.is_some());
    let deadline = std::time::Instant::now() + cynic_tests::daemon::PATIENCE;
    let slow = loop {
        let log = daemon.log();
        if let Some(line) = log.lines().find(|line| line.contains("slow judgment")) {
            break line.to_owned();
        }
        assert!(std::time::Instant::now() < deadline, "not logged:\n{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    // It sleeps for 1.5 s, and no other takes a thousandth of that.
    assert!(slow.contains("VIGILANCE=1.5") && slow.matches('=').count() < 20, "{slow}");
    assert_eq!(daemon.stop().await, Some(0));
}
