//! Rows per second and round trips per judgment by batch size, on both stores, as ratios to one transaction a
//! row; bytes a judgment on disk; and the first pages of history over a large store.
//!
//! `cargo bench -p cynicd --bench recorder [-- history ROWS]`. PostgreSQL is a private server with its defaults for
//! durability; what both wait for is the disk under the current directory and under the temporary one.
#![expect(
    clippy::print_stdout,
    clippy::cast_possible_wrap,
    reason = "a benchmark prints, and counts little"
)]

use std::io::Write;
use std::time::{Duration, Instant};

use sqlx::Connection;

use cynic_proto::error::ErrorKind;
use cynic_proto::explanation;
use cynic_proto::history::{DimensionBound, HistoryQuery, Side};
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::judgment::{Details, Evidence, Judgment};
use cynic_proto::message::{Ack, Timings};
use cynic_proto::model::{DIMENSIONS, Dimension, Domain, Verdict};
use cynicd::recorder::{
    Database, Entry, EntryKey, FailureEntry, JudgmentEntry, Recorder, RecorderConfig,
    RecorderHandle,
};

#[path = "../tests/recorder/postgres.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the tests do more to a server")]
mod postgres;

/// Batch sizes and how many rows are written with each: enough commits to measure, few enough for a slow disk. The
/// first is one transaction a row.
const BATCHES: [(usize, u64); 4] = [(1, 1000), (10, 4000), (100, 20_000), (1000, 40_000)];

/// In a large store one failure comes with so many judgments.
const FAILURE_EVERY: u64 = 20;

/// How often each page is asked for; the median counts.
const ASKED: usize = 9;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match arguments.first().map(String::as_str) {
        Some("history") => {
            let rows = arguments.get(1).and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
            runtime.block_on(history(rows));
        }
        _ => runtime.block_on(batches()),
    }
}

/// A judgment as the judge gives them: four pieces of evidence, all scores different.
fn entry(n: u64) -> Entry {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    // Scores gather around the middle, so that the ends are rare.
    let mut score = || (random() + random() + random() + random()) * 25.0;
    let q_score = score();
    let evidence = |n: usize| Evidence {
        dimension: Dimension::ALL[n * 7],
        code: format!("evidence.number-{n}"),
        points: -3.5,
        span: Some((10, 20)),
        text: Some("a quotation of some length, as they are".to_owned()),
    };
    let details = Details {
        item_id: Some(format!("item-{n}")),
        evidence: (0..4).map(evidence).collect(),
        summary: "text of 1200 bytes, 4 sentences, 2 links".to_owned(),
        ..Details::default()
    };
    Entry::Judgment(Box::new(JudgmentEntry {
        task: TaskId::new(),
        judged_at_us: 1_790_000_000_000_000 + n as i64 * 1000,
        judgment: Judgment {
            q_score,
            verdict: Verdict::of(q_score),
            confidence: 0.5,
            domain: Domain::ALL[n as usize % Domain::ALL.len()],
            axioms: std::array::from_fn(|_| score()),
            dimensions: std::array::from_fn::<_, DIMENSIONS, _>(|_| score()),
            fallbacks: 0,
            partial: false,
            final_score: None,
            body_bytes: 1200,
            body_sha256: [n as u8; 32],
            judge_version: 1,
        },
        explanation: explanation::encode(&details).expect("details encode"),
        content: None,
        client_uid: 1000 + (n % 5) as u32,
        ack: Ack::Judged,
        worker: WorkerId { slot: 0, generation: 1 },
        attempts: 1,
        timings: Timings::default(),
        calibration: 0,
    }))
}

fn config(dir: &std::path::Path, database: &Database, batch: usize) -> RecorderConfig {
    let mut config = RecorderConfig::new(dir);
    config.database = database.clone();
    config.flush_rows = batch;
    config.batch_rows_max = batch;
    config.flush_interval = Duration::from_secs(5);
    config.buffered_rows_max = 100_000;
    config.buffered_bytes_max = 1 << 30;
    config.spill_after = Duration::from_mins(1);
    config.lanes = 1;
    // The entries are of a fixed time.
    config.retention.age_max = None;
    config
}

