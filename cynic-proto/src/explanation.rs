//! Explanations as workers send them and stores keep them: a wording that the judge uses again and again is a number.
//!
//! The explanation of a short message has some forty pieces of evidence, each with a code and a text: 2.5 KB, of which
//! a sixth is left where the wordings are known. `wordings.tsv` lists them, one a line, code and text; those that it
//! lacks travel as they are. Stores keep numbers of lines, so lines are only ever added, at the end.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};

use crate::codec::{self, FrameError};
use crate::judgment::{Details, Evidence, Fallback};
use crate::model::Dimension;
use crate::wordings::{self, Words};

/// Leads an encoded explanation. 1 and 2 led those of builds before the first release.
const FORMAT: u8 = 3;

/// How far back a wording is looked for that is not in the list: as a hostile worker may send thousands.
const AGAIN_MAX: usize = 8;

/// From here on a number counts the wordings that the explanation brings itself.
const NEW: u16 = 1 << 15;

/// Stands for a number that the list does not have: a later release wrote it.
const LATER: Words<'static> = ("later.words", Some("is in the words of a later release"));

/// A piece of evidence in a few bytes: its dimension, with [`HAS_SPAN`]; the number of its wording; its points.
const PIECE_BYTES: usize = 1 + 2 + 4;
const HAS_SPAN: u8 = 1 << 7;

/// [`Details`] as encoded.
#[derive(Serialize, Deserialize)]
struct Explanation<'a> {
    item_id: Option<&'a str>,
    #[serde(serialize_with = "as_bytes")]
    evidence: &'a [u8],
    /// Of the pieces that have one, in their order.
    spans: Vec<(u64, u64)>,
    #[serde(borrow)]
    new: Vec<Words<'a>>,
    fallbacks: Cow<'a, [Fallback]>,
    unchecked: Vec<&'a str>,
    summary: &'a str,
}

/// In one go, where serde would write a sequence.
fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// Encodes an explanation.
///
/// # Errors
/// [`FrameError::Malformed`] when it cannot be encoded: it brings more than 32,768 wordings.
pub fn encode<S: AsRef<str>>(details: &Details<S>) -> Result<Vec<u8>, FrameError> {
    let mut new: Vec<Words<'_>> = Vec::new();
    let mut spans = Vec::new();
    let mut evidence = Vec::with_capacity(details.evidence.len() * PIECE_BYTES);
    for piece in &details.evidence {
        let words = (piece.code.as_ref(), piece.text.as_ref().map(AsRef::as_ref));
        let number = match wordings::number(words) {
            Some(number) => number,
            None => number_among(&mut new, words)?,
        };
        let has_span = if piece.span.is_some() { HAS_SPAN } else { 0 };
        spans.extend(piece.span);
        evidence.push(piece.dimension as u8 | has_span);
        evidence.extend(number.to_le_bytes());
        evidence.extend(piece.points.to_le_bytes());
    }
    let explanation = Explanation {
        item_id: details.item_id.as_ref().map(AsRef::as_ref),
        evidence: &evidence,
        spans,
        new,
        fallbacks: Cow::Borrowed(&details.fallbacks),
        unchecked: details.unchecked.iter().map(AsRef::as_ref).collect(),
        summary: details.summary.as_ref(),
    };
    codec::encode(&(FORMAT, explanation))
}

/// The number of a wording among those that the explanation brings.
fn number_among<'a>(new: &mut Vec<Words<'a>>, words: Words<'a>) -> Result<u16, FrameError> {
    let again = new.iter().rev().take(AGAIN_MAX).position(|before| *before == words);
    let index = again.map_or(new.len(), |ago| new.len() - 1 - ago);
    if index == new.len() {
        new.push(words);
    }
    let index = u16::try_from(index).ok().filter(|index| *index < NEW);
    index.map(|index| NEW + index).ok_or_else(|| malformed("it brings too many wordings"))
}

/// Decodes what [`encode`] made.
///
/// # Errors
/// [`FrameError::Malformed`] when it is damaged, or of a form that this build does not know.
pub fn decode(bytes: &[u8]) -> Result<Details<&str>, FrameError> {
    let Some((&FORMAT, rest)) = bytes.split_first() else {
        return Err(malformed("not an explanation that this build reads"));
    };
    let explanation: Explanation<'_> = codec::decode_borrowed(rest)?;
    let mut spans = explanation.spans.into_iter();
    let pieces = explanation.evidence.chunks_exact(PIECE_BYTES);
    if !pieces.remainder().is_empty() {
        return Err(malformed("a part of a piece of evidence"));
    }
    let mut evidence = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let &[head, n0, n1, p0, p1, p2, p3] = piece else { continue };
        let dimension = Dimension::from_index(usize::from(head & !HAS_SPAN));
        let dimension = dimension.ok_or_else(|| malformed("a dimension that there is not"))?;
        let (code, text) = match u16::from_le_bytes([n0, n1]) {
            number @ ..NEW => wordings::wording(number).unwrap_or(LATER),
            number => {
                let new = explanation.new.get(usize::from(number - NEW));
                *new.ok_or_else(|| malformed("a wording that it does not bring"))?
            }
        };
        let span = if head & HAS_SPAN == 0 { None } else { spans.next() };
        let points = f32::from_le_bytes([p0, p1, p2, p3]);
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

fn malformed(what: &str) -> FrameError {
    FrameError::Malformed(what.to_owned())
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
    fn another_form_is_not_read() {
        let mut stored = encode(&details()).unwrap();
        stored[0] = FORMAT + 1;
        assert_eq!(decoded(&stored), None);
        assert_eq!(decoded(&[]), None);
    }

    #[test]
    fn numbers_of_a_longer_list_are_said_to_be_and_what_is_not_there_is_damage() {
        let said = |head: u8, number: u16, more: &[u8]| {
            let mut evidence = vec![head];
            evidence.extend(number.to_le_bytes());
            evidence.extend([0; 4]);
            evidence.extend(more);
            let explanation = Explanation {
                item_id: None,
                evidence: &evidence,
                spans: Vec::new(),
                new: vec![("own", None)],
                fallbacks: Cow::Borrowed(&[]),
                unchecked: Vec::new(),
                summary: "",
            };
            decoded(&codec::encode(&(FORMAT, explanation)).unwrap())
        };
        let code =
            |details: Option<Details>| details.map(|details| details.evidence[0].code.clone());
        assert_eq!(code(said(0, NEW - 1, &[])).as_deref(), Some("later.words"));
        assert_eq!(code(said(35, NEW, &[])).as_deref(), Some("own"));
        assert_eq!(said(0, NEW + 1, &[]), None);
        assert_eq!(said(36, NEW, &[]), None);
        assert_eq!(said(35, NEW, &[0; 6]), None);
    }

    #[test]
    fn more_wordings_than_numbers_are_refused() {
        let many = |count: u32| {
            let one = details().evidence.remove(0);
            let piece = |n: u32| Evidence { code: n.to_string(), ..one.clone() };
            encode(&Details { evidence: (0..count).map(piece).collect(), ..Details::default() })
        };
        assert!(many(u32::from(NEW)).is_ok());
        assert!(many(u32::from(NEW) + 1).is_err());
    }
}
