//! The judge of CYNIC as a pure library: item → evidence → 36 dimensions → axioms → Q → verdict.
//!
//! No I/O, no clock, no threads, no async runtime. The same item and version give the same judgment to
//! the bit on every machine, so no number comes from the system's mathematical library. Whoever hosts it drives
//! the stages, contains panics and keeps the budgets:
//!
//! ```
//! use cynic_judge::{Judge, Options};
//! use cynic_proto::item::Hint;
//!
//! let judge = Judge::new(Options::default());
//! let item = br#"{"type": "text", "content": "The release is moved to Friday; the tests found a leak."}"#;
//! let (judgment, details) = judge.judge(item, &Hint::default()).expect("a sound item");
//! println!("{} {:.1}: {}", judgment.verdict, judgment.q_score, details.summary);
//! ```

mod aggregate;
mod analysis;
mod brands;
mod checks;
mod code;
mod confidence;
mod decode;
mod envelope;
mod explain;
mod facets;
mod family;
mod fold;
mod item;
mod judge;
mod learned;
mod lexicon;
mod mail;
mod page;
mod profile;
mod reading;
mod record;
mod route;
mod scorer;
mod shell;
pub mod spec;
mod text;
pub mod training;
mod unlearned;
mod weights;

pub use aggregate::Aggregate;
pub use analysis::Analysis;
pub use family::Family;
pub use item::{BODY_BYTES_MAX, BodyKind, Context, Declared, Item, NESTING_DEPTH_MAX, item_id};
pub use judge::{Explanation, JUDGE_VERSION, Judge, Options, SelfTestError};
pub use profile::Profile;
pub use scorer::{
    AwaitedFn, BoxFuture, ComputedFn, Finding, Outcome, Panel, Scored, Scorer, ScorerFailure,
};
pub use weights::{BUCKETS, FILES, FamilyWeights, Head, Weights, WeightsError};
