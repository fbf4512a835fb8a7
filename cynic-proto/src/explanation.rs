//! Explanations as they travel and as stores keep them: a wording that the judge uses again and again is a number.
//!
//! The explanation of a short message has some forty pieces of evidence, each with a code and a text: 2.5 KB, of which
//! a sixth is left where the wordings are known. `wordings.tsv` lists them, one a line, code and text; those that it
//! lacks travel as they are. Stores keep numbers of lines, so lines are only ever added, at the end. A client says in its
//! greeting how many lines it knows ([`WORDINGS`]); one of an earlier release gets the later ones spelled out, and one that
//! says nothing of it gets [`Details`] in full.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec::{self, FrameError};
use crate::judgment::{Details, Evidence, Fallback};
use crate::model::Dimension;
use crate::wordings::{self, Words};

/// Leads an encoded explanation. 1 and 2 led those of builds before the first release.
const FORMAT: u8 = 3;

/// How far back a wording is looked for that is not in the list: as a hostile worker may send thousands.
const AGAIN_MAX: usize = 8;

/// How many wordings this build knows by their numbers.
pub const WORDINGS: u16 = wordings::COUNT as u16;

/// From here on a number counts the wordings that the explanation brings itself.
const NEW: u16 = 1 << 15;

/// Stands for a number that the list does not have: a later release wrote it.
const LATER: Words<'static> = ("later.words", Some("is in the words of a later release"));

/// Stands for a code that no line of the list has.
const OWN_CODE: u16 = u16::MAX;

/// A piece of evidence in a few bytes: its dimension, with [`HAS_SPAN`]; the number of its wording; its points.
const PIECE_BYTES: usize = 1 + 2 + 4;
const HAS_SPAN: u8 = 1 << 7;

/// An explanation as it is encoded: what it says of the item can be read and worded anew without spelling it out.
#[derive(Debug, Serialize, Deserialize)]
pub struct Encoded<'a> {
    /// The client's own id of the item.
    pub item_id: Option<&'a str>,
    #[serde(borrow, serialize_with = "as_bytes", deserialize_with = "borrowed")]
    evidence: Cow<'a, [u8]>,
    /// Of the pieces that have one, in their order.
    spans: Cow<'a, [(u64, u64)]>,
    #[serde(borrow)]
    new: Vec<Words<'a>>,
    fallbacks: Cow<'a, [Fallback]>,
    unchecked: Vec<&'a str>,
    /// What the item is, in a line.
    pub summary: &'a str,
}

/// In one go, where serde would write a sequence.
fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

fn borrowed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, [u8]>, D::Error> {
    <&[u8]>::deserialize(deserializer).map(Cow::Borrowed)
}

/// Encodes an explanation.
///
/// # Errors
/// [`FrameError::Malformed`] when it cannot be encoded: it brings more than 32,768 wordings.
pub fn encode<S: AsRef<str>>(details: &Details<S>) -> Result<Vec<u8>, FrameError> {
    encode_for(details, WORDINGS)
}

fn encode_for<S: AsRef<str>>(details: &Details<S>, known: u16) -> Result<Vec<u8>, FrameError> {
    let mut new: Vec<Words<'_>> = Vec::new();
    let mut spans = Vec::new();
    let mut evidence = Vec::with_capacity(details.evidence.len() * PIECE_BYTES);
    for piece in &details.evidence {
        let words = (piece.code.as_ref(), piece.text.as_ref().map(AsRef::as_ref));
        let number = number(words, known, &mut new)?;
        let has_span = if piece.span.is_some() { HAS_SPAN } else { 0 };
        spans.extend(piece.span);
        evidence.push(piece.dimension as u8 | has_span);
        evidence.extend(number.to_le_bytes());
        evidence.extend(piece.points.to_le_bytes());
    }
    let encoded = Encoded {
        item_id: details.item_id.as_ref().map(AsRef::as_ref),
        evidence: evidence.into(),
        spans: spans.into(),
        new,
        fallbacks: Cow::Borrowed(&details.fallbacks),
        unchecked: details.unchecked.iter().map(AsRef::as_ref).collect(),
        summary: details.summary.as_ref(),
    };
    encoded.write()
}

