//! The learned evidence: its form in memory and on disk. Checked on load; never trained here.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use crate::facets::FACETS;
use crate::family::Family;
use crate::learned::ROW;
use crate::spec::HEADS;
use crate::text::order;

/// Rows of a table of n-grams: a power of two; a table of one head is 64 KiB.
pub const BUCKETS: usize = 1 << 16;
/// Marks a file of weights of this form.
const MAGIC: [u8; 8] = *b"CYNICw05";

/// What was learned about one head: one domain's good and bad.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Added to every sum.
    pub bias: f32,
    /// Weight of each feature of the family, in the order of its table.
    pub dense: Vec<f32>,
    /// Logit of one step of an n-gram's weight.
    pub gram_scale: f32,
    /// Weight of each bucket of n-grams, in steps: signed bytes, as they are in the file. Empty where they lie
    /// interleaved with other heads'.
    pub grams: Cow<'static, [u8]>,
    /// Stretches the sum so that it is a logit of being good, measured on items it was not trained on.
    pub stretch: f32,
    /// Shifts the stretched sum so that zero is where good and bad are equally likely; the head for arguments is put on
    /// the level of the one for messages instead.
    pub shift: f32,
}

/// What was learned about a family of items.
#[derive(Debug, Clone, PartialEq)]
pub struct FamilyWeights {
    /// Mean of each feature.
    pub mean: Vec<f32>,
    /// Spread of each feature (standard deviation), never zero.
    pub spread: Vec<f32>,
    /// Mean of each dimension's own reading, by facet.
    pub reading_mean: Vec<f32>,
    /// Spread of each dimension's own reading, never zero.
    pub reading_spread: Vec<f32>,
    /// A head for each domain of the family.
    pub heads: Vec<Head>,
    /// For texts: weight of each feature for each head's domain, and last a bias. Empty for one head.
    pub router: Vec<Vec<f32>>,
    /// Logit of one step of the router's weight of an n-gram.
    pub router_gram_scale: f32,
    /// Stretches and shifts the logit of the mixture of heads, as [`Head::stretch`] does one head's.
    pub stretch: f32,
    /// See [`FamilyWeights::stretch`].
    pub shift: f32,
    /// How far each dimension's own reading follows the level that all evidence supports, by facet: what is
    /// taken out of it, so that a dimension says something of its own.
    pub reading_slope: Vec<f32>,
    /// The n-gram tables of all heads and of the router, interleaved so that one look-up serves all, as they are in the
    /// file; empty for a family of one head.
    rows: Cow<'static, [[u8; ROW]]>,
}

/// Learned weights of all domains.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// Texts, shell, code: in the order of [`Family::ALL`].
    pub families: [FamilyWeights; Family::COUNT],
    /// How well one class of words follows another; see the module on word order.
    pub order: Vec<i8>,
}

