//! The worker: one sandboxed process that judges one lease at a time.
//!
//! Never opens a file or a connection: its whole world is one socket, one progress page and its own memory.

pub mod host;
pub mod memory;
pub mod progress;
pub mod sandbox;
pub mod session;

use std::process::ExitCode;

use cynic_judge::{Judge, Options, Panel};
use cynic_proto::exit_code;
use cynic_proto::sandbox::SandboxPlan;
use cynic_proto::trust::TrustedKey;

use host::Host;
use progress::ProgressWriter;
use session::SessionError;

/// The whole life of a worker process: from its arguments to its exit code.
///
/// `panel` may put other scorers in the place of the judge's own; it runs inside the sandbox. Must be
/// called first thing in `main`, while the process has one thread.
pub fn run(panel: impl FnOnce(&Judge) -> Panel) -> ExitCode {
    quiet_panics();
    let code = match start(panel) {
        Ok(()) => exit_code::DONE,
        Err(error) => {
            report(&error);
            error.exit_code()
        }
    };
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

fn start(panel: impl FnOnce(&Judge) -> Panel) -> Result<(), SessionError> {
    let mut args = std::env::args().skip(1);
    let plan: SandboxPlan = serde_json::from_str(&args.next().unwrap_or_default())?;
    let keys = args.map(|key| key.parse().map(|TrustedKey(key)| key));
    let options = Options { trusted_keys: keys.collect::<Result<_, _>>()?, ..Options::default() };
    let progress = ProgressWriter::map_stdout();
    let sandbox = sandbox::apply(&plan, session::await_greeting)?;
    let judge = Judge::new(options);
    judge.self_test()?;
    let panel = panel(&judge);
    session::serve(Host::new(judge, panel, progress)?, &sandbox)
}

/// A panic says in one line what and where; the standard hook would look for a backtrace's symbols in files
/// that the sandbox denies. A scorer's panic is only located: its message may quote the item, belongs into that
/// item's judgment, and is told there.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(location) if host::is_contained() => eprintln!("a scorer panicked at {location}"),
        _ => eprintln!("{panic}"),
    }));
}

/// Standard error is a pipe to the supervisor, which keeps its tail for the death record.
fn report(error: &SessionError) {
    eprintln!("cynic-worker: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        eprintln!("  caused by: {cause}");
        source = cause.source();
    }
}
