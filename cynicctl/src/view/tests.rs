//! What people see, as snapshots: one judgment of each kind, hostile text in every place that takes any.

use cynic_proto::client::Answer;
use cynic_proto::dead_letters::{DeadLetter, LetterEntry, Retried, RetryOutcome};
use cynic_proto::error::{Death, DeathCause};
use cynic_proto::history::{FailureRow, HistoryRow, JudgmentRow, ShowRow, Truth};
use cynic_proto::ids::{LetterId, TaskId, WorkerId};
use cynic_proto::item::Hint;
use cynic_proto::judgment::{Details, Evidence, Fallback, FallbackReason, Judgment};
use cynic_proto::message::{Ack, Judged, Timings};
use cynic_proto::model::{AXIOMS, DIMENSIONS, Dimension, Domain, Stage, Verdict};
use cynic_proto::quarantine::{ItemKey, QuarantineRecord, ReplayOutcome, Replayed};
use cynic_proto::stats::{
    DimensionStats, LatencyStats, QuarantineStats, StageStats, Stats, WorkerStats,
};
use insta::assert_snapshot;
use jiff::tz::TimeZone;

use super::history::{self, Listing};
use super::judged::{Failure, Judgments, Outcome, Row, Tally};
use super::style::WHOLE;
use super::{dead_letters, explain, json, quarantine, show, stats};

const TASK: TaskId = TaskId(0x0191_23ab_4567_7abc_8def_0123_4567_89ab);

fn evidence(
    dimension: Dimension,
    code: &str,
    points: f32,
    span: Option<(u64, u64)>,
    text: &str,
) -> Evidence {
    let text = (!text.is_empty()).then(|| text.to_owned());
    Evidence { dimension, code: code.to_owned(), points, span, text }
}

fn answer(q_score: f32, axioms: [f32; AXIOMS], details: Details) -> Answer {
    let mut dimensions = [60.0; DIMENSIONS];
    let mut fallbacks = 0;
    for evidence in &details.evidence {
        dimensions[evidence.dimension as usize] += evidence.points;
    }
    for fallback in &details.fallbacks {
        dimensions[fallback.dimension as usize] = 50.0;
        fallbacks |= 1 << fallback.dimension as u64;
    }
    let judgment = Judgment {
        q_score,
        verdict: Verdict::of(q_score),
        confidence: 0.5,
        domain: Domain::Social,
        axioms,
        dimensions,
        fallbacks,
        partial: false,
        final_score: None,
        body_bytes: 10,
        body_sha256: [0; 32],
        judge_version: 1,
    };
    let worker = WorkerId { slot: 0, generation: 1 };
    let timings = Timings { queued_us: 12, running_us: 345, stages_us: [20, 200, 5, 1] };
    let judged =
        Judged { task: TASK, judgment, reached: Ack::Judged, attempts: 1, worker, timings };
    Answer { judged, details }
}

fn phishing() -> Row {
    let details = Details {
        item_id: None,
        evidence: vec![
            evidence(
                Dimension::Sacrifice,
                "asks.secret",
                -45.0,
                Some((3, 9)),
                "your online banking password and PIN",
            ),
            evidence(
                Dimension::Vigilance,
                "asks.secret",
                -12.0,
                Some((3, 9)),
                "your online banking password and PIN",
            ),
            evidence(
                Dimension::Provenance,
                "link.shortened",
                -30.0,
                Some((1, 2)),
                "http://bit.ly/\u{1b}[31m\u{202e}x",
            ),
            evidence(Dimension::Kenosis, "urgency", -15.0, None, "presses for action within hours"),
            evidence(Dimension::Precision, "figures", 4.0, None, ""),
        ],
        fallbacks: vec![Fallback {
            dimension: Dimension::Relevance,
            reason: FallbackReason::Failed("no model\u{7}".to_owned()),
        }],
        unchecked: vec!["the sender's signature: no key is configured".to_owned()],
        summary: String::new(),
    };
    let answer = answer(21.4, [20.0, 45.5, 12.1, 33.0, 18.2], details);
    Row { label: "mail/phishing.eml".to_owned(), outcome: Outcome::Judged(Box::new(answer)) }
}

