//! A real daemon in a temporary directory.
//!
//! Owns the process and its files; dropping it ends both. Never leaves a process behind.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cynic_proto::client::{Client, Options};
use cynic_proto::stats::Stats;
use tempfile::TempDir;

use crate::procfs;

/// Longest wait for anything that a healthy daemon does, on a machine that does other things too.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// How often a condition is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// A directory with a daemon's configuration, data, socket and log; the daemon in it may come and go.
#[derive(Debug)]
pub struct Home {
    directory: TempDir,
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Home {
    /// A directory with a configuration file, in TOML.
    ///
    /// # Panics
    /// If there is no room for it.
    pub fn new(config: &str) -> Home {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let home = Home { directory };
        home.configure(config);
        home
    }

    /// Replaces the configuration file.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn configure(&self, config: &str) {
        fs::write(self.path("cynic.toml"), config).expect("written");
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts a daemon without waiting for it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn launch(&self) -> Daemon {
        self.launch_with(&[])
    }

    /// The same with variables in its environment.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn launch_with(&self, variables: &[(&str, &str)]) -> Daemon {
        self.spawn(|command| command.envs(variables.iter().copied()))
    }

    /// The same as another user, whose directory this is from now on. Only root can.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn launch_as(&self, uid: u32) -> Daemon {
        chown(self.path("."), Some(uid), Some(uid)).expect("chown");
        self.spawn(|command| command.uid(uid).gid(uid))
    }

    fn spawn(&self, adjust: impl FnOnce(&mut Command) -> &mut Command) -> Daemon {
        let log = self.path("log");
        let appended = File::options().create(true).append(true).open(&log).expect("a log");
        let socket = self.path("cynicd.sock");
        let mut command = Command::new(binary("cynicd"));
        command
            .arg("--config")
            .arg(self.path("cynic.toml"))
            .arg("--socket")
            .arg(&socket)
            .arg("--data-dir")
            .arg(self.path("data"))
            // Whatever the environment says to a daemon, it does not say to this one.
            .env_clear()
            .env("CYNIC_LOG", "info")
            .envs(self.patience())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(appended);
        let child = adjust(&mut command).spawn().expect("a daemon");
        Daemon { child, socket, log }
    }

    /// Unoptimised workers beside other tests may take longer to start than a product's have to.
    fn patience(&self) -> Option<(&'static str, &'static str)> {
        let config = fs::read_to_string(self.path("cynic.toml")).unwrap_or_default();
        let told = config.contains("start_timeout_ms");
        (!told).then_some(("CYNIC_POOL__START_TIMEOUT_MS", "10000"))
    }

    /// Starts a daemon and waits until it is ready.
    ///
    /// # Panics
    /// If it does not become ready.
    pub async fn start(&self) -> Daemon {
        let daemon = self.launch();
        daemon.ready().await;
        daemon
    }
}

impl Daemon {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Waits until it would judge a task.
    ///
    /// # Panics
    /// If it does not get there.
    pub async fn ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(client) = self.try_client().await
                && client.ping().await.is_ok_and(|pong| pong.ready)
            {
                return;
            }
            assert!(Instant::now() < deadline, "the daemon is not ready:\n{}", self.log());
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// A connection to it that is made again when it breaks.
    ///
    /// # Panics
    /// If it takes none.
    pub async fn client(&self) -> Client {
        self.try_client().await.unwrap_or_else(|error| panic!("{error}:\n{}", self.log()))
    }

    /// A connection for what operators do.
    ///
    /// # Panics
    /// If it takes none.
    pub async fn admin(&self) -> Client {
        let options = Options::new(cynic_proto::socket::admin_of(&self.socket));
        Client::connect(options).await.unwrap_or_else(|error| panic!("{error}:\n{}", self.log()))
    }

    async fn try_client(&self) -> Result<Client, cynic_proto::client::ClientError> {
        Client::connect(Options::new(&self.socket)).await
    }

    /// Its figures.
    ///
    /// # Panics
    /// If it does not tell.
    pub async fn stats(&self) -> Stats {
        self.client().await.stats().await.expect("the figures")
    }

    /// Waits until its figures are as wanted and returns them.
    ///
    /// # Panics
    /// If they do not become so; says what was waited for and what they are.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Stats) -> bool) -> Stats {
        let client = self.client().await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = client.stats().await.expect("the figures");
            if wanted(&stats) {
                return stats;
            }
            let (pool, workers) = (&stats.pool, &stats.workers);
            assert!(
                Instant::now() < deadline,
                "not in time: {what}: {pool:#?} {workers:#?}\n{}",
                self.log()
            );
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Waits until every worker is idle and nothing waits.
    pub async fn settled(&self) -> Stats {
        self.until("every worker is idle", |stats| {
            let pool = &stats.pool;
            let at_rest = pool.queue_length == 0 && pool.active_tasks == 0;
            at_rest && pool.workers_idle == pool.pool_size
        })
        .await
    }

    /// Process ids of its children that live.
    pub fn workers(&self) -> Vec<u32> {
        procfs::children(self.pid()).into_iter().filter(|pid| !procfs::is_zombie(*pid)).collect()
    }

    /// Waits until so many of its children live as is wanted.
    ///
    /// # Panics
    /// If it does not come to that.
    pub async fn until_workers(&self, what: &str, wanted: impl Fn(usize) -> bool) {
        until(what, || wanted(self.workers().len())).await;
    }

    /// Waits until every dead child is reaped: between its death and that there is a moment.
    ///
    /// # Panics
    /// If one is left.
    pub async fn no_zombies(&self) {
        let left = || {
            procfs::children(self.pid()).into_iter().filter(|pid| procfs::is_zombie(*pid)).count()
        };
        until("every dead worker is reaped", || left() == 0).await;
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        procfs::descriptors(self.pid())
    }

    /// Waits until it has no more descriptors open than before something was done to it.
    ///
    /// # Panics
    /// If some stay.
    pub async fn descriptors_back_to(&self, before: usize) {
        // Connections of the test's own, for figures, that the daemon may still hold.
        const OWN: usize = 2;
        until("its descriptors are closed", || self.descriptors() <= before + OWN).await;
    }

    /// Its resident memory in bytes.
    pub fn memory_bytes(&self) -> u64 {
        procfs::memory_bytes(self.pid())
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        const LINES: usize = 60;
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// Kills it as a crash would: without a word.
    ///
    /// # Panics
    /// If the kernel refuses.
    pub fn crash(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// Asks it to stop and waits for its end; returns its exit code.
    ///
    /// # Panics
    /// If it does not stop in time.
    pub async fn stop(self) -> Option<i32> {
        procfs::signal(self.pid(), rustix::process::Signal::TERM);
        self.ended().await
    }

    /// Waits for its end; returns its exit code.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn ended(mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("told") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the daemon does not stop:\n{}", self.log());
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both do nothing if it has ended; its workers end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the condition holds.
///
/// # Panics
/// If it does not come to hold.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Points a link at a program, in one step.
///
/// # Panics
/// If the file system does not let it.
pub fn point(link: &Path, program: &Path) {
    let next = link.with_extension("next");
    std::os::unix::fs::symlink(program, &next).expect("linked");
    fs::rename(&next, link).expect("renamed");
}

/// A program of the product, built beside the test's own by `cargo build --workspace`.
///
/// # Panics
/// If it is not there.
pub fn binary(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("a path");
    let directories = this.ancestors().skip(1);
    let mut paths = directories.map(|directory| directory.join(name));
    paths
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not built: run `cargo build --workspace` first"))
}
