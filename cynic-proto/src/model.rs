//! The model's vocabulary: axioms, dimensions, verdicts, domains and the φ constants.
//!
//! Facts only. How a dimension is scored belongs to `cynic-judge`; nothing here computes a score.

use serde::{Deserialize, Serialize};

/// The golden ratio φ.
pub const PHI: f64 = 1.618_033_988_749_895;
/// φ⁻¹: the pool is `ceil(cores × φ⁻¹)` workers.
pub const PHI_INV: f64 = 0.618_033_988_749_895;
/// The most confidence a judgment may have: φ⁻¹ cut (not rounded) to three places, so that it stays
/// below φ⁻¹ in every floating-point width and prints as 0.618.
pub const CONFIDENCE_MAX: f32 = 0.618;
/// φ⁻².
pub const PHI_INV_2: f64 = 0.381_966_011_250_105;

/// How many dimensions a judgment has: five axioms of seven, and `THE_UNNAMEABLE`.
pub const DIMENSIONS: usize = 36;
/// How many axioms take part in Q (META does not).
pub const AXIOMS: usize = 5;
/// Dimensions in each axiom.
pub const DIMENSIONS_PER_AXIOM: usize = 7;
/// What a dimension scores when its scorer failed or overran.
pub const NEUTRAL_SCORE: f32 = 50.0;

/// Weight of a dimension by its position in its axiom: φ, φ⁻¹, 1, φ, φ⁻², φ⁻¹, φ⁻¹.
pub const POSITION_WEIGHTS: [f64; DIMENSIONS_PER_AXIOM] =
    [PHI, PHI_INV, 1.0, PHI, PHI_INV_2, PHI_INV, PHI_INV];

/// A group of seven dimensions; META holds `THE_UNNAMEABLE` alone and takes no part in Q.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are the model's")]
pub enum Axiom {
    Fidelity,
    Phi,
    Verify,
    Culture,
    Burn,
    Meta,
}

impl Axiom {
    /// The five axioms of Q, in template order.
    pub const ALL: [Axiom; AXIOMS] =
        [Axiom::Fidelity, Axiom::Phi, Axiom::Verify, Axiom::Culture, Axiom::Burn];

    /// The model's name, as in JSON and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Axiom::Fidelity => "FIDELITY",
            Axiom::Phi => "PHI",
            Axiom::Verify => "VERIFY",
            Axiom::Culture => "CULTURE",
            Axiom::Burn => "BURN",
            Axiom::Meta => "META",
        }
    }

    /// The axiom's dimensions, in template order (empty for META, which is not part of Q).
    pub fn dimensions(self) -> &'static [Dimension] {
        if self == Axiom::Meta {
            return &[];
        }
        let first = self as usize * DIMENSIONS_PER_AXIOM;
        &Dimension::ALL[first..first + DIMENSIONS_PER_AXIOM]
    }
}

macro_rules! dimensions {
    ($($variant:ident $name:literal $threshold:literal),+ $(,)?) => {
        /// One of the 36 questions asked of an item. Its number is its place in every array of scores.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "each is described in docs/dimensions.md")]
        pub enum Dimension { $(#[serde(rename = $name)] $variant),+ }

        impl Dimension {
            /// All dimensions in template order; `ALL[d as usize] == d`.
            pub const ALL: [Dimension; DIMENSIONS] = [$(Dimension::$variant),+];

            /// The model's name, as in JSON, tables and (in lower case) database columns.
            pub const fn name(self) -> &'static str {
                match self { $(Dimension::$variant => $name),+ }
            }

            /// Below this score (0 to 100) the dimension counts as a weakness.
            pub const fn threshold(self) -> f32 {
                match self { $(Dimension::$variant => $threshold),+ }
            }
        }
    };
}

dimensions! {
    Commitment "COMMITMENT" 50.0,
    Attunement "ATTUNEMENT" 50.0,
    Candor "CANDOR" 50.0,
    Congruence "CONGRUENCE" 50.0,
    Accountability "ACCOUNTABILITY" 50.0,
    Vigilance "VIGILANCE" 50.0,
    Kenosis "KENOSIS" 50.0,
    Coherence "COHERENCE" 50.0,
    Elegance "ELEGANCE" 50.0,
    Structure "STRUCTURE" 50.0,
    Harmony "HARMONY" 50.0,
    Precision "PRECISION" 50.0,
    Completeness "COMPLETENESS" 50.0,
    Proportion "PROPORTION" 50.0,
    Accuracy "ACCURACY" 60.0,
    Provenance "PROVENANCE" 50.0,
    Integrity "INTEGRITY" 60.0,
    Verifiability "VERIFIABILITY" 60.0,
    Transparency "TRANSPARENCY" 50.0,
    Reproducibility "REPRODUCIBILITY" 55.0,
    Consensus "CONSENSUS" 50.0,
    Authenticity "AUTHENTICITY" 50.0,
    Resonance "RESONANCE" 45.0,
    Novelty "NOVELTY" 40.0,
    Alignment "ALIGNMENT" 50.0,
    Relevance "RELEVANCE" 50.0,
    Impact "IMPACT" 45.0,
    Lineage "LINEAGE" 45.0,
    Utility "UTILITY" 50.0,
    Sustainability "SUSTAINABILITY" 50.0,
    Efficiency "EFFICIENCY" 50.0,
    ValueCreation "VALUE_CREATION" 50.0,
    Sacrifice "SACRIFICE" 60.0,
    Contribution "CONTRIBUTION" 50.0,
    Irreversibility "IRREVERSIBILITY" 50.0,
    TheUnnameable "THE_UNNAMEABLE" 38.2,
}

impl Dimension {
    /// The axiom that the dimension belongs to.
    pub const fn axiom(self) -> Axiom {
        match self as usize / DIMENSIONS_PER_AXIOM {
            0 => Axiom::Fidelity,
            1 => Axiom::Phi,
            2 => Axiom::Verify,
            3 => Axiom::Culture,
            4 => Axiom::Burn,
            _ => Axiom::Meta,
        }
    }

    /// The dimension with that number, if there is one.
    pub fn from_index(index: usize) -> Option<Dimension> {
        Dimension::ALL.get(index).copied()
    }

    /// The dimension with that name, in any case.
    pub fn from_name(name: &str) -> Option<Dimension> {
        Dimension::ALL.into_iter().find(|d| d.name().eq_ignore_ascii_case(name))
    }
}

/// What a Q-Score says, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Q ≥ 80: exceptional.
    Howl,
    /// Q ≥ 50: passes.
    Wag,
    /// Q ≥ 38.2: needs work.
    Growl,
    /// Below 38.2: judged and bad. Never used for a failure to judge.
    Bark,
}

