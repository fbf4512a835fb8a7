//! Who may do what at the daemon's sockets: a test for each refusal.
//!
//! Another user can only be had by root; elsewhere those tests say so and end.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cynic_proto::access::{Role, Takes};
use cynic_proto::calibration::CalibrationRequest;
use cynic_proto::client::{Client, ClientError, Options, Outcome};
use cynic_proto::dead_letters::DeadLettersRequest;
use cynic_proto::error::ErrorKind;
use cynic_proto::event::{EventsQuery, Happening, Kind};
use cynic_proto::ids::{LetterId, TaskId};
use cynic_proto::message::{Ack, Judge, Lane, RefusalKind, Reply, Request};
use cynic_proto::quarantine::QuarantineRequest;
use cynic_proto::socket::admin_of;
use cynic_tests::cli::Ended;
use cynic_tests::daemon::{Daemon, Home, PATIENCE, binary};

use crate::{plain_request, text};

/// A user that no host has given to anybody.
const STRANGER: u32 = 54_321;
const GROUP: u32 = 54_322;

/// A directory that other users may look into, with a daemon whose socket is open to all.
pub(crate) fn open_home(access: &str) -> Home {
    let home = Home::new(&format!("socket_mode = \"0666\"\n[access]\n{access}"));
    let directory = home.path(".");
    fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("own directory");
    home
}

/// `cynicctl` as another user, who is in that group besides its own.
fn as_stranger(daemon: &Daemon, group: u32, args: &[&str]) -> Ended {
    as_member(daemon, &[group], args)
}

/// The same in several groups.
pub(crate) fn as_member<S: AsRef<OsStr>>(daemon: &Daemon, groups: &[u32], args: &[S]) -> Ended {
    let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
    let mut command = Command::new("setpriv");
    command
        .env_clear()
        .arg(format!("--reuid={STRANGER}"))
        .arg(format!("--regid={STRANGER}"))
        .arg(format!("--groups={}", groups.join(",")))
        .arg(binary("cynicctl"))
        .arg("--socket")
        .arg(daemon.socket())
        .args(args);
    Ended::of(&mut command)
}

pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can be somebody else");
    }
    root
}

async fn refusal(client: &Client, request: Request) -> String {
    let (reply, _) = client.request(request, Bytes::new()).await.expect("an answer");
    let Reply::Refused { kind: RefusalKind::NotPermitted, message } = reply else {
        panic!("{reply:?}")
    };
    message
}

/// The log without its colours.
fn log(daemon: &Daemon) -> String {
    let log = daemon.log();
    let mut pieces = log.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |log, piece| log + piece.split_once('m').map_or("", |(_, rest)| rest))
}

