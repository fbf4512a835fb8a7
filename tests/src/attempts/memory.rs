//! Attempts to get more memory than allowed, or memory of a kind that is not.

use std::io;

use super::{Attempt, Target, call, checked};

/// Far over the limit that the tests set, far under what their machine has.
const MUCH: i64 = 1 << 30;

const READ: i32 = libc::PROT_READ;
const WRITE: i32 = libc::PROT_WRITE;
const EXECUTE: i32 = libc::PROT_EXEC;
const OWN: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

pub(super) const ATTEMPTS: &[(&str, Attempt)] = &[
    ("allocate_past_the_limit", allocate_past_the_limit),
    ("map_past_the_limit", |_| map(MUCH, READ | WRITE, OWN).map(drop)),
    ("unprotect_past_the_limit", unprotect_past_the_limit),
    ("grow_the_break_past_the_limit", grow_the_break),
    ("map_droppable_memory", |_| map_droppable(4096).or_else(unknown).map(drop)),
    ("map_droppable_memory_past_the_limit", |_| match map_droppable(MUCH) {
        // An older kernel: as good as none left.
        Err(error) if error.raw_os_error() != Some(libc::ENOMEM) => {
            unknown(error).and(Err(io::Error::from_raw_os_error(libc::ENOMEM)))
        }
        other => other.map(drop),
    }),
    ("map_shared_memory", |_| {
        map(4096, READ | WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS).map(drop)
    }),
    ("map_a_second_stack", |_| map(4096, READ | WRITE, OWN | libc::MAP_GROWSDOWN).map(drop)),
    ("make_system_v_memory", |_| call(libc::SYS_shmget, [0, 4096, 0o600]).map(drop)),
    ("map_address_space_without_end", |_| map(64 << 30, READ, OWN | libc::MAP_NORESERVE).map(drop)),
    ("raise_its_memory_limit", raise_its_memory_limit),
    ("lock_memory", |_| call(libc::SYS_mlockall, [libc::MCL_FUTURE.into()]).map(drop)),
    ("map_memory_to_write_and_execute", |_| map(4096, READ | WRITE | EXECUTE, OWN).map(drop)),
    ("map_memory_to_execute", |_| map(4096, READ | EXECUTE, OWN).map(drop)),
    ("make_memory_executable", |_| protect(READ | EXECUTE, libc::SYS_mprotect)),
    ("make_memory_executable_by_key", |_| protect(READ | EXECUTE, libc::SYS_pkey_mprotect)),
    ("ask_for_huge_pages", |_| {
        let address = map(4096, READ | WRITE, OWN)?;
        call(libc::SYS_madvise, [address, 4096, libc::MADV_HUGEPAGE.into()]).map(drop)
    }),
    ("make_a_memory_fault_handler", |_| {
        call(libc::SYS_userfaultfd, [i64::from(libc::O_CLOEXEC) | 1]).map(drop)
    }),
];

fn allocate_past_the_limit(_: &Target) -> io::Result<()> {
    let block = std::hint::black_box(vec![1_u8; MUCH as usize]);
    drop(block);
    Ok(())
}

fn map(length: i64, protection: i32, flags: i32) -> io::Result<i64> {
    call(libc::SYS_mmap, [0, length, protection.into(), flags.into(), -1, 0])
}

/// What newer C libraries keep the state of their random numbers in.
fn map_droppable(length: i64) -> io::Result<i64> {
    map(length, READ | WRITE, libc::MAP_DROPPABLE | libc::MAP_ANONYMOUS)
}

/// Kernels before 6.11 have no droppable memory, and then no library wants it.
fn unknown(error: io::Error) -> io::Result<i64> {
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::EOPNOTSUPP) => Ok(0),
        _ => Err(error),
    }
}

/// A mapping without rights is not counted; giving it rights must be.
fn unprotect_past_the_limit(_: &Target) -> io::Result<()> {
    let address = map(MUCH, libc::PROT_NONE, OWN)?;
    call(libc::SYS_mprotect, [address, MUCH, i64::from(READ | WRITE)]).map(drop)
}

#[expect(unsafe_code, reason = "no safe way to move the break")]
fn grow_the_break(_: &Target) -> io::Result<()> {
    // SAFETY: the allocator copes with a break that others move.
    checked(unsafe { libc::sbrk(MUCH as isize) } as i64).map(drop)
}

fn raise_its_memory_limit(_: &Target) -> io::Result<()> {
    let limits = [u64::MAX, u64::MAX];
    let resource = i64::from(libc::RLIMIT_DATA);
    call(libc::SYS_prlimit64, [0, resource, limits.as_ptr() as i64, 0]).map(drop)
}

fn protect(protection: i32, number: i64) -> io::Result<()> {
    let address = map(4096, READ | WRITE, OWN)?;
    call(number, [address, 4096, protection.into(), -1]).map(drop)
}
