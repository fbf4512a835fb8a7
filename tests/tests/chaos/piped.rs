//! What `cynicctl` prints of a daemon to whose workers a lot happened, where there is no terminal.

use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Lane};
use cynic_tests::cli::{Ended, program};
use cynic_tests::daemon::Home;
use cynic_tests::{faults, raw};

use crate::items;

/// What goes into a pipe is whole: whoever looks for a cause there finds it.
#[tokio::test]
async fn piped_figures_have_all_causes_and_layers() {
    const CAUSES: &[(&str, &str)] = &[
        ("segfault", "signal"),
        ("exit_7", "exit_code"),
        ("heap_bomb", "memory_limit"),
        ("garbage", "protocol_violation"),
        ("attempt open_a_tcp_socket", "sandbox_violation"),
    ];
    let home = Home::new(&items::config(env!("CARGO_BIN_EXE_faulty_worker").as_ref()));
    let daemon = home.start().await;
    let client = daemon.client().await;
    for (command, _) in CAUSES {
        let request = raw::judge(TaskId::new(), Lane::Interactive, Ack::Judged);
        client.judge(request, faults::item(command).into()).await.expect("an answer");
    }
    let stats = daemon.settled().await;
    let piped = daemon.cynicctl(["stats"]).out;
    let deaths = stats.pool.deaths.iter().map(|(cause, n)| format!("{cause} {n}"));
    let deaths = deaths.collect::<Vec<_>>().join(", ");
    for (_, cause) in CAUSES {
        assert!(deaths.contains(cause), "{deaths}");
    }
    assert!(piped.lines().any(|line| line.ends_with(&format!(" {deaths}"))), "{deaths}: {piped}");
    for worker in &stats.workers {
        assert!(piped.contains(&worker.sandbox), "{}: {piped}", worker.sandbox);
    }
    assert!(piped.contains(&stats.isolation.cgroup), "{piped}");

    // Lists and notes do alike; `COLUMNS` says otherwise, as `watch` does.
    let listed = daemon.cynicctl(["quarantine", "list"]).out;
    assert_eq!(listed.lines().count(), 1 + CAUSES.len(), "{listed}");
    let violation = stats.last_deaths.iter().find(|death| death.cause.starts_with("protocol"));
    let violation = &violation.expect("one of them").cause;
    assert!(listed.contains(violation) && !listed.contains('…'), "{violation}: {listed}");
    let mut narrow = program("cynicctl");
    narrow.env("COLUMNS", "60").arg("--socket").arg(daemon.socket()).arg("stats");
    let narrow = Ended::of(&mut narrow).out;
    assert!(narrow.lines().any(|line| line.ends_with('…')), "{narrow}");
}
