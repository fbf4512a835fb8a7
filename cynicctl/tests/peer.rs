//! The program against peers that a healthy daemon is not: busy, out of order, foreign, silent, gone.
//!
//! Each peer is a script behind a real socket. What a real daemon answers is tested in the workspace's tests.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use cynic_proto::codec;
use cynic_proto::error::{ErrorKind, TaskError};
use cynic_proto::event::{Event, EventsBatch, Happening};
use cynic_proto::explanation;
use cynic_proto::handshake::{Hello, PROTOCOL_VERSION, Role};
use cynic_proto::history::{
    Cursor, FailureRow, HistoryPage, HistoryQuery, HistoryRow, RecordKinds,
};
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::item::ItemErrorKind;
use cynic_proto::judgment::{Details, Judgment};
use cynic_proto::limits::FRAME_BYTES_MAX;
use cynic_proto::message::{Ack, Judge, Judged, Pong, Reply, Request, Timings, ToClient, ToDaemon};
use cynic_proto::model::{Domain, Verdict};
use cynic_proto::stats::Stats;
use tempfile::TempDir;

/// A connection as the peer sees it.
struct Peer {
    stream: UnixStream,
    buffer: BytesMut,
}

impl Peer {
    fn greet(stream: UnixStream, hello: &Hello) -> Peer {
        let mut peer = Peer { stream, buffer: BytesMut::new() };
        peer.frame().expect("a greeting").message::<Hello>().expect("a greeting");
        peer.send(hello, &[]);
        peer
    }

    fn send<M: serde::Serialize>(&mut self, message: &M, payload: &[u8]) {
        let mut out = Vec::new();
        codec::put(message, payload, FRAME_BYTES_MAX, &mut out).expect("a frame");
        // The program may have gone by now, which is its right.
        let _ = self.stream.write_all(&out);
    }

    /// The next frame; `None` when the program has hung up.
    fn frame(&mut self) -> Option<codec::Frame> {
        loop {
            if let Some(frame) = codec::take(&mut self.buffer, FRAME_BYTES_MAX).expect("a frame") {
                return Some(frame);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.buffer.extend_from_slice(&bytes[..n]),
            }
        }
    }

    /// The next request for a judgment and the item.
    fn judge(&mut self) -> Option<(u64, Judge, String)> {
        let frame = self.frame()?;
        let ToDaemon { seq, request } = frame.message().expect("a request");
        let Request::Judge(judge) = request else { panic!("asked for {request:?}") };
        Some((seq, judge, String::from_utf8_lossy(&frame.payload).into_owned()))
    }

    /// The next question about what is stored.
    fn history(&mut self) -> Option<(u64, HistoryQuery)> {
        let ToDaemon { seq, request } = self.frame()?.message().expect("a request");
        let Request::History(query) = request else { panic!("asked for {request:?}") };
        Some((seq, *query))
    }

    /// A page of failures and the number that the next one begins behind.
    fn list(&mut self, seq: u64, rows: Vec<HistoryRow>, last: Option<i64>) {
        let next = last.map(|seq| Cursor { judgment_seq: None, failure_seq: Some(seq) });
        let page = Box::new(HistoryPage { rows, next });
        self.send(&ToClient { seq, reply: Reply::History(page) }, &[]);
    }

    fn answer(&mut self, seq: u64, judge: &Judge, q_score: f32) {
        let details = explanation::encode(&Details::<String>::default()).expect("an explanation");
        self.answer_with(seq, judge, q_score, &details);
    }

    fn answer_with(&mut self, seq: u64, judge: &Judge, q_score: f32, details: &[u8]) {
        let judged = Judged {
            task: judge.task,
            judgment: judgment(q_score),
            reached: judge.ack,
            attempts: 1,
            worker: WorkerId { slot: 0, generation: 1 },
            timings: Timings::default(),
        };
        self.send(&ToClient { seq, reply: Reply::Judged(Box::new(judged)) }, details);
    }

    fn fail(&mut self, seq: u64, judge: &Judge, kind: ErrorKind, retry_after_ms: Option<u32>) {
        let message = "as scripted".to_owned();
        let error = TaskError { kind, message, deaths: Vec::new(), retry_after_ms };
        let reply = Reply::Failed { task: judge.task, error: Box::new(error) };
        self.send(&ToClient { seq, reply }, &[]);
    }
}

