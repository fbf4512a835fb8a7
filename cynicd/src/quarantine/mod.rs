//! Quarantine: the items that killed each worker that tried them.
//!
//! Owned by the hub. The [`Index`] is a pure state machine that says what is known and what has to go; the
//! [`Files`] keep it on disk, off the hub's thread. Never opens an item.

mod files;
mod index;

use std::time::Duration;

use bytes::Bytes;
use cynic_proto::item::Hint;
use cynic_proto::quarantine::ItemKey;
use sha2::{Digest, Sha256};

pub use files::{Files, FilesError};
pub use index::Index;

/// How much may be kept, and what of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most records; the oldest make room.
    pub records_max: usize,
    /// Most bytes on disk, items included; the oldest make room.
    pub bytes_max: u64,
    /// Records older than this are dropped: their items are tried again.
    pub age_max: Duration,
    /// Whether the items themselves are kept, or only their hashes.
    pub keep_content: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            // A screenful of a screenful: more distinct poison than that is an attack, and its oldest part is
            // the least interesting.
            records_max: 1000,
            bytes_max: 64 << 20,
            // Long enough to outlast a holiday, short enough that nothing is refused for ever.
            age_max: Duration::from_hours(30 * 24),
            keep_content: false,
        }
    }
}

/// What an item is recognised by: how it is to be read, and its bytes.
pub fn key_of(hint: &Hint, item: &Bytes) -> ItemKey {
    let mut hash = Sha256::new();
    // Each part with its length in front, so that no two hints run into one.
    let texts = [&hint.item_type, &hint.name, &hint.profile];
    hash.update([hint.form as u8]);
    for text in texts {
        let text = text.as_deref();
        hash.update(text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        hash.update(text.unwrap_or_default());
    }
    hash.update(item);
    ItemKey(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_differ_by_bytes_and_by_how_they_are_read() {
        let item = Bytes::from_static(b"poison");
        let plain = Hint::default();
        let named = |name: &str| Hint { name: Some(name.to_owned()), ..Hint::default() };
        let typed = |kind: &str| Hint { item_type: Some(kind.to_owned()), ..Hint::default() };
        let keys = [
            key_of(&plain, &item),
            key_of(&plain, &Bytes::from_static(b"poisom")),
            key_of(&named("a"), &item),
            key_of(&named(""), &item),
            key_of(&typed("a"), &item),
        ];
        for (n, key) in keys.iter().enumerate() {
            assert!(!keys[..n].contains(key), "{n}");
        }
        assert_eq!(key_of(&named("a"), &item), keys[2]);
    }
}
