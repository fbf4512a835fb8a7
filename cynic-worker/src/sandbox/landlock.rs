//! No path, no TCP port, no signal and no abstract socket outside of this process.

use cynic_proto::sandbox::LayerStatus;
use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetError, RulesetStatus, Scope,
};

use super::LayerError;

/// The newest set of rights that this worker knows to renounce; a kernel that knows fewer takes those.
const RIGHTS_KNOWN: ABI = ABI::V10;

/// With this set the layer counts as whole: all file operations, TCP, signals and abstract sockets (Linux
/// 6.12). What later sets add (UDP, named sockets) the filter denies by itself.
const RIGHTS_WHOLE: ABI = ABI::V6;

/// Handles every right there is and allows none: a ruleset without rules.
///
/// Landlock does not stop descriptors that are already open, processes, memfds, netlink or `io_uring`: the
/// filter does. It holds where a filter cannot look, at the paths behind pointers.
pub(super) fn put_on() -> Result<LayerStatus, LayerError> {
    let status =
        restrict().map_err(LayerError::new("renounce files, ports and scopes by Landlock"))?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => {
            let reason = "this kernel does not offer Landlock (needs 5.13 and lsm=landlock)";
            Err(LayerError::new("renounce files by Landlock")(reason))
        }
        (_, LandlockStatus::Available { effective_abi, .. }) if effective_abi >= RIGHTS_WHOLE => {
            Ok(LayerStatus::Enforced)
        }
        _ => Ok(LayerStatus::Partial),
    }
}

fn restrict() -> Result<RestrictionStatus, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(RIGHTS_KNOWN))?
        .handle_access(AccessNet::from_all(RIGHTS_KNOWN))?
        .scope(Scope::from_all(RIGHTS_KNOWN))?
        .create()?
        .restrict_self()
}
