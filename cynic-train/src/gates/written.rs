//! Gates over the project's own texts: nothing of them is in any training data.
//!
//! The texts are files of this crate and part of the binary, so that they can be run anywhere.

use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use cynic_eval::Label;
use cynic_eval::metrics::auc::auc;
use cynic_judge::{Judge, Options};
use serde::Deserialize;

use super::folds::{in_parallel, q};
use super::perturb::{self, Text};
use super::{Gate, Unit, excerpt};
use crate::corpus::item_bytes;

/// Least area for each set of own texts: what the sets left out of training must reach, and for arguments
/// and code, where much less can be known from the text alone, better than chance.
const AREAS: [(&str, f64); 5] = [
    ("own_social", 0.75),
    ("own_prompt", 0.75),
    ("own_shell", 0.75),
    ("own_prose", 0.60),
    ("own_code", 0.55),
];

/// Sets of twins, one good and one bad, of one subject and in one manner: what words alone cannot tell. Shown, without
/// a bar.
const CONTRASTS: [&str; 6] = [
    "contrast_social",
    "contrast_prompt",
    "contrast_planted",
    "contrast_shell",
    "contrast_prose",
    "contrast_code",
];

/// Messages of kinds that the public sets lack, abuse in words of other kinds, and code with and without a weakness, of
/// which the rules' author saw the one half (`seen_code`). Shown, without a bar.
const OTHERS: [&str; 6] =
    ["other_mail", "other_comment", "other_chat", "other_abuse", "other_code", "seen_code"];

/// The mails among them, as they are sent; and their least area, a little below what the texts alone reach.
const SENT: &str = "other_mail_sent";
const SENT_AREA: f64 = 0.85;

/// Wrongly ordered pairs that are named in the table.
const WRONG_NAMED: usize = 6;

/// An own text with its label.
#[derive(Debug, Deserialize)]
pub(super) struct Written {
    pub(super) set: String,
    #[serde(rename = "type")]
    item_type: String,
    label: u8,
    pub(super) content: String,
}

/// A scam and a warning about it.
#[derive(Debug, Deserialize)]
struct Scam {
    kind: String,
    #[serde(rename = "scam")]
    bait: String,
    warning: String,
}

/// Something that a text tells the model that reads it to do.
#[derive(Debug, Deserialize)]
pub(super) struct Instruction {
    pub(super) text: String,
    /// What stands between the text and the instruction.
    joint: String,
}

impl Instruction {
    pub(super) fn appended_to(&self, text: &str) -> String {
        format!("{text}{}{}", self.joint, self.text)
    }
}

fn lines<T: serde::de::DeserializeOwned>(file: &str) -> Vec<T> {
    let parsed = file
        .lines()
        .map(|line| serde_json::from_str(line).expect("the crate's own texts are sound"));
    parsed.collect()
}

/// All own texts.
pub(super) fn texts() -> &'static [Written] {
    static TEXTS: LazyLock<Vec<Written>> =
        LazyLock::new(|| lines(include_str!("../../pairs/own.jsonl")));
    &TEXTS
}

fn contrasts() -> &'static [Written] {
    static TEXTS: LazyLock<Vec<Written>> =
        LazyLock::new(|| lines(include_str!("../../pairs/contrast.jsonl")));
    &TEXTS
}

fn scams() -> Vec<Scam> {
    lines(include_str!("../../pairs/scams.jsonl"))
}

/// All instructions.
pub(super) fn instructions() -> &'static [Instruction] {
    static INSTRUCTIONS: LazyLock<Vec<Instruction>> =
        LazyLock::new(|| lines(include_str!("../../pairs/instructions.jsonl")));
    &INSTRUCTIONS
}

pub(super) fn gates() -> Vec<Gate> {
    let judge = Judge::new(Options::default());
    let mut gates = areas(&judge);
    gates.push(warnings(&judge));
    let bytes: Vec<(Vec<u8>, bool)> =
        texts().iter().map(|t| (item_bytes(&t.item_type, &t.content), t.label == 1)).collect();
    let texts: Vec<Text<'_>> =
        bytes.iter().map(|(item, good)| Text::new(&judge, item, *good)).collect();
    gates.extend(perturb::gates(&texts).into_iter().map(|mut gate| {
        gate.what = format!("own texts: {}", gate.what);
        gate
    }));
    gates
}

fn areas(judge: &Judge) -> Vec<Gate> {
    let own = AREAS.iter().map(|(set, bar)| area(judge, texts(), set).at_least(*bar, None));
    let shown = CONTRASTS.iter().chain(&OTHERS);
    let sent: Vec<Written> = contrasts().iter().filter(|t| t.set == OTHERS[0]).map(sent).collect();
    own.chain(shown.map(|set| area(judge, contrasts(), set)))
        .chain([area(judge, &sent, SENT).at_least(SENT_AREA, None)])
        .collect()
}

