//! Configuration: defaults, then a TOML file, then the environment, then the command line; resolved once at
//! the edge into one valid value that nothing behind it checks again.

use std::env;
use std::fs;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cynic_proto::limits::FRAME_BYTES_MAX;
use cynic_proto::sandbox::{SandboxLimits, SandboxMode};
use cynic_proto::socket;
use cynic_proto::trust::{ParseTrustedKeyError, TrustedKey};
use serde::Deserialize;

use self::file::{
    AccessSection, File, Name, QuarantineSection, RecorderSection, Size, StageSection,
    TracesSection,
};
use crate::access::{self, Access, Members};
use crate::gateway::SocketFile;
use crate::recorder::{Retention, SPOOL_BYTES_MAX};
use crate::{journal, metrics, pool, quarantine, traces};

mod file;

/// The file's name in the service manager's configuration directory.
const FILE_NAME: &str = "cynic.toml";

/// The credential that holds the database's URL (`LoadCredential=`), so that no file of the configuration has to.
const DATABASE_CREDENTIAL: &str = "cynic.database-url";

/// Most workers: each takes memory and descriptors, and more than cores are of no use.
pub(crate) const POOL_SIZE_MAX: u16 = 1024;

/// Less does not hold every answer to one item: a failure with all that its workers said, a judgment with its explanation
/// in full.
const FRAME_BYTES_MIN: usize = 64 * 1024;

/// The data directory of the system service.
const SYSTEM_DATA_DIR: &str = "/var/lib/cynic";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("could not read the configuration {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file does not answer.
    #[error("the configuration could not be read within {} s: does its file system answer?", .0.as_secs())]
    Slow(Duration),
    /// The file says something that cannot be.
    #[error("{}, line {line}: {message}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// In which line, counted from 1.
        line: usize,
        /// What.
        message: String,
    },
    /// A variable says something that cannot be.
    #[error("environment variable {variable}: {message}")]
    Environment {
        /// Which variable.
        variable: String,
        /// What.
        message: String,
    },
    /// A value is out of range or does not fit another.
    #[error("{key}: {message}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
    /// No place for the data.
    #[error("no data directory: give one with --data-dir, `data_dir` or HOME")]
    NoDataDir,
    /// No worker program.
    #[error("no worker program at {}: set `worker` under [pool]", .0.display())]
    NoWorker(PathBuf),
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

/// What the command line may override.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--socket`
    pub socket: Option<PathBuf>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
}

/// The daemon's configuration, resolved and valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where clients connect.
    pub socket: SocketFile,
    /// Where operators connect.
    pub admin_socket: SocketFile,
    /// Who may what.
    pub access: Access,
    /// Where the embedded database and the spool are.
    pub data_dir: PathBuf,
    /// A `PostgreSQL` URL; unset is the embedded database.
    pub database: Option<String>,
    /// The worker program.
    pub worker: PathBuf,
    /// Keys that the judge trusts.
    pub trusted_keys: Vec<TrustedKey>,
    /// What workers are confined to.
    pub sandbox: SandboxMode,
    /// What each may use.
    pub limits: SandboxLimits,
    /// Whether they get control groups where a tree is delegated.
    pub cgroup: bool,
    /// What is kept of items that kill workers.
    pub quarantine: quarantine::Limits,
    /// The pool.
    pub pool: pool::Config,
    /// Connections at once.
    pub clients_max: usize,
    /// How many of them one user may have.
    pub clients_per_uid_max: usize,
    /// Largest frame.
    pub frame_bytes_max: usize,
    /// How long draining may take at shutdown.
    pub drain_budget: Duration,
    /// Whether items are stored beside their judgments.
    pub store_content: bool,
    /// What each stage of the pipeline should take at most; longer ones are counted. In the order of the stages.
    pub stage_budgets: [Duration; 5],
    /// When stored records are deleted.
    pub retention: Retention,
    /// Largest spool in bytes.
    pub spool_bytes_max: u64,
    /// The log's form.
    pub log_format: LogFormat,
    /// The log's level, in the form of `tracing`'s filters.
    pub log_level: String,
    /// Judgments that take at least this long are logged.
    pub slow: Option<Duration>,
    /// Where metrics are handed out, if they are.
    pub metrics: Option<metrics::Address>,
    /// What is traced, if anything is.
    pub traces: Option<traces::Settings>,
}

