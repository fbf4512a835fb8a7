//! Each fault of the list, one after another, while a neighbour's ordinary work goes on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cynic_proto::client::{Client, Outcome};
use cynic_proto::error::ErrorKind;
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Lane, Reply, Request};
use cynic_proto::stats::{PoolStats, Stats};
use cynic_tests::daemon::{Daemon, Home, PATIENCE};
use cynic_tests::raw::RawClient;
use cynic_tests::{faults, procfs, raw};
use rustix::process::Signal;

use crate::items;

/// What must come of a fault.
#[derive(Debug, Clone, Copy)]
enum Must {
    /// The item is judged, in spite of it.
    BeJudged,
    /// The item is judged, and its worker dies afterwards of one of these causes (as they are counted).
    BeJudgedThenKill(&'static [&'static str]),
    /// The item is given up after deaths of one of these causes (as they are displayed, from their start).
    KillBy(&'static [&'static str]),
}

use Must::{BeJudged, BeJudgedThenKill, KillBy};

const FORBIDDEN: Must = KillBy(&["sandbox violation"]);
const VIOLATION: Must = KillBy(&["protocol violation"]);
const DEADLINE: Must = KillBy(&["hard deadline"]);

/// Inside a real worker, in its real sandbox.
const OF_A_WORKER: &[(&str, Must)] = &[
    ("segfault", KillBy(&["signal 11"])),
    ("abort", KillBy(&["signal 6"])),
    ("uncaught_panic", KillBy(&["signal 6"])),
    ("stack_overflow", KillBy(&["signal 6", "signal 11"])),
    ("exit_0", KillBy(&["exit code 0"])),
    ("exit_7", KillBy(&["exit code 7"])),
    ("scorer_panic", BeJudged),
    ("thousand_panics", BeJudged),
    ("heap_bomb", KillBy(&["memory limit"])),
    ("noise", BeJudged),
    ("garbage", VIOLATION),
    ("huge_length", VIOLATION),
    ("short_length", VIOLATION),
    ("truncated_then_exit", VIOLATION),
    ("flood", VIOLATION),
    ("closed_then_spin", VIOLATION),
    ("attempt fork", BeJudged),
    ("attempt start_a_program", BeJudged),
    ("attempt become_another_program", FORBIDDEN),
    ("attempt start_a_thread", BeJudged),
    ("attempt read_a_file", BeJudged),
    ("attempt create_a_file", BeJudged),
    ("attempt remove_a_file", FORBIDDEN),
    ("attempt open_a_tcp_socket", FORBIDDEN),
    ("attempt open_a_udp_socket", FORBIDDEN),
    ("attempt connect_to_a_unix_socket", FORBIDDEN),
    ("attempt open_a_netlink_socket", FORBIDDEN),
    ("attempt make_a_memory_file", FORBIDDEN),
    ("attempt map_shared_memory", FORBIDDEN),
    ("attempt map_memory_to_execute", FORBIDDEN),
    ("attempt make_memory_executable", FORBIDDEN),
    ("attempt trace_the_supervisor", FORBIDDEN),
    ("attempt read_the_supervisors_memory", FORBIDDEN),
    ("attempt signal_the_supervisor", FORBIDDEN),
    ("attempt raise_its_memory_limit", BeJudged),
    ("attempt set_up_an_io_uring", FORBIDDEN),
    ("attempt make_a_user_namespace", FORBIDDEN),
    #[cfg(target_arch = "x86_64")]
    ("attempt make_a_32_bit_call", FORBIDDEN),
];

/// The same, where nothing but the clock tells.
const OF_A_HANGING_WORKER: &[(&str, Must)] = &[
    ("busy_loop", DEADLINE),
    ("sleep", DEADLINE),
    ("truncated_then_hang", DEADLINE),
    ("slow_drip", DEADLINE),
];

/// Of a worker that was taken over, wears no sandbox and lies.
const OF_A_LIAR: &[(&str, Must)] = &[
    ("wrong_nonce", VIOLATION),
    ("wrong_task", VIOLATION),
    ("nan", VIOLATION),
    ("infinite_confidence", VIOLATION),
    ("score_out_of_range", VIOLATION),
    ("bad_details", VIOLATION),
    ("cut_details", VIOLATION),
    ("nan_in_details", VIOLATION),
    ("bad_utf8", VIOLATION),
    ("long_message", VIOLATION),
    ("descriptors", VIOLATION),
    ("half_closed_then_spin", VIOLATION),
    // Each pong is valid and answers nothing: it may be ignored until the deadline.
    ("valid_flood", KillBy(&["hard deadline", "protocol violation"])),
    ("duplicate", BeJudgedThenKill(&["protocol_violation"])),
    ("surplus_later", BeJudgedThenKill(&["protocol_violation"])),
    ("answer_then_crash", BeJudgedThenKill(&["signal"])),
    ("answer_then_garbage", BeJudgedThenKill(&["protocol_violation"])),
    // Whichever comes first: an item that it was given, or the question whether it lives.
    ("never_reads", BeJudgedThenKill(&["deadline", "missed_heartbeat"])),
];

