//! Puts on the worker's real sandbox and then tries one thing, for the security tests.
//!
//! Owns the order of things. Never part of the product.
//!
//! Exits with 0 if the attempt went through, and with 150 plus the error number if it was refused.

use std::process::ExitCode;

use cynic_proto::exit_code;
use cynic_proto::sandbox::SandboxPlan;
use cynic_worker::memory::DyingAllocator;
use cynic_worker::progress::ProgressWriter;
use cynic_worker::sandbox;

use cynic_tests::attempts::{self, Target};

#[global_allocator]
static ALLOCATOR: DyingAllocator = DyingAllocator;

/// Added to the error number of a refused attempt.
const REFUSED: i32 = 150;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [plan, name, args @ ..] = &args[..] else { panic!("no plan and no attempt") };
    let plan: SandboxPlan = serde_json::from_str(plan).expect("a plan");
    let attempt = attempts::named(name).unwrap_or_else(|| panic!("no attempt is called {name}"));
    let target = Target::parse(args);
    let progress = ProgressWriter::map_stdout();
    if let Err(error) = sandbox::apply(&plan, || {}) {
        eprintln!("{error}");
        return exit(exit_code::SANDBOX);
    }
    // Under way: the harness tells a death in the sandbox's making from one in the attempt by this.
    progress.at(cynic_proto::model::Stage::Score, None);
    match attempt(&target) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("refused: {error}");
            exit(REFUSED + error.raw_os_error().unwrap_or_default())
        }
    }
}

fn exit(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).expect("a small code"))
}
