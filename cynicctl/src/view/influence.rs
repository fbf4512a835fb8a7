//! How far each piece of evidence moved Q: the strongest is what people see first.
//!
//! An estimate to first order, from the model's constants alone: it ranks, it does not judge.

use std::collections::HashMap;

use cynic_proto::judgment::{Details, Evidence, Judgment};
use cynic_proto::model::{
    AXIOMS, Axiom, DIMENSIONS_PER_AXIOM, Dimension, POSITION_WEIGHTS, Verdict,
};

/// Lowest axiom score that is divided by: at nothing, any evidence would count for everything.
const AXIOM_SCORE_MIN: f64 = 5.0;

/// Evidence of one kind about one thing, over all dimensions that it moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Influence<'a> {
    /// The kind of evidence.
    pub code: &'a str,
    /// The quotation or explanation.
    pub text: Option<&'a str>,
    /// About how many points of Q it is worth; negative is down.
    pub effect: f64,
    /// The dimensions that it moved and by how many of their points, most moved first.
    pub dimensions: Vec<(Dimension, f32)>,
    /// Whether its text is a quotation from the item: it points to a place, and neither brings
    /// quotation marks nor says that they were left out.
    pub quoted: bool,
}

/// Points of Q for each point of a dimension: ∂Q/∂d of Q = 100 × (∏ Aᵢ/100)^⅕ with A the weighted mean.
pub fn gradient(judgment: &Judgment, dimension: Dimension) -> f64 {
    let axiom = dimension.axiom();
    if axiom == Axiom::Meta {
        return 0.0;
    }
    let weight = POSITION_WEIGHTS[dimension as usize % DIMENSIONS_PER_AXIOM];
    let share = weight / POSITION_WEIGHTS.iter().sum::<f64>();
    let score = f64::from(judgment.axioms[axiom as usize]).max(AXIOM_SCORE_MIN);
    f64::from(judgment.q_score) / AXIOMS as f64 * share / score
}

/// All evidence, merged where one thing moved several dimensions, strongest first.
pub fn ranked<'a>(judgment: &Judgment, details: &'a Details) -> Vec<Influence<'a>> {
    let mut merged: Vec<Influence<'a>> = Vec::new();
    let mut places: HashMap<(&str, Option<&str>), usize> = HashMap::new();
    let mut strongest_first: Vec<&Evidence> = details.evidence.iter().collect();
    strongest_first.sort_by(|a, b| b.points.abs().total_cmp(&a.points.abs()));
    for evidence in strongest_first {
        let effect = gradient(judgment, evidence.dimension) * f64::from(evidence.points);
        let text = evidence.text.as_deref();
        let key = (evidence.code.as_str(), text);
        let place = *places.entry(key).or_insert_with(|| {
            merged.push(Influence {
                code: &evidence.code,
                text,
                effect: 0.0,
                dimensions: Vec::new(),
                quoted: false,
            });
            merged.len() - 1
        });
        let influence = &mut merged[place];
        influence.effect += effect;
        let words_alone = |text: &str| !text.contains('"') && !text.ends_with(": …");
        influence.quoted |= evidence.span.is_some() && text.is_some_and(words_alone);
        match influence.dimensions.iter_mut().find(|(d, _)| *d == evidence.dimension) {
            Some((_, points)) => *points += evidence.points,
            None => influence.dimensions.push((evidence.dimension, evidence.points)),
        }
    }
    merged.sort_by(|a, b| b.effect.abs().total_cmp(&a.effect.abs()));
    merged
}

/// The piece of evidence that says most of a judgment in one line: of a bad one, what made it bad.
pub fn strongest<'a, 'b>(
    judgment: &Judgment,
    ranked: &'b [Influence<'a>],
) -> Option<&'b Influence<'a>> {
    let bad = matches!(judgment.verdict, Verdict::Growl | Verdict::Bark);
    let against = ranked.iter().find(|influence| influence.effect < 0.0);
    if bad { against.or(ranked.first()) } else { ranked.first() }
}
