//! The worker process. Started by the supervisor; of no use by hand.

use std::process::ExitCode;

use cynic_judge::Judge;
use cynic_worker::memory::DyingAllocator;

#[global_allocator]
static ALLOCATOR: DyingAllocator = DyingAllocator;

fn main() -> ExitCode {
    cynic_worker::run(Judge::panel)
}
