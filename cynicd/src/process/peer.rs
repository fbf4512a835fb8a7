//! The groups of the process at the other end of a socket, by the kernel's word.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

/// Groups that are asked for at first: more than nearly anybody is in.
const GROUPS_USUAL: usize = 64;

/// The supplementary groups that the peer had when it connected. Nothing that it does later changes them.
///
/// # Errors
/// The socket has no peer, or the kernel is older than 4.13.
#[expect(unsafe_code, reason = "no safe binding for SO_PEERGROUPS")]
pub fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups: Vec<libc::gid_t> = vec![0; GROUPS_USUAL];
    loop {
        let room = groups.len() * size_of::<libc::gid_t>();
        let mut bytes = libc::socklen_t::try_from(room).unwrap_or(libc::socklen_t::MAX);
        // SAFETY: the kernel writes at most `bytes` bytes into `groups`, which is that long, and how many it
        // wrote or would need into `bytes`; any bytes are group ids.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let count = bytes as usize / size_of::<libc::gid_t>();
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // Too many for the room given: the kernel says how many there are.
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_peer_of_ones_own_has_ones_own_groups() {
        let (one, _other) = UnixStream::pair().expect("a pair");
        let mut groups = peer_groups(one.as_fd()).expect("groups");
        let own = rustix::process::getgroups().expect("groups");
        let mut own: Vec<u32> = own.into_iter().map(rustix::process::Gid::as_raw).collect();
        own.sort_unstable();
        groups.sort_unstable();
        assert_eq!(groups, own);
    }

    #[test]
    fn what_is_no_socket_has_no_peer() {
        let file = std::fs::File::open("/dev/null").expect("a file");
        assert!(peer_groups(file.as_fd()).is_err());
    }
}
