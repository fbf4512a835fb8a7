//! Does one thing so many times: what scripts/instructions.sh counts the instructions of.
//!
//! `budget judge KIND BYTES TIMES` judges a text of the examples; `budget dispatch TIMES` takes tasks through the
//! pool of a daemon, from their submission to their answer.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use cynic_judge::{Judge, Options};
use cynic_proto::ids::TaskId;
use cynic_proto::item::{Form, Hint};
use cynic_proto::message::Lane;
use cynicd::pool::{ClientId, Config, Effect, Event, Pool, Scored, Submission};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse::<usize>().expect("a number");
    match words[..] {
        ["judge", kind, bytes, times] => judge(kind, number(bytes), number(times)),
        ["dispatch", times] => dispatch(number(times)),
        _ => panic!("usage: budget judge KIND BYTES TIMES | budget dispatch TIMES"),
    }
}

/// The kinds, each by an example and the type that it is sent as.
const KINDS: [(&str, &str, &str); 5] = [
    ("social", "mail/ordinary.eml", "message"),
    ("prompt", "prose/clear.md", "prompt"),
    ("prose", "prose/essay.txt", "article"),
    ("shell", "shell/tidy-logs.sh", "command"),
    ("code", "code/find_user.py", "source"),
];

fn judge(kind: &str, bytes: usize, times: usize) {
    let (_, file, item_type) = KINDS.iter().find(|(name, ..)| *name == kind).expect("a kind");
    let items = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/items");
    let text = std::fs::read_to_string(items.join(file)).expect("an example");
    let item: String = text.chars().cycle().take(bytes).collect();
    let hint =
        Hint { form: Form::Plain, item_type: Some((*item_type).to_owned()), ..Hint::default() };
    let judge = Judge::new(Options::default());
    for _ in 0..times {
        black_box(judge.judge(black_box(item.as_bytes()), &hint)).expect("judged");
    }
}

fn dispatch(times: usize) {
    let mut now = Instant::now();
    let mut pool = Pool::new(Config::default(), 1, now);
    for effect in pool.handle(Event::Tick, now) {
        if let Effect::Spawn(worker) = effect {
            black_box(pool.handle(Event::Ready(worker), now));
        }
    }
    for n in 0..times {
        let submission = Submission {
            task: TaskId(n as u128 + 1),
            client: ClientId(n as u64 % 8),
            uid: 1000,
            lane: Lane::Interactive,
            bytes: 200,
            deadline: None,
            parked: false,
        };
        now += Duration::from_micros(20);
        for effect in pool.handle(Event::Submit(submission), now) {
            let Effect::Lease { worker, nonce, items, .. } = effect else { continue };
            for (task, _) in items {
                let event = Event::Done { worker, nonce, task, scored: Scored::default() };
                black_box(pool.handle(event, now));
            }
        }
    }
}
