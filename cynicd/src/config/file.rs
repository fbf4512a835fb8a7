//! What the configuration file and the environment say, as it is written there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use cynic_proto::sandbox::SandboxMode;
use serde::Deserialize;

use super::{ConfigError, LogFormat};

/// Prefix of environment overrides: `CYNIC_POOL__SIZE=4` sets `size` of `[pool]`.
const ENV_PREFIX: &str = "CYNIC_";

/// A file with every key in it has a tenth of this.
const BYTES_MAX: u64 = 1 << 20;

/// The file's form. Every key is optional; an unknown one is an error that names its line.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) socket: Option<PathBuf>,
    pub(super) socket_mode: Option<String>,
    pub(super) socket_group: Option<Name>,
    pub(super) admin_socket: Option<PathBuf>,
    pub(super) admin_socket_mode: Option<String>,
    pub(super) admin_socket_group: Option<Name>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) database: Option<String>,
    pub(super) pool: PoolSection,
    pub(super) judge: JudgeSection,
    pub(super) queue: QueueSection,
    pub(super) deadlines: DeadlineSection,
    pub(super) stages: StageSection,
    pub(super) clients: ClientSection,
    pub(super) access: AccessSection,
    pub(super) recorder: RecorderSection,
    pub(super) quarantine: QuarantineSection,
    pub(super) log: LogSection,
    pub(super) metrics: MetricsSection,
    pub(super) traces: TracesSection,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PoolSection {
    pub(super) size: Option<Size>,
    pub(super) worker: Option<PathBuf>,
    pub(super) sandbox: Option<SandboxMode>,
    pub(super) memory_mib: Option<u64>,
    pub(super) cpu_s: Option<u64>,
    pub(super) recycle_tasks: Option<u64>,
    pub(super) recycle_memory_mib: Option<u64>,
    pub(super) strikes_max: Option<u8>,
    pub(super) start_timeout_ms: Option<u64>,
    pub(super) heartbeat_interval_ms: Option<u64>,
    pub(super) heartbeat_timeout_ms: Option<u64>,
    pub(super) chunk_items_max: Option<usize>,
    pub(super) chunk_time_us: Option<u64>,
    pub(super) dimension_failures_max: Option<u32>,
    pub(super) dimension_pause_ms: Option<u64>,
    pub(super) cgroup: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct JudgeSection {
    pub(super) trusted_keys: Vec<String>,
}

/// `size = 4` or `size = "auto"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a number of workers, or \"auto\"")]
pub(super) enum Size {
    Workers(u32),
    Word(String),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct QueueSection {
    pub(super) tasks_max: Option<usize>,
    pub(super) bytes_max_mib: Option<usize>,
    pub(super) timeout_ms: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "the unit belongs in the name of a configuration key"
)]
pub(super) struct DeadlineSection {
    pub(super) soft_ms: Option<u64>,
    pub(super) hard_ms: Option<u64>,
    pub(super) total_ms: Option<u64>,
    pub(super) per_mib_ms: Option<u64>,
    pub(super) drain_ms: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "the unit belongs in the name of a configuration key"
)]
pub(super) struct StageSection {
    pub(super) parse_ms: Option<u64>,
    pub(super) score_ms: Option<u64>,
    pub(super) aggregate_ms: Option<u64>,
    pub(super) verdict_ms: Option<u64>,
    pub(super) persist_ms: Option<u64>,
}