/// The number of a wording: the list's, or one among those that the explanation brings.
fn number<'a>(words: Words<'a>, known: u16, new: &mut Vec<Words<'a>>) -> Result<u16, FrameError> {
    if let Some(number) = wordings::number(words).filter(|number| *number < known) {
        return Ok(number);
    }
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
    let encoded = Encoded::read(bytes)?;
    let mut spans = encoded.spans.iter();
    let mut evidence = Vec::with_capacity(encoded.evidence.len() / PIECE_BYTES);
    for piece in encoded.pieces() {
        let dimension = piece.dimension()?;
        let (code, text) = encoded.words(piece.number)?;
        let span = if piece.has_span() { spans.next().copied() } else { None };
        evidence.push(Evidence { dimension, code, points: piece.points, span, text });
    }
    Ok(Details {
        item_id: encoded.item_id,
        evidence,
        fallbacks: encoded.fallbacks.into_owned(),
        unchecked: encoded.unchecked,
        summary: encoded.summary,
    })
}

/// The same for who knows the first `known` wordings only: later ones are spelled out. Who knows none gets [`Details`] as
/// [`codec::encode`] writes them.
///
/// # Errors
/// As [`decode`] and [`encode`].
pub fn spelled_out(bytes: &[u8], known: u16) -> Result<Vec<u8>, FrameError> {
    let details = decode(bytes)?;
    if known == 0 { codec::encode(&details) } else { encode_for(&details, known) }
}

struct Piece {
    head: u8,
    number: u16,
    points: f32,
}

impl Piece {
    fn has_span(&self) -> bool {
        self.head & HAS_SPAN != 0
    }

    fn dimension(&self) -> Result<Dimension, FrameError> {
        let dimension = Dimension::from_index(usize::from(self.head & !HAS_SPAN));
        dimension.ok_or_else(|| malformed("a dimension that there is not"))
    }
}

impl<'a> Encoded<'a> {
    /// Reads what [`encode`] made, and no more of it than its frame.
    ///
    /// # Errors
    /// [`FrameError::Malformed`] when it is damaged, or of a form that this build does not know.
    pub fn read(bytes: &'a [u8]) -> Result<Encoded<'a>, FrameError> {
        let Some((&FORMAT, rest)) = bytes.split_first() else {
            return Err(malformed("not an explanation that this build reads"));
        };
        let encoded: Encoded<'a> = codec::decode_borrowed(rest)?;
        if !encoded.evidence.len().is_multiple_of(PIECE_BYTES) {
            return Err(malformed("a part of a piece of evidence"));
        }
        Ok(encoded)
    }

    /// Why dimensions fell back.
    pub fn into_fallbacks(self) -> Vec<Fallback> {
        self.fallbacks.into_owned()
    }

    /// Whether [`decode`] will take it, and all its points are numbers.
    ///
    /// # Errors
    /// [`FrameError::Malformed`] when not.
    pub fn check(&self) -> Result<(), FrameError> {
        for piece in self.pieces() {
            piece.dimension()?;
            self.words(piece.number)?;
            if !piece.points.is_finite() {
                return Err(malformed("evidence with points that are no number"));
            }
        }
        Ok(())
    }

    fn write(&self) -> Result<Vec<u8>, FrameError> {
        codec::encode(&(FORMAT, self))
    }

    fn pieces(&self) -> impl Iterator<Item = Piece> {
        let (pieces, _) = self.evidence.as_chunks::<PIECE_BYTES>();
        pieces.iter().map(|&[head, n0, n1, p0, p1, p2, p3]| Piece {
            head,
            number: u16::from_le_bytes([n0, n1]),
            points: f32::from_le_bytes([p0, p1, p2, p3]),
        })
    }

    fn words(&self, number: u16) -> Result<Words<'a>, FrameError> {
        let Some(index) = number.checked_sub(NEW) else {
            return Ok(wordings::wording(number).unwrap_or(LATER));
        };
        let words = self.new.get(usize::from(index)).copied();
        words.ok_or_else(|| malformed("a wording that it does not bring"))
    }

