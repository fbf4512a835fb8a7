//! Every limit of the wire, each with the reason for its value.

/// Longest item id that is kept, in bytes: room for any path or URL-like name, too short to smuggle a document.
pub const ITEM_ID_BYTES_MAX: usize = 256;
