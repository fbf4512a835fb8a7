//! What is stored, by the command line: listed, shown, exported, commented on, learnt from, copied.

use std::fs;

use bytes::Bytes;
use cynic_proto::client::{Client, Outcome};
use cynic_proto::codec;
use cynic_proto::history::{HistoryQuery, Truth};
use cynic_proto::ids::TaskId;
use cynic_proto::limits::FRAME_BYTES_MAX;
use cynic_proto::message::{Ack, Judge, RefusalKind, Reply, Request, ToDaemon};
use cynic_proto::model::Verdict;
use cynic_tests::daemon::{Daemon, Home};
use cynic_tests::raw::RawClient;

use crate::{is_unharmed, plain_request, request, text};

const NOWHERE: &str = "019123ab-4567-7abc-8def-0123456789ab";

/// Judges and stores a text.
async fn stored(client: &Client, item: Bytes) -> TaskId {
    let request = Judge { ack: Ack::Stored, ..plain_request() };
    let outcome = client.judge(request.clone(), item).await.expect("an answer");
    assert!(matches!(outcome, Outcome::Judged(_)), "{outcome:?}");
    request.task
}

/// Stores that many texts, and one item that cannot be judged.
async fn fill(daemon: &Daemon, judgments: usize) -> Vec<TaskId> {
    let client = daemon.client().await;
    let mut tasks = Vec::new();
    for n in 0..judgments {
        tasks.push(stored(&client, Bytes::from(format!("Minutes of meeting number {n}."))).await);
    }
    let broken = Bytes::from_static(b"{\"id\": \"broken one\", \"content\": ");
    client.judge(request(), broken).await.expect("an answer");
    daemon.until("all is stored", |stats| stats.recorder.flushed > judgments as u64).await;
    tasks
}

#[tokio::test]
async fn history_is_found_by_what_it_says() {
    let home = Home::new("");
    let daemon = home.start().await;
    let tasks = fill(&daemon, 5).await;
    let listed = |args: &[&str]| {
        let ended = daemon.cynicctl([&["history", "--json"], args].concat());
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.err);
        ended.json()
    };
    assert_eq!(listed(&[]).len(), 6);
    assert_eq!(listed(&["--failures"]).len(), 1);
    assert_eq!(listed(&["--error", "json"]).len(), 1);
    let [broken] = &listed(&["--item", "broken one"])[..] else { panic!("one of that name") };
    assert_eq!(
        (&broken["id"], &broken["error"]["kind"]),
        (&"broken one".into(), &"invalid_item".into())
    );
    assert_eq!(listed(&["--error", "no such words"]).len(), 0);
    assert_eq!(listed(&["--verdict", "howl,wag,growl,bark"]).len(), 5);
    assert_eq!(listed(&["--q-min", "0", "--q-max", "100"]).len(), 5);
    assert_eq!(listed(&["--above", "INTEGRITY=0"]).len(), 5);
    assert_eq!(listed(&["--below", "INTEGRITY=0"]).len(), 0);
    assert_eq!(listed(&["--since", "1h"]).len(), 6);
    assert_eq!(listed(&["--until", "1h"]).len(), 0);
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(listed(&["--uid", &uid.to_string()]).len(), 6);
    assert_eq!(listed(&["--uid", "4294967294"]).len(), 0);
    let newest = listed(&["--limit", "1", "--verdict", "howl,wag,growl,bark"]);
    assert_eq!(newest[0]["task_id"], tasks[4].to_string());
}

