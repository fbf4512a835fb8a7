//! Inputs that are no items: each gets a clear error, with the file or the place in it, and harms nothing.

use std::fs::{self, File};
use std::path::PathBuf;

use bytes::Bytes;
use cynic_proto::client::Outcome;
use cynic_proto::codec;
use cynic_proto::item::Hint;
use cynic_proto::limits::{FRAME_BYTES_MAX, HINT_TEXT_BYTES_MAX};
use cynic_proto::message::{Judge, Request, ToDaemon};
use cynic_proto::worker::PROFILE_NULL;
use cynic_tests::cli::Ended;
use cynic_tests::daemon::{Daemon, Home};

use crate::{is_unharmed, plain_request, text};

/// A file with this content, judged; the one row that comes of it.
struct Case<'a> {
    home: &'a Home,
    daemon: &'a Daemon,
}

impl Case<'_> {
    fn judge(&self, name: &str, content: &[u8]) -> Ended {
        let path = self.home.path(name);
        fs::write(&path, content).expect("written");
        self.judge_file(path)
    }

    fn judge_file(&self, path: PathBuf) -> Ended {
        self.daemon.cynicctl([PathBuf::from("judge"), "--json".into(), path])
    }
}

/// The item fails with this kind and cause, and the message has all of these words.
fn fails(ended: &Ended, kind: &str, cause: Option<&str>, words: &[&str]) {
    let rows = ended.json();
    assert_eq!((ended.code, rows.len()), (Some(1), 1), "{ended:?}");
    let error = &rows[0]["error"];
    assert_eq!(error["kind"], kind, "{ended:?}");
    assert_eq!(error["cause"].as_str(), cause, "{ended:?}");
    let message = error["message"].as_str().expect("a message");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

/// Not a success: a gate that saw nothing must not let it through.
#[tokio::test]
async fn an_input_without_items() {
    let home = Home::new("");
    let daemon = home.start().await;
    let directory = home.path("nothing");
    fs::create_dir(&directory).expect("a directory");
    let ended = daemon.cynicctl(["judge", "--fail-on", "bark", &directory.display().to_string()]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("no items in the input"), "{ended:?}");
}

#[tokio::test]
async fn files_that_are_no_text() {
    let home = Home::new("");
    let daemon = home.start().await;
    let case = Case { home: &home, daemon: &daemon };
    let ended = case.judge_file(home.path("missing.txt"));
    fails(&ended, "unreadable", None, &["no such file"]);
    let ended = case.judge("empty.txt", b"");
    fails(&ended, "invalid_item", Some("empty"), &["nothing in it"]);
    let ended = case.judge("blank.txt", b" \n\t\n");
    fails(&ended, "invalid_item", Some("empty"), &[]);
    let ended = case.judge("program.bin", b"\x7fELF\x02\x01\x01\0\0\0\0\0");
    fails(&ended, "invalid_item", Some("binary"), &["NUL byte at offset 7"]);
    let ended = case.judge("wide.txt", b"\xff\xfeh\0i\0");
    fails(&ended, "invalid_item", Some("binary"), &["UTF-16", "iconv"]);
    // Blank text reached a worker, which could not read it: that is a failure in the figures too.
    let stats = daemon.settled().await;
    assert_eq!(stats.pool.failures.get("invalid_item"), Some(&1), "{:?}", stats.pool.failures);
    assert_eq!(stats.stages[0].failed, 1);
    // Bytes that are not UTF-8 are judged all the same, and that is said.
    let ended = case.judge("latin1.txt", b"Caf\xe9 Central, open from nine to five on weekdays.");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("latin1.txt: not UTF-8 at byte 3"), "{ended:?}");
    assert!(ended.json()[0]["verdict"].is_string(), "{ended:?}");
    is_unharmed(&daemon).await;
}

#[tokio::test]
async fn a_line_that_is_larger_than_the_daemon_takes_fails_alone() {
    let home = Home::new("[clients]\nframe_bytes_max = 65536\n");
    let daemon = home.start().await;
    let path = home.path("lines.jsonl");
    let line = |content: &str| format!("{{\"content\":\"{content}\"}}\n");
    let large = line(&"a long letter ".repeat(10_000));
    fs::write(&path, line("Hello there.") + &large + &line("Good bye.")).expect("written");
    let ended = daemon.cynicctl(["judge", "--json", &path.display().to_string()]);
    let rows = ended.json();
    assert_eq!((ended.code, rows.len()), (Some(1), 3), "{ended:?}");
    assert!(rows[0]["verdict"].is_string() && rows[2]["verdict"].is_string(), "{ended:?}");
    assert_eq!(rows[1]["error"]["cause"], "too_large", "{ended:?}");
    let message = rows[1]["error"]["message"].as_str().expect("a message");
    assert!(message.contains("clients.frame_bytes_max"), "{message}");
    is_unharmed(&daemon).await;
}

