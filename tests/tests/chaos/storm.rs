//! Everything at once: workers killed and stopped at random, poison among good work, clients that vanish,
//! garbage on the daemon's socket.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cynic_proto::error::ErrorKind;
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Lane, Reply, Request};
use cynic_proto::socket::admin_of;
use cynic_tests::daemon::{Daemon, Home, PATIENCE};
use cynic_tests::raw::RawClient;
use cynic_tests::{faults, procfs, raw};
use rustix::process::Signal;

use crate::items;
use crate::random::{self, Random};
use crate::store::{failed, stored};

/// Clients that send work and wait for every answer.
const PATIENT_CLIENTS: usize = 4;

/// Tasks that a patient client has in flight.
const IN_FLIGHT: usize = 8;

/// What is mixed into the work, one in so many items.
const POISON_ONE_IN: u64 = 200;

/// Faults of items in the storm; those that hang are left to the stop signals, which do the same.
const POISON: &[&str] = &[
    "segfault",
    "abort",
    "exit_7",
    "scorer_panic",
    "heap_bomb",
    "leak",
    "garbage",
    "huge_length",
    "truncated_then_exit",
    "closed_then_spin",
    "attempt open_a_tcp_socket",
    "attempt fork",
];

/// Innocent tasks that may fail: signals from outside that look like a crash of the worker's own, three times over one
/// task, are told from poison by nobody.
const UNLUCKY_MAX: usize = 2;

/// What came of the tasks of one client.
#[derive(Debug, Default)]
struct Tally {
    judged: BTreeSet<TaskId>,
    failed: BTreeMap<TaskId, ErrorKind>,
    poison: BTreeSet<TaskId>,
}

#[tokio::test]
async fn every_task_is_answered_and_stored_once_in_a_storm() {
    let mut random = Random::seeded("the storm");
    let home = Home::new("");
    let config = items::impatient_config(env!("CARGO_BIN_EXE_faulty_worker").as_ref());
    let metrics = home.path("metrics.sock");
    home.configure(&format!("{config}[metrics]\nlisten = \"unix:{}\"\n", metrics.display()));
    let daemon = home.start().await;
    let settled = daemon.settled().await;
    let (descriptors, memory) = (daemon.descriptors(), daemon.memory_bytes());
    let end = Instant::now() + random::duration();

    let clients: Vec<_> = (0..PATIENT_CLIENTS)
        .map(|_| tokio::spawn(send_and_wait(daemon.socket().to_owned(), random.split(), end)))
        .collect();
    let vanishing = tokio::spawn(vanish(daemon.socket().to_owned(), random.split(), end));
    let babbling: Vec<_> = [daemon.socket().to_owned(), admin_of(daemon.socket()), metrics]
        .into_iter()
        .map(|socket| tokio::spawn(babble(socket, random.split(), end)))
        .collect();
    let signals = hurt_workers(&daemon, &mut random, end).await;

    let mut tally = Tally::default();
    for client in clients {
        let client = client.await.expect("every task is answered exactly once");
        tally.judged.extend(client.judged);
        tally.failed.extend(client.failed);
        tally.poison.extend(client.poison);
    }
    let vanished = vanishing.await.expect("sent");
    let mut babbled = 0;
    for babbling in babbling {
        babbled += babbling.await.expect("sent");
    }
    let stats = daemon.settled().await;
    report(&tally, &signals, (vanished, babbled), &stats);

    daemon.no_zombies().await;
    assert_eq!(daemon.workers().len(), settled.workers.len());
    daemon.descriptors_back_to(descriptors).await;
    let grown = daemon.memory_bytes().saturating_sub(memory);
    assert!(grown < 64 << 20, "the daemon grew by {grown} bytes");
    assert_eq!(daemon.stop().await, Some(0));
    let (judged, failed) = (stored(&home.path("data")).await, failed(&home.path("data")).await);
    let lost: Vec<_> = tally.judged.difference(&judged).collect();
    assert!(lost.is_empty(), "answered but not stored: {lost:?}");
    let lost: Vec<_> = tally.failed.keys().filter(|task| !failed.contains(task)).collect();
    assert!(lost.is_empty(), "failed, and nothing stored of it: {lost:?}");
    let otherwise = |(_, kind): &(&TaskId, &ErrorKind)| **kind != ErrorKind::Quarantined;
    let otherwise: Vec<_> = tally.failed.iter().filter(otherwise).collect();
    assert!(otherwise.is_empty(), "not judged, and not because of poison: {otherwise:?}");
    let innocent: Vec<_> = tally.failed.keys().filter(|t| !tally.poison.contains(t)).collect();
    assert!(innocent.len() <= UNLUCKY_MAX, "given up without being poison: {innocent:?}");
}

