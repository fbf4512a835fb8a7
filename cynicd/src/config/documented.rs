//! Every key is in the example with its default, and in docs/operations.md with everything else: neither may
//! lag behind the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{File, Source};

const EXAMPLE: &str = include_str!("../../../examples/cynic.toml");
const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// Keys without a default: what stands beside them is an example.
const UNSET: [&str; 6] = [
    "socket_group",
    "admin_socket",
    "admin_socket_group",
    "pool.worker",
    "traces.file",
    "metrics.listen",
];

/// The keys that the file's form knows, by the form's own word: the error for an unknown key lists the others.
fn keys() -> Vec<String> {
    let expected = |text: &str| -> Vec<String> {
        let error = toml::from_str::<File>(text).expect_err("an unknown key").message().to_owned();
        let (_, names) = error.split_once("expected ").expect("the keys that there are");
        names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let section = |name: &String| format!("[{name}]\nno_such_key = 1");
    let is_section = |name: &String| toml::from_str::<File>(&format!("[{name}]")).is_ok();
    let (sections, plain): (Vec<String>, Vec<String>) =
        expected("no_such_key = 1").into_iter().partition(is_section);
    let within = sections.iter().flat_map(|name| {
        expected(&section(name)).into_iter().map(move |key| format!("{name}.{key}"))
    });
    plain.into_iter().chain(within).collect()
}

/// The example with its keys put in force: a key is commented out without a blank behind the mark.
fn example() -> BTreeMap<String, String> {
    let mut section = String::new();
    let mut values = BTreeMap::new();
    for line in EXAMPLE.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((key, value)) = line.strip_prefix('#').and_then(|l| l.split_once(" = "))
            && !key.contains(' ')
        {
            values.insert(format!("{section}{key}"), value.to_owned());
        }
    }
    values
}

/// The cells of each key's row in the table of docs/operations.md.
fn documented() -> BTreeMap<String, Vec<String>> {
    let configure = OPERATIONS.split("## Configure").nth(1).expect("a chapter");
    let chapter = configure.split("\n## ").next().expect("its text");
    let rows = chapter.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<String> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        (cells[0].clone(), cells)
    })
    .collect()
}

#[test]
fn every_key_is_in_the_example_and_in_the_document() {
    let (example, documented) = (example(), documented());
    let keys = keys();
    assert!(keys.len() > 20, "{keys:?}");
    for key in &keys {
        let value = example.get(key);
        let value = value.unwrap_or_else(|| panic!("{key} is missing in examples/cynic.toml"));
        let row = documented.get(key);
        let row = row.unwrap_or_else(|| panic!("{key} is missing in docs/operations.md"));
        let [_, meaning, unit, default, range, in_force] = &row[..] else {
            panic!("{key} needs meaning, unit, default, range and when it is in force: {row:?}");
        };
        let shown =
            if UNSET.contains(&&key[..]) { format!("unset, e.g. {value}") } else { value.clone() };
        assert_eq!(
            *default, shown,
            "the default of {key} in docs/operations.md and examples/cynic.toml"
        );
        assert!([meaning, unit, range].iter().all(|cell| !cell.is_empty()), "{key}: {row:?}");
        assert!(["reload", "workers", "restart"].contains(&&in_force[..]), "{key}: {in_force}");
    }
    let known = |key: &&String| keys.contains(key);
    assert_eq!(example.keys().find(|key| !known(key)), None, "in examples/cynic.toml");
    assert_eq!(documented.keys().find(|key| !known(key)), None, "in docs/operations.md");
}

/// The example says what the defaults are; so that is what it gives.
#[test]
fn the_example_with_all_its_keys_is_the_default() {
    // Where the host decides, and what is off unless set.
    let by_host = |key: &str| UNSET.contains(&key) || matches!(key, "socket" | "data_dir");
    let mut text = String::from("data_dir = \"/data\"\n");
    let (plain, within): (Vec<_>, Vec<_>) =
        example().into_iter().partition(|(key, _)| !key.contains('.'));
    let mut section = String::new();
    for (key, value) in plain.into_iter().chain(within) {
        if by_host(&key) {
            continue;
        }
        let (name, key) = key.rsplit_once('.').unwrap_or(("", &key));
        if name != section {
            section = name.to_owned();
            let _ = writeln!(text, "[{name}]");
        }
        let _ = writeln!(text, "{key} = {value}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let load = |name: &str, text: &str| {
        let path = dir.path().join(name);
        let worker = std::env::current_exe().expect("this test");
        let with_worker = text.replacen("[pool]\n", &format!("[pool]\nworker = {worker:?}\n"), 1);
        std::fs::write(&path, with_worker).expect("written");
        let source = Source { file: Some(path), ..Source::default() };
        source.load().unwrap_or_else(|error| panic!("{error}:\n{text}"))
    };
    let defaults = load("defaults.toml", "data_dir = \"/data\"\n[pool]\n");
    assert_eq!(load("example.toml", &text), defaults);
}
