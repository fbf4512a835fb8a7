//! Only the system calls that judging needs; the rest end the worker.
//!
//! Owns the filter, which is one program of two halves. [`search`] looks the number of a call up by halves and decides
//! about those whose arguments do not matter; `seccompiler` compiles the conditions on the others. When a filter is
//! installed, the kernel runs it for each number that there is: one that compares with one number after another would take
//! a third of a worker's start.

mod rules;
mod search;

use cynic_proto::sandbox::LayerStatus;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter, sock_filter,
};

use self::search::{Calls, Decision};
use super::LayerError;

/// Installs the filter on this thread, which must be the only one: threads that exist already would stay
/// free, and later ones cannot be made.
pub(super) fn put_on() -> Result<LayerStatus, LayerError> {
    let program = program(std::process::id()).map_err(LayerError::new("compile the filter"))?;
    apply_filter(&program).map_err(LayerError::new("install the filter"))?;
    Ok(LayerStatus::Enforced)
}

fn program(pid: u32) -> Result<BpfProgram, BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let compile = |rules, otherwise, matched| -> Result<BpfProgram, BackendError> {
        SeccompFilter::new(rules, otherwise, matched, arch)?.try_into()
    };
    // What well-meaning code tries and can do without gets "not permitted", not death. Any other than the allowed calls
    // ends the process, and so does any call of another architecture (32-bit).
    let (refuse, kill) = (SeccompAction::Errno(libc::EPERM as u32), SeccompAction::KillProcess);
    let (refused, allowed) = (rules::refused_if()?, rules::allowed_if(pid)?);
    let conditional: Vec<i64> = refused.keys().chain(allowed.keys()).copied().collect();
    // What is compiled can match with one action only: what the first does not refuse, the second allows or kills for.
    let conditions = joined(
        compile(refused, SeccompAction::Allow, refuse.clone())?,
        compile(allowed, kill.clone(), SeccompAction::Allow)?,
    );
    let mut calls = Calls::new(kill);
    calls.decide(rules::ALLOWED, &Decision::Return(SeccompAction::Allow));
    calls.decide(rules::REFUSED, &Decision::Return(refuse));
    calls.decide(&conditional, &Decision::Conditions);
    calls.before(conditions)
}

