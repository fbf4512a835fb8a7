//! A worker that was taken over: it speaks the protocol well enough to lie in it, and wears no sandbox.
//!
//! Owns the lies that need the lease in hand (its nonce, its tasks). Everything else it judges honestly.
//! Never part of the product.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use bytes::BytesMut;
use cynic_judge::{JUDGE_VERSION, Judge, Options};
use cynic_proto::codec;
use cynic_proto::explanation;
use cynic_proto::handshake::{Hello, PROTOCOL_VERSION, Role};
use cynic_proto::ids::TaskId;
use cynic_proto::item::{ItemError, ItemErrorKind};
use cynic_proto::limits::FRAME_BYTES_MAX;
use cynic_proto::sandbox::{Layer, LayerStatus, SandboxMode, SandboxReport};
use cynic_proto::worker::{FromWorker, Lease, Outcome, Spent, ToWorker};
use cynic_tests::faults;
use cynic_worker::host::{Host, Judged};
use cynic_worker::progress::ProgressWriter;

fn main() {
    let name = std::env::args().next().unwrap_or_default();
    let mut liar = Liar::new();
    let mut hello = Hello::new(Role::Worker);
    match name.rsplit('/').next() {
        Some("wrong_version") => hello = hello.with_version(PROTOCOL_VERSION + 1),
        Some("wrong_role") => hello.role = Role::Client,
        Some("garbage_greeting") => liar.say(&[0x5A; 64]),
        Some("unconfined") => liar.report = SandboxReport::default(),
        _ => {}
    }
    liar.hear().expect("a greeting");
    liar.frame(&hello, &[]);
    let report = codec::encode(&liar.report).expect("encodes");
    liar.frame(&FromWorker::Ready { judge_version: JUDGE_VERSION }, &report);
    while let Some(frame) = liar.hear() {
        match frame.message().expect("a message") {
            ToWorker::Lease(lease) => liar.work(&lease, &frame.payload),
            ToWorker::Ping(nonce) => liar.frame(&FromWorker::Pong(nonce), &[]),
        }
    }
}

struct Liar {
    socket: UnixStream,
    inbox: BytesMut,
    host: Host,
    report: SandboxReport,
    /// An answer to an earlier lease that is still to be sent, after the next one began.
    surplus: Option<(FromWorker, Vec<u8>)>,
}

impl Liar {
    fn new() -> Liar {
        let progress = ProgressWriter::map_stdout();
        let judge = Judge::new(Options::default());
        let panel = judge.panel();
        let descriptor = std::io::stdin().as_fd().try_clone_to_owned().expect("standard input");
        Liar {
            socket: UnixStream::from(descriptor),
            inbox: BytesMut::new(),
            host: Host::new(judge, panel, progress).expect("a host"),
            // A lie: it wears nothing.
            report: SandboxReport {
                mode: SandboxMode::Required,
                layers: [LayerStatus::Enforced; Layer::ALL.len()],
            },
            surplus: None,
        }
    }

