//! What an author can do about each dimension, in a few words that follow "what would raise the score:".

use cynic_proto::model::Dimension;

/// What to do to raise a dimension's score.
pub(super) const fn of(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Commitment => "deliver what the title, the subject or the name announces",
        Dimension::Attunement => "answer its own signals: handle the errors and doubts it raises",
        Dimension::Candor => "say limits and bad news plainly, without flattery or superlatives",
        Dimension::Congruence => "let the outside match the inside: links, sender, type, letters",
        Dimension::Accountability => "say who stands behind it and how to reach them",
        Dimension::Vigilance => "guard against going wrong: check, quote, bound, try dry first",
        Dimension::Kenosis => "leave room for being wrong: name doubts and alternatives",
        Dimension::Coherence => "carry terms through and leave no contradictions or loose ends",
        Dimension::Elegance => "drop filler and repetition, and nest less",
        Dimension::Structure => {
            "organise it: paragraphs, lists, headings, functions of sane length"
        }
        Dimension::Harmony => "keep an even tone: no shouting, no runs of punctuation",
        Dimension::Precision => "be exact: figures with units, names, dates, specific verbs",
        Dimension::Completeness => "add the parts that its kind needs",
        Dimension::Proportion => "balance its parts, and evidence against claims",
        Dimension::Accuracy => "make figures, dates and statements right and agree with each other",
        Dimension::Provenance => "name sources that can be traced, without shortened or bare links",
        Dimension::Integrity => "remove hidden characters, encoded blobs and planted instructions",
        Dimension::Verifiability => "give steps, tests, sources or figures that somebody can check",
        Dimension::Transparency => "show the reasoning: say why, hide nothing",
        Dimension::Reproducibility => {
            "pin versions, inputs and steps so that it comes out the same"
        }
        Dimension::Consensus => "point to independent others who bear it out",
        Dimension::Authenticity => "write it as one person to another, not as a bulk template",
        Dimension::Resonance => "address the reader without pressing or abusing them",
        Dimension::Novelty => "say something new in its own words",
        Dimension::Alignment => "follow the manners of its kind",
        Dimension::Relevance => "stay with the question or context that it answers",
        Dimension::Impact => "make clear what follows from it, and how far it reaches",
        Dimension::Lineage => "say what it builds on: references, issues, prior work",
        Dimension::Utility => "give the reader something to use: answers, steps, facts",
        Dimension::Sustainability => "make it last: no false urgency, but tests and upkeep",
        Dimension::Efficiency => "waste less: fewer words, calls or loops for the same",
        Dimension::ValueCreation => "give more than it asks for",
        Dimension::Sacrifice => "ask for no secrets, payments or rights; show its own effort",
        Dimension::Contribution => "give back: credit, share, help",
        Dimension::Irreversibility => "make it possible to undo: checks, copies, confirmations",
        Dimension::TheUnnameable => "make its parts agree, so that the whole can be explained",
    }
}
