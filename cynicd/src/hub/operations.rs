//! What an operator changes while the daemon runs: the configuration, the pool's size, the workers, the log.
//!
//! Nothing here drops a task: the pool replaces workers between tasks, one after another.

use std::fmt::Write as _;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cynic_proto::ids::WorkerId;
use cynic_proto::message::{RefusalKind, Reply, ToClient};
use cynic_proto::model::Stage;
use tokio::time::timeout;

use super::clients::refused;
use super::{Hub, Input};
use crate::causes::chain;
use crate::config::{Config, ConfigError, POOL_SIZE_MAX, Source, auto_size};
use crate::journal::LogControl;
use crate::pool::{ClientId, Event};

/// How long replacing the workers may take before those who asked are told how far it got: each worker may
/// have to finish a task first.
const ROLLING_TIME: Duration = Duration::from_secs(30);

/// How long reading the configuration may take: its file system may hang.
const LOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What those are told who want it to go on when it was told to end.
pub(super) const ENDING: &str = "the daemon ends: ask the next one";

/// What may change while the daemon runs, and where it comes from.
#[derive(Debug)]
pub struct Operations {
    /// Where the configuration is read from.
    pub source: Source,
    /// The configuration in force, as far as it can be without a restart.
    pub config: Config,
    /// The one that the daemon started with.
    pub started: Config,
    /// The log.
    pub log: LogControl,
}

/// A request whose answer comes later.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    pub(super) client: ClientId,
    pub(super) seq: u64,
}

/// The configuration as it was read again, and who wants to know; the service manager, where it is nobody.
#[derive(Debug)]
pub struct Loaded {
    config: Result<Config, ConfigError>,
    asker: Option<Asker>,
}

/// The replacement of all workers.
#[derive(Debug)]
pub(super) struct Rolling {
    pub(super) until: Instant,
    /// Workers that did not start when it began: more of them are this replacement's doing.
    missing: usize,
    askers: Vec<(Asker, String)>,
    reload: bool,
}

impl Hub {
    /// Reads the configuration on another thread, since the file may be anywhere; [`Hub::loaded`] goes on.
    pub(super) fn reload(&mut self, asker: Option<Asker>) {
        if self.ending {
            tracing::info!("not reading the configuration again: the daemon ends");
            if let Some(asker) = asker {
                self.answer_asker(asker, refused(RefusalKind::Unavailable, ENDING));
            }
            return;
        }
        tracing::info!("reading the configuration again");
        self.options.manager.reloading();
        let (source, hub) = (self.options.operations.source.clone(), self.inputs.clone());
        tokio::task::spawn_local(async move {
            let load = tokio::task::spawn_blocking(move || source.load());
            let config = match timeout(LOAD_TIMEOUT, load).await {
                Ok(Ok(config)) => config,
                Ok(Err(_)) => return,
                Err(_) => Err(ConfigError::Slow(LOAD_TIMEOUT)),
            };
            // The hub is gone only when the daemon ends.
            drop(hub.send(Input::Loaded(Box::new(Loaded { config, asker }))).await);
        });
    }

    pub(super) fn loaded(&mut self, loaded: Loaded) {
        match loaded.config {
            Ok(config) => {
                let report = self.apply(config);
                tracing::info!("{report}");
                self.roll(loaded.asker, report, true);
            }
            Err(error) => {
                let message = format!("{}; nothing has changed", chain(&error));
                tracing::error!("the configuration was not taken: {message}");
                if let Some(asker) = loaded.asker {
                    let kind = RefusalKind::Malformed;
                    self.answer_asker(asker, Reply::Refused { kind, message });
                }
                if self.rolling.is_none() {
                    let status = format!("{} (configuration refused, see the log)", self.status());
                    self.options.manager.reloaded(status);
                }
            }
        }
    }

    /// Works by another configuration from now on. Says what of it has to wait for a restart.
    fn apply(&mut self, config: Config) -> String {
        let operations = &mut self.options.operations;
        let old = std::mem::replace(&mut operations.config, config);
        let config = &operations.config;
        let mut report = if old == *config {
            "the configuration is as it was".to_owned()
        } else {
            "the configuration is in force".to_owned()
        };
        let waiting = waiting_for_restart(&operations.started, config);
        if !waiting.is_empty() {
            report.push_str("; a restart is needed for ");
            report.push_str(&waiting.join(", "));
        }
        // Always: an operator may have set another one for the time being.
        if let Err(error) = operations.log.set_configured(&config.log_level) {
            let _ = write!(report, "; {error}");
        }
        self.options.launch.program.clone_from(&config.worker);
        self.options.launch.trusted_keys.clone_from(&config.trusted_keys);
        self.options.launch.plan.mode = config.sandbox;
        self.options.launch.plan.limits = config.limits;
        let pool = Box::new(config.pool.clone());
        self.feed(Event::Configure(pool));
        report
    }

    /// Sets the number of workers until the configuration is read again.
    pub(super) fn scale(&mut self, asker: Asker, size: Option<u16>) {
        let before = self.pool.config().size;
        let sound = |size: &NonZeroU16| size.get() <= POOL_SIZE_MAX;
        let wanted = match size {
            None => Some(auto_size()),
            Some(size) => NonZeroU16::new(size).filter(sound),
        };
        let Some(size) = wanted else {
            let message = format!("there can be 1 to {POOL_SIZE_MAX} workers");
            let refused = Reply::Refused { kind: RefusalKind::Malformed, message };
            return self.answer_asker(asker, refused);
        };
        let config = crate::pool::Config { size, ..self.pool.config().clone() };
        self.feed(Event::Configure(Box::new(config)));
        let report = format!("workers: {before} → {size}, until the next reload or restart");
        tracing::info!("{report}");
        self.answer_asker(asker, Reply::Report(report));
    }

