//! Items that kill each worker that tries them: remembered, answered at once, shown, replayed, tried again.

use std::process::Stdio;

use bytes::Bytes;
use cynic_proto::client::{Client, Outcome};
use cynic_proto::error::{DeathCause, ErrorKind, TaskError};
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Lane, RefusalKind, Reply, Request};
use cynic_proto::model::{Dimension, Stage};
use cynic_proto::quarantine::{QuarantineRecord, QuarantineRequest, ReplayOutcome, Replayed};
use cynic_proto::socket::admin_of;
use cynic_proto::stats::Stats;
use cynic_tests::cli::program;
use cynic_tests::daemon::{Daemon, Home};
use cynic_tests::raw::RawClient;
use cynic_tests::{faults, procfs, raw};
use rustix::process::Signal;

use crate::items;

fn home(keep_content: bool) -> Home {
    let config = items::config(env!("CARGO_BIN_EXE_faulty_worker").as_ref());
    Home::new(&format!("{config}[quarantine]\nkeep_content = {keep_content}\n"))
}

async fn judge(client: &Client, task: TaskId, item: Vec<u8>) -> Outcome {
    let request = raw::judge(task, Lane::Interactive, Ack::Judged);
    client.judge(request, item.into()).await.expect("an answer")
}

/// Judges poison, which must be given up.
async fn poison(client: &Client, task: TaskId) -> Box<TaskError> {
    let outcome = judge(client, task, faults::item("segfault")).await;
    let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind, ErrorKind::Quarantined, "{error}");
    error
}

async fn ask(client: &Client, request: QuarantineRequest, item: Vec<u8>) -> Reply {
    client.request(Request::Quarantine(request), item.into()).await.expect("a reply").0
}

async fn records(client: &Client, request: QuarantineRequest) -> Vec<QuarantineRecord> {
    match client.request(Request::Quarantine(request), Bytes::new()).await {
        Ok((Reply::Quarantine(records), _)) => records,
        other => panic!("{other:?}"),
    }
}

fn replayed(reply: Reply) -> Replayed {
    let Reply::Replayed(replayed) = reply else { panic!("{reply:?}") };
    *replayed
}

fn assert_died_of_it(replayed: &Replayed) {
    let ReplayOutcome::Died(death) = &replayed.outcome else { panic!("{replayed:?}") };
    assert_eq!(death.cause, DeathCause::Signal(11));
    assert_eq!(death.stage, Some(Stage::Score));
    assert_eq!(death.dimension, Some(Dimension::Vigilance));
}

fn deaths(stats: &Stats) -> u64 {
    stats.pool.deaths.values().sum()
}

#[tokio::test]
async fn a_known_poison_item_is_answered_at_once_also_after_a_restart() {
    let home = home(true);
    let mut daemon = home.start().await;
    let task = TaskId::new();
    {
        let client = daemon.client().await;
        assert_eq!(poison(&client, task).await.deaths.len(), 3);
        let before = daemon.settled().await;
        let error = poison(&client, TaskId::new()).await;
        assert!(error.message.contains(&task.to_string()), "{error}");
        assert_eq!(error.deaths.len(), 3, "it tells of the deaths that are known");
        let after = daemon.stats().await;
        assert_eq!(deaths(&after), deaths(&before), "no worker died of it again");
        assert_eq!((after.quarantine.items, after.quarantine.hits), (1, 1));
        let other = judge(&client, TaskId::new(), items::ordinary(1)).await;
        assert!(matches!(other, Outcome::Judged(_)), "{other:?}");
    }
    assert_eq!(daemon.stop().await, Some(0));
    daemon = home.start().await;
    let client = daemon.client().await;
    poison(&client, TaskId::new()).await;
    assert_eq!(deaths(&daemon.stats().await), 0);
    let [record] = &records(&client, QuarantineRequest::Show(task)).await[..] else { panic!() };
    assert_eq!((record.task, record.kept, record.attempts), (task, true, 3));
    assert_eq!(record.deaths.len(), 3);
    assert_eq!(records(&client, QuarantineRequest::List).await.len(), 1);
}

