//! One sample of each message, and its frame's bytes in golden.txt. Bytes that change are another protocol: they
//! need another `PROTOCOL_VERSION`.
//!
//! A new message needs a sample here; `GOLDEN=write cargo test -p cynic-proto --test wire` then writes its bytes,
//! to be read before they are committed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use cynic_proto::calibration::{
    Calibration, CalibrationReport, CalibrationRequest, CalibrationVersion, DomainCalibration, Fit,
    Thresholds,
};
use cynic_proto::codec;
use cynic_proto::dead_letters::{
    DeadLetter, DeadLettersReply, DeadLettersRequest, LetterEntry, Retried, RetryOutcome,
};
use cynic_proto::error::{Death, DeathCause, ErrorKind, TaskError};
use cynic_proto::event::{Event, EventsBatch, EventsQuery, Happening, Kind};
use cynic_proto::explanation;
use cynic_proto::finding::Finding;
use cynic_proto::handshake::{Hello, Role};
use cynic_proto::history::{
    BackupReport, Cursor, DimensionBound, FailureRow, FeedbackRow, HistoryPage, HistoryQuery,
    HistoryRow, JudgmentRow, RecordKinds, ShowRow, Side, Truth,
};
use cynic_proto::ids::{LetterId, TaskId, WorkerId};
use cynic_proto::item::{Form, Hint, ItemError, ItemErrorKind};
use cynic_proto::judgment::{Details, Evidence, Fallback, FallbackReason, FinalScore, Judgment};
use cynic_proto::limits::FRAME_BYTES_MAX;
use cynic_proto::message::{
    Ack, Judge, Judged, Lane, Pong, RefusalKind, Reply, Request, Timings, ToClient, ToDaemon,
};
use cynic_proto::model::{Dimension, Domain, Stage, Verdict};
use cynic_proto::quarantine::{
    ItemKey, QuarantineRecord, QuarantineRequest, ReplayOutcome, Replayed,
};
use cynic_proto::sandbox::{Layer, LayerStatus, SandboxMode, SandboxReport};
use cynic_proto::stats::{LastDeath, PoolStats, Stats, WorkerStats};
use cynic_proto::worker::{FromWorker, Lease, LeaseItem, Outcome, Spent, ToWorker};
use serde::Serialize;

use crate::arbitrary::variants;

/// A message's name and its frame.
pub(crate) type Sample = (String, Vec<u8>);

const READY: FromWorker = FromWorker::Ready { judge_version: 1 };

pub(crate) fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for role in [Role::Client, Role::Daemon, Role::Worker] {
        samples.push((format!("hello.{role:?}"), hello(role)));
    }
    for (n, request) in requests().into_iter().enumerate() {
        let name = format!("request.{}", variants::<Request>()[number(&request)]);
        let payload = if matches!(request, Request::Judge(_)) { &b"an item"[..] } else { &[] };
        samples.push((name, frame(&ToDaemon { seq: n as u64 + 1, request }, payload)));
    }
    for (n, reply) in replies().into_iter().enumerate() {
        let name = format!("reply.{}", variants::<Reply>()[number(&reply)]);
        let payload = match reply {
            Reply::Judged(_) => codec::encode(&details()).expect("encodes"),
            _ => Vec::new(),
        };
        samples.push((name, frame(&ToClient { seq: n as u64 + 1, reply }, &payload)));
    }
    samples.push(("to_worker.Lease".to_owned(), frame(&ToWorker::Lease(lease()), b"first2nd")));
    samples.push(("to_worker.Ping".to_owned(), frame(&ToWorker::Ping(300), &[])));
    let report = codec::encode(&sandbox_report()).expect("encodes");
    samples.push(("from_worker.Ready".to_owned(), frame(&READY, &report)));
    for outcome in outcomes() {
        let name = format!("from_worker.Done.{}", variants::<Outcome>()[number(&outcome)]);
        let slow_dimensions = vec![(Dimension::Candor, 1000)];
        let spent = Spent { stages_us: [1, 250, 251, 65_536], slow_dimensions };
        let payload = match outcome {
            Outcome::Judged(_) => explanation::encode(&worded()).expect("encodes"),
            _ => Vec::new(),
        };
        let done = FromWorker::Done { nonce: u64::MAX, task: task(1), outcome, spent };
        samples.push((name, frame(&done, &payload)));
    }
    samples.push(("from_worker.Pong".to_owned(), frame(&FromWorker::Pong(300), &[])));
    samples
}

