//! The judgment: what the judge answers, in the form in which it is sent, stored and shown.
//!
//! Two parts. [`Judgment`] is small and of fixed shape, so that the supervisor can check and store it
//! cheaply. [`Details`] explains it, and is sent and stored in fewer bytes (see [`crate::explanation`]).

use serde::{Deserialize, Serialize};

use crate::model::{AXIOMS, Axiom, CONFIDENCE_MAX, DIMENSIONS, Dimension, Domain, Verdict};

/// What a judgment says in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgment {
    /// The Q-Score, 0 to 100.
    pub q_score: f32,
    /// The verdict of `q_score`, after calibration if there is one.
    pub verdict: Verdict,
    /// 0 to [`CONFIDENCE_MAX`].
    pub confidence: f32,
    /// What the item was judged as.
    pub domain: Domain,
    /// Score of each axiom, 0 to 100, in the order of [`Axiom::ALL`].
    pub axioms: [f32; AXIOMS],
    /// Score of each dimension, 0 to 100, in the order of [`Dimension::ALL`].
    #[serde(with = "scores")]
    pub dimensions: [f32; DIMENSIONS],
    /// Bit `d` is set where dimension `d` fell back to the neutral score.
    pub fallbacks: u64,
    /// The soft budget ran out before all dimensions were scored.
    pub partial: bool,
    /// `√(K × Q)` where the context carries an outside quality figure K.
    pub final_score: Option<FinalScore>,
    /// Length of the judged body in bytes.
    pub body_bytes: u64,
    /// SHA-256 of the judged body.
    pub body_sha256: [u8; 32],
    /// Version of the rules and weights that judged.
    pub judge_version: u32,
}

/// The judgment joined with an outside quality figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FinalScore {
    /// The outside figure K, 0 to 100.
    pub k_score: f32,
    /// √(K × Q), 0 to 100.
    pub score: f32,
    /// The verdict of `score`.
    pub verdict: Verdict,
}

/// Why a number of a [`Judgment`] cannot be right.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum JudgmentError {
    /// A score or the confidence is not a number in its range.
    #[error("{what} is {value}, outside 0 to {max}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f32,
        /// The largest value allowed.
        max: f32,
    },
    /// A fallback is marked for a dimension that does not exist.
    #[error("fallbacks are marked beyond the last dimension")]
    UnknownDimension,
}

impl Judgment {
    /// Checks every number; what comes from a worker is untrusted.
    ///
    /// # Errors
    /// A score outside 0 to 100 or NaN, a confidence above φ⁻¹, a mark beyond the last dimension.
    pub fn validate(&self) -> Result<(), JudgmentError> {
        let within = |what, value: f32, max: f32| {
            if (0.0..=max).contains(&value) {
                Ok(())
            } else {
                Err(JudgmentError::OutOfRange { what, value, max })
            }
        };
        within("q_score", self.q_score, 100.0)?;
        within("confidence", self.confidence, CONFIDENCE_MAX)?;
        for score in self.axioms {
            within("an axiom's score", score, 100.0)?;
        }
        for score in self.dimensions {
            within("a dimension's score", score, 100.0)?;
        }
        if let Some(joined) = &self.final_score {
            within("k_score", joined.k_score, 100.0)?;
            within("the final score", joined.score, 100.0)?;
        }
        if self.fallbacks >> DIMENSIONS != 0 {
            return Err(JudgmentError::UnknownDimension);
        }
        Ok(())
    }

    /// The score of one dimension.
    pub fn dimension(&self, dimension: Dimension) -> f32 {
        self.dimensions[dimension as usize]
    }

    /// Whether the dimension fell back to the neutral score.
    pub fn fell_back(&self, dimension: Dimension) -> bool {
        self.fallbacks >> (dimension as usize) & 1 == 1
    }

    /// How many of the 36 dimensions were really scored.
    pub fn covered(&self) -> u32 {
        DIMENSIONS as u32 - self.fallbacks.count_ones()
    }