#[tokio::test]
async fn a_record_can_be_replayed_tried_again_and_dropped() {
    let home = home(true);
    let daemon = home.start().await;
    let client = daemon.admin().await;
    let task = TaskId::new();
    poison(&client, task).await;
    let before = daemon.settled().await;
    assert_died_of_it(&replayed(ask(&client, QuarantineRequest::Replay(task), Vec::new()).await));
    let after = daemon.settled().await;
    assert_eq!(deaths(&after), deaths(&before), "a replay is no business of the pool's");

    let retried = ask(&client, QuarantineRequest::Retry(task), Vec::new()).await;
    let Reply::Failed { task: failed, error } = retried else { panic!("{retried:?}") };
    assert_eq!((failed, error.kind, error.deaths.len()), (task, ErrorKind::Quarantined, 3));
    assert_eq!(daemon.stats().await.quarantine.items, 1, "back in it");

    assert_eq!(ask(&client, QuarantineRequest::Drop(task), Vec::new()).await, Reply::Done);
    let again = ask(&client, QuarantineRequest::Drop(task), Vec::new()).await;
    assert!(matches!(again, Reply::Refused { kind: RefusalKind::NotFound, .. }), "{again:?}");
    let before = deaths(&daemon.stats().await);
    poison(&client, TaskId::new()).await;
    assert_eq!(deaths(&daemon.stats().await), before + 3, "it is tried again");
    assert_eq!(ask(&client, QuarantineRequest::Clear, Vec::new()).await, Reply::Done);
    assert_eq!(records(&client, QuarantineRequest::List).await, []);
    daemon.no_zombies().await;
}

async fn ask_for_replay(daemon: &Daemon, task: TaskId) -> RawClient {
    let mut client = RawClient::connect(&admin_of(daemon.socket())).await.expect("a connection");
    let request = Request::Quarantine(QuarantineRequest::Replay(task));
    client.send(1, request, &[]).await.expect("sent");
    client
}

/// A client whose replay has begun, once the one before is over.
async fn replaying(daemon: &Daemon, task: TaskId, pool: usize) -> RawClient {
    loop {
        let mut client = ask_for_replay(daemon, task).await;
        tokio::select! {
            reply = client.reply() => {
                let Some((1, Reply::Refused { kind: RefusalKind::Unavailable, .. })) = reply else {
                    panic!("{reply:?}")
                };
            }
            () = daemon.until_workers("it has its worker", |workers| workers > pool) => return client,
        }
    }
}

/// It would spin until its deadline, and nobody else could replay anything until then.
#[tokio::test]
async fn a_replay_ends_when_its_client_leaves() {
    let worker = env!("CARGO_BIN_EXE_faulty_worker").as_ref();
    let keep = "[quarantine]\nkeep_content = true\n";
    let home =
        Home::new(&(items::config_with(worker, 200, 300, "dimension_failures_max = 0") + keep));
    let daemon = home.start().await;
    let task = TaskId::new();
    let outcome = judge(&daemon.client().await, task, faults::item("busy_loop")).await;
    let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind, ErrorKind::Quarantined, "{error}");
    assert_eq!(daemon.stop().await, Some(0));

    // From now on it spins for longer than any test waits.
    home.configure(&(items::config_with(worker, 1000, 3_600_000, "") + keep));
    let daemon = home.start().await;
    let pool = daemon.settled().await.pool.pool_size as usize;
    let mut replay = program("cynicctl")
        .arg("--socket")
        .arg(daemon.socket())
        .args(["replay", &task.to_string()])
        .stdout(Stdio::null())
        .spawn()
        .expect("cynicctl");
    daemon.until_workers("the replay has its worker", |workers| workers == pool + 1).await;
    let other = ask(&daemon.admin().await, QuarantineRequest::Replay(task), Vec::new()).await;
    assert!(matches!(other, Reply::Refused { kind: RefusalKind::Unavailable, .. }), "{other:?}");
    assert_eq!(daemon.workers().len(), pool + 1, "who is refused ends nobody else's replay");
    procfs::signal(replay.id(), Signal::INT);
    replay.wait().expect("ended");
    daemon.until_workers("its worker is gone", |workers| workers == pool).await;
    daemon.no_zombies().await;

    // The next one can begin; so it can after others that left before their worker was there.
    drop(replaying(&daemon, task, pool).await);
    daemon.until_workers("no worker is left", |workers| workers == pool).await;
    for _ in 0..20 {
        ask_for_replay(&daemon, task).await;
    }
    drop(replaying(&daemon, task, pool).await);
    daemon.until_workers("no worker is left", |workers| workers == pool).await;
    let stats = daemon.settled().await;
    assert_eq!((deaths(&stats), stats.quarantine.items), (0, 1), "{stats:?}");
}

