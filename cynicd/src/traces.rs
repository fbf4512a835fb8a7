//! OpenTelemetry traces: a span for each task and its parts below it, as lines of OTLP JSON in a file that a
//! collector follows. A file, because the daemon has no network to send them over.
//!
//! The trace's number is the task's, so that a client that numbers its tasks by its own traces finds them there. Owns
//! the file, on a thread of its own; the hub never waits for it, and what does not fit in between is dropped.
//!
//! Form: OpenTelemetry's protocol file exporter (<https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/>).

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cynic_proto::ids::TaskId;
use cynic_proto::model::Stage;
use serde_json::{Value, json};

/// Traces between the hub and the file.
const WAITING_MAX: usize = 1024;

/// The low bits of a task's number by which it is decided whether it is sampled. Those above may be a counter.
const RANDOM_BITS: u32 = 32;

/// Owner writes, group reads.
const FILE_MODE: u32 = 0o640;

/// What is traced, and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The file. A full one is renamed to the same with `.1` behind it.
    pub file: PathBuf,
    /// The share of tasks that are traced, 0 to 1.
    pub sample_ratio: f64,
    /// The file is full at this many bytes.
    pub bytes_max: u64,
}

/// A task that has been answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trace {
    pub task: TaskId,
    pub accepted: Instant,
    /// In the worker, with the time in the queue and in each stage before; `None` where there is no judgment.
    pub work: Option<Work>,
    pub attempts: u8,
    pub bytes: usize,
    pub uid: u32,
    pub result: Result<Judged, String>,
}

/// Where the time of a judgment went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Work {
    pub queued: Duration,
    pub running: Duration,
    pub stages_us: [u32; 4],
}

/// What a judgment said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judged {
    pub domain: String,
    pub verdict: String,
    pub q_score: f32,
    pub confidence: f32,
    pub partial: bool,
    pub worker: String,
}

/// Takes traces to the file.
#[derive(Debug)]
pub struct Tracer {
    threshold: u64,
    /// Taken only to end the thread.
    traces: Option<SyncSender<(Trace, Instant)>>,
    thread: Option<JoinHandle<()>>,
    dropped: u64,
}

impl Drop for Tracer {
    /// Waits for what has been taken to be written.
    fn drop(&mut self) {
        drop(self.traces.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes traces panicked");
        }
    }
}

impl Tracer {
    /// Opens the file and starts the thread that writes it.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread not be started.
    pub fn start(settings: &Settings) -> io::Result<Tracer> {
        let (traces, waiting) = sync_channel(WAITING_MAX);
        let file = Lines::open(settings.file.clone(), settings.bytes_max)?;
        let thread = std::thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || write(file, &waiting))?;
        let threshold = threshold(settings.sample_ratio);
        Ok(Tracer { threshold, traces: Some(traces), thread: Some(thread), dropped: 0 })
    }

    /// Whether a task is one of those that are traced.
    pub(crate) fn samples(&self, task: TaskId) -> bool {
        random(task) >= self.threshold
    }

    /// Takes a trace that ends now; drops it where too many wait.
    pub(crate) fn ended(&mut self, trace: Trace) {
        let Some(traces) = &self.traces else { return };
        match traces.try_send((trace, Instant::now())) {
            Ok(()) if self.dropped > 0 => {
                tracing::warn!(
                    dropped = self.dropped,
                    "traces were dropped: their file is too slow"
                );
                self.dropped = 0;
            }
            Ok(()) => {}
            Err(_) => self.dropped += 1,
        }
    }
}

fn random(task: TaskId) -> u64 {
    task.0 as u64 & ((1 << RANDOM_BITS) - 1)
}

/// Numbers from here on are sampled.
fn threshold(ratio: f64) -> u64 {
    ((1.0 - ratio.clamp(0.0, 1.0)) * (1_u64 << RANDOM_BITS) as f64) as u64
}

fn write(mut file: Lines, traces: &Receiver<(Trace, Instant)>) {
    let mut failing = false;
    while let Ok((trace, end)) = traces.recv() {
        let line = line(&trace, end, (Instant::now(), SystemTime::now()));
        let result = file.add(&line);
        if let (Err(error), false) = (&result, failing) {
            tracing::error!(%error, path = %file.path.display(), "traces cannot be written");
        }
        failing = result.is_err();
    }
}

/// A file of lines that is renamed when it is full.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
    /// The last line may be there in part.
    cut_off: bool,
}

