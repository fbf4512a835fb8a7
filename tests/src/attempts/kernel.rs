//! Attempts on the kernel's wider surface.

use std::io;

use super::{Attempt, Target, call};

pub(super) const ATTEMPTS: &[(&str, Attempt)] = &[
    ("make_a_user_namespace", |_| unshare(libc::CLONE_NEWUSER)),
    ("make_a_network_namespace", |_| unshare(libc::CLONE_NEWNET)),
    ("mount_a_file_system", |_| {
        let (none, kind, path) = (c"none".as_ptr(), c"tmpfs".as_ptr(), c"/mnt".as_ptr());
        // MS_REMOUNT of nothing in particular would need a right to mount; this asks for a new one.
        call(libc::SYS_mount, [none as i64, path as i64, kind as i64, 0, 0]).map(drop)
    }),
    ("change_its_root", |_| call(libc::SYS_chroot, [c"/".as_ptr() as i64]).map(drop)),
    ("set_up_an_io_uring", set_up_an_io_uring),
    ("load_a_bpf_program", load_a_bpf_program),
    ("count_performance", count_performance),
    ("add_a_key", |_| {
        let (kind, name) = (c"user".as_ptr() as i64, c"probe".as_ptr() as i64);
        // -2: the process's own key ring.
        call(libc::SYS_add_key, [kind, name, c"x".as_ptr() as i64, 1, -2]).map(drop)
    }),
    ("change_its_personality", |_| call(libc::SYS_personality, [0xFFFF_FFFF]).map(drop)),
    ("read_the_kernels_log", |_| call(libc::SYS_syslog, [10, 0, 0]).map(drop)),
    ("filter_its_own_calls", |_| {
        let available = [0x7fff_0000_u32];
        // SECCOMP_GET_ACTION_AVAIL: asks whether "allow" exists.
        call(libc::SYS_seccomp, [2, 0, available.as_ptr() as i64]).map(drop)
    }),
    ("poll_by_epoll", |_| call(libc::SYS_epoll_create1, [0]).map(drop)),
    ("make_a_call_that_does_not_exist_yet", |_| match call(4000, []) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        other => other.map(drop),
    }),
    #[cfg(target_arch = "x86_64")]
    ("make_a_32_bit_call", make_a_32_bit_call),
    #[cfg(target_arch = "x86_64")]
    ("make_an_x32_call", |_| match call(0x4000_0000 | libc::SYS_getpid, []) {
        // Most kernels are built without them: what counts is that the call got to the kernel.
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        other => other.map(drop),
    }),
];

fn unshare(namespace: i32) -> io::Result<()> {
    call(libc::SYS_unshare, [namespace.into()]).map(drop)
}

fn set_up_an_io_uring(_: &Target) -> io::Result<()> {
    let mut parameters = [0_u64; 15];
    call(libc::SYS_io_uring_setup, [1, parameters.as_mut_ptr() as i64]).map(drop)
}

fn load_a_bpf_program(_: &Target) -> io::Result<()> {
    // An array map of one value of eight bytes under eight-byte... the smallest thing BPF can make.
    let attributes: [u32; 18] = {
        let mut words = [0; 18];
        // BPF_MAP_TYPE_ARRAY, key size, value size, entries.
        words[..4].copy_from_slice(&[2, 4, 8, 1]);
        words
    };
    call(libc::SYS_bpf, [0, attributes.as_ptr() as i64, 72]).map(drop)
}

fn count_performance(_: &Target) -> io::Result<()> {
    // PERF_TYPE_SOFTWARE, size of the first version, PERF_COUNT_SW_CPU_CLOCK.
    let mut attributes = [0_u32; 16];
    attributes[..3].copy_from_slice(&[1, 64, 0]);
    call(libc::SYS_perf_event_open, [attributes.as_ptr() as i64, 0, -1, -1, 0]).map(drop)
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "a 32-bit call can only be made by its own instruction")]
fn make_a_32_bit_call(_: &Target) -> io::Result<()> {
    const GETPID_32: i64 = 20;
    let result: i64;
    // SAFETY: `getpid` takes no argument; the interrupt preserves what it does not name.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") GETPID_32 => result, out("r8") _, out("r9") _,
            out("r10") _, out("r11") _);
    }
    assert_eq!(result, i64::from(std::process::id()));
    Ok(())
}
