//! What a judgment costs: processor time at three sizes, growth up to 10 MiB, memory.
//!
//! Processor time of the thread, not time on the wall, so that a busy machine does not fail a gate.

use std::time::Duration;

use cynic_judge::{Judge, Options};
use cynic_proto::item::Hint;
use nix::time::{ClockId, clock_gettime};
use serde_json::json;

use super::written::{Written, texts};
use super::{Gate, Unit};

/// Sizes at which a judgment is timed, with bar and stretch in microseconds.
const SIZES: [(&str, usize, f64, f64); 3] =
    [("200 B", 200, 30.0, 15.0), ("2 KB", 2_000, 90.0, 50.0), ("20 KB", 20_000, 500.0, 300.0)];

/// Processor time spent on one measurement: a hundred judgments and more, so that the clock's grain is nothing.
const SPENT_PER_MEASUREMENT: Duration = Duration::from_millis(20);

/// Measurements of which the least counts: others are disturbed by what else the machine does.
const MEASUREMENTS: usize = 5;

const SMALL: usize = 1 << 20;
const LARGE: usize = 10 << 20;

/// More than linear by this much at ten times the size is a miss: caches alone make large items a little
/// dearer per byte.
const GROWTH_MAX: f64 = 1.5;

/// Most memory for a judgment, the item itself included, as a multiple of the item.
const MEMORY_MAX: f64 = 4.0;

/// The process's allocator as far as it can be asked.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Bytes allocated now.
    pub current: fn() -> usize,
    /// Forgets earlier peaks.
    pub reset_peak: fn(),
    /// Most bytes allocated since.
    pub peak: fn() -> usize,
}

pub(super) fn gates(memory: Memory) -> Vec<Gate> {
    let judge = Judge::new(Options::default());
    let mut gates: Vec<Gate> = SIZES
        .into_iter()
        .map(|(name, bytes, bar, stretch)| {
            let kinds = kinds()
                .map(|(kind, body)| (kind, micros(&judge, &item(kind, &repeated(&body, bytes)))));
            let all: Vec<(&str, f64)> = kinds.collect();
            let slowest = all.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
            let note: Vec<String> =
                all.iter().map(|(kind, micros)| format!("{kind} {micros:.0}")).collect();
            Gate::new(
                format!("CPU per judgment at {name}, slowest kind"),
                Unit::Micros,
                slowest.map(|s| s.1),
            )
            .at_most(bar, stretch)
            .note(note.join(", "))
        })
        .collect();
    gates.extend(growth(&judge, memory));
    gates
}

fn item(kind: &str, body: &str) -> Vec<u8> {
    let item_type = if matches!(kind, "code" | "shell") { "code" } else { "text" };
    json!({ "type": item_type, "content": body }).to_string().into_bytes()
}

/// All own texts of each kind, one after the other.
fn kinds() -> impl Iterator<Item = (&'static str, String)> {
    ["social", "prompt", "prose", "shell", "code"].into_iter().map(|kind| {
        let of_kind = |text: &&Written| text.set.ends_with(kind);
        let bodies: Vec<&str> =
            texts().iter().filter(of_kind).map(|text| text.content.as_str()).collect();
        (kind, bodies.join("\n\n"))
    })
}

/// The body over and over, cut to about `bytes`.
fn repeated(body: &str, bytes: usize) -> String {
    let mut out = String::with_capacity(bytes + body.len());
    while out.len() < bytes {
        out.push_str(body);
        out.push('\n');
    }
    let end = (0..=bytes).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
    out.truncate(end);
    out
}

fn cpu() -> Duration {
    let clock = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    Duration::from(clock.expect("every Linux since 2.6.12 has this clock"))
}

/// Microseconds of processor time for one judgment.
fn micros(judge: &Judge, item: &[u8]) -> f64 {
    let once = || {
        let (start, mut judgments) = (cpu(), 0_u32);
        loop {
            std::hint::black_box(judge.judge(std::hint::black_box(item), &Hint::default()).is_ok());
            judgments += 1;
            let spent = cpu().saturating_sub(start);
            if spent >= SPENT_PER_MEASUREMENT {
                return spent.as_secs_f64() * 1e6 / f64::from(judgments);
            }
        }
    };
    (0..MEASUREMENTS).map(|_| once()).fold(f64::INFINITY, f64::min)
}

/// Bodies that large items may have.
fn shapes() -> Vec<(&'static str, String)> {
    let mut shapes: Vec<(&str, String)> = kinds().collect();
    shapes.push(("one letter", "a".into()));
    shapes.push(("brackets", "([{<".into()));
    shapes.push(("spaces", "  \t ".into()));
    shapes.push(("emoji", "🐕‍🦺 ".into()));
    shapes.push(("links", "http://a.b/?q=%41 me@a.b ".into()));
    shapes.push(("digits", "1,000.00 = 1+1 ".into()));
    shapes.push(("quotes", "\"'`".into()));
    shapes
}

fn growth(judge: &Judge, memory: Memory) -> Vec<Gate> {
    let mut steepest = (f64::MIN, "");
    let mut hungriest = (f64::MIN, "");
    let mut slowest = (f64::MIN, "");
    for (shape, body) in shapes() {
        let small = item(shape, &repeated(&body, SMALL));
        let large = item(shape, &repeated(&body, LARGE));
        let (of_small, of_large) = (micros(judge, &small), one(judge, &large));
        let per_byte = (of_large / large.len() as f64) / (of_small / small.len() as f64);
        let bytes = peak(judge, &large, memory) + large.len();
        let times = bytes as f64 / large.len() as f64;
        steepest = if per_byte > steepest.0 { (per_byte, shape) } else { steepest };
        hungriest = if times > hungriest.0 { (times, shape) } else { hungriest };
        slowest = if of_large > slowest.0 { (of_large, shape) } else { slowest };
    }
    vec![
        Gate::new("CPU per byte at 10 MiB against 1 MiB", Unit::Ratio, steepest.0)
            .at_most(GROWTH_MAX, None)
            .note(format!(
                "steepest: {}; slowest: {} in {:.0} ms",
                steepest.1,
                slowest.1,
                slowest.0 / 1e3
            )),
        Gate::new("memory at 10 MiB, times the item", Unit::Points, hungriest.0)
            .at_most(MEMORY_MAX, None)
            .note(format!("most: {}; the item itself counts", hungriest.1)),
    ]
}

/// Microseconds of the better of two judgments: at 10 MiB one is long enough to time.
fn one(judge: &Judge, item: &[u8]) -> f64 {
    let once = || {
        let start = cpu();
        std::hint::black_box(judge.judge(item, &Hint::default()).is_ok());
        cpu().saturating_sub(start).as_secs_f64() * 1e6
    };
    once().min(once())
}

/// Most bytes that one judgment holds at once, without the item.
fn peak(judge: &Judge, item: &[u8], memory: Memory) -> usize {
    let before = (memory.current)();
    (memory.reset_peak)();
    std::hint::black_box(judge.judge(item, &Hint::default()).is_ok());
    (memory.peak)().saturating_sub(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_size_asked_for() {
        assert_eq!(repeated("ab", 5), "ab\nab");
        assert_eq!(repeated("🐕", 6).len(), 5, "never cut inside a character");
        assert!(kinds().all(|(kind, body)| !body.is_empty() || panic!("no own text for {kind}")));
    }
}
