//! What a living worker uses of the machine.

use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// Memory and processor time of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in bytes, the parts of the program that it shares with other workers included.
    pub resident_bytes: u64,
    /// Resident memory in bytes that is its own: what a leak makes grow.
    pub private_bytes: u64,
    /// Processor time since its start.
    pub cpu: Duration,
}

/// Looks at a process that is not reaped yet; `None` if it is a zombie or the kernel does not tell.
///
/// Reads `statm`, not the exact `smaps_rollup`: that one is closed to other processes once the worker has
/// made itself undumpable.
pub(super) fn of(pid: u32) -> Option<Usage> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let (resident, shared) = parse_statm(&statm)?;
    let page = rustix::param::page_size() as u64;
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    Some(Usage {
        resident_bytes: resident * page,
        private_bytes: resident.saturating_sub(shared) * page,
        cpu: Duration::from(clock.now().ok()?),
    })
}

/// Resident and shared pages: second and third number of `statm`.
fn parse_statm(statm: &str) -> Option<(u64, u64)> {
    let mut numbers = statm.split_ascii_whitespace().map(str::parse::<u64>);
    let _size = numbers.next()?.ok()?;
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let before = of(std::process::id()).expect("own usage");
        let ballast = std::hint::black_box(vec![1_u8; 32 << 20]);
        let after = of(std::process::id()).expect("own usage");
        assert!(after.private_bytes >= before.private_bytes + (24 << 20), "{before:?} {after:?}");
        assert!(after.resident_bytes >= after.private_bytes && after.cpu > before.cpu);
        drop(ballast);
    }

    #[test]
    fn nonsense_is_no_usage() {
        assert_eq!(parse_statm("3 2 1 0"), Some((2, 1)));
        assert_eq!(parse_statm("3 2"), None);
        assert_eq!(parse_statm("a b c"), None);
    }
}