fn letter() -> Row {
    let details = Details {
        item_id: Some("letter-7".to_owned()),
        evidence: vec![
            evidence(Dimension::Precision, "figures", 20.0, Some((0, 4)), "3,480 euros"),
            evidence(Dimension::Candor, "limits.stated", 10.0, None, "says what it does not know"),
            evidence(Dimension::Structure, "list.uneven", -6.0, None, ""),
        ],
        ..Details::default()
    };
    let answer = answer(71.0, [70.0, 82.5, 64.0, 66.0, 73.2], details);
    Row { label: "letters.jsonl:7".to_owned(), outcome: Outcome::Judged(Box::new(answer)) }
}

fn broken() -> Row {
    let failure = Failure {
        item_id: None,
        task: Some(TASK),
        kind: "invalid_item",
        message:
            "broken JSON at line 3 column 14: expected `,` or `}`; check the item with a JSON \
                  tool, or give the text itself with --type text"
                .to_owned(),
        cause: Some("invalid_json".to_owned()),
        deaths: Vec::new(),
    };
    Row {
        label: "a/long/path/\u{1b}]0;title/broken.json".to_owned(),
        outcome: Outcome::Failed(failure),
    }
}

fn failure(row: Row) -> Failure {
    let Outcome::Failed(failure) = row.outcome else { panic!("{row:?}") };
    failure
}

