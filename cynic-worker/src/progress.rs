//! Writes the progress page: where in which task this worker is, readable by the supervisor at any time and
//! after this worker's death.
//!
//! Owns the mapping of the page. Never blocks, never fails and never makes a system call after mapping: an
//! update is a few stores.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use cynic_proto::ids::TaskId;
use cynic_proto::model::{Dimension, Stage};
use cynic_proto::progress::{MAGIC, PAGE_BYTES, Position, RECORD_BYTES, offset};
use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::stat::fstat;

const WORDS: usize = RECORD_BYTES / size_of::<u64>();

/// Writes the page; a copy writes the same page. Without a page every call does nothing.
///
/// There is one writer at a time: the worker is single-threaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProgressWriter {
    words: Option<&'static [AtomicU64; WORDS]>,
}

impl ProgressWriter {
    /// Maps the page that the supervisor hands over as standard output, and then makes standard output a
    /// copy of standard error, so that a scorer that prints ends in the worker's log and not in the page.
    ///
    /// Where standard output is something else (a worker started by hand) it is left alone and the writer
    /// does nothing. Call it before the sandbox, which forbids shared memory.
    pub fn map_stdout() -> ProgressWriter {
        let stdout = std::io::stdout();
        let Some(page) = map_page(stdout.as_fd()) else { return ProgressWriter::default() };
        // Leaving the page as standard output would only let a stray print fail; nothing is lost.
        let _ = nix::unistd::dup2_stdout(std::io::stderr());
        let writer = ProgressWriter { words: Some(leak(page)) };
        writer.store(offset::MAGIC, MAGIC);
        writer
    }

    /// Enters a task: an item of the lease.
    pub fn task_started(self, task: TaskId) {
        let Some(words) = self.words else { return };
        let sequence = &words[offset::SEQUENCE / 8];
        // The counter is odd while the fields change: a reader between the two stores reads again.
        let entered = sequence.load(Ordering::Relaxed).wrapping_add(1) | 1;
        sequence.store(entered, Ordering::Relaxed);
        fence(Ordering::Release);
        let id = task.0.to_be_bytes();
        let (first, second) = id.split_at(8);
        let word = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("half of 16 bytes"));
        self.store(offset::TASK, word(first));
        self.store(offset::TASK + 8, word(second));
        self.store(offset::POSITION, 0);
        sequence.store(entered.wrapping_add(1), Ordering::Release);
    }

    /// Moves to a place in the task.
    #[inline]
    pub fn at(self, stage: Stage, dimension: Option<Dimension>) {
        self.store(offset::POSITION, Position { stage, dimension }.encode());
    }

    /// Leaves the task: the page says "between tasks" until the next.
    pub fn finished(self) {
        self.store(offset::POSITION, 0);
    }

    #[inline]
    fn store(self, at: usize, value: u64) {
        if let Some(words) = self.words {
            words[at / 8].store(value.to_le(), Ordering::Relaxed);
        }
    }
}

/// Maps a descriptor if it is a progress page: of the right size and sealed against shrinking, without
/// which a store could end in SIGBUS.
fn map_page(fd: std::os::fd::BorrowedFd<'_>) -> Option<MmapRaw> {
    let seals = SealFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GET_SEALS).ok()?);
    let size = usize::try_from(fstat(fd).ok()?.st_size).ok()?;
    if !seals.contains(SealFlag::F_SEAL_SHRINK) || size != PAGE_BYTES {
        return None;
    }
    // `fd` outlives the call; the mapping holds the memory by itself.
    MmapOptions::new().len(PAGE_BYTES).map_raw(std::os::fd::AsRawFd::as_raw_fd(&fd)).ok()
}

/// Keeps the page mapped for the rest of the process.
#[expect(unsafe_code, reason = "the only way to words in memory shared with another process")]
#[expect(clippy::cast_ptr_alignment, reason = "a mapping is aligned to a page")]
fn leak(page: MmapRaw) -> &'static [AtomicU64; WORDS] {
    let words = page.as_mut_ptr().cast::<[AtomicU64; WORDS]>();
    std::mem::forget(page);
    // SAFETY: the mapping is page-aligned, longer than the record, readable and writable, never unmapped
    // (forgotten above) and cannot shrink (sealed, checked by `map_page`). All accesses are atomic; the
    // supervisor only reads, with `pread`.
    unsafe { &*words }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cynic_proto::progress::{Progress, decode, sequence};
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::unistd::ftruncate;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    fn page() -> (File, ProgressWriter) {
        let fd = memfd_create(c"page", MFdFlags::MFD_ALLOW_SEALING).expect("memfd");
        ftruncate(&fd, 4096).expect("size");
        fcntl(&fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).expect("seal");
        let words = leak(map_page(fd.as_fd()).expect("a page"));
        let writer = ProgressWriter { words: Some(words) };
        writer.store(offset::MAGIC, MAGIC);
        (File::from(fd), writer)
    }

    fn read(file: &File) -> Vec<u8> {
        let mut bytes = vec![0; PAGE_BYTES];
        file.read_exact_at(&mut bytes, 0).expect("the page");
        bytes
    }

    #[test]
    fn what_the_worker_does_is_read_through_the_descriptor() {
        let (file, writer) = page();
        assert_eq!(decode(&read(&file)), None, "between tasks");
        writer.task_started(TaskId(0x0123_4567_89ab_cdef_0011_2233_4455_6677));
        assert_eq!(decode(&read(&file)), None, "no position yet");
        writer.at(Stage::Score, Some(Dimension::Candor));
        let Progress { task, position } = decode(&read(&file)).expect("in a task");
        assert_eq!(task, TaskId(0x0123_4567_89ab_cdef_0011_2233_4455_6677));
        assert_eq!(position, Position { stage: Stage::Score, dimension: Some(Dimension::Candor) });
        assert_eq!(sequence(&read(&file)), Some(2));
        writer.finished();
        assert_eq!(decode(&read(&file)), None, "between tasks");
    }

    #[test]
    fn a_page_that_could_shrink_is_not_mapped() {
        let fd = memfd_create(c"page", MFdFlags::MFD_ALLOW_SEALING).expect("memfd");
        ftruncate(&fd, 4096).expect("size");
        assert!(map_page(fd.as_fd()).is_none());
        let (_read, pipe) = std::io::pipe().expect("pipe");
        assert!(map_page(pipe.as_fd()).is_none());
    }

    #[test]
    fn without_a_page_nothing_happens() {
        let writer = ProgressWriter::default();
        writer.task_started(TaskId(1));
        writer.at(Stage::Parse, None);
        writer.finished();
    }
}
