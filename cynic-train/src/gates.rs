//! The gates: what the judge must reach before it is shipped, measured in one run and shown in one table.
//!
//! Owns the bars and the running order. Never trains on what it measures: every figure over labelled sets
//! comes from a judge whose training left the item's group out.

mod copies;
mod cost;
mod folds;
mod perturb;
mod ranking;
mod table;
mod written;

use std::fmt::{self, Write as _};

pub use cost::Memory;
pub use folds::FOLDS;

use crate::corpus::Corpus;

/// Examples kept with each gate: enough to see a pattern.
const EXAMPLES_KEPT: usize = 40;

/// Characters of an example's text that fit a line.
const EXCERPT_CHARS: usize = 110;

/// The beginning of an untrusted text on one line, with nothing in it that could drive a terminal.
fn excerpt(text: &str) -> String {
    let printable = |c: char| if c.is_control() || c.is_whitespace() { ' ' } else { c };
    text.chars().map(printable).take(EXCERPT_CHARS).collect()
}

/// One requirement and what was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// What was measured.
    pub what: String,
    /// The measured figure; `None` where the data has nothing to measure it on.
    pub figure: Option<f64>,
    /// How to print the figure and its bounds.
    pub unit: Unit,
    /// What must be reached; `None` for a figure that is only shown.
    pub bar: Option<Bound>,
    /// What is wished for.
    pub stretch: Option<Bound>,
    /// What the figure does not say: how many items, which was worst.
    pub note: String,
    /// Some of the items that kept the figure from being better; their texts are untrusted.
    pub examples: Vec<String>,
}

/// How a figure is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// An area or a correlation: three places.
    Ratio,
    /// A share, printed in percent.
    Percent,
    /// Points of Q, or another number with one place.
    Points,
    /// A count.
    Count,
    /// Microseconds of processor time.
    Micros,
}

/// A limit of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// More than this.
    Above(f64),
}

impl Bound {
    /// Whether the figure keeps to the limit.
    pub fn holds(self, figure: f64) -> bool {
        match self {
            Bound::AtLeast(limit) => figure >= limit,
            Bound::AtMost(limit) => figure <= limit,
            Bound::Above(limit) => figure > limit,
        }
    }
}

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The bar is missed, or there was nothing to measure.
    Miss,
    /// The bar is reached.
    Pass,
    /// The stretch is reached, too.
    Stretch,
    /// There is no bar.
    Shown,
}

impl Gate {
    fn new(what: impl Into<String>, unit: Unit, figure: impl Into<Option<f64>>) -> Gate {
        let (what, figure) = (what.into(), figure.into());
        Gate {
            what,
            figure,
            unit,
            bar: None,
            stretch: None,
            note: String::new(),
            examples: Vec::new(),
        }
    }

    fn at_least(mut self, bar: f64, stretch: impl Into<Option<f64>>) -> Gate {
        self.bar = Some(Bound::AtLeast(bar));
        self.stretch = stretch.into().map(Bound::AtLeast);
        self
    }

    fn at_most(mut self, bar: f64, stretch: impl Into<Option<f64>>) -> Gate {
        self.bar = Some(Bound::AtMost(bar));
        self.stretch = stretch.into().map(Bound::AtMost);
        self
    }

    fn above(mut self, bar: f64) -> Gate {
        self.bar = Some(Bound::Above(bar));
        self
    }

    fn note(mut self, note: impl Into<String>) -> Gate {
        self.note = note.into();
        self
    }

    fn examples(mut self, examples: impl IntoIterator<Item = String>) -> Gate {
        self.examples = examples.into_iter().take(EXAMPLES_KEPT).collect();
        self
    }

    /// What the gate says.
    pub fn outcome(&self) -> Outcome {
        match (self.bar, self.figure) {
            (None, _) => Outcome::Shown,
            (Some(_), None) => Outcome::Miss,
            (Some(bar), Some(figure)) if !bar.holds(figure) => Outcome::Miss,
            (Some(_), Some(figure)) if self.stretch.is_some_and(|s| s.holds(figure)) => {
                Outcome::Stretch
            }
            _ => Outcome::Pass,
        }
    }
}

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Also measure time and memory; needs an optimised build to mean anything.
    pub cost: Option<Memory>,
}

/// All that was measured.
#[derive(Debug)]
pub struct Gates {
    /// How the figures were made.
    pub notes: Vec<String>,
    /// In the order of the table.
    pub gates: Vec<Gate>,
    /// The labelled sets judged out of fold, where there were any.
    pub evaluation: Option<cynic_eval::Evaluation>,
}

impl Gates {
    /// What kept the figures from being better, gate by gate.
    pub fn examples(&self) -> String {
        let mut out = String::new();
        for gate in self.gates.iter().filter(|gate| !gate.examples.is_empty()) {
            let _ = writeln!(out, "\n{}\n  {}", gate.what, gate.examples.join("\n  "));
        }
        out
    }

    /// The gates whose bar is missed.
    pub fn missed(&self) -> impl Iterator<Item = &Gate> {
        self.gates.iter().filter(|gate| gate.outcome() == Outcome::Miss)
    }
}

impl fmt::Display for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        table::write(self, f)
    }
}

/// The whole suite: labelled sets out of fold, then the project's own texts.
pub fn over(corpus: &Corpus, plan: Plan) -> Gates {
    let folds = folds::trained(corpus);
    let (evaluation, mut gates) = ranking::gates(corpus, &folds);
    gates.extend(perturb::gates(&perturb::of_corpus(corpus, &folds)));
    let own = own(plan);
    gates.extend(own.gates);
    let mut notes = vec![folds.describe()];
    notes.extend(own.notes);
    Gates { notes, gates, evaluation: Some(evaluation) }
}

/// The smaller suite: the project's own texts, judged with the weights that are shipped.
pub fn own(plan: Plan) -> Gates {
    let mut gates = written::gates();
    gates.extend(plan.cost.map(cost::gates).unwrap_or_default());
    let note =
        "own texts: written for this project, never trained on, judged with the shipped weights";
    Gates { notes: vec![note.to_owned()], gates, evaluation: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_held_against_bar_and_stretch() {
        let gate = |figure: Option<f64>| Gate::new("x", Unit::Ratio, figure).at_least(0.5, 0.7);
        assert_eq!(gate(Some(0.49)).outcome(), Outcome::Miss);
        assert_eq!(gate(Some(0.5)).outcome(), Outcome::Pass);
        assert_eq!(gate(Some(0.7)).outcome(), Outcome::Stretch);
        assert_eq!(gate(None).outcome(), Outcome::Miss, "what was not measured is not reached");
        assert_eq!(Gate::new("x", Unit::Ratio, 0.0).above(0.0).outcome(), Outcome::Miss);
        assert_eq!(Gate::new("x", Unit::Ratio, 5.0).at_most(5.0, None).outcome(), Outcome::Pass);
        assert_eq!(Gate::new("x", Unit::Ratio, None).outcome(), Outcome::Shown);
    }
}