fn judgment(q_score: f32) -> Judgment {
    Judgment {
        q_score,
        verdict: Verdict::of(q_score),
        confidence: 0.5,
        domain: Domain::General,
        axioms: [q_score; 5],
        dimensions: [q_score; 36],
        fallbacks: 0,
        partial: false,
        final_score: None,
        body_bytes: 1,
        body_sha256: [0; 32],
        judge_version: 1,
    }
}

fn failure(seq: i64, failed_at_us: i64) -> HistoryRow {
    HistoryRow::Failure(Box::new(FailureRow {
        task: TaskId(seq as u128),
        seq,
        failed_at_us,
        error_kind: "internal".to_owned(),
        message: "as scripted".to_owned(),
        deaths: Vec::new(),
        item_id: None,
        client_uid: 0,
        attempts: 1,
    }))
}

/// A socket, and what happens at its other end.
struct Scene {
    dir: TempDir,
    peer: Option<JoinHandle<()>>,
}

impl Scene {
    /// A peer that greets as a daemon does and then follows the script.
    fn new(script: impl FnOnce(&mut Peer) + Send + 'static) -> Scene {
        Scene::greeting(Hello::new(Role::Daemon), script)
    }

    fn greeting(hello: Hello, script: impl FnOnce(&mut Peer) + Send + 'static) -> Scene {
        Scene::raw(move |stream| script(&mut Peer::greet(stream, &hello)))
    }

    fn raw(script: impl FnOnce(UnixStream) + Send + 'static) -> Scene {
        let dir = TempDir::new().expect("a temporary directory");
        let listener = UnixListener::bind(dir.path().join("socket")).expect("bound");
        let peer = std::thread::spawn(move || script(listener.accept().expect("a client").0));
        Scene { dir, peer: Some(peer) }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    fn start(&self, args: &[&str]) -> Child {
        cynicctl(&self.socket()).args(args).spawn().expect("started")
    }

    fn run(self, args: &[&str], input: &str) -> Output {
        let output = finish(self.start(args), input);
        self.end();
        output
    }

    fn end(mut self) {
        self.peer.take().expect("not ended yet").join().expect("the script ran to its end");
    }
}

fn cynicctl(socket: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cynicctl"));
    command
        .env_clear()
        .env("CYNIC_SOCKET", socket)
        .env("COLUMNS", "80")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn finish(mut child: Child, input: &str) -> Output {
    let mut stdin = child.stdin.take().expect("piped");
    // The program may end before it has read everything.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("ended")
}

/// Waits until the condition holds.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn items(n: usize) -> String {
    let line = |n| format!("{{\"content\":\"item {n}\"}}\n");
    (1..=n).map(line).collect::<Vec<_>>().concat()
}

#[test]
fn rows_come_in_input_order_whatever_the_order_of_the_answers() {
    let scene = Scene::new(|peer| {
        let asked: Vec<_> = (0..5).map(|_| peer.judge().expect("a request")).collect();
        for (n, (seq, judge, _)) in asked.iter().enumerate().rev() {
            peer.answer(*seq, judge, 50.0 + n as f32);
        }
    });
    let output = scene.run(&["judge", "--jsonl", "--json"], &items(5));
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let scores: Vec<f64> = out(&output)
        .lines()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
            row["q_score"].as_f64().expect("a number")
        })
        .collect();
    assert_eq!(scores, [50.0, 51.0, 52.0, 53.0, 54.0]);
}

#[test]
fn a_busy_daemon_is_asked_again_under_the_same_id() {
    let scene = Scene::new(|peer| {
        let (seq, first, _) = peer.judge().expect("a request");
        peer.fail(seq, &first, ErrorKind::Busy, Some(5));
        let (seq, second, item) = peer.judge().expect("a second attempt");
        assert_eq!((second.task, second.retry), (first.task, true));
        assert_eq!(item, "body");
        peer.answer(seq, &second, 60.0);
    });
    let output = scene.run(&["judge", "--type", "text"], "body");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains("WAG"), "{}", out(&output));
}

