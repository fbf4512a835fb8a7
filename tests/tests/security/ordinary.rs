//! What a worker must still be able to do in its sandbox, and the deaths that must stay recognisable.

use cynic_proto::error::DeathCause;
use cynic_proto::sandbox::{SandboxLimits, SandboxMode, SandboxPlan};
use cynic_tests::procfs;
use cynicd::process::{Exit, WorkerProcess, cause_of_death};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::probe::{Outcome, attempt, plan, run};

fn assert_possible(name: &str) -> String {
    let (outcome, said) = attempt(name, &plan(SandboxMode::Required));
    assert_eq!(outcome, Outcome::Done, "{said}");
    said
}

#[test]
fn computing() {
    assert_possible("compute");
}

#[test]
fn catching_panics() {
    let said = assert_possible("catch_a_thousand_panics");
    assert!(said.contains("scorer 999 panics"), "{said}");
}

#[test]
fn waiting_for_timers() {
    assert_possible("wait_for_timers_together");
}

#[test]
fn memory_within_the_limit() {
    assert_possible("use_memory_within_the_limit");
}

#[test]
fn memory_for_random_numbers() {
    assert_possible("map_droppable_memory");
}

#[test]
fn a_stray_print_ends_in_the_log() {
    assert_eq!(assert_possible("print"), "printed");
}

#[test]
fn a_request_to_end_is_the_supervisors_business() {
    let end = async |worker: &mut WorkerProcess| {
        let mut greeting = [0; 6];
        worker.socket.read_exact(&mut greeting).await.expect("a greeting");
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            procfs::signal(worker.pid, signal);
        }
        // Who has been ended hears nothing more.
        let _ = worker.socket.write_all(b"again\n").await;
        worker.process.exited().await.expect("an exit")
    };
    let (free, _) = run("speak_with_the_supervisor", &plan(SandboxMode::Off), end);
    assert_eq!(free, Outcome::Died(Exit::Signal(libc::SIGTERM)));
    let (confined, said) = run("speak_with_the_supervisor", &plan(SandboxMode::Required), end);
    assert_eq!(confined, Outcome::Done, "{said}");
}

#[test]
fn speaking_with_the_supervisor() {
    let conversation = async |worker: &mut WorkerProcess| {
        let mut greeting = [0; 6];
        worker.socket.read_exact(&mut greeting).await.expect("a greeting");
        assert_eq!(&greeting, b"hello\n");
        worker.socket.write_all(b"again\n").await.expect("an answer");
        worker.process.exited().await.expect("an exit")
    };
    let required = plan(SandboxMode::Required);
    let (outcome, said) = run("speak_with_the_supervisor", &required, conversation);
    assert_eq!(outcome, Outcome::Done, "{said}");
}

/// What the supervisor would call the death of a worker in this attempt.
fn cause(name: &str, limits: SandboxLimits) -> (DeathCause, String) {
    let (outcome, said) = attempt(name, &SandboxPlan { limits, ..plan(SandboxMode::Required) });
    let Outcome::Died(exit) = outcome else { panic!("{name}: {outcome:?}: {said}") };
    (cause_of_death(exit, false), said)
}

#[test]
fn deaths_have_their_causes() {
    let of = |name| cause(name, SandboxLimits::default());
    assert_eq!(of("abort").0, DeathCause::Signal(libc::SIGABRT));
    assert_eq!(of("dereference_nothing").0, DeathCause::Signal(libc::SIGSEGV));
    assert_eq!(of("leave_with_code_7").0, DeathCause::ExitCode(7));
    let (cause, said) = of("panic");
    assert_eq!(cause, DeathCause::ExitCode(101));
    assert!(said.contains("uncaught"), "{said}");
    assert_eq!(of("make_a_memory_file").0, DeathCause::SandboxViolation);
    let (cause, said) = of("allocate_past_the_limit");
    assert_eq!(cause, DeathCause::MemoryLimit);
    assert_eq!(said, "memory limit reached");
}

#[test]
fn a_stack_that_overflows_is_a_crash() {
    let (cause, said) = cause("overflow_the_stack", SandboxLimits::default());
    let DeathCause::Signal(signal) = cause else { panic!("{cause}: {said}") };
    assert!([libc::SIGABRT, libc::SIGSEGV].contains(&signal), "{signal}: {said}");
}

#[test]
fn processor_time_is_limited() {
    let limits = SandboxLimits { cpu_seconds: 1, ..SandboxLimits::default() };
    assert_eq!(cause("spin", limits).0, DeathCause::CpuLimit);
}
