//! Entries to record, each different and the same in every run.

use cynic_proto::error::ErrorKind;
use cynic_proto::explanation;
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::judgment::{Details, Evidence, Judgment};
use cynic_proto::message::{Ack, Timings};
use cynic_proto::model::{DIMENSIONS, Dimension, Domain, Verdict};
use cynicd::recorder::{Entry, EntryKey, FailureEntry, JudgmentEntry, NoticeEntry};

/// Time of the first entry; each later one is a second later.
pub(crate) const FIRST_US: i64 = 1_790_000_000_000_000;

/// A text in each item that must not be stored.
pub(crate) const SECRET: &str = "hunter2";

pub(crate) fn judgment(n: u32) -> JudgmentEntry {
    let score = |d: usize| ((n as usize * 37 + d * 11) % 1000) as f32 / 10.0;
    let q_score = score(50);
    let mut sha = [0; 32];
    sha[..4].copy_from_slice(&n.to_le_bytes());
    let judgment = Judgment {
        q_score,
        verdict: Verdict::of(q_score),
        confidence: 0.5,
        domain: Domain::ALL[n as usize % Domain::ALL.len()],
        axioms: std::array::from_fn(|a| score(a + 40)),
        dimensions: std::array::from_fn::<_, DIMENSIONS, _>(score),
        fallbacks: 0b100,
        partial: false,
        final_score: None,
        body_bytes: 1000 + u64::from(n),
        body_sha256: sha,
        judge_version: 3,
    };
    let details = Details {
        item_id: Some(format!("item-{n}")),
        evidence: vec![
            Evidence {
                dimension: Dimension::Integrity,
                code: "secret.password".to_owned(),
                points: -12.5,
                span: Some((3, 10)),
                text: Some(format!("password={SECRET}")),
            },
            Evidence {
                dimension: Dimension::Structure,
                code: "text.short".to_owned(),
                points: 2.0,
                span: None,
                text: Some("little to go on".to_owned()),
            },
        ],
        fallbacks: Vec::new(),
        unchecked: Vec::new(),
        summary: format!("text of {} bytes", 1000 + n),
    };
    JudgmentEntry {
        task: TaskId::new(),
        judged_at_us: FIRST_US + i64::from(n) * 1_000_000,
        judgment,
        explanation: explanation::encode(&details).unwrap(),
        content: None,
        client_uid: 1000 + n % 3,
        ack: Ack::Judged,
        worker: WorkerId { slot: 1, generation: 7 },
        attempts: 1,
        timings: Timings { queued_us: 10, running_us: 200, stages_us: [1, 2, 3, 4] },
        calibration: 0,
    }
}

/// An entry whose task is the same in every process.
pub(crate) fn numbered(n: u32) -> Entry {
    Entry::Judgment(Box::new(JudgmentEntry { task: task(n), ..judgment(n) }))
}

/// The task of the entry of that number.
pub(crate) fn task(n: u32) -> TaskId {
    TaskId(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(n))
}

pub(crate) fn entry(n: u32) -> Entry {
    Entry::Judgment(Box::new(judgment(n)))
}

pub(crate) fn failure(n: u32, message: &str) -> Entry {
    Entry::Failure(Box::new(FailureEntry {
        key: EntryKey::new(),
        task: TaskId::new(),
        failed_at_us: FIRST_US + i64::from(n) * 1_000_000 + 500_000,
        kind: ErrorKind::DeadlineExceeded,
        message: message.to_owned(),
        deaths: Vec::new(),
        item_id: None,
        client_uid: 1000,
        attempts: 2,
    }))
}

pub(crate) fn notice(n: u32) -> Entry {
    Entry::Notice(Box::new(NoticeEntry {
        key: EntryKey::new(),
        at_us: FIRST_US + i64::from(n) * 1_000_000,
        kind: "worker.died".to_owned(),
        task: None,
        message: format!("worker {n} died of signal 9"),
    }))
}
