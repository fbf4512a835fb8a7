//! Things that a worker must not be able to do, or must still be able to do: one function each.
//!
//! Owns the attempts of the security tests and of the worker that misbehaves. Never part of the product.

#![expect(clippy::unnecessary_wraps, reason = "attempts share one signature")]

mod files;
mod kernel;
mod memory;
mod ordinary;
mod processes;
mod sockets;

use std::io;
use std::path::PathBuf;

/// Tries something; an error is a refusal.
pub type Attempt = fn(&Target) -> io::Result<()>;

/// All attempts by name.
const GROUPS: [&[(&str, Attempt)]; 6] = [
    files::ATTEMPTS,
    sockets::ATTEMPTS,
    processes::ATTEMPTS,
    memory::ATTEMPTS,
    kernel::ATTEMPTS,
    ordinary::ATTEMPTS,
];

/// The attempt of that name.
pub fn named(name: &str) -> Option<Attempt> {
    let mut all = GROUPS.into_iter().flatten();
    all.find(|(known, _)| *known == name).map(|(_, attempt)| *attempt)
}

/// What the harness set up to be attacked.
#[derive(Debug)]
pub struct Target {
    /// A file that exists, in a directory that can be written.
    pub file: PathBuf,
    /// A listening Unix socket.
    pub socket: PathBuf,
    /// A listening TCP port on the loopback interface.
    pub port: u16,
    /// The process that stands for the supervisor.
    pub supervisor: i32,
    /// Address of a secret in its memory.
    pub secret: usize,
    /// A descriptor that it forgot to mark close-on-exec.
    pub descriptor: i32,
}

impl Target {
    /// Reads `file socket port supervisor secret descriptor`.
    pub fn parse(args: &[String]) -> Target {
        let [file, socket, port, supervisor, secret, descriptor] = args else {
            panic!("expected six arguments, got {args:?}");
        };
        Target {
            file: file.into(),
            socket: socket.into(),
            port: port.parse().expect("a port"),
            supervisor: supervisor.parse().expect("a process id"),
            secret: secret.parse().expect("an address"),
            descriptor: descriptor.parse().expect("a descriptor"),
        }
    }

    /// What any host has, for attempts of a worker that a real daemon started. Looks at this process, so it
    /// must be made before the sandbox.
    pub fn of_this_host() -> Target {
        // One that nobody misses, should an attempt succeed.
        let file = std::env::temp_dir().join("cynic-attempts-target");
        let _ = std::fs::OpenOptions::new().create(true).append(true).open(&file);
        Target {
            file,
            socket: "/run/systemd/notify".into(),
            port: 1,
            supervisor: std::os::unix::process::parent_id().cast_signed(),
            secret: 4096,
            descriptor: 3,
        }
    }
}

/// The result of a raw system call or of a C function that returns -1 on failure.
fn checked(result: impl Into<i64>) -> io::Result<i64> {
    match result.into() {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value),
    }
}

/// Makes a raw system call; words only, so pointers are cast by the caller.
fn call<const N: usize>(number: i64, arguments: [i64; N]) -> io::Result<i64> {
    let mut words = [0; 6];
    words[..N].copy_from_slice(&arguments);
    #[expect(unsafe_code, reason = "the point of a probe is to make calls that no library makes")]
    // SAFETY: the callers pass pointers to living data of the size that the call expects, and the calls
    // either fail or change nothing that Rust relies on.
    checked(unsafe {
        libc::syscall(number, words[0], words[1], words[2], words[3], words[4], words[5])
    })
}
