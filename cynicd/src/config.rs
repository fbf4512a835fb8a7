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
use serde::Deserialize;

use crate::pool;

/// Prefix of environment overrides: `CYNIC_POOL__SIZE=4` sets `size` of `[pool]`.
const ENV_PREFIX: &str = "CYNIC_";

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
    /// The file says something that cannot be.
    #[error("{}: {message}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What and where.
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

/// The file's form. Every key is optional; an unknown one is an error that names its line.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    socket: Option<PathBuf>,
    socket_mode: Option<String>,
    data_dir: Option<PathBuf>,
    database: Option<String>,
    pool: PoolSection,
    queue: QueueSection,
    deadlines: DeadlineSection,
    clients: ClientSection,
    recorder: RecorderSection,
    log: LogSection,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PoolSection {
    size: Option<Size>,
    worker: Option<PathBuf>,
    sandbox: Option<SandboxMode>,
    memory_mib: Option<u64>,
    cpu_s: Option<u64>,
    recycle_tasks: Option<u64>,
    recycle_memory_mib: Option<u64>,
    strikes_max: Option<u8>,
    start_timeout_ms: Option<u64>,
    heartbeat_interval_ms: Option<u64>,
    heartbeat_timeout_ms: Option<u64>,
    chunk_items_max: Option<usize>,
    chunk_time_us: Option<u64>,
}

