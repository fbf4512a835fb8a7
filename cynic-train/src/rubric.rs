//! Writes `docs/dimensions.md`: what each dimension asks, what moves it and by how much, from the tables that
//! the judge reads and the weights that it is built with. What no table knows is written here by hand.

use std::fmt::Write as _;

use cynic_judge::spec::Norm;
use cynic_judge::{Family, Weights, training};
use cynic_proto::model::{Axiom, Dimension};

/// What a dimension asks, where its evidence comes from, and what it cannot see.
struct Rubric {
    dimension: Dimension,
    asks: &'static str,
    source: &'static str,
    blind: &'static str,
}

macro_rules! rubrics {
    ($($dimension:ident: $asks:literal, $source:literal, $blind:literal;)+) => {
        const RUBRICS: &[Rubric] = &[$(Rubric {
            dimension: Dimension::$dimension,
            asks: $asks,
            source: $source,
            blind: $blind,
        }),+];
    };
}

rubrics! {
    Commitment: "Does it do what it announces?",
        "Promises and obligations against an ending that closes; in commands a known tool with options spelled out; in code a name that comes back and a documented purpose.",
        "Whether a promise is kept after the text ends.";
    Attunement: "Does it answer its own signals?",
        "Concessions and conditions in texts; results that commands are chained on; errors that code handles.",
        "Whether the condition named is the one that matters.";
    Candor: "Does it say the hard thing plainly?",
        "Stated limits and bad news against superlatives, flattery and a wish that others are kept out; comments in commands and code.",
        "A limit left out altogether; plain speech that is wrong.";
    Congruence: "Does the inside match the outside?",
        "Link text against its target, look-alike letters, disguised spelling, encoded parts, one language throughout; secrets and encoded blobs in code.",
        "A sender's address that was forged before the text arrived; a picture that says something else.";
    Accountability: "Does somebody stand behind it?",
        "The first person, names and a closing; a signature by a trusted key; rights and background work in commands.",
        "Whether the name is the writer's own. An unproven author field counts next to nothing.";
    Vigilance: "Does it guard against going wrong?",
        "Warnings, checks and tests against attempts to switch safeguards off or to override instructions; validation in code.",
        "A guard that is named and does nothing.";
    Kenosis: "Does it leave room for being wrong?",
        "Hedges and questions against absolutes; force in commands; null checks in code.",
        "Doubt that is only a manner of speaking.";
    Coherence: "Does it hang together?",
        "The order of words by a learned table, terms carried from sentence to sentence, balanced brackets, names used again.",
        "A contradiction between two well-formed sentences.";
    Elegance: "Is it as simple as it can be?",
        "Vague and repeated words, very short ones; nesting, counting by hand, long scripts.",
        "Whether something simpler would do.";
    Structure: "Is it organised?",
        "Sentences, lines and paragraphs; substitution inside substitution; blank lines between the parts of code.",
        "Whether the order of the parts is the right one.";
    Harmony: "Is it balanced?",
        "Capitals, exclamation marks, runs of signs and stretched words; backslashes and uneven words; line length and indentation.",
        "Tone that hides behind even spelling.";
    Precision: "Is it exact?",
        "Numbers, units and specific words; file names; comparisons.",
        "Whether a number is right: that is ACCURACY, where it can be checked at all.";
    Completeness: "Are the parts that its kind needs there?",
        "Length up to what its kind needs, greeting and addressee; arguments and assignments; branches and returned results.",
        "A missing part that nothing in the text points to.";
    Proportion: "Are parts in proportion to the whole?",
        "Spread of sentence, word and line lengths, share of signs, work shared among calls.",
        "Whether the longest part is the most important one.";
    Accuracy: "Does what can be checked check out?",
        "Sums, existing dates, weekdays that fit, the stated SHA-256; numbers and dates that could be checked; sizes compared in code.",
        "Every fact about the world: nothing is looked up.";
    Provenance: "Can its source be traced?",
        "Links to named places and quotations against shortened, bare and look-alike addresses; a trusted signature; SQL whose values come apart from it.",
        "Whether the source says what is claimed of it.";
    Integrity: "Is it untampered?",
        "The stated hash, a signature, invisible and reordering characters, hidden instructions, role markers, requests for the hidden prompt; traces removed; HTML built from strings.",
        "A change made by somebody who also changed the hash.";
    Verifiability: "Could somebody check it?",
        "Evidence and examples against requests to be believed; commands that only look things up or can be tried; tests and named constants.",
        "Whether the evidence named exists.";
    Transparency: "Is the reasoning visible?",
        "Because, therefore and their like; talk of hidden prompts; long unreadable words; speaking names.",
        "Whether the reason given is the real one.";
    Reproducibility: "Would it come out the same again?",
        "Steps and times; what is fetched and run; weak randomness.",
        "The environment that it will run in.";
    Consensus: "Do independent others bear it out?",
        "Others spoken of and quoted, common tools and constructs; claims of popularity count against it.",
        "Whether those others exist or are independent.";
    Authenticity: "Did somebody really write this to somebody?",
        "The small words of ordinary speech, contractions; a company's name with a threat, roles assigned to the reader; places for temporary files.",
        "A good imitation.";
    Resonance: "Does it reach people without pushing them?",
        "Warm words against threats; addressing the reader; spying out a host.",
        "Irony, and what this one reader knows.";
    Novelty: "Does it say something new?",
        "Distinct words and words beyond the common stock; names of its own.",
        "Whether others have said it before.";
    Alignment: "Does it follow the manners of its kind?",
        "Swearing, slurs, insults, menaces and politeness; interpreters called from a command; commands run through a shell.",
        "Contempt in polite words; reclaimed words among friends.";
    Relevance: "Does it fit its context?",
        "Overlap with the context that was given, questions, a task that turns midway; known words of commands.",
        "Without a context it sees the form of a question only.";
    Impact: "What follows from it?",
        "Matters of many people argued about, models told what to do; system paths named or written; commands built from strings.",
        "Who will read or run it.";
    Lineage: "What does it build on?",
        "References back, mentions, credit; lasting changes to what starts by itself; modules and objects.",
        "Whether the reference is the right one.";
    Utility: "Can one use it?",
        "Telling what goes on against bait; words of evasion in commands; calls in code.",
        "What this reader needs.";
    Sustainability: "Does it last?",
        "Haste that is pressed or demanded; services stopped, endless multiplication; unchecked memory.",
        "A real deadline from a false one.";
    Efficiency: "Little waste?",
        "Characters and letters for each word, pictographs; long commands; loops.",
        "Run time: nothing is run.";
    ValueCreation: "Does it give more than it asks?",
        "Clicks, calls and replies demanded; coins mined; code that leaves early when it must.",
        "What the reader gets later.";
    Sacrifice: "Does its author bear a cost rather than take?",
        "Secrets requested, money, prices, account numbers; secrets read or sent away; bounds respected.",
        "A cost that nobody mentions.";
    Contribution: "Does it give back?",
        "Help offered against promotion of oneself; a shell handed to another host; joined conditions in code.",
        "Whether the help helps.";
    Irreversibility: "Can what it does be undone?",
        "Destruction, force and secrets; refusals and denials; paths checked, text run as code.",
        "Backups that exist elsewhere.";
    TheUnnameable: "How well do the other 35 explain the item?",
        "100 minus the mean distance of each dimension from its axiom's score.",
        "An error that all dimensions share. It is no part of Q.";
}