/// A failure; one in fifty tells of a CPU limit.
fn failure(n: u64) -> Entry {
    let what = if n.is_multiple_of(50) { "met its CPU limit" } else { "was killed by signal 9" };
    Entry::Failure(Box::new(FailureEntry {
        key: EntryKey::new(),
        task: TaskId::new(),
        failed_at_us: 1_790_000_000_000_000 + n as i64 * 1000,
        kind: ErrorKind::Quarantined,
        message: format!("worker {} {what} while it scored item {n}", n % 8),
        deaths: Vec::new(),
        item_id: None,
        client_uid: 1000,
        attempts: 3,
    }))
}

async fn submit(handle: &RecorderHandle, mut next: Entry) {
    while let Err(rejected) = handle.submit(next, None) {
        next = rejected.entry;
        handle.room().await;
    }
}

/// How long somebody waits for a commit, alone and among others, with the recorder's defaults.
async fn waits(databases: &[Database]) {
    const ASKED: u64 = 1000;
    println!("\nstore     waiting at once  stored p50 ms  p99 ms");
    for database in databases {
        for at_once in [1, 64] {
            let dir = tempfile::tempdir_in(".").expect("a directory");
            let mut config = RecorderConfig::new(dir.path());
            config.database = database.clone();
            config.retention.age_max = None;
            let (handle, thread) = Recorder::start(config).expect("the recorder starts");
            let mut waits = Vec::new();
            let mut asked = tokio::task::JoinSet::new();
            for n in 0..ASKED {
                if asked.len() == at_once {
                    waits.extend(asked.join_next().await.map(|wait| wait.expect("it is stored")));
                }
                let (settled, is_settled) = tokio::sync::oneshot::channel();
                let started = Instant::now();
                let told = Box::new(move |fate| drop(settled.send(fate)));
                assert!(handle.submit(entry(n), Some(told)).is_ok(), "there is room");
                asked.spawn(async move {
                    is_settled.await.expect("it is told");
                    started.elapsed()
                });
            }
            waits.extend(asked.join_all().await);
            waits.sort();
            let ms =
                |share: f64| waits[(waits.len() as f64 * share) as usize].as_secs_f64() * 1000.0;
            let name = handle.status().stats.store;
            println!("{name:9} {at_once:15} {:14.2} {:7.2}", ms(0.5), ms(0.99));
            handle.close(Duration::from_mins(1)).await.expect("it closes");
            let _ = thread.join();
        }
    }
}