/// `size = 4` or `size = "auto"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Size {
    Workers(u16),
    Word(String),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct QueueSection {
    tasks_max: Option<usize>,
    bytes_max_mib: Option<usize>,
    timeout_ms: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "the unit belongs in the name of a configuration key"
)]
struct DeadlineSection {
    soft_ms: Option<u64>,
    hard_ms: Option<u64>,
    total_ms: Option<u64>,
    per_mib_ms: Option<u64>,
    drain_ms: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ClientSection {
    max: Option<usize>,
    frame_bytes_max: Option<usize>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RecorderSection {
    store_content: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LogSection {
    format: Option<LogFormat>,
    level: Option<String>,
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
    pub socket: PathBuf,
    /// Mode of the socket file.
    pub socket_mode: u32,
    /// Where the embedded database and the spool are.
    pub data_dir: PathBuf,
    /// A `PostgreSQL` URL; unset is the embedded database.
    pub database: Option<String>,
    /// The worker program.
    pub worker: PathBuf,
    /// What workers are confined to.
    pub sandbox: SandboxMode,
    /// What each may use.
    pub limits: SandboxLimits,
    /// The pool.
    pub pool: pool::Config,
    /// Connections at once.
    pub clients_max: usize,
    /// Largest frame.
    pub frame_bytes_max: usize,
    /// How long draining may take at shutdown.
    pub drain_budget: Duration,
    /// Whether items are stored beside their judgments.
    pub store_content: bool,
    /// The log's form.
    pub log_format: LogFormat,
    /// The log's level, in the form of `tracing`'s filters.
    pub log_level: String,
}

impl Config {
    /// Resolves the configuration.
    ///
    /// # Errors
    /// See [`ConfigError`]; the message names the file and line, the variable or the key.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Config, ConfigError> {
        let parsed = match file {
            Some(path) => read(path)?,
            None => toml::Table::new(),
        };
        let merged = with_environment(parsed, env::vars())?;
        resolve(merged, overrides)
    }
}

/// Parses the file once by its form, for errors with a line, and keeps the table for overrides.
fn read(path: &Path) -> Result<toml::Table, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let error = |e: toml::de::Error| ConfigError::File {
        path: path.to_owned(),
        message: e.to_string().trim_end().to_owned(),
    };
    toml::from_str::<File>(&text).map_err(error)?;
    text.parse().map_err(error)
}

/// Puts each `CYNIC_SECTION__KEY` in its place. A value is read as TOML where it is that, as text elsewhere.
fn with_environment(
    mut table: toml::Table,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<File, ConfigError> {
    let mut last = None;
    for (variable, value) in variables {
        let Some(path) = variable.strip_prefix(ENV_PREFIX).map(str::to_lowercase) else { continue };
        // The client's own variables, and those that name the whole file, are not keys.
        if variable == socket::SOCKET_ENV || variable == "CYNIC_CONFIG" || variable == "CYNIC_LOG" {
            continue;
        }
        let parsed = format!("v = {value}").parse::<toml::Table>().ok();
        let parsed = parsed.and_then(|mut table| table.remove("v"));
        let value = parsed.unwrap_or(toml::Value::String(value));
        match path.split_once("__") {
            None => drop(table.insert(path, value)),
            Some((section, key)) => {
                let section =
                    table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                let Some(section) = section.as_table_mut() else {
                    let message = "there is no such section".to_owned();
                    return Err(ConfigError::Environment { variable, message });
                };
                section.insert(key.to_owned(), value);
            }
        }
        // Checked one by one, so that the error names the variable.
        match table.clone().try_into::<File>() {
            Ok(file) => last = Some(file),
            Err(e) => {
                let message = e.message().to_owned();
                return Err(ConfigError::Environment { variable, message });
            }
        }
    }
    match last {
        Some(file) => Ok(file),
        None => table.try_into().map_err(|e: toml::de::Error| ConfigError::Environment {
            variable: ENV_PREFIX.to_owned(),
            message: e.message().to_owned(),
        }),
    }
}

fn resolve(file: File, overrides: Overrides) -> Result<Config, ConfigError> {
    let frame_bytes_max = file.clients.frame_bytes_max.unwrap_or(FRAME_BYTES_MAX);
    within("clients.frame_bytes_max", frame_bytes_max, 4096, FRAME_BYTES_MAX)?;
    let pool = resolve_pool(&file, frame_bytes_max)?;
    let sandbox = file.pool.sandbox.unwrap_or_default();
    let defaults = SandboxLimits::default();
    let memory_mib = file.pool.memory_mib.unwrap_or(defaults.memory_bytes >> 20);
    within("pool.memory_mib", memory_mib, 32, 65_536)?;
    let limits = SandboxLimits {
        memory_bytes: memory_mib << 20,
        cpu_seconds: file.pool.cpu_s.unwrap_or(defaults.cpu_seconds).max(1),
        ..defaults
    };
    let clients_max = file.clients.max.unwrap_or(1024);
    within("clients.max", clients_max, 1, 65_536)?;
    Ok(Config {
        socket: overrides.socket.or(file.socket).unwrap_or_else(socket::for_daemon),
        socket_mode: socket_mode(file.socket_mode.as_deref())?,
        data_dir: overrides.data_dir.or(file.data_dir).map_or_else(default_data_dir, Ok)?,
        database: file.database.filter(|url| url != "sqlite"),
        worker: worker(file.pool.worker)?,
        sandbox,
        limits,
        pool,
        clients_max,
        frame_bytes_max,
        drain_budget: millis(file.deadlines.drain_ms, Duration::from_secs(20)),
        store_content: file.recorder.store_content.unwrap_or(false),
        log_format: file.log.format.unwrap_or_default(),
        log_level: file.log.level.unwrap_or_else(|| "info".to_owned()),
    })
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
            within("pool.size", *size, 1, 1024)?;
            NonZeroU16::new(*size).unwrap_or(NonZeroU16::MIN)
        }
    };
    let queue_tasks_max = file.queue.tasks_max.unwrap_or(defaults.queue_tasks_max);
    within("queue.tasks_max", queue_tasks_max, 1, 1_000_000)?;
    let queue_bytes_max = file
        .queue
        .bytes_max_mib
        .map_or(defaults.queue_bytes_max, |mib| mib.saturating_mul(1 << 20));
    within("queue.bytes_max_mib (in bytes)", queue_bytes_max, frame_bytes_max, 1 << 40)?;
    let (pool, deadlines) = (&file.pool, &file.deadlines);
    let config = pool::Config {
        size,
        queue_tasks_max,
        queue_bytes_max,
        queue_timeout: millis(file.queue.timeout_ms, defaults.queue_timeout),
        soft_budget: millis(deadlines.soft_ms, defaults.soft_budget),
        hard_deadline: millis(deadlines.hard_ms, defaults.hard_deadline),
        total_deadline: millis(deadlines.total_ms, defaults.total_deadline),
        time_per_mib: millis(deadlines.per_mib_ms, defaults.time_per_mib),
        strikes_max: pool.strikes_max.unwrap_or(defaults.strikes_max).max(1),
        start_timeout: millis(pool.start_timeout_ms, defaults.start_timeout),
        heartbeat_interval: millis(pool.heartbeat_interval_ms, defaults.heartbeat_interval),
        heartbeat_timeout: millis(pool.heartbeat_timeout_ms, defaults.heartbeat_timeout),
        recycle_tasks: pool.recycle_tasks.unwrap_or(defaults.recycle_tasks).max(1),
        recycle_memory_bytes: pool
            .recycle_memory_mib
            .map_or(defaults.recycle_memory_bytes, |mib| mib.saturating_mul(1 << 20)),
        chunk_items_max: pool.chunk_items_max.unwrap_or(defaults.chunk_items_max).max(1),
        chunk_time: pool.chunk_time_us.map_or(defaults.chunk_time, Duration::from_micros),
        ..defaults
    };
    if config.soft_budget >= config.hard_deadline {
        let message = "must be below deadlines.hard_ms, or a worker is killed before it can answer \
                       with what it has";
        return Err(ConfigError::Value { key: "deadlines.soft_ms", message: message.to_owned() });
    }
    Ok(config)
}

