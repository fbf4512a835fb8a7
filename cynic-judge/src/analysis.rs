//! The analysis of one item: everything that the dimensions read, computed once.

use cynic_proto::model::{Dimension, Domain};
use sha2::{Digest, Sha256};

use crate::item::Item;
use crate::scorer::Scored;

/// What one pass over an item found. Immutable; shared by all scorers of one judgment.
#[derive(Debug)]
pub struct Analysis {
    pub(crate) item: Item,
    pub(crate) domain: Domain,
    pub(crate) sha256: [u8; 32],
}

impl Analysis {
    /// The item.
    pub fn item(&self) -> &Item {
        &self.item
    }
    /// What the item is judged as.
    pub fn domain(&self) -> Domain {
        self.domain
    }

    pub(crate) fn of(item: Item) -> Analysis {
        let sha256 = Sha256::digest(item.body.as_bytes()).into();
        Analysis { domain: Domain::General, sha256, item }
    }

    pub(crate) fn score(&self, dimension: Dimension) -> Scored {
        let byte = self.sha256[dimension as usize % 32];
        Scored { score: 50.0 + f32::from(byte) / 10.0, evidence: Vec::new() }
    }
}
