//! The last words of a worker.
//!
//! Owns the reading end of its standard error. Never holds more than a tail of it, never lets it fill (a
//! worker would stand still in a write), and never passes control characters on: the text is untrusted and
//! ends on terminals.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use cynic_proto::limits::STDERR_TAIL_BYTES_MAX;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How much one reading takes: what a pipe holds.
const READ_BYTES_MAX: usize = 64 << 10;

/// After this much the drain rests for a moment, so that a worker that floods its log is slowed down instead
/// of the supervisor's other work. Still 50 MB in well under a second.
const BURST_BYTES: usize = 1 << 20;

/// How long it rests.
const BURST_REST: Duration = Duration::from_millis(1);

/// Drains standard error in a task of its own and keeps the end of it.
#[derive(Debug)]
pub struct StderrTail {
    stop: oneshot::Sender<()>,
    drain: JoinHandle<Tail>,
}

impl StderrTail {
    /// Starts draining. Must be called on a runtime with I/O and time.
    pub(super) fn start(pipe: OwnedFd) -> io::Result<StderrTail> {
        let pipe = Receiver::from_owned_fd(pipe)?;
        let (stop, stopped) = oneshot::channel();
        Ok(StderrTail { stop, drain: tokio::spawn(drain(pipe, stopped)) })
    }

    /// The last [`STDERR_TAIL_BYTES_MAX`] bytes or fewer, printable. Call it after the worker's exit: all
    /// that it wrote is then in the pipe, and only what is there is waited for.
    pub async fn finish(self) -> String {
        // Failing means that the drain has met the end already.
        let _ = self.stop.send(());
        self.drain.await.map(|tail| tail.text()).unwrap_or_default()
    }
}

async fn drain(pipe: Receiver, mut stopped: oneshot::Receiver<()>) -> Tail {
    let mut tail = Tail::default();
    let mut buffer = vec![0; READ_BYTES_MAX];
    let mut burst = 0;
    loop {
        tokio::select! {
            ready = pipe.readable() => if ready.is_err() { return tail },
            _ = &mut stopped => {
                take_the_rest(&pipe, &mut buffer, &mut tail);
                return tail;
            }
        }
        match pipe.try_read(&mut buffer) {
            Ok(0) => return tail,
            Ok(bytes) => {
                tail.push(&buffer[..bytes]);
                burst += bytes;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return tail,
        }
        if burst >= BURST_BYTES {
            burst = 0;
            tokio::time::sleep(BURST_REST).await;
        }
    }
}

/// Reads what is in the pipe now, past the runtime, which may not have noticed it yet.
///
/// At most twice what a pipe holds: a writer that outlives the worker (there may be one without the sandbox)
/// must not keep this going.
fn take_the_rest(pipe: &Receiver, buffer: &mut [u8], tail: &mut Tail) {
    for _ in 0..2 {
        match rustix::io::read(pipe, &mut *buffer) {
            Ok(bytes) if bytes > 0 => tail.push(&buffer[..bytes]),
            _ => return,
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
        let text = tail.finish().await;
        assert!(text.len() <= STDERR_TAIL_BYTES_MAX && text.ends_with("the end"), "{text}");
    }

    #[tokio::test]
    async fn a_pipe_that_someone_else_holds_open_does_not_hold_up_the_end() {
        let (read, mut write) = io::pipe().expect("pipe");
        let tail = StderrTail::start(read.into()).expect("drain");
        write.write_all(b"last words").expect("room");
        assert_eq!(tail.finish().await, "last words");
        drop(write);
    }
}
