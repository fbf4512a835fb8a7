//! The greeting that opens every connection. Its layout never changes, so that any two versions can
//! tell each other apart. Behind a client's may follow how many wordings of explanations it knows by number, a `u16`;
//! one that does not say so gets explanations in full. Behind the daemon's follows the largest frame that it takes from clients, in
//! bytes, a `u32`.

use serde::{Deserialize, Serialize};

/// Version of everything behind the greeting. Raised by any change of a message's bytes.
pub const PROTOCOL_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"CYN\x01";

/// What this build calls itself in a greeting.
pub const BUILD: &str = concat!("cynic/", env!("CARGO_PKG_VERSION"));

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A program that wants judgments.
    Client,
    /// The supervisor.
    Daemon,
    /// A worker.
    Worker,
}

/// First message of each side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    magic: [u8; 4],
    version: u16,
    /// Who speaks.
    pub role: Role,
    /// Which build speaks, for logs and error messages.
    pub build: String,
}

/// Why a greeting is refused.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum HandshakeError {
    /// Whatever answered is not CYNIC.
    #[error("the peer does not speak the CYNIC protocol")]
    NotCynic,
    /// The two sides are of different versions.
    #[error(
        "protocol version mismatch: the peer ({build}) speaks version {theirs}, this program ({}) speaks \
         version {PROTOCOL_VERSION}; install the same release on both sides",
        BUILD
    )]
    Version {
        /// The peer's protocol version.
        theirs: u16,
        /// The peer's build.
        build: String,
    },
    /// A peer in a role that has no place at this socket.
    #[error("expected a {expected:?} at the other end, found a {found:?}")]
    Role {
        /// Who should be there.
        expected: Role,
        /// Who is.
        found: Role,
    },
}

impl Hello {
    /// This build's greeting in a role.
    pub fn new(role: Role) -> Hello {
        Hello { magic: MAGIC, version: PROTOCOL_VERSION, role, build: BUILD.to_owned() }
    }

    /// Checks the peer's greeting.
    ///
    /// # Errors
    /// It is not CYNIC, of another version, or in another role than expected.
    pub fn expect(&self, expected: Role) -> Result<(), HandshakeError> {
        if self.magic != MAGIC {
            return Err(HandshakeError::NotCynic);
        }
        if self.version != PROTOCOL_VERSION {
            return Err(HandshakeError::Version {
                theirs: self.version,
                build: self.build.chars().take(64).collect(),
            });
        }
        if self.role != expected {
            return Err(HandshakeError::Role { expected, found: self.role });
        }
        Ok(())
    }

    /// The same greeting with another version, to test refusals.
    #[doc(hidden)]
    #[must_use]
    pub fn with_version(mut self, version: u16) -> Hello {
        self.version = version;
        self
    }
}