#[test]
fn patience_ends_with_the_deadline() {
    for strict in [&[][..], &["--strict"]] {
        let scene = Scene::new(|peer| {
            while let Some((seq, judge, _)) = peer.judge() {
                peer.fail(seq, &judge, ErrorKind::Busy, Some(40));
            }
        });
        let args = [&["judge", "--type", "text", "--deadline", "100ms", "--json"], strict].concat();
        let output = scene.run(&args, "body");
        assert_eq!(output.status.code(), Some(4), "{args:?}");
        let row: serde_json::Value = serde_json::from_str(&out(&output)).expect("JSON");
        assert_eq!(row["error"]["kind"], "busy");
    }
}

/// A daemon that hangs takes connections, as its socket does, and answers nothing from then on.
#[test]
fn a_daemon_that_hangs_is_told_from_one_that_works() {
    let dir = TempDir::new().expect("a temporary directory");
    let socket = dir.path().join("socket");
    let _listener = UnixListener::bind(&socket).expect("bound");
    let judge = ["judge", "--type", "text", "--json", "--deadline", "1ms"];
    let silent = || Scene::new(|peer| while peer.frame().is_some() {});
    // All at once: each waits for some seconds.
    let looks: Vec<_> = [&["ping"][..], &["ping", "--ready"], &["stats"], &judge]
        .into_iter()
        .flat_map(|args| {
            let scene = silent();
            let greeted = scene.start(args);
            let alone = cynicctl(&socket).args(args).spawn().expect("started");
            [(args, alone, None), (args, greeted, Some(scene))]
        })
        .collect();
    for (args, child, scene) in looks {
        let output = finish(child, "body");
        assert_eq!(output.status.code(), Some(4), "{args:?}: {}", err(&output));
        let said = match (args, &scene) {
            (["ping", "--ready"], _) => "",
            (["judge", ..], Some(_)) => {
                "\"kind\":\"unavailable\",\"message\":\"the daemon did not answer within the deadline"
            }
            _ => "the daemon did not answer within 5",
        };
        assert!((err(&output) + &out(&output)).contains(said), "{args:?}: {output:?}");
        if let Some(scene) = scene {
            scene.end();
        }
    }
}

#[test]
fn the_doctor_says_that_the_daemon_hangs_beside_what_it_sees_itself() {
    let dir = TempDir::new().expect("a temporary directory");
    let socket = dir.path().join("socket");
    let _listener = UnixListener::bind(&socket).expect("bound");
    let scene = Scene::new(|peer| while peer.frame().is_some() {});
    let alone = cynicctl(&socket).args(["doctor", "--json"]).spawn().expect("started");
    let greeted = scene.start(&["doctor", "--json"]);
    for (check, child) in [("connection", alone), ("daemon", greeted)] {
        let output = finish(child, "");
        assert_eq!(output.status.code(), Some(1), "{}", err(&output));
        let found: serde_json::Value = serde_json::from_str(&out(&output)).expect("JSON");
        let found = found.as_array().expect("a list");
        assert_eq!(found[0]["check"], "kernel");
        let last = found.last().expect("a finding");
        assert_eq!((&last["check"], &last["state"]), (&check.into(), &"bad".into()));
        let what = last["what"].as_str().expect("a text");
        assert!(what.starts_with("the daemon did not answer within 10s"), "{what}");
    }
    scene.end();
}

#[test]
fn a_daemon_that_is_not_ready_says_why() {
    let scene = Scene::new(|peer| {
        while let Some(frame) = peer.frame() {
            let ToDaemon { seq, request } = frame.message().expect("a request");
            let status = "not ready".to_owned();
            let degraded = vec!["2 of 2 workers do not start, last: as scripted".to_owned()];
            let reply = match request {
                Request::Ping => Reply::Pong(Pong { ready: false, degraded: true, status }),
                _ => Reply::Stats(Box::new(Stats { degraded, ..Stats::default() })),
            };
            peer.send(&ToClient { seq, reply }, &[]);
        }
    });
    let output = scene.run(&["ping"], "");
    assert_eq!(output.status.code(), Some(4), "{}", err(&output));
    let said = out(&output);
    assert!(said.starts_with("not ready (") && said.contains("2 of 2 workers"), "{said}");
}

