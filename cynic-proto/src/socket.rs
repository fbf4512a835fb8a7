//! Where the daemon's socket is, for both sides.

use std::env;
use std::path::{Path, PathBuf};

/// Names the socket for the daemon and for every client.
pub const SOCKET_ENV: &str = "CYNIC_SOCKET";

/// The runtime directory of the system service.
pub const SYSTEM_RUNTIME_DIR: &str = "/run/cynic";

/// The socket's name in its directory.
pub const SOCKET_NAME: &str = "cynicd.sock";

/// Where a client looks: `$CYNIC_SOCKET`, else the system service's socket if it is there, else the
/// user's own.
pub fn for_client() -> PathBuf {
    if let Some(path) = env::var_os(SOCKET_ENV) {
        return path.into();
    }
    let system = Path::new(SYSTEM_RUNTIME_DIR).join(SOCKET_NAME);
    if system.exists() { system } else { user_socket().unwrap_or(system) }
}

/// Where the daemon listens unless told otherwise: `$CYNIC_SOCKET`, else `/run/cynic/` when that directory
/// is there (the service manager makes it), else the user's runtime directory.
pub fn for_daemon() -> PathBuf {
    if let Some(path) = env::var_os(SOCKET_ENV) {
        return path.into();
    }
    let system = Path::new(SYSTEM_RUNTIME_DIR);
    if system.is_dir() {
        return system.join(SOCKET_NAME);
    }
    user_socket().unwrap_or_else(|| system.join(SOCKET_NAME))
}

fn user_socket() -> Option<PathBuf> {
    let runtime = env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty())?;
    Some(Path::new(&runtime).join("cynic").join(SOCKET_NAME))
}

/// The admin socket that belongs to a socket: beside it, with `-admin` in its name.
pub fn admin_of(socket: &Path) -> PathBuf {
    let mut name = socket.file_stem().unwrap_or_default().to_owned();
    name.push("-admin");
    if let Some(extension) = socket.extension() {
        name.push(".");
        name.push(extension);
    }
    socket.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_socket_is_beside_the_other() {
        let admin_of = |socket| admin_of(Path::new(socket));
        assert_eq!(admin_of("/run/cynic/cynicd.sock"), Path::new("/run/cynic/cynicd-admin.sock"));
        assert_eq!(admin_of("/tmp/socket"), Path::new("/tmp/socket-admin"));
        assert_eq!(admin_of("c.sock"), Path::new("c-admin.sock"));
    }
}
