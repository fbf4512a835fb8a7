//! A copy of the embedded store, made while it is written to.
//!
//! The file appears under its name only when it is whole, checked and on disk.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cynic_proto::history::BackupReport;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::error::RecorderError;
use super::sqlite::{SqliteStore, quick_check};
use super::store::{Store, Stores};

/// As private as the database itself.
const FILE_MODE: u32 = 0o640;

/// Added to the name while the copy is made.
const UNFINISHED: &str = ".unfinished";

impl Stores {
    /// Copies the embedded store into a new file.
    pub(super) async fn backup(&self, path: &Path) -> Result<BackupReport, RecorderError> {
        match &self.store {
            Store::Sqlite(store) => backup(store, path).await,
            Store::Postgres(_) => Err(RecorderError::Refused(
                "the judgments are in PostgreSQL: back them up there, with pg_dump".to_owned(),
            )),
        }
    }
}

async fn backup(store: &SqliteStore, path: &Path) -> Result<BackupReport, RecorderError> {
    let (Some(name), true) = (path.to_str(), path.is_absolute()) else {
        return Err(RecorderError::Refused(format!(
            "{}: give an absolute path in UTF-8, as the daemon writes the file",
            path.display()
        )));
    };
    let Ok(_one_at_a_time) = store.backing_up.try_lock() else {
        return Err(RecorderError::Refused("a backup is being made already".to_owned()));
    };
    let unfinished = PathBuf::from(format!("{name}{UNFINISHED}"));
    if is_of_the_store(store, path) {
        return Err(RecorderError::Refused(format!(
            "{name} is named like a file of the store itself: give a name of its own, in another directory if possible"
        )));
    }
    let (target, copy) = (path.to_owned(), unfinished.clone());
    in_background("create the backup", path, move || create(&target, &copy)).await?;
    let made = make(store, &unfinished, path).await;
    if made.is_err() {
        // Half a copy is of no use; where it cannot be removed, its name says what it is.
        for part in ["", "-journal"] {
            let _ = std::fs::remove_file(format!("{name}{UNFINISHED}{part}"));
        }
    }
    let (judgments, bytes) = made?;
    tracing::info!(path = name, bytes, judgments, "backup made");
    Ok(BackupReport { path: name.to_owned(), bytes, judgments })
}

/// Whether `SQLite` would take the file for the journal of the store.
fn is_of_the_store(store: &SqliteStore, path: &Path) -> bool {
    let of = store.options.get_filename();
    let (Some(of), Some(name)) = (of.file_name(), path.file_name()) else { return false };
    let directory = |path: &Path| path.parent().and_then(|parent| parent.canonicalize().ok());
    name.to_string_lossy().starts_with(&format!("{}-", of.to_string_lossy()))
        && directory(path) == directory(store.options.get_filename())
}

/// The disk may take its time: batches are written meanwhile.
async fn in_background<T: Send + 'static>(
    action: &'static str,
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, RecorderError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => RecorderError::Refused(format!(
            "{} exists already, and a backup replaces no file: give another name",
            path.display()
        )),
        _ => RecorderError::DataDir { action, path: path.to_owned(), source },
    };
    done.and_then(|result| result).map_err(failed)
}

fn create(target: &Path, unfinished: &Path) -> io::Result<()> {
    if target.symlink_metadata().is_ok() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists already"));
    }
    match std::fs::remove_file(unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().create_new(true).write(true).mode(FILE_MODE).open(unfinished).map(drop)
}

/// Makes the copy and gives it its name; says how many judgments and bytes it has.
async fn make(
    store: &SqliteStore,
    unfinished: &Path,
    target: &Path,
) -> Result<(u64, u64), RecorderError> {
    let failed = |source| RecorderError::Query { action: "write the backup", source };
    let mut connection = store.options.connect().await.map_err(failed)?;
    // One read transaction: what is committed meanwhile is not in it, and nobody waits for it.
    sqlx::query("VACUUM INTO ?")
        .bind(unfinished.to_str())
        .execute(&mut connection)
        .await
        .map_err(failed)?;
    connection.close().await.map_err(failed)?;
    let options = SqliteConnectOptions::new().filename(unfinished).read_only(true);
    let mut copy = SqliteConnection::connect_with(&options).await.map_err(failed)?;
    quick_check(&mut copy, unfinished).await?;
    let judgments: i64 = sqlx::query_scalar("SELECT count(*) FROM judgments")
        .fetch_one(&mut copy)
        .await
        .map_err(failed)?;
    copy.close().await.map_err(failed)?;
    let names = (unfinished.to_owned(), target.to_owned());
    let finishing = in_background("finish the backup", target, move || finish(&names.0, &names.1));
    Ok((judgments as u64, finishing.await?))
}

fn finish(unfinished: &Path, target: &Path) -> io::Result<u64> {
    let file = File::open(unfinished)?;
    file.sync_all()?;
    let bytes = file.metadata()?.len();
    // A link fails where a rename would replace what somebody has put there meanwhile.
    std::fs::hard_link(unfinished, target)?;
    std::fs::remove_file(unfinished)?;
    if let Some(directory) = target.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(bytes)
}
