//! What processes use, by the kernel's word: processor time and memory of the daemon, its workers and this program.
//!
//! Reads `/proc` only. What may not be read, or belongs to another process by now, is left out.

use std::fs;

use cynic_proto::stats::Stats;
use serde::Serialize;

/// Clock ticks a second in `/proc`: Linux gives this to programs on all platforms that it runs on here.
const TICKS_PER_S: f64 = 100.0;

/// Processor time so far, in seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Cpu {
    daemon: Option<f64>,
    /// Of those that live, and of those that ended before.
    workers: Option<f64>,
    client: Option<f64>,
}

/// Processor seconds that were used between two looks; `None` where it is not known.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct CpuUsed {
    /// By the daemon.
    pub daemon_s: Option<f64>,
    /// By all workers.
    pub workers_s: Option<f64>,
    /// By this program.
    pub client_s: Option<f64>,
}

/// Memory in bytes; `None` where it may not be read.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Memory {
    /// Resident, of the daemon.
    pub daemon_rss: Option<u64>,
    /// The same with what is shared divided among those who share it.
    pub daemon_pss: Option<u64>,
    /// Resident, of all workers; what they share is counted for each.
    pub workers_rss: Option<u64>,
    /// The same with what is shared divided.
    pub workers_pss: Option<u64>,
    /// How many workers that is.
    pub workers: u32,
    /// Resident, of this program.
    pub client_rss: Option<u64>,
}

impl Cpu {
    pub(super) fn look(stats: &Stats) -> Cpu {
        let daemon = cpu(stats.pid);
        let living: f64 = worker_pids(stats).filter_map(|pid| Some(cpu(pid)?.own_s)).sum();
        Cpu {
            workers: daemon.as_ref().map(|daemon| living + daemon.ended_s),
            daemon: daemon.map(|daemon| daemon.own_s),
            client: cpu(std::process::id()).map(|client| client.own_s),
        }
    }

    /// What was used since an earlier look.
    pub(super) fn since(&self, earlier: &Cpu) -> CpuUsed {
        let used = |now: Option<f64>, then: Option<f64>| Some((now? - then?).max(0.0));
        CpuUsed {
            daemon_s: used(self.daemon, earlier.daemon),
            workers_s: used(self.workers, earlier.workers),
            client_s: used(self.client, earlier.client),
        }
    }
}

impl CpuUsed {
    /// All that is known.
    pub fn sum_s(&self) -> f64 {
        [self.daemon_s, self.workers_s, self.client_s].into_iter().flatten().sum()
    }
}

impl Memory {
    pub(super) fn look(stats: &Stats) -> Memory {
        let sum = |of: fn(u32) -> Option<u64>| worker_pids(stats).map(of).sum::<Option<u64>>();
        let workers = worker_pids(stats).count() as u32;
        Memory {
            daemon_rss: rss(stats.pid),
            daemon_pss: pss(stats.pid),
            workers_rss: sum(rss).filter(|_| workers > 0),
            workers_pss: sum(pss).filter(|_| workers > 0),
            workers,
            client_rss: rss(std::process::id()),
        }
    }
}

fn worker_pids(stats: &Stats) -> impl Iterator<Item = u32> {
    stats.workers.iter().map(|worker| worker.pid).filter(|pid| *pid != 0)
}

fn proc(pid: u32, file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).ok()
}

/// Processor time of a process, and of its children that have ended.
#[derive(Debug, PartialEq)]
struct Times {
    own_s: f64,
    ended_s: f64,
}

/// User and system time; `None` if the process is none of CYNIC's (a daemon in a container numbers its own).
fn cpu(pid: u32) -> Option<Times> {
    parse_stat(&proc(pid, "stat")?)
}

/// The name is in parentheses and may hold anything; the times are the 12th to 15th field behind it.
fn parse_stat(stat: &str) -> Option<Times> {
    let (head, fields) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once('(')?;
    if !name.starts_with("cynic") {
        return None;
    }
    let mut ticks = fields.split_ascii_whitespace().skip(11).map_while(|f| f.parse::<u64>().ok());
    let mut user_and_system = || Some((ticks.next()? + ticks.next()?) as f64 / TICKS_PER_S);
    Some(Times { own_s: user_and_system()?, ended_s: user_and_system()? })
}

fn rss(pid: u32) -> Option<u64> {
    kilobytes(&proc(pid, "status")?, "VmRSS:")
}

fn pss(pid: u32) -> Option<u64> {
    kilobytes(&proc(pid, "smaps_rollup")?, "Pss:")
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_behind_a_name_that_may_hold_anything() {
        let stat =
            |name| format!("7 ({name}) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 30 20 20 0 1 0 5 1 1");
        let times = Some(Times { own_s: 2.0, ended_s: 0.5 });
        assert_eq!(parse_stat(&stat("cynic-worker")), times);
        assert_eq!(parse_stat(&stat("cynic) S 1 (2")), times);
        assert_eq!(parse_stat(&stat("bash")), None);
        assert_eq!(parse_stat("7 (cynicd) S"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn kilobytes_are_found_by_name() {
        assert_eq!(
            kilobytes("Rss: 9 kB\nPss:    12 kB\nPss_Dirty: 3 kB\n", "Pss:"),
            Some(12 * 1024)
        );
        assert_eq!(kilobytes("Rss: 9 kB\n", "Pss:"), None);
    }
}
