use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use tempfile::TempDir;

use super::*;

fn events(sources: &[Source], reading: Reading) -> Vec<Event> {
    let mut seen = Vec::new();
    let _ = read_all(sources, reading, &mut |event| {
        seen.push(event);
        ControlFlow::Continue(())
    });
    seen.retain(|event| !matches!(event, Event::Total(_)));
    seen
}

/// Each event in a few words, with the directory left out.
fn told(dir: &TempDir, events: &[Event]) -> Vec<String> {
    let prefix = format!("{}/", dir.path().display());
    let words = events.iter().map(|event| match event {
        Event::Item(item) => format!(
            "{} {:?} {}{}",
            item.label,
            item.form,
            String::from_utf8_lossy(&item.bytes).trim_end(),
            if item.bulk { " (bulk)" } else { "" }
        ),
        Event::Problem(problem) => format!("{} {:?}", problem.label, problem.kind),
        Event::Note(note) => format!("note {note}"),
        Event::Total(bytes) => format!("total {bytes}"),
    });
    words.map(|text| text.replace(&prefix, "")).collect()
}

fn read(name: &str, content: &[u8], reading: Reading) -> Vec<String> {
    let dir = TempDir::new().expect("a temporary directory");
    let path = dir.path().join(name);
    fs::write(&path, content).expect("written");
    told(&dir, &events(&[Source::Path(path)], reading))
}

#[test]
fn the_name_tells_what_a_file_is() {
    let item = br#"{"type":"text","content":"x"}"#;
    let text = std::str::from_utf8(item).expect("ASCII");
    assert_eq!(read("a.json", item, Reading::Detect), [format!("a.json Json {text}")]);
    assert_eq!(read("a.txt", item, Reading::Detect), [format!("a.txt Plain {text}")]);
    assert_eq!(read("a.jsonl", item, Reading::Detect), [format!("a.jsonl:1 Json {text} (bulk)")]);
    assert_eq!(read("a.json", item, Reading::Body), [format!("a.json Plain {text}")]);
    assert_eq!(read("a.txt", item, Reading::Lines), [format!("a.txt:1 Json {text} (bulk)")]);
}

#[test]
fn without_a_name_the_bytes_tell() {
    assert_eq!(read("item", b"{\"a\":1}", Reading::Detect), ["item Json {\"a\":1}"]);
    assert_eq!(read("item", b" \n{ \"a\"", Reading::Detect), ["item Json { \"a\""]);
    assert_eq!(read("script", b"{ echo hi; }", Reading::Detect), ["script Plain { echo hi; }"]);
    assert_eq!(
        read("two", b"{\"a\":1}\n{\"b\":2}\n", Reading::Detect),
        ["two:1 Json {\"a\":1} (bulk)", "two:2 Json {\"b\":2} (bulk)"]
    );
    assert_eq!(
        read("pretty.json", b"{\n\"a\":1\n}\n", Reading::Detect),
        ["pretty.json Json {\n\"a\":1\n}"]
    );
}

/// A pipe whose writer is slow: each read gets one byte.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.len().min(1);
        self.0.read(&mut buffer[..bytes])
    }
}

#[test]
fn what_an_input_is_does_not_depend_on_how_it_arrives() {
    let seen = |content: &[u8]| {
        let dir = TempDir::new().expect("a temporary directory");
        let mut events = Vec::new();
        let input = Input { label: "-", name: None, bulk: false };
        let _ = read_stream(&input, Drip(content), Reading::Detect, &mut |event| {
            events.push(event);
            ControlFlow::Continue(())
        });
        told(&dir, &events)
    };
    let lines = ["-:1 Json {\"a\":1} (bulk)", "-:2 Json {\"b\":2} (bulk)"];
    assert_eq!(seen(b"{\"a\":1}\n{\"b\":2}\n"), lines);
    assert_eq!(seen(b"\xef\xbb\xbf{\"a\":1}\n{\"b\":2}\n"), lines);
    assert_eq!(seen(b"{ }"), ["- Json { }"]);
    for body in ["{ echo hi; }", "{{ \"a\" }}", "\"{}\"", "{"] {
        assert_eq!(seen(body.as_bytes()), [format!("- Plain {body}")]);
    }
}

#[test]
fn blank_lines_before_json_are_skipped() {
    for name in ["two", "two.json"] {
        assert_eq!(
            read(name, b"\xef\xbb\xbf\n \r\n{\"a\":1}\n{\"b\":2}\n", Reading::Detect),
            [
                format!("{name}:3 Json {{\"a\":1}} (bulk)"),
                format!("{name}:4 Json {{\"b\":2}} (bulk)")
            ]
        );
    }
    assert_eq!(read("one.json", b"\n{\"a\":1}\n", Reading::Detect), ["one.json Json {\"a\":1}"]);
    assert_eq!(read("none.json", b"\n \n", Reading::Detect), ["none.json Empty"]);
}

