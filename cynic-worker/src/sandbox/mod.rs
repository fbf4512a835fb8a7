//! Confines this process, for good, before it reads the first byte of an item.
//!
//! Owns the order of the layers and what happens when one is missing; each layer is a file of its own. Never
//! takes a layer off again: the kernel has no way to. Must run while the process has a single thread.

mod capabilities;
mod death_link;
mod hygiene;
mod landlock;
mod limits;
mod seccomp;
mod write_xor_execute;

use cynic_proto::sandbox::{Layer, LayerStatus, SandboxMode, SandboxPlan, SandboxReport};

/// Why a worker must not work.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The supervisor died before the death link held.
    #[error("the supervisor that started this worker is gone")]
    Orphaned,
    /// A layer is missing and the plan does not allow that.
    #[error(
        "the sandbox is required but its layer `{}` is missing; \
         set sandbox = \"best-effort\" to run without it",
        layer.name()
    )]
    LayerMissing {
        /// Which layer.
        layer: Layer,
        /// What failed.
        #[source]
        source: LayerError,
    },
}

/// Why a layer could not be put on.
#[derive(Debug, thiserror::Error)]
#[error("could not {action}")]
pub struct LayerError {
    action: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl LayerError {
    fn new<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        action: &'static str,
    ) -> impl FnOnce(E) -> LayerError {
        move |source| LayerError { action, source: source.into() }
    }
}

/// Puts on all layers that the plan asks for, and says what became of each. `noticed` returns once the supervisor
/// has opened what it wants to see of this process: afterwards it could not, where `/proc` hides other processes.
///
/// # Errors
/// The supervisor is gone, or a layer is missing under [`SandboxMode::Required`]. Layers already on stay on:
/// the caller can do nothing but end.
pub fn apply(plan: &SandboxPlan, noticed: impl FnOnce()) -> Result<SandboxReport, SandboxError> {
    let mut report = SandboxReport { mode: plan.mode, ..SandboxReport::default() };
    let mut put_on = |layer: Layer, outcome: Result<LayerStatus, LayerError>| {
        report.layers[layer as usize] = match outcome {
            Ok(status) => status,
            Err(source) if plan.mode == SandboxMode::Required => {
                return Err(SandboxError::LayerMissing { layer, source });
            }
            Err(source) => {
                // The tail of standard error is what an operator sees of a worker.
                eprintln!("sandbox layer {} is missing: {source}: {}", layer.name(), source.source);
                LayerStatus::Missing
            }
        };
        Ok(())
    };

    // First, and in every mode: from here on nothing below can leave an orphan behind.
    put_on(Layer::DeathLink, death_link::put_on())?;
    if death_link::is_orphan(plan.supervisor) {
        return Err(SandboxError::Orphaned);
    }
    if plan.mode == SandboxMode::Off {
        return Ok(report);
    }
    noticed();
    // While /proc can still be written, and before anything opens descriptors of its own.
    put_on(Layer::Hygiene, hygiene::put_on())?;
    put_on(Layer::WriteXorExecute, write_xor_execute::put_on())?;
    put_on(Layer::Limits, limits::put_on(&plan.limits))?;
    // After the limits: its ruleset is a descriptor, which the limit on descriptors allows for.
    put_on(Layer::Landlock, landlock::put_on())?;
    // Last: it forbids everything that the layers above need.
    put_on(Layer::Seccomp, seccomp::put_on())?;
    Ok(report)
}
