//! Everything at once: workers killed and stopped at random, poison among good work, clients that vanish,
//! garbage on the daemon's socket.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cynic_proto::error::{ErrorKind, TaskError};
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Lane, Reply, Request};
use cynic_proto::socket::admin_of;
use cynic_proto::stats::Stats;
use cynic_tests::daemon::{Daemon, Home, PATIENCE};
use cynic_tests::raw::RawClient;
use cynic_tests::{faults, procfs, raw};
use fastrand::Rng;
use rustix::process::Signal;

use crate::items;
use crate::random;
use crate::store::{self, failed, stored};

/// Clients that send work and wait for every answer.
const PATIENT_CLIENTS: usize = 4;

/// Tasks that a patient client has in flight.
const IN_FLIGHT: usize = 8;

/// What is mixed into the work, one in so many items.
const POISON_ONE_IN: u64 = 200;

/// What poison does to the workers that have it.
#[derive(Debug, Clone, Copy)]
enum Ends {
    /// It is judged like any other item.
    Judged,
    /// It is judged, or leaves so much behind that a worker dies of that.
    MayDieOf(&'static str),
    /// Each worker dies of that (as it is displayed, from its start), and the item is given up.
    DiesOf(&'static str),
}

use Ends::{DiesOf, Judged, MayDieOf};

/// Faults of items in the storm; those that hang are left to the stop signals, which do the same.
const POISON: &[(&str, Ends)] = &[
    ("segfault", DiesOf("signal 11")),
    ("abort", DiesOf("signal 6")),
    ("exit_7", DiesOf("exit code 7")),
    ("scorer_panic", Judged),
    ("heap_bomb", DiesOf("memory limit")),
    ("leak", MayDieOf("memory limit")),
    ("garbage", DiesOf("protocol violation")),
    ("huge_length", DiesOf("protocol violation")),
    ("truncated_then_exit", DiesOf("protocol violation")),
    ("closed_then_spin", DiesOf("protocol violation")),
    ("attempt open_a_tcp_socket", DiesOf("sandbox violation")),
    ("attempt fork", Judged),
];

/// Signals of the storm, and what a worker that gets one may die of.
const SIGNALS: &[(&str, Signal, &[&str])] = &[
    ("SIGSTOP", Signal::STOP, &["hard deadline", "missed heartbeat", "not ready in time"]),
    ("SIGSEGV", Signal::SEGV, &["signal 11"]),
    // Blocked by workers that are ready: ending is the supervisor's business.
    ("SIGTERM", Signal::TERM, &[TERMINATED]),
    ("SIGKILL", Signal::KILL, &["signal 9"]),
];

/// The death of a worker that had not yet blocked the signal, and so never one over a task.
const TERMINATED: &str = "signal 15";

/// Innocent tasks that may fail: signals from outside that look like a crash of the worker's own, three times over one
/// task, are told from poison by nobody; and a task whose workers are killed again and again is given back.
const UNLUCKY_MAX: usize = 2;

/// What came of the tasks of one client.
#[derive(Debug, Default)]
struct Tally {
    judged: BTreeSet<TaskId>,
    failed: BTreeMap<TaskId, TaskError>,
    poison: BTreeMap<TaskId, (&'static str, Ends)>,
}

#[tokio::test]
async fn every_task_is_answered_and_stored_once_in_a_storm() {
    let mut random = random::seeded("the storm");
    let home = Home::new("");
    let config = items::impatient_config(env!("CARGO_BIN_EXE_faulty_worker").as_ref());
    let metrics = home.path("metrics.sock");
    home.configure(&format!("{config}[metrics]\nlisten = \"unix:{}\"\n", metrics.display()));
    let daemon = home.start().await;
    let settled = daemon.settled().await;
    let (descriptors, memory) = (daemon.descriptors(), daemon.memory_bytes());
    let end = Instant::now() + random::duration();

    let clients: Vec<_> = (0..PATIENT_CLIENTS)
        .map(|_| tokio::spawn(send_and_wait(daemon.socket().to_owned(), random.fork(), end)))
        .collect();
    let vanishing = tokio::spawn(vanish(daemon.socket().to_owned(), random.fork(), end));
    let babbling: Vec<_> = [daemon.socket().to_owned(), admin_of(daemon.socket()), metrics]
        .into_iter()
        .map(|socket| tokio::spawn(babble(socket, random.fork(), end)))
        .collect();
    let signals = hurt_workers(&daemon, &mut random, end).await;

    let mut tally = Tally::default();
    for client in clients {
        let client = client.await.expect("every task is answered exactly once");
        tally.judged.extend(client.judged);
        tally.failed.extend(client.failed);
        tally.poison.extend(client.poison);
    }
    let (clients_vanished, vanished) = vanishing.await.expect("sent");
    let mut babbled = 0;
    for babbling in babbling {
        babbled += babbling.await.expect("sent");
    }
    let stats = calm(&daemon).await;
    report(&tally, &signals, (clients_vanished, babbled), &stats);

    daemon.no_zombies().await;
    assert_eq!(daemon.workers().len(), settled.workers.len());
    daemon.descriptors_back_to(descriptors).await;
    let grown = daemon.memory_bytes().saturating_sub(memory);
    assert!(grown < 64 << 20, "the daemon grew by {grown} bytes");
    assert_eq!(daemon.stop().await, Some(0));
    tally.agrees_with_store(&home.path("data"), &vanished).await;
    let causes = Causes { poison: &tally.poison, signals: &signals };
    causes.explain_failures(&tally);
    causes.explain_notices(&home.path("data"), &stats).await;
}

/// Kills the workers that are left: some are stopped, or have a signal waiting for them, and until they are gone the
/// figures are not final.
async fn calm(daemon: &Daemon) -> Stats {
    daemon.settled().await;
    let hurt = daemon.workers();
    for pid in &hurt {
        procfs::signal(*pid, Signal::KILL);
    }
    let others = |stats: &Stats| !stats.workers.iter().any(|worker| hurt.contains(&worker.pid));
    daemon.until("all workers are others", others).await;
    daemon.settled().await
}

impl Tally {
    /// What was answered is what is stored, and nothing else is but what clients that left had sent.
    async fn agrees_with_store(&self, data: &Path, vanished: &BTreeSet<TaskId>) {
        let (stored, failures) = (stored(data).await, failed(data).await);
        let failed: BTreeSet<TaskId> = self.failed.keys().copied().collect();
        none(self.judged.intersection(&failed), "answered with a judgment and with an error");
        none(stored.intersection(&failures), "stored as judged and as failed");
        none(self.judged.difference(&stored), "judged, and no judgment is stored");
        none(failed.difference(&failures), "failed, and nothing stored of it");
        let known: BTreeSet<TaskId> = self.judged.union(vanished).copied().collect();
        none(stored.difference(&known), "a judgment is stored that nobody got or had left");
        let known: BTreeSet<TaskId> = failed.union(vanished).copied().collect();
        none(failures.difference(&known), "a failure is stored that nobody got or had left");
        let sent: BTreeSet<TaskId> = self.judged.union(&known).copied().collect();
        let named = store::deaths(data).await.into_iter().filter_map(|(task, _)| task);
        none(named.collect::<BTreeSet<_>>().difference(&sent), "a death over what nobody sent");
    }
}

fn none<'a>(tasks: impl Iterator<Item = &'a TaskId>, what: &str) {
    let tasks: Vec<_> = tasks.collect();
    assert!(tasks.is_empty(), "{what}: {tasks:?}");
}

/// What workers had to die of in this run.
struct Causes<'a> {
    poison: &'a BTreeMap<TaskId, (&'static str, Ends)>,
    signals: &'a BTreeMap<&'static str, u64>,
}

