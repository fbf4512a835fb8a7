//! What can be verified is verified: a stated hash, a signature, sums and dates; and what an item says of
//! itself is bounded.

use std::borrow::Cow;

use cynic_proto::model::Dimension;
use ed25519_dalek::{Signature, VerifyingKey};

use crate::decode;
use crate::envelope::Envelope;
use crate::item::{Item, Shown};
use crate::reading::QUOTE_BYTES_MAX;
use crate::record::{self, Reported};
use crate::scorer::Finding;
use crate::spec::Span;
use crate::text::scan::{Hit, Scan};
use crate::unlearned::Held;

/// How a claim that can be checked came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing was claimed.
    Absent,
    /// It checked out.
    Right,
    /// It did not.
    Wrong,
    /// It could not be checked.
    Unchecked,
}

/// What was checked of an item beside its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checks {
    pub(crate) sha256: Proof,
    pub(crate) signature: Proof,
    /// Self-declared fields of standing.
    pub(crate) claims: u32,
    /// The body was not valid text.
    pub(crate) lossy: bool,
    /// What a record reports; nothing for other items.
    pub(crate) reported: Reported,
    /// What a text that is written for programs holds; nothing for other items.
    pub(crate) held: Held,
    /// What tells of a mail beside its words.
    pub(crate) envelope: Envelope,
}

/// Logit of one self-declared field, and of all of them together. They are noted, so that they can be
/// seen to move something, and bounded, so that they never decide: well under 5 points of Q.
const CLAIM_LOGIT: f32 = 0.02;
const CLAIMS_MAX: u32 = 5;

/// Checks an item.
pub(crate) fn of(
    item: &Item,
    sha256: &[u8; 32],
    trusted_keys: &[[u8; 32]],
    is_record: bool,
) -> Checks {
    let stated = item.declared.sha256.as_deref().map(|stated| decode::binary(stated, 32));
    let sha256 = match stated {
        None => Proof::Absent,
        Some(Some(stated)) if stated == sha256 => Proof::Right,
        Some(_) => Proof::Wrong,
    };
    let signature = match item.declared.signature.as_deref() {
        None => Proof::Absent,
        Some(_) if trusted_keys.is_empty() => Proof::Unchecked,
        Some(signature) if signed(&item.body, signature, trusted_keys) => Proof::Right,
        Some(_) => Proof::Wrong,
    };
    let reported = if is_record { record::read(&item.body) } else { Reported::default() };
    let (claims, lossy) = (item.declared.claims, item.lossy);
    let envelope = match &item.shown {
        Some(Shown::Mail(mail)) => mail.envelope,
        _ => Envelope::default(),
    };
    Checks { sha256, signature, claims, lossy, reported, held: Held::default(), envelope }
}

fn signed(body: &str, signature: &str, trusted_keys: &[[u8; 32]]) -> bool {
    let Some(signature) =
        decode::binary(signature, 64).and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
    else {
        return false;
    };
    let signature = Signature::from_bytes(&signature);
    trusted_keys
        .iter()
        .filter_map(|key| VerifyingKey::from_bytes(key).ok())
        .any(|key| key.verify_strict(body.as_bytes(), &signature).is_ok())
}

impl Checks {
    /// What commands within the item do that nothing makes up for.
    fn ruin(self) -> (f32, Span) {
        let (reported, held) = (self.reported.ruin, self.held.ruin);
        if held.0 < reported.0 { held } else { reported }
    }

    /// What the checks say of the whole item.
    pub(crate) fn logit(self) -> f32 {
        let proof = |proof, right: f32, wrong: f32| match proof {
            Proof::Right => right,
            Proof::Wrong => wrong,
            Proof::Absent | Proof::Unchecked => 0.0,
        };
        // A right hash says that nothing was lost on the way, not that the text is good; a right signature
        // says who stands behind it. A wrong one of either says that somebody changed something.
        proof(self.sha256, 0.1, -2.5) + proof(self.signature, 1.5, -2.0)
            - if self.lossy { 0.4 } else { 0.0 }
            + self.reported.logit()
            + self.held.ruin.0
            + self.held.secret.0
            + self.envelope.logit()
    }