impl Lines {
    fn open(path: PathBuf, bytes_max: u64) -> io::Result<Lines> {
        let file = open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Lines { path, file, bytes, bytes_max, cut_off: false })
    }

    fn add(&mut self, line: &str) -> io::Result<()> {
        let bytes = line.len() as u64;
        if self.bytes > 0 && self.bytes + bytes > self.bytes_max {
            let mut full = self.path.clone().into_os_string();
            full.push(".1");
            match std::fs::rename(&self.path, full) {
                // Somebody else has moved it away or removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed?,
            }
            self.file = open(&self.path)?;
            (self.bytes, self.cut_off) = (0, false);
        }
        if self.cut_off {
            self.file.write_all(b"\n")?;
        }
        self.cut_off = true;
        self.file.write_all(line.as_bytes())?;
        self.cut_off = false;
        self.bytes += bytes;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(path)
}

/// The trace as one request of OTLP, in JSON and with its line's end. `clocks` are one moment by both clocks.
fn line(trace: &Trace, end: Instant, clocks: (Instant, SystemTime)) -> String {
    let (now, now_by_the_wall) = clocks;
    let unix_ns = |at: Instant| {
        let wall = now_by_the_wall - now.saturating_duration_since(at);
        wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
    };
    let trace_id = format!("{:032x}", trace.task.0);
    let span_id = |n: u64| format!("{:016x}", (trace.task.0 as u64).rotate_left(17) ^ n);
    let span = |n: u64, parent: Option<u64>, name: &str, from: Instant, to: Instant| {
        json!({
            "traceId": trace_id,
            "spanId": span_id(n),
            "parentSpanId": parent.map(span_id).unwrap_or_default(),
            "name": name,
            "kind": if parent.is_none() { SERVER } else { INTERNAL },
            "startTimeUnixNano": unix_ns(from).to_string(),
            "endTimeUnixNano": unix_ns(to).to_string(),
        })
    };
    let mut root = span(1, None, "judge", trace.accepted, end);
    let mut attributes = vec![
        int("cynic.attempts", trace.attempts.into()),
        int("cynic.item.bytes", trace.bytes as u64),
        int("cynic.client.uid", trace.uid.into()),
    ];
    match &trace.result {
        Ok(judged) => attributes.extend([
            text("cynic.domain", &judged.domain),
            text("cynic.verdict", &judged.verdict),
            double("cynic.q_score", judged.q_score),
            double("cynic.confidence", judged.confidence),
            json!({ "key": "cynic.partial", "value": { "boolValue": judged.partial } }),
            text("cynic.worker", &judged.worker),
        ]),
        Err(message) => root["status"] = json!({ "code": ERROR, "message": message }),
    }
    root["attributes"] = attributes.into();
    let mut spans = vec![root];
    if let Some(work) = trace.work {
        // Earlier attempts lie between the queue and the work of the last one.
        let before = |at: Instant, by: Duration| at.checked_sub(by).unwrap_or(at);
        let began = before(end, work.running).max(trace.accepted);
        spans.push(span(
            2,
            Some(1),
            "queue",
            trace.accepted,
            (trace.accepted + work.queued).min(began),
        ));
        spans.push(span(3, Some(1), "work", began, end));
        let mut at = began;
        for (n, stage) in (4..).zip(Stage::ALL.into_iter().take(work.stages_us.len())) {
            let micros = work.stages_us[stage as usize];
            let to = (at + Duration::from_micros(micros.into())).min(end);
            spans.push(span(n, Some(3), stage.name(), at, to));
            at = to;
        }
    }
    let request = json!({ "resourceSpans": [{
        "resource": { "attributes": [
            text("service.name", "cynicd"),
            text("service.version", env!("CARGO_PKG_VERSION")),
        ] },
        "scopeSpans": [{ "scope": { "name": "cynicd" }, "spans": spans }],
    }] });
    format!("{request}\n")
}

