//! What a worker must not be able to do, and how it is kept from it.

use cynic_proto::exit_code;
use cynic_proto::sandbox::SandboxMode;
use cynicd::process::Exit;

use crate::probe::{Outcome, attempt, plan};

/// A refusal that well-meaning code survives.
const REFUSED: Outcome = Outcome::Refused(libc::EPERM);
/// A mapping beyond a limit.
const NO_MEMORY: Outcome = Outcome::Refused(libc::ENOMEM);
/// Killed by the filter.
const KILLED: Outcome = Outcome::Died(Exit::Signal(libc::SIGSYS));
/// Ended by its own allocator.
const OUT_OF_MEMORY: Outcome = Outcome::Died(Exit::Code(exit_code::MEMORY));

/// Attempts that a host may deny to everybody, or to everybody but root: without the sandbox they may be
/// refused too, and then only the difference in manner shows that it is the sandbox that denies them.
const HOST_MAY_FORBID: &[&str] = &[
    "add_a_key",
    "ask_for_huge_pages",
    "change_its_root",
    "count_performance",
    "load_a_bpf_program",
    "look_at_the_supervisors_environment",
    "make_a_32_bit_call",
    "make_a_memory_fault_handler",
    "make_a_network_namespace",
    "make_a_user_namespace",
    "make_memory_executable_by_key",
    "map_droppable_memory_past_the_limit",
    "mount_a_file_system",
    "open_a_kernel_crypto_socket",
    "open_a_packet_socket",
    "open_a_vsock_socket",
    "open_the_supervisors_memory",
    "read_the_kernels_log",
    "read_the_supervisors_memory",
    "set_up_an_io_uring",
    "trace_the_supervisor",
    "write_the_supervisors_memory",
];

fn assert_denied(name: &str, manner: Outcome) {
    let (free, said) = attempt(name, &plan(SandboxMode::Off));
    if free != Outcome::Done {
        assert!(HOST_MAY_FORBID.contains(&name), "fails without the sandbox: {free:?}: {said}");
        eprintln!("this host denies it to everybody: {free:?}: {said}");
    }
    let (confined, said) = attempt(name, &plan(SandboxMode::Required));
    assert_eq!(confined, manner, "{said}");
}

macro_rules! denied {
    ($($manner:ident: $($name:ident),+ $(,)?;)+) => {$($(
        #[test]
        fn $name() {
            assert_denied(stringify!($name), $manner);
        }
    )+)+};
}

mod files {
    use super::*;

    denied! {
        REFUSED: read_a_file, append_to_a_file, create_a_file, look_at_a_file, list_a_directory;
        KILLED: open_a_file_the_new_way, make_a_directory, rename_a_file, remove_a_file, link_a_file,
            change_a_files_mode, change_directory, make_a_memory_file, watch_files;
        KILLED: read_an_inherited_descriptor, duplicate_a_descriptor, write_to_a_descriptor_of_its_own;
    }
}

mod sockets {
    use super::*;

    denied! {
        KILLED: connect_by_tcp, listen_on_tcp, send_by_udp, connect_to_a_unix_socket,
            connect_to_an_abstract_socket, listen_on_a_unix_socket, send_a_unix_datagram,
            make_a_socket_pair, open_a_tcp_socket, open_a_tcp6_socket, open_a_udp_socket,
            open_a_netlink_socket, open_a_packet_socket, open_a_vsock_socket,
            open_a_kernel_crypto_socket, pass_a_descriptor_to_the_supervisor, receive_a_descriptor,
            write_to_an_address_by_the_own_socket;
    }
}

mod processes {
    use super::*;

    denied! {
        REFUSED: start_a_thread, start_a_program, fork, break_the_death_link, become_dumpable,
            open_the_supervisors_memory, look_at_the_supervisors_environment;
        KILLED: become_another_program, signal_the_supervisor, signal_everyone,
            signal_a_thread_of_the_supervisor, signal_itself, get_hold_of_the_supervisor, be_traced,
            trace_the_supervisor, read_the_supervisors_memory, write_the_supervisors_memory,
            change_its_priority, change_its_group, change_its_user;
    }

    #[cfg(target_arch = "x86_64")]
    denied! { KILLED: fork_the_old_way; }
}

mod memory {
    use super::*;

    denied! {
        OUT_OF_MEMORY: allocate_past_the_limit;
        NO_MEMORY: map_past_the_limit, unprotect_past_the_limit, grow_the_break_past_the_limit,
            map_droppable_memory_past_the_limit, map_address_space_without_end;
        REFUSED: raise_its_memory_limit, ask_for_huge_pages;
        KILLED: map_shared_memory, map_a_second_stack, make_system_v_memory, lock_memory,
            map_memory_to_write_and_execute, map_memory_to_execute, make_memory_executable,
            make_memory_executable_by_key, make_a_memory_fault_handler;
    }
}

mod kernel {
    use super::*;

    denied! {
        KILLED: make_a_user_namespace, make_a_network_namespace, mount_a_file_system, change_its_root,
            set_up_an_io_uring, load_a_bpf_program, count_performance, add_a_key,
            change_its_personality, read_the_kernels_log, filter_its_own_calls, poll_by_epoll,
            make_a_call_that_does_not_exist_yet;
    }

    #[cfg(target_arch = "x86_64")]
    denied! { KILLED: make_a_32_bit_call, make_an_x32_call; }
}
