//! The daemon itself is killed: no worker outlives it, and no judgment that it acknowledged is lost.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cynic_proto::client::{Client, Options, Outcome};
use cynic_proto::error::ErrorKind;
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Lane};
use cynic_tests::daemon::{Home, PATIENCE, binary};
use cynic_tests::{faults, procfs, raw};
use tokio::sync::watch;

use crate::items;
use crate::postgres::Server;
use crate::random;
use crate::store::{stored, stored_in_postgres};

#[tokio::test]
async fn no_worker_outlives_the_daemon() {
    let home = Home::new(&items::config(env!("CARGO_BIN_EXE_faulty_worker").as_ref()));
    let mut times = Vec::new();
    for command in ["nothing", "busy_loop", "sleep", "closed_then_spin"] {
        let daemon = home.start().await;
        daemon.settled().await;
        let client = daemon.client().await;
        // In the middle of the fault, not after it.
        let request = raw::judge(TaskId::new(), Lane::Interactive, Ack::Judged);
        let asked =
            tokio::spawn(async move { client.judge(request, faults::item(command).into()).await });
        if command != "nothing" {
            daemon.until("a worker is at it", |stats| stats.pool.active_tasks > 0).await;
        }
        let workers = daemon.workers();
        assert_eq!(workers.len(), 2, "{command}");
        let start = Instant::now();
        daemon.crash();
        while workers.iter().any(|pid| procfs::exists(*pid) && !procfs::is_zombie(*pid)) {
            assert!(start.elapsed() < PATIENCE, "{command}: a worker outlives its supervisor");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        times.push((command, start.elapsed()));
        asked.abort();
    }
    eprintln!("workers gone after the daemon's SIGKILL: {times:?}");
}

#[tokio::test]
async fn what_was_acknowledged_survives_the_daemons_death() {
    let home = Home::new(&items::config(&binary("cynic-worker")));
    let acknowledged = acknowledged_over_crashes(&home).await;
    assert_is_stored(&acknowledged, &stored(&home.path("data")).await);
}

#[tokio::test]
async fn what_was_acknowledged_survives_in_postgresql_too() {
    let server = Server::start(false);
    let database = format!("database = {:?}\n", server.url());
    let home = Home::new(&(database + &items::config(&binary("cynic-worker"))));
    let acknowledged = acknowledged_over_crashes(&home).await;
    assert_is_stored(&acknowledged, &stored_in_postgres(&server.url()).await);
}

fn assert_is_stored(acknowledged: &BTreeSet<TaskId>, stored: &BTreeSet<TaskId>) {
    let lost: Vec<_> = acknowledged.difference(stored).collect();
    assert!(lost.is_empty(), "acknowledged as stored but not there: {lost:?}");
    let invented: Vec<_> = stored.difference(acknowledged).collect();
    assert!(invented.is_empty(), "stored but never answered: {invented:?}");
}

/// Kills the daemon under load, again and again. The clients insist: they ask again, under the same id, until they
/// have an answer. Returns what was acknowledged as stored.
async fn acknowledged_over_crashes(home: &Home) -> BTreeSet<TaskId> {
    const CLIENTS: usize = 4;
    let mut random = random::seeded("the daemon's death");
    let mut daemon = home.start().await;
    let (over, is_over) = watch::channel(false);
    let (answered, mut answers) = watch::channel(0_u64);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            tokio::spawn(insist(daemon.socket().to_owned(), is_over.clone(), answered.clone()))
        })
        .collect();
    let crashes = crashes();
    for _ in 0..crashes {
        // Under load: somebody has got an answer from this daemon, then at any moment.
        let before = *answers.borrow_and_update();
        // Looked at and let go: the value is locked for as long as it is held.
        let answer = tokio::time::timeout(PATIENCE, answers.wait_for(|now| *now > before)).await;
        let stored = answer.is_ok_and(|answer| answer.is_ok());
        assert!(stored, "nothing is stored:\n{}", daemon.log());
        tokio::time::sleep(Duration::from_micros(random.u64(..300_000))).await;
        daemon.crash();
        daemon = home.start().await;
    }
    over.send_replace(true);
    let mut acknowledged = BTreeSet::new();
    let mut asked_again = 0;
    for client in clients {
        let (tasks, again) = client.await.expect("every task is answered");
        asked_again += again;
        acknowledged.extend(tasks);
    }
    assert_eq!(daemon.stop().await, Some(0));
    eprintln!(
        "{crashes} deaths of the daemon, {} tasks acknowledged and stored, {asked_again} asked for again",
        acknowledged.len()
    );
    acknowledged
}

/// How often the daemon is killed.
fn crashes() -> u32 {
    const FEW: u32 = 15;
    std::env::var("CHAOS_CRASHES").ok().and_then(|times| times.parse().ok()).unwrap_or(FEW)
}

/// Has item after item judged and stored; returns the tasks and how often one had to be asked for again.
async fn insist(
    socket: std::path::PathBuf,
    is_over: watch::Receiver<bool>,
    answered: watch::Sender<u64>,
) -> (Vec<TaskId>, u64) {
    let (mut tasks, mut again) = (Vec::new(), 0);
    let mut client = connect(&socket).await;
    while !*is_over.borrow() {
        let task = TaskId::new();
        let mut request = raw::judge(task, Lane::Interactive, Ack::Stored);
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "task {task} is never answered");
            let item = items::ordinary(tasks.len() as u64);
            match client.judge(request.clone(), item.into()).await {
                Ok(Outcome::Judged(answer)) => {
                    assert_eq!((answer.judged.task, answer.judged.reached), (task, Ack::Stored));
                    break;
                }
                Ok(Outcome::Failed { error, .. }) if not_now(error.kind) => {}
                Ok(other) => panic!("{other:?}"),
                Err(_) => client = connect(&socket).await,
            }
            request.retry = true;
            again += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tasks.push(task);
        answered.send_modify(|answers| *answers += 1);
    }
    (tasks, again)
}

/// What a daemon says that starts or ends.
const fn not_now(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Busy
            | ErrorKind::Unavailable
            | ErrorKind::QueueTimeout
            | ErrorKind::ShuttingDown
            | ErrorKind::StorageUnavailable
    )
}

async fn connect(socket: &std::path::Path) -> Client {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let options = Options { reconnect_for: Duration::ZERO, ..Options::new(socket) };
        match Client::connect(options).await {
            Ok(client) => return client,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
