//! Explanations as workers send them and stores keep them: a wording that the judge uses again and again is a number.
//!
//! The explanation of a short message has some forty pieces of evidence, each with a code and a text: 2.5 KB, of which
//! a sixth is left where the wordings are known. `wordings.tsv` lists them, one a line, code and text; those that it
//! lacks travel as they are. Stores keep numbers of lines, so lines are only ever added, at the end.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::codec::{self, FrameError};
use crate::judgment::{Details, Evidence, Fallback};
use crate::model::Dimension;
use crate::wordings::{self, Words};

/// Leads an explanation in full, as earlier builds stored it.
const PLAIN: u8 = 1;

/// Leads an explanation with numbers for wordings.
const WORDED: u8 = 2;

/// How far back a wording is looked for that is not in the list: as a hostile worker may send thousands.
const AGAIN_MAX: usize = 8;

/// Stands for a number that the list does not have: a later release wrote it.
const LATER: Words<'static> = ("later.words", Some("is in the words of a later release"));

/// [`Details`] as encoded.
#[derive(Serialize, Deserialize)]
struct Explanation<'a> {
    item_id: Option<&'a str>,
    #[serde(borrow)]
    evidence: Vec<Piece<'a>>,
    fallbacks: Cow<'a, [Fallback]>,
    unchecked: Vec<&'a str>,
    summary: &'a str,
}

/// Of one piece of evidence its dimension, wording, points and place in the body.
#[derive(Serialize, Deserialize)]
struct Piece<'a>(Dimension, #[serde(borrow)] Wording<'a>, f32, Option<(u64, u64)>);

#[derive(Serialize, Deserialize)]
enum Wording<'a> {
    /// A line of the list, from 0.
    Known(u16),
    /// The same as so many new ones ago, from 0.
    Again(u8),
    #[serde(borrow)]
    New(Words<'a>),
}

/// Encodes an explanation.
///
/// # Errors
/// [`FrameError::Malformed`] when it cannot be encoded.
pub fn encode<S: AsRef<str>>(details: &Details<S>) -> Result<Vec<u8>, FrameError> {
    let mut new: Vec<Words<'_>> = Vec::new();
    let mut evidence = Vec::with_capacity(details.evidence.len());
    for piece in &details.evidence {
        let words = (piece.code.as_ref(), piece.text.as_ref().map(AsRef::as_ref));
        let again = || new.iter().rev().take(AGAIN_MAX).position(|before| *before == words);
        let wording = if let Some(number) = wordings::number(words) {
            Wording::Known(number)
        } else if let Some(ago) = again() {
            Wording::Again(ago as u8)
        } else {
            new.push(words);
            Wording::New(words)
        };
        evidence.push(Piece(piece.dimension, wording, piece.points, piece.span));
    }
    let explanation = Explanation {
        item_id: details.item_id.as_ref().map(AsRef::as_ref),
        evidence,
        fallbacks: Cow::Borrowed(&details.fallbacks),
        unchecked: details.unchecked.iter().map(AsRef::as_ref).collect(),
        summary: details.summary.as_ref(),
    };
    codec::encode(&(WORDED, explanation))
}

/// Decodes what [`encode`] made, in this build or another.
///
/// # Errors
/// [`FrameError::Malformed`] when it is damaged, or of a form that only a later build knows.
pub fn decode(bytes: &[u8]) -> Result<Details<&str>, FrameError> {
    match bytes.split_first() {
        Some((&PLAIN, rest)) => codec::decode_borrowed(rest),
        Some((&WORDED, rest)) => worded(codec::decode_borrowed(rest)?),
        _ => Err(FrameError::Malformed("not an explanation that this build reads".to_owned())),
    }
}

fn worded(explanation: Explanation<'_>) -> Result<Details<&str>, FrameError> {
    let mut new: Vec<Words<'_>> = Vec::new();
    let mut evidence = Vec::with_capacity(explanation.evidence.len());
    for Piece(dimension, wording, points, span) in explanation.evidence {
        let (code, text) = match wording {
            Wording::Known(number) => wordings::wording(number).unwrap_or(LATER),
            Wording::Again(ago) => *new.iter().rev().nth(usize::from(ago)).ok_or_else(|| {
                FrameError::Malformed("a wording that was not said before".to_owned())
            })?,
            Wording::New(words) => {
                new.push(words);
                words
            }
        };
        evidence.push(Evidence { dimension, code, points, span, text });
    }
    Ok(Details {
        item_id: explanation.item_id,
        evidence,
        fallbacks: explanation.fallbacks.into_owned(),
        unchecked: explanation.unchecked,
        summary: explanation.summary,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judgment::FallbackReason;

    fn details() -> Details {
        let piece = |dimension, (code, text): Words<'_>| Evidence {
            dimension,
            code: code.to_owned(),
            points: -1.25,
            span: text.is_none().then_some((300, 70_000)),
            text: text.map(str::to_owned),
        };
        let known = (0..wordings::COUNT as u16).filter_map(wordings::wording);
        let known = known.map(|words| piece(Dimension::Candor, words));
        let new = ["one", "two", "one", "two", "three"].map(|text| ("whole", Some(text)));
        let new = new.into_iter().chain([("code", None)]).map(|w| piece(Dimension::Impact, w));
        Details {
            item_id: Some("m-17".to_owned()),
            evidence: known.chain(new).collect(),
            fallbacks: vec![Fallback {
                dimension: Dimension::Utility,
                reason: FallbackReason::Failed("it was asleep".to_owned()),
            }],
            unchecked: vec!["links".to_owned()],
            summary: "text of 9 bytes".to_owned(),
        }
    }

    fn decoded(bytes: &[u8]) -> Option<Details> {
        decode(bytes).ok().map(Details::into_owned)
    }

    #[test]
    fn an_explanation_is_read_back_as_it_was() {
        let many = (0..40_u8).map(|n| Evidence {
            code: format!("code.{}", n % 20),
            ..details().evidence.pop().unwrap()
        });
        let many = Details { evidence: many.collect(), ..details() };
        for details in [details(), many, Details::default()] {
            let stored = encode(&details).unwrap();
            assert_eq!(decoded(&stored), Some(details));
            for end in 0..stored.len() {
                assert_eq!(decoded(&stored[..end]), None);
            }
        }
    }

    #[test]
    fn what_earlier_builds_stored_is_read_and_what_later_ones_do_is_not() {
        let details = details();
        let mut stored = vec![PLAIN];
        stored.extend(codec::encode(&details).unwrap());
        assert_eq!(decoded(&stored), Some(details));
        stored[0] = WORDED + 1;
        assert_eq!(decoded(&stored), None);
        assert_eq!(decoded(&[]), None);
    }

    #[test]
    fn numbers_of_a_longer_list_are_said_to_be_and_what_was_never_said_is_damage() {
        let said = |wording| {
            let explanation = Explanation {
                item_id: None,
                evidence: vec![Piece(Dimension::Candor, wording, 0.0, None)],
                fallbacks: Cow::Borrowed(&[]),
                unchecked: Vec::new(),
                summary: "",
            };
            codec::encode(&(WORDED, explanation)).unwrap()
        };
        let later = decoded(&said(Wording::Known(u16::MAX))).unwrap();
        assert_eq!(later.evidence[0].code, "later.words");
        assert_eq!(decoded(&said(Wording::Again(0))), None);
    }
}