    /// What of it is severe: nothing else of the item makes up for it.
    pub(crate) fn severe(self) -> f32 {
        self.reported.ruin.0 + self.held.ruin.0 + self.held.secret.0 + self.envelope.logit()
    }

    /// What the checks say to one dimension (logits).
    pub(crate) fn own(self, dimension: Dimension) -> f32 {
        let claims = CLAIM_LOGIT * self.claims.min(CLAIMS_MAX) as f32;
        let hash = match self.sha256 {
            Proof::Right => 1.0,
            Proof::Wrong => -2.5,
            Proof::Absent | Proof::Unchecked => 0.0,
        };
        let signature = match self.signature {
            Proof::Right => 1.5,
            Proof::Wrong => -2.0,
            Proof::Absent | Proof::Unchecked => 0.0,
        };
        match dimension {
            Dimension::Integrity => hash + signature - if self.lossy { 1.0 } else { 0.0 },
            Dimension::Accuracy => hash,
            Dimension::Utility | Dimension::Sustainability => self.reported.outcome(),
            Dimension::Vigilance | Dimension::Irreversibility => {
                self.reported.bypassed() + self.ruin().0
            }
            Dimension::Provenance | Dimension::Accountability => claims + signature,
            Dimension::Sacrifice => self.held.secret.0,
            Dimension::Congruence | Dimension::Authenticity => self.envelope.logit(),
            Dimension::Consensus => claims,
            _ => 0.0,
        }
    }

    /// What the checks found that decides the item as a whole, in that direction.
    pub(crate) fn reasons(self, body: &str, direction: f32) -> Vec<Cow<'static, str>> {
        let mut reasons = Vec::new();
        let mut say = |text: &'static str, span: Option<Span>| {
            let quote = span.and_then(|span| quoted(body, span));
            reasons.push(match quote {
                Some(quote) => format!("{text}: {quote:?}").into(),
                None => Cow::Borrowed(text),
            });
        };
        let (bypass, ruin) = (self.reported.bypass, self.ruin());
        if direction < 0.0 {
            if ruin.0 < 0.0 {
                say("holds a command that ruins or betrays its host", Some(ruin.1));
            }
            for part in self.envelope.parts() {
                say(part.about, None);
            }
            if self.held.secret.0 < 0.0 {
                say("holds a secret as it is", Some(self.held.secret.1));
            }
            if bypass.0 > 0 {
                say("leaves a safeguard out", Some(bypass.1));
            }
            if self.sha256 == Proof::Wrong {
                say("the stated SHA-256 is not that of the body", None);
            }
            if self.signature == Proof::Wrong {
                say("its signature is of no trusted key", None);
            }
        } else if self.signature == Proof::Right {
            say("is signed by a trusted key", None);
        }
        reasons
    }

    /// The reasons for [`Checks::own`]; `slope` is points for each logit.
    pub(crate) fn findings(
        self,
        body: &str,
        dimension: Dimension,
        slope: f32,
        evidence: &mut Vec<Finding>,
    ) {
        let mut add = |code, logit: f32, text: &str, span: Option<Span>| {
            let points = (logit * slope).clamp(-100.0, 100.0);
            let quote = span.and_then(|span| quoted(body, span));
            let text = quote.map_or_else(|| text.to_owned(), |quote| format!("{text}: {quote:?}"));
            evidence.push(Finding {
                code: Cow::Borrowed(code),
                points,
                span,
                text: Some(text.into()),
            });
        };
        let Reported { success, failure, bypass, .. } = self.reported;
        let ruin = self.ruin();
        if ruin.0 < 0.0 && matches!(dimension, Dimension::Vigilance | Dimension::Irreversibility) {
            add(
                "command.ruinous",
                ruin.0,
                "holds a command that ruins or betrays its host",
                Some(ruin.1),
            );
        }
        if matches!(dimension, Dimension::Congruence | Dimension::Authenticity) {
            for part in self.envelope.parts() {
                add(part.code, part.logit, part.about, None);
            }
        }
        match dimension {
            Dimension::Sacrifice if self.held.secret.0 < 0.0 => {
                let (logit, span) = self.held.secret;
                add("secret.held", logit, "holds a secret as it is", Some(span));
            }
            Dimension::Utility | Dimension::Sustainability => {
                let logit = self.reported.outcome();
                if logit > 0.0 {
                    add("outcome.success", logit, "reports success", Some(success.1));
                } else if logit < 0.0 {
                    add("outcome.failure", logit, "reports failure", Some(failure.1));
                }
            }
            Dimension::Vigilance | Dimension::Irreversibility if bypass.0 > 0 => {
                let logit = self.reported.bypassed();
                add("safeguard.bypassed", logit, "leaves a safeguard out", Some(bypass.1));
            }
            _ => {}
        }
        match dimension {
            Dimension::Integrity | Dimension::Accuracy => {
                match self.sha256 {
                    Proof::Right => {
                        add("hash.right", 1.0, "the stated SHA-256 is that of the body", None);
                    }
                    Proof::Wrong => {
                        add("hash.wrong", -2.5, "the stated SHA-256 is not that of the body", None);
                    }
                    Proof::Absent | Proof::Unchecked => {}
                }
                if self.lossy && dimension == Dimension::Integrity {
                    add("encoding.broken", -1.0, "holds bytes that are not valid UTF-8", None);
                }
            }
            _ => {}
        }
        let vouched = matches!(
            dimension,
            Dimension::Integrity | Dimension::Provenance | Dimension::Accountability
        );
        match self.signature {
            Proof::Right if vouched => {
                add("signature.right", 1.5, "is signed by a trusted key", None);
            }
            Proof::Wrong if vouched => {
                add("signature.wrong", -2.0, "its signature is of no trusted key", None);
            }
            _ => {}
        }
        let claimed = matches!(
            dimension,
            Dimension::Provenance | Dimension::Accountability | Dimension::Consensus
        );
        if self.claims > 0 && claimed {
            let logit = CLAIM_LOGIT * self.claims.min(CLAIMS_MAX) as f32;
            add("declared.unproven", logit, "speaks for itself without proof", None);
        }
    }
}

