//! From a configuration to a running daemon and back: starts the parts in order, passes signals on, and ends
//! the parts in the reverse order.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cynic_proto::model::Stage;
use cynic_proto::sandbox::SandboxPlan;
use nix::sys::prctl::set_dumpable;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::access::Door;
use crate::arriving::Arriving;
use crate::causes::chain;
use crate::config::{Config, Source};
use crate::gateway::{self, Gateway, ListenError};
use crate::hub::{Accepting, Control, Hub, INPUTS_MAX, Input, Operations, Options, Quarantine};
use crate::journal::LogControl;
use crate::link::Launch;
use crate::manager::{ADMIN_SOCKET, Inherited, JUDGE_SOCKET, Manager};
use crate::metrics;
use crate::pool::Pool;
use crate::process::{CgroupTree, Spawner};
use crate::quarantine::Files;
use crate::recorder::{CloseReport, Database, Recorder, RecorderConfig, RecorderError};
use crate::seats::{SeatLimits, Seats};
use crate::traces::{self, Tracer};

/// How long the store may take to close after the last judgment was handed to it.
const CLOSE_BUDGET: Duration = Duration::from_secs(10);

/// Signals that may wait to be acted on; a person sends a few.
const CONTROLS_MAX: usize = 8;

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The store cannot be opened.
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    /// The socket cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A required layer of the sandbox is missing.
    #[error(
        "the sandbox that `sandbox = \"required\"` asks for is not to be had on this system: {0}; with \
         `sandbox = \"best-effort\"` under [pool] workers run with what there is"
    )]
    Sandbox(String),
    /// The service manager passed a socket that nobody knows what to do with.
    #[error(
        "the service manager passed a socket by the name `{0}`: name it \"judge\" or \"admin\" \
         (FileDescriptorName=, LISTEN_FDNAMES)"
    )]
    SocketName(String),
    /// The store did not take everything before the daemon ended.
    #[error("{0} judgments or records were lost: no store took them; see the log")]
    Lost(u64),
    /// The system refuses something that is needed.
    #[error("could not {action}")]
    System {
        /// What was tried.
        action: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Runs the daemon until a signal ends it. `source` is where the configuration is read again from.
///
/// # Errors
/// It cannot be started; nothing is left behind.
pub fn run(source: Source, config: &Config, log: LogControl) -> Result<(), ServiceError> {
    // Before any thread: these take variables out of the environment.
    let mut inherited =
        Inherited::from_env().map_err(system("take the service manager's sockets"))?;
    let manager = Manager::from_env();
    // What clients sent is in this process's memory: no core dump, and no debugger of the same user's.
    set_dumpable(false).map_err(|errno| system("make this process undumpable")(errno.into()))?;
    let (judges, admins) = (inherited.take(JUDGE_SOCKET), inherited.take(ADMIN_SOCKET));
    if let Some(name) = inherited.left().first() {
        return Err(ServiceError::SocketName((*name).to_owned()));
    }
    // Before anything of another daemon's is touched.
    for (socket, adopted) in [(&config.socket, &judges), (&config.admin_socket, &admins)] {
        if adopted.is_none() {
            gateway::remove_stale(&socket.path)?;
        }
    }
    let (recorder, recorder_thread) =
        manager.starting(|| Recorder::start(recorder_config(config)))?;
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(system("start the runtime"))?;
    let local = LocalSet::new();
    let (inputs, inbox) = mpsc::channel(INPUTS_MAX);
    let (control, controls) = mpsc::channel(CONTROLS_MAX);
    let mut served: Result<(), ServiceError> = local.block_on(&runtime, async {
        let judges = match judges {
            Some(socket) => gateway::adopt(socket)?,
            None => gateway::listen(&config.socket)?,
        };
        let admins = match admins {
            Some(socket) => gateway::adopt(socket)?,
            None => gateway::listen(&config.admin_socket)?,
        };
        let launch = Launch {
            spawner: Spawner::start().map_err(system("start the spawning thread"))?,
            program: config.worker.clone(),
            trusted_keys: config.trusted_keys.clone(),
            plan: SandboxPlan {
                mode: config.sandbox,
                limits: config.limits,
                supervisor: Some(std::process::id()),
            },
            frame_bytes_max: config.frame_bytes_max,
            cgroups: cgroups(config.cgroup),
        };
        let options = Options {
            launch,
            recorder: recorder.clone(),
            admin_socket: config.admin_socket.path.clone(),
            manager,
            tracer: tracer(config.traces.as_ref())?,
            close_budget: CLOSE_BUDGET,
            operations: Operations { source, config: config.clone(), started: config.clone(), log },
        };
        watch_signals(control).map_err(system("watch for signals"))?;
        tracing::info!(
            socket = %config.socket.path.display(),
            admin_socket = %config.admin_socket.path.display(),
            workers = config.pool.size.get(),
            sandbox = config.sandbox.name(),
            "listening"
        );
        let seats = Rc::new(Seats::new(SeatLimits {
            clients_max: config.clients_max,
            clients_per_uid_max: config.clients_per_uid_max,
        }));
        let gateway = Rc::new(gateway_of(config, inputs.clone(), Rc::clone(&seats)));
        if let Some(address) = &config.metrics {
            let listening = format!("listen for metrics at {address} (metrics.listen)");
            let listener = metrics::listen(address).await.map_err(system(&listening))?;
            tokio::task::spawn_local(metrics::serve(listener, inputs.clone()));
        }
        let pool = Pool::new(config.pool.clone(), seed(), Instant::now());
        let accepting = Accepting {
            admins: tokio::task::spawn_local(Rc::clone(&gateway).serve(admins, Door::Admin)),
            judges: tokio::task::spawn_local(gateway.serve(judges, Door::Judge)),
        };
        let quarantine = quarantine(config);
        let hub =
            Hub::new(pool, options, quarantine, inputs, accepting, seats).run(inbox, controls);
        // A task like those that wake it: the runtime looks at the system before it comes back to its root.
        let ended = tokio::task::spawn_local(hub).await;
        let ended = ended.map_err(|panic| system("go on")(io::Error::other(panic)))?;
        ended.map_err(ServiceError::Sandbox)
    });
    let closed = runtime.block_on(recorder.close(CLOSE_BUDGET));
    match closed {
        Ok(CloseReport { lost: 0, spooled }) => tracing::info!(spooled, "stopped"),
        Ok(CloseReport { lost, spooled }) => {
            tracing::error!(lost, spooled, "stopped with what no store would take");
            served = served.and(Err(ServiceError::Lost(lost)));
        }
        Err(error) => tracing::error!(%error, "the store was not closed in order"),
    }
    if recorder_thread.join().is_err() {
        tracing::error!("the recorder's thread panicked");
    }
    drop(local);
    // A thread that reads a file may hang with it: nobody waits for that.
    runtime.shutdown_background();
    served
}

/// The error of something that was tried.
fn system(action: &str) -> impl FnOnce(io::Error) -> ServiceError + use<> {
    let action = action.to_owned();
    move |source| ServiceError::System { action, source }
}

fn gateway_of(config: &Config, hub: mpsc::Sender<Input>, seats: Rc<Seats>) -> Gateway {
    // As much as may wait may be on its way there.
    let (bytes_max, per_uid_max) = (config.pool.queue_bytes_max, config.pool.bytes_per_uid_max);
    Gateway {
        hub,
        frame_bytes_max: config.frame_bytes_max,
        access: config.access.clone(),
        seats,
        arriving: Rc::new(Arriving::new(bytes_max, per_uid_max)),
    }
}

fn recorder_config(config: &Config) -> RecorderConfig {
    let database = match &config.database {
        Some(url) => Database::Postgres(url.clone()),
        None => Database::Sqlite,
    };
    RecorderConfig {
        database,
        commit_budget: config.stage_budgets[Stage::Persist as usize],
        retention: config.retention,
        spool_bytes_max: config.spool_bytes_max,
        // A record that is longer than that alone has the other half.
        page_bytes_max: config.frame_bytes_max / 2,
        ..RecorderConfig::new(&config.data_dir)
    }
}

/// What is in quarantine. A directory that cannot be used costs its memory over restarts, and nothing else.
fn quarantine(config: &Config) -> Quarantine {
    match Files::open(&config.data_dir.join("quarantine")) {
        Ok((files, records)) => {
            tracing::info!(items = records.len(), "quarantine loaded");
            Quarantine::new(config.quarantine, Some(files), records)
        }
        Err(error) => {
            tracing::error!(error = chain(&error), "the quarantine is kept in memory only");
            Quarantine::new(config.quarantine, None, Vec::new())
        }
    }
}

/// Traces that cannot be written are no reason not to judge, but one not to start: the operator is there to see it.
fn tracer(settings: Option<&traces::Settings>) -> Result<Option<Tracer>, ServiceError> {
    let started = settings.map(Tracer::start).transpose();
    let file = settings.map(|settings| settings.file.display().to_string()).unwrap_or_default();
    started.map_err(system(&format!("open the file of traces {file} (traces.file)")))
}

/// The tree of control groups, where one was delegated and is wanted.
fn cgroups(wanted: bool) -> Result<Rc<CgroupTree>, String> {
    if !wanted {
        return Err("switched off by `cgroup = false`".to_owned());
    }
    match CgroupTree::delegated() {
        Ok(Some(tree)) => Ok(Rc::new(tree)),
        Ok(None) => Err("no tree is delegated".to_owned()),
        Err(error) => {
            let why = chain(&error);
            tracing::warn!(why, "the delegated tree of control groups is not used");
            Err(why)
        }
    }
}

/// Each run has jitter and nonces of its own. None is a secret: a worker can only answer at its own socket, for its own
/// lease.
fn seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1
}

/// The first TERM or INT drains, a second one stops at once; HUP reads the configuration again.
fn watch_signals(controls: mpsc::Sender<Control>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut draining = false;
        for signal in &mut signals {
            let control = match signal {
                SIGHUP => Control::Reload,
                _ if draining => Control::Stop,
                _ => Control::Drain,
            };
            draining |= control != Control::Reload;
            if controls.blocking_send(control).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
