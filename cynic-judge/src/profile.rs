//! How much each axiom weighs for a kind of work. Facts only.

use cynic_proto::item::{ItemError, ItemErrorKind};
use cynic_proto::model::{AXIOMS, Domain};

/// A weighting of the axioms by kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Before a tool runs.
    Protection,
    /// Source code.
    Code,
    /// Design work.
    Design,
    /// Messages between people.
    Social,
    /// Offers and trade.
    Market,
    /// Looking around.
    Exploration,
    /// Counsel.
    Wisdom,
    /// All axioms alike.
    Even,
}

impl Profile {
    const NAMED: [(&'static str, Profile); 7] = [
        ("protection", Profile::Protection),
        ("code", Profile::Code),
        ("design", Profile::Design),
        ("social", Profile::Social),
        ("market", Profile::Market),
        ("exploration", Profile::Exploration),
        ("wisdom", Profile::Wisdom),
    ];

    /// The profile with that name, in any case.
    pub fn from_name(name: &str) -> Option<Profile> {
        Self::NAMED.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, p)| p)
    }

    /// The profile that a caller asked for; unset, empty and `auto` leave it to the domain.
    ///
    /// # Errors
    /// No profile has that name.
    pub(crate) fn asked(name: Option<&str>) -> Result<Option<Profile>, ItemError> {
        match name {
            None | Some("" | "auto") => Ok(None),
            Some(name) => Profile::from_name(name).map(Some).ok_or_else(|| ItemError {
                kind: ItemErrorKind::UnknownProfile,
                message: format!(
                    "no profile is called {:?}; use auto, {}",
                    crate::item::cut(name, 64),
                    Self::NAMED.map(|(n, _)| n).join(", ")
                ),
            }),
        }
    }

    /// The profile of a domain where nobody asked for another.
    pub fn of_domain(domain: Domain) -> Profile {
        match domain {
            Domain::Social => Profile::Social,
            Domain::Prompt | Domain::Shell => Profile::Protection,
            Domain::Code => Profile::Code,
            Domain::Prose => Profile::Wisdom,
            Domain::General => Profile::Even,
        }
    }

    /// Exponents of the geometric mean, in the order of `Axiom::ALL` (FIDELITY, PHI, VERIFY, CULTURE,
    /// BURN), normalised to a sum of one. Source: the design's table of contexts.
    pub fn exponents(self) -> [f64; AXIOMS] {
        let weights: [f64; AXIOMS] = match self {
            Profile::Protection => [1.3, 1.0, 1.4, 0.7, 0.8],
            Profile::Code => [0.9, 1.3, 1.3, 0.8, 1.0],
            Profile::Design => [0.8, 1.4, 0.9, 1.3, 1.0],
            Profile::Social => [1.2, 0.9, 1.0, 1.4, 0.8],
            Profile::Market => [1.0, 0.9, 1.2, 0.8, 1.4],
            Profile::Exploration => [1.0, 1.0, 1.0, 1.2, 1.0],
            Profile::Wisdom => [1.3, 1.1, 0.9, 1.3, 0.8],
            Profile::Even => [1.0; AXIOMS],
        };
        let sum: f64 = weights.iter().sum();
        weights.map(|weight| weight / sum)
    }
}