/// Statements in a text that can be checked: sums, and weekdays of dates.
pub(crate) fn statements(body: &str, scan: &mut Scan) {
    if scan.numbers >= 3 && scan.sign(b'=') > 0.0 {
        sums(body, scan);
    }
    if scan.numbers >= 2 {
        dates(body, scan);
    }
}

/// Most statements that are checked: enough to tell a habit.
const STATEMENTS_MAX: u32 = 16;

/// `12 + 30 = 42`.
fn sums(body: &str, scan: &mut Scan) {
    let mut checked = 0;
    for (at, _) in body.match_indices('=') {
        if checked >= STATEMENTS_MAX {
            return;
        }
        let begin = body.floor_char_boundary(at.saturating_sub(40));
        let end = body.floor_char_boundary((at + 24).min(body.len()));
        if let Some(right) = sum(&body[begin..at], &body[at + 1..end]) {
            scan.record(if right { Hit::Right } else { Hit::Wrong }, (begin, end));
            checked += 1;
        }
    }
}

/// Whether `a op b` equals the number that follows; nothing if it is no such statement.
fn sum(left: &str, right: &str) -> Option<bool> {
    let left = left.trim_end();
    let (rest, second) = number_at_end(left)?;
    let rest = rest.trim_end();
    let sign = rest.chars().next_back()?;
    let (_, first) = number_at_end(rest[..rest.len() - sign.len_utf8()].trim_end())?;
    let value = match sign {
        '+' => first + second,
        '-' | '−' => first - second,
        '*' | '×' => first * second,
        '/' | '÷' if second != 0.0 => first / second,
        _ => return None,
    };
    let right = right.trim_start();
    let end =
        right.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(right.len());
    let stated: f64 = right[..end].trim_end_matches(['.', '-']).parse().ok()?;
    Some((value - stated).abs() <= 0.011 * value.abs().max(1.0))
}

fn number_at_end(text: &str) -> Option<(&str, f64)> {
    let start = text
        .rfind(|c: char| !c.is_ascii_digit() && c != '.')
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    Some((&text[..start], text[start..].parse().ok()?))
}