/// The build's name is left out of account: it changes with each release, and no reader depends on it.
fn hello(role: Role) -> Vec<u8> {
    let mut hello = Hello::new(role);
    "cynic/0.0.0".clone_into(&mut hello.build);
    frame(&hello, &[])
}

fn frame<M: Serialize>(message: &M, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::put(message, payload, FRAME_BYTES_MAX, &mut bytes).expect("fits");
    bytes
}

/// The number of a value's variant: what its encoding begins with.
fn number<M: Serialize>(value: &M) -> usize {
    usize::from(codec::encode(value).expect("encodes")[0])
}

fn task(n: u128) -> TaskId {
    TaskId(0x0192_3456_789a_7bcd_8ef0_1234_5678_9a00 + n)
}

fn worker() -> WorkerId {
    WorkerId { slot: 2, generation: 7 }
}

fn requests() -> Vec<Request> {
    let hint = Hint {
        form: Form::Plain,
        item_type: Some("text".to_owned()),
        name: Some("mail.eml".to_owned()),
        profile: Some("protection".to_owned()),
    };
    let judge = Judge {
        task: task(1),
        retry: true,
        lane: Lane::Bulk,
        ack: Ack::Stored,
        deadline_ms: Some(1500),
        hint,
    };
    let query = HistoryQuery {
        since_us: Some(1_700_000_000_000_000),
        until_us: None,
        verdicts: vec![Verdict::Growl, Verdict::Bark],
        q_min: Some(12.5),
        q_max: None,
        domain: Some(Domain::Shell),
        client_uid: Some(1000),
        item_id: Some("a".to_owned()),
        dimensions: vec![DimensionBound {
            dimension: Dimension::Candor,
            side: Side::Below,
            score: 38.5,
        }],
        error_text: None,
        kinds: RecordKinds::Judgments,
        cursor: Some(Cursor { judgment_seq: Some(-1), failure_seq: None }),
        limit: 20,
        oldest_first: true,
        features: true,
    };
    let events = EventsQuery {
        kinds: vec![Kind::JudgmentCompleted, Kind::AccessRefused],
        recent: false,
        follow: true,
    };
    let canary = judge.clone();
    vec![
        Request::Judge(judge),
        Request::Cancel(task(2)),
        Request::Ping,
        Request::Stats,
        Request::History(Box::new(query)),
        Request::Show(task(3)),
        Request::Drain,
        Request::Resume,
        Request::Events(Box::new(events)),
        Request::Feedback { task: task(4), truth: Truth::Bad, note: Some("spam".to_owned()) },
        Request::Calibrate(CalibrationRequest::Use(300)),
        Request::Backup("/backup.db".to_owned()),
        Request::Quarantine(QuarantineRequest::List),
        Request::Quarantine(QuarantineRequest::Replay(task(4))),
        Request::Reload,
        Request::Scale(Some(4)),
        Request::RestartWorkers,
        Request::LogLevel("debug".to_owned()),
        Request::Canary(canary),
        Request::Doctor,
        Request::KillWorker(3),
        Request::DeadLetters(DeadLettersRequest::List(Some(300))),
        Request::DeadLetters(DeadLettersRequest::Show(LetterId(task(5).0))),
        Request::DeadLetters(DeadLettersRequest::Retry(LetterId(task(5).0))),
        Request::DeadLetters(DeadLettersRequest::RetryAll(None)),
        Request::DeadLetters(DeadLettersRequest::Drop(LetterId(task(5).0))),
        Request::DeadLetters(DeadLettersRequest::DropAll),
    ]
}