/// As it does behind the service manager's socket while the daemon is restarted.
#[test]
fn a_daemon_that_ends_before_it_greets_is_followed_by_the_next() {
    let dir = TempDir::new().expect("a temporary directory");
    let socket = dir.path().join("socket");
    let listener = UnixListener::bind(&socket).expect("bound");
    let peer = std::thread::spawn(move || {
        drop(listener.accept().expect("a client"));
        let (stream, _) = listener.accept().expect("it asks again");
        let mut peer = Peer::greet(stream, &Hello::new(Role::Daemon));
        let frame = peer.frame().expect("a request");
        let ToDaemon { seq, .. } = frame.message().expect("a request");
        let (status, degraded) = ("ready".to_owned(), false);
        let reply = Reply::Pong(Pong { ready: true, degraded, status });
        peer.send(&ToClient { seq, reply }, &[]);
    });
    let output = finish(cynicctl(&socket).arg("ping").spawn().expect("started"), "");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    peer.join().expect("the script ran to its end");
}

#[test]
fn fail_on_wins_over_items_that_failed() {
    let script = |peer: &mut Peer| {
        for q_score in [Some(90.0), Some(40.0), None] {
            let (seq, judge, _) = peer.judge().expect("a request");
            match q_score {
                Some(q_score) => peer.answer(seq, &judge, q_score),
                None => peer.fail(seq, &judge, ErrorKind::Quarantined, None),
            }
        }
    };
    let code = |args: &[&str]| {
        let args = [&["judge", "--jsonl"], args].concat();
        Scene::new(script).run(&args, &items(3)).status.code()
    };
    assert_eq!(code(&["--fail-on", "growl"]), Some(3));
    assert_eq!(code(&["--fail-on", "bark"]), Some(1));
    assert_eq!(code(&[]), Some(1));
    assert_eq!(code(&["--strict", "--fail-on", "growl"]), Some(3));
    assert_eq!(code(&["--strict", "--fail-on", "bark"]), Some(1));
}

#[test]
fn an_answer_that_is_none_is_not_the_items_fault() {
    let scene = Scene::new(|peer| {
        let (seq, judge, _) = peer.judge().expect("a request");
        peer.answer_with(seq, &judge, 60.0, b"no explanation");
    });
    let output = scene.run(&["judge", "--type", "text", "--json"], "body");
    assert_eq!((output.status.code(), out(&output).as_str()), (Some(1), ""));
    assert!(err(&output).starts_with("error: malformed message"), "{}", err(&output));
}

#[test]
fn an_unknown_profile_is_a_mistake_of_the_command_line() {
    let scene = Scene::new(|peer| {
        let (seq, judge, _) = peer.judge().expect("a request");
        assert_eq!(judge.hint.profile.as_deref(), Some("nonsense"));
        let kind = ErrorKind::InvalidItem(ItemErrorKind::UnknownProfile);
        peer.fail(seq, &judge, kind, None);
    });
    let output = scene.run(&["judge", "--type", "text", "--profile", "nonsense"], "body");
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).starts_with("error: as scripted"), "{}", err(&output));
}

#[test]
fn what_is_asked_for_reaches_the_daemon() {
    let scene = Scene::new(|peer| {
        let (seq, judge, _) = peer.judge().expect("a request");
        assert_eq!(judge.ack, Ack::Stored);
        assert_eq!(judge.deadline_ms, Some(2000));
        assert_eq!(judge.hint.item_type.as_deref(), Some("event"));
        peer.answer(seq, &judge, 60.0);
    });
    let args = ["judge", "--type", "event", "--ack", "stored", "--deadline", "2s", "--json"];
    let output = scene.run(&args, "body");
    assert!(out(&output).contains("\"stored\":true"), "{}", out(&output));
}

#[test]
fn another_version_and_another_program_are_told_apart() {
    let newer = Hello::new(Role::Daemon).with_version(PROTOCOL_VERSION + 1);
    let output = Scene::greeting(newer, |_| ()).run(&["ping"], "");
    assert_eq!(output.status.code(), Some(5));
    assert!(err(&output).contains("version mismatch"), "{}", err(&output));

    let output = Scene::raw(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    })
    .run(&["ping"], "");
    assert!(matches!(output.status.code(), Some(1 | 5)), "{output:?}");
    assert!(!err(&output).is_empty());
}

