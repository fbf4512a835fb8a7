//! Any bytes, in any form, get a sound judgment or a typed error, and the same one to the bit again.

#![no_main]

use std::sync::LazyLock;

use cynic_judge::{Judge, Options};
use cynic_proto::item::{Form, Hint};
use libfuzzer_sys::fuzz_target;

static JUDGE: LazyLock<Judge> = LazyLock::new(|| Judge::new(Options::default()));

/// File names that route a plain body, one for each domain and the ways around them.
const NAMES: [&str; 8] = ["", "a.py", "a.c", "a.sh", "a.md", "a.eml", "a.json", "a.html"];

fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else { return };
    let form = if choice & 1 == 1 { Form::Plain } else { Form::Json };
    let name = NAMES[usize::from(choice >> 1) % NAMES.len()];
    let hint = Hint { form, name: (!name.is_empty()).then(|| name.to_owned()), ..Hint::default() };
    let answer = JUDGE.judge(body, &hint);
    if let Ok((judgment, details)) = &answer {
        judgment.validate().expect("scores within their ranges");
        for piece in &details.evidence {
            assert!(piece.points.is_finite());
            if let Some((start, end)) = piece.span {
                assert!(start <= end && end <= judgment.body_bytes);
            }
        }
    }
    assert_eq!(answer, JUDGE.judge(body, &hint));
});
