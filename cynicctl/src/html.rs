//! The page that `--html` names.
//!
//! Owns when it is opened and when it is written: never after a measurement that would be lost with it.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The page that is asked for, open from the start. What is there already stays until there is something to write.
#[derive(Debug)]
pub(crate) struct HtmlFile {
    file: File,
    path: PathBuf,
}

impl HtmlFile {
    /// Opens it, or makes it: to be asked for before the minutes that a measurement takes.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn open(path: &Path) -> Result<HtmlFile> {
        let file = File::options().write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("could not write {}", path.display()))?;
        Ok(HtmlFile { file, path: path.to_owned() })
    }

    /// Puts the text in place of what is there.
    ///
    /// # Errors
    /// The disk is full, or gone.
    pub(crate) fn write(mut self, text: &str) -> Result<()> {
        let mut write = || {
            if self.file.metadata()?.is_file() {
                self.file.set_len(0)?;
            }
            self.file.write_all(text.as_bytes())
        };
        write().with_context(|| format!("could not write {}", self.path.display()))
    }
}
