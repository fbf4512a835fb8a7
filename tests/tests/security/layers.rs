//! The layers as the kernel shows them from outside, and what happens when one cannot be had.

use std::collections::BTreeMap;
use std::fs::read_to_string;

use cynic_proto::exit_code;
use cynic_proto::sandbox::{SandboxMode, SandboxPlan};
use cynicd::process::{Exit, WorkerProcess};
use seccompiler::{SeccompAction, SeccompFilter, apply_filter};

use crate::probe::{Outcome, attempt, plan, run, until};

/// What `/proc` says of a process.
struct Observed {
    status: String,
    limits: String,
    oom_score_adjust: String,
}

impl Observed {
    fn status(&self, field: &str) -> &str {
        let value = |line: &'_ str| line.strip_prefix(field)?.strip_prefix(':').map(str::len);
        let line = self.status.lines().find(|line| value(line).is_some());
        line.and_then(|line| line.split_once(':')).expect("the field").1.trim()
    }

    /// Soft and hard value of a limit.
    fn limit(&self, name: &str) -> (&str, &str) {
        let line = self.limits.lines().find_map(|line| line.strip_prefix(name)).expect("the limit");
        let mut words = line.split_whitespace();
        (words.next().expect("soft"), words.next().expect("hard"))
    }
}

/// Looks at a probe that has done what its plan says and waits.
fn observe(plan: &SandboxPlan) -> Observed {
    let mut observed = None;
    let look = async |worker: &mut WorkerProcess| {
        until("the sandbox is on", || worker.process.progress().is_some()).await;
        let of = |file| read_to_string(format!("/proc/{}/{file}", worker.pid)).expect("told");
        observed = Some(Observed {
            status: of("status"),
            limits: of("limits"),
            oom_score_adjust: of("oom_score_adj"),
        });
        worker.process.kill().expect("killed");
        worker.process.exited().await.expect("an exit")
    };
    let (outcome, said) = run("wait_for_the_end", plan, look);
    assert_eq!(outcome, Outcome::Died(Exit::Signal(libc::SIGKILL)), "{said}");
    observed.expect("looked at")
}

#[test]
fn every_layer_that_the_kernel_shows_is_there() {
    let confined = observe(&plan(SandboxMode::Required));
    assert_eq!(confined.status("NoNewPrivs"), "1");
    assert_eq!(confined.status("Seccomp"), "2");
    assert_eq!(confined.status("Threads"), "1");
    for set in ["CapPrm", "CapEff", "CapInh"] {
        assert_eq!(confined.status(set), "0000000000000000", "{set}");
    }
    // SIGHUP, SIGINT, SIGTERM.
    assert_eq!(confined.status("SigBlk"), "0000000000004003");
    assert_eq!(confined.oom_score_adjust.trim(), "500");
    let memory = SandboxPlan::default().limits.memory_bytes.to_string();
    assert_eq!(confined.limit("Max data size"), (&*memory, &*memory));
    assert_eq!(confined.limit("Max core file size"), ("0", "0"));
    assert_eq!(confined.limit("Max file size"), ("0", "0"));
    assert_eq!(confined.limit("Max processes"), ("0", "0"));
    assert_eq!(confined.limit("Max cpu time"), ("900", "905"));
}

#[test]
fn without_the_sandbox_none_of_it_is_there() {
    let free = observe(&plan(SandboxMode::Off));
    assert_eq!(free.status("Seccomp"), read_own_seccomp_mode());
    assert_ne!(free.limit("Max file size"), ("0", "0"));
    assert_ne!(free.oom_score_adjust.trim(), "500");
}

/// The tests may themselves run under a filter, which children inherit.
fn read_own_seccomp_mode() -> String {
    let status = read_to_string("/proc/thread-self/status").expect("own status");
    let line = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    line.expect("the field").trim().to_owned()
}

