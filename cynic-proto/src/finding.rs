//! What `cynicctl doctor` finds: on the client's side, and on the daemon's.

use serde::{Deserialize, Serialize};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub check: String,
    /// How it is.
    pub state: FindingState,
    /// What was found.
    pub what: String,
    /// What to do about it; empty where nothing is to be done.
    pub advice: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingState {
    /// As it should be.
    Good,
    /// Works, but not as it should, or not for long.
    Warn,
    /// Does not work.
    Bad,
}

impl Finding {
    /// Something that is as it should be.
    pub fn good(check: &str, what: impl Into<String>) -> Finding {
        Finding::new(check, FindingState::Good, what, "")
    }

    /// Something that works but should be looked after.
    pub fn warn(check: &str, what: impl Into<String>, advice: &str) -> Finding {
        Finding::new(check, FindingState::Warn, what, advice)
    }

    /// Something that does not work.
    pub fn bad(check: &str, what: impl Into<String>, advice: &str) -> Finding {
        Finding::new(check, FindingState::Bad, what, advice)
    }

    fn new(check: &str, state: FindingState, what: impl Into<String>, advice: &str) -> Finding {
        Finding { check: check.to_owned(), state, what: what.into(), advice: advice.to_owned() }
    }
}
