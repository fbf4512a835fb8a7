//! What a worker is to be confined to, and what it reports that it got.
//!
//! Owns the vocabulary that supervisor and worker share: the plan travels as JSON in the worker's first argument (its
//! environment is empty), the report in READY. How a layer works belongs to `cynic-worker`.

use serde::{Deserialize, Serialize};

/// How much of the sandbox a worker must have to work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    /// A worker that lacks a layer refuses to work.
    #[default]
    Required,
    /// A worker takes the layers that the kernel offers and reports the rest as missing.
    BestEffort,
    /// No confinement beyond the death link: for debugging and for measuring what the sandbox costs.
    Off,
}

impl SandboxMode {
    /// All modes, strictest first.
    pub const ALL: [SandboxMode; 3] =
        [SandboxMode::Required, SandboxMode::BestEffort, SandboxMode::Off];

    /// The mode's name, as in the configuration and in `stats`.
    pub const fn name(self) -> &'static str {
        match self {
            SandboxMode::Required => "required",
            SandboxMode::BestEffort => "best-effort",
            SandboxMode::Off => "off",
        }
    }
}

/// What a worker may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxLimits {
    /// Private writable memory in bytes (`RLIMIT_DATA`): heap, globals, all anonymous mappings.
    pub memory_bytes: u64,
    /// The main thread's stack in bytes (`RLIMIT_STACK`).
    pub stack_bytes: u64,
    /// Processor time over the worker's life in seconds (`RLIMIT_CPU`). A net below the deadlines, for a
    /// supervisor that is itself stopped; recycle a worker well before.
    pub cpu_seconds: u64,
}

impl Default for SandboxLimits {
    fn default() -> Self {
        SandboxLimits {
            // Room for the largest frame several times over and for all models, small against any host.
            memory_bytes: 256 << 20,
            // Linux's own default; no part of the judge recurses with its input's depth.
            stack_bytes: 8 << 20,
            // A quarter of an hour of nothing but judging.
            cpu_seconds: 900,
        }
    }
}

/// Everything a worker needs to know to confine itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxPlan {
    /// How much must be there.
    pub mode: SandboxMode,
    /// What the worker may use.
    pub limits: SandboxLimits,
    /// Process id of the supervisor, so that a worker that is born an orphan can tell. Unset where none
    /// is to be outlived.
    pub supervisor: Option<u32>,
}

/// One layer of the sandbox, in the order in which they are put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The worker dies with its supervisor.
    DeathLink,
    /// First in the kernel's eyes when memory runs out; no dump, no new privileges, no inherited descriptors.
    Hygiene,
    /// No memory is ever both written and executed.
    WriteXorExecute,
    /// Memory, stack, processor time, files.
    Limits,
    /// No file, no TCP port, no signal or abstract socket outside of the sandbox.
    Landlock,
    /// Only the system calls that judging needs.
    Seccomp,
}

impl Layer {
    /// All layers in order.
    pub const ALL: [Layer; 6] = [
        Layer::DeathLink,
        Layer::Hygiene,
        Layer::WriteXorExecute,
        Layer::Limits,
        Layer::Landlock,
        Layer::Seccomp,
    ];

    /// The layer's name, as in `stats` and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Layer::DeathLink => "death_link",
            Layer::Hygiene => "hygiene",
            Layer::WriteXorExecute => "write_xor_execute",
            Layer::Limits => "limits",
            Layer::Landlock => "landlock",
            Layer::Seccomp => "seccomp",
        }
    }
}

/// What became of a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerStatus {
    /// Not asked for.
    #[default]
    Off,
    /// In force, whole.
    Enforced,
    /// In force as far as this kernel knows it; what is missing is denied by another layer.
    Partial,
    /// Not in force.
    Missing,
}

impl LayerStatus {
    /// The status as a word.
    pub const fn name(self) -> &'static str {
        match self {
            LayerStatus::Off => "off",
            LayerStatus::Enforced => "enforced",
            LayerStatus::Partial => "partial",
            LayerStatus::Missing => "missing",
        }
    }
}

/// What a worker says it is confined by. Fixed size: nothing in it grows with what a worker claims.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReport {
    /// What was asked for.
    pub mode: SandboxMode,
    /// What became of each layer, in the order of [`Layer::ALL`].
    pub layers: [LayerStatus; Layer::ALL.len()],
}

impl SandboxReport {
    /// What became of one layer.
    pub fn layer(&self, layer: Layer) -> LayerStatus {
        self.layers[layer as usize]
    }

    /// Whether a worker with this report may work under that mode. The supervisor asks too: a worker's word
    /// that it is confined counts only if it says so of every layer.
    pub fn satisfies(&self, mode: SandboxMode) -> bool {
        let in_force = |status| matches!(status, LayerStatus::Enforced | LayerStatus::Partial);
        mode != SandboxMode::Required || self.layers.into_iter().all(in_force)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_wants_every_layer() {
        let mut report = SandboxReport {
            mode: SandboxMode::Required,
            layers: [LayerStatus::Enforced; Layer::ALL.len()],
        };
        assert!(report.satisfies(SandboxMode::Required));
        report.layers[Layer::Landlock as usize] = LayerStatus::Partial;
        assert!(report.satisfies(SandboxMode::Required));
        for status in [LayerStatus::Missing, LayerStatus::Off] {
            report.layers[Layer::Seccomp as usize] = status;
            assert!(!report.satisfies(SandboxMode::Required));
            assert!(report.satisfies(SandboxMode::BestEffort));
        }
    }
}
