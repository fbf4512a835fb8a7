//! Attempts on processes: more of them, and other people's.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::process::Command;

use super::{Attempt, Target, call};

pub(super) const ATTEMPTS: &[(&str, Attempt)] = &[
    ("start_a_thread", |_| std::thread::Builder::new().spawn(|| ()).map(drop)),
    ("start_a_program", |_| Command::new("/bin/true").status().map(drop)),
    ("become_another_program", become_another_program),
    ("fork", fork),
    #[cfg(target_arch = "x86_64")]
    ("fork_the_old_way", |_| end_child(call(libc::SYS_fork, [])?)),
    ("signal_the_supervisor", |t| signal(t.supervisor)),
    ("signal_everyone", |_| signal(-1)),
    ("signal_a_thread_of_the_supervisor", |t| {
        let supervisor = i64::from(t.supervisor);
        call(libc::SYS_tgkill, [supervisor, supervisor, 0]).map(drop)
    }),
    ("signal_itself", |_| {
        let own = i64::from(std::process::id());
        call(libc::SYS_tgkill, [own, own, 0]).map(drop)
    }),
    ("get_hold_of_the_supervisor", |t| {
        call(libc::SYS_pidfd_open, [t.supervisor.into(), 0]).map(drop)
    }),
    ("be_traced", |_| call(libc::SYS_ptrace, [libc::PTRACE_TRACEME.into(), 0, 0, 0]).map(drop)),
    ("trace_the_supervisor", |t| {
        let seize = i64::from(libc::PTRACE_SEIZE);
        call(libc::SYS_ptrace, [seize, t.supervisor.into(), 0, 0]).map(drop)
    }),
    ("read_the_supervisors_memory", read_the_supervisors_memory),
    ("write_the_supervisors_memory", write_the_supervisors_memory),
    ("open_the_supervisors_memory", |t| {
        File::open(format!("/proc/{}/mem", t.supervisor)).map(drop)
    }),
    ("look_at_the_supervisors_environment", |t| {
        File::open(format!("/proc/{}/environ", t.supervisor)).map(drop)
    }),
    ("change_its_priority", |_| {
        call(libc::SYS_setpriority, [libc::PRIO_PROCESS.into(), 0, 5]).map(drop)
    }),
    ("change_its_group", |_| call(libc::SYS_setpgid, [0, 0]).map(drop)),
    ("change_its_user", |_| call(libc::SYS_setresuid, [-1, -1, -1]).map(drop)),
    ("break_the_death_link", |_| {
        call(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG.into(), 0, 0, 0, 0]).map(drop)
    }),
    ("become_dumpable", |_| {
        call(libc::SYS_prctl, [libc::PR_SET_DUMPABLE.into(), 1, 0, 0, 0]).map(drop)
    }),
];

fn become_another_program(_: &Target) -> io::Result<()> {
    let program = CString::from(c"/bin/true");
    let arguments = [program.as_ptr(), std::ptr::null()];
    let (path, arguments) = (program.as_ptr() as i64, arguments.as_ptr() as i64);
    call(libc::SYS_execve, [path, arguments, 0]).map(drop)
}

#[expect(unsafe_code, reason = "the probe forks to see whether it can")]
fn fork(_: &Target) -> io::Result<()> {
    // SAFETY: the child does nothing but exit.
    end_child(super::checked(unsafe { libc::fork() })?)
}

#[expect(unsafe_code, reason = "the child must leave without running this process's exit handlers")]
fn end_child(pid: i64) -> io::Result<()> {
    if pid == 0 {
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    Ok(())
}

/// Signal 0: tests the right to signal and does nothing.
fn signal(pid: i32) -> io::Result<()> {
    call(libc::SYS_kill, [pid.into(), 0]).map(drop)
}

fn read_the_supervisors_memory(target: &Target) -> io::Result<()> {
    let mut secret = [0_u8; 8];
    move_memory(libc::SYS_process_vm_readv, target, &mut secret)?;
    assert_eq!(&secret, b"sesame!!", "what was read is not the secret");
    Ok(())
}

fn write_the_supervisors_memory(target: &Target) -> io::Result<()> {
    let mut same = *b"sesame!!";
    move_memory(libc::SYS_process_vm_writev, target, &mut same)
}

fn move_memory(number: i64, target: &Target, bytes: &mut [u8]) -> io::Result<()> {
    let here = [bytes.as_mut_ptr() as usize, bytes.len()];
    let there = [target.secret, bytes.len()];
    let (here, there) = (here.as_ptr() as i64, there.as_ptr() as i64);
    call(number, [target.supervisor.into(), here, 1, there, 1, 0]).map(drop)
}