const HEAD: &str = "\
# The 36 dimensions

`make train` and `cynic-train rubric` write this file from the judge's tables and weights; a test keeps it in step.

## How a dimension gets its score

All evidence of an item adds up to one logit: features by the rubric and by what was learned, n-grams by what was learned,
and what was checked. That logit sets the **level** from which every dimension starts. Each dimension then moves
away from the level by its **own reading**: the features that speak to it, and the n-grams of the words that belong to it, as
far as they say something beside the level. Readings are cut at 2.5 spreads. Q is what the level says; the readings say why.

Each table below lists a dimension's features:

- **points**: how far one unit more moves this dimension, beside all others, from a score of 50. A unit is one spread in the training
  data, or one occurrence where the feature counts (*count*) or where the rubric alone decides (*fixed*).
- **whole**: how far one unit moves the logit of the whole item, and with it every dimension. For texts four figures: as a
  message (social), as a prompt, as an argument (prose), and as a message that is read for abuse. A logit of −2 is about 12% chance
  of being good.

Features that are *neutral* move their own dimension and nothing else: where the good and the bad of a set come from different sources,
size and manner tell the sources apart. The others without *fixed* are learned around the rubric's own figure and keep its sign where the rubric is sure (0.3 and more).
Domains without a table of their own read those of texts. Words whose n-grams were learned speak to the dimension that is
named for their class; all other n-grams are shared out by their hash, so that no two dimensions read the same ones.

