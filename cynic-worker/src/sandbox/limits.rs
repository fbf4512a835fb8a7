//! How much of the machine a worker may take.

use cynic_proto::sandbox::{LayerStatus, SandboxLimits};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::LayerError;

/// Room for the three that a worker has and the ruleset of the next layer.
const DESCRIPTORS_MAX: u64 = 16;

/// Seconds between SIGXCPU, by which the supervisor knows the cause, and SIGKILL for whoever ignores it.
const CPU_GRACE_SECONDS: u64 = 5;

/// How much address space goes with each byte of memory. `RLIMIT_DATA` does not count read-only mappings,
/// but their page tables cost one byte of the kernel's memory for every 512 touched: this bounds it.
/// Generous, because a WebAssembly host reserves gigabytes that it never touches.
const ADDRESS_SPACE_BYTES_MAX: u64 = 32 << 30;

pub(super) fn put_on(limits: &SandboxLimits) -> Result<LayerStatus, LayerError> {
    let cpu = limits.cpu_seconds;
    let rules = [
        // Heap, globals and private mappings together. Shared mappings are not counted: the filter denies
        // them. An allocation beyond fails and ends the worker with an exit code of its own.
        (Resource::RLIMIT_DATA, limits.memory_bytes, limits.memory_bytes),
        (Resource::RLIMIT_AS, ADDRESS_SPACE_BYTES_MAX, ADDRESS_SPACE_BYTES_MAX),
        // Endless recursion ends here, before it ends in the heap's limit.
        (Resource::RLIMIT_STACK, limits.stack_bytes, limits.stack_bytes),
        (Resource::RLIMIT_CPU, cpu, cpu.saturating_add(CPU_GRACE_SECONDS)),
        // A dump would write items to the disk.
        (Resource::RLIMIT_CORE, 0, 0),
        // No file is ever written. Sockets and pipes do not count.
        (Resource::RLIMIT_FSIZE, 0, 0),
        (Resource::RLIMIT_NOFILE, DESCRIPTORS_MAX, DESCRIPTORS_MAX),
        // No process and no thread besides this one, should the filter be missing. (Root is exempt.)
        (Resource::RLIMIT_NPROC, 0, 0),
    ];
    for (resource, soft, hard) in rules {
        lower(resource, soft, hard)
            .map_err(LayerError::new("set the limits on memory, time and files"))?;
    }
    Ok(LayerStatus::Enforced)
}

/// Sets a limit; where whoever started the daemon set a lower one, that stays.
fn lower(resource: Resource, soft: u64, hard: u64) -> nix::Result<()> {
    let (_, hard_now) = getrlimit(resource)?;
    setrlimit(resource, soft.min(hard_now), hard.min(hard_now))
}
