//! A door in front of a server's socket that delays answers or keeps them back. On threads of its own.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

pub(crate) struct Proxy {
    dir: TempDir,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    answers: Mutex<Answers>,
    changed: Condvar,
}

/// What tells that rows were inserted.
pub(crate) const INSERTED: &[u8] = b"INSERT 0 ";

#[derive(Default, Clone, Copy)]
struct Answers {
    held: Option<&'static [u8]>,
    released: bool,
    waiting: usize,
    delay: Duration,
}

impl Proxy {
    /// A proxy in front of a server's socket, with the same name in another directory.
    pub(crate) fn new(server: &Path) -> Proxy {
        let dir = tempfile::tempdir().unwrap();
        let name = server.file_name().unwrap();
        let listener = UnixListener::bind(dir.path().join(name)).unwrap();
        let state = Arc::new(State::default());
        let (server, shared) = (server.to_owned(), state.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, UnixStream::connect(&server)) else {
                    continue;
                };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || copy(from, to, |_| {}));
                let state = shared.clone();
                thread::spawn(move || copy(server, client, |answer| state.wait(answer)));
            }
        });
        Proxy { dir, state }
    }

    /// The address of the database behind it.
    pub(crate) fn url(&self) -> String {
        let host = self.dir.path().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{host}/cynic")
    }

    /// From now on keeps back the answers with that in them, and those after them.
    pub(crate) fn hold(&self, answers: &'static [u8]) {
        let mut state = self.state.answers.lock().unwrap();
        (state.held, state.released) = (Some(answers), false);
    }

    /// Keeps no more back; what was, never comes.
    pub(crate) fn lose(&self) {
        self.state.answers.lock().unwrap().held = None;
    }

    /// Lets them go.
    pub(crate) fn release(&self) {
        let mut state = self.state.answers.lock().unwrap();
        (state.held, state.released) = (None, true);
        self.state.changed.notify_all();
    }

    /// How many connections have an answer kept back.
    pub(crate) fn waiting(&self) -> usize {
        self.state.answers.lock().unwrap().waiting
    }

    /// Delays each answer so long.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.answers.lock().unwrap().delay = delay;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.release();
    }
}

impl State {
    fn wait(&self, answer: &[u8]) {
        let mut answers = self.answers.lock().unwrap();
        let is_in = |held: &[u8]| answer.windows(held.len()).any(|part| part == held);
        if answers.held.is_some_and(is_in) {
            answers.waiting += 1;
            answers = self.changed.wait_while(answers, |answers| !answers.released).unwrap();
            answers.waiting -= 1;
        }
        let delay = answers.delay;
        drop(answers);
        thread::sleep(delay);
    }
}

fn copy(mut from: UnixStream, mut to: UnixStream, before: impl Fn(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(bytes) = from.read(&mut buffer) {
        before(&buffer[..bytes]);
        if bytes == 0 || to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