#[test]
fn without_a_daemon_the_message_says_how_to_start_one() {
    let dir = TempDir::new().expect("a temporary directory");
    let socket = dir.path().join("nobody");
    for args in [&["ping"][..], &["stats"], &["judge", "-"], &["drain"]] {
        let output = finish(cynicctl(&socket).args(args).spawn().expect("started"), "body");
        assert_eq!(output.status.code(), Some(4), "{args:?}");
        assert!(err(&output).contains("systemctl start cynicd"), "{}", err(&output));
    }
    // Left behind by a daemon that was killed.
    drop(UnixListener::bind(&socket).expect("bound"));
    let output = finish(cynicctl(&socket).arg("ping").spawn().expect("started"), "");
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn an_interrupt_ends_with_a_summary() {
    let (first_shown, shown) = std::sync::mpsc::channel();
    let scene = Scene::new(move |peer| {
        let (seq, judge, _) = peer.judge().expect("a request");
        peer.answer(seq, &judge, 60.0);
        peer.judge().expect("a second request");
        first_shown.send(()).expect("awaited");
        // Silent until the program hangs up.
        while peer.frame().is_some() {}
    });
    let mut child = scene.start(&["judge", "--jsonl"]);
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(items(2).as_bytes()).expect("written");
    shown.recv().expect("the script goes on");
    // The row is written before the program waits for the second answer.
    let mut head = [0; 1];
    child.stdout.as_mut().expect("piped").read_exact(&mut head).expect("a row");
    interrupt(&child);
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(130));
    for part in ["interrupted after 1 item: 1 WAG\n", "left: ", "; 1 item of it asked for and"] {
        assert!(err(&output).contains(part), "{}", err(&output));
    }
    drop(stdin);
    scene.end();
}

/// Interrupts the program as Ctrl-C does.
fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGINT)
        .expect("sent");
}

#[test]
fn an_interrupt_says_how_much_of_the_input_is_left() {
    let scene = Scene::new(|peer| {
        let (seq, judge, _) = peer.judge().expect("a request");
        peer.answer(seq, &judge, 60.0);
        while peer.frame().is_some() {}
    });
    let file = scene.dir.path().join("items.jsonl");
    std::fs::write(&file, items(4)).expect("written");
    let mut child = scene.start(&["judge", "--json", &file.to_string_lossy()]);
    let mut head = [0; 1];
    child.stdout.as_mut().expect("piped").read_exact(&mut head).expect("a row");
    interrupt(&child);
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(130));
    // Line ends are of the file, not of its items.
    assert!(err(&output).contains("left: about 76% of the input; 3 items"), "{}", err(&output));
    scene.end();
}

/// A pipe that is full holds the program in a write, where it hears nothing.
#[test]
fn an_interrupt_is_heard_while_nobody_reads_the_output() {
    // Half of what a pipe holds; writes of some sizes leave a part of it unused.
    const MUCH: u64 = 32 * 1024;
    const LOOKS: u32 = 20;
    let judging = Scene::new(|peer| {
        while let Some((seq, judge, _)) = peer.judge() {
            peer.answer(seq, &judge, 60.0);
        }
    });
    let following = Scene::new(|peer| {
        while let Some(frame) = peer.frame() {
            let seq = frame.message::<ToDaemon>().expect("a request").seq;
            let what = Happening::PoolNotReady { reason: "x".repeat(4096) };
            let event = Event { seq: 1, at_us: 0, what };
            let batch = EventsBatch { events: vec![event; 16], ..EventsBatch::default() };
            peer.send(&ToClient { seq, reply: Reply::Events(Box::new(batch)) }, &[]);
        }
    });
    let file = judging.dir.path().join("items.jsonl");
    std::fs::write(&file, items(2000)).expect("written");
    let judge = judging.start(&["judge", "--json", &file.to_string_lossy()]);
    let follow = following.start(&["events", "--follow"]);
    let stalled = [(judge, judging), (follow, following)];
    for (child, _) in &stalled {
        let output = child.stdout.as_ref().expect("piped");
        let (mut before, mut same) = (0, 0);
        until("the pipe is full", || {
            let now = rustix::io::ioctl_fionread(output).expect("told");
            same = if now == before { same + 1 } else { 0 };
            before = now;
            now > MUCH && same > LOOKS
        });
        interrupt(child);
    }
    for (mut child, scene) in stalled {
        let mut code = None;
        until("it ends", || {
            code = child.try_wait().expect("told");
            code.is_some()
        });
        assert_eq!(code.and_then(|code| code.code()), Some(130));
        scene.end();
    }
}