/// The others are judged, and whoever goes by the exit code alone is told all the same.
#[tokio::test]
async fn a_run_in_which_an_item_was_given_up_ends_with_its_exit_code() {
    let home = home(false);
    let daemon = home.start().await;
    let path = home.path("items.jsonl");
    let items = [items::ordinary(1), faults::item("segfault"), items::ordinary(2)];
    std::fs::write(&path, items.join(&b'\n')).expect("written");
    let path = path.display().to_string();
    for order in [None, Some("--unordered")] {
        let ended = daemon.cynicctl(["judge", "--jsonl", "--json", &path].into_iter().chain(order));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let rows = ended.json();
        let failed: Vec<_> = rows.iter().filter(|row| row.get("error").is_some()).collect();
        assert_eq!((rows.len(), failed.len()), (3, 1), "{ended:?}");
        assert_eq!(failed[0]["id"], format!("{path}:2"));
        assert_eq!(failed[0]["error"]["kind"], "quarantined");
        assert_eq!(failed[0]["error"]["deaths"].as_array().map(Vec::len), Some(3), "{ended:?}");
    }
}

/// Until something has come of it: the record is all that is left of the item.
#[tokio::test]
async fn a_record_stays_when_it_could_not_be_tried_again() {
    let home = home(true);
    let daemon = home.start().await;
    let client = daemon.admin().await;
    let task = TaskId::new();
    poison(&client, task).await;
    assert_eq!(client.request(Request::Drain, Bytes::new()).await.expect("a reply").0, Reply::Done);
    let refused = ask(&client, QuarantineRequest::Retry(task), Vec::new()).await;
    let Reply::Failed { error, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind, ErrorKind::ShuttingDown, "{error}");
    let [record] = &records(&client, QuarantineRequest::Show(task)).await[..] else { panic!() };
    assert!(record.kept);
    assert_eq!(
        client.request(Request::Resume, Bytes::new()).await.expect("a reply").0,
        Reply::Done
    );
    assert_died_of_it(&replayed(ask(&client, QuarantineRequest::Replay(task), Vec::new()).await));
}

/// Judged without the dimension that it kills workers in, it has proved nothing.
#[tokio::test]
async fn a_record_stays_when_what_it_died_of_was_left_out() {
    let worker = env!("CARGO_BIN_EXE_faulty_worker").as_ref();
    let breaker = "dimension_failures_max = 2\ndimension_pause_ms = 600000";
    let config = items::config_with(worker, 2000, 20_000, breaker);
    let home = Home::new(&format!("{config}[quarantine]\nkeep_content = true\n"));
    let daemon = home.start().await;
    let client = daemon.admin().await;
    let task = TaskId::new();
    poison(&client, task).await;
    // Another item of that kind, and the dimension is left out.
    let outcome = judge(&client, TaskId::new(), faults::item("abort")).await;
    assert!(matches!(outcome, Outcome::Judged(_)), "{outcome:?}");
    let retried = ask(&client, QuarantineRequest::Retry(task), Vec::new()).await;
    let Reply::Judged(judged) = retried else { panic!("{retried:?}") };
    assert_eq!(judged.judgment.covered(), 35);
    assert_eq!(records(&client, QuarantineRequest::Show(task)).await.len(), 1, "it stays");
}

/// It is its user's, whoever has it tried again.
#[tokio::test]
async fn a_task_that_an_operator_retries_stays_its_users() {
    const USER: u32 = 54_321;
    let home = home(true);
    let daemon = home.start().await;
    let task = TaskId::new();
    poison(&daemon.client().await, task).await;
    assert_eq!(daemon.stop().await, Some(0));
    // As if another user had sent it.
    let path = home.path(&format!("data/quarantine/{task}.json"));
    let record = std::fs::read_to_string(&path).expect("a record");
    let uid = rustix::process::geteuid().as_raw();
    let (ours, theirs) = (format!("\"client_uid\": {uid}"), format!("\"client_uid\": {USER}"));
    assert!(record.contains(&ours), "{record}");
    std::fs::write(&path, record.replace(&ours, &theirs)).expect("written");

    let daemon = home.start().await;
    let admin = daemon.admin().await;
    let retried = ask(&admin, QuarantineRequest::Retry(task), Vec::new()).await;
    assert!(matches!(retried, Reply::Failed { .. }), "{retried:?}");
    let [record] = &records(&admin, QuarantineRequest::Show(task)).await[..] else { panic!() };
    assert_eq!((record.client_uid, record.deaths.len()), (USER, 3));
    let user = USER.to_string();
    let stats = daemon.until("it is stored", |stats| stats.recorder.buffered == 0).await;
    assert_eq!(stats.quarantine.items, 1);
    let listed = daemon.cynicctl(["history", "--json", "--failures", "--uid", &user]).json();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["task_id"], task.to_string());
}

