//! The product's programs, run to their end as a user runs them.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use crate::daemon::{Daemon, binary};

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its output.
    pub out: String,
    /// What it said besides.
    pub err: String,
}

impl Ended {
    /// Runs a program to its end, without input.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn of(command: &mut Command) -> Ended {
        let Output { status, stdout, stderr } =
            command.stdin(Stdio::null()).output().expect("a program");
        let text = |bytes| String::from_utf8(bytes).expect("only text is printed");
        Ended { code: status.code(), out: text(stdout), err: text(stderr) }
    }

    /// The JSON objects that it printed, one a line.
    ///
    /// # Panics
    /// If something else is among them.
    pub fn json(&self) -> Vec<serde_json::Value> {
        let parsed = |line| serde_json::from_str(line).expect("an object a line");
        self.out.lines().map(parsed).collect()
    }
}

/// A program of the product, which is told nothing by the environment.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(binary(name));
    command.env_clear();
    command
}

impl Daemon {
    /// Runs `cynicctl` against this daemon.
    pub fn cynicctl<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        Ended::of(program("cynicctl").arg("--socket").arg(self.socket()).args(args))
    }
}
