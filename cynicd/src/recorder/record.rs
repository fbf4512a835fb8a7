//! Entries made ready for storing: stripped of content, with the columns that are derived from the details.
//!
//! Details come from a worker and are untrusted: what cannot be decoded is left out, never trusted.

use std::borrow::Cow;

use cynic_proto::codec;
use cynic_proto::explanation::Encoded;
use cynic_proto::history::JudgmentRow;
use cynic_proto::ids::TaskId;
use cynic_proto::limits::ITEM_ID_BYTES_MAX;
use cynic_proto::message::Ack;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, JudgmentEntry, StoredJudgment};

/// Leads an encoded entry, so that a later build tells which format it is.
const FORMAT: u8 = 2;

/// The format before: with a text at the end, the features.
const FORMAT_WITH_FEATURES: u8 = 1;

/// Longest summary that is stored, in bytes: a line or two.
const SUMMARY_BYTES_MAX: usize = 512;

/// Most evidence codes in an episode: more than the judge has dimensions, far less than a hostile worker
/// could make up.
const FEATURES_MAX: usize = 128;

/// Longest evidence code in an episode, in bytes.
const FEATURE_BYTES_MAX: usize = 64;

/// An entry ready for storing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub entry: Entry,
    /// Of a judgment: what its details say.
    pub derived: Derived,
}

/// Columns of a judgment that its details give.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Derived {
    pub item_id: Option<String>,
    pub summary: String,
}

impl Record {
    /// Makes an entry ready. Without its item, all quotations from that are left out too.
    pub(super) fn new(mut entry: Entry) -> Record {
        let mut derived = Derived::default();
        match &mut entry {
            Entry::Judgment(judgment) => derived = derive(judgment),
            Entry::Failure(failure) => {
                failure.message = clean(std::mem::take(&mut failure.message));
                failure.item_id = failure.item_id.take().map(item_id);
                for death in &mut failure.deaths {
                    death.stderr_tail = clean(std::mem::take(&mut death.stderr_tail));
                }
            }
            Entry::Notice(notice) => {
                notice.message = clean(std::mem::take(&mut notice.message));
                notice.kind = clean(std::mem::take(&mut notice.kind));
            }
        }
        Record { entry, derived }
    }

    /// For the spool and for dead letters.
    pub(super) fn encode(&self) -> Result<Vec<u8>, String> {
        let mut bytes = vec![FORMAT];
        bytes.extend(codec::encode(self).map_err(|e| e.to_string())?);
        Ok(bytes)
    }

    /// What [`Record::encode`] wrote, in this build or the one before.
    pub(super) fn decode(bytes: &[u8]) -> Result<Record, String> {
        let decoded = match bytes.split_first() {
            Some((&FORMAT, rest)) => codec::decode(rest),
            Some((&FORMAT_WITH_FEATURES, rest)) => {
                codec::decode(rest).map(|(record, _features): (Record, String)| record)
            }
            Some((format, _)) => {
                return Err(format!("format {format} is not one that this build reads"));
            }
            None => return Err("it is empty".to_owned()),
        };
        decoded.map_err(|e| e.to_string())
    }

    /// The judgment, if it is one, as it will be read back, and how far it has got.
    pub(super) fn stored_judgment(&self, reached: Ack) -> Option<StoredJudgment> {
        let Entry::Judgment(entry) = &self.entry else { return None };
        let row = JudgmentRow {
            task: entry.task,
            seq: 0,
            judged_at_us: entry.judged_at_us,
            judgment: entry.judgment.clone(),
            item_id: self.derived.item_id.clone(),
            summary: self.derived.summary.clone(),
            client_uid: entry.client_uid,
            ack: entry.ack,
            worker: entry.worker,
            attempts: entry.attempts,
            timings: entry.timings,
            calibration: entry.calibration,
            feedback: None,
            features: None,
        };
        Some(StoredJudgment { reached, row, explanation: entry.explanation.clone() })
    }

    /// Whether the stored row is this very judgment.
    pub(super) fn is(&self, row: &JudgmentRow) -> bool {
        match &self.entry {
            Entry::Judgment(entry) => {
                entry.judged_at_us == row.judged_at_us && entry.judgment == row.judgment
            }
            _ => true,
        }
    }

    /// The task, if this is its judgment.
    pub(super) fn judgment_task(&self) -> Option<TaskId> {
        match &self.entry {
            Entry::Judgment(entry) => Some(entry.task),
            _ => None,
        }
    }

    pub(super) fn task(&self) -> Option<TaskId> {
        self.entry.task()
    }
}