fn replies() -> Vec<Reply> {
    let judged = Judged {
        task: task(1),
        judgment: judgment(),
        reached: Ack::Judged,
        attempts: 1,
        worker: worker(),
        timings: timings(),
    };
    let feedback = FeedbackRow {
        truth: Truth::Good,
        note: None,
        client_uid: 1000,
        given_at_us: 1_700_000_000_000_000,
    };
    let backup = BackupReport { path: "/backup.db".to_owned(), bytes: 65_536, judgments: 300 };
    let pong = Pong { ready: true, degraded: false, status: "ready".to_owned() };
    let mut replies = vec![
        Reply::Judged(Box::new(judged)),
        Reply::Echoed(task(1)),
        Reply::Failed { task: task(1), error: Box::new(task_error()) },
        Reply::Pong(pong),
        Reply::Stats(Box::new(stats())),
        Reply::History(Box::new(page())),
        Reply::Show(Box::new(show())),
        Reply::Done,
        Reply::Refused { kind: RefusalKind::TooLarge, message: "too large".to_owned() },
        Reply::Events(Box::new(events())),
        Reply::Feedback(Box::new(feedback)),
        Reply::Calibration(Box::new(calibration())),
        Reply::Backup(Box::new(backup)),
        Reply::Quarantine(vec![quarantined()]),
        Reply::Replayed(Box::new(replayed())),
        Reply::Report("done".to_owned()),
        Reply::Findings(vec![Finding::warn("disk", "little left", "free some")]),
    ];
    replies.extend(dead_letters().map(|reply| Reply::DeadLetters(Box::new(reply))));
    replies
}

fn dead_letters() -> [DeadLettersReply; 7] {
    let id = LetterId(task(5).0);
    let letter = DeadLetter {
        id,
        seq: 300,
        task: Some(task(5)),
        at_us: 1_700_000_000_000_000,
        error: "CHECK constraint failed".to_owned(),
        bytes: 1061,
    };
    let notice =
        LetterEntry::Notice { at_us: 7, kind: "worker.died".to_owned(), message: "m".to_owned() };
    let outcomes = [
        RetryOutcome::Stored,
        RetryOutcome::Repeated,
        RetryOutcome::Refused("no".to_owned()),
        RetryOutcome::Unreadable("format 9".to_owned()),
    ];
    let retried = |outcome| Retried { id, task: None, outcome };
    let holds = |entry| DeadLettersReply::Letter(letter.clone(), entry);
    [
        DeadLettersReply::Page { letters: vec![letter.clone()], next: Some(300) },
        holds(LetterEntry::Judgment(Box::new(judgment_row()))),
        holds(LetterEntry::Failure(Box::new(failure_row()))),
        holds(notice),
        holds(LetterEntry::Unreadable("it is empty".to_owned())),
        DeadLettersReply::Retried { letters: outcomes.map(retried).to_vec(), next: None },
        DeadLettersReply::Dropped(3),
    ]
}

fn events() -> EventsBatch {
    let happenings = [
        Happening::WorkerSpawned { worker: worker(), pid: 4711 },
        Happening::StoreFull,
        Happening::AccessRefused { uid: 1000, pid: 4711, request: "drain".to_owned() },
    ];
    let event = |(what, seq)| Event { seq, at_us: 1_700_000_000_000_000, what };
    EventsBatch { missed: 300, events: happenings.into_iter().zip(1..).map(event).collect() }
}

fn calibration() -> CalibrationReport {
    let fit = Fit {
        thresholds: Thresholds::MODEL,
        accuracy: 0.75,
        good_flagged: 0.25,
        bad_flagged: 0.5,
        confidence: 0.5,
    };
    let domain = DomainCalibration {
        domain: Domain::Prompt,
        good: 4,
        bad: 300,
        before: fit,
        after: fit,
        remark: "kept".to_owned(),
    };
    let version = CalibrationVersion { version: 1, created_at_us: 1, feedbacks: 304, in_use: true };
    CalibrationReport {
        before: Calibration::default(),
        after: Calibration { version: 1, ..Calibration::default() },
        applied: true,
        domains: vec![domain],
        versions: vec![version],
    }
}

