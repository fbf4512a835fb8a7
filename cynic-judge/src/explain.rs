//! What a judgment says beside its evidence: what was not checked, and a description that may be stored. Words
//! only; nothing of the body is in them.

use cynic_proto::model::Domain;

use crate::analysis::Analysis;
use crate::checks::Proof;
use crate::confidence::KNOWN_ENOUGH;
use crate::family::Family;
use crate::item::Shown;
use crate::text::lexicon::Class;
use crate::text::scan::{GRAM_TOKENS_MAX, Hit};

/// What was not or could not be checked, the weightiest first.
pub(crate) fn unchecked(analysis: &Analysis) -> Vec<String> {
    let mut out = Vec::new();
    let mut say = |what: &str| out.push(what.to_owned());
    if analysis.checks.signature == Proof::Unchecked {
        say("the signature: no trusted key is configured");
    }
    if analysis.checks.claims > 0 {
        say("what the item says of itself: it comes without proof and hardly counts");
    }
    match &analysis.item.shown {
        Some(Shown::Mail(mail)) => {
            say("the fields of the mail's head: who sent it is not looked up");
            if mail.attached {
                say("what is attached to the mail and is no text");
            }
        }
        Some(Shown::Page(_)) => say("what the page looks like, and what its scripts do"),
        None => {}
    }
    if analysis.checks.lossy {
        say("the bytes that are not valid UTF-8");
    }
    if analysis.family == Family::Text {
        let linked = analysis.spans[Class::COUNT + Hit::Link as usize].is_some();
        if linked {
            say("where its links lead: nothing is looked up");
        }
        if analysis.known < KNOWN_ENOUGH && analysis.words > 0 {
            say("its wording: few of its words are in the languages that the judge knows");
        }
        if analysis.item.context.text.is_none() && analysis.domain != Domain::General {
            say("whether it fits its context: none was given");
        }
    }
    if analysis.words > GRAM_TOKENS_MAX {
        out.push(format!(
            "the wording after about {GRAM_TOKENS_MAX} words: the rules read all of it, the learned evidence a part"
        ));
    }
    out
}

/// What the item is and how long, without a word of it.
pub(crate) fn summary(analysis: &Analysis) -> String {
    let what = match analysis.domain {
        Domain::Social if matches!(analysis.item.shown, Some(Shown::Mail(_))) => "mail",
        Domain::Social => "message",
        Domain::Prompt => "prompt",
        Domain::Shell => "command",
        Domain::Code => "code",
        Domain::Prose => "prose",
        Domain::General => "item",
    };
    let words = if analysis.words == 1 { "word" } else { "words" };
    format!("{what} of {} bytes, {} {words}", analysis.item.body.len(), analysis.words)
}
