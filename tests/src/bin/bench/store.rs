//! Judgments per second into SQLite: in batches, as the recorder writes them, beside one transaction each.

use std::time::{Duration, Instant};

use cynic_judge::{Judge, Options};
use cynic_proto::explanation;
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::item::{Form, Hint};
use cynic_proto::message::{Ack, Timings};
use cynicd::recorder::{Entry, JudgmentEntry, Recorder, RecorderConfig};

use crate::{items, line, title};

/// Written in batches: enough for some hundred milliseconds.
const ROWS: usize = 20_000;

/// Written one by one: each is a commit that the disk has to confirm.
const ROWS_SINGLY: usize = 1_000;

/// How long closing may take, which measures nothing any more.
const CLOSE_BUDGET: Duration = Duration::from_mins(1);

pub(crate) async fn measure() {
    title("judgments per second into SQLite", &["per second", "transactions", "rows each"]);
    let entry = entry();
    let batched = store(&entry, ROWS, |_| {}).await;
    let singly = store(&entry, ROWS_SINGLY, |config| {
        config.flush_rows = 1;
        config.batch_rows_max = 1;
    });
    let singly = singly.await;
    for (name, stored) in [("in batches", &batched), ("one transaction each", &singly)] {
        let each = stored.rows as f64 / stored.transactions as f64;
        let figures = [
            format!("{:.0}", stored.rate()),
            stored.transactions.to_string(),
            format!("{each:.0}"),
        ];
        line(name, &figures);
    }
    line("ratio", &[format!("{:.1}", batched.rate() / singly.rate())]);
}

struct Stored {
    rows: usize,
    transactions: u64,
    taken: Duration,
}

impl Stored {
    fn rate(&self) -> f64 {
        self.rows as f64 / self.taken.as_secs_f64()
    }
}

async fn store(
    entry: &JudgmentEntry,
    rows: usize,
    change: impl FnOnce(&mut RecorderConfig),
) -> Stored {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = RecorderConfig::new(dir.path());
    change(&mut config);
    let (recorder, thread) = Recorder::start(config).expect("a recorder");
    let start = Instant::now();
    for _ in 0..rows {
        let mut entry =
            Entry::Judgment(Box::new(JudgmentEntry { task: TaskId::new(), ..entry.clone() }));
        while let Err(rejected) = recorder.submit(entry, None) {
            entry = rejected.entry;
            recorder.room().await;
        }
    }
    recorder.flush().await.expect("flushed");
    let taken = start.elapsed();
    let transactions = recorder.status().stats.transactions;
    recorder.close(CLOSE_BUDGET).await.expect("closed");
    thread.join().expect("no panic");
    Stored { rows, transactions, taken }
}

/// A real judgment of a real text.
fn entry() -> JudgmentEntry {
    let judge = Judge::new(Options::default());
    let hint = Hint { form: Form::Plain, ..Hint::default() };
    let item = items::text("mail/ordinary.eml", 1_000);
    let (judgment, details) = judge.judge(&item, &hint).expect("a judgment");
    JudgmentEntry {
        task: TaskId::new(),
        judged_at_us: 1_700_000_000_000_000,
        judgment,
        explanation: explanation::encode(&details).expect("encodes"),
        content: None,
        client_uid: 0,
        ack: Ack::Judged,
        worker: WorkerId { slot: 0, generation: 1 },
        attempts: 1,
        timings: Timings::default(),
        calibration: 0,
    }
}
