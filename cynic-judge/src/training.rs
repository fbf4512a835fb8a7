//! What the trainer needs of the judge: the same reading of items that judging does. Not for judging.

use cynic_proto::item::Hint;
use cynic_proto::model::{Dimension, Domain};

use crate::analysis;
use crate::facets::FACETS;
use crate::family::Family;
use crate::item::Item;
use crate::learned::{self, Sum};
use crate::route;
use crate::spec::{DOMAINS, HEADS, SOCIAL, Span};
use crate::text::scan::{Grams, ORDER_FACET};
use crate::weights::{FamilyWeights, Weights, bucket};

/// What one item gives a trainer.
#[derive(Debug, Clone)]
pub struct Extract {
    /// How it was read.
    pub family: Family,
    /// Its domain where its type says it.
    pub said: Option<Domain>,
    /// Its features as measured; word order as zero, see `order`.
    pub values: Vec<f32>,
    /// Buckets of its n-grams, each with its part of the sum.
    pub grams: Vec<(u32, f32)>,
    /// Its pairs of word orders.
    pub order: Vec<u16>,
}

#[derive(Default)]
struct Collected {
    buckets: Vec<u32>,
    order: Vec<u16>,
}

impl Grams for Collected {
    fn gram(&mut self, hash: u64, facet: u8, _: Span) {
        if facet == ORDER_FACET {
            self.order.push(hash as u16);
        } else {
            self.buckets.push(bucket(hash) as u32);
        }
    }
}

/// Reads an item as the judge reads it; nothing if it cannot be read.
pub fn extract(bytes: &[u8]) -> Option<Extract> {
    let item = Item::read(bytes, &Hint::default()).ok()?;
    let route = route::route(&item);
    let scanned = analysis::scan(&item, route.family, &[], Collected::default());
    let mut buckets = scanned.grams.buckets;
    let norm = learned::gram_norm(buckets.len() as u32);
    buckets.sort_unstable();
    let grams =
        buckets.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as f32 / norm)).collect();
    Some(Extract {
        family: route.family,
        said: route.domain,
        values: scanned.values,
        grams,
        order: scanned.grams.order,
    })
}

/// The place of the feature of word order among those of texts, and its value by a table of orders.
pub fn order_value(extract: &Extract, table: &[i8]) -> f32 {
    let sum: i64 = extract.order.iter().map(|pair| i64::from(table[usize::from(*pair)])).sum();
    sum as f32 / (extract.order.len() as f32 + 3.0)
}

/// The code of the feature of word order.
pub const ORDER_CODE: &str = "order.natural";
/// Entries of a table of word orders.
pub const ORDER_ENTRIES: usize = crate::text::order::CLASSES * crate::text::order::CLASSES;
/// Classes of words in a table of word orders.
pub const ORDER_CLASSES: usize = crate::text::order::CLASSES;
/// Dimensions with a reading of their own.
pub const READINGS: usize = FACETS;

/// Measured features made comparable.
pub fn normalise(weights: &FamilyWeights, family: Family, values: &[f32]) -> Vec<f32> {
    learned::normalise(weights, family, values)
}

/// How much each domain takes part in an item, given the heads' logits.
pub fn mixture(
    weights: &FamilyWeights,
    family: Family,
    z: &[f32],
    extract: &Extract,
    logits: &[f32; HEADS],
) -> [f32; DOMAINS] {
    learned::mixture(weights, family, z, routed(weights, extract), logits, extract.said)
}

/// What an item's n-grams say for the last head's domain (logits).
fn routed(weights: &FamilyWeights, extract: &Extract) -> f32 {
    let part = |(bucket, part): &(u32, f32)| f32::from(weights.router_gram(*bucket)) * part;
    weights.router_gram_scale * extract.grams.iter().map(part).sum::<f32>()
}

/// The logit of a mixture of heads.
pub fn mixed(family: Family, logits: &[f32; HEADS], mixture: &[f32; DOMAINS]) -> f32 {
    learned::mixed(logits, &learned::shares(family, mixture, logits))
}

/// The logit of a message: the worse of what its two heads say.
pub fn message(logits: &[f32; HEADS]) -> f32 {
    let mut message = [0.0; DOMAINS];
    message[SOCIAL] = 1.0;
    mixed(Family::Text, logits, &message)
}

/// The readings of the dimensions before they are centred and scaled, and the level beside which they stand.
pub fn readings(bytes: &[u8], weights: &Weights) -> Option<(Family, [f32; FACETS], f32)> {
    let item = Item::read(bytes, &Hint::default()).ok()?;
    let route = route::route(&item);
    let own = &weights.families[route.family.index()];
    let scanned = analysis::scan(&item, route.family, &weights.order, Sum::new(own));
    let z = learned::normalise(own, route.family, &scanned.values);
    let learned = learned::weigh(own, route.family, &z, &scanned.grams, route.domain);
    let level = crate::reading::level(learned.logit);
    Some((route.family, crate::reading::raw(route.family, &z, &learned), level))
}

/// How many points one unit of a feature moves its own dimension, beside all others, from a score of 50.
pub fn points(weights: &FamilyWeights, family: Family, feature: usize) -> f32 {
    crate::reading::points(weights, family, feature)
}

/// The classes of words whose n-grams speak to a dimension.
pub fn word_classes(dimension: Dimension) -> Vec<&'static str> {
    crate::facets::classes_of(dimension)
}
