//! The load suite against a real daemon: its figures are there and agree with the daemon's own.

use std::process::Stdio;

use cynic_proto::stats::Stats;
use cynic_tests::cli::{Ended, program};
use cynic_tests::daemon::Home;
use cynic_tests::procfs;
use rustix::process::Signal;
use serde_json::Value;

fn number(value: &Value, pointer: &str) -> f64 {
    let number = value.pointer(pointer).and_then(Value::as_f64);
    number.unwrap_or_else(|| panic!("no number at {pointer} in {value:#}"))
}

#[tokio::test]
async fn a_load_is_measured() {
    let home = Home::new("");
    let daemon = home.start().await;
    let page = home.path("page.html").display().to_string();
    let short = ["bench", "--duration", "400ms", "--warmup", "50ms", "--clients", "2"];
    let closed = daemon.cynicctl([&short[..], &["--mix", "chat=3,null", "--json"]].concat());
    assert_eq!(closed.code, Some(0), "{closed:?}");
    let report = &closed.json()[0];
    let run = &report["runs"][0];
    let judged = number(run, "/judged");
    assert!(judged > 0.0 && judged <= number(run, "/latency/count") + 32.0, "{run:#}");
    assert!(run["failed"].as_object().is_some_and(serde_json::Map::is_empty), "{run:#}");
    let kinds = run["kinds"].as_array().expect("a list");
    let counts = kinds.iter().map(|kind| number(&kind[1], "/count")).sum::<f64>();
    assert!((counts - number(run, "/latency/count")).abs() < 0.5, "{run:#}");
    for cpu in ["/cpu_per_1000/daemon_s", "/cpu_per_1000/workers_s", "/cpu_per_1000/client_s"] {
        assert!(number(run, cpu) >= 0.0, "{run:#}");
    }
    assert!(number(run, "/memory/daemon_rss") > 1e6, "{run:#}");
    let stats = daemon.settled().await;
    // Null tasks have no verdict, warm-up and what was in flight at the end have.
    assert!(stats.verdicts.values().sum::<u64>() as f64 <= stats.pool.tasks_processed as f64);
    assert!(stats.pool.tasks_processed as f64 >= judged, "{stats:#?}");

    let sweep = ["--mix", "null", "--sweep=50,100", "--html", &page, "--json"];
    let sweep = daemon.cynicctl([&short[..], &sweep].concat());
    assert_eq!(sweep.code, Some(0), "{sweep:?}");
    let runs = &sweep.json()[0]["runs"];
    assert!((number(runs, "/1/offered_per_s") - 100.0).abs() < 1e-6);
    assert!(runs[0]["late"].is_object(), "{runs:#}");
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(page.contains("<svg") && !page.contains("<script"), "{page}");
}

#[tokio::test]
async fn a_page_that_cannot_be_written_costs_no_measurement() {
    let home = Home::new("");
    let daemon = home.start().await;
    let short = ["bench", "--duration", "100ms", "--warmup", "10ms", "--json", "--html"];
    let nowhere = home.path("nowhere/page.html").display().to_string();
    let early = daemon.cynicctl([&short[..], &[&nowhere]].concat());
    assert!(early.code == Some(1) && early.err.contains("nowhere/page.html"), "{early:?}");
    assert_eq!(daemon.stats().await.pool.tasks_processed, 0, "it is told before the measurement");
    let late = daemon.cynicctl([&short[..], &["/dev/full"]].concat());
    assert_eq!(late.code, Some(1), "{late:?}");
    assert!(number(&late.json()[0], "/runs/0/judged") > 0.0, "{late:?}");
}

#[tokio::test]
async fn the_pool_is_put_back_to_its_size() {
    let home = Home::new("[pool]\nsize = 2\n");
    let daemon = home.start().await;
    let short = ["bench", "--duration", "100ms", "--warmup", "10ms", "--mix", "null", "--json"];
    let ended = daemon.cynicctl([&short[..], &["--workers", "1,3"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let workers = |n: usize| number(&ended.json()[0], &format!("/runs/{n}/workers")) as u32;
    assert_eq!((workers(0), workers(1)), (1, 3));
    assert_eq!(daemon.stats().await.pool.pool_size, 2);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let home = Home::new("");
    let daemon = home.start().await;
    for wrong in [&["--mix", "tea"][..], &["--rate", "0"], &["--rate", "5", "--sweep"]] {
        let ended = daemon.cynicctl([&["bench"], wrong].concat());
        assert_eq!(ended.code, Some(2), "{ended:?}");
    }
    let socket = daemon.socket().to_owned();
    assert_eq!(daemon.stop().await, Some(0));
    let mut bench = program("cynicctl");
    let ended = Ended::of(bench.arg("--socket").arg(socket).arg("bench"));
    assert_eq!(ended.code, Some(4), "{ended:?}");
}

#[tokio::test]
async fn an_interrupted_bench_puts_the_pool_back_too() {
    let home = Home::new("[pool]\nsize = 2\n");
    let daemon = home.start().await;
    let mut bench = program("cynicctl");
    bench.arg("--socket").arg(daemon.socket());
    bench.args(["bench", "--mix", "null", "--workers", "1", "--duration", "10m"]);
    let mut bench = bench.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a program");
    // Some load has come through: it is past its preparations, whatever it did first.
    let working = |stats: &Stats| stats.pool.pool_size == 1 && stats.pool.tasks_processed > 0;
    daemon.until("the bench is at work", working).await;
    procfs::signal(bench.id(), Signal::INT);
    let code = tokio::task::spawn_blocking(move || bench.wait()).await.expect("no panic");
    assert_eq!(code.expect("ended").code(), Some(130));
    assert_eq!(daemon.stats().await.pool.pool_size, 2);
}
