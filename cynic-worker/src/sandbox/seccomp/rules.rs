//! The system calls of a worker, each with the reason why it is allowed or merely refused.
//!
//! Numbers come from `libc`, so one list serves x86-64 and aarch64; calls that only x86-64 has are marked.
//! Everything that is not named here kills: sockets, programs, processes, memory files, tracing, key rings,
//! mounts, namespaces, `io_uring`, BPF, and whatever later kernels invent.

use std::collections::BTreeMap;

use SeccompCmpArgLen::{Dword, Qword};
use SeccompCmpOp::{Eq, Le, MaskedEq, Ne};
use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

/// Calls that may be made with any arguments.
pub(super) const ALLOWED: &[i64] = &[
    // Memory within the limits. A mapping that moves or grows keeps its protection.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    // Time, where the vDSO cannot answer; sleeping, of scorers that wait.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
    // Locks and the timer of the single-threaded runtime that runs awaited scorers.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    // Random state of hash tables.
    libc::SYS_getrandom,
    // Handlers of the standard library for stack overflow, and abort.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_getpid,
    libc::SYS_gettid,
    // Going on after a stop signal.
    libc::SYS_restart_syscall,
    // The end. Closing the three descriptors harms only the worker itself.
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Calls that fail with EPERM: what library code tries in passing and can do without.
pub(super) const REFUSED: &[i64] = &[
    // Looking for files: locales, time zones, /proc, /etc, a terminal.
    libc::SYS_openat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstat,
    libc::SYS_faccessat,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_lseek,
    libc::SYS_ioctl,
    libc::SYS_fcntl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    // Asking about the machine and about itself.
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    libc::SYS_sched_getaffinity,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    // Reads limits and, with an argument more, raises them.
    libc::SYS_prlimit64,
    libc::SYS_getrlimit,
    // A thread or a process: `spawn` returns an error, which the scorer can handle.
    libc::SYS_clone,
    libc::SYS_clone3,
    // Library code names its threads and mappings; others would lift the hygiene and the death link, or install
    // one more filter.
    libc::SYS_prctl,
];

/// Standard input: the socket to the supervisor.
const SOCKET: u64 = 0;
/// Standard error is the last descriptor a worker writes to.
const STANDARD_ERROR: u64 = 2;

/// System call numbers, each with the rules of which one must hold; none means any arguments.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The calls that are refused for their arguments.
///
/// # Errors
/// A rule that makes no sense: a mistake in this file.
pub(super) fn refused_if() -> Result<Rules, BackendError> {
    // The allocator gives memory back, which goes through. Newer C libraries also ask for huge pages, or for
    // guards around the stack of a thread that they cannot start, and bear a refusal. Other advice reaches into
    // the machine (poisoning a page, for root) or into other processes (merging equal pages tells what they
    // hold).
    let give_back = [libc::MADV_DONTNEED, libc::MADV_FREE];
    let other = give_back.map(|advice| (2, Dword, Ne, advice as u64));
    Ok(BTreeMap::from([(libc::SYS_madvise, vec![rule(other)?])]))
}

/// The calls that go through for their arguments, if they are not refused.
///
/// # Errors
/// A rule that makes no sense: a mistake in this file.
pub(super) fn allowed_if(pid: u32) -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    // Whatever advice is not refused.
    rules.insert(libc::SYS_madvise, Vec::new());

    // The conversation with the supervisor, and the log. No sendmsg or recvmsg: no descriptor ever passes.
    // No address: a connected socket is all there is, and stays so.
    for call in [libc::SYS_read, libc::SYS_readv, libc::SYS_recvfrom] {
        rules.insert(call, vec![rule([(0, Dword, Eq, SOCKET)])?]);
    }
    for call in [libc::SYS_write, libc::SYS_writev] {
        rules.insert(call, vec![rule([(0, Dword, Le, STANDARD_ERROR)])?]);
    }
    rules.insert(libc::SYS_sendto, vec![rule([(0, Dword, Eq, SOCKET), (4, Qword, Eq, 0)])?]);

    // Anonymous, private, never executable. Shared mappings and stack-like ones (GROWSDOWN) would escape
    // the limit on memory; huge pages would take what the host set aside for others. Droppable memory is
    // counted like private memory: newer C libraries keep the state of their random numbers in it.
    let kind =
        (libc::MAP_TYPE | libc::MAP_ANONYMOUS | libc::MAP_GROWSDOWN | libc::MAP_HUGETLB) as u64;
    let executable = MaskedEq(libc::PROT_EXEC as u64);
    let map = [libc::MAP_PRIVATE, libc::MAP_DROPPABLE].map(|sharing| {
        let wanted = (sharing | libc::MAP_ANONYMOUS) as u64;
        rule([(2, Qword, executable.clone(), 0), (3, Qword, MaskedEq(kind), wanted)])
    });
    rules.insert(libc::SYS_mmap, map.into_iter().collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_mprotect, vec![rule([(2, Qword, executable, 0)])?]);

    // Abort raises its signal on itself; no other signal goes out, and none anywhere else. A worker that ends itself by a
    // signal of somebody else's would pass for a victim, and its item would be tried for ever.
    let abort = [(0, Dword, Eq, u64::from(pid)), (2, Dword, Eq, libc::SIGABRT as u64)];
    rules.insert(libc::SYS_tgkill, vec![rule(abort)?]);
    Ok(rules)
}

/// A rule that holds when all its conditions on (argument, width, comparison, value) do.
fn rule<const N: usize>(
    conditions: [(u8, SeccompCmpArgLen, SeccompCmpOp, u64); N],
) -> Result<SeccompRule, BackendError> {
    let conditions = conditions
        .into_iter()
        .map(|(argument, width, op, value)| SeccompCondition::new(argument, width, op, value))
        .collect::<Result<_, _>>()?;
    SeccompRule::new(conditions)
}