/// Both programs as one: where the first allows, the second decides.
fn joined(mut first: BpfProgram, second: BpfProgram) -> BpfProgram {
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
    let end = first.len();
    for (n, instruction) in first.iter_mut().enumerate() {
        if instruction.code == RETURN && instruction.k == libc::SECCOMP_RET_ALLOW {
            let over = (end - n - 1) as u32;
            *instruction = sock_filter { code: JUMP, jt: 0, jf: 0, k: over };
        }
    }
    first.extend(second);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGUMENTS: [[u64; 6]; 7] = [
        [0; 6],
        [0, 0, libc::MADV_DONTNEED as u64, 0, 0, 0],
        [1, 0, libc::PROT_EXEC as u64, 0, 1, 0],
        [2, 0, 0, libc::MAP_PRIVATE as u64 | libc::MAP_ANONYMOUS as u64, 0, 0],
        [
            3,
            0,
            libc::MADV_HWPOISON as u64,
            libc::MAP_SHARED as u64 | libc::MAP_ANONYMOUS as u64,
            0,
            0,
        ],
        [77, 0, libc::SIGKILL as u64, 0, 1 << 40, 0],
        [77, 77, libc::SIGABRT as u64, 0, 1 << 40, 0],
    ];

    /// What a filter answers, and after how many instructions: the part of BPF that filters use.
    fn run(program: &[sock_filter], arch: u32, call: u32, arguments: [u64; 6]) -> (u32, usize) {
        let mut data = [call, arch, 0, 0].map(u32::to_le_bytes).concat();
        data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
        let (mut at, mut accumulator, mut steps) = (0, 0_u32, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            (at, steps) = (at + 1, steps + 1);
            let mut jump = |holds: bool| at += usize::from(if holds { jt } else { jf });
            match u32::from(code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    let word = data[k as usize..].first_chunk().expect("inside the data");
                    accumulator = u32::from_le_bytes(*word);
                }
                code if code == libc::BPF_RET | libc::BPF_K => return (k, steps),
                code if code == libc::BPF_JMP | libc::BPF_JA => at += k as usize,
                code if code == libc::BPF_JMP | libc::BPF_JEQ => jump(accumulator == k),
                code if code == libc::BPF_JMP | libc::BPF_JGE => jump(accumulator >= k),
                code if code == libc::BPF_JMP | libc::BPF_JGT => jump(accumulator > k),
                code if code == libc::BPF_ALU | libc::BPF_AND => accumulator &= k,
                code => panic!("an instruction that filters are not made of: {code}"),
            }
        }
    }

    /// What the lists say of a call whose arguments do not matter.
    fn listed(call: i64) -> u32 {
        if rules::ALLOWED.contains(&call) {
            libc::SECCOMP_RET_ALLOW
        } else if rules::REFUSED.contains(&call) {
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32
        } else {
            libc::SECCOMP_RET_KILL_PROCESS
        }
    }

    #[test]
    fn each_call_is_answered_as_the_lists_say_in_a_few_steps() {
        /// Instructions for a call whose arguments do not matter.
        const STEPS_MAX: usize = 16;
        let (arch, program) = (search::ARCH, program(77).unwrap());
        let conditional: Vec<i64> = rules::refused_if()
            .unwrap()
            .into_keys()
            .chain(rules::allowed_if(77).unwrap().into_keys())
            .collect();
        let x32 = (0..600).map(|call| call | 0x4000_0000);
        for call in (0..1200).chain(x32).chain([u32::MAX]) {
            for arguments in ARGUMENTS {
                let (answer, steps) = run(&program, arch, call, arguments);
                if conditional.contains(&call.into()) {
                    continue;
                }
                assert_eq!(answer, listed(call.into()), "call {call}");
                assert!(steps <= STEPS_MAX, "call {call}: {steps} steps");
            }
            assert_eq!(run(&program, arch ^ 1, call, [0; 6]).0, libc::SECCOMP_RET_KILL_PROCESS);
        }
    }

    #[test]
    fn conditions_on_arguments_hold() {
        let (arch, program) = (search::ARCH, program(77).unwrap());
        let answers =
            |call: i64| ARGUMENTS.map(|arguments| run(&program, arch, call as u32, arguments).0);
        let (yes, no, refused) = (
            libc::SECCOMP_RET_ALLOW,
            libc::SECCOMP_RET_KILL_PROCESS,
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        );
        assert_eq!(answers(libc::SYS_read), [yes, yes, no, no, no, no, no]);
        assert_eq!(answers(libc::SYS_write), [yes, yes, yes, yes, no, no, no]);
        assert_eq!(answers(libc::SYS_sendto), [yes, yes, no, no, no, no, no]);
        assert_eq!(
            answers(libc::SYS_madvise),
            [refused, yes, yes, refused, refused, refused, refused]
        );
        assert_eq!(answers(libc::SYS_mmap), [no, no, no, yes, no, no, no]);
        assert_eq!(answers(libc::SYS_mprotect), [yes, no, no, yes, no, yes, no]);
        assert_eq!(answers(libc::SYS_tgkill), [no, no, no, no, no, no, yes]);
    }

    #[test]
    fn a_call_is_on_one_list() {
        let (refused, allowed) = (rules::refused_if().unwrap(), rules::allowed_if(1).unwrap());
        // Where it is not refused, `madvise` is allowed.
        let allowed = allowed.keys().filter(|call| !refused.contains_key(call));
        let mut calls: Vec<i64> = allowed.chain(refused.keys()).copied().collect();
        calls.extend(rules::ALLOWED.iter().chain(rules::REFUSED));
        calls.sort_unstable();
        assert!(calls.windows(2).all(|pair| pair[0] != pair[1]), "{calls:?}");
    }
}