fn quarantined() -> QuarantineRecord {
    QuarantineRecord {
        task: task(4),
        key: ItemKey(std::array::from_fn(|n| n as u8)),
        at_us: 1_700_000_000_000_000,
        bytes: 70_000,
        hint: Hint::default(),
        attempts: 3,
        deaths: Vec::new(),
        client_uid: 1000,
        judge_version: 1,
        build: "cynic/0.0.0".to_owned(),
        kept: true,
        hits: 2,
    }
}

fn replayed() -> Replayed {
    let death = Death {
        cause: DeathCause::Signal(11),
        worker: worker(),
        task: Some(task(4)),
        stage: Some(Stage::Score),
        dimension: Some(Dimension::Vigilance),
        stderr_tail: String::new(),
    };
    let outcome = ReplayOutcome::Died(Box::new(death));
    Replayed { task: task(4), outcome, running_us: 1500, stages_us: [0; 4] }
}

fn judgment() -> Judgment {
    Judgment {
        q_score: 61.5,
        verdict: Verdict::Wag,
        confidence: 0.5,
        domain: Domain::Social,
        axioms: [10.0, 20.0, 30.0, 40.0, 50.0],
        dimensions: std::array::from_fn(|n| n as f32),
        fallbacks: 1 << 35,
        partial: true,
        final_score: Some(FinalScore { k_score: 25.0, score: 39.0, verdict: Verdict::Growl }),
        body_bytes: 70_000,
        body_sha256: std::array::from_fn(|n| n as u8),
        judge_version: 1,
    }
}

fn details() -> Details {
    let evidence = Evidence {
        dimension: Dimension::Vigilance,
        code: "link.shortened".to_owned(),
        points: -12.5,
        span: Some((3, 300)),
        text: Some("bit.ly/x".to_owned()),
    };
    let reasons = [
        FallbackReason::Panicked("p".to_owned()),
        FallbackReason::Failed("f".to_owned()),
        FallbackReason::Overran,
        FallbackReason::OutOfTime,
        FallbackReason::Skipped,
    ];
    let fallback = |reason| Fallback { dimension: Dimension::TheUnnameable, reason };
    Details {
        item_id: Some("mail-7".to_owned()),
        evidence: vec![evidence],
        fallbacks: reasons.map(fallback).to_vec(),
        unchecked: vec!["the link".to_owned()],
        summary: "text".to_owned(),
    }
}

/// With a wording of the list, and its own one twice.
fn worded() -> Details {
    let mut details = details();
    let known = Evidence {
        dimension: Dimension::TheUnnameable,
        code: "length.words".to_owned(),
        points: 1.5,
        span: None,
        text: Some("has length".to_owned()),
    };
    let again = details.evidence[0].clone();
    details.evidence.extend([known, again]);
    details
}

fn timings() -> Timings {
    Timings { queued_us: 10, running_us: 1000, stages_us: [1, 2, 3, 4] }
}

fn task_error() -> TaskError {
    let causes = [
        DeathCause::Signal(-1),
        DeathCause::ExitCode(7),
        DeathCause::MemoryLimit,
        DeathCause::CpuLimit,
        DeathCause::SandboxViolation,
        DeathCause::Deadline,
        DeathCause::MissedHeartbeat,
        DeathCause::ProtocolViolation("v".to_owned()),
        DeathCause::KilledByOperator,
        DeathCause::StartTimeout,
        DeathCause::SpawnFailed("s".to_owned()),
    ];
    let death = |cause| Death {
        cause,
        worker: worker(),
        task: Some(task(1)),
        stage: Some(Stage::Score),
        dimension: None,
        stderr_tail: "oops".to_owned(),
    };
    TaskError {
        kind: ErrorKind::InvalidItem(ItemErrorKind::Empty),
        message: "nothing in it".to_owned(),
        deaths: causes.map(death).to_vec(),
        retry_after_ms: Some(250),
    }
}

fn stats() -> Stats {
    let pool = PoolStats {
        tasks_processed: 1_000_000,
        avg_processing_time: 0.25,
        rejects: BTreeMap::from([("busy".to_owned(), 3)]),
        ..PoolStats::default()
    };
    let death = LastDeath { ago_ms: 5, worker: "1.3".to_owned(), ..LastDeath::default() };
    Stats {
        last_deaths: vec![death],
        build: "cynic/0.0.0".to_owned(),
        pid: 4242,
        uptime_s: 60,
        ready: true,
        pool,
        workers: vec![WorkerStats { slot: 1, state: "idle".to_owned(), ..WorkerStats::default() }],
        ..Stats::default()
    }
}