/// How often a leaking item is judged: past the memory limit several times over.
const LEAKS: usize = 40;

#[tokio::test]
async fn every_fault_of_a_worker_ends_as_it_must() {
    let worker = env!("CARGO_BIN_EXE_faulty_worker").as_ref();
    let mut table = Table::of(&items::config(worker)).await;
    for (command, must) in OF_A_WORKER {
        table.try_fault(command, *must).await;
    }
    table.leak().await;
    table.close().await;
}

#[tokio::test]
async fn every_hang_of_a_worker_ends_at_the_deadline() {
    let worker = env!("CARGO_BIN_EXE_faulty_worker").as_ref();
    let mut table = Table::of(&items::impatient_config(worker)).await;
    for (command, must) in OF_A_HANGING_WORKER {
        table.try_fault(command, *must).await;
    }
    table.stop_a_worker_at_work().await;
    table.close().await;
}

#[tokio::test]
async fn every_lie_of_a_worker_is_found_out_or_harmless() {
    let worker = env!("CARGO_BIN_EXE_false_worker").as_ref();
    // Some lies are a hang, and one of the items is large.
    let config = items::config_with(worker, 2000, 5000, "dimension_failures_max = 0");
    let mut table = Table::of(&config).await;
    for (command, must) in OF_A_LIAR {
        table.try_fault(command, *must).await;
        // What the lie left behind meets work that is not to blame.
        for n in 0..4 {
            table.judge_ordinary(n).await;
        }
        table.judge(items::large()).await.expect_judged("a large item", &table.daemon);
    }
    table.close().await;
}

/// An explanation is checked as the rest of an answer is: its worker dies of it, and another one answers.
#[tokio::test]
async fn who_was_answered_with_a_bad_explanation_first_gets_a_good_one() {
    let worker = env!("CARGO_BIN_EXE_false_worker").as_ref();
    let home = Home::new(&items::config(worker));
    let daemon = home.start().await;
    let client = daemon.client().await;
    for (n, lie) in ["bad_details", "cut_details", "nan_in_details"].into_iter().enumerate() {
        let told = home.path(lie);
        let item = faults::item(&format!("once {} {lie}", told.display()));
        let request = raw::judge(TaskId::new(), Lane::Interactive, Ack::Stored);
        let task = request.task;
        let outcome = client.judge(request, item.into()).await.expect("an answer");
        let Outcome::Judged(answer) = outcome else {
            panic!("{lie}: {outcome:?}\n{}", daemon.log())
        };
        assert!(told.exists(), "{lie}: nobody told it");
        assert_eq!(answer.judged.attempts, 2, "{lie}");
        assert!(!answer.details.evidence.is_empty(), "{lie}");
        assert!(
            answer.details.evidence.iter().all(|evidence| evidence.points.is_finite()),
            "{lie}"
        );
        let deaths = daemon.settled().await.pool.deaths;
        assert_eq!(
            deaths,
            BTreeMap::from([("protocol_violation".to_owned(), n as u64 + 1)]),
            "{lie}"
        );
        let shown = daemon.cynicctl(["show", "--json", &task.to_string()]);
        assert_eq!(shown.json()[0]["judgment"]["attempts"], 2, "{lie}: {shown:?}");
    }
    assert_eq!(daemon.stop().await, Some(0));
}

/// Clients may have small frames: what a worker says does not depend on that, nor is an item to blame.
#[tokio::test]
async fn an_answer_that_fits_no_frame_is_told_under_its_request() {
    let worker = env!("CARGO_BIN_EXE_false_worker").as_ref();
    let home = Home::new(&(items::config(worker) + "[clients]\nframe_bytes_max = 65536\n"));
    let daemon = home.start().await;
    let mut client = RawClient::connect(daemon.socket()).await.expect("greeted");
    let request = raw::judge(TaskId::new(), Lane::Interactive, Ack::Judged);
    let item = faults::item("long_details");
    client.send(7, Request::Judge(request), &item).await.expect("taken");
    let (seq, reply) = client.reply().await.expect("a reply");
    let Reply::Failed { error, .. } = reply else { panic!("{reply:?}") };
    assert_eq!((seq, error.kind), (7, ErrorKind::Internal), "{error:?}");
    assert!(error.message.contains("clients.frame_bytes_max"), "{error:?}");
    let request = raw::judge(TaskId::new(), Lane::Interactive, Ack::Judged);
    client.send(8, Request::Judge(request), &faults::item("nothing")).await.expect("taken");
    let (seq, reply) = client.reply().await.expect("a reply");
    assert!(matches!(reply, Reply::Judged(_)), "{reply:?}");
    assert_eq!(seq, 8);
    let pool = daemon.settled().await.pool;
    assert!(pool.deaths.is_empty(), "{pool:#?}");
}

