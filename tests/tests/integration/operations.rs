//! What an operator does to a daemon at work: nothing of it may cost a task.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use bytes::Bytes;
use cynic_proto::client::{Client, Options, Outcome};
use cynic_proto::finding::FindingState;
use cynic_proto::message::{RefusalKind, Reply, Request};
use cynic_proto::socket::admin_of;
use cynic_proto::stats::Stats;
use cynic_tests::cli::program;
use cynic_tests::daemon::{Daemon, Home};
use cynic_tests::faults;
use cynic_tests::procfs;
use rustix::process::Signal;

use crate::{plain_request, request};

async fn ask(client: &Client, request: Request) -> Reply {
    client.request(request, Bytes::new()).await.expect("an answer").0
}

/// Judges until told that it is over; returns how many. Each must be a judgment.
fn judge_meanwhile(
    client: &Client,
    over: &tokio::sync::watch::Receiver<bool>,
) -> tokio::task::JoinHandle<usize> {
    let (client, over) = (client.clone(), over.clone());
    tokio::spawn(async move {
        let mut judged = 0;
        while !*over.borrow() {
            let item = Bytes::from(format!("Message number {judged}: the offer stands."));
            let outcome = client.judge(plain_request(), item).await.expect("an answer");
            assert!(matches!(outcome, Outcome::Judged(_)), "{outcome:?}");
            judged += 1;
        }
        judged
    })
}

async fn generations(daemon: &Daemon) -> Vec<u32> {
    daemon.settled().await.workers.iter().map(|worker| worker.generation).collect()
}

#[tokio::test]
async fn workers_are_replaced_while_tasks_are_judged() {
    let home = Home::new("[pool]\nsize = 2");
    let daemon = home.start().await;
    let client = daemon.admin().await;
    let before = generations(&daemon).await;
    let (end, over) = tokio::sync::watch::channel(false);
    let streams: Vec<_> = (0..4).map(|_| judge_meanwhile(&client, &over)).collect();
    for request in [Request::RestartWorkers, Request::Reload, Request::RestartWorkers] {
        let reply = ask(&client, request).await;
        let Reply::Report(report) = reply else { panic!("{reply:?}") };
        assert!(report.ends_with("all workers were replaced"), "{report}");
    }
    end.send(true).expect("they listen");
    for stream in streams {
        assert!(stream.await.expect("no failure") > 0);
    }
    let after = generations(&daemon).await;
    assert!(before.iter().zip(&after).all(|(old, new)| *new >= old + 3), "{before:?} {after:?}");
    assert!(daemon.stats().await.pool.deaths.is_empty());
}

#[tokio::test]
async fn a_killed_worker_is_the_operators_and_no_items_fault() {
    let worker = env!("CARGO_BIN_EXE_faulty_worker");
    let home = Home::new(&format!(
        "[pool]\nsize = 1\nstrikes_max = 1\nworker = \"{worker}\"\n[deadlines]\nhard_ms = 60000"
    ));
    let daemon = home.start().await;
    let stuck = daemon.client().await;
    let judging =
        tokio::spawn(async move { stuck.judge(request(), faults::item("busy_loop").into()).await });
    daemon.until("it is at work", |stats| stats.workers[0].doing.starts_with("score")).await;
    let killed = daemon.cynicctl(["kill-worker", "0"]);
    assert_eq!(killed.code, Some(0), "{}", killed.err);
    assert!(killed.out.contains("worker 0.1") && killed.out.contains("in score"), "{}", killed.out);
    let again = |stats: &Stats| stats.workers[0].generation == 2 && stats.pool.active_tasks == 1;
    let stats = daemon.until("its successor is at work on it", again).await;
    let deaths: Vec<_> = stats.pool.deaths.iter().map(|(cause, n)| (&cause[..], *n)).collect();
    assert_eq!((deaths, stats.pool.retries), (vec![("killed_by_operator", 1)], 1));
    assert_eq!((stats.pool.quarantined, judging.is_finished()), (0, false));
    let nobody = daemon.cynicctl(["kill-worker", "9"]);
    assert!(nobody.code != Some(0) && nobody.err.contains("slot 9"), "{}", nobody.err);
    judging.abort();
}

#[tokio::test]
async fn missing_workers_are_told_though_others_work() {
    let home = Home::new("[pool]\nsize = 2");
    let daemon = home.start().await;
    let client = daemon.admin().await;
    home.configure("[pool]\nsize = 2\nworker = \"/bin/false\"");
    let reload = tokio::spawn(async move { ask(&client, Request::Reload).await });
    let Reply::Refused { message, .. } = reload.await.expect("no panic") else {
        panic!("it is not done")
    };
    assert!(
        message.contains("not all workers are replaced yet (new ones do not start"),
        "{message}"
    );
    let told = |stats: &Stats| stats.degraded.iter().any(|why| why.contains("do not start"));
    let stats = daemon.until("it says that a worker is missing", told).await;
    assert!(stats.degraded[0].contains("exit code 1"), "{:?}", stats.degraded);
    assert!(stats.ready, "the other one judges: {stats:#?}");
}

