//! A judgment as a reviewer's note: the verdict in a sentence, what decided it, what would raise the score,
//! what was not checked.
//!
//! Owns the words. Quotations from the item are made printable and kept short.

use std::fmt::Write as _;

use cynic_proto::client::Answer;
use cynic_proto::judgment::{Details, Judgment};
use cynic_proto::message::Ack;
use cynic_proto::model::{Axiom, CONFIDENCE_MAX, DIMENSIONS, Dimension, Domain, Verdict};

use super::advice;
use super::influence::{self, Influence};
use super::json::fallback_reason;
use super::judged::{self, Outcome, Row, signed};
use super::style::{self, FAINT, STRONG, WHOLE, paint};
use crate::text::{clip, micros, printable, squeezed, wrap};

/// Widest that sentences are laid out for: longer lines are hard to read.
const COLUMNS_MAX: usize = 100;
/// Pieces of evidence named as decisive; a fourth is rarely read.
const DECISIVE_MAX: usize = 3;
/// Pieces of evidence named that point the other way.
const OPPOSING_MAX: usize = 2;
/// Dimensions named that would raise the score.
const ADVICE_MAX: usize = 3;
/// Columns of a quotation: two lines at 80.
const QUOTE_COLUMNS: usize = 140;
/// Columns of a reason in passing.
const REASON_COLUMNS: usize = 60;
/// The judge's impression of the whole item: it moves every dimension and tells none from another.
const IMPRESSION: &str = "whole";
/// Evidence worth less than this of Q is not worth a reader's time.
const EFFECT_MIN: f64 = 0.05;
/// Above this share of the highest confidence a judgment is called sure, below the other unsure.
const CONFIDENCE_SURE: f32 = 0.7;
const CONFIDENCE_UNSURE: f32 = 0.35;

/// The note on one row, with its line end.
pub fn note(row: &Row, columns: usize) -> String {
    let columns = if columns == WHOLE { WHOLE } else { columns.min(COLUMNS_MAX) };
    match &row.outcome {
        Outcome::Judged(answer) => judged_note(&row.label, answer, columns),
        Outcome::Echoed(_) => format!("{}: echoed, not judged\n", printable(&row.label)),
        Outcome::Failed(failure) => {
            let head = format!("{}: not judged", printable(&row.label));
            let mut out = paint(style::BAD.bold(), &head) + "\n";
            paragraph(&mut out, &squeezed(&failure.message), columns, "  ", "  ");
            out
        }
    }
}

fn judged_note(label: &str, answer: &Answer, columns: usize) -> String {
    let judgment = &answer.judged.judgment;
    let details = &answer.details;
    let ranked = influence::ranked(judgment, details);
    let mut out = headline(label, judgment, details);
    paragraph(&mut out, &verdict_sentence(judgment), columns, "", "");
    out.push('\n');
    decided(&mut out, judgment, &ranked, columns);
    raise(&mut out, judgment, details, columns);
    unchecked(&mut out, judgment, details, columns);
    out.push_str(&footer(answer));
    out
}

fn headline(label: &str, judgment: &Judgment, details: &Details) -> String {
    let id = details.item_id.as_deref().unwrap_or(label);
    let name = if id == label { printable(label) } else { printable(&format!("{id} ({label})")) };
    format!(
        "{}  {}  Q {:.1}  confidence {:.3} of at most {CONFIDENCE_MAX}\n",
        paint(STRONG, &name),
        paint(style::of(judgment.verdict), judgment.verdict.name()),
        judgment.q_score,
        judgment.confidence,
    )
}

/// The verdict in a sentence or two.
fn verdict_sentence(judgment: &Judgment) -> String {
    let mut axioms = Axiom::ALL;
    let score = |axiom: Axiom| judgment.axioms[axiom as usize];
    axioms.sort_by(|a, b| score(*a).total_cmp(&score(*b)));
    let (weakest, next, best) = (axioms[0], axioms[1], axioms[4]);
    let judged_as = domain_words(judgment.domain);
    let (weakest_score, next_score, best_score) = (score(weakest), score(next), score(best));
    let mut text = match judgment.verdict {
        Verdict::Howl => format!(
            "Judged as {judged_as}, it is exceptional: even its weakest side, {weakest}, scores {weakest_score:.0}."
        ),
        Verdict::Wag => format!(
            "Judged as {judged_as}, it passes: {best} ({best_score:.0}) carries it, and {weakest} \
             ({weakest_score:.0}) holds it back most."
        ),
        Verdict::Growl => format!(
            "Judged as {judged_as}, it needs work: {weakest} ({weakest_score:.0}) drags it down most, then \
             {next} ({next_score:.0})."
        ),
        Verdict::Bark => format!(
            "Judged as {judged_as}, it is bad: {weakest} ({weakest_score:.0}) drags it down most, then {next} \
             ({next_score:.0})."
        ),
    };
    text.push_str(confidence_words(judgment));
    text
}

