//! What an attempt is and what it is directed at.

use std::io;
use std::path::PathBuf;

/// Tries something; an error is a refusal.
pub(crate) type Attempt = fn(&Target) -> io::Result<()>;

/// What the harness set up to be attacked.
#[derive(Debug)]
pub(crate) struct Target {
    /// Name of the attempt.
    pub(crate) attempt: String,
    /// A file that exists, in a directory that can be written.
    pub(crate) file: PathBuf,
    /// A listening Unix socket.
    pub(crate) socket: PathBuf,
    /// A listening TCP port on the loopback interface.
    pub(crate) port: u16,
    /// The process that stands for the supervisor.
    pub(crate) supervisor: i32,
    /// Address of a secret in its memory.
    pub(crate) secret: usize,
    /// A descriptor that it forgot to mark close-on-exec.
    pub(crate) descriptor: i32,
}

impl Target {
    /// Reads `attempt file socket port supervisor secret descriptor`.
    pub(crate) fn parse(args: &[String]) -> Target {
        let [attempt, file, socket, port, supervisor, secret, descriptor] = args else {
            panic!("expected seven arguments, got {args:?}");
        };
        Target {
            attempt: attempt.clone(),
            file: file.into(),
            socket: socket.into(),
            port: port.parse().expect("a port"),
            supervisor: supervisor.parse().expect("a process id"),
            secret: secret.parse().expect("an address"),
            descriptor: descriptor.parse().expect("a descriptor"),
        }
    }
}

/// The result of a raw system call or of a C function that returns -1 on failure.
pub(crate) fn checked(result: impl Into<i64>) -> io::Result<i64> {
    match result.into() {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value),
    }
}

/// Makes a raw system call; words only, so pointers are cast by the caller.
pub(crate) fn call<const N: usize>(number: i64, arguments: [i64; N]) -> io::Result<i64> {
    let mut words = [0; 6];
    words[..N].copy_from_slice(&arguments);
    #[expect(unsafe_code, reason = "the point of a probe is to make calls that no library makes")]
    // SAFETY: the callers pass pointers to living data of the size that the call expects, and the calls
    // either fail or change nothing that Rust relies on.
    checked(unsafe {
        libc::syscall(number, words[0], words[1], words[2], words[3], words[4], words[5])
    })
}