    /// The points of each code, in the order in which it is met first; of no more than `codes_max` codes.
    pub fn points(&self, codes_max: usize) -> Vec<(&'a str, f32)> {
        let mut sums: Vec<(&'a str, f32)> = Vec::new();
        // Codes of the list are told apart by number: comparing texts would take most of the time.
        let mut ids: Vec<u16> = Vec::new();
        for piece in self.pieces() {
            let Ok((code, _)) = self.words(piece.number) else { continue };
            let id = wordings::code(piece.number).or_else(|| wordings::code_of(code));
            let known = |(n, before): (usize, &u16)| match id {
                Some(id) => *before == id,
                None => *before == OWN_CODE && sums[n].0 == code,
            };
            match ids.iter().enumerate().position(known) {
                Some(n) => sums[n].1 += piece.points,
                None if sums.len() < codes_max => {
                    sums.push((code, piece.points));
                    ids.push(id.unwrap_or(OWN_CODE));
                }
                None => {}
            }
        }
        sums
    }

    /// Encodes it with other texts for the wordings that it brings itself; those of the list say nothing of an item. `say`
    /// is told the text, and whether it is of a place in the item.
    ///
    /// # Errors
    /// [`FrameError::Malformed`] when it is damaged.
    pub fn reworded(
        &self,
        say: impl Fn(&'a str, bool) -> Option<Cow<'a, str>>,
    ) -> Result<Vec<u8>, FrameError> {
        let mut placed = vec![false; self.new.len()];
        for piece in self.pieces().filter(|piece| piece.number >= NEW) {
            let placed = placed.get_mut(usize::from(piece.number - NEW));
            *placed.ok_or_else(|| malformed("a wording that it does not bring"))? |=
                piece.has_span();
        }
        let said = self.new.iter().zip(placed);
        let said =
            said.map(|(&(code, text), placed)| (code, text.and_then(|text| say(text, placed))));
        let said: Vec<_> = said.collect();
        let mut new = Vec::new();
        let numbers = said.iter();
        let numbers =
            numbers.map(|(code, text)| number((code, text.as_deref()), WORDINGS, &mut new));
        let numbers = numbers.collect::<Result<Vec<u16>, _>>()?;
        let mut evidence = self.evidence.clone().into_owned();
        for [_, n0, n1, ..] in evidence.as_chunks_mut::<PIECE_BYTES>().0 {
            if let Some(index) = u16::from_le_bytes([*n0, *n1]).checked_sub(NEW) {
                [*n0, *n1] = numbers[usize::from(index)].to_le_bytes();
            }
        }
        let encoded = Encoded {
            item_id: self.item_id,
            evidence: evidence.into(),
            spans: Cow::Borrowed(&self.spans),
            new,
            fallbacks: Cow::Borrowed(&self.fallbacks),
            unchecked: self.unchecked.clone(),
            summary: self.summary,
        };
        encoded.write()
    }
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
    fn only_what_an_explanation_brings_itself_is_worded_anew() {
        let piece = |code: &str, text: Option<&str>, span| Evidence {
            code: code.to_owned(),
            text: text.map(str::to_owned),
            span,
            ..details().evidence.pop().unwrap()
        };
        let (code, text) = (0..9).filter_map(wordings::wording).find(|w| w.1.is_some()).unwrap();
        let place = Some((300, 70_000));
        let evidence = vec![
            piece("link.given", Some("to a.example"), place),
            piece(code, text, None),
            piece("whole", Some("said"), None),
            piece("whole", Some("said of both"), None),
            piece("whole", Some("said of both"), place),
            piece("code", None, place),
        ];
        let before = Details { evidence, ..details() };
        let bytes = encode(&before).unwrap();
        let encoded = Encoded::read(&bytes).unwrap();
        let points = [("link.given", -1.25), (code, -1.25), ("whole", -3.75), ("code", -1.25)];
        assert_eq!(encoded.points(9), points);
        assert_eq!(encoded.points(3), points[..3]);

        // The place says nothing, what is said elsewhere becomes words of the list.
        let after = encoded.reworded(|_, placed| (!placed).then_some(Cow::Borrowed("as a whole")));
        let mut expected = before.clone();
        for (n, text) in [(0, None), (2, Some("as a whole")), (3, None), (4, None)] {
            expected.evidence[n].text = text.map(str::to_owned);
        }
        let after = after.unwrap();
        assert_eq!(after, encode(&expected).unwrap());
        assert_eq!(decoded(&after), Some(expected));
        let same = encoded.reworded(|text, _| Some(Cow::Borrowed(text)));
        assert_eq!(same.unwrap(), bytes);
    }

    #[test]
    fn who_knows_fewer_wordings_gets_the_others_spelled_out() {
        let bytes = encode(&details()).unwrap();
        for known in [1, WORDINGS / 2, WORDINGS] {
            let spelled = spelled_out(&bytes, known).unwrap();
            let numbers = Encoded::read(&spelled).unwrap();
            assert!(numbers.pieces().all(|piece| piece.number < known || piece.number >= NEW));
            assert_eq!(spelled == bytes, known == WORDINGS);
            assert_eq!(decoded(&spelled), Some(details()));
        }
        assert_eq!(codec::decode(&spelled_out(&bytes, 0).unwrap()), Ok(details()));
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
            let encoded = Encoded {
                item_id: None,
                evidence: evidence.into(),
                spans: Cow::Borrowed(&[]),
                new: vec![("own", None)],
                fallbacks: Cow::Borrowed(&[]),
                unchecked: Vec::new(),
                summary: "",
            };
            decoded(&encoded.write().unwrap())
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
