//! The items under examples/: their verdicts must look right to a person.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cynic_tests::daemon::Home;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// What a person would say of each item, by its label: examples/expected.tsv.
fn expected() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(examples().join("expected.tsv")).expect("the list");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let row = |line: &str| {
        let mut columns = line.split('\t').map(str::to_owned);
        let (label, opinion) = (columns.next(), columns.next());
        label.zip(opinion).unwrap_or_else(|| panic!("{line:?} is not a row of the list"))
    };
    lines.map(row).collect()
}

/// Files below a directory, by their paths in it.
fn files(root: &Path, inside: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root.join(inside)).expect("a directory") {
        let entry = entry.expect("an entry");
        let path = inside.join(entry.file_name());
        if entry.path().is_dir() { files(root, &path, found) } else { found.push(path) }
    }
}

#[tokio::test]
async fn verdicts_are_what_a_person_would_say() {
    let home = Home::new("");
    let daemon = home.start().await;
    let (root, mut paths) = (examples().join("items"), Vec::new());
    files(&root, Path::new(""), &mut paths);
    let mut found = BTreeMap::new();
    for path in paths {
        let ended = daemon.cynicctl([Path::new("judge"), Path::new("--json"), &root.join(&path)]);
        let rows = ended.json();
        assert!(!rows.is_empty(), "{}: {}", path.display(), ended.err);
        let several = path.extension().is_some_and(|ending| ending == "jsonl");
        for (n, row) in rows.iter().enumerate() {
            let line = if several { format!(":{}", n + 1) } else { String::new() };
            let opinion = match row["verdict"].as_str() {
                Some("HOWL" | "WAG") => "pass",
                Some(_) => "flag",
                None => "error",
            };
            found.insert(format!("{}{line}", path.display()), opinion.to_owned());
        }
    }
    let expected = expected();
    let labels = |list: &BTreeMap<String, String>| list.keys().cloned().collect::<Vec<_>>();
    assert_eq!(labels(&found), labels(&expected), "each item has its line in expected.tsv");
    assert!(found.len() >= 20);
    let differs = |(label, opinion): &(&String, &String)| expected[*label] != **opinion;
    let wrong: Vec<&str> = found.iter().filter(differs).map(|(label, _)| label.as_str()).collect();
    assert!(wrong.is_empty(), "not what a person would say: {wrong:?}");
}

/// Explanations are sent and stored with numbers for the wordings that the list knows. One that it lacks goes as it is, which
/// takes ten times the room; add it at the end.
#[tokio::test]
async fn the_store_knows_what_the_judge_says() {
    let list = include_str!("../../../cynic-proto/src/wordings.tsv");
    let known: BTreeSet<&str> = list.lines().collect();
    let home = Home::new("");
    let daemon = home.start().await;
    let ended =
        daemon.cynicctl([Path::new("judge"), Path::new("--json"), &examples().join("items")]);
    let (mut missing, mut said) = (BTreeSet::new(), 0);
    for row in ended.json() {
        let dimensions = row["dimensions"].as_object().into_iter().flat_map(|all| all.values());
        for piece in dimensions.filter_map(|one| one["evidence"].as_array()).flatten() {
            let code = piece["code"].as_str().expect("a code");
            // What has a place is a quotation, of which is stored what is said of it; a whole lists its parts, in any order.
            let wording = match piece["text"].as_str() {
                Some(text) if piece["span"].is_null() => format!("{code}\t{text}"),
                Some(text) => {
                    format!("{code}\t{}: …", text.split(": \"").next().unwrap_or_default())
                }
                None => code.to_owned(),
            };
            said += 1;
            if code != "whole" && !wording.contains('"') && !known.contains(&*wording) {
                missing.insert(wording);
            }
        }
    }
    assert!(said > 1000, "{said} pieces of evidence: {}", ended.err);
    assert!(missing.is_empty(), "cynic-proto/src/wordings.tsv lacks {missing:#?}");
}
