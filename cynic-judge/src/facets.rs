//! Which dimension a learned n-gram speaks to: by what its word does, else by its hash, so that the
//! learned evidence is shared out and no two dimensions read the same n-grams.

use cynic_proto::model::{DIMENSIONS, Dimension};

use crate::fold;
use crate::lexicon::Classes;
use crate::text::lexicon::Class;

/// How many facets there are: every dimension but `THE_UNNAMEABLE`.
pub(crate) const FACETS: usize = DIMENSIONS - 1;

pub(crate) const NUMBER: u8 = Dimension::Precision as u8;
pub(crate) const EMOJI: u8 = Dimension::Resonance as u8;
pub(crate) const LINK: u8 = Dimension::Provenance as u8;
pub(crate) const MENTION: u8 = Dimension::Lineage as u8;

/// The dimension of each class of words, in the order of [`Class`].
const OF_CLASS: [Dimension; Class::COUNT] = {
    use Dimension as D;
    [
        D::Vigilance,
        D::Lineage,
        D::Kenosis,
        D::Vigilance,
        D::Congruence,
        D::Sacrifice,
        D::Integrity,
        D::Transparency,
        D::Sacrifice,
        D::Commitment,
        D::Sustainability,
        D::ValueCreation,
        D::Utility,
        D::ValueCreation,
        D::Sustainability,
        D::Alignment,
        D::Alignment,
        D::Alignment,
        D::Resonance,
        D::Candor,
        D::Kenosis,
        D::Kenosis,
        D::Transparency,
        D::Attunement,
        D::Attunement,
        D::Verifiability,
        D::Coherence,
        D::Vigilance,
        D::Candor,
        D::Resonance,
        D::Accountability,
        D::Resonance,
        D::Accountability,
        D::Resonance,
        D::Consensus,
        D::Relevance,
        D::Accuracy,
        D::Reproducibility,
        D::Precision,
        D::Elegance,
        D::Harmony,
        D::Authenticity,
        D::Impact,
        D::Novelty,
        D::Contribution,
        D::Contribution,
        D::Structure,
        D::Vigilance,
        D::Irreversibility,
        D::Contribution,
        D::Impact,
        D::Provenance,
        D::Harmony,
        D::Candor,
        D::Provenance,
        D::Consensus,
        D::Verifiability,
        D::Candor,
        D::Commitment,
        D::Irreversibility,
        D::Candor,
        D::Integrity,
        D::Authenticity,
        D::Sacrifice,
        D::Alignment,
        D::Impact,
        D::Impact,
        D::Impact,
        D::Coherence,
        D::Proportion,
        D::Completeness,
        D::Elegance,
        D::Efficiency,
        D::Alignment,
    ]
};

/// The names of the classes of words that speak to a dimension.
pub(crate) fn classes_of(dimension: Dimension) -> Vec<&'static str> {
    let classes = OF_CLASS.iter().zip(Class::NAMES);
    classes.filter(|(own, _)| **own == dimension).map(|(_, name)| name).collect()
}

/// The facet of a word by what it does, or by its hash where that is not known.
pub(crate) fn of_word(classes: Classes, hash: u64) -> u8 {
    let known = classes & !Class::English.bit();
    if known == 0 { by_hash(hash) } else { OF_CLASS[known.trailing_zeros() as usize] as u8 }
}

/// The facet of a word's letters.
pub(crate) fn of_letters(hash: u64) -> u8 {
    by_hash(fold::finish(hash ^ 0x77))
}

/// The facet of a sign.
pub(crate) fn of_sign(sign: u8) -> u8 {
    let dimension = match sign {
        b'!' => Dimension::Harmony,
        b'?' => Dimension::Relevance,
        b'.' => Dimension::Structure,
        b',' | b';' => Dimension::Proportion,
        b':' | b'-' => Dimension::Completeness,
        b'"' | b'\'' => Dimension::Provenance,
        b'$' => Dimension::Sacrifice,
        b'#' | b'@' => Dimension::Lineage,
        b'(' | b')' | b'[' | b']' | b'{' | b'}' => Dimension::Coherence,
        b'<' | b'>' | b'|' | b'`' => Dimension::Integrity,
        b'&' | b'=' | b'%' | b'+' => Dimension::Efficiency,
        _ => Dimension::Elegance,
    };
    dimension as u8
}

/// An even share of everything that has no place of its own.
pub(crate) fn by_hash(hash: u64) -> u8 {
    ((hash >> 20) % FACETS as u64) as u8
}
