//! From a configuration to a running daemon and back: starts the parts in order, passes signals on, and ends
//! the parts in the reverse order.

use std::io;
use std::time::{Duration, Instant};

use cynic_proto::sandbox::SandboxPlan;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::config::Config;
use crate::gateway::{self, Gateway, ListenError};
use crate::hub::{Control, Hub, INPUTS_MAX, Options};
use crate::link::Launch;
use crate::pool::Pool;
use crate::process::Spawner;
use crate::recorder::{Database, Recorder, RecorderConfig, RecorderError};

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
    /// The system refuses something that every process needs.
    #[error("could not {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Runs the daemon until a signal ends it.
///
/// # Errors
/// It cannot be started; nothing is left behind.
pub fn run(config: &Config) -> Result<(), ServiceError> {
    let system = |action| move |source| ServiceError::System { action, source };
    let (recorder, recorder_thread) = Recorder::start(recorder_config(config))?;
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(system("start the runtime"))?;
    let local = LocalSet::new();
    let (inputs, inbox) = mpsc::channel(INPUTS_MAX);
    let (control, controls) = mpsc::channel(CONTROLS_MAX);
    let served: Result<(), ServiceError> = local.block_on(&runtime, async {
        let listener = gateway::listen(&config.socket, config.socket_mode)?;
        let launch = Launch {
            spawner: Spawner::start().map_err(system("start the spawning thread"))?,
            program: config.worker.clone(),
            plan: SandboxPlan {
                mode: config.sandbox,
                limits: config.limits,
                supervisor: Some(std::process::id()),
            },
            frame_bytes_max: config.frame_bytes_max,
        };
        let options = Options {
            launch,
            recorder: recorder.clone(),
            store_content: config.store_content,
            drain_budget: config.drain_budget,
        };
        watch_signals(control).map_err(system("watch for signals"))?;
        tracing::info!(
            socket = %config.socket.display(),
            workers = config.pool.size.get(),
            sandbox = config.sandbox.name(),
            "listening"
        );
        let gateway = Gateway {
            hub: inputs.clone(),
            frame_bytes_max: config.frame_bytes_max,
            clients_max: config.clients_max,
        };
        let pool = Pool::new(config.pool.clone(), seed(), Instant::now());
        let accepting = tokio::task::spawn_local(gateway.serve(listener));
        Hub::new(pool, options, inputs, accepting).run(inbox, controls).await;
        Ok(())
    });
    let closed = runtime.block_on(recorder.close(CLOSE_BUDGET));
    match closed {
        Ok(report) => tracing::info!(?report, "stopped"),
        Err(error) => tracing::error!(%error, "the store was not closed in order"),
    }
    if recorder_thread.join().is_err() {
        tracing::error!("the recorder's thread panicked");
    }
    served
}

fn recorder_config(config: &Config) -> RecorderConfig {
    let database = match &config.database {
        Some(url) => Database::Postgres(url.clone()),
        None => Database::Sqlite(None),
    };
    RecorderConfig {
        database,
        store_content: config.store_content,
        ..RecorderConfig::new(&config.data_dir)
    }
}

/// Nonces and jitter must not be guessed by a worker; a random UUID's bits come from the system.
fn seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1
}

/// The first TERM or INT drains, a second one stops at once; HUP is kept for reloading.
fn watch_signals(controls: mpsc::Sender<Control>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut draining = false;
        for signal in &mut signals {
            let control = match signal {
                SIGHUP => {
                    tracing::info!("SIGHUP is reserved for reloading the configuration; ignored");
                    continue;
                }
                _ if draining => Control::Stop,
                _ => Control::Drain,
            };
            draining = true;
            if controls.blocking_send(control).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