    fn hear(&mut self) -> Option<codec::Frame> {
        loop {
            if let Some(frame) = codec::take(&mut self.inbox, FRAME_BYTES_MAX).expect("a frame") {
                return Some(frame);
            }
            let mut chunk = vec![0; 64 << 10];
            let read = self.socket.read(&mut chunk).unwrap_or(0);
            if read == 0 {
                return None;
            }
            self.inbox.extend_from_slice(&chunk[..read]);
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        if self.socket.write_all(bytes).is_err() {
            faults::hang();
        }
    }

    fn frame<M: serde::Serialize>(&mut self, message: &M, payload: &[u8]) {
        let mut bytes = Vec::new();
        codec::put(message, payload, FRAME_BYTES_MAX, &mut bytes).expect("fits");
        self.say(&bytes);
    }

    fn work(&mut self, lease: &Lease, payload: &[u8]) {
        if let Some((answer, explanation)) = self.surplus.take() {
            self.frame(&answer, &explanation);
        }
        let mut rest = payload;
        for (n, item) in lease.items.iter().enumerate() {
            let (bytes, next) = rest.split_at(item.bytes as usize);
            rest = next;
            let judged = self.host.judge(lease, n, bytes).expect("judged");
            let command = command_in(bytes);
            let command = command.as_deref().map_or("nothing", this_time);
            self.answer(lease, item.task, judged, command);
        }
    }

    /// Answers an item, truthfully or as the command says.
    fn answer(&mut self, lease: &Lease, task: TaskId, judged: Judged, command: &str) {
        let Judged { mut outcome, mut explanation, spent } = judged;
        let (mut nonce, mut named) = (lease.nonce, task);
        match command {
            "wrong_nonce" => nonce = nonce.wrapping_add(1),
            "wrong_task" => named = TaskId::new(),
            "nan" => change(&mut outcome, |judgment| judgment.q_score = f32::NAN),
            "infinite_confidence" => {
                change(&mut outcome, |judgment| judgment.confidence = f32::INFINITY);
            }
            "score_out_of_range" => change(&mut outcome, |judgment| judgment.dimensions[3] = 101.0),
            "long_details" => explanation = with_more(&explanation, 100_000),
            "long_message" => {
                let (kind, message) = (ItemErrorKind::Empty, "x".repeat(5000));
                let error = ItemError { kind, message };
                (outcome, explanation) = (Outcome::Rejected { error, item_id: None }, Vec::new());
            }
            "bad_details" => explanation = vec![0xFF; 64],
            "cut_details" => drop(explanation.pop()),
            "nan_in_details" => explanation = without_numbers(&explanation),
            "half_closed_then_spin" => {
                self.socket.shutdown(std::net::Shutdown::Write).expect("shut down");
                faults::commit("busy_loop", &cynic_tests::attempts::Target::of_this_host());
            }
            "bad_utf8" => return self.answer_in_bad_utf8(lease.nonce, task),
            "descriptors" => self.pass_descriptors(),
            "valid_flood" => loop {
                self.frame(&FromWorker::Pong(1), &[]);
            },
            _ => {}
        }
        let answer = FromWorker::Done { nonce, task: named, outcome, spent };
        self.frame(&answer, &explanation);
        match command {
            "duplicate" => self.frame(&answer, &explanation),
            "surplus_later" => self.surplus = Some((answer, explanation)),
            "answer_then_crash" => std::process::abort(),
            "answer_then_garbage" => self.say(&[0xA5; 512]),
            // Goes on living and takes the next lease, but never reads it.
            "never_reads" => faults::hang(),
            _ => {}
        }
    }

    /// A rejection whose message is no text.
    fn answer_in_bad_utf8(&mut self, nonce: u64, task: TaskId) {
        const PLACE: &str = "PLACE";
        let error = ItemError { kind: ItemErrorKind::Empty, message: PLACE.to_owned() };
        let outcome = Outcome::Rejected { error, item_id: None };
        let answer = FromWorker::Done { nonce, task, outcome, spent: Spent::default() };
        let mut bytes = Vec::new();
        codec::put(&answer, &[], FRAME_BYTES_MAX, &mut bytes).expect("fits");
        let at = bytes.windows(PLACE.len()).position(|window| window == PLACE.as_bytes());
        bytes[at.expect("in plain text")] = 0xFF;
        self.say(&bytes);
    }

    /// Sends a descriptor along with nothing of note.
    fn pass_descriptors(&mut self) {
        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
        let descriptors = [rustix::stdio::stderr(); 8];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)), "room for eight");
        let bytes = [std::io::IoSlice::new(&[0xA5; 64])];
        sendmsg(&self.socket, &bytes, &mut ancillary, SendFlags::empty()).expect("sent");
    }
}

/// An explanation whose evidence counts for no number of points.
fn without_numbers(explanation: &[u8]) -> Vec<u8> {
    let mut details = explanation::decode(explanation).expect("of this build");
    for evidence in &mut details.evidence {
        evidence.points = f32::NAN;
    }
    explanation::encode(&details).expect("encodes")
}

/// An explanation with that much more to say.
fn with_more(explanation: &[u8], bytes: usize) -> Vec<u8> {
    let more = "x".repeat(bytes);
    let mut details = explanation::decode(explanation).expect("of this build");
    details.summary = &more;
    explanation::encode(&details).expect("encodes")
}

/// The command as it is, or of `once FILE COMMAND` what is behind the file for the worker that makes it: no sandbox
/// keeps it from that.
fn this_time(command: &str) -> &str {
    let Some((file, once)) = command.strip_prefix("once ").and_then(|rest| rest.split_once(' '))
    else {
        return command;
    };
    if File::create_new(file).is_ok() { once } else { "nothing" }
}

fn change(outcome: &mut Outcome, lie: impl FnOnce(&mut cynic_proto::judgment::Judgment)) {
    if let Outcome::Judged(judgment) = outcome {
        lie(judgment);
    }
}

/// The command in an item made by [`faults::item`].
fn command_in(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once(r#""type":"fault","content":""#)?;
    Some(rest.split('"').next()?.to_owned())
}
