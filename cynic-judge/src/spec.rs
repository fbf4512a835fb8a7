//! The form of a feature: one measured property of an item, and what it says for which dimension.
//!
//! The tables of features are the rubric: `docs/dimensions.md` is printed from them.

use cynic_proto::model::Dimension;

/// How a measured value becomes a comparable one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Centred and scaled by the mean and spread seen in training.
    Learned,
    /// A count or share that is already about 0 to 3; capped at 3.
    Count,
    /// As `Count`, and its weight is the rubric's own, never trained: what is certain needs no data, and
    /// what is rare in the data must not be unlearned by it.
    Fixed,
    /// As `Learned`, and it says nothing of good and bad: where a set's good and bad come from different sources, size
    /// and manner tell the sources apart.
    Neutral,
}

/// One measured property of an item.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// A stable name, such as `link.shortened`.
    pub code: &'static str,
    /// What it measures, in words that complete "the item …".
    pub about: &'static str,
    /// What it says of an item that has less of it than is usual.
    pub little: &'static str,
    /// The dimension that it speaks to.
    pub dimension: Dimension,
    /// How its value is made comparable.
    pub norm: Norm,
    /// How far one unit moves its own dimension beside the others (logits).
    pub lean: f32,
    /// What one unit says of the whole item before any training (logits; positive is good), per head of
    /// the family: social, prompt, prose, abuse for texts; one for the others.
    pub risk: [f32; HEADS],
    /// Where its span is recorded; [`NO_SLOT`] if it has none.
    pub slot: u8,
}

/// Most heads of a family.
pub const HEADS: usize = 4;
/// Most domains of a family: each has a head of its own, in the same place.
pub const DOMAINS: usize = 3;
/// The head of texts for messages: for all that is bad in them, and spam most of all.
pub const SOCIAL: usize = 0;
/// The head of texts that is no domain's own: abuse in messages, which is bad in other ways than spam.
pub const ABUSE: usize = 3;
/// The feature has no span.
pub const NO_SLOT: u8 = u8::MAX;

/// Byte range in the body.
pub(crate) type Span = (usize, usize);

/// Declares a family's features: their table and the function that measures them.
macro_rules! features {
    ($scan:ident: $type:ty; $($code:literal $dimension:ident $norm:ident $lean:literal
        [$($risk:literal),+] $slot:expr, $about:literal = $value:expr;)+) => {
        /// The features of this family.
        pub(crate) const SPECS: &[$crate::spec::Spec] = &[$($crate::spec::Spec {
            code: $code,
            about: $about,
            little: concat!($about, ", less than is usual"),
            dimension: cynic_proto::model::Dimension::$dimension,
            norm: $crate::spec::Norm::$norm,
            lean: $lean,
            risk: $crate::spec::padded(&[$($risk),+]),
            slot: $slot,
        }),+];

        /// Measures the features, in the order of [`SPECS`].
        pub(crate) fn values($scan: &$type) -> Vec<f32> {
            vec![$($value),+]
        }
    };
}
pub(crate) use features;

/// The risks of the heads that a family has. Where none is said for abuse, it is that of any message.
pub(crate) const fn padded(risk: &[f32]) -> [f32; HEADS] {
    let mut all = [0.0; HEADS];
    let mut head = 0;
    while head < risk.len() {
        all[head] = risk[head];
        head += 1;
    }
    if risk.len() == ABUSE {
        all[ABUSE] = all[SOCIAL];
    }
    all
}