/// Waits until the log has that, which is written on a thread of its own.
fn is_logged(daemon: &Daemon, text: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !log(daemon).contains(text) {
        assert!(Instant::now() < deadline, "{text} is not in\n{}", log(daemon));
        std::thread::yield_now();
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a socket").mode() & 0o777
}

#[tokio::test]
async fn nobody_is_admin_at_the_judge_socket() {
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.client().await;
    let task = TaskId::new();
    let requests = [
        Request::Drain,
        Request::Resume,
        Request::Reload,
        Request::Scale(Some(1)),
        Request::RestartWorkers,
        Request::KillWorker(0),
        Request::LogLevel("trace".to_owned()),
        Request::Doctor,
        Request::Backup("/nowhere/copy".to_owned()),
        Request::Quarantine(QuarantineRequest::Drop(task)),
        Request::Quarantine(QuarantineRequest::Clear),
        Request::Quarantine(QuarantineRequest::Retry(task)),
        Request::Quarantine(QuarantineRequest::Replay(task)),
        Request::DeadLetters(DeadLettersRequest::Retry(LetterId(task.0))),
        Request::DeadLetters(DeadLettersRequest::RetryAll(None)),
        Request::DeadLetters(DeadLettersRequest::Drop(LetterId(task.0))),
        Request::DeadLetters(DeadLettersRequest::DropAll),
        Request::Calibrate(CalibrationRequest::Fit),
        Request::Calibrate(CalibrationRequest::Use(0)),
    ];
    let refused = requests.len() as u64;
    let before = daemon.workers();
    for request in requests {
        assert_eq!(request.takes(), Takes::Role(Role::Admin), "{request:?}");
        let message = refusal(&client, request).await;
        let admin_socket = admin_of(daemon.socket());
        assert!(message.contains("role `admin`"), "{message}");
        assert!(message.contains(&*admin_socket.to_string_lossy()), "{message}");
    }
    for request in [
        Request::Events(Box::default()),
        Request::Quarantine(QuarantineRequest::List),
        Request::Quarantine(QuarantineRequest::Show(task)),
        Request::DeadLetters(DeadLettersRequest::List(None)),
        Request::DeadLetters(DeadLettersRequest::Show(LetterId(task.0))),
        Request::Calibrate(CalibrationRequest::Show),
        Request::Calibrate(CalibrationRequest::DryRun),
    ] {
        assert_eq!(request.takes(), Takes::Role(Role::Read), "{request:?}");
    }
    let stats = daemon.stats().await;
    assert!(stats.ready && !stats.draining);
    assert_eq!(stats.clients.refused, refused);
    assert_eq!(daemon.workers(), before, "nothing was done");
    let uid = rustix::process::geteuid().as_raw();
    let pid = std::process::id();
    is_logged(&daemon, &format!("uid={uid} pid={pid} request=\"drain\""));
    let query = EventsQuery { kinds: vec![Kind::AccessRefused], ..EventsQuery::default() };
    let asked = client.request(Request::Events(Box::new(query)), Bytes::new()).await;
    let (Reply::Events(batch), _) = asked.expect("an answer") else { panic!("no events") };
    let told = Happening::AccessRefused { uid, pid, request: "resume".to_owned() };
    assert!(batch.events.iter().any(|event| event.what == told), "{:?}", batch.events);
}

#[tokio::test]
async fn operators_commands_find_the_admin_socket() {
    let home = Home::new("");
    let daemon = home.start().await;
    assert_eq!(daemon.cynicctl(["drain"]).code, Some(0));
    daemon.until("it drains", |stats| stats.draining).await;
    assert_eq!(daemon.cynicctl(["resume"]).code, Some(0));
    daemon.until("it takes work", |stats| stats.ready).await;
}

#[tokio::test]
async fn sockets_have_their_modes_and_groups() {
    let home = Home::new("");
    let daemon = home.start().await;
    assert_eq!(mode(daemon.socket()), 0o660);
    assert_eq!(mode(&admin_of(daemon.socket())), 0o600);
    let (socket, admin_socket) = (daemon.socket().to_owned(), admin_of(daemon.socket()));
    assert_eq!(daemon.stop().await, Some(0));
    assert!(!socket.exists() && !admin_socket.exists(), "both are removed");

    // A group that this user is in can be given to by anybody.
    let group = rustix::process::getegid().as_raw();
    home.configure(&format!(
        "socket_mode = \"0600\"\nsocket_group = {group}\nadmin_socket = \"{}\"\nadmin_socket_group = {group}",
        home.path("ops").display()
    ));
    let daemon = home.start().await;
    assert_eq!(mode(daemon.socket()), 0o600);
    assert_eq!(mode(&home.path("ops")), 0o660);
    for path in [daemon.socket(), &home.path("ops")] {
        assert_eq!(fs::metadata(path).expect("a socket").gid(), group);
    }
}

#[tokio::test]
async fn a_stranger_judges_and_sees_its_own_alone() {
    if !is_root() {
        return;
    }
    let home = open_home("");
    let daemon = home.start().await;
    let item = home.path("mail.txt");
    fs::write(&item, text()).expect("written");
    let item = item.to_string_lossy();
    let other = Judge { ack: Ack::Stored, ..plain_request() };
    let judged = daemon.client().await.judge(other.clone(), text()).await.expect("an answer");
    assert!(matches!(judged, Outcome::Judged(_)), "{judged:?}");

    let stranger = |args: &[&str]| as_stranger(&daemon, GROUP, args);
    for args in [&["ping"][..], &["ping", "--deep"], &["stats"]] {
        assert_eq!(stranger(args).code, Some(0), "{args:?}");
    }
    let own = stranger(&["judge", "--json", "--ack", "stored", &item]);
    assert_eq!(own.code, Some(0), "{}", own.err);
    let own = own.json()[0]["task_id"].as_str().expect("an id").to_owned();
    let listed = stranger(&["history", "--json"]).json();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(
        (listed[0]["task_id"].as_str(), listed[0]["uid"].as_u64()),
        (Some(&*own), Some(STRANGER.into()))
    );
    assert_eq!(stranger(&["show", &own]).code, Some(0));

    // Another's task looks as if it were not there.
    let theirs = stranger(&["show", &other.task.to_string()]);
    let nothing = stranger(&["show", "019123ab-4567-7abc-8def-0123456789ab"]);
    assert_eq!((theirs.code, nothing.code), (Some(6), Some(6)));
    assert_eq!(
        theirs.err.replace(&other.task.to_string(), "ID"),
        nothing.err.replace("019123ab-4567-7abc-8def-0123456789ab", "ID")
    );
    for (args, role) in [
        (&["history", "--uid", "0"][..], "`read`"),
        (&["events"], "`read`"),
        (&["drain"], "`admin`"),
        (&["resume"], "`admin`"),
    ] {
        let refused = stranger(args);
        assert_eq!(refused.code, Some(5), "{args:?}: {}", refused.err);
        assert!(refused.err.contains(role), "{args:?}: {}", refused.err);
    }
    is_logged(&daemon, &format!("uid={STRANGER}"));
    assert!(daemon.stats().await.ready);
}

/// Ids of resumable runs are made of the items, so that anybody can make them.
#[tokio::test]
async fn a_task_id_is_its_users_own() {
    if !is_root() {
        return;
    }
    let home = open_home("");
    let mut daemon = home.start().await;
    let item = home.path("mail.txt");
    fs::write(&item, text()).expect("written");
    let item = item.to_string_lossy();
    let args = ["judge", "--resume", "--json", "--ack", "stored", &item];
    let theirs = as_stranger(&daemon, GROUP, &args);
    assert_eq!(theirs.code, Some(0), "{}", theirs.err);
    let id = theirs.json()[0]["task_id"].clone();
    let task: TaskId = id.as_str().expect("an id").parse().expect("an id");
    // Once from what was answered lately, once from the store.
    for _ in 0..2 {
        let again = Judge { task, retry: true, ..plain_request() };
        let outcome = daemon.client().await.judge(again, text()).await.expect("an answer");
        let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.kind, ErrorKind::Conflict, "{error:?}");
        assert_eq!(as_stranger(&daemon, GROUP, &args).json()[0]["task_id"], id);
        // The same file is another task of another user's.
        let own = daemon.cynicctl(args);
        assert!(own.code == Some(0) && own.json()[0]["task_id"] != id, "{own:?}");
        assert_eq!(daemon.stop().await, Some(0));
        daemon = home.start().await;
    }
}

