//! Labelled data: JSON objects, one a line, each an item with its label or a pair with the better one.
//!
//! Turns lines into records or into errors that say where and what to do. Never lets the label, the
//! set or the `meta` of a line reach the judge: an item's bytes are the line without them.

use std::io::BufRead;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest line read, in bytes: the largest item the daemon takes (tens of MiB) with every byte escaped
/// would be larger, but nobody labels those; a file without line ends must not fill the memory.
pub const LINE_BYTES_MAX: usize = 64 << 20;

/// Fields that say something about the item and are no part of it.
const FIELDS_OF_THE_LABELLER: [&str; 3] = ["label", "set", "meta"];

/// Fields that carry an item's body, in the order in which they are looked for.
const BODY_FIELDS: [&str; 3] = ["content", "code", "event"];

/// What a person said of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// Label 1: good, trustworthy, harmless.
    Good,
    /// Label 0: bad.
    Bad,
}

impl Label {
    /// `good` or `bad`, as in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Label::Good => "good",
            Label::Bad => "bad",
        }
    }
}

/// One item with its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// Line in its file, from 1.
    pub line: usize,
    /// The set that it is reported with: the line's `set`, or the file's name without its ending.
    pub set: String,
    /// The line's `id`, or the set and the line.
    pub id: String,
    /// What a person said of it.
    pub label: Label,
    /// The line's `meta`, for grouping folds; null where there is none.
    pub meta: Value,
    /// The item as a judge may see it: the line without label, set and meta.
    pub item: Vec<u8>,
    /// The body as text (an event as compact JSON).
    pub text: String,
}

/// Two texts of which one is better.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Line in its file, from 1.
    pub line: usize,
    /// The set that it is reported with.
    pub set: String,
    /// The line's `id`, or the set and the line.
    pub id: String,
    /// The line's `topic` (or `meta.topic`), for grouping folds.
    pub topic: Option<String>,
    /// The better text.
    pub better: String,
    /// The worse text.
    pub worse: String,
}

/// What a line holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// An item with its label.
    Item(Labelled),
    /// Two texts of which one is better (`better` is `a1` or `a2`, with `a1` and `a2`).
    Pair(Pair),
}

/// Why labelled data could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// One line is wrong; the others may be read.
    #[error("{file}:{line}: {problem}")]
    Line {
        /// The file as named by the caller.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The file has no line with a record.
    #[error(
        "{file}: no labelled items; each line must be a JSON object with `label` (1 good, 0 bad) and `content`, `code` or `event`"
    )]
    Empty {
        /// The file as named by the caller.
        file: String,
    },
    /// Reading failed.
    #[error("could not read {file} after line {line}")]
    Read {
        /// The file as named by the caller.
        file: String,
        /// Last line that was read.
        line: usize,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// What is wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Broken JSON.
    #[error("column {column}: broken JSON ({message}); each line must be one complete JSON object")]
    Json {
        /// Column in bytes, from 1.
        column: usize,
        /// What the parser said.
        message: String,
    },
    /// JSON, but not an object.
    #[error(
        "a JSON {found}, not an object; write one {{…}} a line (an array is not read as a list of items)"
    )]
    NotAnObject {
        /// What it is instead.
        found: &'static str,
    },
    /// Not UTF-8.
    #[error("column {column}: not UTF-8; save the file as UTF-8")]
    NotUtf8 {
        /// Column in bytes, from 1.
        column: usize,
    },
    /// The line is longer than [`LINE_BYTES_MAX`].
    #[error("longer than {LINE_BYTES_MAX} bytes; is a line end missing?")]
    TooLong,
    /// No label.
    #[error("no `label`; add \"label\": 1 for a good item or \"label\": 0 for a bad one")]
    NoLabel,
    /// A label that is neither 1 nor 0.
    #[error("`label` is {found}; it must be 1 (good) or 0 (bad)")]
    BadLabel {
        /// What it is instead, shortened.
        found: String,
    },
    /// No body.
    #[error("no body; add `content`, `code` or `event`")]
    NoBody,
    /// A body without text.
    #[error("`{field}` is empty; remove the line or give it a body")]
    EmptyBody {
        /// The field of the body.
        field: &'static str,
    },
    /// A field of the wrong type.
    #[error("`{field}` is {found}; it must be {expected}")]
    WrongType {
        /// Which field.
        field: &'static str,
        /// What it is, shortened.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
}