/// Where the configuration comes from, so that it can be read again.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The command line.
    pub overrides: Overrides,
}

impl Source {
    /// The file that was named, else the one in the service manager's `$CONFIGURATION_DIRECTORY`, if it is there.
    pub fn new(named: Option<PathBuf>, overrides: Overrides) -> Source {
        let file = named.or_else(|| {
            let dir = env::var_os("CONFIGURATION_DIRECTORY").filter(|dir| !dir.is_empty())?;
            Some(Path::new(&dir).join(FILE_NAME)).filter(|path| path.exists())
        });
        Source { file, overrides }
    }

    /// Resolves the configuration as it is now.
    ///
    /// # Errors
    /// See [`ConfigError`]; the message names the file and line, the variable or the key.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let (text, parsed) = match &self.file {
            Some(path) => file::read(path)?,
            None => Default::default(),
        };
        let merged = file::with_environment(parsed, env::vars_os())?;
        resolve(merged, self.overrides.clone()).map_err(|error| match error {
            ConfigError::Value { key, message } => {
                file::place(key, message, &text, self.file.as_deref(), |variable| {
                    env::var_os(variable).is_some()
                })
            }
            error => error,
        })
    }
}

fn resolve(file: File, overrides: Overrides) -> Result<Config, ConfigError> {
    let frame_bytes_max = file.clients.frame_bytes_max.unwrap_or(FRAME_BYTES_MAX);
    within("clients.frame_bytes_max", frame_bytes_max, FRAME_BYTES_MIN, FRAME_BYTES_MAX)?;
    let mut pool = resolve_pool(&file, frame_bytes_max)?;
    let sandbox = file.pool.sandbox.unwrap_or_default();
    let defaults = SandboxLimits::default();
    let memory_mib = file.pool.memory_mib.unwrap_or(defaults.memory_bytes >> 20);
    within("pool.memory_mib", memory_mib, 32, 65_536)?;
    let limits = SandboxLimits {
        memory_bytes: memory_mib << 20,
        cpu_seconds: at_least_one("pool.cpu_s", file.pool.cpu_s, defaults.cpu_seconds)?,
        ..defaults
    };
    // Half of what a worker may use in its life: it is replaced long before it would meet its limit.
    pool.recycle_cpu = Duration::from_secs(limits.cpu_seconds) / 2;
    let clients_max = file.clients.max.unwrap_or(1024);
    within("clients.max", clients_max, 1, 65_536)?;
    let (socket, admin_socket) = sockets(&file, overrides.socket)?;
    let spool_mib_max = file.recorder.spool_mib_max.unwrap_or(SPOOL_BYTES_MAX >> 20);
    within("recorder.spool_mib_max", spool_mib_max, 1, 1 << 20)?;
    Ok(Config {
        socket,
        admin_socket,
        access: access(&file.access)?,
        clients_per_uid_max: share_of(clients_max, share_per_user(&file)?),
        data_dir: data_dir(overrides.data_dir.or(file.data_dir))?,
        database: database(file.database)?,
        trusted_keys: trusted_keys(&file.judge.trusted_keys)?,
        worker: worker(file.pool.worker)?,
        sandbox,
        limits,
        cgroup: file.pool.cgroup.unwrap_or(true),
        quarantine: resolve_quarantine(&file.quarantine)?,
        pool,
        clients_max,
        frame_bytes_max,
        drain_budget: millis(file.deadlines.drain_ms, Duration::from_secs(20)),
        store_content: file.recorder.store_content.unwrap_or(false),
        stage_budgets: stage_budgets(&file.stages)?,
        retention: retention(&file.recorder),
        spool_bytes_max: spool_mib_max << 20,
        log_format: file.log.format.unwrap_or_default(),
        log_level: log_level(file.log.level)?,
        slow: file.log.slow_ms.filter(|ms| *ms > 0).map(Duration::from_millis),
        metrics: file.metrics.listen.as_deref().map(metrics_address).transpose()?,
        traces: resolve_traces(file.traces)?,
    })
}