/// What came of a task.
struct Came(Outcome);

impl Came {
    fn expect_judged(&self, what: &str, daemon: &Daemon) {
        assert!(matches!(self.0, Outcome::Judged(_)), "{what}: {:?}\n{}", self.0, daemon.log());
    }
}

/// A line of the table.
struct Row {
    fault: String,
    /// Attempts at the task that carried it, or tasks.
    tried: usize,
    outcome: String,
    /// From the answer until every worker was there again.
    whole_in: Duration,
}

/// A daemon, a neighbour at work on it, and what was found so far.
struct Table {
    daemon: Daemon,
    client: Client,
    neighbour: Neighbour,
    descriptors: usize,
    rows: Vec<Row>,
    _home: Home,
}

impl Table {
    async fn of(config: &str) -> Table {
        let home = Home::new(config);
        let daemon = home.start().await;
        daemon.settled().await;
        let client = daemon.client().await;
        let neighbour = Neighbour::begin(daemon.client().await);
        let descriptors = daemon.descriptors();
        Table { daemon, client, neighbour, descriptors, rows: Vec::new(), _home: home }
    }

    async fn judge(&self, item: Vec<u8>) -> Came {
        let request = raw::judge(TaskId::new(), Lane::Interactive, Ack::Judged);
        Came(self.client.judge(request, item.into()).await.expect("an answer"))
    }

    async fn judge_ordinary(&self, n: u64) {
        self.judge(items::ordinary(n)).await.expect_judged("an ordinary item", &self.daemon);
    }