impl StageSection {
    /// The budgets in the order of the stages, each with its key.
    pub(super) fn budgets_ms(&self) -> [(&'static str, Option<u64>); 5] {
        [
            ("stages.parse_ms", self.parse_ms),
            ("stages.score_ms", self.score_ms),
            ("stages.aggregate_ms", self.aggregate_ms),
            ("stages.verdict_ms", self.verdict_ms),
            ("stages.persist_ms", self.persist_ms),
        ]
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ClientSection {
    pub(super) max: Option<usize>,
    pub(super) frame_bytes_max: Option<usize>,
}

/// A user or a group, by name or by number.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a user's or a group's name or number")]
pub(super) enum Name {
    Id(u32),
    Text(String),
}

impl Name {
    pub(super) fn text(&self) -> String {
        match self {
            Name::Id(id) => id.to_string(),
            Name::Text(text) => text.clone(),
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AccessSection {
    pub(super) judge: Option<Vec<Name>>,
    pub(super) read: Option<Vec<Name>>,
    pub(super) admin: Option<Vec<Name>>,
    pub(super) share_per_user: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RecorderSection {
    pub(super) store_content: Option<bool>,
    pub(super) retention_days: Option<u32>,
    pub(super) retention_rows: Option<u64>,
    pub(super) spool_mib_max: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct QuarantineSection {
    pub(super) records_max: Option<usize>,
    pub(super) bytes_max_mib: Option<u64>,
    pub(super) age_max_days: Option<u64>,
    pub(super) keep_content: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogSection {
    pub(super) format: Option<LogFormat>,
    pub(super) level: Option<String>,
    pub(super) slow_ms: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MetricsSection {
    pub(super) listen: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TracesSection {
    pub(super) file: Option<PathBuf>,
    pub(super) sample_ratio: Option<f64>,
    pub(super) bytes_max_mib: Option<u64>,
}

/// Parses the file once by its form, for errors with a line, and keeps the table for overrides.
pub(super) fn read(path: &Path) -> Result<(String, toml::Table), ConfigError> {
    let unread = |source| ConfigError::Read { path: path.to_owned(), source };
    // A pipe would be waited for until somebody writes into it.
    let meta = fs::metadata(path).map_err(unread)?;
    if !meta.is_file() || meta.len() > BYTES_MAX {
        let what = format!("it is no regular file of at most {BYTES_MAX} bytes");
        return Err(unread(io::Error::other(what)));
    }
    let text = fs::read_to_string(path).map_err(unread)?;
    let error = |e: toml::de::Error| {
        let before = e.span().map_or(0, |span| span.start.min(text.len()));
        let line = text
            .char_indices()
            .take_while(|(at, _)| *at < before)
            .filter(|(_, c)| *c == '\n')
            .count()
            + 1;
        ConfigError::File { path: path.to_owned(), line, message: e.message().to_owned() }
    };
    toml::from_str::<File>(&text).map_err(error)?;
    let table = text.parse().map_err(error)?;
    Ok((text, table))
}

/// The error of a key's value with where it was set: the variable, else the line of the file, else the key alone.
pub(super) fn place(
    key: &'static str,
    message: String,
    text: &str,
    path: Option<&Path>,
    is_set: impl Fn(&str) -> bool,
) -> ConfigError {
    let name = key.split(' ').next().unwrap_or(key);
    let variable = format!("{ENV_PREFIX}{}", name.replace('.', "__").to_uppercase());
    if is_set(&variable) {
        return ConfigError::Environment { variable, message };
    }
    match (path, line_of(text, name)) {
        (Some(path), Some(line)) => {
            let message = format!("{key}: {message}");
            ConfigError::File { path: path.to_owned(), line, message }
        }
        _ => ConfigError::Value { key, message },
    }
}

/// The line that sets `section.key`, counted from 1.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let (wanted_section, wanted) = key.rsplit_once('.').unwrap_or(("", key));
    let mut section = "";
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            section = name.split(']').next().unwrap_or_default().trim();
        } else if line.split('=').next().map(str::trim) == Some(wanted) && section == wanted_section
        {
            return Some(n + 1);
        }
    }
    None
}

/// Puts each `CYNIC_SECTION__KEY` in its place. A value is read as TOML where it is that, as text elsewhere.
pub(super) fn with_environment(
    mut table: toml::Table,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<File, ConfigError> {
    let mut last = None;
    for (variable, value) in variables {
        let variable = variable.to_string_lossy().into_owned();
        let Some(path) = variable.strip_prefix(ENV_PREFIX).map(str::to_lowercase) else { continue };
        let value = value.to_string_lossy().into_owned();
        // What names the whole file, and what is read as a filter, are not keys.
        if variable == "CYNIC_CONFIG" || variable == "CYNIC_LOG" {
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