impl Verdict {
    /// All verdicts, best first.
    pub const ALL: [Verdict; 4] = [Verdict::Howl, Verdict::Wag, Verdict::Growl, Verdict::Bark];

    /// The verdict of a Q-Score (0 to 100).
    pub fn of(q_score: f32) -> Verdict {
        match q_score {
            q if q >= 80.0 => Verdict::Howl,
            q if q >= 50.0 => Verdict::Wag,
            q if q >= 38.2 => Verdict::Growl,
            _ => Verdict::Bark,
        }
    }

    /// The model's name, as in JSON and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Howl => "HOWL",
            Verdict::Wag => "WAG",
            Verdict::Growl => "GROWL",
            Verdict::Bark => "BARK",
        }
    }
}

/// What kind of material an item was judged as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// Messages between people: mail, chat, comments, posts.
    Social,
    /// Text that a language model is about to read: prompts, tool outputs, retrieved documents.
    Prompt,
    /// Commands for a shell.
    Shell,
    /// Source code.
    Code,
    /// Arguments, articles, documentation.
    Prose,
    /// None of the above; confidence is lower.
    General,
}

impl Domain {
    /// All domains.
    pub const ALL: [Domain; 6] = [
        Domain::Social,
        Domain::Prompt,
        Domain::Shell,
        Domain::Code,
        Domain::Prose,
        Domain::General,
    ];

    /// The domain's name, as in JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Domain::Social => "social",
            Domain::Prompt => "prompt",
            Domain::Shell => "shell",
            Domain::Code => "code",
            Domain::Prose => "prose",
            Domain::General => "general",
        }
    }
}

/// A stage of the pipeline that one item passes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Stage {
    /// Bytes become an item.
    Parse,
    /// The item is analysed and its dimensions are scored.
    Score,
    /// Dimensions become axioms and Q.
    Aggregate,
    /// Q becomes a verdict with its explanation.
    Verdict,
    /// The judgment is stored (by the supervisor, never by a worker).
    Persist,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Stage; 5] =
        [Stage::Parse, Stage::Score, Stage::Aggregate, Stage::Verdict, Stage::Persist];

    /// The stage's name, as in configuration, JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Parse => "parse",
            Stage::Score => "score",
            Stage::Aggregate => "aggregate",
            Stage::Verdict => "verdict",
            Stage::Persist => "persist",
        }
    }
}

macro_rules! display_by_name {
    ($($type:ty),+) => {$(
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    )+};
}
display_by_name!(Axiom, Dimension, Verdict, Domain, Stage);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_axiom_has_its_seven_dimensions() {
        for (n, dimension) in Dimension::ALL.into_iter().enumerate() {
            assert_eq!(dimension as usize, n);
            assert_eq!(Dimension::from_name(&dimension.name().to_lowercase()), Some(dimension));
        }
        for axiom in Axiom::ALL {
            assert_eq!(axiom.dimensions().len(), DIMENSIONS_PER_AXIOM);
            assert!(axiom.dimensions().iter().all(|d| d.axiom() == axiom));
        }
        assert_eq!(Dimension::TheUnnameable.axiom(), Axiom::Meta);
    }

    #[test]
    fn verdicts_change_at_their_limits() {
        let verdicts: Vec<_> = [100.0, 80.0, 79.9, 50.0, 49.9, 38.2, 38.1, 0.0]
            .into_iter()
            .map(|q| Verdict::of(q).name())
            .collect();
        assert_eq!(verdicts, ["HOWL", "HOWL", "WAG", "WAG", "GROWL", "GROWL", "BARK", "BARK"]);
    }
}