#[test]
fn blank_lines_count_but_are_no_items() {
    assert_eq!(
        read("a.jsonl", b"{\"a\":1}\r\n\n  \n{broken\n", Reading::Detect),
        ["a.jsonl:1 Json {\"a\":1} (bulk)", "a.jsonl:4 Json {broken (bulk)"]
    );
}

#[test]
fn what_is_no_item_is_named() {
    assert_eq!(read("a.txt", b"", Reading::Detect), ["a.txt Empty"]);
    assert_eq!(read("a.json", b"", Reading::Detect), ["a.json Empty"]);
    assert_eq!(read("a.jsonl", b"", Reading::Detect), ["a.jsonl Empty"]);
    assert_eq!(read("a.txt", b"\x7fELF\0\0", Reading::Detect), ["a.txt Binary"]);
    assert_eq!(read("a.txt", b"\xff\xfeh\0i\0", Reading::Detect), ["a.txt Binary"]);
    assert_eq!(
        read("a.txt", b"caf\xe9", Reading::Detect),
        [
            "note a.txt: not UTF-8 at byte 3; each bad byte is judged as U+FFFD",
            "a.txt Plain caf\u{fffd}"
        ]
    );
    let dir = TempDir::new().expect("a temporary directory");
    let missing = Source::Path(dir.path().join("missing"));
    assert_eq!(told(&dir, &events(&[missing], Reading::Detect)), ["missing Unreadable"]);
}

#[test]
fn a_gigabyte_is_refused_unread() {
    let dir = TempDir::new().expect("a temporary directory");
    for name in ["huge.txt", "huge.log"] {
        let path = dir.path().join(name);
        let file = File::create(&path).expect("created");
        file.set_len(1 << 30).expect("sparse");
        let seen = events(&[Source::Path(path)], Reading::Detect);
        let [Event::Problem(problem)] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!(problem.kind, ProblemKind::TooLarge);
        assert!(problem.message.contains("1,073,741,824 bytes are over"), "{}", problem.message);
    }
}

#[test]
fn a_long_line_costs_only_itself() {
    let mut content = vec![b'x'; ITEM_BYTES_MAX + 1];
    content.extend_from_slice(b"\n{\"a\":1}\n");
    assert_eq!(
        read("a.jsonl", &content, Reading::Detect),
        ["a.jsonl:1 TooLarge", "a.jsonl:2 Json {\"a\":1} (bulk)"]
    );
}

#[test]
fn directories_are_read_in_order_and_what_is_skipped_is_named() {
    let dir = TempDir::new().expect("a temporary directory");
    for (name, content) in [
        ("b.txt", "b"),
        ("a/2.txt", "a2"),
        ("a/1.txt", "a1"),
        (".git/config", "hidden"),
        ("a/.hidden.sh", "hidden"),
        ("empty.txt", ""),
        ("picture.png", "\u{0}PNG"),
    ] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("below the directory")).expect("made");
        fs::write(path, content).expect("written");
    }
    for (name, target) in [("to_dir", "a"), ("to_file", "b.txt"), ("to_nothing", "nowhere")] {
        symlink(target, dir.path().join(name)).expect("linked");
    }
    let _listening = UnixListener::bind(dir.path().join("socket")).expect("bound");
    let seen = events(&[Source::Path(dir.path().to_owned())], Reading::Detect);
    assert_eq!(
        told(&dir, &seen),
        [
            "note .git: skipped, hidden",
            "note a/.hidden.sh: skipped, hidden",
            "a/1.txt Plain a1 (bulk)",
            "a/2.txt Plain a2 (bulk)",
            "b.txt Plain b (bulk)",
            "note empty.txt: skipped, empty",
            "note picture.png: skipped, binary",
            "note socket: skipped, neither a file nor a directory",
            "note to_dir: skipped, a link to a directory",
            "to_file Plain b (bulk)",
            "note to_nothing: skipped, a link to nothing",
        ]
    );
}

#[test]
fn a_program_in_a_directory_is_never_skipped_as_binary() {
    let dir = TempDir::new().expect("a temporary directory");
    for (name, content) in [
        ("evil.sh", "#\0\nrm -rf /"),
        ("picture", "\0PNG"),
        ("run", "#!/bin/sh\n\0"),
        ("setup.PY", "\0"),
    ] {
        fs::write(dir.path().join(name), content).expect("written");
    }
    let seen = events(&[Source::Path(dir.path().to_owned())], Reading::Detect);
    assert_eq!(
        told(&dir, &seen),
        ["evil.sh Binary", "note picture: skipped, binary", "run Binary", "setup.PY Binary"]
    );
}