impl Causes<'_> {
    /// Whether something that was done to the workers ends in that.
    fn explain(&self, cause: &str) -> bool {
        let of_poison = self.poison.values().filter_map(|(_, ends)| match ends {
            Judged => None,
            MayDieOf(known) | DiesOf(known) => Some(*known),
        });
        let sent = SIGNALS.iter().filter(|(name, ..)| self.signals.contains_key(name));
        let of_signals = sent.flat_map(|(.., known)| known.iter().copied());
        // Those that are left at the end are killed.
        let mut known = of_poison.chain(of_signals).chain(["signal 9"]);
        known.any(|known| is(cause, known))
    }

    /// Poison is given up for what it does and nothing else is given up, but for some bad luck.
    fn explain_failures(&self, tally: &Tally) {
        let mut unlucky = Vec::new();
        for (task, error) in &tally.failed {
            let causes: Vec<String> = error.deaths.iter().map(|d| d.cause.to_string()).collect();
            let given_back = error.kind == ErrorKind::Unavailable
                && !causes.is_empty()
                && causes.iter().all(|cause| is(cause, "signal 9"));
            let why = "is not judged";
            assert!(given_back || error.kind == ErrorKind::Quarantined, "{task} {why}: {error:?}");
            let unknown = |cause: &&String| !self.explain(cause) || is(cause, TERMINATED);
            let unknown: Vec<_> = causes.iter().filter(unknown).collect();
            assert!(unknown.is_empty(), "{task} died of what nobody did: {unknown:?}");
            let died = |known: &str| causes.iter().any(|cause| is(cause, known));
            if !matches!(self.poison.get(task), Some((_, DiesOf(known))) if died(known)) {
                unlucky.push((task, self.poison.get(task), causes));
            }
        }
        assert!(unlucky.len() <= UNLUCKY_MAX, "given up without being poison: {unlucky:?}");
        for (task, (fault, ends)) in &tally.poison {
            let survived = matches!(ends, DiesOf(_)) && tally.judged.contains(task);
            assert!(!survived, "{task} is judged, which cannot be: {fault}");
        }
    }

    /// Each death that was counted is in the store, and of something that was done to the workers.
    async fn explain_notices(&self, data: &Path, stats: &Stats) {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for (task, cause) in store::deaths(data).await {
            assert!(self.explain(&cause), "died of what nobody did: {cause}");
            let early = !is(&cause, TERMINATED) || task.is_none();
            assert!(early, "{task:?} was in the hands of a worker that died of {cause}");
            *counts.entry(counted_as(&cause)).or_default() += 1;
        }
        assert_eq!(counts, stats.pool.deaths, "deaths in the store, and as they are counted");
    }
}

