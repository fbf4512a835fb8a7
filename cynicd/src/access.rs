//! Who may do what: peers, as the kernel names them, become roles.
//!
//! Pure but for looking up names once, when the configuration is read. The hub refuses what a peer's roles do not
//! allow; the gateway turns away peers without any.

use std::collections::BTreeSet;

use cynic_proto::access::Role;
use nix::unistd::{Group, User};

/// Which socket a peer came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// The one that clients use. Nobody is admin here, not even root: it may be mounted into a container, where
    /// root is somebody else.
    Judge,
    /// The one for operators.
    Admin,
}

/// A peer's roles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// Whether the peer has the role.
    pub const fn has(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    /// Whether the peer has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn with(self, role: Role, given: bool) -> Roles {
        Roles(self.0 | u8::from(given) << role as u8)
    }
}

/// A peer, by the kernel's word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Its effective user id.
    pub uid: u32,
    /// Its effective group id.
    pub gid: u32,
    /// Its supplementary groups.
    pub groups: Vec<u32>,
}

/// Those whom a role is given to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    everyone: bool,
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
}

impl Members {
    /// Whoever can open the socket.
    pub fn everyone() -> Members {
        Members { everyone: true, ..Members::default() }
    }

    /// Reads `*` (whoever can open the socket), a user, or `@` and a group; by name or id.
    ///
    /// # Errors
    /// There is no such user or group on this host.
    pub fn resolve<S: AsRef<str>>(names: &[S]) -> Result<Members, String> {
        let mut members = Members::default();
        for name in names.iter().map(AsRef::as_ref) {
            match name.strip_prefix('@') {
                _ if name == "*" => members.everyone = true,
                Some(group) => drop(members.gids.insert(gid(group)?)),
                None => drop(members.uids.insert(uid(name)?)),
            }
        }
        Ok(members)
    }

    fn include(&self, peer: &Credentials) -> bool {
        self.everyone
            || self.uids.contains(&peer.uid)
            || self.gids.contains(&peer.gid)
            || peer.groups.iter().any(|gid| self.gids.contains(gid))
    }
}

fn uid(name: &str) -> Result<u32, String> {
    if let Ok(uid) = name.parse() {
        return Ok(uid);
    }
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err(format!("there is no user `{name}` on this host; a group is `@{name}`")),
        Err(error) => Err(format!("could not look up user `{name}`: {error}")),
    }
}

/// The id of a group, by its name or its number.
///
/// # Errors
/// There is no such group on this host.
pub fn gid(name: &str) -> Result<u32, String> {
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(format!("there is no group `{name}` on this host")),
        Err(error) => Err(format!("could not look up group `{name}`: {error}")),
    }
}

/// Who has which role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Those who may have items judged.
    pub judge: Members,
    /// Those who may see everybody's records and the events.
    pub read: Members,
    /// Those who may change how the daemon works.
    pub admin: Members,
}

impl Default for Access {
    fn default() -> Access {
        let (judge, read, admin) = (Members::everyone(), Members::default(), Members::default());
        Access { judge, read, admin }
    }
}

impl Access {
    /// The roles of a peer. Root and the daemon's own user need not be named.
    pub fn roles(&self, peer: &Credentials, door: Door, daemon_uid: u32) -> Roles {
        let trusted = peer.uid == 0 || peer.uid == daemon_uid || self.admin.include(peer);
        Roles::default()
            .with(Role::Judge, trusted || self.judge.include(peer))
            .with(Role::Read, trusted || self.read.include(peer))
            .with(Role::Admin, trusted && door == Door::Admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAEMON: u32 = 990;
    const DOORS: [Door; 2] = [Door::Judge, Door::Admin];

    fn peer(uid: u32, gid: u32, groups: &[u32]) -> Credentials {
        Credentials { uid, gid, groups: groups.to_vec() }
    }

    fn roles(access: &Access, peer: &Credentials, door: Door) -> Vec<Role> {
        let roles = access.roles(peer, door, DAEMON);
        Role::ALL.into_iter().filter(|role| roles.has(*role)).collect()
    }

    #[test]
    fn without_configuration_everybody_judges_and_only_the_owner_administers() {
        let access = Access::default();
        for door in DOORS {
            assert_eq!(roles(&access, &peer(1000, 1000, &[4, 27]), door), [Role::Judge]);
        }
        for uid in [0, DAEMON] {
            let owner = peer(uid, uid, &[]);
            assert_eq!(roles(&access, &owner, Door::Admin), Role::ALL);
            assert_eq!(roles(&access, &owner, Door::Judge), [Role::Judge, Role::Read]);
        }
    }

    #[test]
    fn roles_go_by_user_group_and_supplementary_group() {
        let members = |names: &[&str]| Members::resolve(names).expect("ids need no lookup");
        let access = Access {
            judge: members(&["1000", "@50"]),
            read: members(&["@60"]),
            admin: members(&["@70"]),
        };
        let cases = [
            (peer(1000, 1, &[]), vec![Role::Judge]),
            (peer(1001, 50, &[]), vec![Role::Judge]),
            (peer(1001, 1, &[50, 60]), vec![Role::Judge, Role::Read]),
            (peer(1001, 1, &[60]), vec![Role::Read]),
            (peer(1001, 1, &[61]), vec![]),
            // A group's number is no user's.
            (peer(50, 1, &[]), vec![]),
            (peer(1001, 70, &[]), Role::ALL.to_vec()),
        ];
        for (peer, expected) in cases {
            assert_eq!(roles(&access, &peer, Door::Admin), expected, "{peer:?}");
        }
        let admin = peer(1001, 70, &[]);
        assert_eq!(roles(&access, &admin, Door::Judge), [Role::Judge, Role::Read]);
    }

    #[test]
    fn names_are_looked_up_and_mistakes_named() {
        let root = Members::resolve(&["root", "@root"]).expect("on every host");
        assert_eq!(root, Members::resolve(&["0", "@0"]).expect("ids"));
        let error = |name| Members::resolve(&[name]).expect_err("not there");
        assert!(error("no-such-user").contains("a group is `@no-such-user`"));
        assert!(error("@no-such-group").contains("no group `no-such-group`"));
        assert!(Members::resolve(&[""]).is_err() && Members::resolve(&["@"]).is_err());
    }
}
