//! The supervisor's side of a worker's progress page.
//!
//! Owns the memory file. Never maps it: a page that is read by system call cannot hurt its reader, whatever
//! the worker does to it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use cynic_proto::progress::{PAGE_BYTES, Progress, RECORD_BYTES, decode, offset, sequence};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

/// How often a reading that met a change is repeated. A change takes nanoseconds, so the second reading
/// succeeds unless the writer means to prevent it.
const READINGS_MAX: usize = 3;

/// The page of one worker; readable for as long as this lives, also after the worker's death.
#[derive(Debug)]
pub(super) struct ProgressPage {
    file: File,
}

impl ProgressPage {
    /// Makes a page of zeros that can neither grow nor shrink.
    pub(super) fn new() -> io::Result<ProgressPage> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Kernels before 6.3 do not know NOEXEC_SEAL.
        let memory = memfd_create(c"cynic-progress", flags | MemfdFlags::NOEXEC_SEAL)
            .or_else(|_| memfd_create(c"cynic-progress", flags))?;
        ftruncate(&memory, PAGE_BYTES as u64)?;
        fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(ProgressPage { file: File::from(memory) })
    }

    /// A descriptor of the page for the worker.
    pub(super) fn for_worker(&self) -> io::Result<OwnedFd> {
        self.file.as_fd().try_clone_to_owned()
    }

    /// What the worker says it is doing; `None` between tasks and for nonsense.
    pub(super) fn read(&self) -> Option<Progress> {
        for _ in 0..READINGS_MAX {
            let before = self.sequence()?;
            let mut record = [0; RECORD_BYTES];
            self.file.read_exact_at(&mut record, 0).ok()?;
            // Three calls, because only their order is certain, not the order within one copy.
            if sequence(&record) == Some(before) && self.sequence() == Some(before) {
                return decode(&record);
            }
        }
        None
    }

    fn sequence(&self) -> Option<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, offset::SEQUENCE as u64).ok()?;
        Some(u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_page_says_nothing_and_keeps_its_size() {
        let page = ProgressPage::new().expect("a page");
        assert_eq!(page.read(), None);
        let worker = File::from(page.for_worker().expect("a descriptor"));
        assert!(worker.set_len(0).is_err());
        assert!(worker.set_len(2 * PAGE_BYTES as u64).is_err());
        assert_eq!(worker.metadata().expect("its size").len(), PAGE_BYTES as u64);
    }
}
