//! The same item and version give the same judgment to the bit, on every machine and with every C library.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use cynic_judge::{JUDGE_VERSION, Judge, Options};
use cynic_proto::item::{Form, Hint};
use sha2::{Digest, Sha256};

/// The version, and the first bytes of the hash of what it says of each item under examples/. Where this differs
/// after a change of rules or weights, both are to be raised; where nothing was changed, a number comes from
/// something that is not the same everywhere.
const SAID: (u32, &str) = (13, "bd18ab4a45e67586");

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn the_examples_are_judged_the_same_everywhere() {
    let mut paths = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/items"), &mut paths);
    paths.sort();
    let judge = Judge::new(Options::default());
    let mut said = String::new();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let text = std::fs::read_to_string(&path).expect("text");
        let (form, items): (_, Vec<&str>) = match path.extension().and_then(|end| end.to_str()) {
            Some("jsonl") => (Form::Json, text.lines().collect()),
            Some("json") => (Form::Json, vec![&text]),
            _ => (Form::Plain, vec![&text]),
        };
        let hint = Hint { form, name: Some(name.to_owned()), ..Hint::default() };
        for item in items {
            // All digits of each number: what is printed is read back as the same bits.
            let judged = judge.judge(item.as_bytes(), &hint);
            writeln!(said, "{name}: {judged:?}").expect("a string takes all");
        }
    }
    let hash = Sha256::digest(&said)[..8].iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes all");
        hex
    });
    assert_eq!((JUDGE_VERSION, &*hash), SAID, "{said}");
}
