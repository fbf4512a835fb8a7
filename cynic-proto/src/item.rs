//! What a client says about the opaque bytes of an item.

use serde::{Deserialize, Serialize};

/// How to read an item's bytes. The supervisor carries it along; only a worker acts on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// What the bytes are.
    pub form: Form,
    /// The item's type where the bytes do not say it: `text`, `code`, `event` or a name of the user's.
    pub item_type: Option<String>,
    /// A file name, whose ending tells a language or a domain.
    pub name: Option<String>,
    /// Which weighting of the axioms to judge with; unset means the one of the item's domain.
    pub profile: Option<String>,
}

/// The form of an item's bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// A JSON object with `type` and `content`, `code` or `event`.
    #[default]
    Json,
    /// The body itself: plain text or a source file.
    Plain,
}

/// Why an item could not be judged. The client's mistake, never the worker's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ItemError {
    /// What is wrong, for programs.
    pub kind: ItemErrorKind,
    /// What is wrong and what to do, for people; line and column where the JSON is broken.
    pub message: String,
}

/// The kinds of [`ItemError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemErrorKind {
    /// The bytes are not valid JSON.
    InvalidJson,
    /// Valid JSON, but not an object, or a field has the wrong type.
    WrongType,
    /// There is no body, or it is blank.
    Empty,
    /// The body is larger than the judge reads.
    TooLarge,
    /// No profile has that name.
    UnknownProfile,
}
