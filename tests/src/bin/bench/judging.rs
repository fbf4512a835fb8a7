//! What the judge itself takes, in this process, by length and by what is judged.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cynic_judge::{Judge, Options};
use cynic_proto::item::{Form, Hint};

use crate::samples::Samples;
use crate::{items, line, title};

/// How long each figure is measured.
const TIME: Duration = Duration::from_millis(400);

const SIZES: [usize; 3] = [200, 2_000, 20_000];

/// Examples that are judged as different domains.
const EXAMPLES: [(&str, &str); 4] = [
    ("prose", "prose/essay.txt"),
    ("social", "mail/phishing.eml"),
    ("code", "code/ring.rs"),
    ("shell", "shell/drop-old-backups.sh"),
];

pub(crate) fn measure() {
    title("one judgment, in process", &["200 B us", "2 KB us", "20 KB us", "20 KB MB/s"]);
    let judge = Judge::new(Options::default());
    for (name, example) in EXAMPLES {
        let hint = Hint { form: Form::Plain, name: Some(example.to_owned()), ..Hint::default() };
        let times = SIZES.map(|bytes| time(&judge, &items::text(example, bytes), &hint));
        let mut figures: Vec<String> = times.iter().map(|micros| format!("{micros:.1}")).collect();
        // Bytes in a microsecond are megabytes in a second.
        figures.push(format!("{:.1}", SIZES[2] as f64 / times[2]));
        line(name, &figures);
    }
}

/// The median of one judgment in microseconds.
fn time(judge: &Judge, item: &[u8], hint: &Hint) -> f64 {
    let mut samples = Samples::default();
    let until = Instant::now() + TIME;
    while Instant::now() < until {
        let start = Instant::now();
        black_box(judge.judge(black_box(item), hint)).expect("a judgment");
        samples.add(start);
    }
    samples.p50()
}