/// Whether a cause as it is displayed is that one: signal 1 is not signal 11.
fn is(cause: &str, known: &str) -> bool {
    cause.strip_prefix(known).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The counter of a cause as it is displayed, which may say more behind it.
fn counted_as(cause: &str) -> String {
    const NAMES: &[(&str, &str)] = &[
        ("signal", "signal"),
        ("exit code", "exit_code"),
        ("memory limit", "memory_limit"),
        ("sandbox violation", "sandbox_violation"),
        ("hard deadline", "deadline"),
        ("missed heartbeat", "missed_heartbeat"),
        ("protocol violation", "protocol_violation"),
        ("not ready in time", "start_timeout"),
    ];
    let named = NAMES.iter().find(|(shown, _)| cause.starts_with(shown));
    named.unwrap_or_else(|| panic!("unknown: {cause}")).1.to_owned()
}

/// Keeps a number of tasks in flight until the end, then waits for the last answers. Every reply must belong to
/// a task that waits for one.
async fn send_and_wait(socket: PathBuf, mut random: Rng, end: Instant) -> Tally {
    let mut client = RawClient::connect(&socket).await.expect("a connection");
    let mut waiting: BTreeMap<u64, TaskId> = BTreeMap::new();
    let mut tally = Tally::default();
    let mut seq = 0;
    while Instant::now() < end || !waiting.is_empty() {
        while Instant::now() < end && waiting.len() < IN_FLIGHT {
            seq += 1;
            let task = TaskId::new();
            let lane = if random.bool() { Lane::Bulk } else { Lane::Interactive };
            let ack = if random.u8(..4) == 0 { Ack::Stored } else { Ack::Judged };
            let mut request = raw::judge(task, lane, ack);
            let item = if random.u64(..POISON_ONE_IN) == 0 {
                // Each another one, or only the first would be tried.
                request.hint.name = Some(task.to_string());
                let poison = *random.choice(POISON).expect("some");
                tally.poison.insert(task, poison);
                faults::item(poison.0)
            } else {
                items::ordinary(random.u64(..))
            };
            let request = Request::Judge(request);
            client.send(seq, request, &item).await.expect("the connection holds");
            waiting.insert(seq, task);
        }
        let reply = tokio::time::timeout(PATIENCE, client.reply()).await;
        let (seq, reply) = reply.expect("an answer in time").expect("the connection holds");
        let task =
            waiting.remove(&seq).unwrap_or_else(|| panic!("{seq} is answered twice: {reply:?}"));
        match reply {
            Reply::Judged(judged) => {
                assert_eq!(judged.task, task);
                assert!(tally.judged.insert(task), "{task} is judged twice");
            }
            Reply::Failed { task: failed, error } => {
                assert_eq!(failed, task);
                assert!(tally.failed.insert(task, *error).is_none(), "{task} fails twice");
            }
            other => panic!("{other:?}"),
        }
    }
    tally
}

/// Clients that send work and leave, some in the middle of a frame. Returns how many did, and what they sent.
async fn vanish(socket: PathBuf, mut random: Rng, end: Instant) -> (u64, BTreeSet<TaskId>) {
    let (mut vanished, mut tasks) = (0, BTreeSet::new());
    while Instant::now() < end {
        let mut client = RawClient::connect(&socket).await.expect("a connection");
        for seq in 0..random.u64(..20) {
            let task = TaskId::new();
            tasks.insert(task);
            let request = raw::judge(task, Lane::Bulk, Ack::Judged);
            let _ = client.send(seq, Request::Judge(request), &items::ordinary(seq)).await;
        }
        if random.bool() {
            // Half a frame of a megabyte.
            let _ = client.say(&[0, 0, 16, 0, 10, 0, 0, 0, 1, 2, 3]).await;
        }
        vanished += 1;
        drop(client);
        tokio::time::sleep(Duration::from_millis(random.u64(..20))).await;
    }
    (vanished, tasks)
}

/// Connections that never were a client's.
async fn babble(socket: PathBuf, mut random: Rng, end: Instant) -> u64 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut babbled = 0;
    while Instant::now() < end {
        let mut stream = tokio::net::UnixStream::connect(&socket).await.expect("a connection");
        let length = random.u64(..4096);
        let bytes: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
        let _ = stream.write_all(&bytes).await;
        if random.bool() {
            let _ = stream.shutdown().await;
        }
        // Whatever it says to that, it says it soon or hangs up.
        let mut answer = Vec::new();
        let heard = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_millis(20), heard).await;
        babbled += 1;
    }
    babbled
}

/// Kills and stops workers at random.
async fn hurt_workers(
    daemon: &Daemon,
    random: &mut Rng,
    end: Instant,
) -> BTreeMap<&'static str, u64> {
    let mut signals = BTreeMap::new();
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5 + random.u64(..150))).await;
        let Some(pid) = random.choice(daemon.workers()) else { continue };
        let (name, signal, _) = *random.choice(SIGNALS).expect("some");
        procfs::signal(pid, signal);
        *signals.entry(name).or_default() += 1;
    }
    signals
}

fn report(
    tally: &Tally,
    signals: &BTreeMap<&'static str, u64>,
    (vanished, babbled): (u64, u64),
    stats: &Stats,
) {
    let pool = &stats.pool;
    let (judged, poison, failed) = (tally.judged.len(), tally.poison.len(), tally.failed.len());
    eprintln!("judged {judged}, given up {failed}, of {poison} that were poison");
    eprintln!("signals {signals:?}, clients vanished {vanished}, connections of garbage {babbled}");
    eprintln!("deaths {:?}, retries {}, recycled {}", pool.deaths, pool.retries, pool.recycled);
}
