//! The judge: its options, its stages and its self-test.

use std::borrow::Cow;
use std::sync::Arc;

use cynic_proto::canary;
use cynic_proto::item::{Hint, ItemError};
use cynic_proto::judgment::{Details, Evidence, FinalScore, Judgment};
use cynic_proto::model::{DIMENSIONS, Dimension, Verdict};

use crate::aggregate::Aggregate;
use crate::analysis::Analysis;
use crate::confidence;
use crate::explain;
use crate::item::Item;
use crate::profile::Profile;
use crate::reading;
use crate::scorer::{Outcome, Panel};
use crate::weights::Weights;

/// Why a judgment is what it is, as the judge says it: most of its words are the judge's own.
pub type Explanation = Details<Cow<'static, str>>;

/// Version of the rules and weights; raised whenever a judgment may come out differently.
pub const JUDGE_VERSION: u32 = 13;

/// How to build a [`Judge`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Ed25519 keys whose signature over a body counts as proof.
    pub trusted_keys: Vec<[u8; 32]>,
    /// The learned evidence; shared, because a process may hold several judges.
    pub weights: Arc<Weights>,
}

impl Default for Options {
    fn default() -> Options {
        Options { trusted_keys: Vec::new(), weights: Weights::builtin() }
    }
}

/// Judges items. Immutable; build one for each worker.
#[derive(Debug, Clone)]
pub struct Judge {
    options: Options,
}

/// The canary was judged otherwise than it must be: the build or the machine is broken.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("the self-test judged its canary wrong: {0}")]
pub struct SelfTestError(String);

impl Judge {
    /// A judge with these options.
    pub fn new(options: Options) -> Judge {
        Judge { options }
    }

    /// Stage "parse": reads an item.
    ///
    /// # Errors
    /// See [`Item::read`].
    pub fn parse(&self, bytes: &[u8], hint: &Hint) -> Result<Item, ItemError> {
        Item::read(bytes, hint)
    }

    /// Stage "score", first part: the one pass over the body, linear in its length.
    pub fn analyse(&self, item: Item) -> Analysis {
        Analysis::of(item, &self.options.weights, &self.options.trusted_keys)
    }

    /// A panel of the judge's own scorers.
    pub fn panel(&self) -> Panel {
        Panel::builtin()
    }

    /// Stage "score", second part: the builtin scorer of one dimension.
    pub fn score(&self, analysis: &Analysis, dimension: Dimension) -> Outcome {
        match dimension {
            Dimension::TheUnnameable => Outcome::Derived,
            _ => Outcome::Scored(reading::score(analysis, dimension)),
        }
    }

    /// Stage "aggregate": axioms, `THE_UNNAMEABLE` and Q.
    pub fn aggregate(&self, analysis: &Analysis, outcomes: [Outcome; DIMENSIONS]) -> Aggregate {
        let profile = analysis.item.profile.unwrap_or_else(|| Profile::of_domain(analysis.domain));
        Aggregate::of(outcomes, profile)
    }

    /// Stage "verdict": the judgment and its explanation.
    pub fn conclude(&self, analysis: &Analysis, aggregate: Aggregate) -> (Judgment, Explanation) {
        let final_score = analysis.item.context.k_score.map(|k_score| {
            let score = (k_score * aggregate.q_score).sqrt().clamp(0.0, 100.0);
            FinalScore { k_score, score, verdict: Verdict::of(score) }
        });
        let fallbacks =
            aggregate.fallbacks.iter().fold(0, |bits, f| bits | 1 << (f.dimension as usize));
        let judgment = Judgment {
            q_score: aggregate.q_score,
            verdict: Verdict::of(aggregate.q_score),
            confidence: confidence::of(analysis, aggregate.fallbacks.len()),
            domain: analysis.domain,
            axioms: aggregate.axioms,
            dimensions: aggregate.dimensions,
            fallbacks,
            partial: false,
            final_score,
            body_bytes: analysis.item.body.len() as u64,
            body_sha256: analysis.sha256,
            judge_version: JUDGE_VERSION,
        };
        let evidence = aggregate
            .evidence
            .into_iter()
            .map(|(dimension, finding)| Evidence {
                dimension,
                code: finding.code,
                points: finding.points,
                span: finding.span.map(|(start, end)| (start as u64, end as u64)),
                text: finding.text,
            })
            .collect();
        let details = Details {
            item_id: analysis.item.id.clone().map(Cow::Owned),
            evidence,
            fallbacks: aggregate.fallbacks,
            unchecked: explain::unchecked(analysis).into_iter().map(Cow::Owned).collect(),
            summary: Cow::Owned(explain::summary(analysis)),
        };
        (judgment, details)
    }

    /// Judges an item with the builtin scorers only.
    ///
    /// # Errors
    /// See [`Item::read`].
    pub fn judge(&self, bytes: &[u8], hint: &Hint) -> Result<(Judgment, Explanation), ItemError> {
        let analysis = self.analyse(self.parse(bytes, hint)?);
        let outcomes = Dimension::ALL.map(|dimension| self.score(&analysis, dimension));
        let aggregate = self.aggregate(&analysis, outcomes);
        Ok(self.conclude(&analysis, aggregate))
    }

    /// Judges a built-in item whose result is known.
    ///
    /// # Errors
    /// The result is not the known one.
    pub fn self_test(&self) -> Result<(), SelfTestError> {
        let (bad, good) = (self.sing(canary::BAD)?, self.sing(canary::GOOD)?);
        if matches!(bad.verdict, Verdict::Howl | Verdict::Wag) {
            return Err(SelfTestError(format!(
                "{} at {:.1}, which is bad",
                bad.verdict, bad.q_score
            )));
        }
        if matches!(good.verdict, Verdict::Growl | Verdict::Bark) {
            return Err(SelfTestError(format!(
                "{} at {:.1}, which is good",
                good.verdict, good.q_score
            )));
        }
        Ok(())
    }

    fn sing(&self, canary: &str) -> Result<Judgment, SelfTestError> {
        let judged = self.judge(canary.as_bytes(), &Hint::default());
        let (judgment, _) = judged.map_err(|source| SelfTestError(source.message))?;
        judgment.validate().map_err(|source| SelfTestError(source.to_string()))?;
        if judgment.fallbacks != 0 {
            return Err(SelfTestError(format!(
                "only {} dimensions were scored",
                judgment.covered()
            )));
        }
        Ok(judgment)
    }
}