/// Budgets in milliseconds unless configured: the roadmap's.
const STAGE_BUDGETS_MS: [u64; 5] = [50, 200, 30, 20, 100];

fn stage_budgets(section: &StageSection) -> Result<[Duration; 5], ConfigError> {
    let mut budgets = STAGE_BUDGETS_MS.map(Duration::from_millis);
    for (budget, (key, configured)) in budgets.iter_mut().zip(section.budgets_ms()) {
        if let Some(ms) = configured {
            within(key, ms, 1, 3_600_000)?;
            *budget = Duration::from_millis(ms);
        }
    }
    Ok(budgets)
}

fn log_level(configured: Option<String>) -> Result<String, ConfigError> {
    let level = configured.unwrap_or_else(|| "info".to_owned());
    journal::check(&level)
        .map_err(|error| ConfigError::Value { key: "log.level", message: error.to_string() })?;
    Ok(level)
}

fn metrics_address(text: &str) -> Result<metrics::Address, ConfigError> {
    metrics::Address::parse(text)
        .map_err(|message| ConfigError::Value { key: "metrics.listen", message })
}

fn resolve_traces(section: TracesSection) -> Result<Option<traces::Settings>, ConfigError> {
    let sample_ratio = section.sample_ratio.unwrap_or(1.0);
    within("traces.sample_ratio", sample_ratio, 0.0, 1.0)?;
    let mib = section.bytes_max_mib.unwrap_or(64);
    within("traces.bytes_max_mib", mib, 1, 1 << 20)?;
    let settings = |file| traces::Settings { file, sample_ratio, bytes_max: mib << 20 };
    Ok(section.file.map(settings))
}