/// Reads the records of one file, in order. A wrong line is an error and the next line goes on; a
/// failing reader ends it.
pub struct Records<R> {
    reader: R,
    file: String,
    set: String,
    line: usize,
    found: bool,
    done: bool,
}

/// Reads `file` (its name is for messages and for the default set) from `reader`.
pub fn records<R: BufRead>(reader: R, file: &str) -> Records<R> {
    let stem = Path::new(file).file_stem().and_then(|s| s.to_str()).unwrap_or(file);
    Records { reader, file: file.into(), set: stem.into(), line: 0, found: false, done: false }
}

/// Reads all records of one file.
///
/// # Errors
/// The first line that is wrong, an empty file, a reader that fails.
pub fn read<R: BufRead>(reader: R, file: &str) -> Result<Vec<Record>, DatasetError> {
    records(reader, file).collect()
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = Result<Record, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            let bytes = match self.next_line() {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    self.done = true;
                    let empty = DatasetError::Empty { file: self.file.clone() };
                    return (!self.found).then_some(Err(empty));
                }
                Err(source) => {
                    self.done = true;
                    let (file, line) = (self.file.clone(), self.line);
                    return Some(Err(DatasetError::Read { file, line, source }));
                }
            };
            self.line += 1;
            let record = match self.record(&bytes) {
                Ok(None) => continue,
                Ok(Some(record)) => Ok(record),
                Err(problem) => {
                    self.done |= problem == Problem::TooLong;
                    Err(DatasetError::Line { file: self.file.clone(), line: self.line, problem })
                }
            };
            self.found = true;
            return Some(record);
        }
        None
    }
}

