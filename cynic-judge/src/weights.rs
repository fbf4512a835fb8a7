//! The learned evidence: its form in memory and on disk. Checked on load; never trained here.

/// Learned weights of all domains.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {}

/// Why stored weights cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WeightsError {
    /// The bytes are not weights of this version.
    #[error("not weights of this judge: {0}; run `cynic-train train` again")]
    Invalid(&'static str),
}

impl Weights {
    /// The weights that the judge was built with.
    pub fn builtin() -> Weights {
        Weights {}
    }
    /// No learned evidence: rules only.
    pub fn none() -> Weights {
        Weights {}
    }
}