fn confidence_words(judgment: &Judgment) -> &'static str {
    match judgment.confidence / CONFIDENCE_MAX {
        share if share >= CONFIDENCE_SURE => "",
        share if share < CONFIDENCE_UNSURE => " Take it as a hint: there was little to go on.",
        _ => " The judge is not very sure.",
    }
}

const fn domain_words(domain: Domain) -> &'static str {
    match domain {
        Domain::Social => "a message between people",
        Domain::Prompt => "text that a language model will read",
        Domain::Shell => "a shell command",
        Domain::Code => "source code",
        Domain::Prose => "prose",
        Domain::General => "something of no known kind",
    }
}

/// What made the verdict what it is, and what spoke against it.
fn decided(out: &mut String, judgment: &Judgment, ranked: &[Influence<'_>], columns: usize) {
    let bad = matches!(judgment.verdict, Verdict::Growl | Verdict::Bark);
    let notable = |influence: &&Influence<'_>| influence.effect.abs() >= EFFECT_MIN;
    let (decisive, opposing): (Vec<_>, Vec<_>) =
        ranked.iter().filter(notable).partition(|influence| (influence.effect < 0.0) == bad);
    if decisive.is_empty() && opposing.is_empty() {
        out.push_str("Nothing in it stood out either way.\n\n");
        return;
    }
    let (first, second) = if bad {
        ("What decided it", "What spoke for it")
    } else {
        ("What decided it", "What spoke against it")
    };
    let mut reasons = Vec::new();
    for influence in &decisive {
        if influence.code == IMPRESSION {
            reasons.extend(reasons_of(influence.text.unwrap_or_default()));
        }
    }
    let named = |influence: &&&Influence<'_>| {
        let text = influence.text.unwrap_or_default();
        influence.code != IMPRESSION
            && !lacking(text)
            && !reasons.iter().any(|reason| reason == text)
    };
    let decisive: Vec<_> = decisive.iter().filter(named).copied().collect();
    let opposing: Vec<_> = opposing.iter().filter(named).copied().collect();
    if !reasons.is_empty() || !decisive.is_empty() {
        out.push_str(&paint(STRONG, first));
        out.push('\n');
        let (sign, colour) = signed(if bad { -1.0 } else { 1.0 });
        for reason in reasons.iter().take(DECISIVE_MAX) {
            let mark = paint(colour, &sign.to_string());
            let text = clip(&squeezed(reason), QUOTE_COLUMNS);
            paragraph(out, &text, columns, &format!("  {mark} "), "    ");
        }
        let left = DECISIVE_MAX.saturating_sub(reasons.len());
        evidence_list(out, &decisive, left, columns);
        out.push('\n');
    }
    if !opposing.is_empty() {
        out.push_str(&paint(STRONG, second));
        out.push('\n');
        evidence_list(out, &opposing, OPPOSING_MAX, columns);
        out.push('\n');
    }
}

/// The single reasons in the note on the whole: `as a whole: one; another: "a; b"`.
fn reasons_of(text: &str) -> Vec<String> {
    let Some(list) = text.strip_prefix("as a whole: ") else { return Vec::new() };
    let mut reasons = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in list.chars() {
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        match reasons.last_mut() {
            Some(reason) if c != ';' || quoted => reason.push(c),
            _ => reasons.push(String::new()),
        }
    }
    reasons
        .iter()
        .map(|reason| reason.trim().to_owned())
        .filter(|reason| !reason.is_empty())
        .collect()
}

/// Whether evidence is about what the item has less of than others: nothing that a reader could look up.
fn lacking(text: &str) -> bool {
    text.ends_with("less than is usual")
}

