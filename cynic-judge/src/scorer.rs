//! What scores a dimension: the scorers, the panel that holds one for each, and what they return.
//!
//! Holds no clock and catches no panic: budgets and containment belong to the host that drives the panel.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cynic_proto::judgment::FallbackReason;
use cynic_proto::model::{DIMENSIONS, Dimension};

use crate::analysis::Analysis;

/// A boxed future that may move between threads.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One thing that moved a dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// A stable name for the kind of evidence, such as `link.shortened`.
    pub code: Cow<'static, str>,
    /// How far it moved the dimension's score; negative is down.
    pub points: f32,
    /// Byte range in the body.
    pub span: Option<(usize, usize)>,
    /// An explanation; where there is none, the body at `span` is quoted.
    pub text: Option<Cow<'static, str>>,
}

/// A dimension's score with its reasons.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scored {
    /// 0 to 100; what lies outside is clamped, NaN counts as a failure of the scorer.
    pub score: f32,
    /// What moved it.
    pub evidence: Vec<Finding>,
}

/// An awaited scorer returned an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScorerFailure(pub String);

/// A scorer that only computes.
pub type ComputedFn = dyn Fn(&Analysis) -> Scored + Send + Sync;
/// A scorer that waits for something outside.
pub type AwaitedFn =
    dyn Fn(Arc<Analysis>) -> BoxFuture<Result<Scored, ScorerFailure>> + Send + Sync;

/// What scores one dimension.
#[derive(Clone)]
pub enum Scorer {
    /// The judge's own: call [`crate::Judge::score`].
    Builtin,
    /// CPU only; called on the worker's thread.
    Computed(Arc<ComputedFn>),
    /// Waits for I/O; the host runs those of one judgment concurrently, each within its budget.
    Awaited {
        /// How long it may take.
        budget: Duration,
        /// Starts it.
        run: Arc<AwaitedFn>,
    },
}

impl std::fmt::Debug for Scorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scorer::Builtin => f.write_str("Builtin"),
            Scorer::Computed(_) => f.write_str("Computed"),
            Scorer::Awaited { budget, .. } => write!(f, "Awaited({budget:?})"),
        }
    }
}

/// How one dimension's scorer ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It scored.
    Scored(Scored),
    /// It did not; the dimension scores the neutral 50.
    FellBack(FallbackReason),
    /// It follows from the other dimensions and is computed by [`crate::Judge::aggregate`]: what the
    /// builtin scorer of `THE_UNNAMEABLE` returns.
    Derived,
}

/// A scorer for each of the 36 dimensions.
#[derive(Debug, Clone)]
pub struct Panel {
    scorers: [Scorer; DIMENSIONS],
}

impl Panel {
    /// The judge's own scorers.
    pub fn builtin() -> Panel {
        Panel { scorers: std::array::from_fn(|_| Scorer::Builtin) }
    }

    /// Puts another scorer in a dimension's place.
    pub fn replace(&mut self, dimension: Dimension, scorer: Scorer) {
        self.scorers[dimension as usize] = scorer;
    }

    /// The scorer of a dimension.
    pub fn scorer(&self, dimension: Dimension) -> &Scorer {
        &self.scorers[dimension as usize]
    }

    /// Each dimension with its scorer, in template order.
    pub fn iter(&self) -> impl Iterator<Item = (Dimension, &Scorer)> {
        Dimension::ALL.into_iter().zip(&self.scorers)
    }
}
