//! The real worker with scorers that each wait for 5 ms. Never part of the product.

use std::process::ExitCode;

use cynic_tests::scorers;
use cynic_worker::memory::DyingAllocator;

#[global_allocator]
static ALLOCATOR: DyingAllocator = DyingAllocator;

fn main() -> ExitCode {
    cynic_worker::run(scorers::awaited)
}