const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// `2026-02-30` does not exist; `Monday, 4 March 2025` was a Tuesday.
fn dates(body: &str, scan: &mut Scan) {
    let head = crate::item::cut(body, DATED_BYTES_MAX);
    let bytes = head.as_bytes();
    let apart = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
    // Where the last date ended: a weekday belongs to one.
    let (mut at, mut from, mut checked) = (0, 0, 0);
    while at < bytes.len() && checked < STATEMENTS_MAX {
        // A date ends with a word that begins with a digit.
        if !bytes[at].is_ascii_digit() || at > 0 && bytes[at - 1].is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let end = bytes[at..].iter().position(apart).map_or(bytes.len(), |length| at + length);
        let word = head[at..end].trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let before =
            &head[head.ceil_char_boundary(at.saturating_sub(BEFORE_DATE_BYTES).max(from))..at];
        if let Some((year, month, day)) = iso_date(word).or_else(|| long_date(before, word)) {
            let exists = (1..=12).contains(&month) && (1..=month_days(year, month)).contains(&day);
            let stated = weekday_in(before);
            let fits =
                stated.is_none_or(|day_of| !exists || day_of == weekday_of(year, month, day));
            if !exists || !fits {
                scan.record(Hit::Wrong, (at, at + word.len()));
            } else if stated.is_some() {
                scan.record(Hit::Right, (at, at + word.len()));
            }
            checked += 1;
            from = end;
        }
        at = end;
    }
}

/// The words of a text, the last first, without the signs around them.
fn words_back(text: &str) -> impl Iterator<Item = &str> {
    let words = text.rsplit(|c: char| c.is_ascii_whitespace() || c == ',');
    let bare = words.map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()));
    bare.filter(|word| !word.is_empty())
}

/// The last weekday that is named, Monday being 0.
fn weekday_in(text: &str) -> Option<usize> {
    let named = |word: &str| WEEKDAYS.iter().position(|day| day.eq_ignore_ascii_case(word));
    words_back(text).find_map(named)
}

/// Bytes before a date's last word in which its other words and its weekday stand.
const BEFORE_DATE_BYTES: usize = 30;
/// Bytes of a text in which dates are checked.
const DATED_BYTES_MAX: usize = 32 * 1024;

fn iso_date(word: &str) -> Option<(i32, u32, u32)> {
    let bytes = word.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    Some((word[..4].parse().ok()?, word[5..7].parse().ok()?, word[8..].parse().ok()?))
}

/// `4 March 2025` or `March 4 2025`, by its last word and what stands before it.
fn long_date(before: &str, word: &str) -> Option<(i32, u32, u32)> {
    let year: i32 = word.parse().ok().filter(|year| (1600..=2400).contains(year))?;
    let month = |word: &str| {
        let found = |name: &str| {
            name.eq_ignore_ascii_case(word)
                || word.len() == 3 && name[..3].eq_ignore_ascii_case(word)
        };
        MONTHS.iter().position(|name| found(name)).map(|n| n as u32 + 1)
    };
    let day =
        |word: &str| word.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse::<u32>().ok();
    let mut words = words_back(before);
    let (second, first) = (words.next()?, words.next()?);
    match (month(first), month(second)) {
        (None, Some(month)) => Some((year, month, day(first)?)),
        (Some(month), None) => Some((year, month, day(second)?)),
        _ => None,
    }
}

fn month_days(year: i32, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Monday is 0. Source: Sakamoto's method for the Gregorian calendar.
fn weekday_of(year: i32, month: u32, day: u32) -> usize {
    const SHIFT: [i32; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
    let year = if month < 3 { year - 1 } else { year };
    let sunday =
        (year + year / 4 - year / 100 + year / 400 + SHIFT[month as usize - 1] + day.cast_signed())
            % 7;
    (sunday + 6) as usize % 7
}
/// The beginning of a place in the body: an item chooses how long it is.
fn quoted(body: &str, (begin, end): Span) -> Option<&str> {
    Some(crate::item::cut(body.get(begin..end)?, QUOTE_BYTES_MAX))
}