/// Reads the explanation and leaves in the entry what may be stored of it.
fn derive(entry: &mut JudgmentEntry) -> Derived {
    let unreadable =
        || Derived { item_id: None, summary: "(the explanation could not be read)".to_owned() };
    let explanation = std::mem::take(&mut entry.explanation);
    let Ok(mut explanation) = Encoded::read(&explanation) else { return unreadable() };
    let derived = Derived {
        item_id: explanation.item_id.map(|id| item_id(id.to_owned())),
        summary: truncate(clean(explanation.summary.to_owned()), SUMMARY_BYTES_MAX),
    };
    explanation.item_id = derived.item_id.as_deref();
    explanation.summary = &derived.summary;
    let with_content = entry.content.is_some();
    let stored = explanation.reworded(|text, placed| match (with_content, placed) {
        (true, _) => Some(Cow::Borrowed(text)),
        (false, true) => said_of_place(text),
        (false, false) => Some(unquoted(text)),
    });
    let Ok(stored) = stored else { return unreadable() };
    entry.explanation = stored;
    derived
}

/// The features of a stored judgment: points by evidence code, to the hundredth, without any text of the item.
pub(super) fn features(explanation: &[u8]) -> Vec<(String, f32)> {
    let Ok(explanation) = Encoded::read(explanation) else { return Vec::new() };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':');
    let known = |&(code, points): &(&str, f32)| {
        code.len() <= FEATURE_BYTES_MAX && code.bytes().all(plain) && points.is_finite()
    };
    let points = explanation.points(FEATURES_MAX).into_iter().filter(known);
    points.map(|(code, sum)| (code.to_owned(), (sum * 100.0).round() / 100.0)).collect()
}

/// What a text says that has a place in the body. Of a quotation that is what is said of it; a text of another form may be
/// nothing but words of the item. Whoever has the item can look the place up.
fn said_of_place(text: &str) -> Option<Cow<'_, str>> {
    Some(unquoted(text)).filter(|said| said.ends_with(": …"))
}

/// An explanation without the words of the item that it quotes.
fn unquoted(text: &str) -> Cow<'_, str> {
    let Some((before, mut rest)) = text.split_once('"') else { return Cow::Borrowed(text) };
    let mut kept = String::with_capacity(text.len());
    kept.push_str(before);
    loop {
        kept.push('…');
        let Some((said, next)) = after_quotation(rest).split_once('"') else {
            kept.push_str(after_quotation(rest));
            return Cow::Owned(kept);
        };
        kept.push_str(said);
        rest = next;
    }
}

/// What follows on a quotation, in which quotation marks are escaped.
fn after_quotation(quotation: &str) -> &str {
    let mut escaped = false;
    let end = quotation.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or("", |end| &quotation[end + 1..])
}

/// PostgreSQL's text holds no NUL; neither do terminals like one.
pub(super) fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn item_id(id: String) -> String {
    truncate(clean(id), ITEM_ID_BYTES_MAX)
}

fn truncate(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

#[cfg(test)]
mod tests {
    use super::super::entry::{EntryKey, NoticeEntry};
    use super::*;

    #[test]
    fn what_has_a_place_is_kept_if_it_says_something_of_it() {
        assert_eq!(said_of_place("links: \"http://a\"").as_deref(), Some("links: …"));
        for words in ["password=hunter2", "\"hunter2\"", "key: hunter2", "key: \"a\" hunter2"] {
            assert_eq!(said_of_place(words), None, "{words}");
        }
    }

    #[test]
    fn quoted_words_are_left_out() {
        let text = "as a whole: refers back: \"before\"; addresses its reader: \"your\"";
        assert_eq!(unquoted(text), "as a whole: refers back: …; addresses its reader: …");
        assert_eq!(unquoted("has length"), "has length");
        assert_eq!(unquoted("\"a\"\"b\" and \"\""), "…… and …");
        assert_eq!(unquoted("never closed: \"my password"), "never closed: …");
        let quotation = format!("links: {:?}; is long", r#"say "hunter2" and \" or \\"#);
        assert_eq!(unquoted(&quotation), "links: …; is long");
    }

    #[test]
    fn what_the_build_before_spooled_is_read() {
        let notice = NoticeEntry {
            key: EntryKey::new(),
            at_us: 1,
            kind: "worker.died".to_owned(),
            task: None,
            message: "it died".to_owned(),
        };
        let record = Record::new(Entry::Notice(Box::new(notice)));
        let encoded = record.encode().unwrap();
        assert_eq!(Record::decode(&encoded).unwrap(), record);
        let mut before = vec![FORMAT_WITH_FEATURES];
        before.extend_from_slice(&encoded[1..]);
        before.extend(codec::encode(&"{\"text.short\":2.0}").unwrap());
        assert_eq!(Record::decode(&before).unwrap(), record);
        assert!(Record::decode(&[9]).unwrap_err().contains("format 9"));
    }
}