    async fn try_fault(&mut self, command: &str, must: Must) {
        let before = self.daemon.stats().await.pool.deaths;
        let Came(outcome) = self.judge(faults::item(command)).await;
        let answered = Instant::now();
        let found = match (&outcome, must) {
            (Outcome::Judged(answer), BeJudged) => {
                assert!(answer.judged.attempts >= 1);
                "judged".to_owned()
            }
            (Outcome::Judged(_), BeJudgedThenKill(causes)) => {
                let rose =
                    |stats: &Stats, cause: &str| stats.pool.deaths.get(cause) > before.get(cause);
                let killed = |stats: &Stats| causes.iter().any(|cause| rose(stats, cause));
                // Some lies come out with that worker's next lease: so much at once that each worker gets one.
                let mut stats = self.daemon.stats().await;
                while !killed(&stats) {
                    assert!(
                        answered.elapsed() < PATIENCE,
                        "{command}: alive\n{}",
                        self.daemon.log()
                    );
                    let ordinary = || self.judge_ordinary(0);
                    tokio::join!(ordinary(), ordinary(), ordinary(), ordinary());
                    stats = self.daemon.stats().await;
                }
                let cause = causes.iter().find(|cause| rose(&stats, cause));
                format!("judged, then {}", cause.expect("one of them"))
            }
            (Outcome::Failed { error, .. }, KillBy(causes))
                if error.kind == ErrorKind::Quarantined =>
            {
                let mut by: BTreeMap<String, usize> = BTreeMap::new();
                for death in &error.deaths {
                    let cause = death.cause.to_string();
                    let known = causes.iter().any(|known| cause.starts_with(known));
                    assert!(known, "{command}: died of {cause}\n{}", self.daemon.log());
                    *by.entry(cause).or_default() += 1;
                }
                assert!(!by.is_empty(), "{command}: given up without a death");
                by.iter()
                    .map(|(cause, times)| format!("{times}x {cause}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            }
            _ => panic!("{command} must {must:?}, but: {outcome:?}\n{}", self.daemon.log()),
        };
        self.whole_again().await;
        let tried = match &outcome {
            Outcome::Judged(answer) => usize::from(answer.judged.attempts),
            Outcome::Failed { error, .. } => error.deaths.len(),
            Outcome::Echoed(_) => 0,
        };
        self.row(command, tried, found, answered.elapsed());
    }

    fn row(&mut self, fault: &str, tried: usize, outcome: String, whole_in: Duration) {
        self.rows.push(Row { fault: fault.to_owned(), tried, outcome, whole_in });
    }

    /// Waits until every worker is there again; the neighbour may have one in use.
    async fn whole_again(&self) {
        self.daemon
            .until("every worker is up", |stats| {
                stats.workers.iter().all(|worker| ["idle", "busy"].contains(&worker.state.as_str()))
            })
            .await;
        self.daemon.no_zombies().await;
    }

    /// A worker that grows is replaced between tasks, or, if it grows faster than anybody looks, dies of its
    /// own limit and nothing else. No task is lost either way.
    async fn leak(&mut self) {
        let before = self.daemon.stats().await.pool;
        for _ in 0..LEAKS {
            self.judge(faults::item("leak")).await.expect_judged("a leaking item", &self.daemon);
        }
        let answered = Instant::now();
        self.whole_again().await;
        let after = self.daemon.stats().await.pool;
        let deaths = |stats: &PoolStats| stats.deaths.values().sum::<u64>();
        let memory =
            |stats: &PoolStats| stats.deaths.get("memory_limit").copied().unwrap_or_default();
        let (died, of_memory) =
            (deaths(&after) - deaths(&before), memory(&after) - memory(&before));
        let recycled = after.recycled - before.recycled;
        assert_eq!(died, of_memory, "{before:?} {after:?}\n{}", self.daemon.log());
        assert!(recycled + of_memory > 0, "nothing limits it: {after:?}");
        let found = format!("judged, {recycled} workers recycled, {of_memory} died of memory");
        self.row("leak of 20 MiB a task", LEAKS, found, answered.elapsed());
    }

    /// A stop signal from outside: found by the deadline, killed, and the task judged by another worker.
    async fn stop_a_worker_at_work(&mut self) {
        let victims = self.daemon.workers();
        for pid in &victims {
            procfs::signal(*pid, Signal::STOP);
        }
        let answers = [self.judge(items::ordinary(1)).await, self.judge(items::ordinary(2)).await];
        let answered = Instant::now();
        for answer in answers {
            answer.expect_judged("an item in a stopped worker", &self.daemon);
        }
        self.whole_again().await;
        let gone = victims.iter().all(|pid| !procfs::exists(*pid));
        assert!(gone, "a stopped worker is still there");
        let found = "judged by another worker".to_owned();
        self.row("stopped from outside", 2, found, answered.elapsed());
    }

    /// Prints what was found and checks that nothing is left behind.
    async fn close(self) {
        let (judged, slowest) = self.neighbour.end().await;
        drop(self.client);
        self.daemon.settled().await;
        let mut text = format!("{:<44} {:>5} {:>10}  outcome\n", "fault", "tried", "whole in");
        for Row { fault, tried, outcome, whole_in } in &self.rows {
            let whole_in = whole_in.as_secs_f64() * 1000.0;
            let _ = writeln!(text, "{fault:<44} {tried:>5} {whole_in:>8.1}ms  {outcome}");
        }
        eprintln!(
            "{text}{judged} items of a neighbour judged meanwhile, the slowest in {slowest:?}"
        );
        self.daemon.no_zombies().await;
        self.daemon.descriptors_back_to(self.descriptors).await;
        assert_eq!(self.daemon.stop().await, Some(0));
    }
}

/// Ordinary work beside the faults, by another client. Every item of it must be judged.
struct Neighbour {
    ended: Arc<AtomicBool>,
    judged: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<Duration>,
}

impl Neighbour {
    fn begin(client: Client) -> Neighbour {
        let (ended, judged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let task = tokio::spawn({
            let (ended, judged) = (Arc::clone(&ended), Arc::clone(&judged));
            async move {
                let mut slowest = Duration::ZERO;
                while !ended.load(Ordering::Relaxed) {
                    let n = judged.fetch_add(1, Ordering::Relaxed);
                    let request = raw::judge(TaskId::new(), Lane::Interactive, Ack::Judged);
                    let start = Instant::now();
                    let outcome = client.judge(request, items::ordinary(n).into()).await;
                    slowest = slowest.max(start.elapsed());
                    assert!(
                        matches!(outcome, Ok(Outcome::Judged(_))),
                        "the neighbour got {outcome:?}"
                    );
                    // A pace that leaves the machine to the faults.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                slowest
            }
        });
        Neighbour { ended, judged, task }
    }

    async fn end(self) -> (u64, Duration) {
        self.ended.store(true, Ordering::Relaxed);
        let slowest = self.task.await.expect("every item of the neighbour is judged");
        (self.judged.load(Ordering::Relaxed), slowest)
    }
}
