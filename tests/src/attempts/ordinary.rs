//! What a worker must still be able to do, and how it must be able to die.

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant, SystemTime};

use super::{Attempt, Target, checked};

pub(super) const ATTEMPTS: &[(&str, Attempt)] = &[
    ("compute", compute),
    ("catch_a_thousand_panics", catch_a_thousand_panics),
    ("wait_for_timers_together", wait_for_timers_together),
    ("use_memory_within_the_limit", use_memory_within_the_limit),
    ("print", |_| writeln!(io::stdout(), "printed").and_then(|()| io::stdout().flush())),
    ("speak_with_the_supervisor", speak_with_the_supervisor),
    ("abort", |_| std::process::abort()),
    ("leave_with_code_7", |_| std::process::exit(7)),
    ("panic", |_| panic!("uncaught")),
    ("overflow_the_stack", |t| {
        black_box(deeper(t.port.into()));
        Ok(())
    }),
    ("dereference_nothing", dereference_nothing),
    ("spin", |_| {
        loop {
            black_box(());
        }
    }),
    ("wait_for_the_end", |_| io::stdin().read_to_end(&mut Vec::new()).map(drop)),
];

fn compute(_: &Target) -> io::Result<()> {
    let start = Instant::now();
    let counts: HashMap<u64, u64> = (0..10_000).map(|n| (n, n * n)).collect();
    let sum: u64 = counts.values().sum();
    assert!(black_box(sum) > 0 && Instant::now() >= start);
    assert!(SystemTime::now() > SystemTime::UNIX_EPOCH);
    Ok(())
}

fn catch_a_thousand_panics(_: &Target) -> io::Result<()> {
    let caught = (0..1000)
        .filter(|n| std::panic::catch_unwind(|| assert!(*n < 0, "scorer {n} panics")).is_err())
        .count();
    assert_eq!(caught, 1000);
    Ok(())
}

fn wait_for_timers_together(_: &Target) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        let wait = || tokio::time::sleep(Duration::from_millis(2));
        tokio::join!(wait(), wait(), wait());
    });
    Ok(())
}

fn use_memory_within_the_limit(_: &Target) -> io::Result<()> {
    for _ in 0..4 {
        let mut block = vec![1_u8; 64 << 20];
        block.extend_from_within(..1024);
        black_box(block);
    }
    Ok(())
}

#[expect(unsafe_code, reason = "takes standard input as the socket that it is")]
fn speak_with_the_supervisor(_: &Target) -> io::Result<()> {
    use std::os::fd::FromRawFd;
    // SAFETY: descriptor 0 is open, and this process ends with its owner.
    let mut socket = unsafe { std::os::unix::net::UnixStream::from_raw_fd(0) };
    socket.write_all(b"hello\n")?;
    let mut answer = [0; 6];
    socket.read_exact(&mut answer)?;
    assert_eq!(&answer, b"again\n");
    Ok(())
}

#[expect(unconditional_recursion, reason = "the point of it")]
fn deeper(n: u64) -> u64 {
    let frame = black_box([n; 64]);
    deeper(frame[0] + 1) + frame[63]
}

#[expect(unsafe_code, reason = "the point of it")]
fn dereference_nothing(_: &Target) -> io::Result<()> {
    let nothing = black_box(std::ptr::null::<i64>());
    // SAFETY: none; the kernel ends this process here.
    checked(unsafe { nothing.read_volatile() }).map(drop)
}