    /// Dimensions below their threshold, furthest below first.
    pub fn weaknesses(&self) -> Vec<Dimension> {
        let mut weak: Vec<Dimension> = Dimension::ALL
            .into_iter()
            .filter(|d| !self.fell_back(*d) && self.dimension(*d) < d.threshold())
            .collect();
        let deficit = |d: &Dimension| self.dimension(*d) - d.threshold();
        weak.sort_by(|a, b| deficit(a).total_cmp(&deficit(b)));
        weak
    }

    /// The axiom with the lowest score.
    pub fn weakest_axiom(&self) -> Axiom {
        let mut axioms = Axiom::ALL;
        axioms.sort_by(|a, b| self.axioms[*a as usize].total_cmp(&self.axioms[*b as usize]));
        axioms[0]
    }
}

/// Why the judgment is what it is. `S` is how its texts are held: owned, or borrowed from the bytes it is read from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Details<S = String> {
    /// The item's own `id`, where it has one (at most [`crate::limits::ITEM_ID_BYTES_MAX`] bytes).
    pub item_id: Option<S>,
    /// What moved the dimensions, grouped by dimension, strongest first within each.
    pub evidence: Vec<Evidence<S>>,
    /// Why each dimension that is marked in [`Judgment::fallbacks`] fell back.
    pub fallbacks: Vec<Fallback>,
    /// What was not or could not be checked, in words.
    pub unchecked: Vec<S>,
    /// A short, redacted description of the item that may be stored.
    pub summary: S,
}

impl<S: Into<String>> Details<S> {
    /// The same with texts of its own.
    pub fn into_owned(self) -> Details {
        let owned = |evidence: Evidence<S>| Evidence {
            dimension: evidence.dimension,
            code: evidence.code.into(),
            points: evidence.points,
            span: evidence.span,
            text: evidence.text.map(Into::into),
        };
        Details {
            item_id: self.item_id.map(Into::into),
            evidence: self.evidence.into_iter().map(owned).collect(),
            fallbacks: self.fallbacks,
            unchecked: self.unchecked.into_iter().map(Into::into).collect(),
            summary: self.summary.into(),
        }
    }
}

/// One thing in the item that moved one dimension.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence<S = String> {
    /// The dimension that it moved.
    pub dimension: Dimension,
    /// A stable name for the kind of evidence, such as `link.shortened`.
    pub code: S,
    /// How far it moved the dimension; negative is down.
    pub points: f32,
    /// Byte range in the body.
    pub span: Option<(u64, u64)>,
    /// A quotation from the item or an explanation; untrusted text.
    pub text: Option<S>,
}

/// A dimension that scored the neutral 50 instead of being judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fallback {
    /// The dimension.
    pub dimension: Dimension,
    /// Why.
    pub reason: FallbackReason,
}

/// Why a dimension was not judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackReason {
    /// Its scorer panicked; the message.
    Panicked(String),
    /// Its scorer returned an error; the message.
    Failed(String),
    /// It took longer than its own budget.
    Overran,
    /// The judgment's soft budget was spent before it was reached.
    OutOfTime,
    /// Its circuit breaker is open after repeated failures.
    Skipped,
}

/// serde knows arrays up to 32 elements only.
mod scores {
    use super::DIMENSIONS;
    use serde::de::{Deserializer, Error, SeqAccess, Visitor};
    use serde::ser::{SerializeTuple, Serializer};

    pub(super) fn serialize<S: Serializer>(
        scores: &[f32; DIMENSIONS],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(DIMENSIONS)?;
        for score in scores {
            tuple.serialize_element(score)?;
        }
        tuple.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[f32; DIMENSIONS], D::Error> {
        struct Scores;
        impl<'de> Visitor<'de> for Scores {
            type Value = [f32; DIMENSIONS];
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{DIMENSIONS} scores")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut scores = [0.0; DIMENSIONS];
                for (n, score) in scores.iter_mut().enumerate() {
                    *score =
                        seq.next_element()?.ok_or_else(|| A::Error::invalid_length(n, &self))?;
                }
                Ok(scores)
            }
        }
        deserializer.deserialize_tuple(DIMENSIONS, Scores)
    }
}
