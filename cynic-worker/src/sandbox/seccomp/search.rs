//! The first half of the filter: finds a call's number among the intervals of numbers that are answered alike.

use std::collections::BTreeMap;

use seccompiler::{BackendError, BpfProgram, SeccompAction, sock_filter};

/// `AUDIT_ARCH_…` of `linux/audit.h`: the machine, 64 bits, little-endian.
#[cfg(target_arch = "x86_64")]
pub(super) const ARCH: u32 = libc::EM_X86_64 as u32 | 0xC000_0000;
#[cfg(target_arch = "aarch64")]
pub(super) const ARCH: u32 = libc::EM_AARCH64 as u32 | 0xC000_0000;

/// Where `struct seccomp_data` has the number of the call and the architecture.
const CALL: u32 = 0;
const ARCHITECTURE: u32 = 4;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_FROM: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;

/// What is done about a call.
#[derive(Debug, Clone)]
pub(super) enum Decision {
    /// This, whatever the arguments.
    Return(SeccompAction),
    /// The second half looks at the arguments.
    Conditions,
}

/// What is done about each call.
#[derive(Debug)]
pub(super) struct Calls {
    otherwise: SeccompAction,
    /// The first number of an interval, and what is done about the calls from there to the next one.
    intervals: BTreeMap<u32, Decision>,
}

impl Calls {
    /// All calls are answered alike.
    pub(super) fn new(otherwise: SeccompAction) -> Calls {
        let intervals = BTreeMap::from([(0, Decision::Return(otherwise.clone()))]);
        Calls { otherwise, intervals }
    }

    /// Decides about some calls.
    pub(super) fn decide(&mut self, calls: &[i64], decision: &Decision) {
        for call in calls.iter().filter_map(|call| u32::try_from(*call).ok()) {
            // The next number may have been decided about already.
            let otherwise = Decision::Return(self.otherwise.clone());
            self.intervals.entry(call + 1).or_insert(otherwise);
            self.intervals.insert(call, decision.clone());
        }
    }

    /// The whole filter: the search, and behind it the conditions.
    ///
    /// # Errors
    /// There are more intervals than jumps can reach over.
    pub(super) fn before(self, conditions: BpfProgram) -> Result<BpfProgram, BackendError> {
        let intervals: Vec<(u32, Decision)> = self.intervals.into_iter().collect();
        let mut program = vec![
            instruction(LOAD, ARCHITECTURE),
            sock_filter { jt: 1, ..instruction(JUMP_IF_EQUAL, ARCH) },
            instruction(RETURN, self.otherwise.into()),
            instruction(LOAD, CALL),
        ];
        program.extend(search(&intervals)?);
        let end = program.len();
        for (n, instruction) in program.iter_mut().enumerate() {
            if u32::from(instruction.code) == JUMP {
                instruction.k = (end - n - 1) as u32;
            }
        }
        program.extend(conditions);
        Ok(program)
    }
}

/// Halves the intervals until one is left. Where the conditions are to decide it jumps, the way to them still unknown.
fn search(intervals: &[(u32, Decision)]) -> Result<BpfProgram, BackendError> {
    match intervals {
        [] | [(_, Decision::Conditions)] => Ok(vec![instruction(JUMP, 0)]),
        [(_, Decision::Return(action))] => Ok(vec![instruction(RETURN, action.clone().into())]),
        several => {
            let (low, high) = several.split_at(several.len() / 2);
            let start = high[0].0;
            let (low, high) = (search(low)?, search(high)?);
            let over =
                u8::try_from(low.len()).map_err(|_| BackendError::FilterTooLarge(low.len()))?;
            let branch = sock_filter { jt: over, ..instruction(JUMP_FROM, start) };
            Ok([vec![branch], low, high].concat())
        }
    }
}

fn instruction(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}
