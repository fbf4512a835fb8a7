//! The last words of a worker.
//!
//! Owns the reading end of its standard error. Never holds more than a tail of it, never lets it fill (a
//! worker would stand still in a write), and never passes control characters on: the text is untrusted and
//! ends on terminals.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cynic_proto::limits::STDERR_TAIL_BYTES_MAX;
use tokio::net::unix::pipe::Receiver;
use tokio::task::JoinHandle;

/// How much one reading takes: what a pipe holds.
const READ_BYTES_MAX: usize = 64 << 10;

/// After this much the drain rests for a moment, so that a worker that floods its log is slowed down instead
/// of the supervisor's other work. Still 50 MB in well under a second.
const BURST_BYTES: usize = 1 << 20;

/// How much is read at once of what the drain has not got to: a tail.
const REST_BYTES_MAX: usize = STDERR_TAIL_BYTES_MAX;

/// How long it rests.
const BURST_REST: Duration = Duration::from_millis(1);

/// Drains standard error in a task of its own and keeps the end of it.
#[derive(Debug)]
pub struct StderrTail {
    pipe: Arc<Receiver>,
    tail: Arc<Mutex<Tail>>,
    drain: JoinHandle<()>,
}

impl StderrTail {
    /// Starts draining. Must be called on a runtime with I/O and time.
    pub(super) fn start(pipe: OwnedFd) -> io::Result<StderrTail> {
        let pipe = Arc::new(Receiver::from_owned_fd(pipe)?);
        let tail = Arc::default();
        let drain = tokio::spawn(drain(Arc::clone(&pipe), Arc::clone(&tail)));
        Ok(StderrTail { pipe, tail, drain })
    }

    /// Forgets what was written so far: it may quote what one client sent, and what the worker is given next may be
    /// another's.
    pub fn forget(&self) {
        self.take_the_rest();
        lock(&self.tail).bytes.clear();
    }

    /// The last [`STDERR_TAIL_BYTES_MAX`] bytes or fewer, printable. Call it after the worker's exit: all
    /// that it wrote is then in the pipe, and only what is there is waited for.
    pub fn finish(&self) -> String {
        self.drain.abort();
        self.take_the_rest();
        lock(&self.tail).text()
    }

    /// Reads what is in the pipe now, past the runtime, which may not have noticed it yet.
    ///
    /// At most twice what a pipe holds: a writer that outlives the worker (there may be one without the sandbox)
    /// must not keep this going.
    fn take_the_rest(&self) {
        let mut buffer = [0; REST_BYTES_MAX];
        for _ in 0..2 * READ_BYTES_MAX / REST_BYTES_MAX {
            match rustix::io::read(&*self.pipe, &mut buffer) {
                Ok(bytes) if bytes > 0 => lock(&self.tail).push(&buffer[..bytes]),
                _ => return,
            }
        }
    }
}

impl Drop for StderrTail {
    fn drop(&mut self) {
        self.drain.abort();
    }
}

/// A tail is whole after each push.
fn lock(tail: &Mutex<Tail>) -> MutexGuard<'_, Tail> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn drain(pipe: Arc<Receiver>, tail: Arc<Mutex<Tail>>) {
    let mut buffer = vec![0; READ_BYTES_MAX];
    let mut burst = 0;
    loop {
        if pipe.readable().await.is_err() {
            return;
        }
        match pipe.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(bytes) => {
                lock(&tail).push(&buffer[..bytes]);
                burst += bytes;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
        if burst >= BURST_BYTES {
            burst = 0;
            tokio::time::sleep(BURST_REST).await;
        }
    }
}

/// The end of a stream of bytes.
#[derive(Debug, Default)]
struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    fn push(&mut self, chunk: &[u8]) {
        let chunk = &chunk[chunk.len().saturating_sub(STDERR_TAIL_BYTES_MAX)..];
        let excess = (self.bytes.len() + chunk.len()).saturating_sub(STDERR_TAIL_BYTES_MAX);
        self.bytes.drain(..excess);
        self.bytes.extend_from_slice(chunk);
    }

    fn text(&self) -> String {
        // The cut may have gone through a character.
        let cut = self.bytes.iter().take(3).take_while(|byte| **byte & 0xC0 == 0x80).count();
        let printable =
            |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{FFFD}' } else { c };
        let text = String::from_utf8_lossy(&self.bytes[cut..]);
        text.trim_end().chars().map(printable).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_the_end_is_kept() {
        let mut tail = Tail::default();
        for chunk in [vec![b'a'; 10 * STDERR_TAIL_BYTES_MAX], vec![b'b'; 5]] {
            tail.push(&chunk);
        }
        let text = tail.text();
        assert_eq!(text.len(), STDERR_TAIL_BYTES_MAX);
        assert!(text.starts_with('a') && text.ends_with("abbbbb"));
    }

    #[test]
    fn untrusted_text_is_made_printable() {
        let mut tail = Tail::default();
        tail.push("é\x1b[2J\x07 tab\tline\n".as_bytes());
        assert_eq!(tail.text(), "é\u{FFFD}[2J\u{FFFD} tab\tline");
        let mut cut = Tail::default();
        cut.push(&"é".as_bytes()[1..]);
        cut.push(b"x\xFF");
        assert_eq!(cut.text(), "x\u{FFFD}");
    }

    #[tokio::test]
    async fn a_flood_never_blocks_its_writer() {
        let (read, mut write) = io::pipe().expect("pipe");
        let tail = StderrTail::start(read.into()).expect("drain");
        let writer = std::thread::spawn(move || {
            for _ in 0..50 {
                write.write_all(&vec![b'.'; 1 << 20]).expect("drained");
            }
            write.write_all(b"the end").expect("drained");
        });
        while !writer.is_finished() {
            tokio::task::yield_now().await;
        }
        writer.join().expect("writer");
        let text = tail.finish();
        assert!(text.len() <= STDERR_TAIL_BYTES_MAX && text.ends_with("the end"), "{text}");
    }

    #[tokio::test]
    async fn what_was_said_about_one_item_is_not_said_about_the_next() {
        let (read, mut write) = io::pipe().expect("pipe");
        let tail = StderrTail::start(read.into()).expect("drain");
        write.write_all(b"one client's").expect("room");
        tail.forget();
        write.write_all(b"another's").expect("room");
        assert_eq!(tail.finish(), "another's");
    }

    #[tokio::test]
    async fn a_pipe_that_someone_else_holds_open_does_not_hold_up_the_end() {
        let (read, mut write) = io::pipe().expect("pipe");
        let tail = StderrTail::start(read.into()).expect("drain");
        write.write_all(b"last words").expect("room");
        assert_eq!(tail.finish(), "last words");
        drop(write);
    }
}