impl<R: BufRead> Records<R> {
    fn next_line(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let limit = LINE_BYTES_MAX as u64 + 1;
        std::io::Read::take(&mut self.reader, limit).read_until(b'\n', &mut bytes)?;
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    /// `None` for a blank line.
    fn record(&self, bytes: &[u8]) -> Result<Option<Record>, Problem> {
        if bytes.len() > LINE_BYTES_MAX {
            return Err(Problem::TooLong);
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|e| Problem::NotUtf8 { column: e.valid_up_to() + 1 })?;
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').filter(|_| self.line == 1).unwrap_or(text);
        if text.trim().is_empty() {
            return Ok(None);
        }
        let object = match serde_json::from_str(text) {
            Ok(Value::Object(object)) => object,
            Ok(other) => return Err(Problem::NotAnObject { found: kind(&other) }),
            Err(e) => {
                return Err(Problem::Json { column: e.column(), message: without_place(&e) });
            }
        };
        let is_pair = object.contains_key("better") && !object.contains_key("label");
        if is_pair {
            self.pair(&object).map(Record::Pair)
        } else {
            self.item(object).map(Record::Item)
        }
        .map(Some)
    }

    fn item(&self, mut object: Map<String, Value>) -> Result<Labelled, Problem> {
        let label = label(object.get("label"))?;
        let text = body(&object)?;
        let set = self.set_of(&object)?;
        let id = self.id_of(&object, &set);
        let meta = object.get("meta").cloned().unwrap_or_default();
        for field in FIELDS_OF_THE_LABELLER {
            object.remove(field);
        }
        let item = Value::Object(object).to_string().into_bytes();
        Ok(Labelled { line: self.line, set, id, label, meta, item, text })
    }

    fn pair(&self, object: &Map<String, Value>) -> Result<Pair, Problem> {
        let first = text_of(object, "a1")?;
        let second = text_of(object, "a2")?;
        let (better, worse) = match object.get("better").and_then(Value::as_str) {
            Some("a1") => (first, second),
            Some("a2") => (second, first),
            _ => {
                return Err(Problem::WrongType {
                    field: "better",
                    found: shortened(&object["better"]),
                    expected: "\"a1\" or \"a2\"",
                });
            }
        };
        let set = self.set_of(object)?;
        let id = self.id_of(object, &set);
        let topic = object.get("topic").or_else(|| object.get("meta")?.get("topic"));
        let topic = topic.and_then(Value::as_str).map(str::to_owned);
        Ok(Pair { line: self.line, set, id, topic, better, worse })
    }

    fn set_of(&self, object: &Map<String, Value>) -> Result<String, Problem> {
        match object.get("set") {
            None | Some(Value::Null) => Ok(self.set.clone()),
            Some(Value::String(set)) if !set.trim().is_empty() => Ok(set.clone()),
            Some(other) => Err(Problem::WrongType {
                field: "set",
                found: shortened(other),
                expected: "a name (or left out: then it is the file's name)",
            }),
        }
    }

    fn id_of(&self, object: &Map<String, Value>, set: &str) -> String {
        match object.get("id") {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => format!("{set}:{}", self.line),
        }
    }
}

fn label(value: Option<&Value>) -> Result<Label, Problem> {
    match value {
        None => Err(Problem::NoLabel),
        Some(Value::Bool(true)) => Ok(Label::Good),
        Some(Value::Bool(false)) => Ok(Label::Bad),
        Some(value) => match value.as_f64() {
            Some(1.0) => Ok(Label::Good),
            Some(0.0) => Ok(Label::Bad),
            _ => Err(Problem::BadLabel { found: shortened(value) }),
        },
    }
}

fn body(object: &Map<String, Value>) -> Result<String, Problem> {
    let present = |field: &&str| object.get(*field).is_some_and(|v| !v.is_null());
    let field = BODY_FIELDS.into_iter().find(present).ok_or(Problem::NoBody)?;
    let text = match &object[field] {
        Value::String(text) => text.clone(),
        Value::Object(o) if o.is_empty() => String::new(),
        Value::Object(_) | Value::Array(_) if field == "event" => object[field].to_string(),
        other => {
            let expected = if field == "event" { "an object or a string" } else { "a string" };
            return Err(Problem::WrongType { field, found: shortened(other), expected });
        }
    };
    if text.trim().is_empty() { Err(Problem::EmptyBody { field }) } else { Ok(text) }
}

fn text_of(object: &Map<String, Value>, field: &'static str) -> Result<String, Problem> {
    match object.get(field) {
        Some(Value::String(text)) if text.trim().is_empty() => Err(Problem::EmptyBody { field }),
        Some(Value::String(text)) => Ok(text.clone()),
        other => Err(Problem::WrongType {
            field,
            found: other.map_or_else(|| "missing".into(), shortened),
            expected: "a string",
        }),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A value as it stands in the file, short enough for a message.
fn shortened(value: &Value) -> String {
    const CHARS_MAX: usize = 40;
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The parser's words without its own "at line 1 column 9": the line is another one in the file.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Result<Record, String> {
        let mut all = records(line.as_bytes(), "dir/mail.jsonl");
        let first = all.next().expect("a record or an error").map_err(|e| e.to_string());
        assert!(all.next().is_none());
        first
    }

    fn error(line: &str) -> String {
        one(line).expect_err("a wrong line")
    }

    #[test]
    fn an_item_keeps_what_it_says_and_hides_what_the_labeller_said() {
        let line = r#"{"id":"a","set":"s","type":"text","label":0,"content":"hi","author":"me","meta":{"topic":"t"}}"#;
        let Ok(Record::Item(item)) = one(line) else { panic!("an item") };
        assert_eq!((item.line, item.set.as_str(), item.id.as_str()), (1, "s", "a"));
        assert_eq!((item.label, item.text.as_str()), (Label::Bad, "hi"));
        assert_eq!(item.meta["topic"], "t");
        let seen: Value = serde_json::from_slice(&item.item).expect("JSON");
        let expected = serde_json::json!({"id":"a","type":"text","content":"hi","author":"me"});
        assert_eq!(seen, expected);
    }

    #[test]
    fn set_and_id_have_defaults() {
        let Ok(Record::Item(item)) = one("\u{feff}{\"label\":1,\"event\":{\"kind\":\"login\"}}\n")
        else {
            panic!("an item")
        };
        assert_eq!((item.set.as_str(), item.id.as_str()), ("mail", "mail:1"));
        assert_eq!(item.text, r#"{"kind":"login"}"#);
        assert!(item.meta.is_null());
    }

    #[test]
    fn a_pair_is_told_by_its_fields() {
        let Ok(Record::Pair(pair)) = one(r#"{"better":"a2","a1":"x","a2":"y","topic":"t"}"#) else {
            panic!("a pair")
        };
        assert_eq!((pair.better.as_str(), pair.worse.as_str()), ("y", "x"));
        assert_eq!(pair.topic.as_deref(), Some("t"));
    }

    #[test]
    fn errors_say_where_and_what_to_do() {
        let expected = [
            (r#"{"content":"x"}"#, "no `label`; add \"label\": 1"),
            (r#"{"label":"spam","content":"x"}"#, "`label` is \"spam\"; it must be 1 (good) or 0"),
            (r#"{"label":2,"content":"x"}"#, "`label` is 2; it must be"),
            (r#"{"label":null,"content":"x"}"#, "`label` is null; it must be"),
            (r#"{"label":1}"#, "no body; add `content`, `code` or `event`"),
            (r#"{"label":1,"content":" "}"#, "`content` is empty"),
            (r#"{"label":1,"content":[1]}"#, "`content` is [1]; it must be a string"),
            (r#"{"label":1,"content":"x","set":7}"#, "`set` is 7; it must be a name"),
            (r#"{"label":1,"content":"x""#, "column 24: broken JSON (EOF while parsing an object)"),
            ("[1]", "a JSON array, not an object"),
            (r#"{"better":"a3","a1":"x","a2":"y"}"#, "`better` is \"a3\"; it must be \"a1\" or"),
            (r#"{"better":"a1","a1":"x"}"#, "`a2` is missing; it must be a string"),
        ];
        for (line, message) in expected {
            let got = error(line);
            assert!(got.starts_with("dir/mail.jsonl:1: "), "{got}");
            assert!(got.contains(message), "{got} lacks {message}");
        }
    }

    #[test]
    fn a_wrong_line_does_not_hide_the_next() {
        let file = b"{\"label\":1,\"content\":\"x\"}\n\nnonsense\n{\"label\":1,\"content\":\"\xff\"}\n{\"label\":0,\"content\":\"y\"}";
        let all: Vec<_> = records(&file[..], "f").collect();
        assert_eq!(all.len(), 4);
        let messages: Vec<_> =
            all.iter().filter_map(|r| r.as_ref().err()).map(ToString::to_string).collect();
        assert!(messages[0].starts_with("f:3: column 2: broken JSON"), "{}", messages[0]);
        assert!(messages[1].starts_with("f:4: column 23: not UTF-8"), "{}", messages[1]);
        assert!(read(&file[..], "f").is_err());
    }

    #[test]
    fn a_file_without_records_says_what_is_wanted() {
        for empty in ["", "\n \n"] {
            let message = read(empty.as_bytes(), "e.jsonl").expect_err("empty").to_string();
            assert!(message.starts_with("e.jsonl: no labelled items; each line must"), "{message}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_read_to_its_end() {
        let endless = std::io::Read::take(std::io::repeat(b'x'), LINE_BYTES_MAX as u64 + 9);
        let all: Vec<_> = records(std::io::BufReader::new(endless), "f").collect();
        let [Err(error)] = &all[..] else { panic!("one error, got {}", all.len()) };
        assert_eq!(error.to_string(), "f:1: longer than 67108864 bytes; is a line end missing?");
    }

    #[test]
    fn a_reader_that_fails_ends_the_reading() {
        struct Broken;
        impl std::io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("disk on fire"))
            }
        }
        let all: Vec<_> = records(std::io::BufReader::new(Broken), "f").collect();
        assert!(matches!(all[..], [Err(DatasetError::Read { line: 0, .. })]));
    }
}
