//! How a worker can go wrong in the middle of a task, as commands in an item's body.
//!
//! Owns the misbehaviour of scorers: code that runs inside a real worker, in its real sandbox. Never part of
//! the product.

use std::hint::black_box;
use std::io::Write;

use crate::attempts::{self, Target};

/// The `type` of an item whose body is a command.
pub const ITEM_TYPE: &str = "fault";

/// What a worker leaks per task in the fault of that name.
const LEAK_BYTES: usize = 20 << 20;

/// How a worker ends that got through with an attempt: no item that makes it is ever judged.
const ATTEMPT_SUCCEEDED: i32 = 86;

/// How much a noisy worker writes to standard error.
const NOISE_BYTES: usize = 50 << 20;

/// An item that makes a faulty worker misbehave, as JSON.
pub fn item(command: &str) -> Vec<u8> {
    format!(r#"{{"type":"{ITEM_TYPE}","content":"{command}"}}"#).into_bytes()
}

/// Does what the command says; returns if it is something that one can return from.
///
/// # Panics
/// Where that is the command, and for a command that is none.
pub fn commit(command: &str, target: &Target) {
    if let Some(name) = command.strip_prefix("attempt ") {
        let attempt = attempts::named(name).unwrap_or_else(|| panic!("no attempt {name}"));
        // Refused, the worker lives on and answers.
        if attempt(target).is_ok() {
            std::process::exit(ATTEMPT_SUCCEEDED);
        }
        return;
    }
    match command {
        "nothing" => {}
        "scorer_panic" => panic!("told to panic"),
        "uncaught_panic" => panic_while_panicking(),
        "thousand_panics" => {
            for _ in 0..1000 {
                let _ = std::panic::catch_unwind(|| panic!("one of a thousand"));
            }
        }
        "segfault" | "abort" | "stack_overflow" | "exit_0" | "exit_7" => end(command),
        "heap_bomb" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        "leak" => std::mem::forget(black_box(vec![1_u8; LEAK_BYTES])),
        "busy_loop" => loop {
            black_box(());
        },
        "sleep" => loop {
            std::thread::sleep(std::time::Duration::from_mins(1));
        },
        "noise" => {
            let line = [b'.'; 1024];
            for _ in 0..NOISE_BYTES / line.len() {
                let _ = std::io::stderr().write_all(&line);
            }
        }
        other => speak_out_of_turn(other),
    }
}

fn end(command: &str) {
    let name = match command {
        "segfault" => "dereference_nothing",
        "stack_overflow" => "overflow_the_stack",
        "abort" => std::process::abort(),
        "exit_0" => std::process::exit(0),
        _ => std::process::exit(7),
    };
    let _ = attempts::named(name).expect("an ordinary attempt")(&Target::of_this_host());
}

fn panic_while_panicking() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("panics while a panic unwinds");
        }
    }
    let _bomb = Bomb;
    panic!("the first panic");
}

/// Writes to the supervisor's socket what no session would. All of it goes through the real sandbox, which
/// allows a worker to write anything to its own socket.
fn speak_out_of_turn(command: &str) {
    match command {
        "garbage" => say(&[0xA5; 4096]),
        // Lengths of message and payload, of which the first is over any limit.
        "huge_length" => say(&[0xFF, 0xFF, 0xFF, 0xFF, 8, 0, 0, 0, 1, 2, 3]),
        // A message that is longer than its frame.
        "short_length" => say(&[2, 0, 0, 0, 200, 0, 0, 0, 1, 2]),
        "truncated_then_exit" => {
            say(&[100, 0, 0, 0, 100, 0, 0, 0, 1, 2, 3]);
            std::process::exit(0)
        }
        "truncated_then_hang" => {
            say(&[100, 0, 0, 0, 100, 0, 0, 0, 1, 2, 3]);
            hang()
        }
        "slow_drip" => {
            say(&[0, 16, 0, 0, 0, 16, 0, 0]);
            loop {
                say(&[1]);
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        "flood" => loop {
            say(&[0; 4096]);
        },
        "closed_then_spin" => {
            close_socket();
            loop {
                black_box(());
            }
        }
        other => panic!("no fault is called {other}"),
    }
}

/// Waits for ever.
pub fn hang() -> ! {
    loop {
        std::thread::sleep(std::time::Duration::from_mins(1));
    }
}

fn say(bytes: &[u8]) {
    // A supervisor that has heard enough closes the socket: then there is nobody to misbehave to.
    if rustix::io::write(rustix::stdio::stdin(), bytes).is_err() {
        hang()
    }
}

#[expect(unsafe_code, reason = "closes a descriptor under the feet of its owner, as a bug would")]
fn close_socket() {
    // SAFETY: nothing but this process's own misbehaviour depends on descriptor 0.
    unsafe { libc::close(0) };
}
