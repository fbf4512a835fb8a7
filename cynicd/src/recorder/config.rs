//! The recorder's settings, resolved and valid. Where they come from is the daemon's business.

use std::path::PathBuf;
use std::time::Duration;

use cynic_proto::limits::FRAME_BYTES_MAX;

/// Largest spool unless configured otherwise: an hour of a busy host's judgments.
pub const SPOOL_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Where judgments are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// The embedded store: `cynic.db` in the data directory.
    Sqlite,
    /// A PostgreSQL server: `postgres://user@host/database`, with the parameters of libpq such as `sslmode`.
    Postgres(String),
}

/// What the recorder is told when it starts.
#[derive(Debug, Clone)]
pub struct RecorderConfig {
    /// Where judgments are kept.
    pub database: Database,
    /// Holds the lock, the embedded store and the spool.
    pub data_dir: PathBuf,
    /// So many buffered entries are written without waiting for more.
    pub flush_rows: usize,
    /// The longest that an entry waits for more to come.
    pub flush_interval: Duration,
    /// Most entries of one batch.
    pub batch_rows_max: usize,
    /// Most bytes of one batch.
    pub batch_bytes_max: usize,
    /// Most entries in memory; over that, none is taken.
    pub buffered_rows_max: usize,
    /// Most bytes of entries in memory.
    pub buffered_bytes_max: usize,
    /// Batches in flight at once. The embedded store has one writer and always uses one.
    pub lanes: usize,
    /// A write that PostgreSQL has not taken for so long goes to the spool.
    pub spill_after: Duration,
    /// Most bytes of the spool; over that, entries stay in memory until that is full too.
    pub spool_bytes_max: u64,
    /// Commits that take longer are counted as over budget; nothing else is done about them.
    pub commit_budget: Duration,
    /// When old records are deleted.
    pub retention: Retention,
    /// A PostgreSQL server that takes longer over one statement of that, or of what else is done beside writing, hangs.
    pub care_timeout: Duration,
    /// Most bytes of one page of history, encoded; a record that is longer alone is a page alone.
    pub page_bytes_max: usize,
}

/// How long records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Older ones are deleted; `None` keeps them whatever their age.
    pub age_max: Option<Duration>,
    /// With more than so many, the oldest are deleted; `None` keeps any number.
    pub rows_max: Option<u64>,
}

impl Default for Retention {
    /// A quarter of a year: long enough to look into last month's decisions, and by count what the queries
    /// are made to answer at once (some 8 GiB).
    fn default() -> Retention {
        Retention { age_max: Some(Duration::from_hours(90 * 24)), rows_max: Some(2_000_000) }
    }
}

impl RecorderConfig {
    /// Sound defaults on the embedded store.
    pub fn new(data_dir: impl Into<PathBuf>) -> RecorderConfig {
        RecorderConfig {
            database: Database::Sqlite,
            data_dir: data_dir.into(),
            flush_rows: 10,
            flush_interval: Duration::from_millis(100),
            // Beyond this a batch gains little and delays whoever waits for its commit.
            batch_rows_max: 1000,
            batch_bytes_max: 8 * 1024 * 1024,
            // Two seconds of a busy host.
            buffered_rows_max: 20_000,
            buffered_bytes_max: 64 * 1024 * 1024,
            lanes: 2,
            spill_after: Duration::from_secs(2),
            spool_bytes_max: SPOOL_BYTES_MAX,
            commit_budget: Duration::from_millis(100),
            retention: Retention::default(),
            // A count through everything on a slow server.
            care_timeout: Duration::from_secs(30),
            page_bytes_max: FRAME_BYTES_MAX / 2,
        }
    }
}