fn judgment_row() -> JudgmentRow {
    JudgmentRow {
        task: task(1),
        seq: 9,
        judged_at_us: 1_700_000_000_000_000,
        judgment: judgment(),
        item_id: None,
        summary: "text".to_owned(),
        client_uid: 0,
        ack: Ack::Stored,
        worker: worker(),
        attempts: 2,
        timings: timings(),
        calibration: 0,
        feedback: None,
        features: Some(vec![("secret.password".to_owned(), -12.25)]),
    }
}

fn failure_row() -> FailureRow {
    FailureRow {
        task: task(2),
        seq: 10,
        failed_at_us: 1_700_000_000_000_001,
        error_kind: "quarantined".to_owned(),
        message: "gave up".to_owned(),
        deaths: Vec::new(),
        item_id: Some("b".to_owned()),
        client_uid: 1000,
        attempts: 3,
    }
}

fn page() -> HistoryPage {
    HistoryPage {
        rows: vec![
            HistoryRow::Judgment(Box::new(judgment_row())),
            HistoryRow::Failure(Box::new(failure_row())),
        ],
        next: Some(Cursor { judgment_seq: Some(9), failure_seq: Some(10) }),
    }
}

fn show() -> ShowRow {
    ShowRow {
        judgment: Some(Box::new(judgment_row())),
        details: Some(Box::new(details())),
        details_unreadable: false,
        content: Some(b"an item".to_vec()),
        feedback: None,
        failures: vec![failure_row()],
    }
}

fn lease() -> Lease {
    let item = |n, bytes| LeaseItem {
        task: task(n),
        bytes,
        hint: Hint::default(),
        soft_budget_us: 200_000,
    };
    Lease { nonce: u64::MAX, skip: 1 << 35, items: vec![item(1, 5), item(2, 3)] }
}

fn outcomes() -> Vec<Outcome> {
    let message = "line 1 column 2".to_owned();
    vec![
        Outcome::Judged(Box::new(judgment())),
        Outcome::Rejected {
            error: ItemError { kind: ItemErrorKind::InvalidJson, message },
            item_id: Some("a".to_owned()),
        },
        Outcome::Echoed,
    ]
}

fn sandbox_report() -> SandboxReport {
    let mut layers = [LayerStatus::Enforced; Layer::ALL.len()];
    layers[Layer::Landlock as usize] = LayerStatus::Partial;
    SandboxReport { mode: SandboxMode::Required, layers }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("into a string");
        text
    })
}

#[test]
fn bytes_are_golden() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/golden.txt");
    let lines = samples().into_iter().map(|(name, bytes)| format!("{name} {}\n", hex(&bytes)));
    let now: String = lines.collect();
    if std::env::var_os("GOLDEN").is_some_and(|mode| mode == "write") {
        std::fs::write(&path, &now).expect("written");
    }
    let golden = std::fs::read_to_string(&path).expect("golden.txt");
    for (golden, now) in golden.lines().zip(now.lines()) {
        assert_eq!(golden, now, "the wire has changed: raise PROTOCOL_VERSION");
    }
    assert_eq!(golden.lines().count(), now.lines().count(), "see the head of golden.rs");
}

#[test]
fn each_message_has_a_sample() {
    let names: Vec<String> = samples().into_iter().map(|(name, _)| name).collect();
    let all = [
        ("hello", variants::<Role>()),
        ("request", variants::<Request>()),
        ("reply", variants::<Reply>()),
        ("to_worker", variants::<ToWorker>()),
        ("from_worker", variants::<FromWorker>()),
        ("from_worker.Done", variants::<Outcome>()),
    ];
    for (kind, variants) in all {
        for variant in variants {
            let wanted = format!("{kind}.{variant}");
            assert!(names.iter().any(|name| name.starts_with(&wanted)), "no sample of {wanted}");
        }
    }
}
