//! The stages of the pipeline: what each of them counts, and what is said when one holds the others up.

use std::path::Path;

use bytes::Bytes;
use cynic_proto::client::Outcome;
use cynic_proto::client::stream::Flow;
use cynic_proto::message::{Judge, Lane};
use cynic_proto::stats::{StageStats, Stats};
use cynic_tests::daemon::Home;
use cynic_tests::procfs;
use rustix::process::Signal;
use sqlx::{Connection as _, SqliteConnection};

use crate::service_manager::Manager;
use crate::{is_unharmed, plain_request};

fn stage<'a>(stats: &'a Stats, name: &str) -> &'a StageStats {
    let found = stats.stages.iter().find(|stage| stage.name == name);
    found.unwrap_or_else(|| panic!("no stage {name} in {:#?}", stats.stages))
}

#[tokio::test]
async fn budgets_are_configured_by_name_and_counted() {
    let home = Home::new("[stages]\nparse_ms = 7\npersist_ms = 3\n");
    let daemon = home.start().await;
    is_unharmed(&daemon).await;
    let stats = daemon.until("it is stored", |stats| stats.recorder.flushed == 1).await;
    let budgets: Vec<u64> = stats.stages.iter().map(|stage| stage.budget_us).collect();
    assert_eq!(budgets, [7_000, 200_000, 30_000, 20_000, 3_000]);
    assert!(stats.stages.iter().all(|stage| stage.done == 1 && !stage.holds_up), "{stats:#?}");
    home.configure("[stages]\nscore_ms = 0\n");
    let refused = daemon.cynicctl(["reload"]);
    assert!(refused.code != Some(0) && refused.err.contains("stages.score_ms"), "{refused:?}");
}

/// The lock that another process may hold on the embedded store: nothing is written until it is let go.
async fn locked(path: &Path) -> SqliteConnection {
    let url = format!("sqlite://{}", path.display());
    let mut other = SqliteConnection::connect(&url).await.expect("the store");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("the lock");
    other
}

/// What it holds in memory is bounded by the recorder's buffer, whatever is sent; and the figures name the stage.
#[tokio::test]
async fn a_stopped_store_holds_the_others_up_and_nothing_is_lost() {
    const ITEMS: u64 = 700;
    /// More than the recorder buffers, in items of this size with their content.
    const ITEM_BYTES: usize = 200 * 1024;
    /// The recorder's buffer of 64 MiB, in items.
    const BUFFERED_MAX: u64 = 64 * 1024 * 1024 / ITEM_BYTES as u64;
    const CREDIT: u32 = 16;
    /// What the daemon may take in all: the buffer, what is in flight, and as much again for copies on their way.
    const MEMORY_BYTES_MAX: u64 = 256 * 1024 * 1024;
    // What waits has time to: this looks at memory, not at clocks.
    let home = Home::new(
        "[recorder]\nstore_content = true\n\n[queue]\ntimeout_ms = 600000\n\n\
         [deadlines]\ntotal_ms = 600000\n",
    );
    let mut manager = Manager::at(&home);
    let daemon = home.launch_with(&[("NOTIFY_SOCKET", &home.path("notify").display().to_string())]);
    daemon.ready().await;
    let mut other = locked(&home.path("data/cynic.db")).await;
    let client = daemon.client().await;
    let flow = Flow { items: CREDIT, ordered: false, ..Flow::default() };
    let (mut items, mut answers) = client.stream(flow);
    // Judging does not matter here: nearly all of it is in a field that is not looked at.
    let padding = ".".repeat(ITEM_BYTES - 82);
    let text = format!(
        r#"{{"type":"text","content":"The bridge opens in May, says the council.","padding":"{padding}"}}"#
    );
    let text = Bytes::from(text);
    let sender = tokio::spawn(async move {
        for _ in 0..ITEMS {
            let request = Judge { lane: Lane::Bulk, ..plain_request() };
            items.send(request, text.clone()).await.expect("wanted");
        }
    });
    let reader = tokio::spawn(async move {
        let mut judged = 0;
        while let Some(answer) = answers.next().await {
            assert!(matches!(answer.outcome, Ok(Outcome::Judged(_))), "{answer:?}");
            judged += 1;
        }
        judged
    });
    let full = daemon.until("persist holds up", |stats| stage(stats, "persist").holds_up).await;
    assert_eq!(stage(&full, "persist").done, 0);
    assert!(stage(&full, "verdict").waiting > 0, "{:#?}", full.stages);
    assert!(full.stages.iter().filter(|stage| stage.holds_up).count() == 1, "{:#?}", full.stages);
    let table = daemon.cynicctl(["stats"]);
    assert!(table.out.contains("persist: it is full"), "{}", table.out);
    // All the credit that there is waits, and the sender with it: the daemon takes no more into memory.
    let full = daemon
        .until("all in flight waits", |stats| {
            let pool = &stats.pool;
            pool.active_tasks == 0 && pool.queue_length + stage(stats, "verdict").waiting as u32 > 0
        })
        .await;
    let judged = stage(&full, "verdict").done;
    assert!(judged <= BUFFERED_MAX + u64::from(CREDIT), "{judged} judged, none stored");
    assert!(daemon.memory_bytes() < MEMORY_BYTES_MAX, "{} bytes", daemon.memory_bytes());
    assert!(!sender.is_finished());
    // With more on its way it is refused in the end. The service manager is told how things are at each reload.
    daemon.until("it is not ready", |stats| !stats.ready).await;
    home.configure("sise = 1");
    procfs::signal(daemon.pid(), Signal::HUP);
    manager.hears("STATUS=not ready: the store does not keep up (configuration refused", &daemon);
    let ping = daemon.cynicctl(["ping"]);
    assert!(ping.out.starts_with("not ready: the store does not keep up ("), "{ping:?}");

    sqlx::query("ROLLBACK").execute(&mut other).await.expect("the lock is let go");
    other.close().await.expect("closed");
    assert_eq!(reader.await.expect("no panic"), ITEMS);
    sender.await.expect("no panic");
    // Notices are entries too (the store has recovered): the judgments themselves are counted.
    let all = |stats: &Stats| stats.recorder.flushed >= ITEMS && stats.recorder.buffered == 0;
    let stats = daemon.until("all is stored", all).await;
    let url = format!("sqlite://{}", home.path("data/cynic.db").display());
    let mut store = SqliteConnection::connect(&url).await.expect("the store");
    let count = "SELECT count(*), count(DISTINCT task_id) FROM judgments";
    let stored: (i64, i64) = sqlx::query_as(count).fetch_one(&mut store).await.expect("counted");
    assert_eq!(stored, (ITEMS.cast_signed(), ITEMS.cast_signed()), "each is stored, and once");
    assert!(!stage(&stats, "persist").holds_up, "{:#?}", stats.stages);
    assert!(daemon.memory_bytes() < MEMORY_BYTES_MAX, "{} bytes", daemon.memory_bytes());
}