Checks (`cynic-judge/src/checks.rs`) come on top: a right SHA-256 +1 logit for INTEGRITY and ACCURACY, a wrong one −2.5; a
signature by a trusted key +1.5 for INTEGRITY, PROVENANCE and ACCOUNTABILITY, a wrong one −2; bytes that are not valid UTF-8 −1
for INTEGRITY; in events and logs words of success and failure up to 1.2 logits for UTILITY and SUSTAINABILITY, and safeguards that were
left out up to −2.4 for VIGILANCE and IRREVERSIBILITY. What an item says of itself moves PROVENANCE, ACCOUNTABILITY and CONSENSUS by at most 0.1 logit together.
";

/// The whole document for these weights.
pub fn document(weights: &Weights) -> String {
    let mut out = String::from(HEAD);
    for rubric in RUBRICS {
        let dimension = rubric.dimension;
        let opens = |axiom: &Axiom| axiom.dimensions().first() == Some(&dimension);
        if let Some(axiom) = Axiom::ALL.into_iter().find(opens) {
            let _ = write!(out, "\n## {axiom}\n");
        } else if dimension == Dimension::TheUnnameable {
            out.push_str("\n## META\n");
        }
        let _ = write!(out, "\n### {dimension}\n\n**Asks:** {}", rubric.asks);
        let _ = write!(out, " Weakness below {}.\n\n", dimension.threshold());
        let _ = write!(out, "**From:** {}\n\n**Blind to:** {}\n", rubric.source, rubric.blind);
        let words = training::word_classes(dimension);
        if !words.is_empty() {
            let _ = write!(out, "\n**Learned words of:** {}.\n", words.join(", "));
        }
        table(&mut out, dimension, weights);
    }
    out
}

fn table(out: &mut String, dimension: Dimension, weights: &Weights) {
    let mut rows = String::new();
    for family in Family::ALL {
        let own = &weights.families[family.index()];
        for (n, spec) in family.specs().iter().enumerate() {
            if spec.dimension != dimension {
                continue;
            }
            let whole: Vec<String> = own
                .heads
                .iter()
                .map(|head| format!("{:+.1}", head.stretch * head.dense[n]))
                .collect();
            let kind = match spec.norm {
                Norm::Learned => "",
                Norm::Count => " (count)",
                Norm::Fixed => " (fixed)",
                Norm::Neutral => " (neutral)",
            };
            let _ = writeln!(
                rows,
                "| {} | `{}`{kind} | {} | {:+.0} | {} |",
                family.name(),
                spec.code,
                spec.about,
                training::points(own, family, n),
                whole.join(" / "),
            );
        }
    }
    if !rows.is_empty() {
        out.push_str("\n| read in | evidence | the item … | points | whole |\n| --- | --- | --- | --- | --- |\n");
        out.push_str(&rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dimension_has_its_rubric_in_order() {
        let listed: Vec<Dimension> = RUBRICS.iter().map(|rubric| rubric.dimension).collect();
        assert_eq!(listed, Dimension::ALL);
    }

    #[test]
    fn the_document_is_in_step_with_the_judge() {
        let stored = include_str!("../../docs/dimensions.md");
        assert!(
            stored == document(&Weights::builtin()),
            "docs/dimensions.md is not what the judge does; run `cargo run -p cynic-train -- rubric`"
        );
    }
}