/// A client that asks without waiting costs the daemon neither memory nor others their turn.
#[tokio::test]
async fn questions_without_end_are_refused() {
    const QUESTIONS: u64 = 400;
    let home = Home::new("");
    let daemon = home.start().await;
    let mut client = RawClient::connect(daemon.socket()).await.expect("a daemon");
    let mut bytes = Vec::new();
    for seq in 0..QUESTIONS {
        let message = ToDaemon { seq, request: Request::Show(TaskId::new()) };
        codec::put(&message, &[], FRAME_BYTES_MAX, &mut bytes).expect("small");
    }
    client.say(&bytes).await.expect("a connection");
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..QUESTIONS {
        match client.reply().await.expect("a reply").1 {
            Reply::Refused { kind: RefusalKind::NotFound, .. } => answered += 1,
            Reply::Refused { kind: RefusalKind::Unavailable, message } => {
                assert!(message.contains("wait for answers"), "{message}");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(answered >= 16 && refused > 0, "{answered} answered, {refused} refused");
    let reply = client.send(QUESTIONS, Request::Show(TaskId::new()), &[]).await;
    reply.expect("a connection");
    let (_, reply) = client.reply().await.expect("a reply");
    assert!(matches!(reply, Reply::Refused { kind: RefusalKind::NotFound, .. }), "{reply:?}");
}

/// Each record would be held against each condition, and all of them kept while the question waits for its turn.
#[tokio::test]
async fn questions_with_conditions_without_end_are_refused_at_once() {
    let home = Home::new("");
    let daemon = home.start().await;
    let verdicts = vec![Verdict::Howl; FRAME_BYTES_MAX / 8];
    let many = HistoryQuery { verdicts, oldest_first: true, ..HistoryQuery::default() };
    let note = Some("x".repeat(FRAME_BYTES_MAX / 2));
    let said = Request::Feedback { task: TaskId::new(), truth: Truth::Good, note };
    let client = daemon.client().await;
    for (request, words) in
        [(Request::History(Box::new(many)), "name each once"), (said, "at most 2000 are kept")]
    {
        let (reply, _) = client.request(request, Bytes::new()).await.expect("a reply");
        let Reply::Refused { kind: RefusalKind::Malformed, message } = reply else {
            panic!("{reply:?}")
        };
        assert!(message.contains(words), "{message}");
    }
    is_unharmed(&daemon).await;
}

#[tokio::test]
async fn pages_follow_each_other_by_their_cursor() {
    let home = Home::new("");
    let daemon = home.start().await;
    fill(&daemon, 5).await;
    let whole = daemon.cynicctl(["history", "--csv"]).out;
    let cursors = [&[][..], &["--json"], &["--csv"]].map(|form| {
        let first = daemon.cynicctl([&["history", "--limit", "4"], form].concat());
        let told =
            first.err.split("--cursor ").nth(1).and_then(|rest| rest.split_whitespace().next());
        told.unwrap_or_else(|| panic!("no cursor: {first:?}")).replace("\u{1b}[0m", "")
    });
    let [cursor, ..] = &cursors;
    assert!(cursors.iter().all(|other| other == cursor), "the same in each form: {cursors:?}");
    let second = daemon.cynicctl(["history", "--csv", "--cursor", cursor]).out;
    let rows: Vec<&str> = whole.lines().collect();
    let rest: Vec<&str> = second.lines().collect();
    assert_eq!(rest[0], rows[0], "the same names");
    assert_eq!(rest[1..], rows[5..], "what the first page had not");
}

/// What else was asked on the connection is answered all the same.
#[tokio::test]
async fn an_answer_that_fits_no_frame_is_refused_under_its_request() {
    const FRAME_BYTES: usize = 65_536;
    let config = "[clients]\nframe_bytes_max = 65536\n[recorder]\nstore_content = true\n";
    let home = Home::new(config);
    let daemon = home.start().await;
    let client = daemon.client().await;
    let sentence = "Please send the minutes of the meeting to everybody who was there. ";
    let mut item = sentence.repeat(FRAME_BYTES / sentence.len());
    item.truncate(FRAME_BYTES - 100);
    let task = stored(&client, Bytes::from(item)).await;
    let mut asker = RawClient::connect(daemon.socket()).await.expect("greeted");
    asker.send(1, Request::Show(task), &[]).await.expect("taken");
    let (seq, reply) = asker.reply().await.expect("a reply");
    let Reply::Refused { kind: RefusalKind::TooLarge, message } = reply else {
        panic!("{reply:?}")
    };
    assert_eq!(seq, 1);
    assert!(message.contains("clients.frame_bytes_max"), "{message}");
    asker.send(2, Request::Ping, &[]).await.expect("taken");
    let (seq, reply) = asker.reply().await.expect("a reply");
    assert!(matches!(reply, Reply::Pong(_)), "{reply:?}");
    assert_eq!(seq, 2);
}

#[tokio::test]
async fn an_export_has_every_record_once_and_oldest_first() {
    const JUDGMENTS: usize = 1500;
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.client().await;
    let mut answers = Vec::new();
    for _ in 0..JUDGMENTS {
        let client = client.clone();
        answers.push(tokio::spawn(async move { client.judge(plain_request(), text()).await }));
    }
    for answer in answers {
        answer.await.expect("no panic").expect("an answer");
    }
    daemon.until("all is stored", |stats| stats.recorder.flushed >= JUDGMENTS as u64).await;
    let ended = daemon.cynicctl(["export", "--since", "1h"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let exported = ended.json();
    assert_eq!(exported.len(), JUDGMENTS);
    let mut ids: Vec<&str> = exported.iter().filter_map(|row| row["task_id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), JUDGMENTS, "none twice");
    let times: Vec<&str> = exported.iter().filter_map(|row| row["time"].as_str()).collect();
    assert!(times[0] <= times[JUDGMENTS - 1]);

    let file = home.path("export.csv");
    let path = file.to_string_lossy();
    let args = ["export", "--format", "csv", "--output", &path];
    assert_eq!(daemon.cynicctl(args).code, Some(0));
    assert_eq!(fs::read_to_string(&file).expect("written").lines().count(), JUDGMENTS + 1);
    let again = daemon.cynicctl(args);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("replaces no file"), "{}", again.err);
}

#[tokio::test]
async fn what_nobody_knows_is_not_found() {
    let home = Home::new("");
    let daemon = home.start().await;
    for args in [&["show", NOWHERE][..], &["feedback", NOWHERE, "good"]] {
        let ended = daemon.cynicctl(args);
        assert_eq!(ended.code, Some(6), "{args:?}: {}", ended.err);
        assert!(ended.err.contains(NOWHERE), "{}", ended.err);
    }
}

#[tokio::test]
async fn feedback_is_shown_and_moves_the_thresholds_and_back() {
    let home = Home::new("");
    let daemon = home.start().await;
    let tasks = fill(&daemon, 40).await;
    for (n, task) in tasks.iter().enumerate() {
        let truth = if n % 2 == 0 { "good" } else { "bad" };
        let given = daemon.cynicctl(["feedback", &task.to_string(), truth, "--note", "by a test"]);
        assert_eq!(given.code, Some(0), "{}", given.err);
    }
    let shown = daemon.cynicctl(["show", "--json", &tasks[1].to_string()]).json();
    assert_eq!(shown[0]["feedback"]["truth"], "bad");
    assert_eq!(shown[0]["feedback"]["note"], "by a test");
    let version = |args: &[&str]| {
        let ended = daemon.cynicctl([&["calibrate", "--json"], args].concat());
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.err);
        let report = ended.json().remove(0);
        (report["before"]["version"].as_u64(), report["after"]["version"].as_u64())
    };
    assert_eq!(version(&[]), (Some(0), Some(0)));
    let (_, offered) = version(&["--dry-run"]);
    assert_eq!(version(&[]), (Some(0), Some(0)), "a dry run changes nothing");
    let (_, applied) = version(&["--apply"]);
    assert_eq!(applied, offered);
    assert_eq!(version(&[]).0, applied);
    if applied != Some(0) {
        assert_eq!(version(&["--revert"]), (applied, Some(0)));
    }
    let table = daemon.cynicctl(["calibrate"]);
    assert!(table.out.contains("FALSE ALARM"), "{}", table.out);
    let wrong = daemon.cynicctl(["calibrate", "--revert", "99"]);
    assert_eq!(wrong.code, Some(6), "{}", wrong.err);
}

#[tokio::test]
async fn a_backup_is_a_whole_store_for_another_daemon() {
    let home = Home::new("");
    let daemon = home.start().await;
    let tasks = fill(&daemon, 3).await;
    let file = home.path("copy.db");
    let path = file.to_string_lossy();
    let copied = daemon.cynicctl(["backup", &path]);
    assert_eq!(copied.code, Some(0), "{}", copied.err);
    assert!(copied.out.contains("3 judgments"), "{}", copied.out);
    let again = daemon.cynicctl(["backup", &path]);
    assert_ne!(again.code, Some(0), "it must not replace a file");

    let other = Home::new("");
    fs::create_dir_all(other.path("data")).expect("a directory");
    fs::copy(&file, other.path("data/cynic.db")).expect("copied");
    let restored = other.start().await;
    let listed = restored.cynicctl(["history", "--json"]).json();
    assert_eq!(listed.len(), 4);
    assert_eq!(restored.cynicctl(["show", &tasks[0].to_string()]).code, Some(0));
}

#[tokio::test]
async fn a_degraded_store_is_said_by_ping_and_stats() {
    // Nothing listens there: judgments wait in the spool.
    let home = Home::new("database = \"postgres://nobody@127.0.0.1:1/cynic\"");
    let daemon = home.start().await;
    let client = daemon.client().await;
    client.judge(plain_request(), text()).await.expect("an answer");
    daemon.until("it is degraded", |stats| !stats.degraded.is_empty()).await;
    let ping = daemon.cynicctl(["ping"]);
    assert_eq!(ping.code, Some(0), "{}", ping.err);
    assert!(ping.out.contains("degraded"), "{}", ping.out);
    let stats = daemon.cynicctl(["stats"]);
    assert!(stats.out.contains("degraded"), "{}", stats.out);
    let events = daemon.cynicctl(["events", "--kind", "store.degraded"]).json();
    assert!(events[0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{events:?}");
}
