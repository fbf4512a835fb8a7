//! The service manager: how the daemon is, told in `sd_notify`'s words, and the sockets that it opened for us.
//!
//! Owns the environment that a manager passes things by. Does nothing where there is none: by hand, in a
//! container, under a supervisor of another kind.

use std::env;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{self as sync_mpsc, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// How often the status line is brought up to date where no watchdog asks for more.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// The watchdog is fed this many times in its interval, so that one late beat is no alarm.
const BEATS_PER_WATCHDOG: u32 = 3;

/// How much more time is asked for while the store is opened; anew each quarter of it.
const START_EXTENSION: Duration = Duration::from_mins(1);

/// The connection to the service manager.
#[derive(Debug)]
pub struct Manager {
    /// How often [`Manager::beat`] wants to be called.
    interval: Option<Duration>,
    next: Option<Instant>,
    watchdog: bool,
    ready: bool,
    status: String,
}

impl Manager {
    /// The manager that started this process, if one did.
    pub fn from_env() -> Manager {
        let watchdog = sd_notify::watchdog_enabled();
        let there = env::var_os("NOTIFY_SOCKET").is_some();
        let interval = match watchdog {
            Some(time) => Some((time / BEATS_PER_WATCHDOG).min(STATUS_INTERVAL)),
            None => there.then_some(STATUS_INTERVAL),
        };
        Manager {
            interval,
            next: interval.map(|_| Instant::now()),
            watchdog: watchdog.is_some(),
            ready: false,
            status: String::new(),
        }
    }

    /// Does what comes before readiness and may take as long as it does, such as the check of a large store: the manager is
    /// asked for more time all the while.
    pub fn starting<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.interval.is_none() {
            return work();
        }
        let extend = || {
            let micros = START_EXTENSION.as_micros();
            tell(&[NotifyState::Custom(&format!("EXTEND_TIMEOUT_USEC={micros}"))]);
        };
        extend();
        thread::scope(|scope| {
            let (working, over) = sync_mpsc::channel::<()>();
            scope.spawn(move || {
                while over.recv_timeout(START_EXTENSION / 4) == Err(RecvTimeoutError::Timeout) {
                    extend();
                }
            });
            let done = work();
            drop(working);
            done
        })
    }

    /// When [`Manager::beat`] is due; `None` without a manager.
    pub fn next_beat(&self) -> Option<Instant> {
        self.next
    }

    /// Feeds the watchdog and brings the status up to date. To be called by whoever makes the progress that
    /// the watchdog watches, and by nobody else.
    pub fn beat(&mut self, now: Instant, status: String) {
        let Some(interval) = self.interval else { return };
        self.next = Some(now + interval);
        if self.watchdog {
            tell(&[NotifyState::Watchdog]);
        }
        self.say(status);
    }

    /// Says that a reload is over, well or not. One before work was ever done says nothing of that.
    pub fn reloaded(&mut self, status: String) {
        if self.ready { self.ready(status) } else { self.say(status) }
    }

    /// Says that work is done.
    pub fn ready(&mut self, status: String) {
        // Said once, whoever hears it: the status is not to be put together in each turn of the hub where nobody does.
        self.ready = true;
        if self.interval.is_none() {
            return;
        }
        tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
        self.status = status;
    }

    /// Whether [`Manager::ready`] was said.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Says that the configuration is being read again; [`Manager::reloaded`] ends that.
    pub fn reloading(&self) {
        if !self.ready {
            return;
        }
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => {
                tracing::warn!(%error, "could not read the clock for the service manager");
            }
        }
    }

    /// Says that the daemon ends, and that it may take so long over it.
    pub fn stopping(&mut self, budget: Duration) {
        if self.interval.is_none() {
            return;
        }
        // The crate's own word for it holds 71 minutes.
        let extend = format!("EXTEND_TIMEOUT_USEC={}", budget.as_micros());
        tell(&[NotifyState::Stopping, NotifyState::Custom(&extend)]);
    }

    /// One line for people, sent when it has changed.
    pub fn say(&mut self, status: String) {
        if self.interval.is_some() && status != self.status {
            tell(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "could not notify the service manager");
    }
}

/// Sockets that the service manager listens at for us, by their names (`FileDescriptorName=`).
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(String, UnixListener)>,
}

impl Inherited {
    /// Takes the sockets of this process, if it was given any; none a second time.
    ///
    /// # Errors
    /// One of them is no Unix stream socket that listens.
    pub fn from_env() -> io::Result<Inherited> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<&str> = names.split(':').collect();
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for n in 0..passed.len() {
            let Some(listener) = passed.take_unix_listener(n)? else { continue };
            listener.set_nonblocking(true)?;
            sockets.push((names.get(n).copied().unwrap_or_default().to_owned(), listener));
        }
        Ok(Inherited { sockets })
    }

    /// Names of the sockets that nobody took.
    pub fn left(&self) -> Vec<&str> {
        self.sockets.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The socket of that name. One without a name of its own (a manager calls it `unknown`, or by its unit)
    /// is anybody's, so that any manager will do where there is only one.
    pub fn take(&mut self, name: &str) -> Option<UnixListener> {
        let named = self.sockets.iter().position(|(has, _)| has == name);
        let only = (self.sockets.len() == 1).then_some(0);
        let nameless = only.filter(|_| !NAMES.contains(&self.sockets[0].0.as_str()));
        named.or(nameless).map(|n| self.sockets.swap_remove(n).1)
    }
}

/// Names that mean something.
const NAMES: [&str; 2] = [JUDGE_SOCKET, ADMIN_SOCKET];

/// The socket at which clients ask for judgments.
pub const JUDGE_SOCKET: &str = "judge";

/// The socket at which operators ask for everything else.
pub const ADMIN_SOCKET: &str = "admin";

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(names: &[&str]) -> Inherited {
        let dir = tempfile::tempdir().expect("a directory");
        let bind = |(n, name): (usize, &&str)| {
            let path = dir.path().join(n.to_string());
            ((*name).to_owned(), UnixListener::bind(path).expect("a socket"))
        };
        Inherited { sockets: names.iter().enumerate().map(bind).collect() }
    }

    #[test]
    fn sockets_go_by_name() {
        let mut both = inherited(&["admin", "judge"]);
        let path = |l: &UnixListener| {
            l.local_addr().expect("bound").as_pathname().expect("a path").to_owned()
        };
        assert!(path(&both.take("judge").expect("there")).ends_with("1"));
        assert!(both.take("judge").is_none(), "the admin socket is no judge socket");
        assert!(both.take("admin").is_some());
    }

    #[test]
    fn the_only_socket_needs_no_name() {
        for name in ["", "unknown", "cynicd.socket"] {
            assert!(inherited(&[name]).take("judge").is_some(), "{name}");
        }
        assert!(inherited(&["unknown", "unknown"]).take("judge").is_none());
    }

    #[test]
    fn without_a_manager_nothing_is_due() {
        let status = String::new();
        let mut manager =
            Manager { interval: None, next: None, watchdog: false, ready: false, status };
        manager.ready("ready".to_owned());
        assert_eq!(manager.next_beat(), None);
        assert!(manager.is_ready(), "said once, though nobody hears it");
    }
}