fn strip(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn table(columns: usize) -> String {
    let table = Judgments::new(columns);
    let mut tally = Tally::default();
    let mut out = table.header();
    for row in [phishing(), letter(), broken()] {
        tally.count(&row.outcome);
        out += &table.row(&row);
    }
    strip(&(out + "\n" + &tally.line()))
}

#[test]
fn the_table_fits_80_columns() {
    let table = table(80);
    for line in table.lines() {
        assert!(crate::text::width(line) <= 80, "{line}");
    }
    assert_snapshot!(table);
}

#[test]
fn the_table_uses_the_width_that_is_there() {
    assert_snapshot!(table(120));
}

/// What goes into a file or a pipe has nothing to fit.
#[test]
fn nothing_is_cut_or_wrapped_where_there_is_no_terminal() {
    const LONG: usize = 400;
    let name = "x".repeat(LONG);
    let words = "word ".repeat(LONG / 5).trim_end().to_owned();
    let failed = Failure { message: words.clone(), ..failure(broken()) };
    let row = Row { label: name.clone(), outcome: Outcome::Failed(failed) };
    let table = strip(&Judgments::new(WHOLE).row(&row));
    assert_eq!(table, format!("{name}  error    {words}\n"));
    let note = strip(&explain::note(&row, WHOLE));
    assert!(note.lines().any(|line| line.trim_start() == words), "{note}");

    let HistoryRow::Judgment(mut judgment) = stored() else { panic!("a judgment") };
    judgment.item_id = Some(name.clone());
    let listed = Listing::new(WHOLE, TimeZone::UTC).row(&HistoryRow::Judgment(judgment));
    assert!(strip(&listed).ends_with(&format!("  {name}  {TASK}\n")), "{listed}");

    let mut record = quarantined();
    record.deaths[1].cause = DeathCause::ProtocolViolation(words.clone());
    record.deaths[1].stderr_tail.clone_from(&words);
    let listed = quarantine::listing(std::slice::from_ref(&record), WHOLE, &TimeZone::UTC);
    assert!(strip(&listed).contains(&format!("({words})  {TASK}\n")), "{listed}");
    let note = strip(&quarantine::note(&record, WHOLE, &TimeZone::UTC));
    assert!(
        note.contains(&format!("({words})")) && note.contains(&format!("| {words}\n")),
        "{note}"
    );

    let mut figures = Stats::default();
    figures.pool.deaths = (0..40).map(|n| (format!("cause_{n:02}"), 1)).collect();
    figures.recorder.store.clone_from(&words);
    figures.workers = vec![WorkerStats {
        sandbox: words.clone(),
        doing: "score".to_owned(),
        ..WorkerStats::default()
    }];
    let shown = strip(&stats::text(&figures, WHOLE));
    let causes: Vec<String> = (0..40).map(|n| format!("cause_{n:02} 1")).collect();
    for whole in [causes.join(", "), words.clone(), format!("{words}  score")] {
        assert!(shown.lines().any(|line| line.ends_with(&whole)), "{whole}: {shown}");
    }
}

#[test]
fn a_note_reads_like_a_reviewers() {
    let notes: Vec<String> =
        [phishing(), letter(), broken()].iter().map(|row| strip(&explain::note(row, 80))).collect();
    assert_snapshot!(notes.join("\n----\n"));
}

#[test]
fn json_keeps_its_shape() {
    let mut shown = Vec::new();
    for row in [phishing(), broken()] {
        let line = json::row(&row).expect("JSON");
        let text = line.strip_suffix('\n').expect("a line");
        assert!(!text.chars().any(|c| c.is_ascii_control()));
        let mut value: serde_json::Value = serde_json::from_str(text).expect("JSON again");
        if let Some(dimensions) = value["dimensions"].as_object_mut() {
            assert_eq!(dimensions.len(), DIMENSIONS);
            dimensions.retain(|_, d| d["evidence"] != serde_json::json!([]) || d["score"] == 50.0);
        }
        shown.push(serde_json::to_string_pretty(&value).expect("JSON"));
    }
    assert_snapshot!(shown.join("\n"));
}

#[test]
fn json_keeps_the_order_of_its_keys() {
    let line = json::row(&phishing()).expect("JSON");
    let keys = [
        "id",
        "task_id",
        "q_score",
        "verdict",
        "confidence",
        "coverage",
        "domain",
        "axioms",
        "dimensions",
        "weaknesses",
        "stored",
        "timings_us",
    ];
    let places = keys.map(|key| line.find(&format!("\"{key}\":")).expect(key));
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn json_hides_nothing_from_a_terminal() {
    let line = json::row(&phishing()).expect("JSON");
    assert!(line.contains(r"http://bit.ly/\u001b[31m\u202ex"), "{line}");
    assert!(!line.trim_end().chars().any(crate::text::acts_on_terminal));
}

fn stored() -> HistoryRow {
    let Outcome::Judged(answer) = phishing().outcome else { panic!("judged") };
    HistoryRow::Judgment(Box::new(JudgmentRow {
        task: TASK,
        seq: 7,
        judged_at_us: 1_776_157_961_000_000,
        judgment: answer.judged.judgment,
        item_id: Some("=cmd|' /C calc'!A1,\u{202e}x".to_owned()),
        summary: "mail of 872 bytes".to_owned(),
        client_uid: 1000,
        ack: Ack::Judged,
        worker: answer.judged.worker,
        attempts: 1,
        timings: answer.judged.timings,
        calibration: 0,
        feedback: Some(Truth::Bad),
        features: Some(vec![("secret.password".to_owned(), -12.25)]),
    }))
}

fn failed() -> FailureRow {
    let worker = WorkerId { slot: 1, generation: 4 };
    FailureRow {
        task: TASK,
        seq: 3,
        failed_at_us: 1_776_157_962_000_000,
        error_kind: "quarantined".to_owned(),
        message: "it killed each worker that tried it".to_owned(),
        deaths: vec![Death {
            cause: DeathCause::Signal(11),
            worker,
            task: Some(TASK),
            stage: None,
            dimension: Some(Dimension::Integrity),
            stderr_tail: String::new(),
        }],
        item_id: None,
        client_uid: 1000,
        attempts: 2,
    }
}

#[test]
fn listings_fit_80_columns_and_give_whole_ids() {
    let rows = [stored(), HistoryRow::Failure(Box::new(failed()))];
    let mut shown = Vec::new();
    for columns in [80, 120] {
        let listing = Listing::new(columns, TimeZone::UTC);
        let text: String = rows.iter().map(|row| listing.row(row)).collect();
        let text = strip(&(listing.header() + &text));
        for line in text.lines() {
            assert!(crate::text::width(line) <= columns, "{line}");
        }
        shown.push(text);
    }
    assert_snapshot!(shown.join("\n"));
}

#[test]
fn csv_has_a_cell_for_each_name_and_no_formulas() {
    let names = history::csv_header();
    let count = names.split(',').count();
    let failure = history::csv_line(&HistoryRow::Failure(Box::new(failed())));
    assert_eq!(failure.split(',').count(), count);
    let judgment = history::csv_line(&stored());
    // One of its cells is quoted for the comma in it.
    assert_eq!(judgment.split(',').count(), count + 1);
    assert!(judgment.contains(r#","'=cmd|' /C calc'!A1,\u{202e}x","#), "{judgment}");
}

#[test]
fn a_record_is_shown_whole() {
    let HistoryRow::Judgment(judgment) = stored() else { panic!("a judgment") };
    let Outcome::Judged(answer) = phishing().outcome else { panic!("judged") };
    let row = ShowRow {
        judgment: Some(judgment),
        details: Some(Box::new(answer.details)),
        details_unreadable: false,
        content: Some(b"Dear \x1b[2J customer".to_vec()),
        feedback: None,
        failures: vec![failed()],
    };
    assert_snapshot!(strip(&show::text(TASK, &row, 80, &TimeZone::UTC)));
    let line = show::json_line(TASK, &row).expect("JSON");
    let value: serde_json::Value = serde_json::from_str(&line).expect("JSON again");
    assert_eq!(value["judgment"]["verdict"], "BARK");
    assert_eq!(value["judgment"]["stored"], true);
    assert_eq!(value["failures"][0]["error"]["cause"], "signal 11 (SIGSEGV)");
}

#[test]
fn figures_are_shown_by_name() {
    let mut figures = Stats {
        build: "cynic/0.1.0".to_owned(),
        pid: 4242,
        uptime_s: 7265,
        ready: true,
        ..Stats::default()
    };
    figures.pool.tasks_processed = 12_345;
    figures.pool.pool_size = 2;
    figures.pool.queue_bytes_max = 123_456;
    figures.pool.deaths.insert("signal".to_owned(), 2);
    figures.pool.retries = 2;
    figures.verdicts.insert("BARK".to_owned(), 3);
    figures.verdicts.insert("WAG".to_owned(), 1200);
    figures.latency =
        LatencyStats { count: 9, mean_us: 300.0, p50_us: 280, p99_us: 1900, max_us: 20_000 };
    figures.workers = vec![
        WorkerStats {
            slot: 0,
            generation: 1,
            pid: 4250,
            state: "idle".to_owned(),
            tasks: 12_000,
            memory_bytes: 9 << 20,
            sandbox: "required: all layers".to_owned(),
            doing: String::new(),
        },
        WorkerStats { slot: 1, generation: 3, state: "down".to_owned(), ..WorkerStats::default() },
    ];
    figures.stages = vec![StageStats {
        name: "parse".to_owned(),
        done: 12_345,
        budget_us: 50_000,
        ..StageStats::default()
    }];
    figures.recorder.store = "sqlite".to_owned();
    figures.pool.dimensions = vec![DimensionStats {
        name: "VIGILANCE".to_owned(),
        state: "open".to_owned(),
        deaths: 5,
        skipped: 40,
        opened: 1,
        retry_in_ms: 9000,
        ..DimensionStats::default()
    }];
    figures.isolation.sandbox = "required".to_owned();
    figures.isolation.cgroup = "none: no tree is delegated".to_owned();
    figures.quarantine = QuarantineStats { items: 1, bytes: 1061, hits: 7, evicted: 2 };
    assert_snapshot!(strip(&stats::text(&figures, 80)));
}

fn quarantined() -> QuarantineRecord {
    let mut death = failed().deaths.remove(0);
    death.stage = Some(Stage::Score);
    death.stderr_tail = "thread panicked\u{1b}[2J\nat the end".to_owned();
    QuarantineRecord {
        task: TASK,
        key: ItemKey([7; 32]),
        at_us: 1_776_157_962_000_000,
        bytes: 70_000,
        hint: Hint { name: Some("a\u{202e}b.json".to_owned()), ..Hint::default() },
        attempts: 3,
        deaths: vec![death.clone(), death],
        client_uid: 1000,
        judge_version: 1,
        build: "cynic/0.1.0".to_owned(),
        kept: false,
        hits: 2,
    }
}

#[test]
fn items_in_quarantine_are_shown() {
    let record = quarantined();
    let died = ReplayOutcome::Died(Box::new(record.deaths[0].clone()));
    let replayed = Replayed { task: TASK, outcome: died, running_us: 1500, stages_us: [0; 4] };
    let list = quarantine::listing(std::slice::from_ref(&record), 80, &TimeZone::UTC);
    assert!(list.contains(&TASK.to_string()), "{list}");
    let parts =
        [list, quarantine::note(&record, 80, &TimeZone::UTC), quarantine::replayed(&replayed, 80)];
    let text = strip(&parts.join("\n"));
    for line in text.lines() {
        assert!(crate::text::width(line) <= 80, "{line}");
        assert!(!line.chars().any(crate::text::acts_on_terminal), "{line:?}");
    }
    assert_snapshot!(text);
    let json = quarantine::json_line(&record).expect("JSON");
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON again");
    assert_eq!(value["deaths"][1]["dimension"], "INTEGRITY");
    assert_eq!(value["sha256"], "07".repeat(32));
}

fn set_aside() -> DeadLetter {
    DeadLetter {
        id: LetterId(TASK.0),
        seq: 3,
        task: Some(TASK),
        at_us: 1_776_157_962_000_000,
        error:
            "CHECK constraint\u{1b}[2J failed: q_score BETWEEN 0 AND 100, and so on and on and on"
                .to_owned(),
        bytes: 1061,
    }
}

#[test]
fn dead_letters_are_shown() {
    let HistoryRow::Judgment(judgment) = stored() else { panic!("a judgment") };
    let notice = LetterEntry::Notice {
        at_us: 1_776_157_962_000_000,
        kind: "worker.died".to_owned(),
        message: "worker 1.3 died of a\u{202e}b".to_owned(),
    };
    let entries = [
        LetterEntry::Judgment(judgment),
        LetterEntry::Failure(Box::new(failed())),
        notice,
        LetterEntry::Unreadable("format 9 is not one that this build reads".to_owned()),
    ];
    let listing = dead_letters::Listing::new(80, TimeZone::UTC);
    let list = listing.header() + &listing.rows(&[set_aside()]);
    let mut parts = vec![list];
    parts.extend(entries.iter().map(|e| dead_letters::note(&set_aside(), e, 80, &TimeZone::UTC)));
    let text = strip(&parts.join("\n"));
    for line in text.lines() {
        assert!(crate::text::width(line) <= 80, "{line}");
        assert!(!line.chars().any(crate::text::acts_on_terminal), "{line:?}");
    }
    let outcomes = [
        RetryOutcome::Stored,
        RetryOutcome::Repeated,
        RetryOutcome::Refused("CHECK\u{1b} failed".to_owned()),
        RetryOutcome::Unreadable("it is empty".to_owned()),
    ];
    let tried = outcomes.map(|outcome| Retried { id: LetterId(TASK.0), task: Some(TASK), outcome });
    let told: String = tried.iter().map(dead_letters::retried).collect();
    let mut lines = vec![dead_letters::json_line(&set_aside()).expect("JSON")];
    lines.extend(tried.iter().map(|one| dead_letters::json_retried(one).expect("JSON")));
    let kinds = ["judgment", "failure", "notice", "unreadable"];
    for (entry, kind) in entries.iter().zip(kinds) {
        let line = dead_letters::json_note(&set_aside(), entry).expect("JSON");
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON again");
        assert!(kinds.iter().all(|other| value.get(other).is_some() == (*other == kind)), "{line}");
    }
    assert_snapshot!([text, told, lines.concat()].join("\n"));
}

#[test]
fn a_listing_of_dead_letters_that_goes_into_a_file_is_whole() {
    let listing = dead_letters::Listing::new(WHOLE, TimeZone::UTC);
    let rows = strip(&listing.rows(&[set_aside()]));
    assert!(
        rows.contains("and so on and on and on") && rows.ends_with(&format!("{TASK}\n")),
        "{rows}"
    );
}
