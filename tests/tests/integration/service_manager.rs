//! What the daemon says to its service manager, and takes from it.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use cynic_tests::daemon::{Daemon, Home, PATIENCE};
use cynic_tests::procfs;
use rustix::process::Signal;

/// A service manager's end of the notification socket.
pub(crate) struct Manager {
    socket: UnixDatagram,
    heard: String,
}

impl Manager {
    pub(crate) fn at(home: &Home) -> Manager {
        let socket = UnixDatagram::bind(home.path("notify")).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
        Manager { socket, heard: String::new() }
    }

    /// Listens until it has heard that line; returns all that was said before it.
    pub(crate) fn hears(&mut self, line: &str, daemon: &Daemon) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        loop {
            if let Some(at) = self.heard.find(line) {
                let before = self.heard[..at].to_owned();
                self.heard.drain(..at + line.len());
                return before;
            }
            let log = || daemon.log();
            assert!(Instant::now() < deadline, "not said: {line}\n{}\n{}", self.heard, log());
            if let Ok(length) = self.socket.recv(&mut buffer) {
                self.heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        }
    }
}

fn launch(home: &Home) -> (Manager, Daemon) {
    let manager = Manager::at(home);
    let notify = home.path("notify").display().to_string();
    let variables = [("NOTIFY_SOCKET", &notify[..]), ("WATCHDOG_USEC", "300000")];
    (manager, home.launch_with(&variables))
}

#[test]
fn a_life_is_told_from_readiness_to_the_end() {
    let home = Home::new("[pool]\nsize = 1");
    let (mut manager, daemon) = launch(&home);
    // While the store is opened, whatever that takes.
    manager.hears("EXTEND_TIMEOUT_USEC=60000000\n", &daemon);
    manager.hears("READY=1\nSTATUS=ready: 1 of 1 workers live", &daemon);
    for _ in 0..3 {
        manager.hears("WATCHDOG=1\n", &daemon);
    }
    procfs::signal(daemon.pid(), Signal::HUP);
    manager.hears("RELOADING=1\nMONOTONIC_USEC=", &daemon);
    manager.hears("READY=1\n", &daemon);
    home.configure("sise = 1");
    procfs::signal(daemon.pid(), Signal::HUP);
    manager.hears("RELOADING=1\n", &daemon);
    let between = manager.hears("READY=1\n", &daemon);
    assert!(!between.contains("STOPPING"), "{between}");
    manager.hears("configuration refused", &daemon);
    procfs::signal(daemon.pid(), Signal::TERM);
    manager.hears("STOPPING=1\nEXTEND_TIMEOUT_USEC=45000000\n", &daemon);
}

#[test]
fn a_daemon_whose_workers_do_not_start_is_never_ready_and_says_why() {
    let home = Home::new("[pool]\nsize = 1\nworker = \"/bin/false\"");
    let (mut manager, daemon) = launch(&home);
    let before = manager.hears("STATUS=not ready: workers do not start, last: ", &daemon);
    assert!(!before.contains("READY=1"), "{before}");
    // Nor does a reload make it so.
    home.configure("sise = 1");
    procfs::signal(daemon.pid(), Signal::HUP);
    let before = manager.hears("configuration refused", &daemon);
    assert!(!before.contains("READY=1"), "{before}");
}