    /// Replaces all workers, one after another; answers when that is over.
    pub(super) fn restart_workers(&mut self, asker: Asker) {
        let report = format!("workers: {}", self.pool.config().size);
        self.roll(Some(asker), report, false);
    }

    /// Kills the process in a slot. Its task, if it has one, is tried again by another.
    pub(super) fn kill_in_slot(&mut self, slot: u16) -> Reply {
        let worker = self.worker_stats().into_iter().find(|w| w.slot == slot && w.pid != 0);
        let Some(worker) = worker else {
            let message =
                format!("there is no worker process in slot {slot}: see `cynicctl stats`");
            return Reply::Refused { kind: RefusalKind::Malformed, message };
        };
        let id = WorkerId { slot, generation: worker.generation };
        self.feed(Event::KillWorker(id));
        let doing = match &worker.doing[..] {
            "" => "it had no task".to_owned(),
            doing => format!("in {doing}: its task goes to another"),
        };
        Reply::Report(format!("worker {id}, process {}, is killed; {doing}", worker.pid))
    }

    /// Logs by another filter until the configuration is read again.
    pub(super) fn log_level(&mut self, filter: &str) -> Reply {
        match self.options.operations.log.set(filter) {
            Ok(()) => {
                tracing::info!(filter, "the log's level was changed");
                Reply::Report(format!("logging at `{filter}`, until the next reload or restart"))
            }
            Err(error) => {
                Reply::Refused { kind: RefusalKind::Malformed, message: error.to_string() }
            }
        }
    }

    fn roll(&mut self, asker: Option<Asker>, report: String, reload: bool) {
        self.feed(Event::Restart);
        let now = Instant::now();
        let missing = self.pool.workers_missing(now);
        let rolling = self.rolling.get_or_insert_with(|| Rolling {
            until: now,
            missing,
            askers: Vec::new(),
            reload: false,
        });
        rolling.until = now + ROLLING_TIME;
        rolling.reload |= reload;
        rolling.askers.extend(asker.map(|asker| (asker, report)));
    }

    /// Answers those who wait for the workers to be replaced, once they are or no longer will be soon.
    pub(super) fn end_rolling(&mut self, now: Instant) {
        let (replacing, missing) = (self.pool.is_replacing(), self.pool.workers_missing(now));
        let over = |r: &mut Rolling| !replacing || r.until <= now || missing > r.missing;
        let Some(rolling) = self.rolling.take_if(over) else { return };
        let replaced = !replacing;
        let end = if replacing {
            let why = match (missing, self.figures.last_cause()) {
                (1.., Some(cause)) => format!("new ones do not start, last: {cause}"),
                _ => "a worker is at work still".to_owned(),
            };
            tracing::warn!(%why, "not all workers are replaced yet");
            format!("not all workers are replaced yet ({why}); it goes on: see `cynicctl stats`")
        } else {
            "all workers were replaced".to_owned()
        };
        for (asker, report) in rolling.askers {
            let message = format!("{report}; {end}");
            // Who waits for it in a script must not take it for done.
            let reply = if replaced {
                Reply::Report(message)
            } else {
                Reply::Refused { kind: RefusalKind::Unavailable, message }
            };
            self.answer_asker(asker, reply);
        }
        if rolling.reload {
            tracing::info!("reloaded: {end}");
            let status = self.status();
            self.options.manager.reloaded(status);
        }
    }

    pub(super) fn answer_asker(&mut self, asker: Asker, reply: Reply) {
        self.reply(asker.client, &ToClient { seq: asker.seq, reply }, &Bytes::new());
    }
}

/// What differs and is read only when the daemon starts.
pub(super) fn waiting_for_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    // All keys, so that a new one cannot be forgotten: what is not compared below is in force at once.
    let Config {
        worker: _,
        trusted_keys: _,
        sandbox: _,
        limits: _,
        pool: _,
        drain_budget: _,
        store_content: _,
        log_level: _,
        slow: _,
        socket,
        admin_socket,
        access,
        data_dir,
        database,
        clients_max,
        clients_per_uid_max,
        frame_bytes_max,
        retention,
        spool_bytes_max,
        stage_budgets: _,
        cgroup,
        quarantine,
        log_format,
        metrics,
        traces,
    } = old;
    [
        ("socket", *socket != new.socket),
        ("admin_socket", *admin_socket != new.admin_socket),
        ("access", *access != new.access),
        ("data_dir", *data_dir != new.data_dir),
        ("database", *database != new.database),
        ("clients.max", *clients_max != new.clients_max),
        (
            "access.share_per_user",
            *clients_max == new.clients_max && *clients_per_uid_max != new.clients_per_uid_max,
        ),
        ("clients.frame_bytes_max", *frame_bytes_max != new.frame_bytes_max),
        ("recorder.retention_days or retention_rows", *retention != new.retention),
        ("recorder.spool_mib_max", *spool_bytes_max != new.spool_bytes_max),
        ("stages.persist_ms", persist_budget(old) != persist_budget(new)),
        ("pool.cgroup", *cgroup != new.cgroup),
        ("[quarantine]", *quarantine != new.quarantine),
        ("log.format", *log_format != new.log_format),
        ("metrics.listen", *metrics != new.metrics),
        ("[traces]", *traces != new.traces),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}

fn persist_budget(config: &Config) -> Duration {
    config.stage_budgets[Stage::Persist as usize]
}