fn resolve_pool(file: &File, frame_bytes_max: usize) -> Result<pool::Config, ConfigError> {
    let defaults = pool::Config::default();
    let size = match &file.pool.size {
        None => auto_size(),
        Some(Size::Word(word)) if word == "auto" => auto_size(),
        Some(Size::Word(word)) => {
            let message = format!("`{word}` is neither a number nor \"auto\"");
            return Err(ConfigError::Value { key: "pool.size", message });
        }
        Some(Size::Workers(size)) => {
            within("pool.size", *size, 1, u32::from(POOL_SIZE_MAX))?;
            let size = u16::try_from(*size).unwrap_or(POOL_SIZE_MAX);
            NonZeroU16::new(size).unwrap_or(NonZeroU16::MIN)
        }
    };
    let queue_tasks_max = file.queue.tasks_max.unwrap_or(defaults.queue_tasks_max);
    within("queue.tasks_max", queue_tasks_max, 1, 1_000_000)?;
    let queue_bytes_max = file
        .queue
        .bytes_max_mib
        .map_or(defaults.queue_bytes_max, |mib| mib.saturating_mul(1 << 20));
    if let Some(mib) = file.queue.bytes_max_mib {
        within("queue.bytes_max_mib", mib, frame_bytes_max.div_ceil(1 << 20), 1 << 20)?;
    }
    let (pool, deadlines) = (&file.pool, &file.deadlines);
    let chunk_items_max = pool.chunk_items_max.unwrap_or(defaults.chunk_items_max);
    // What a lease says of each takes some 30 bytes of LEASE_HEAD_BYTES_MAX.
    within("pool.chunk_items_max", chunk_items_max, 1, 10_000)?;
    let config = pool::Config {
        size,
        queue_tasks_max,
        queue_bytes_max,
        tasks_per_uid_max: share_of(queue_tasks_max, share_per_user(file)?),
        bytes_per_uid_max: share_of(queue_bytes_max, share_per_user(file)?),
        queue_timeout: positive_millis(
            "queue.timeout_ms",
            file.queue.timeout_ms,
            defaults.queue_timeout,
        )?,
        soft_budget: positive_millis("deadlines.soft_ms", deadlines.soft_ms, defaults.soft_budget)?,
        hard_deadline: positive_millis(
            "deadlines.hard_ms",
            deadlines.hard_ms,
            defaults.hard_deadline,
        )?,
        total_deadline: positive_millis(
            "deadlines.total_ms",
            deadlines.total_ms,
            defaults.total_deadline,
        )?,
        time_per_mib: millis(deadlines.per_mib_ms, defaults.time_per_mib),
        strikes_max: at_least_one("pool.strikes_max", pool.strikes_max, defaults.strikes_max)?,
        start_timeout: positive_millis(
            "pool.start_timeout_ms",
            pool.start_timeout_ms,
            defaults.start_timeout,
        )?,
        heartbeat_interval: positive_millis(
            "pool.heartbeat_interval_ms",
            pool.heartbeat_interval_ms,
            defaults.heartbeat_interval,
        )?,
        heartbeat_timeout: positive_millis(
            "pool.heartbeat_timeout_ms",
            pool.heartbeat_timeout_ms,
            defaults.heartbeat_timeout,
        )?,
        recycle_tasks: at_least_one(
            "pool.recycle_tasks",
            pool.recycle_tasks,
            defaults.recycle_tasks,
        )?,
        recycle_memory_bytes: pool
            .recycle_memory_mib
            .map_or(defaults.recycle_memory_bytes, |mib| mib.saturating_mul(1 << 20)),
        chunk_items_max,
        chunk_time: pool.chunk_time_us.map_or(defaults.chunk_time, Duration::from_micros),
        dimension_failures_max: pool
            .dimension_failures_max
            .unwrap_or(defaults.dimension_failures_max),
        dimension_pause: millis(pool.dimension_pause_ms, defaults.dimension_pause),
        ..defaults
    };
    if config.soft_budget >= config.hard_deadline {
        let (soft, hard) = (config.soft_budget.as_millis(), config.hard_deadline.as_millis());
        let message = format!(
            "deadlines.soft_ms ({soft}) must be below deadlines.hard_ms ({hard}), or a worker is killed before it \
             can answer with what it has"
        );
        let key =
            if deadlines.soft_ms.is_some() { "deadlines.soft_ms" } else { "deadlines.hard_ms" };
        return Err(ConfigError::Value { key, message });
    }
    Ok(config)
}

/// Zero keeps for ever.
fn retention(section: &RecorderSection) -> Retention {
    let defaults = Retention::default();
    let days = |days: u32| Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    Retention {
        age_max: section.retention_days.map_or(defaults.age_max, |n| (n > 0).then(|| days(n))),
        rows_max: section.retention_rows.map_or(defaults.rows_max, |n| (n > 0).then_some(n)),
    }
}

fn resolve_quarantine(section: &QuarantineSection) -> Result<quarantine::Limits, ConfigError> {
    let defaults = quarantine::Limits::default();
    let records_max = section.records_max.unwrap_or(defaults.records_max);
    // A listing of all of them must fit a frame.
    within("quarantine.records_max", records_max, 0, 10_000)?;
    let bytes_max_mib = section.bytes_max_mib.unwrap_or(defaults.bytes_max >> 20);
    within("quarantine.bytes_max_mib", bytes_max_mib, 0, 1 << 20)?;
    let days = |days: u64| Duration::from_secs(days.saturating_mul(24 * 60 * 60));
    Ok(quarantine::Limits {
        records_max,
        bytes_max: bytes_max_mib << 20,
        age_max: section.age_max_days.map_or(defaults.age_max, days),
        keep_content: section.keep_content.unwrap_or(defaults.keep_content),
    })
}

