//! Worker processes: starting them, watching them, ending them, and saying what they died of.
//!
//! Owns everything that touches a process id. Never speaks the workers' protocol, never decides when a
//! worker is started or ended (the pool does), and never forks this process: see [`Spawner`].

mod cause;
mod cgroup;
mod life;
mod page;
mod peer;
mod spawner;
mod stderr;
mod usage;
mod worker;

pub use cause::{Exit, cause_of_death};
pub use cgroup::{CgroupError, CgroupTree, WorkerCgroup};
pub use peer::peer_groups;
pub use spawner::{SpawnError, SpawnRequest, Spawner};
pub use stderr::StderrTail;
pub use usage::Usage;
pub use worker::{Process, WorkerProcess};
