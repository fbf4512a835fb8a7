//! A small file system of its own. Mounting takes root: without it, tests that need one are skipped and say so.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Unmounted in the end.
pub(crate) struct Tmpfs {
    place: PathBuf,
}

impl Tmpfs {
    /// `None` where this user may not mount, with a word about it.
    pub(crate) fn mount(place: &Path, size: &str) -> Option<Tmpfs> {
        let options = format!("size={size},mode=0755");
        let mut mount = Command::new("mount");
        let output = mount.args(["-t", "tmpfs", "-o", &options, "none"]).arg(place).output();
        let why = match output {
            Ok(output) if output.status.success() => {
                return Some(Tmpfs { place: place.to_owned() });
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        eprintln!("SKIPPED: no small file system here, mounting takes root: {why}");
        None
    }

    pub(crate) fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let status = Command::new("mount").args(["-o", &options]).arg(self.path()).status();
        assert!(status.expect("mount").success(), "{options}");
    }

    pub(crate) fn path(&self) -> &Path {
        &self.place
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: who works on it may be on its way out.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