/// Its answer is about another item, and is not stored.
#[tokio::test]
async fn a_canary_is_no_answer_to_a_task_of_its_id() {
    let worker = env!("CARGO_BIN_EXE_faulty_worker").as_ref();
    let home =
        Home::new(&items::config_with(worker, 1000, 3_600_000, "dimension_failures_max = 0"));
    let daemon = home.start().await;
    let mut client = RawClient::connect(&admin_of(daemon.socket())).await.expect("a connection");
    let mut conflicts = async |seq, first: Request, second: Request, item: &[u8]| {
        client.send(seq, first, &faults::item("busy_loop")).await.expect("sent");
        client.send(seq + 1, second, item).await.expect("sent");
        let (answered, reply) = client.reply().await.expect("a reply");
        let Reply::Failed { error, .. } = reply else { panic!("{reply:?}") };
        assert_eq!((answered, error.kind), (seq + 1, ErrorKind::Conflict), "{error}");
    };
    let judge = || raw::judge(TaskId::new(), Lane::Interactive, Ack::Stored);
    let task = judge();
    let (first, second) = (Request::Canary(task.clone()), Request::Judge(task));
    conflicts(1, first, second, &items::ordinary(1)).await;
    let task = judge();
    let (first, second) = (Request::Judge(task.clone()), Request::Canary(task));
    conflicts(3, first, second, &items::ordinary(1)).await;
}

/// What one client sent may be quoted on the worker's standard error.
#[tokio::test]
async fn a_death_tells_nothing_of_the_items_before() {
    let home = home(false);
    let daemon = home.start().await;
    let client = daemon.client().await;
    for _ in 0..2 * daemon.workers().len() {
        let outcome = judge(&client, TaskId::new(), faults::item("scorer_panic")).await;
        assert!(matches!(outcome, Outcome::Judged(_)), "{outcome:?}");
    }
    let error = poison(&client, TaskId::new()).await;
    let said = error.deaths.iter().any(|death| death.stderr_tail.contains("told to panic"));
    assert!(!said, "{:?}", error.deaths);
}

#[tokio::test]
async fn where_only_the_hash_is_kept_the_item_must_be_given() {
    let home = home(false);
    let daemon = home.start().await;
    let client = daemon.admin().await;
    let task = TaskId::new();
    poison(&client, task).await;
    let bare = ask(&client, QuarantineRequest::Replay(task), Vec::new()).await;
    assert!(matches!(bare, Reply::Refused { kind: RefusalKind::Unavailable, .. }), "{bare:?}");
    let other = ask(&client, QuarantineRequest::Replay(task), items::ordinary(1)).await;
    assert!(matches!(other, Reply::Refused { kind: RefusalKind::Malformed, .. }), "{other:?}");
    let item = faults::item("segfault");
    assert_died_of_it(&replayed(ask(&client, QuarantineRequest::Replay(task), item).await));
    // What is being written has another name until it is.
    assert_eq!(daemon.stop().await, Some(0));
    let on_disk = std::fs::read_dir(home.path("data").join("quarantine")).expect("a directory");
    let names: Vec<_> = on_disk.map(|entry| entry.expect("readable").file_name()).collect();
    assert_eq!(names, [std::ffi::OsString::from(format!("{task}.json"))]);
}

/// The same poison many times at once: once it is known, what waits with the same item is answered too.
#[tokio::test]
async fn a_burst_of_one_poison_costs_a_few_workers_only() {
    const BURST: usize = 200;
    let home = home(false);
    let daemon = home.start().await;
    let mut answers = tokio::task::JoinSet::new();
    let client = daemon.client().await;
    for _ in 0..BURST {
        let client = client.clone();
        answers.spawn(async move { poison(&client, TaskId::new()).await });
    }
    while let Some(answer) = answers.join_next().await {
        answer.expect("answered");
    }
    let stats = daemon.settled().await;
    // Two workers hold one each at any time, and strikes go round among those that wait.
    assert!(deaths(&stats) < BURST as u64 / 2, "{:?}", stats.pool);
    assert_eq!(stats.quarantine.items, 1);
}

#[tokio::test]
async fn a_daemon_that_cannot_have_its_sandbox_refuses_to_start() {
    let home = Home::new("");
    let link = home.path("boot_unsandboxed");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_faulty_worker"), &link).expect("linked");
    home.configure(&items::config(&link));
    let daemon: Daemon = home.launch();
    assert_eq!(daemon.ended().await, Some(1));
    let log = std::fs::read_to_string(home.path("log")).expect("a log");
    assert!(log.contains("this kernel has no landlock") && log.contains("best-effort"), "{log}");
}
