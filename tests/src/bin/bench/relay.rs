//! The floor: three processes that pass on the same bytes over Unix sockets and do nothing else.
//!
//! This program starts itself twice, as the middle and as the far end. Each reads a message of a known length
//! and writes the next; blocking calls, no runtime, no parsing.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode, Stdio};

use crate::RELAY;

/// Lengths of the four messages of a round trip, in their order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lengths {
    /// From the client to the middle.
    pub(crate) request: usize,
    /// From the middle to the far end.
    pub(crate) lease: usize,
    /// And back.
    pub(crate) done: usize,
    /// From the middle to the client.
    pub(crate) reply: usize,
}

/// A running relay; this process is its client.
#[derive(Debug)]
pub(crate) struct Relay {
    socket: UnixStream,
    request: Vec<u8>,
    reply: Vec<u8>,
    parts: [Child; 2],
}

impl Relay {
    pub(crate) fn start(lengths: Lengths) -> Relay {
        let (client, middle) = UnixStream::pair().expect("a pair");
        let (down, far) = UnixStream::pair().expect("a pair");
        let Lengths { request, lease, done, reply } = lengths;
        // The middle has two sockets: its standard input and its standard output.
        let parts = [
            start(&[request, lease, done, reply], middle.into(), Stdio::from(OwnedFd::from(down))),
            start(&[lease, done], far.into(), Stdio::null()),
        ];
        Relay { socket: client, request: vec![1; request], reply: vec![0; reply], parts }
    }

    pub(crate) fn round_trip(&mut self) {
        self.socket.write_all(&self.request).expect("written");
        self.socket.read_exact(&mut self.reply).expect("read");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Its parts end with their input; they do nothing that takes time.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        for part in &mut self.parts {
            let _ = part.wait();
        }
    }
}

fn start(lengths: &[usize], input: OwnedFd, output: Stdio) -> Child {
    let this = std::env::current_exe().expect("a path");
    let lengths = lengths.iter().map(ToString::to_string);
    let mut command = Command::new(this);
    command.arg(RELAY).args(lengths).stdin(input).stdout(output);
    command.spawn().expect("a part of the relay")
}

/// The life of a part: with four lengths the middle, with two the far end.
pub(crate) fn part(lengths: impl Iterator<Item = String>) -> ExitCode {
    let lengths: Vec<usize> = lengths.filter_map(|length| length.parse().ok()).collect();
    let up = socket(std::io::stdin().as_fd());
    match lengths[..] {
        [request, lease, done, reply] => {
            middle(up, socket(std::io::stdout().as_fd()), [request, lease, done, reply]);
        }
        [lease, done] => far_end(up, lease, done),
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

fn socket(fd: std::os::fd::BorrowedFd<'_>) -> UnixStream {
    UnixStream::from(fd.try_clone_to_owned().expect("a descriptor"))
}

fn middle(mut up: UnixStream, mut down: UnixStream, lengths: [usize; 4]) {
    let [mut request, mut lease, mut done, mut reply] = lengths.map(|length| vec![0; length]);
    while up.read_exact(&mut request).is_ok() {
        pass(&request, &mut lease);
        let there_and_back = down.write_all(&lease).and_then(|()| down.read_exact(&mut done));
        pass(&done, &mut reply);
        if there_and_back.and_then(|()| up.write_all(&reply)).is_err() {
            return;
        }
    }
}

fn far_end(mut up: UnixStream, lease: usize, done: usize) {
    let (mut lease, mut done) = (vec![0; lease], vec![0; done]);
    while up.read_exact(&mut lease).is_ok() {
        pass(&lease, &mut done);
        if up.write_all(&done).is_err() {
            return;
        }
    }
}

/// A copy, so that the bytes are touched as in any relay.
fn pass(from: &[u8], to: &mut [u8]) {
    let common = from.len().min(to.len());
    to[..common].copy_from_slice(&from[..common]);
}
