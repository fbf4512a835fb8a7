//! What a worker is to be confined to, and what it reports that it got.
//!
//! Owns the vocabulary that supervisor and worker share: the plan travels as command line arguments (a
//! worker's environment is empty), the report in READY. How a layer works belongs to `cynic-worker`.

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SandboxPlan {
    /// How much must be there.
    pub mode: SandboxMode,
    /// What the worker may use.
    pub limits: SandboxLimits,
    /// Process id of the supervisor, so that a worker that is born an orphan can tell. Unset when a person
    /// starts a worker by hand.
    pub supervisor: Option<u32>,
}

/// Why arguments are not a plan.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The value of one of the options makes no sense.
    #[error("{option}={value} makes no sense: expected {expected}")]
    BadValue {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

const MODE: &str = "--sandbox";
const MEMORY: &str = "--memory-bytes";
const STACK: &str = "--stack-bytes";
const CPU: &str = "--cpu-seconds";
const SUPERVISOR: &str = "--supervisor";

impl SandboxPlan {
    /// The plan as arguments for the worker.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec![
            format!("{MODE}={}", self.mode.name()),
            format!("{MEMORY}={}", self.limits.memory_bytes),
            format!("{STACK}={}", self.limits.stack_bytes),
            format!("{CPU}={}", self.limits.cpu_seconds),
        ];
        args.extend(self.supervisor.map(|pid| format!("{SUPERVISOR}={pid}")));
        args
    }

    /// Takes the plan's options out of a worker's arguments; returns the others as they came.
    ///
    /// # Errors
    /// An option whose value makes no sense. One that is absent keeps its default.
    pub fn from_args(
        args: impl IntoIterator<Item = String>,
    ) -> Result<(SandboxPlan, Vec<String>), PlanError> {
        let mut plan = SandboxPlan::default();
        let mut others = Vec::new();
        for arg in args {
            match arg.split_once('=') {
                Some((MODE, value)) => plan.mode = parse_mode(value)?,
                Some((MEMORY, value)) => plan.limits.memory_bytes = parse(MEMORY, value)?,
                Some((STACK, value)) => plan.limits.stack_bytes = parse(STACK, value)?,
                Some((CPU, value)) => plan.limits.cpu_seconds = parse(CPU, value)?,
                Some((SUPERVISOR, value)) => plan.supervisor = Some(parse(SUPERVISOR, value)?),
                _ => others.push(arg),
            }
        }
        Ok((plan, others))
    }
}

fn parse_mode(value: &str) -> Result<SandboxMode, PlanError> {
    SandboxMode::ALL.into_iter().find(|mode| mode.name() == value).ok_or_else(|| {
        PlanError::BadValue {
            option: MODE,
            value: value.to_owned(),
            expected: "required, best-effort or off",
        }
    })
}

fn parse<N: std::str::FromStr>(option: &'static str, value: &str) -> Result<N, PlanError> {
    value.parse().map_err(|_| PlanError::BadValue {
        option,
        value: value.to_owned(),
        expected: "a whole number",
    })
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
    fn a_plan_survives_the_command_line() {
        let plan = SandboxPlan {
            mode: SandboxMode::BestEffort,
            limits: SandboxLimits { memory_bytes: 1, stack_bytes: 2, cpu_seconds: 3 },
            supervisor: Some(4),
        };
        let mut args = plan.to_args();
        args.insert(1, "--else=where".to_owned());
        assert_eq!(SandboxPlan::from_args(args), Ok((plan, vec!["--else=where".to_owned()])));
        let defaults = SandboxPlan::default();
        assert_eq!(SandboxPlan::from_args(defaults.to_args()), Ok((defaults, Vec::new())));
    }

    #[test]
    fn a_bad_value_is_named() {
        let error =
            SandboxPlan::from_args(["--sandbox=some".to_owned()]).expect_err("no such mode");
        assert_eq!(
            error.to_string(),
            "--sandbox=some makes no sense: expected required, best-effort or off"
        );
        assert!(SandboxPlan::from_args(["--cpu-seconds=-1".to_owned()]).is_err());
    }

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
