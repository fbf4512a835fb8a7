//! A control group for each slot of the pool, where the service manager has delegated a tree for it.
//!
//! Owns the groups' directories. An addition to the workers' own limits, never a replacement: it counts what
//! they do not (page tables, buffers in the kernel), and it tells a kill for memory from any other SIGKILL.
//! Without a delegated tree there is none, and nothing is missing that isolation depends on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the unified hierarchy is mounted.
const HIERARCHY: &str = "/sys/fs/cgroup";

/// The subgroup that the unit puts this daemon in (`DelegateSubgroup=`, systemd 254): a group with processes
/// of its own cannot have groups with limits below it. Being in it is the sign that the tree is ours.
const OWN_SUBGROUP: &str = "supervisor";

/// The group above those of the slots.
const WORKERS: &str = "workers";

/// What a worker's group may hold beyond the worker's own limit on memory: its program, its stack, its page
/// tables and what the kernel buffers for it. The worker's limit is to be met first, since it gives a cause.
const MEMORY_BYTES_BEYOND: u64 = 64 << 20;

/// The tree that the service manager has delegated.
#[derive(Debug)]
pub struct CgroupTree {
    workers: PathBuf,
}

/// The group of one slot; processes come and go in it.
#[derive(Debug, Clone)]
pub struct WorkerCgroup {
    directory: PathBuf,
}

/// What went wrong with a group.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} {}", path.display())]
pub struct CgroupError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl CgroupTree {
    /// The tree of this process, made ready for workers; `None` where no tree was delegated.
    ///
    /// # Errors
    /// A tree was delegated but cannot be used, most likely because its controllers for memory and processes
    /// were not delegated with it.
    pub fn delegated() -> Result<Option<CgroupTree>, CgroupError> {
        let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        match delegated_group(&membership) {
            Some(group) => CgroupTree::at(&Path::new(HIERARCHY).join(group)).map(Some),
            None => Ok(None),
        }
    }

    /// Where the workers' groups are.
    pub fn path(&self) -> &Path {
        &self.workers
    }

    fn at(root: &Path) -> Result<CgroupTree, CgroupError> {
        let workers = root.join(WORKERS);
        make_directory(&workers)?;
        for group in [root, &workers] {
            write(&group.join("cgroup.subtree_control"), "+memory +pids")?;
        }
        Ok(CgroupTree { workers })
    }

    /// The group of a slot, made if it is not there, for workers with that limit on their own memory.
    ///
    /// # Errors
    /// The kernel refuses the group or one of its limits.
    pub fn slot(&self, slot: u16, memory_bytes: u64) -> Result<WorkerCgroup, CgroupError> {
        let directory = self.workers.join(format!("slot-{slot}"));
        make_directory(&directory)?;
        let memory = memory_bytes.saturating_add(MEMORY_BYTES_BEYOND).to_string();
        for (file, value) in [
            ("memory.max", memory.as_str()),
            // What does not fit ends the worker; it does not slow the host down.
            ("memory.swap.max", "0"),
            ("memory.oom.group", "1"),
            // The worker itself and nothing that it starts, root or not.
            ("pids.max", "1"),
        ] {
            write(&directory.join(file), value)?;
        }
        Ok(WorkerCgroup { directory })
    }
}

impl WorkerCgroup {
    /// Moves a process into the group.
    ///
    /// # Errors
    /// It has ended, or the kernel refuses.
    pub(super) fn admit(&self, pid: u32) -> Result<(), CgroupError> {
        write(&self.directory.join("cgroup.procs"), &pid.to_string())
    }

    /// How many processes of this group the kernel has killed for want of memory so far. A count that rose
    /// while a worker lived is what it died of.
    pub fn memory_kills(&self) -> u64 {
        let events = fs::read_to_string(self.directory.join("memory.events")).unwrap_or_default();
        memory_kills(&events)
    }
}

/// The delegated group of a process that is in its own subgroup, relative to the hierarchy.
fn delegated_group(membership: &str) -> Option<&str> {
    let path = membership.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group = path.strip_suffix(OWN_SUBGROUP)?.strip_suffix('/')?;
    (!group.is_empty()).then_some(group)
}

fn memory_kills(events: &str) -> u64 {
    let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    kills.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
}

fn make_directory(path: &Path) -> Result<(), CgroupError> {
    match fs::create_dir(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(CgroupError { action: "make the control group", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    let failed = |source| CgroupError { action: "set", path: path.to_owned(), source };
    fs::write(path, value).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_daemon_in_its_own_subgroup_has_a_tree() {
        let unified = "12:memory:/x\n0::/system.slice/cynicd.service/supervisor\n";
        assert_eq!(delegated_group(unified), Some("system.slice/cynicd.service"));
        for other in [
            "0::/system.slice/cynicd.service\n",
            "0::/\n",
            "0::/supervisor\n",
            "1:cpu:/a/supervisor",
            "",
        ] {
            assert_eq!(delegated_group(other), None, "{other}");
        }
    }

    #[test]
    fn kills_for_memory_are_counted() {
        assert_eq!(memory_kills("low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n"), 2);
        assert_eq!(memory_kills(""), 0);
    }

    #[test]
    fn a_slot_has_its_limits() {
        let root = tempfile::tempdir().expect("a directory");
        let tree = CgroupTree::at(root.path()).expect("a tree");
        let slot = tree.slot(3, 256 << 20).expect("a slot");
        slot.admit(42).expect("admitted");
        let read = |file| fs::read_to_string(root.path().join("workers/slot-3").join(file));
        assert_eq!(read("memory.max").expect("set"), (320_u64 << 20).to_string());
        assert_eq!(read("pids.max").expect("set"), "1");
        assert_eq!(read("cgroup.procs").expect("set"), "42");
        assert_eq!(slot.memory_kills(), 0);
        tree.slot(3, 256 << 20).expect("again");
    }
}