/// Why stored weights cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WeightsError {
    /// The bytes are not weights of this form.
    #[error("weights of {name}: {problem}; train them again with `cynic-train train`")]
    Invalid {
        /// Which file.
        name: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Head {
    fn empty(features: usize) -> Head {
        Head {
            bias: 0.0,
            dense: vec![0.0; features],
            gram_scale: 0.0,
            grams: vec![0; BUCKETS].into(),
            stretch: 1.0,
            shift: 0.0,
        }
    }
}

impl FamilyWeights {
    /// Weights from their parts, for a family of one head.
    pub fn new(mean: Vec<f32>, spread: Vec<f32>, heads: Vec<Head>) -> Self {
        FamilyWeights {
            mean,
            spread,
            reading_mean: vec![0.0; FACETS],
            reading_spread: vec![1.0; FACETS],
            heads,
            router: Vec::new(),
            router_gram_scale: 0.0,
            stretch: 1.0,
            shift: 0.0,
            reading_slope: vec![0.0; FACETS],
            rows: Cow::Borrowed(&[]),
        }
    }

    /// The router among several heads: the weights of features for each, and those of n-grams, as signed bytes in
    /// steps of so many logits, for the last one's domain.
    #[must_use]
    pub fn with_router(mut self, router: Vec<Vec<f32>>, grams: &[u8], scale: f32) -> Self {
        (self.router, self.router_gram_scale) = (router, scale);
        let mut rows = vec![[0; ROW]; grams.len()];
        for (n, head) in self.heads.iter_mut().enumerate() {
            let table = std::mem::take(&mut head.grams);
            rows.iter_mut().zip(&*table).for_each(|(row, weight)| row[n] = *weight);
        }
        rows.iter_mut().zip(grams).for_each(|(row, weight)| row[HEADS] = *weight);
        self.rows = rows.into();
        self
    }

    pub(crate) fn router_gram(&self, bucket: u32) -> i8 {
        self.rows.get(bucket as usize).map_or(0, |row| row[HEADS].cast_signed())
    }

    /// Weights of all heads for the n-gram with that hash, and last the router's.
    #[inline]
    pub(crate) fn row(&self, hash: u64) -> [i8; ROW] {
        let of_one_head = || {
            let mut row = [0; ROW];
            row[0] = self.heads[0].grams[bucket(hash)];
            row
        };
        self.rows.get(bucket(hash)).copied().unwrap_or_else(of_one_head).map(u8::cast_signed)
    }

    /// The rubric's own weights and nothing learned.
    fn untrained(family: Family) -> FamilyWeights {
        let specs = family.specs();
        let heads = (0..family.heads())
            .map(|head| Head {
                dense: specs.iter().map(|spec| spec.risk[head]).collect(),
                ..Head::empty(specs.len())
            })
            .collect();
        let weights = FamilyWeights::new(vec![0.0; specs.len()], vec![1.0; specs.len()], heads);
        match family.domains().len() {
            1 => weights,
            n => weights.with_router(vec![vec![0.0; specs.len() + 1]; n], &vec![0; BUCKETS], 0.0),
        }
    }
}

/// The bucket of an n-gram.
#[inline]
pub(crate) fn bucket(hash: u64) -> usize {
    (hash >> 24) as usize % BUCKETS
}

/// The files that the judge is built with, in the order in which [`Weights::from_files`] takes them.
pub const FILES: [&str; 7] = ["common", "social", "prompt", "prose", "abuse", "shell", "code"];

impl Weights {
    /// The weights that the judge was built with.
    pub fn builtin() -> Arc<Weights> {
        static BUILTIN: OnceLock<Arc<Weights>> = OnceLock::new();
        let load = || {
            let files: [&'static [u8]; 7] = [
                include_bytes!("../weights/common.bin"),
                include_bytes!("../weights/social.bin"),
                include_bytes!("../weights/prompt.bin"),
                include_bytes!("../weights/prose.bin"),
                include_bytes!("../weights/abuse.bin"),
                include_bytes!("../weights/shell.bin"),
                include_bytes!("../weights/code.bin"),
            ];
            // A build whose files do not fit its features judges by its rules; the self-test and a
            // test of these files say so.
            Arc::new(Weights::from_files(files).unwrap_or_else(|_| Weights::untrained()))
        };
        BUILTIN.get_or_init(load).clone()
    }

    /// Nothing learned: rules only.
    pub fn untrained() -> Weights {
        Weights { families: Family::ALL.map(FamilyWeights::untrained), order: Vec::new() }
    }

    /// Reads weights from the contents of [`FILES`].
    ///
    /// # Errors
    /// Bytes that are no weights, are cut short, or belong to another set of features.
    pub fn from_files(files: [&'static [u8]; 7]) -> Result<Weights, WeightsError> {
        let mut common = Reader::open(FILES[0], files[0])?;
        let order = common.bytes(order::CLASSES * order::CLASSES)?;
        let mut stats = Vec::new();
        for family in Family::ALL {
            let features = family.specs().len();
            if common.count()? != features {
                return Err(common.invalid("it was trained for other features"));
            }
            let feature_stats = (common.floats(features)?, common.floats(features)?);
            let readings = [common.floats(FACETS)?, common.floats(FACETS)?, common.floats(FACETS)?];
            stats.push((feature_stats, readings, common.floats(2)?));
        }
        let features = Family::Text.specs().len();
        let mut router = Vec::new();
        for _ in Family::Text.domains() {
            router.push(common.floats(features + 1)?);
        }
        let router_gram_scale = common.floats(1)?[0];
        let (rows, _) = common.bytes(BUCKETS * ROW)?.as_chunks();
        common.close()?;
        let mut rest = FILES[1..].iter().zip(&files[1..]);
        let mut families = Vec::new();
        for (family, ((mean, spread), readings, scale)) in Family::ALL.into_iter().zip(stats) {
            let mut heads = Vec::new();
            for (name, bytes) in rest.by_ref().take(family.heads()) {
                heads.push(read_head(name, bytes, family)?);
            }
            let mut weights = FamilyWeights::new(mean, spread, heads);
            if family.heads() > 1 {
                weights.router = std::mem::take(&mut router);
                weights.router_gram_scale = router_gram_scale;
                weights.rows = Cow::Borrowed(rows);
            }
            (weights.stretch, weights.shift) = (scale[0], scale[1]);
            [weights.reading_mean, weights.reading_spread, weights.reading_slope] = readings;
            families.push(weights);
        }
        let families = families
            .try_into()
            .map_err(|_| WeightsError::Invalid { name: "all", problem: "families are missing" })?;
        Ok(Weights { families, order: order.iter().map(|byte| byte.cast_signed()).collect() })
    }

    /// The contents of [`FILES`].
    pub fn to_files(&self) -> [Vec<u8>; 7] {
        let mut common = MAGIC.to_vec();
        let mut order: Vec<u8> = self.order.iter().map(|value| *value as u8).collect();
        order.resize(order::CLASSES * order::CLASSES, 0);
        common.extend(order);
        for family in &self.families {
            common.extend((family.mean.len() as u32).to_le_bytes());
            write_floats(&mut common, &family.mean);
            write_floats(&mut common, &family.spread);
            write_floats(&mut common, &family.reading_mean);
            write_floats(&mut common, &family.reading_spread);
            write_floats(&mut common, &family.reading_slope);
            write_floats(&mut common, &[family.stretch, family.shift]);
        }
        for weights in &self.families[0].router {
            write_floats(&mut common, weights);
        }
        write_floats(&mut common, &[self.families[0].router_gram_scale]);
        common.extend(self.families[0].rows.as_flattened());
        let mut files = vec![common];
        for head in self.families.iter().flat_map(|family| &family.heads) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend((head.dense.len() as u32).to_le_bytes());
            write_floats(&mut bytes, &[head.bias, head.gram_scale, head.stretch, head.shift]);
            write_floats(&mut bytes, &head.dense);
            bytes.extend(&*head.grams);
            files.push(bytes);
        }
        files.try_into().unwrap_or_default()
    }
}

fn write_floats(bytes: &mut Vec<u8>, values: &[f32]) {
    for value in values {
        bytes.extend(value.to_le_bytes());
    }
}

fn read_head(
    name: &'static str,
    bytes: &'static [u8],
    family: Family,
) -> Result<Head, WeightsError> {
    let mut reader = Reader::open(name, bytes)?;
    let features = family.specs().len();
    if reader.count()? != features {
        return Err(reader.invalid("it was trained for other features"));
    }
    let [bias, gram_scale, stretch, shift] = reader
        .floats(4)?
        .try_into()
        .map_err(|_| WeightsError::Invalid { name, problem: "it is cut short" })?;
    let dense = reader.floats(features)?;
    let grams = if family.heads() > 1 { 0 } else { BUCKETS };
    let grams = Cow::Borrowed(reader.bytes(grams)?);
    reader.close()?;
    Ok(Head { bias, dense, gram_scale, grams, stretch, shift })
}

struct Reader<'a> {
    name: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn open(name: &'static str, bytes: &'a [u8]) -> Result<Reader<'a>, WeightsError> {
        let mut reader = Reader { name, rest: bytes };
        if reader.bytes(MAGIC.len())? != MAGIC {
            return Err(reader.invalid("it does not begin as weights of this version do"));
        }
        Ok(reader)
    }

    fn invalid(&self, problem: &'static str) -> WeightsError {
        WeightsError::Invalid { name: self.name, problem }
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], WeightsError> {
        let (bytes, rest) =
            self.rest.split_at_checked(length).ok_or_else(|| self.invalid("it is cut short"))?;
        self.rest = rest;
        Ok(bytes)
    }

    fn count(&mut self) -> Result<usize, WeightsError> {
        let bytes = self.bytes(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
    }

    fn floats(&mut self, count: usize) -> Result<Vec<f32>, WeightsError> {
        let bytes = self.bytes(count * 4)?;
        let floats: Vec<f32> =
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        if floats.iter().all(|value| value.is_finite()) {
            Ok(floats)
        } else {
            Err(self.invalid("it holds a number that is not finite"))
        }
    }

    fn close(self) -> Result<(), WeightsError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.invalid("it is too long")) }
    }
}
