//! How an explanation is stored: a wording that the judge uses again and again is a number.
//!
//! The explanation of a short message has some forty pieces of evidence, each with a code and a text: 2.5 KB, of which
//! a sixth is left where the wordings are known. `wordings.tsv` lists them, one a line, code and text; those that it
//! lacks are stored as they are. A store keeps numbers of lines, so lines are only ever added, at the end.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use cynic_proto::codec;
use cynic_proto::judgment::{Details, Evidence, Fallback};
use cynic_proto::model::Dimension;
use serde::{Deserialize, Serialize};

/// Leads an explanation as the worker sent it: so builds stored it that knew no wordings.
const PLAIN: u8 = 1;

/// Leads an explanation with wordings.
const WORDED: u8 = 2;

/// How far back a wording is looked for that is not in the list: as a hostile worker may send thousands.
const AGAIN_MAX: usize = 8;

/// A code and a text.
type Words<'a> = (&'a str, Option<&'a str>);

static WORDINGS: LazyLock<Vec<Words<'static>>> = LazyLock::new(|| {
    let words = |line: &'static str| match line.split_once('\t') {
        Some((code, text)) => (code, Some(text)),
        None => (line, None),
    };
    include_str!("wordings.tsv").lines().map(words).collect()
});

static NUMBERS: LazyLock<HashMap<Words<'static>, u16>> =
    LazyLock::new(|| WORDINGS.iter().copied().zip(0..).collect());

/// As stored.
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

/// The stored form; empty when there is none.
pub(super) fn encode(details: &Details<Cow<'_, str>>) -> Vec<u8> {
    let numbers: &HashMap<Words<'_>, u16> = &NUMBERS;
    let mut new: Vec<Words<'_>> = Vec::new();
    let mut evidence = Vec::with_capacity(details.evidence.len());
    for piece in &details.evidence {
        let words: Words<'_> = (&piece.code, piece.text.as_deref());
        let again = || new.iter().rev().take(AGAIN_MAX).position(|before| *before == words);
        let wording = if let Some(number) = numbers.get(&words) {
            Wording::Known(*number)
        } else if let Some(ago) = again() {
            Wording::Again(ago as u8)
        } else {
            new.push(words);
            Wording::New(words)
        };
        evidence.push(Piece(piece.dimension, wording, piece.points, piece.span));
    }
    let explanation = Explanation {
        item_id: details.item_id.as_deref(),
        evidence,
        fallbacks: Cow::Borrowed(&details.fallbacks),
        unchecked: details.unchecked.iter().map(|text| &**text).collect(),
        summary: &details.summary,
    };
    let mut bytes = vec![WORDED];
    match codec::encode(&explanation) {
        Ok(encoded) => bytes.extend(encoded),
        Err(_) => bytes.clear(),
    }
    bytes
}

/// What [`encode`] wrote, in this build or an earlier one; `None` when it is damaged or of a later one.
pub(super) fn decode(stored: &[u8]) -> Option<Details> {
    match stored.split_first()? {
        (&PLAIN, rest) => codec::decode(rest).ok(),
        (&WORDED, rest) => reworded(codec::decode_borrowed(rest).ok()?),
        _ => None,
    }
}

fn reworded(explanation: Explanation<'_>) -> Option<Details> {
    let mut new: Vec<Words<'_>> = Vec::new();
    let mut evidence = Vec::with_capacity(explanation.evidence.len());
    for Piece(dimension, wording, points, span) in explanation.evidence {
        let (code, text) = match wording {
            Wording::Known(number) => *WORDINGS.get(usize::from(number))?,
            Wording::Again(ago) => *new.iter().rev().nth(usize::from(ago))?,
            Wording::New(words) => {
                new.push(words);
                words
            }
        };
        let (code, text) = (code.to_owned(), text.map(str::to_owned));
        evidence.push(Evidence { dimension, code, points, span, text });
    }
    Some(Details {
        item_id: explanation.item_id.map(str::to_owned),
        evidence,
        fallbacks: explanation.fallbacks.into_owned(),
        unchecked: explanation.unchecked.into_iter().map(str::to_owned).collect(),
        summary: explanation.summary.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use cynic_proto::judgment::FallbackReason;

    use super::*;

    fn details() -> Details {
        let piece = |dimension, (code, text): Words<'_>| Evidence {
            dimension,
            code: code.to_owned(),
            points: -1.25,
            span: text.is_none().then_some((300, 70_000)),
            text: text.map(str::to_owned),
        };
        let known = WORDINGS.iter().map(|words| piece(Dimension::Candor, *words));
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

    fn encoded(details: &Details) -> Vec<u8> {
        let plain = codec::encode(details).unwrap();
        encode(&codec::decode_borrowed(&plain).unwrap())
    }

    #[test]
    fn an_explanation_is_read_back_as_it_was() {
        let many = (0..40_u8).map(|n| Evidence {
            code: format!("code.{}", n % 20),
            ..details().evidence.pop().unwrap()
        });
        let many = Details { evidence: many.collect(), ..details() };
        for details in [details(), many, Details::default()] {
            let stored = encoded(&details);
            assert_eq!(decode(&stored), Some(details));
            for end in 0..stored.len() {
                assert_eq!(decode(&stored[..end]), None);
            }
        }
    }

    #[test]
    fn what_earlier_builds_stored_is_read_and_what_later_ones_do_is_not() {
        let details = details();
        let mut stored = vec![PLAIN];
        stored.extend(codec::encode(&details).unwrap());
        assert_eq!(decode(&stored), Some(details));
        stored[0] = WORDED + 1;
        assert_eq!(decode(&stored), None);
        assert_eq!(decode(&[]), None);
    }

    #[test]
    fn numbers_that_no_list_gave_are_damage() {
        for wording in [Wording::Known(u16::MAX), Wording::Again(0)] {
            let explanation = Explanation {
                item_id: None,
                evidence: vec![Piece(Dimension::Candor, wording, 0.0, None)],
                fallbacks: Cow::Borrowed(&[]),
                unchecked: Vec::new(),
                summary: "",
            };
            let mut stored = vec![WORDED];
            stored.extend(codec::encode(&explanation).unwrap());
            assert_eq!(decode(&stored), None);
        }
    }

    #[test]
    fn every_wording_has_one_number() {
        assert!(WORDINGS.iter().all(|(code, _)| !code.is_empty()));
        assert_eq!(WORDINGS.iter().collect::<HashSet<_>>().len(), WORDINGS.len());
        assert!(WORDINGS.len() < usize::from(u16::MAX));
    }
}
