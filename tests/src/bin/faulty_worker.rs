//! The real worker with one scorer that does what the item says: crash, hang, leak, break out, babble.
//!
//! Session, sandbox and judge are the product's. Started under the name of a boot fault (by a link) it fails
//! before that. Never part of the product.

use std::process::ExitCode;
use std::sync::Arc;

use cynic_judge::{Analysis, Judge, Panel, Scored, Scorer};
use cynic_proto::model::{Dimension, NEUTRAL_SCORE};
use cynic_tests::attempts::Target;
use cynic_tests::faults;
use cynic_worker::memory::DyingAllocator;

#[global_allocator]
static ALLOCATOR: DyingAllocator = DyingAllocator;

fn main() -> ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    match name.rsplit('/').next() {
        Some("boot_crash") => std::process::abort(),
        Some("boot_exit") => ExitCode::from(3),
        Some("boot_hang") => faults::hang(),
        Some("boot_unsandboxed") => {
            eprintln!("this kernel has no landlock");
            ExitCode::from(77)
        }
        Some("dying_dimension") => {
            cynic_worker::run(|judge| broken(judge, || std::process::abort()))
        }
        Some("panicking_dimension") => {
            cynic_worker::run(|judge| broken(judge, || panic!("broken")))
        }
        Some("slow_dimension") => cynic_worker::run(|judge| {
            broken(judge, || std::thread::sleep(std::time::Duration::from_millis(1500)))
        }),
        _ => cynic_worker::run(faulty_panel),
    }
}

/// The judge's panel with a VIGILANCE that fails over every item.
fn broken(judge: &Judge, fail: fn()) -> Panel {
    let scorer = move |_: &Analysis| {
        fail();
        Scored { score: NEUTRAL_SCORE, evidence: Vec::new() }
    };
    let mut panel = judge.panel();
    panel.replace(Dimension::Vigilance, Scorer::Computed(Arc::new(scorer)));
    panel
}

/// The judge's panel with a traitor in the place of VIGILANCE.
fn faulty_panel(judge: &Judge) -> Panel {
    let target = Target::of_this_host();
    let traitor = move |analysis: &Analysis| {
        let item = analysis.item();
        if item.item_type.as_deref() == Some(faults::ITEM_TYPE) {
            faults::commit(&item.body, &target);
        }
        Scored { score: NEUTRAL_SCORE, evidence: Vec::new() }
    };
    let mut panel = judge.panel();
    panel.replace(Dimension::Vigilance, Scorer::Computed(Arc::new(traitor)));
    panel
}