fn trusted_keys(texts: &[String]) -> Result<Vec<TrustedKey>, ConfigError> {
    let key = "judge.trusted_keys";
    let wrong = |e: ParseTrustedKeyError| ConfigError::Value { key, message: e.to_string() };
    texts.iter().map(|text| text.parse().map_err(wrong)).collect()
}

fn millis(value: Option<u64>, default: Duration) -> Duration {
    value.map_or(default, Duration::from_millis)
}

/// A number without which nothing would ever be done.
fn at_least_one<T: PartialOrd + From<u8>>(
    key: &'static str,
    value: Option<T>,
    default: T,
) -> Result<T, ConfigError> {
    match value {
        Some(value) if value < T::from(1) => {
            Err(ConfigError::Value { key, message: "must be at least 1".to_owned() })
        }
        value => Ok(value.unwrap_or(default)),
    }
}

/// A time without which nothing would ever be done in time.
fn positive_millis(
    key: &'static str,
    value: Option<u64>,
    default: Duration,
) -> Result<Duration, ConfigError> {
    let Some(ms) = value else { return Ok(default) };
    within(key, ms, 1, MILLIS_MAX)?;
    Ok(Duration::from_millis(ms))
}

/// A day.
const MILLIS_MAX: u64 = 24 * 60 * 60 * 1000;

fn within<T: PartialOrd + Copy + std::fmt::Display>(
    key: &'static str,
    value: T,
    min: T,
    max: T,
) -> Result<(), ConfigError> {
    if value >= min && value <= max {
        return Ok(());
    }
    Err(ConfigError::Value { key, message: format!("{value} is outside {min} to {max}") })
}

/// The golden part of the cores that this process may use.
pub(crate) fn auto_size() -> NonZeroU16 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    pool::default_size(cores)
}

/// The database's URL: as configured, else from the service manager's credentials.
fn database(configured: Option<String>) -> Result<Option<String>, ConfigError> {
    let url = match configured {
        Some(url) => Some(url),
        None => credential()?,
    };
    let url = url.filter(|url| url != "sqlite");
    // Never the URL itself: there may be a password in it.
    match url.as_deref().and_then(|url| url.split_once("://")) {
        _ if url.is_none() => Ok(None),
        Some(("postgres" | "postgresql", _)) => Ok(url),
        _ => {
            let message =
                "neither `sqlite` nor the URL of a PostgreSQL (`postgres://…`)".to_owned();
            Err(ConfigError::Value { key: "database", message })
        }
    }
}

fn credential() -> Result<Option<String>, ConfigError> {
    let Some(dir) = env::var_os("CREDENTIALS_DIRECTORY").filter(|dir| !dir.is_empty()) else {
        return Ok(None);
    };
    let path = Path::new(&dir).join(DATABASE_CREDENTIAL);
    match fs::read_to_string(&path) {
        Ok(url) => Ok(Some(url.trim().to_owned()).filter(|url| !url.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Read { path, source }),
    }
}

/// The judge socket is for whoever is in its group; the admin socket is its owner's, unless it is given to a group.
/// What an address of a Unix socket has room for.
const SOCKET_PATH_BYTES_MAX: usize = 107;

fn sockets(file: &File, path: Option<PathBuf>) -> Result<(SocketFile, SocketFile), ConfigError> {
    let path = path.or_else(|| file.socket.clone()).unwrap_or_else(socket::for_daemon);
    let gid = |key, name: &Option<Name>| {
        let gid = name.as_ref().map(|name| access::gid(&name.text())).transpose();
        gid.map_err(|message| ConfigError::Value { key, message })
    };
    let admin_gid = gid("admin_socket_group", &file.admin_socket_group)?;
    let admin_mode = if admin_gid.is_some() { 0o660 } else { 0o600 };
    let admin_socket = SocketFile {
        path: file.admin_socket.clone().unwrap_or_else(|| socket::admin_of(&path)),
        mode: mode("admin_socket_mode", file.admin_socket_mode.as_deref(), admin_mode)?,
        gid: admin_gid,
    };
    if admin_socket.path == path {
        let message = "must be another path than `socket`".to_owned();
        return Err(ConfigError::Value { key: "admin_socket", message });
    }
    for (key, path) in [("socket", &path), ("admin_socket", &admin_socket.path)] {
        if path.as_os_str().is_empty() || path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let message = format!("a socket's path has 1 to {SOCKET_PATH_BYTES_MAX} bytes");
            return Err(ConfigError::Value { key, message });
        }
    }
    let socket = SocketFile {
        path,
        mode: mode("socket_mode", file.socket_mode.as_deref(), 0o660)?,
        gid: gid("socket_group", &file.socket_group)?,
    };
    Ok((socket, admin_socket))
}

