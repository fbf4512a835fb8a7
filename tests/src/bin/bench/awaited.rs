//! Thirty-six scorers of one judgment that each wait for 5 ms, through the worker's own host.

use std::time::Instant;

use cynic_judge::{Judge, Options};
use cynic_proto::ids::TaskId;
use cynic_proto::item::Hint;
use cynic_proto::model::DIMENSIONS;
use cynic_proto::worker::{Lease, LeaseItem, Outcome};
use cynic_tests::scorers;
use cynic_worker::host::Host;
use cynic_worker::progress::ProgressWriter;

use crate::samples::Samples;
use crate::{line, title};

const JUDGMENTS: usize = 100;

const ITEM: &[u8] = br#"{"type": "text", "content": "The release is moved to Friday."}"#;

pub(crate) fn measure() {
    title("36 awaited scorers of 5 ms in one judgment", &["p50 ms", "p99 ms", "to 180 ms"]);
    let judge = Judge::new(Options::default());
    let panel = scorers::awaited(&judge);
    let mut host = Host::new(judge, panel, ProgressWriter::default()).expect("a host");
    let mut samples = Samples::default();
    for _ in 0..JUDGMENTS {
        let start = Instant::now();
        let judged = host.judge(&lease(), 0, ITEM).expect("a judgment");
        samples.add(start);
        let Outcome::Judged(judgment) = judged.outcome else { panic!("{:?}", judged.outcome) };
        assert_eq!(judgment.covered() as usize, DIMENSIONS);
    }
    let (p50, p99) = (samples.p50() / 1e3, samples.p99() / 1e3);
    let one_by_one = scorers::TIME.as_secs_f64() * 1e3 * DIMENSIONS as f64;
    let ratio = format!("1/{:.0}", one_by_one / p50);
    line("concurrently", &[format!("{p50:.2}"), format!("{p99:.2}"), ratio]);
}

fn lease() -> Lease {
    let (task, bytes) = (TaskId::new(), ITEM.len() as u32);
    let item = LeaseItem { task, bytes, hint: Hint::default(), soft_budget_us: 1_000_000 };
    Lease { nonce: 1, skip: 0, items: vec![item] }
}
