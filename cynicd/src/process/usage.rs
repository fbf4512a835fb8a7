//! What a living worker uses of the machine.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// Memory and processor time of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in bytes, the parts of the program that it shares with other workers included.
    pub resident_bytes: u64,
    /// Processor time since its start.
    pub cpu: Duration,
}

/// Room for the seven numbers of `statm`.
const STATM_BYTES_MAX: usize = 192;

/// How long a child may take from the moment at which it counts as started until it can be seen: some microseconds,
/// unless its processor is taken from it meanwhile.
const APPEARANCE_TIMEOUT: Duration = Duration::from_millis(100);

/// How often that is looked at.
const APPEARANCE_INTERVAL: Duration = Duration::from_micros(50);

/// Looks at one process, again and again.
///
/// Its file is opened while the process is new, and kept: where `/proc` hides other processes (the unit's
/// `ProtectProc=invisible`), one that has made itself undumpable can no longer be found there, but what is open can
/// still be read. Reads `statm`, not the exact `smaps_rollup`, which such a process closes to all others.
#[derive(Debug)]
pub(super) struct Meter {
    pid: Pid,
    statm: File,
}

impl Meter {
    /// For a child that is not reaped yet. Waits for a new one to appear: it counts as started as soon as it has left
    /// this process's memory, but is as undumpable as this process for a moment longer.
    pub(super) fn of(pid: u32) -> io::Result<Meter> {
        let path = format!("/proc/{pid}/statm");
        let deadline = Instant::now() + APPEARANCE_TIMEOUT;
        let statm = loop {
            match File::open(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound && Instant::now() < deadline => {
                    std::thread::sleep(APPEARANCE_INTERVAL);
                }
                opened => break opened?,
            }
        };
        Ok(Meter { pid: Pid::from_raw(pid.cast_signed()), statm })
    }

    /// What the process uses, while it is not reaped; `None` if it is a zombie.
    pub(super) fn read(&self) -> Option<Usage> {
        let mut statm = [0; STATM_BYTES_MAX];
        let length = self.statm.read_at(&mut statm, 0).ok()?;
        let resident = parse_statm(str::from_utf8(statm.get(..length)?).ok()?)?;
        let page = rustix::param::page_size() as u64;
        let clock = clock_getcpuclockid(self.pid).ok()?;
        Some(Usage { resident_bytes: resident * page, cpu: Duration::from(clock.now().ok()?) })
    }
}

/// Resident pages: the second number of `statm`.
fn parse_statm(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let meter = Meter::of(std::process::id()).expect("a meter");
        let before = meter.read().expect("own usage");
        let ballast = std::hint::black_box(vec![1_u8; 32 << 20]);
        let after = meter.read().expect("own usage");
        assert!(after.resident_bytes >= before.resident_bytes + (24 << 20), "{before:?} {after:?}");
        assert!(after.cpu > before.cpu);
        drop(ballast);
    }

    #[test]
    fn nonsense_is_no_usage() {
        assert_eq!(parse_statm("3 2 1 0"), Some(2));
        assert_eq!(parse_statm("3"), None);
        assert_eq!(parse_statm("a b c"), None);
    }
}
