//! A file that has its name only once it is whole: until then it stands beside it as `NAME.unfinished`.
//!
//! Never replaces a file, and never leaves half of one under the name that was asked for.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};

/// A file that is being written; dropped before [`Unfinished::finish`], it is removed.
#[derive(Debug)]
pub(crate) struct Unfinished {
    path: PathBuf,
    /// Locked for as long as it is written, by which one that was left behind is told from one at work.
    file: BufWriter<File>,
    beside: PathBuf,
}

impl Unfinished {
    /// Begins a file of that name. One that another run was kept from finishing gives way.
    ///
    /// # Errors
    /// There is a file of that name already, or another run is writing it, or it cannot be written.
    pub(crate) fn create(path: &Path) -> Result<Unfinished> {
        if path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        let mut beside = OsString::from(path);
        beside.push(".unfinished");
        let beside = PathBuf::from(beside);
        remove_stale(&beside)?;
        let file = File::create_new(&beside)
            .with_context(|| format!("could not write {}", beside.display()))?;
        if !(is_ours(&file)? && is_at(&file, &beside)) {
            bail!(in_use(&beside));
        }
        Ok(Unfinished { path: path.to_owned(), file: BufWriter::new(file), beside })
    }

    /// Gives the file its name, once all of it is on the disk.
    ///
    /// # Errors
    /// It cannot be written, or somebody else has made a file of that name meanwhile.
    pub(crate) fn finish(mut self) -> Result<()> {
        let context = || format!("could not write {}", self.path.display());
        self.file.flush().with_context(context)?;
        self.file.get_ref().sync_all().with_context(context)?;
        match fs::hard_link(&self.beside, &self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(&self.path)),
            // A file system without links: there is no other way that never replaces, but for a moment.
            Err(_) if self.path.symlink_metadata().is_err() => {
                fs::rename(&self.beside, &self.path).with_context(context)
            }
            Err(_) => Err(exists(&self.path)),
        }
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Linked to its name or given up; only if it was renamed there is nothing left to remove.
        let _ = fs::remove_file(&self.beside);
    }
}

/// Removes what a run left that was killed. What another one is writing is locked, and what is no such file stays.
fn remove_stale(beside: &Path) -> Result<()> {
    let Ok(found) = beside.symlink_metadata() else { return Ok(()) };
    let context = || format!("could not replace {}", beside.display());
    if !found.is_file() {
        bail!("{} is in the way: remove it, or give another name", beside.display());
    }
    let file = File::open(beside).with_context(context)?;
    if !(is_ours(&file)? && is_at(&file, beside)) {
        bail!(in_use(beside));
    }
    fs::remove_file(beside).with_context(context)
}

/// Locks the file; a file system that knows no locks has no other run to tell of.
fn is_ours(file: &File) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(error).context("could not lock the export"),
    }
}

/// Whether the path leads to this file still: somebody may have finished it before it was locked.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |meta: Metadata| (meta.dev(), meta.ino());
    let found = path.symlink_metadata().map(id).ok();
    found.is_some() && found == file.metadata().map(id).ok()
}

fn exists(path: &Path) -> anyhow::Error {
    anyhow!("{} exists already, and an export replaces no file: give another name", path.display())
}

fn in_use(beside: &Path) -> String {
    format!("another export is writing {}: wait for it, or give another name", beside.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn names(dir: &TempDir) -> Vec<OsString> {
        let entries = dir.path().read_dir().expect("a directory");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_once_it_is_whole() {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("out");
        let mut file = Unfinished::create(&path).expect("begun");
        file.write_all(b"whole").expect("written");
        assert_eq!(names(&dir), ["out.unfinished"]);
        file.finish().expect("finished");
        assert_eq!(names(&dir), ["out"]);
        assert_eq!(fs::read(&path).expect("there"), b"whole");
        assert!(Unfinished::create(&path).is_err(), "it replaces no file");
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let dir = TempDir::new().expect("a directory");
        let mut file = Unfinished::create(&dir.path().join("out")).expect("begun");
        file.write_all(b"half").expect("written");
        drop(file);
        assert_eq!(names(&dir), [""; 0]);
    }

    #[test]
    fn what_a_killed_run_left_gives_way_and_what_is_written_does_not() {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("out");
        fs::write(dir.path().join("out.unfinished"), "half").expect("written");
        let mut file = Unfinished::create(&path).expect("the stale one gives way");
        assert!(Unfinished::create(&path).is_err(), "it is being written");
        file.write_all(b"whole").expect("written");
        file.finish().expect("finished");
        assert_eq!(fs::read(&path).expect("there"), b"whole");
        assert_eq!(names(&dir), ["out"]);
    }

    #[test]
    fn a_name_that_was_taken_meanwhile_is_not_replaced() {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("out");
        let file = Unfinished::create(&path).expect("begun");
        fs::write(&path, "another's").expect("written");
        assert!(file.finish().is_err());
        assert_eq!(fs::read(&path).expect("there"), b"another's");
        assert_eq!(names(&dir), ["out"]);
    }
}