fn millis(value: Option<u64>, default: Duration) -> Duration {
    value.map_or(default, Duration::from_millis)
}

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
fn auto_size() -> NonZeroU16 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    pool::default_size(cores)
}

fn socket_mode(text: Option<&str>) -> Result<u32, ConfigError> {
    let Some(text) = text else { return Ok(0o660) };
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777).ok_or_else(|| {
        let message = format!("`{text}` is not an octal file mode such as \"0660\"");
        ConfigError::Value { key: "socket_mode", message }
    })
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
mod tests {
    use super::*;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let table = text.parse().expect("valid TOML");
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let mut file = with_environment(table, variables)?;
        file.pool.worker = Some(env::current_exe().expect("this test"));
        file.data_dir.get_or_insert_with(|| "/data".into());
        resolve(file, Overrides::default())
    }

    #[test]
    fn nothing_configured_is_sound() {
        let config = parse("", &[]).expect("defaults");
        assert_eq!(config.sandbox, SandboxMode::Required);
        assert_eq!(config.socket_mode, 0o660);
        assert_eq!(config.database, None);
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let variables = [("CYNIC_POOL__SIZE", "3"), ("CYNIC_DATA_DIR", "/elsewhere")];
        let config = parse("[pool]\nsize = 7\nsandbox = \"off\"", &variables).expect("valid");
        assert_eq!(config.pool.size.get(), 3);
        assert_eq!(config.data_dir, PathBuf::from("/elsewhere"));
        assert_eq!(config.sandbox, SandboxMode::Off);
    }

    #[test]
    fn mistakes_are_named() {
        let error =
            |text, variables: &[_]| parse(text, variables).expect_err("invalid").to_string();
        assert!(error("", &[("CYNIC_POOL__SIZES", "3")]).contains("CYNIC_POOL__SIZES"));
        assert!(error("[pool]\nsize = 0", &[]).starts_with("pool.size: 0 is outside 1 to 1024"));
        assert!(error("[pool]\nsize = \"many\"", &[]).contains("neither a number"));
        assert!(error("socket_mode = \"rw\"", &[]).contains("octal"));
        assert!(error("[deadlines]\nsoft_ms = 5000", &[]).contains("hard_ms"));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let dir = env::temp_dir().join(format!("cynic-config-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("temporary directory");
        let path = dir.join("cynic.toml");
        fs::write(&path, "[pool]\nsize = 2\nsise = 3\n").expect("written");
        let error = Config::load(Some(&path), Overrides::default()).expect_err("unknown key");
        fs::remove_dir_all(&dir).expect("removed");
        let text = error.to_string();
        assert!(text.contains("line 3") && text.contains("sise"), "{text}");
    }
}