/// A mail as it travels: with a head, and its text in base64.
fn sent(mail: &Written) -> Written {
    let text = &mail.content;
    let (subject, body) = match text.strip_prefix("Subject: ").and_then(|t| t.split_once('\n')) {
        Some((subject, body)) => (subject, body.trim_start()),
        None => ("Hello", &text[..]),
    };
    let content = format!(
        "Received: from mx.example.net by mail.example.org; Tue, 24 Nov 2026 09:12:45 +0100\n\
         From: Somebody <somebody@example.net>\nTo: you@example.org\n\
         Date: Tue, 24 Nov 2026 09:12:44 +0100\nMessage-ID: <4f2a1c0@example.net>\n\
         Subject: {subject}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: base64\n\n{}\n",
        BASE64_STANDARD.encode(body)
    );
    Written { set: SENT.to_owned(), item_type: "text".to_owned(), label: mail.label, content }
}

fn area(judge: &Judge, texts: &[Written], set: &str) -> Gate {
    let of_set: Vec<&Written> = texts.iter().filter(|t| t.set == set).collect();
    let scored = in_parallel(&of_set, |t| {
        let label = if t.label == 1 { Label::Good } else { Label::Bad };
        (q(judge, &item_bytes(&t.item_type, &t.content)), label)
    });
    let area = auc(&scored);
    let note = area.map(|a| format!("95% {:.3} to {:.3}, n {}", a.low, a.high, scored.len()));
    let mut wrong: Vec<(f64, String)> = of_set
        .iter()
        .zip(&scored)
        .filter(|(_, (q, label))| (*q >= 50.0) != (*label == Label::Good))
        .map(|(t, (q, label))| {
            ((q - 50.0).abs(), format!("{q:5.1} {}: {}", label.name(), excerpt(&t.content)))
        })
        .collect();
    wrong.sort_by(|a, b| b.0.total_cmp(&a.0));
    Gate::new(format!("{set} AUC"), Unit::Ratio, area.map(|a| a.value))
        .note(note.unwrap_or_default())
        .examples(wrong.into_iter().map(|w| w.1))
}

fn warnings(judge: &Judge) -> Gate {
    let scams = scams();
    let scores = in_parallel(&scams, |pair| {
        [&pair.bait, &pair.warning].map(|text| q(judge, &item_bytes("text", text)))
    });
    let wrong: Vec<(&Scam, &[f64; 2])> =
        scams.iter().zip(&scores).filter(|(_, [bait, warning])| warning <= bait).collect();
    let share = 1.0 - wrong.len() as f64 / scams.len().max(1) as f64;
    let some =
        wrong.iter().take(WRONG_NAMED).map(|w| w.0.kind.as_str()).collect::<Vec<_>>().join(", ");
    let more = if wrong.len() > WRONG_NAMED { " and others" } else { "" };
    let note = if wrong.is_empty() { String::new() } else { format!("; not: {some}{more}") };
    Gate::new("scam warning above the scam", Unit::Percent, share)
        .at_least(0.80, 0.95)
        .note(format!("n {}{note}", scams.len()))
        .examples(wrong.into_iter().map(|(pair, [bait, warning])| {
            format!(
                "{}: scam {bait:.1}, warning {warning:.1}: {}",
                pair.kind,
                excerpt(&pair.warning)
            )
        }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_own_texts_are_enough_and_all_different() {
        assert!(scams().len() >= 40);
        assert!(instructions().len() >= 24);
        for (set, _) in AREAS {
            for label in [0, 1] {
                let some = texts().iter().filter(|t| t.set == set && t.label == label).count();
                assert!(some >= 10, "{some} texts of {set} with label {label}");
            }
        }
        for set in CONTRASTS {
            let count =
                |label| contrasts().iter().filter(|t| t.set == set && t.label == label).count();
            assert!(count(0) >= 10 && count(0) == count(1), "{set}");
        }
        for set in OTHERS {
            for label in [0, 1] {
                let some = contrasts().iter().filter(|t| t.set == set && t.label == label).count();
                assert!(some >= 40, "{some} texts of {set} with label {label}");
            }
        }
        let all = || texts().iter().chain(contrasts()).map(|t| t.content.as_str());
        assert_eq!(all().collect::<BTreeSet<_>>().len(), all().count());
        for seed in crate::seeds::items() {
            let item: serde_json::Value = serde_json::from_slice(&seed.item).expect("sound");
            let text = item["content"].as_str().or(item["code"].as_str()).expect("a body");
            assert!(all().all(|own| own != text), "{text}");
        }
        let kinds: BTreeSet<String> = scams().into_iter().map(|s| s.kind).collect();
        assert_eq!(kinds.len(), scams().len());
    }
}