#[tokio::test]
async fn a_reload_takes_a_good_file_and_leaves_a_bad_one() {
    let home = Home::new("[pool]\nsize = 1");
    let daemon = home.start().await;
    let client = daemon.admin().await;
    home.configure("[pool]\nsize = 3\n[clients]\nmax = 5");
    let reply = ask(&client, Request::Reload).await;
    let Reply::Report(report) = reply else { panic!("{reply:?}") };
    assert!(report.contains("a restart is needed for clients.max"), "{report}");
    assert_eq!(daemon.settled().await.pool.pool_size, 3);
    for (text, line) in [("[pool]\nsise = 2", "line 2"), ("\n[pool]\nsize = 0", "line 3")] {
        home.configure(text);
        let reply = ask(&client, Request::Reload).await;
        let Reply::Refused { kind: RefusalKind::Malformed, message } = reply else {
            panic!("{reply:?}")
        };
        assert!(message.contains(line) && message.ends_with("nothing has changed"), "{message}");
        assert_eq!(daemon.stats().await.pool.pool_size, 3);
    }
}

#[tokio::test]
async fn the_pool_is_scaled_until_the_next_reload() {
    let home = Home::new("[pool]\nsize = 1");
    let daemon = home.start().await;
    let client = daemon.admin().await;
    assert!(matches!(ask(&client, Request::Scale(Some(4))).await, Reply::Report(_)));
    for wrong in [0, u16::MAX] {
        assert!(matches!(ask(&client, Request::Scale(Some(wrong))).await, Reply::Refused { .. }));
    }
    daemon.until("four workers are idle", |stats| stats.pool.workers_idle == 4).await;
    assert!(matches!(ask(&client, Request::Reload).await, Reply::Report(_)));
    daemon.until("one worker is left", |stats| stats.workers.len() == 1).await;
}

#[tokio::test]
async fn a_canary_is_judged_but_neither_counted_nor_stored() {
    let home = Home::new("[pool]\nsize = 1");
    let daemon = home.start().await;
    let client = daemon.admin().await;
    let reply = ask(&client, Request::Canary(plain_request())).await;
    let Reply::Judged(judged) = reply else { panic!("{reply:?}") };
    assert!(judged.judgment.verdict >= cynic_proto::model::Verdict::Growl, "{judged:?}");
    let own = (Request::Canary(plain_request()), Bytes::from_static(b"A note of one's own."));
    let reply = client.request(own.0.clone(), own.1.clone()).await.expect("an answer").0;
    assert!(matches!(reply, Reply::Judged(_)), "an admin's: {reply:?}");
    let reply = daemon.client().await.request(own.0, own.1).await.expect("an answer").0;
    assert!(matches!(reply, Reply::Refused { kind: RefusalKind::NotPermitted, .. }), "{reply:?}");
    let stats = daemon.settled().await;
    assert_eq!((stats.verdicts.values().sum::<u64>(), stats.latency.count), (0, 0));
    assert_eq!((stats.recorder.flushed, stats.recorder.buffered), (0, 0));
}

#[tokio::test]
async fn the_doctor_finds_what_is_wrong() {
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.admin().await;
    let reply = ask(&client, Request::Doctor).await;
    let Reply::Findings(findings) = reply else { panic!("{reply:?}") };
    let bad: Vec<_> = findings.iter().filter(|f| f.state == FindingState::Bad).collect();
    assert!(bad.is_empty(), "{bad:?}");
    home.configure("[pool]\nsize = \"many\"");
    let reply = ask(&client, Request::Doctor).await;
    let Reply::Findings(findings) = reply else { panic!("{reply:?}") };
    let finding = findings.iter().find(|f| f.check == "configuration").expect("looked at");
    assert_eq!(finding.state, FindingState::Bad);
    assert!(finding.what.contains("line 2") && !finding.advice.is_empty(), "{finding:?}");
}

#[tokio::test]
async fn a_reload_of_what_is_no_file_is_refused_at_once() {
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.admin().await;
    fs::remove_file(home.path("cynic.toml")).expect("removed");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, home.path("cynic.toml"), kind, mode, 0).expect("a pipe");
    let Reply::Refused { message, .. } = ask(&client, Request::Reload).await else {
        panic!("a pipe is no configuration")
    };
    assert!(message.contains("no regular file"), "{message}");
    procfs::signal(daemon.pid(), Signal::TERM);
    assert_eq!(daemon.ended().await, Some(0));
}

#[tokio::test]
async fn what_waits_for_a_restart_is_not_forgotten() {
    let home = Home::new("[clients]\nmax = 100");
    let daemon = home.start().await;
    let client = daemon.admin().await;
    home.configure("[clients]\nmax = 200");
    for _ in 0..2 {
        let Reply::Report(report) = ask(&client, Request::Reload).await else { panic!("taken") };
        assert!(report.contains("a restart is needed for clients.max;"), "{report}");
    }
    let doctor = daemon.cynicctl(["doctor"]);
    assert!(doctor.out.contains("not in force yet: clients.max"), "{}", doctor.out);
    home.configure("[clients]\nmax = 100");
    let Reply::Report(report) = ask(&client, Request::Reload).await else { panic!("taken") };
    assert!(!report.contains("restart"), "{report}");
}

