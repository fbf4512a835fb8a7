//! The figures that operators and their programs rely on, by their names.

use cynic_tests::daemon::Home;
use serde_json::Value;

use crate::is_unharmed;

/// Keys of each part of `cynicctl stats --json`: those of the project's plan and those that came with isolation.
const NAMES: [(&str, &[&str]); 5] = [
    (
        "",
        &[
            "build", "pid", "uptime_s", "ready", "draining", "degraded", "verdicts", "latency",
            "stages",
        ],
    ),
    (
        "/pool",
        &[
            "tasks_processed",
            "tasks_queued",
            "workers_idle",
            "avg_processing_time",
            "pool_size",
            "queue_length",
            "active_tasks",
            "queue_bytes",
            "queue_length_max",
            "queue_bytes_max",
            "active_tasks_max",
            "oldest_wait_ms",
            "rejects",
            "failures",
            "deaths",
            "recycled",
            "retries",
            "quarantined",
            "breaker_open",
        ],
    ),
    (
        "/workers/0",
        &["slot", "generation", "pid", "state", "tasks", "memory_bytes", "sandbox", "doing"],
    ),
    (
        "/clients",
        &["connected", "max", "connected_max", "admins", "accepted", "turned_away", "expelled"],
    ),
    (
        "/recorder",
        &[
            "store",
            "buffered",
            "flushed",
            "transactions",
            "retries",
            "dead_letters",
            "oldest_age_ms",
        ],
    ),
];

#[tokio::test]
async fn figures_keep_their_names_and_tell_the_truth() {
    const TASKS: u64 = 5;
    let home = Home::new("[pool]\nsize = 2\n");
    let daemon = home.start().await;
    for _ in 0..TASKS {
        is_unharmed(&daemon).await;
    }
    daemon.until("all is stored", |stats| stats.recorder.flushed == TASKS).await;
    let ended = daemon.cynicctl(["stats", "--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let stats = &ended.json()[0];
    for (part, names) in NAMES {
        let part = stats.pointer(part).unwrap_or_else(|| panic!("no {part} in {stats:#}"));
        for name in names {
            assert!(part.get(name).is_some(), "no {name} in {part:#}");
        }
    }
    let pool = &stats["pool"];
    assert_eq!((&pool["tasks_processed"], &pool["tasks_queued"]), (&TASKS.into(), &TASKS.into()));
    assert_eq!((&pool["pool_size"], &pool["workers_idle"]), (&2.into(), &2.into()));
    assert_eq!((&pool["queue_length"], &pool["active_tasks"]), (&0.into(), &0.into()));
    assert!(pool["avg_processing_time"].as_f64().is_some_and(|millis| millis > 0.0));
    let workers = stats["workers"].as_array().expect("a list");
    let tasks: Option<u64> = workers.iter().map(|worker| worker["tasks"].as_u64()).sum();
    assert_eq!((workers.len(), tasks), (2, Some(TASKS)));
    assert!(workers.iter().all(|worker| worker["state"] == "idle" && worker["pid"] != 0));
    let stages = stats["stages"].as_array().expect("a list");
    let names: Vec<&Value> = stages.iter().map(|stage| &stage["name"]).collect();
    assert_eq!(names, ["parse", "score", "aggregate", "verdict", "persist"]);
    // The table for people names them too.
    let table = daemon.cynicctl(["stats"]);
    for name in NAMES[1].1.iter().take(7) {
        assert!(table.out.contains(name), "{name} is not in {}", table.out);
    }
}

#[tokio::test]
async fn what_was_judged_is_found_again() {
    let home = Home::new("");
    let daemon = home.start().await;
    let path = home.path("note.txt");
    std::fs::write(&path, "The bridge opens in May, says the council.").expect("written");
    let path = path.display().to_string();
    let judged = daemon.cynicctl(["judge", "--json", "--ack", "stored", &path]);
    let judged = &judged.json()[0];
    assert_eq!(judged["stored"], true);
    let listed = daemon.cynicctl(["history", "--json"]);
    assert_eq!(listed.json().len(), 1, "{listed:?}");
    assert_eq!(listed.json()[0]["task_id"], judged["task_id"]);
    let task = judged["task_id"].as_str().expect("an id");
    let shown = daemon.cynicctl(["show", "--json", task]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let none = daemon.cynicctl(["show", "019123ab-4567-7abc-8def-0123456789ab"]);
    assert_eq!(none.code, Some(6), "{none:?}");
    let none = daemon.cynicctl(["history", "--json", "--until", "2020-01-01"]);
    assert_eq!((none.code, none.json().len()), (Some(0), 0), "{none:?}");
}
