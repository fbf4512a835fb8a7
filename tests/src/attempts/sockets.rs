//! Attempts on the network and on local services.

use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};

use super::{Attempt, Target, call};

pub(super) const ATTEMPTS: &[(&str, Attempt)] = &[
    ("connect_by_tcp", |t| TcpStream::connect(("127.0.0.1", t.port)).map(drop)),
    ("listen_on_tcp", |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    ("send_by_udp", |t| {
        UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", ("127.0.0.1", t.port)).map(drop)
    }),
    ("connect_to_a_unix_socket", |t| UnixStream::connect(&t.socket).map(drop)),
    ("connect_to_an_abstract_socket", |t| {
        let name = SocketAddr::from_abstract_name(t.port.to_string())?;
        UnixStream::connect_addr(&name).map(drop)
    }),
    ("listen_on_a_unix_socket", |t| UnixListener::bind(t.socket.with_extension("own")).map(drop)),
    ("send_a_unix_datagram", |_| UnixDatagram::unbound().map(drop)),
    ("make_a_socket_pair", |_| UnixStream::pair().map(drop)),
    ("open_a_tcp_socket", |_| socket(libc::AF_INET, libc::SOCK_STREAM)),
    ("open_a_tcp6_socket", |_| socket(libc::AF_INET6, libc::SOCK_STREAM)),
    ("open_a_udp_socket", |_| socket(libc::AF_INET, libc::SOCK_DGRAM)),
    ("open_a_netlink_socket", |_| socket(libc::AF_NETLINK, libc::SOCK_RAW)),
    ("open_a_packet_socket", |_| socket(libc::AF_PACKET, libc::SOCK_RAW)),
    ("open_a_vsock_socket", |_| socket(libc::AF_VSOCK, libc::SOCK_STREAM)),
    ("open_a_kernel_crypto_socket", |_| socket(libc::AF_ALG, libc::SOCK_SEQPACKET)),
    ("pass_a_descriptor_to_the_supervisor", pass_a_descriptor),
    ("receive_a_descriptor", receive),
    ("write_to_an_address_by_the_own_socket", write_to_an_address),
];

fn socket(family: i32, kind: i32) -> io::Result<()> {
    call(libc::SYS_socket, [family.into(), kind.into(), 0]).map(drop)
}

/// Sends descriptor 2 along with a byte, as a stolen file would be.
fn pass_a_descriptor(_: &Target) -> io::Result<()> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let descriptors = [rustix::stdio::stderr()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)), "room for one");
    let bytes = [io::IoSlice::new(b"x")];
    sendmsg(rustix::stdio::stdin(), &bytes, &mut ancillary, SendFlags::empty())?;
    Ok(())
}

fn receive(_: &Target) -> io::Result<()> {
    use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg};
    let mut byte = [0; 1];
    let mut bytes = [io::IoSliceMut::new(&mut byte)];
    let mut ancillary = RecvAncillaryBuffer::default();
    match recvmsg(rustix::stdio::stdin(), &mut bytes, &mut ancillary, RecvFlags::DONTWAIT) {
        // Nothing was sent: receiving was possible.
        Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn write_to_an_address(_: &Target) -> io::Result<()> {
    let mut address = [0_u8; 2];
    address.copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
    let (data, address) = (c"x".as_ptr() as i64, address.as_ptr() as i64);
    match call(libc::SYS_sendto, [0, data, 1, 0, address, 2]) {
        // The kernel looked at the address and found that a connected socket needs none.
        Err(error) if error.raw_os_error() == Some(libc::EISCONN) => Ok(()),
        other => other.map(drop),
    }
}