/// Kinds of spans and a status, by their numbers in the protocol.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const ERROR: u8 = 2;

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// Integers of 64 bits are text in the protocol's JSON.
fn int(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

fn double(key: &str, value: f32) -> Value {
    json!({ "key": key, "value": { "doubleValue": f64::from(value) } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(work: Option<Work>, result: Result<Judged, String>) -> (Trace, Instant) {
        let accepted = Instant::now();
        let task = TaskId(0x0192_0000_0000_7000_8000_0000_0000_00ff);
        let trace = Trace { task, accepted, work, attempts: 1, bytes: 20, uid: 7, result };
        (trace, accepted + Duration::from_millis(10))
    }

    fn spans(trace: &Trace, end: Instant) -> Vec<Value> {
        let wall = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let line = line(trace, end, (end, wall));
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1);
        let request: Value = serde_json::from_str(&line).expect("JSON");
        request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("spans").clone()
    }

    #[test]
    fn a_judgment_is_a_span_with_its_parts_in_order_and_within_it() {
        let judged = Judged {
            domain: "shell".to_owned(),
            verdict: "BARK".to_owned(),
            q_score: 12.5,
            confidence: 0.5,
            partial: false,
            worker: "1.1".to_owned(),
        };
        let millis = Duration::from_millis;
        let stages_us = [1000, 4000, 500, 500];
        let work = Work { queued: millis(2), running: millis(7), stages_us };
        let (trace, end) = trace(Some(work), Ok(judged));
        let spans = spans(&trace, end);
        let names: Vec<_> =
            spans.iter().map(|span| span["name"].as_str().expect("a name")).collect();
        assert_eq!(names, ["judge", "queue", "work", "parse", "score", "aggregate", "verdict"]);
        let time = |span: &Value, key: &str| -> i128 {
            span[key].as_str().expect("text").parse().expect("a number")
        };
        let times: Vec<_> = spans
            .iter()
            .map(|span| {
                [time(span, "startTimeUnixNano"), time(span, "endTimeUnixNano")]
                    .map(|ns| ns - 999_999_990_000_000)
            })
            .map(|ns| ns.map(|ns| ns / 1000))
            .collect();
        let wanted = [
            [0, 10_000],
            [0, 2000],
            [3000, 10_000],
            [3000, 4000],
            [4000, 8000],
            [8000, 8500],
            [8500, 9000],
        ];
        assert_eq!(times, wanted);
        let ids: std::collections::BTreeSet<_> =
            spans.iter().map(|span| span["spanId"].to_string()).collect();
        assert_eq!(ids.len(), spans.len());
        assert_eq!(spans[0]["traceId"], format!("{:032x}", trace.task.0));
        assert_eq!(
            (&spans[1]["parentSpanId"], &spans[3]["parentSpanId"]),
            (&spans[0]["spanId"], &spans[2]["spanId"])
        );
        assert!(spans[0]["attributes"].to_string().contains("BARK"));
    }

    #[test]
    fn a_failure_is_a_span_that_says_why() {
        let (trace, end) = trace(None, Err("the deadline passed".to_owned()));
        let spans = spans(&trace, end);
        assert_eq!(spans.len(), 1);
        assert_eq!(spans[0]["status"], json!({ "code": 2, "message": "the deadline passed" }));
    }

    #[test]
    fn the_share_that_is_sampled_is_the_one_asked_for() {
        for (ratio, wanted) in [(0.0, 0..=0), (0.25, 2300..=2700), (1.0, 10_000..=10_000)] {
            let threshold = threshold(ratio);
            let sampled = (0..10_000).filter(|_| random(TaskId::new()) >= threshold).count();
            assert!(wanted.contains(&sampled), "{ratio}: {sampled} of 10,000");
        }
    }

    #[test]
    fn a_full_file_makes_room_for_the_next() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("traces.jsonl");
        for n in 0..5 {
            // Opened again each time, as by one daemon after another.
            Lines::open(path.clone(), 10)
                .expect("opened")
                .add(&format!("line {n}\n"))
                .expect("added");
        }
        let read = |path: &Path| std::fs::read_to_string(path).expect("there");
        assert_eq!(read(&path), "line 4\n");
        assert_eq!(read(&dir.path().join("traces.jsonl.1")), "line 3\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("traces.jsonl");
        let mut lines = Lines::open(path.clone(), 10).expect("opened");
        lines.add("line 1\n").expect("added");
        std::fs::rename(&path, dir.path().join("elsewhere")).expect("moved");
        lines.add("line 2\n").expect("added");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "line 2\n");
    }

    #[test]
    fn a_line_that_was_cut_off_ends_where_the_next_begins() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("traces.jsonl");
        let mut lines = Lines::open(path.clone(), 1000).expect("opened");
        lines.add("line 1\n").expect("added");
        let opened = std::mem::replace(&mut lines.file, File::open(&path).expect("opened"));
        lines.add("line 2\n").expect_err("it is open for reading only");
        lines.file = opened;
        // As much as a full disk took.
        lines.file.write_all(b"li").expect("written");
        lines.add("line 3\n").expect("added");
        lines.add("line 4\n").expect("added");
        let read = std::fs::read_to_string(&path).expect("there");
        assert_eq!(read, "line 1\nli\nline 3\nline 4\n");
    }
}