fn evidence_list(out: &mut String, list: &[&Influence<'_>], most: usize, columns: usize) {
    for influence in list.iter().take(most) {
        let (sign, colour) = signed(influence.effect);
        let moved: Vec<String> =
            influence.dimensions.iter().take(3).map(|(d, points)| moved(*d, *points)).collect();
        let more = influence.dimensions.len().saturating_sub(moved.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(
            out,
            "  {} {}  {}",
            paint(colour, &sign.to_string()),
            squeezed(influence.code),
            paint(FAINT, &format!("{}{more}", moved.join(", "))),
        );
        if let Some(text) = influence.text.map(squeezed).filter(|text| !text.is_empty()) {
            let text = clip(&text, QUOTE_COLUMNS);
            let text = if influence.quoted { format!("“{text}”") } else { text };
            paragraph(out, &text, columns, "    ", "    ");
        }
    }
}

/// `SACRIFICE −45`.
fn moved(dimension: Dimension, points: f32) -> String {
    let (sign, _) = signed(f64::from(points));
    format!("{dimension} {sign}{:.0}", points.abs())
}

/// The dimensions whose mending would raise Q most.
fn raise(out: &mut String, judgment: &Judgment, details: &Details, columns: usize) {
    let gain = |d: Dimension| {
        influence::gradient(judgment, d) * f64::from(d.threshold() - judgment.dimension(d))
    };
    let mut weak: Vec<Dimension> = judgment.weaknesses();
    weak.retain(|d| d.axiom() != Axiom::Meta);
    weak.sort_by(|a, b| gain(*b).total_cmp(&gain(*a)));
    if weak.is_empty() {
        return;
    }
    out.push_str(&paint(STRONG, "What would raise the score"));
    out.push('\n');
    for dimension in weak.iter().take(ADVICE_MAX) {
        let score = judgment.dimension(*dimension);
        let lead = format!("  {dimension} {score:.0}, should be {:.0}: ", dimension.threshold());
        let mut text = lead.trim_start().to_owned() + advice::of(*dimension);
        if let Some(worst) = worst(details, *dimension) {
            let _ = write!(text, " (now: {worst})");
        }
        paragraph(out, &text, columns, "  ", "    ");
    }
    out.push('\n');
}

/// What pulled a dimension down most, in its own words where it has some.
fn worst(details: &Details, dimension: Dimension) -> Option<String> {
    let against = details.evidence.iter().filter(|evidence| {
        let told =
            evidence.code != IMPRESSION && !lacking(evidence.text.as_deref().unwrap_or_default());
        evidence.dimension == dimension && evidence.points < 0.0 && told
    });
    let worst = against.min_by(|a, b| a.points.total_cmp(&b.points))?;
    let words = worst.text.as_deref().map(squeezed).filter(|text| !text.is_empty());
    Some(clip(&words.unwrap_or_else(|| squeezed(&worst.code)), REASON_COLUMNS))
}

fn unchecked(out: &mut String, judgment: &Judgment, details: &Details, columns: usize) {
    let mut lines: Vec<String> = details.unchecked.iter().map(|text| squeezed(text)).collect();
    for fallback in &details.fallbacks {
        let reason = squeezed(&fallback_reason(&fallback.reason));
        lines.push(format!("{}: taken as neutral, {reason}", fallback.dimension));
    }
    if judgment.partial {
        lines.push("the time ran out before all dimensions were scored".to_owned());
    }
    if lines.is_empty() {
        return;
    }
    let coverage = judged::coverage(judgment);
    let scored = match judgment.covered() as usize {
        DIMENSIONS => String::new(),
        _ => format!(" ({coverage} dimensions scored)"),
    };
    let _ = writeln!(out, "{}{scored}", paint(STRONG, "What was not checked"));
    for line in lines {
        paragraph(out, &line, columns, "  ", "    ");
    }
    out.push('\n');
}

fn footer(answer: &Answer) -> String {
    let judged = &answer.judged;
    let time = micros(f64::from(judged.timings.queued_us) + f64::from(judged.timings.running_us));
    let stored = match judged.reached {
        Ack::Stored => "stored",
        Ack::Judged => "stored with the next batch",
    };
    let tries = match judged.attempts {
        0 | 1 => String::new(),
        n => format!(", {n} attempts"),
    };
    let text = format!("task {}, {time}{tries}, {stored}", judged.task);
    paint(FAINT, &text) + "\n"
}

/// Appends wrapped text, its first line behind `first` and the others behind `rest`.
fn paragraph(out: &mut String, text: &str, columns: usize, first: &str, rest: &str) {
    let room = columns.saturating_sub(rest.len().max(first.len()));
    for (n, line) in wrap(text, room).iter().enumerate() {
        out.push_str(if n == 0 { first } else { rest });
        out.push_str(line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_on_the_whole_is_taken_apart_between_its_quotations() {
        let note = r#"as a whole: asks for secrets: "a; \"b\"; c"; links: "x"; has length"#;
        let reasons = [r#"asks for secrets: "a; \"b\"; c""#, r#"links: "x""#, "has length"];
        assert_eq!(reasons_of(note), reasons);
        assert_eq!(reasons_of("as a whole"), Vec::<String>::new());
    }
}
