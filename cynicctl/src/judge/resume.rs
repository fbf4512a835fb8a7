//! Task ids that a later run finds again: made of who asks, of an item's place and bytes and of how it is to be judged.
//!
//! Owns what makes two tasks the same. The daemon answers a task that is stored from the store.

use cynic_proto::ids::TaskId;
use nix::unistd::geteuid;
use sha2::{Digest as _, Sha256};

use super::Plan;
use crate::input::Item;

/// The item's task: a `UUIDv8` of the SHA-256 over the user's number and label, name, type, profile and bytes, each of these
/// behind its length.
///
/// The label has the path as it was typed and the line, so that equal items at two places are two tasks; ids belong to who used
/// them first, so that two users need different ones for the same file.
pub(super) fn task(item: &Item, plan: &Plan) -> TaskId {
    let named = [item.name.as_deref(), plan.item_type.as_deref(), plan.profile.as_deref()];
    let named = named.map(Option::unwrap_or_default);
    let mut hash = Sha256::new();
    hash.update(geteuid().as_raw().to_be_bytes());
    let parts = [&item.label[..]].into_iter().chain(named).map(str::as_bytes);
    for part in parts.chain([&item.bytes[..]]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let high = digest.iter().take(16).fold(0u128, |bits, byte| (bits << 8) | u128::from(*byte));
    // RFC 9562: version 8 in bits 76 to 79, variant 10 in bits 62 and 63.
    TaskId((high & !(0xf << 76) & !(0b11 << 62)) | (8 << 76) | (0b10 << 62))
}