/// A container has processes of its own: the kernel has no number there for those outside.
#[tokio::test]
async fn clients_of_another_pid_namespace_are_who_they_are() {
    if !is_root() {
        return;
    }
    let home = open_home("");
    let socket = home.path("cynicd.sock");
    let mut daemon = Command::new("unshare")
        .env_clear()
        .args(["--pid", "--fork", "--kill-child"])
        .arg(binary("cynicd"))
        .arg("--config")
        .arg(home.path("cynic.toml"))
        .arg("--socket")
        .arg(&socket)
        .arg("--data-dir")
        .arg(home.path("data"))
        .stderr(Stdio::null())
        .spawn()
        .expect("util-linux");
    let ping = |deep: &[&str]| {
        let mut command = Command::new(binary("cynicctl"));
        Ended::of(command.env_clear().arg("--socket").arg(&socket).arg("ping").args(deep))
    };
    let until = Instant::now() + PATIENCE;
    while !socket.exists() || ping(&[]).code == Some(4) {
        assert!(Instant::now() < until, "it does not get ready");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let deep = ping(&["--deep"]);
    daemon.kill().expect("killed");
    daemon.wait().expect("reaped");
    assert_eq!(deep.code, Some(0), "{deep:?}");
}

#[tokio::test]
async fn a_group_gives_a_role_and_no_other() {
    if !is_root() {
        return;
    }
    let home = open_home(&format!("judge = []\nread = [\"@{GROUP}\"]"));
    let daemon = home.start().await;
    let reader = |args: &[&str]| as_stranger(&daemon, GROUP, args);
    for args in [&["history"][..], &["events"], &["stats"]] {
        assert_eq!(reader(args).code, Some(0), "{args:?}");
    }
    let item = home.path("mail.txt");
    fs::write(&item, text()).expect("written");
    let refused = reader(&["judge", &item.to_string_lossy()]);
    assert_eq!(refused.code, Some(5), "{}", refused.err);
    assert!(refused.err.contains("role `judge`"), "{}", refused.err);
    assert_eq!(reader(&["drain"]).code, Some(5));

    let nobody = as_stranger(&daemon, STRANGER, &["ping"]);
    assert_eq!(nobody.code, Some(5), "{}", nobody.err);
    assert!(nobody.err.contains("no role here"), "{}", nobody.err);
    is_logged(&daemon, &format!("connection refused uid={STRANGER} pid="));
}

#[tokio::test]
async fn an_admin_needs_no_root() {
    if !is_root() {
        return;
    }
    let home = open_home(&format!("admin = [{STRANGER}]"));
    let config = fs::read_to_string(home.path("cynic.toml")).expect("written");
    home.configure(&format!("admin_socket_group = {GROUP}\n{config}"));
    let daemon = home.start().await;
    // In the socket's group, but not admin; admin, but not let in by the file's mode; both.
    let drain = |group| as_stranger(&daemon, group, &["drain"]);
    assert_eq!(drain(STRANGER).code, Some(5));
    let drained = drain(GROUP);
    assert_eq!(drained.code, Some(0), "{}", drained.err);
    daemon.until("it drains", |stats| stats.draining).await;
}

#[tokio::test]
async fn one_user_cannot_take_all_connections() {
    let home = Home::new("[clients]\nmax = 4\n[access]\nshare_per_user = 0.5");
    let daemon = home.start().await;
    let admin = daemon.admin().await;
    // Whoever looked whether it is ready has a seat until its leaving is noticed.
    while admin.stats().await.expect("the figures").clients.connected > 0 {
        tokio::task::yield_now().await;
    }
    let seats = async || {
        let (one, two) = (daemon.client().await, daemon.client().await);
        one.ping().await.expect("alive");
        two.ping().await.expect("alive");
        (one, two)
    };
    let held = seats().await;
    let third = Client::connect(Options::new(daemon.socket())).await;
    let Err(ClientError::Refused { kind: RefusalKind::Unavailable, message }) = third else {
        panic!("{third:?}")
    };
    assert!(message.contains("share_per_user"), "{message}");
    // An operator gets in all the same, and can see who did not.
    let clients = admin.stats().await.expect("the figures").clients;
    assert_eq!((clients.max, clients.connected), (4, 2));
    assert_eq!(clients.turned_away, BTreeMap::from([("user_share".to_owned(), 1)]));
    let doctor = daemon.cynicctl(["doctor"]);
    assert!(doctor.out.contains("sent away: user_share 1, the last"), "{doctor:?}");
    drop(held);
    daemon.admin().await.ping().await.expect("alive");
}

#[tokio::test]
async fn one_user_cannot_take_the_whole_queue() {
    const TASKS: usize = 400;
    let home =
        Home::new("[pool]\nsize = 1\n[queue]\ntasks_max = 40\n[access]\nshare_per_user = 0.1");
    let daemon = home.start().await;
    let client = daemon.client().await;
    let mut answers = Vec::new();
    for _ in 0..TASKS {
        let client = client.clone();
        let request = Judge { lane: Lane::Bulk, ..plain_request() };
        answers.push(tokio::spawn(async move { client.judge(request, text()).await }));
    }
    let mut refused = 0;
    for answer in answers {
        match answer.await.expect("no panic").expect("an answer") {
            Outcome::Judged(_) => {}
            Outcome::Failed { error, .. } if error.kind == ErrorKind::Busy => {
                assert!(error.retry_after_ms.is_some_and(|ms| ms > 0), "{error:?}");
                assert!(error.message.contains("share_per_user"), "{error}");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let stats = daemon.settled().await;
    assert!(refused > 0);
    assert_eq!(stats.pool.rejects.get("user_share"), Some(&refused));
    assert!(stats.pool.queue_length_max <= 4, "{:?}", stats.pool);
}