#[tokio::test]
async fn a_level_for_the_time_being_ends_with_a_reload() {
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.admin().await;
    let off = ask(&client, Request::LogLevel("off".to_owned())).await;
    assert!(matches!(off, Reply::Report(_)));
    assert!(matches!(ask(&client, Request::Reload).await, Reply::Report(_)));
    daemon.until("it logs again", |_| daemon.log().contains("reloaded: all workers")).await;
}

/// A reader of the log that sleeps, as a paging terminal or a stuck collector does.
#[tokio::test]
async fn a_log_that_nobody_reads_holds_nobody_up() {
    let home = Home::new("");
    let (socket, pipe) = (home.path("cynicd.sock"), Stdio::piped());
    let mut command = program("cynicd");
    command.arg("--config").arg(home.path("cynic.toml")).arg("--socket").arg(&socket);
    let mut daemon =
        command.arg("--data-dir").arg(home.path("data")).stderr(pipe).spawn().expect("started");
    let client = loop {
        match Client::connect(Options::new(admin_of(&socket))).await {
            Ok(client) => break client,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    // Each is a line; a pipe holds 64 KiB.
    for _ in 0..2000 {
        assert!(matches!(ask(&client, Request::LogLevel("info".into())).await, Reply::Report(_)));
    }
    client.ping().await.expect("alive");
    let _ = daemon.kill();
    daemon.wait().expect("reaped");
}

#[tokio::test]
async fn a_level_that_is_none_is_refused() {
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.admin().await;
    let level = |text: &str| Request::LogLevel(text.to_owned());
    assert!(matches!(ask(&client, level("debug")).await, Reply::Report(_)));
    assert!(matches!(ask(&client, level("loud")).await, Reply::Refused { .. }));
}

#[tokio::test]
async fn metrics_are_handed_out_at_a_socket() {
    use std::io::{Read as _, Write as _};
    let home = Home::new("");
    let socket = home.path("metrics.sock");
    home.configure(&format!("[metrics]\nlisten = \"unix:{}\"", socket.display()));
    let daemon = home.start().await;
    let read = tokio::task::spawn_blocking(move || {
        let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("a socket");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("asked");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    });
    let text = read.await.expect("no panic");
    assert!(
        text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("\ncynic_ready 1\n"),
        "{text}"
    );
    assert_eq!(daemon.stop().await, Some(0));
    let metrics: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let documented = names(include_str!("../../../docs/operations.md"));
    let lacking: Vec<_> = metrics.iter().filter(|name| !documented.contains(**name)).collect();
    assert!(lacking.is_empty(), "not in docs/operations.md: {lacking:?}");
    for used in [
        include_str!("../../../docs/operations.md"),
        include_str!("../../../monitoring/alerts.yml"),
        include_str!("../../../monitoring/grafana-dashboard.json"),
    ] {
        let unknown = |name: &&str| !metrics.contains(name.trim_end_matches("_bucket"));
        let unknown: Vec<&str> = names(used).into_iter().filter(unknown).collect();
        assert!(unknown.is_empty(), "no such metric: {unknown:?}");
    }
    // Each alert has its entry in the runbook.
    let runbook = include_str!("../../../docs/operations.md");
    let alerts = include_str!("../../../monitoring/alerts.yml");
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(runbook.contains(&format!("\n### {alert}\n")), "{alert} is not in the runbook");
        let anchor = format!("docs/operations.md#{}\"", alert.to_lowercase());
        assert!(alerts.contains(&anchor), "{alert} does not name its entry");
    }
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let lower = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let words = words.filter(|word| word.starts_with("cynic_") && word.len() > "cynic_".len());
    words.filter(lower).collect()
}

#[tokio::test]
async fn traces_go_to_a_file_that_a_collector_can_follow() {
    let home = Home::new("");
    let file = home.path("traces.jsonl");
    home.configure(&format!("[traces]\nfile = {file:?}"));
    let daemon = home.start().await;
    let client = daemon.client().await;
    let request = plain_request();
    let task = request.task;
    let item = Bytes::from_static(b"The release is moved to Friday.");
    assert!(matches!(client.judge(request, item).await, Ok(Outcome::Judged(_))));
    let nothing = plain_request();
    assert!(matches!(client.judge(nothing, Bytes::new()).await, Ok(Outcome::Failed { .. })));
    assert_eq!(daemon.stop().await, Some(0));
    let text = fs::read_to_string(&file).expect("written");
    let requests: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let spans = |n: usize| requests[n]["resourceSpans"][0]["scopeSpans"][0]["spans"].clone();
    let trace = task.to_string().replace('-', "");
    assert_eq!(spans(0)[0]["traceId"], trace);
    assert_eq!(spans(0).as_array().map(Vec::len), Some(7), "{}", spans(0));
    assert_eq!(spans(1)[0]["status"]["code"], 2, "{}", spans(1));
}