/// Keeps a number of tasks in flight until the end, then waits for the last answers. Every reply must belong to
/// a task that waits for one.
async fn send_and_wait(socket: PathBuf, mut random: Random, end: Instant) -> Tally {
    let mut client = RawClient::connect(&socket).await.expect("a connection");
    let mut waiting: BTreeMap<u64, TaskId> = BTreeMap::new();
    let mut tally = Tally::default();
    let mut seq = 0;
    while Instant::now() < end || !waiting.is_empty() {
        while Instant::now() < end && waiting.len() < IN_FLIGHT {
            seq += 1;
            let task = TaskId::new();
            let lane = if random.once_in(2) { Lane::Bulk } else { Lane::Interactive };
            let ack = if random.once_in(4) { Ack::Stored } else { Ack::Judged };
            let mut request = raw::judge(task, lane, ack);
            let item = if random.once_in(POISON_ONE_IN) {
                // Each another one, or only the first would be tried.
                request.hint.name = Some(task.to_string());
                tally.poison.insert(task);
                faults::item(random.choose(POISON).expect("some"))
            } else {
                items::ordinary(random.next())
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
                assert_eq!(tally.failed.insert(task, error.kind), None, "{task} fails twice");
            }
            other => panic!("{other:?}"),
        }
    }
    tally
}

/// Clients that send work and leave, some in the middle of a frame.
async fn vanish(socket: PathBuf, mut random: Random, end: Instant) -> u64 {
    let mut vanished = 0;
    while Instant::now() < end {
        let mut client = RawClient::connect(&socket).await.expect("a connection");
        for seq in 0..random.below(20) {
            let request = raw::judge(TaskId::new(), Lane::Bulk, Ack::Judged);
            let _ = client.send(seq, Request::Judge(request), &items::ordinary(seq)).await;
        }
        if random.once_in(2) {
            // Half a frame of a megabyte.
            let _ = client.say(&[0, 0, 16, 0, 10, 0, 0, 0, 1, 2, 3]).await;
        }
        vanished += 1;
        drop(client);
        tokio::time::sleep(Duration::from_millis(random.below(20))).await;
    }
    vanished
}

/// Connections that never were a client's.
async fn babble(socket: PathBuf, mut random: Random, end: Instant) -> u64 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut babbled = 0;
    while Instant::now() < end {
        let mut stream = tokio::net::UnixStream::connect(&socket).await.expect("a connection");
        let length = random.below(4096);
        let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        let _ = stream.write_all(&bytes).await;
        if random.once_in(2) {
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
    random: &mut Random,
    end: Instant,
) -> BTreeMap<&'static str, u64> {
    let mut signals = BTreeMap::new();
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5 + random.below(150))).await;
        let Some(pid) = random.choose(&daemon.workers()).copied() else { continue };
        let (name, signal) = match random.below(4) {
            0 => ("SIGSTOP", Signal::STOP),
            1 => ("SIGSEGV", Signal::SEGV),
            // Blocked by workers: ending is the supervisor's business.
            2 => ("SIGTERM", Signal::TERM),
            _ => ("SIGKILL", Signal::KILL),
        };
        procfs::signal(pid, signal);
        *signals.entry(name).or_default() += 1;
    }
    signals
}

fn report(
    tally: &Tally,
    signals: &BTreeMap<&'static str, u64>,
    (vanished, babbled): (u64, u64),
    stats: &cynic_proto::stats::Stats,
) {
    let pool = &stats.pool;
    let (judged, poison, failed) = (tally.judged.len(), tally.poison.len(), tally.failed.len());
    eprintln!("judged {judged}, given up {failed}, of {poison} that were poison");
    eprintln!("signals {signals:?}, clients vanished {vanished}, connections of garbage {babbled}");
    eprintln!("deaths {:?}, retries {}, recycled {}", pool.deaths, pool.retries, pool.recycled);
}