fn access(section: &AccessSection) -> Result<Access, ConfigError> {
    let members = |key, names: &Option<Vec<Name>>, default: Members| {
        let Some(names) = names else { return Ok(default) };
        let names: Vec<String> = names.iter().map(Name::text).collect();
        Members::resolve(&names).map_err(|message| ConfigError::Value { key, message })
    };
    let defaults = Access::default();
    Ok(Access {
        judge: members("access.judge", &section.judge, defaults.judge)?,
        read: members("access.read", &section.read, defaults.read)?,
        admin: members("access.admin", &section.admin, defaults.admin)?,
    })
}

/// Leaves a quarter to others, however much one user asks for.
const SHARE_PER_USER_DEFAULT: f64 = 0.75;

fn share_per_user(file: &File) -> Result<f64, ConfigError> {
    let share = file.access.share_per_user.unwrap_or(SHARE_PER_USER_DEFAULT);
    within("access.share_per_user", share, 0.01, 1.0)?;
    Ok(share)
}

fn share_of(all: usize, share: f64) -> usize {
    ((all as f64 * share) as usize).max(1)
}

fn mode(key: &'static str, text: Option<&str>, default: u32) -> Result<u32, ConfigError> {
    let Some(text) = text else { return Ok(default) };
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777).ok_or_else(|| {
        let message = format!(
            "`{text}` is not an octal file mode from \"0000\" to \"0777\", such as \"0660\""
        );
        ConfigError::Value { key, message }
    })
}

fn data_dir(configured: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    match configured {
        None => default_data_dir(),
        Some(path) if path.as_os_str().is_empty() => {
            let message = "is empty: give a directory, or leave the key out".to_owned();
            Err(ConfigError::Value { key: "data_dir", message })
        }
        Some(path) => Ok(path),
    }
}

fn default_data_dir() -> Result<PathBuf, ConfigError> {
    if let Some(dir) = env::var_os("STATE_DIRECTORY").filter(|dir| !dir.is_empty()) {
        return Ok(dir.into());
    }
    let system = Path::new(SYSTEM_DATA_DIR);
    if system.is_dir() {
        return Ok(system.to_owned());
    }
    if let Some(dir) = env::var_os("XDG_DATA_HOME").filter(|dir| !dir.is_empty()) {
        return Ok(Path::new(&dir).join("cynic"));
    }
    let home = env::var_os("HOME").filter(|dir| !dir.is_empty()).ok_or(ConfigError::NoDataDir)?;
    Ok(Path::new(&home).join(".local/share/cynic"))
}

/// The worker: as configured, else beside this program, else where `make install` puts it.
fn worker(configured: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    if let Some(path) = configured {
        let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        return if absolute.is_file() { Ok(absolute) } else { Err(ConfigError::NoWorker(path)) };
    }
    let program = env::current_exe().unwrap_or_default();
    let dir = program.parent().unwrap_or(Path::new("/"));
    let beside = dir.join("cynic-worker");
    let installed = dir.join("../libexec/cynic/cynic-worker");
    let library = dir.join("../lib/cynic/cynic-worker");
    let found = [&beside, &installed, &library].into_iter().find(|path| path.is_file()).cloned();
    found.ok_or(ConfigError::NoWorker(beside))
}

#[cfg(test)]
mod documented;

#[cfg(test)]
mod tests;