/// What one transaction cannot be faster than: 4 KiB appended and on the disk, where the stores are made.
fn floor() {
    const SYNCS: usize = 300;
    let mut file = tempfile::tempfile_in(".").expect("a file");
    let mut times: Vec<_> = (0..SYNCS)
        .map(|_| {
            let started = Instant::now();
            file.write_all(&[1; 4096]).and_then(|()| file.sync_data()).expect("on the disk");
            started.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let (p50, p99) = (times[SYNCS / 2], times[SYNCS * 99 / 100]);
    println!("floor     fdatasync of 4 KiB: p50 {p50:.2} ms, p99 {p99:.2} ms\n");
}

async fn batches() {
    floor();
    let server = postgres::Server::start(true);
    let databases = [Database::Sqlite, Database::Postgres(server.url())];
    println!(
        "store     batch     rows/s  ratio  round trips/judgment  flush p50 ms  p99 ms  bytes/judgment"
    );
    for database in &databases {
        let mut single = 0.0;
        for (batch, rows) in BATCHES {
            let dir = tempfile::tempdir_in(".").expect("a directory");
            let (handle, thread) =
                Recorder::start(config(dir.path(), database, batch)).expect("the recorder starts");
            let before = bytes(dir.path(), database).await;
            // Made before the clock starts: what is measured is the recorder.
            let entries: Vec<_> = (0..rows).map(entry).collect();
            let started = Instant::now();
            for entry in entries {
                assert!(handle.submit(entry, None).is_ok(), "there is room for all");
            }
            handle.flush().await.expect("it flushes");
            let per_s = rows as f64 / started.elapsed().as_secs_f64();
            if batch == 1 {
                single = per_s;
            }
            let after = bytes(dir.path(), database).await;
            let stats = handle.status().stats;
            println!(
                "{:9} {batch:5} {per_s:10.0} {:6.1} {:21.4} {:13.2} {:7.2} {:15}",
                stats.store,
                per_s / single,
                stats.round_trips_per_judgment,
                stats.flush_latency.p50_us as f64 / 1000.0,
                stats.flush_latency.p99_us as f64 / 1000.0,
                (after - before) / rows,
            );
            handle.close(Duration::from_mins(1)).await.expect("it closes");
            let _ = thread.join();
        }
    }
    waits(&databases).await;
}

/// What the database takes.
async fn bytes(data_dir: &std::path::Path, database: &Database) -> u64 {
    const SQLITE: &str = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    const POSTGRES: &str = "SELECT pg_database_size(current_database())";
    let bytes: Result<i64, _> = match database {
        Database::Sqlite => {
            let url = format!("sqlite://{}?mode=ro", data_dir.join("cynic.db").display());
            let mut store = sqlx::SqliteConnection::connect(&url).await.expect("the store");
            sqlx::query_scalar(SQLITE).fetch_one(&mut store).await
        }
        Database::Postgres(url) => {
            let mut store = sqlx::PgConnection::connect(url).await.expect("the store");
            sqlx::query_scalar(POSTGRES).fetch_one(&mut store).await
        }
    };
    bytes.expect("a number").cast_unsigned()
}

/// Waits until each run of 256 judgments has its zone; says how long that took.
async fn zones_are_made(path: &std::path::Path, zones: u64) -> Duration {
    let started = Instant::now();
    let url = format!("sqlite://{}?mode=ro", path.display());
    let mut store = sqlx::SqliteConnection::connect(&url).await.expect("the store");
    loop {
        let made = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM zones").fetch_one(&mut store);
        if made.await.expect("a number") as u64 + 1 >= zones {
            return started.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn history(rows: u64) {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let config = config(dir.path(), &Database::Sqlite, 1000);
    let (handle, thread) = Recorder::start(config).expect("the recorder starts");
    for n in 0..rows {
        submit(&handle, entry(n)).await;
        if n.is_multiple_of(FAILURE_EVERY) {
            submit(&handle, failure(n / FAILURE_EVERY)).await;
        }
    }
    handle.flush().await.expect("it flushes");
    let zoned = zones_are_made(&dir.path().join("cynic.db"), rows / 256).await;
    println!("all zones are made {:.1} s after the last write", zoned.as_secs_f64());
    let bytes = bytes(dir.path(), &Database::Sqlite).await;
    println!("{rows} judgments, {} bytes each", bytes / rows);
    let bound = |dimension, side, score| vec![DimensionBound { dimension, side, score }];
    let base = HistoryQuery::default;
    let first_us = 1_790_000_000_000_000;
    let middle = first_us + rows as i64 * 500;
    let queries = [
        ("newest", base()),
        ("oldest first", HistoryQuery { oldest_first: true, ..base() }),
        (
            "an hour long ago",
            HistoryQuery { since_us: Some(middle), until_us: Some(middle + 60_000), ..base() },
        ),
        ("verdict HOWL (rare)", HistoryQuery { verdicts: vec![Verdict::Howl], ..base() }),
        ("q below 8 (very rare)", HistoryQuery { q_max: Some(8.0), ..base() }),
        ("q above 99.9 (none)", HistoryQuery { q_min: Some(99.9), ..base() }),
        ("domain shell", HistoryQuery { domain: Some(Domain::Shell), ..base() }),
        ("client", HistoryQuery { client_uid: Some(1003), ..base() }),
        ("unknown client", HistoryQuery { client_uid: Some(7), ..base() }),
        ("item id", HistoryQuery { item_id: Some(format!("item-{}", rows / 2)), ..base() }),
        (
            "INTEGRITY below 6",
            HistoryQuery { dimensions: bound(Dimension::Integrity, Side::Below, 6.0), ..base() },
        ),
        (
            "UTILITY above 97",
            HistoryQuery { dimensions: bound(Dimension::Utility, Side::Above, 97.0), ..base() },
        ),
        (
            "HOWL, shell, CANDOR below 15",
            HistoryQuery {
                verdicts: vec![Verdict::Howl],
                domain: Some(Domain::Shell),
                dimensions: bound(Dimension::Candor, Side::Below, 15.0),
                ..base()
            },
        ),
        ("error text (rare)", HistoryQuery { error_text: Some("CPU limit".to_owned()), ..base() }),
    ];
    println!("{:30} {:>5} {:>10}", "first page", "rows", "median ms");
    for (name, query) in queries {
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..ASKED {
            let started = Instant::now();
            found = handle.history(query.clone()).await.expect("it answers").rows.len();
            times.push(started.elapsed());
        }
        times.sort();
        println!("{name:30} {found:5} {:10.2}", times[ASKED / 2].as_secs_f64() * 1000.0);
    }
    handle.close(Duration::from_mins(1)).await.expect("it closes");
    let _ = thread.join();
}
