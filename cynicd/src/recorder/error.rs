//! Why the recorder cannot start or cannot answer. A batch that fails while running is no error: it is kept.

use std::io;
use std::path::PathBuf;

use cynic_proto::ids::LetterId;

/// What went wrong, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// The data directory or a file in it cannot be used.
    #[error("could not {action} {}: check that the directory exists, is writable and has room", path.display())]
    DataDir {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another daemon works on the same data.
    #[error("{} is in use by another cynicd: stop that one, or give this one another --data-dir", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// There is no room for the database.
    #[error("there is no room on the disk of {}: free some space, or name another --data-dir", path.display())]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A database file cannot be opened.
    #[error("could not open the database {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// The server's address is not one.
    #[error("`database` is not a PostgreSQL address such as postgres://user@host/cynic")]
    Address(#[source] sqlx::Error),
    /// The schema is one that only a later version writes.
    #[error(
        "{database} has schema version {found}, this build knows up to {known}: \
         start the newer cynicd again, or restore a backup made before the upgrade"
    )]
    NewerSchema {
        /// Which database.
        database: String,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// The schema could not be brought up to date.
    #[error("could not bring the schema of {database} up to date")]
    Migrate {
        /// Which database.
        database: String,
        /// Why not.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// The file is damaged.
    #[error("{} is damaged ({found}): put it aside and restore a backup, see docs/storage.md", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check found.
        found: String,
    },
    /// A query failed.
    #[error("could not {action}")]
    Query {
        /// What was asked.
        action: &'static str,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// A letter cannot be written now; that says nothing against it.
    #[error("could not write the dead letter {letter}, which stays: {why}")]
    NotWritten {
        /// Which one.
        letter: LetterId,
        /// What the database said.
        why: String,
    },
    /// The database takes too long.
    #[error("the database has not answered within {} s: try again later", .0.as_secs())]
    NoAnswer(std::time::Duration),
    /// What was asked about is not there.
    #[error("{0}")]
    NotFound(String),
    /// What was asked for does not make sense.
    #[error("{0}")]
    Refused(String),
    /// The recorder has been closed.
    #[error("the recorder is closed")]
    Closed,
    /// The recorder's thread could not be started.
    #[error("could not start the recorder's thread")]
    Thread(#[source] io::Error),
}
