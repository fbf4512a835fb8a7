//! The data directory: one daemon at a time works on it, and leaves a mark when it stops cleanly.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::RecorderError;

/// Owner only, and the group to look: judgments are nobody else's business.
const DIR_MODE: u32 = 0o750;

/// An exclusive hold on a data directory; ends with this value or with the process, however that ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
    unclean: bool,
}

impl DataDir {
    /// Creates the directory if need be and takes hold of it.
    ///
    /// # Errors
    /// Another process holds it; it cannot be created or written.
    pub fn hold(path: &Path) -> Result<DataDir, RecorderError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| RecorderError::DataDir { action, path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(path)
            .map_err(failed("create the data directory", path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(failed("open the lock", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(RecorderError::InUse { path: path.to_owned() });
            }
            Err(TryLockError::Error(e)) => return Err(failed("lock", &lock_path)(e)),
        }
        let running = path.join("running");
        let unclean = running.exists();
        File::create(&running)
            .and_then(|file| file.sync_all())
            .map_err(failed("mark as running", &running))?;
        Ok(DataDir { path: path.to_owned(), _lock: lock, unclean })
    }

    /// Whether the process that held it last did not stop cleanly.
    pub fn was_left_unclean(&self) -> bool {
        self.unclean
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Leaves the mark of a clean stop and lets go.
    ///
    /// # Errors
    /// The mark cannot be removed; the next start then checks the database needlessly.
    pub fn release(self) -> io::Result<()> {
        std::fs::remove_file(self.path.join("running"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_hold_is_refused_and_an_unclean_stop_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let first = DataDir::hold(&path).unwrap();
        assert!(!first.was_left_unclean());
        let refused = DataDir::hold(&path).unwrap_err();
        assert!(matches!(refused, RecorderError::InUse { .. }), "{refused}");
        drop(first);
        let second = DataDir::hold(&path).unwrap();
        assert!(second.was_left_unclean());
        second.release().unwrap();
        assert!(!DataDir::hold(&path).unwrap().was_left_unclean());
    }
}