#[tokio::test]
async fn json_that_is_no_item() {
    let home = Home::new("");
    let daemon = home.start().await;
    let case = Case { home: &home, daemon: &daemon };
    let invalid = Some("invalid_json");
    let ended = case.judge("broken.json", b"{\n  \"type\": \"text\",\n  \"content\" \"x\"\n}");
    fails(&ended, "invalid_item", invalid, &["line 3", "column"]);
    let ended = case.judge("cut.json", b"{\"type\": \"text\", \"content\": \"x");
    fails(&ended, "invalid_item", invalid, &["line 1", "column"]);
    let ended = case.judge("twice.json", b"{\"content\": \"x\"} trailing");
    fails(&ended, "invalid_item", invalid, &["line 1", "column"]);
    let ended = case.judge("list.json", b"[1, 2]");
    fails(&ended, "invalid_item", Some("wrong_type"), &["object"]);
    let ended = case.judge("number.json", b"{\"type\": \"text\", \"content\": 7}");
    fails(&ended, "invalid_item", Some("wrong_type"), &["content"]);
    let ended = case.judge("none.json", b"{\"type\": \"text\"}");
    fails(&ended, "invalid_item", Some("empty"), &["content"]);
    for depth in [100, 1_000_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let deep = format!(r#"{{"type": "event", "event": {open}{close}}}"#);
        let ended = case.judge("deep.json", deep.as_bytes());
        let words = ["nested deeper than 64 levels", "line 1 column"];
        fails(&ended, "invalid_item", Some("wrong_type"), &words);
        // In a field that nobody reads it does not matter.
        let deep = format!(r#"{{"content": "The bridge opens in May.", "x": {open}{close}}}"#);
        let ended = case.judge("deep.json", deep.as_bytes());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    }
    is_unharmed(&daemon).await;
}

#[tokio::test]
async fn what_is_odd_and_judged_all_the_same() {
    let home = Home::new("");
    let daemon = home.start().await;
    let case = Case { home: &home, daemon: &daemon };
    let odd: [(&str, &[u8]); 3] = [
        (
            "unknown.json",
            b"{\"type\": \"text\", \"content\": \"The bridge opens in May.\", \"x\": {\"y\": [1]}}",
        ),
        ("nul.json", b"{\"type\": \"text\", \"content\": \"The bridge \\u0000 opens in May.\"}"),
        (
            "bom.json",
            b"\xef\xbb\xbf{\"type\": \"text\", \"content\": \"The bridge opens in May.\"}",
        ),
    ];
    for (name, content) in odd {
        let ended = case.judge(name, content);
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
        assert!(ended.json()[0]["verdict"].is_string(), "{name}: {ended:?}");
    }
    is_unharmed(&daemon).await;
}

#[tokio::test]
async fn a_gigabyte_costs_nothing() {
    const GIBIBYTE: u64 = 1 << 30;
    let home = Home::new("");
    let daemon = home.start().await;
    let case = Case { home: &home, daemon: &daemon };
    for name in ["huge.txt", "huge.json", "huge.jsonl", "huge"] {
        let path = home.path(name);
        File::create(&path).and_then(|file| file.set_len(GIBIBYTE)).expect("a sparse file");
        let ended = case.judge_file(path);
        fails(&ended, "invalid_item", Some("too_large"), &["limit", "split"]);
    }
    is_unharmed(&daemon).await;
}

/// What comes with an item is kept and travels wherever the item does.
#[tokio::test]
async fn a_name_without_end_is_refused_and_a_long_one_is_not() {
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.client().await;
    let named = |bytes| {
        let hint = Hint { name: Some("x".repeat(bytes)), ..plain_request().hint };
        client.judge(Judge { hint, ..plain_request() }, text())
    };
    let outcome = named(HINT_TEXT_BYTES_MAX).await.expect("an answer");
    assert!(matches!(outcome, Outcome::Judged(_)), "{outcome:?}");
    let error = named(HINT_TEXT_BYTES_MAX + 1).await.expect_err("too long");
    assert!(error.to_string().contains("the item's name has 1025 bytes"), "{error}");
    is_unharmed(&daemon).await;
}

/// A lease says more of an item than the request did: the largest request makes a lease over a frame's limit.
#[tokio::test]
async fn an_item_that_fills_a_frame_is_no_workers_death() {
    let home = Home::new("");
    let daemon = home.start().await;
    let client = daemon.client().await;
    let mut request = plain_request();
    request.hint.profile = Some(PROFILE_NULL.to_owned());
    let message = ToDaemon { seq: 1, request: Request::Judge(request.clone()) };
    let head = codec::encode(&message).expect("a message").len();
    let item = Bytes::from(vec![b'x'; FRAME_BYTES_MAX - head]);
    let outcome = client.judge(request, item).await.expect("an answer");
    assert!(matches!(outcome, Outcome::Echoed(_)), "{outcome:?}");
    is_unharmed(&daemon).await;
}