#[test]
fn a_reader_that_leaves_ends_the_run_quietly() {
    let scene = Scene::new(|peer| {
        while let Some((seq, judge, _)) = peer.judge() {
            peer.answer(seq, &judge, 60.0);
        }
    });
    let mut child = scene.start(&["judge", "--jsonl", "--json"]);
    drop(child.stdout.take());
    let output = finish(child, &items(100));
    assert_eq!(output.status.code(), Some(141), "{}", err(&output));
    assert_eq!(err(&output), "");
    scene.end();
}

/// Half an export that has the name of a whole one is the only copy that its user keeps.
#[test]
fn an_export_that_ends_early_leaves_no_file() {
    let begun = |peer: &mut Peer, then: &dyn Fn(&mut Peer)| {
        while let Some((seq, query)) = peer.history() {
            match (query.cursor, query.limit) {
                (Some(_), _) => return then(peer),
                (None, 1) => peer.list(seq, vec![failure(2, 0)], None),
                (None, _) => peer.list(seq, vec![failure(1, 0)], Some(1)),
            }
        }
    };
    // The daemon goes away.
    let scene = Scene::new(move |peer| begun(peer, &|_| {}));
    let kept = TempDir::new().expect("a temporary directory");
    let file = kept.path().join("out.jsonl");
    let args = ["export", "--output", &file.to_string_lossy()];
    let output = scene.run(&args, "");
    assert_eq!(output.status.code(), Some(4), "{}", err(&output));
    assert_eq!(kept.path().read_dir().expect("there").count(), 0);
    // The user has seen enough.
    let (half, written) = std::sync::mpsc::channel();
    let scene = Scene::new(move |peer| {
        begun(peer, &|peer| {
            half.send(()).expect("awaited");
            while peer.frame().is_some() {}
        });
    });
    let child = scene.start(&args);
    written.recv().expect("half of it is written");
    assert!(!file.exists(), "it is not whole");
    interrupt(&child);
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(130), "{}", err(&output));
    assert_eq!(kept.path().read_dir().expect("there").count(), 0);
    scene.end();
}

/// What was stored before is part of an export though the clock was set back since; what comes meanwhile is not.
#[test]
fn an_export_ends_where_the_store_did_whatever_the_clock_says() {
    const YEAR_2096_US: i64 = 4_000_000_000_000_000;
    let scene = Scene::new(|peer| {
        while let Some((seq, query)) = peer.history() {
            assert_eq!((query.until_us, query.client_uid), (None, Some(1000)), "{query:?}");
            let after = query.cursor.and_then(|cursor| cursor.failure_seq).unwrap_or(0);
            match (query.limit, query.kinds) {
                (1, RecordKinds::Judgments) => peer.list(seq, Vec::new(), None),
                (1, _) => peer.list(seq, vec![failure(3, 0)], Some(3)),
                // More and more of them, as on a busy daemon; the time is far in the future.
                _ => {
                    assert!(after < 3, "asked for more than was stored");
                    let rows = [1, 2].map(|n| failure(after + n, YEAR_2096_US)).to_vec();
                    peer.list(seq, rows, Some(after + 2));
                }
            }
        }
    });
    let output = scene.run(&["export", "--uid", "1000"], "");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(out(&output).lines().count(), 3, "{}", out(&output));
}

#[test]
fn a_silent_daemon_does_not_make_the_input_pile_up() {
    const WINDOW: usize = 256;
    let scene = Scene::new(|peer| {
        let asked: Vec<_> = (0..WINDOW).map(|_| peer.judge().expect("a request")).collect();
        // The window is full: with nothing answered, nothing more may be asked.
        peer.stream.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
        assert!(peer.frame().is_none(), "more than {WINDOW} requests at once");
        peer.stream.set_read_timeout(None).expect("set");
        for (seq, judge, _) in &asked {
            peer.answer(*seq, judge, 60.0);
        }
        while let Some((seq, judge, _)) = peer.judge() {
            peer.answer(seq, &judge, 60.0);
        }
    });
    let output = scene.run(&["judge", "--jsonl", "--json"], &items(2000));
    assert_eq!(out(&output).lines().count(), 2000);
}
