//! What a client says about the opaque bytes of an item.

use serde::{Deserialize, Serialize};

use crate::limits::HINT_TEXT_BYTES_MAX;

/// How to read an item's bytes. The supervisor carries it along; only a worker acts on it. A text has at most
/// [`HINT_TEXT_BYTES_MAX`] bytes.
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

impl Hint {
    fn texts(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let texts = [("type", &self.item_type), ("name", &self.name), ("profile", &self.profile)];
        texts.into_iter().filter_map(|(what, text)| Some((what, text.as_ref()?)))
    }

    /// Looks whether its texts are no longer than they may be.
    ///
    /// # Errors
    /// Which one is, for people.
    pub fn check(&self) -> Result<(), String> {
        let Some((what, text)) = self.texts().find(|(_, text)| text.len() > HINT_TEXT_BYTES_MAX)
        else {
            return Ok(());
        };
        let bytes = text.len();
        Err(format!("the item's {what} has {bytes} bytes: at most {HINT_TEXT_BYTES_MAX} are taken"))
    }

    /// How many bytes its texts have: they count where the item's own do.
    pub fn bytes(&self) -> usize {
        self.texts().map(|(_, text)| text.len()).sum()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_longer_than_it_may_be() {
        let text = |bytes| Some("x".repeat(bytes));
        let long = HINT_TEXT_BYTES_MAX;
        let hints = |bytes| {
            [
                Hint { item_type: text(bytes), ..Hint::default() },
                Hint { name: text(bytes), ..Hint::default() },
                Hint { profile: text(bytes), ..Hint::default() },
            ]
        };
        assert_eq!(Hint::default().bytes(), 0);
        for hint in hints(long) {
            assert_eq!((hint.check(), hint.bytes()), (Ok(()), long));
        }
        for hint in hints(long + 1) {
            assert!(hint.check().is_err(), "{hint:?}");
        }
        let [hint, ..] = hints(7);
        assert_eq!(Hint { name: text(9), ..hint }.bytes(), 16);
    }
}
