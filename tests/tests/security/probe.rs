//! Runs one attempt of the `sandbox_probe` against targets of its own.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use cynic_proto::sandbox::{SandboxMode, SandboxPlan};
use cynicd::process::{Exit, SpawnRequest, Spawner, WorkerProcess};

/// Longest that an attempt may take on a machine that does other things too.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// What the probe adds to the error number of a refused attempt.
const REFUSED: i32 = 150;

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It went through.
    Done,
    /// It got that error number, and the process went on.
    Refused(i32),
    /// It ended the process.
    Died(Exit),
}

/// A plan with that mode and the default limits; this process stands for the supervisor.
pub(crate) fn plan(mode: SandboxMode) -> SandboxPlan {
    SandboxPlan { mode, supervisor: Some(std::process::id()), ..SandboxPlan::default() }
}

/// Makes an attempt; returns what became of it and what the probe said.
pub(crate) fn attempt(name: &str, plan: &SandboxPlan) -> (Outcome, String) {
    run(name, plan, async |worker: &mut WorkerProcess| {
        worker.process.exited().await.expect("an exit")
    })
}

/// Makes an attempt while `meanwhile` deals with the process and waits for its end.
pub(crate) fn run(
    name: &str,
    plan: &SandboxPlan,
    meanwhile: impl AsyncFnOnce(&mut WorkerProcess) -> Exit,
) -> (Outcome, String) {
    let targets = Targets::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let spawner = Spawner::start().expect("a thread");
        let mut worker = spawner.spawn(targets.request(name, plan)).await.expect("a probe");
        let exit = tokio::time::timeout(ATTEMPT_TIMEOUT, meanwhile(&mut worker)).await;
        let exit = exit.unwrap_or_else(|_| panic!("{name} takes too long"));
        let outcome = match exit {
            Exit::Code(0) => Outcome::Done,
            Exit::Code(code) if code > REFUSED => Outcome::Refused(code - REFUSED),
            other => Outcome::Died(other),
        };
        (outcome, worker.stderr.finish())
    })
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(ATTEMPT_TIMEOUT, wait).await.is_ok(), "not in time: {what}");
}

/// Everything that an attempt may be directed at; this process stands for the supervisor.
struct Targets {
    directory: tempfile::TempDir,
    port: u16,
    secret: Box<[u8; 8]>,
    forgotten: File,
    _listeners: (TcpListener, UnixListener, UnixListener),
}

impl Targets {
    fn new() -> Targets {
        let directory = tempfile::tempdir().expect("a directory");
        let mut file = File::create(directory.path().join("cynic.db")).expect("a file");
        file.write_all(b"judgments").expect("written");
        let forgotten =
            File::options().read(true).write(true).open(directory.path().join("cynic.db"));
        let forgotten = forgotten.expect("opened");
        rustix::io::fcntl_setfd(&forgotten, rustix::io::FdFlags::empty()).expect("inheritable");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = tcp.local_addr().expect("its address").port();
        let unix = UnixListener::bind(directory.path().join("cynic.sock")).expect("a socket");
        let name = SocketAddr::from_abstract_name(port.to_string()).expect("a name");
        let hidden = UnixListener::bind_addr(&name).expect("an abstract socket");
        let secret = Box::new(*b"sesame!!");
        Targets { directory, port, secret, forgotten, _listeners: (tcp, unix, hidden) }
    }

    fn request(&self, attempt: &str, plan: &SandboxPlan) -> SpawnRequest {
        let mut args = vec![serde_json::json!(plan).to_string(), attempt.to_owned()];
        for file in ["cynic.db", "cynic.sock"] {
            args.push(self.directory.path().join(file).display().to_string());
        }
        args.push(self.port.to_string());
        args.push(std::process::id().to_string());
        args.push((&raw const *self.secret as usize).to_string());
        args.push(self.forgotten.as_raw_fd().to_string());
        SpawnRequest {
            program: env!("CARGO_BIN_EXE_sandbox_probe").into(),
            args: args.into_iter().map(Into::into).collect(),
            cgroup: None,
        }
    }
}