#[test]
fn an_orphan_does_not_work() {
    for mode in SandboxMode::ALL {
        let orphan = SandboxPlan { supervisor: Some(1), ..plan(mode) };
        let (outcome, said) = attempt("compute", &orphan);
        assert_eq!(outcome, Outcome::Died(Exit::Code(exit_code::SANDBOX)));
        assert_eq!(said, "the supervisor that started this worker is gone");
    }
}

/// Makes an attempt on a kernel that lacks the given calls: this thread and all that it starts get "no such
/// call" from them.
fn attempt_without(calls: &[i64], name: &'static str, mode: SandboxMode) -> (Outcome, String) {
    let rules: BTreeMap<i64, _> = calls.iter().map(|call| (*call, Vec::new())).collect();
    let lacking = SeccompAction::Errno(libc::ENOSYS as u32);
    let arch = std::env::consts::ARCH.try_into().expect("a supported machine");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, lacking, arch).expect("a filter");
    let program: seccompiler::BpfProgram = filter.try_into().expect("a program");
    let lacking = std::thread::spawn(move || {
        apply_filter(&program).expect("installed");
        attempt(name, &plan(mode))
    });
    lacking.join().expect("the attempt")
}

#[test]
fn a_required_layer_that_is_missing_stops_the_worker_and_is_named() {
    let cases: [(&[i64], &str); 3] = [
        (&[libc::SYS_landlock_create_ruleset], "landlock"),
        (&[libc::SYS_seccomp], "seccomp"),
        (&[libc::SYS_close_range], "hygiene"),
    ];
    for (calls, layer) in cases {
        let (outcome, said) = attempt_without(calls, "compute", SandboxMode::Required);
        assert_eq!(outcome, Outcome::Died(Exit::Code(exit_code::SANDBOX)), "{said}");
        let expected = format!(
            "the sandbox is required but its layer `{layer}` is missing; \
             set sandbox = \"best-effort\" to run without it"
        );
        assert!(said.starts_with(&expected), "{said}");
        let (outcome, said) = attempt_without(calls, "compute", SandboxMode::BestEffort);
        assert_eq!(outcome, Outcome::Done, "{said}");
        assert!(said.contains(&format!("sandbox layer {layer} is missing")), "{said}");
    }
}

#[test]
fn without_the_filter_landlock_still_denies_files_and_ports() {
    let calls = &[libc::SYS_seccomp];
    for name in
        ["read_a_file", "create_a_file", "remove_a_file", "list_a_directory", "connect_by_tcp"]
    {
        let (outcome, said) = attempt_without(calls, name, SandboxMode::BestEffort);
        assert_eq!(outcome, Outcome::Refused(libc::EACCES), "{name}: {said}");
    }
    for name in ["connect_to_an_abstract_socket", "signal_the_supervisor"] {
        let (outcome, said) = attempt_without(calls, name, SandboxMode::BestEffort);
        assert_eq!(outcome, Outcome::Refused(libc::EPERM), "{name}: {said}");
    }
}

#[test]
fn without_the_filter_no_memory_becomes_executable() {
    for name in ["map_memory_to_write_and_execute", "make_memory_executable"] {
        let (outcome, said) = attempt_without(&[libc::SYS_seccomp], name, SandboxMode::BestEffort);
        assert_eq!(outcome, Outcome::Refused(libc::EACCES), "{name}: {said}");
    }
}

#[test]
fn without_landlock_the_filter_still_denies_files_and_ports() {
    let calls = &[libc::SYS_landlock_create_ruleset];
    let (outcome, said) = attempt_without(calls, "read_a_file", SandboxMode::BestEffort);
    assert_eq!(outcome, Outcome::Refused(libc::EPERM), "{said}");
    let (outcome, said) = attempt_without(calls, "connect_by_tcp", SandboxMode::BestEffort);
    assert_eq!(outcome, Outcome::Died(Exit::Signal(libc::SIGSYS)), "{said}");
}
