//! Reading an item: a JSON object or a plain body becomes an [`Item`] with one text to judge.
//!
//! Owns the limits on what is read. Never judges, and never believes a score that the item carries.

use std::fmt::Write as _;

use cynic_proto::item::{Form, Hint, ItemError, ItemErrorKind};
use cynic_proto::limits::ITEM_ID_BYTES_MAX;
use cynic_proto::model::Domain;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::family::Family;
use crate::mail::{self, Mail};
use crate::page;
use crate::profile::Profile;
use crate::route;

/// Largest body that is judged, in bytes: the wire's frame limit, so a body that arrives can be judged.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Deepest nesting of an `event` or a `context` that is read: far beyond real events, far below
/// what would strain a stack (one level costs under a kilobyte).
pub const NESTING_DEPTH_MAX: usize = 64;
/// Longest key that is repeated in front of an event's value, in bytes: names are short, and a cap
/// keeps the flattened text linear in the item.
const EVENT_KEY_BYTES_MAX: usize = 64;
/// Longest context text that relevance is measured against, in bytes: a long question, not a book.
const CONTEXT_TEXT_BYTES_MAX: usize = 8 * 1024;
/// Longest type name that is kept, in bytes: a name, not a document.
const TYPE_BYTES_MAX: usize = 64;
/// Longest self-declared value that is kept, in bytes: a key or a signature fits.
const DECLARED_BYTES_MAX: usize = 512;

/// Which field a body came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// `content`, or the plain bytes.
    Content,
    /// `code`.
    Code,
    /// `event`, flattened to lines of `key: value`.
    Event,
}

/// What an item says of itself. None of it is evidence; what can be checked, is checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Declared {
    /// How many self-declared fields of standing it has (author, verified, sources, votes, …).
    pub claims: u32,
    /// A stated SHA-256 of the body, in hexadecimal.
    pub sha256: Option<String>,
    /// A signature over the body, in hexadecimal or base64.
    pub signature: Option<String>,
    /// It carried scores or a verdict, which were ignored.
    pub scores: bool,
}

/// What surrounds the item, as its caller describes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    /// The kind of work (`type` or `kind`), such as `code` or `market`.
    pub kind: Option<String>,
    /// What the item answers or belongs to (`question`, `text`, `topic`, `task`).
    pub text: Option<String>,
    /// An outside quality figure K, 0 to 100.
    pub k_score: Option<f32>,
}

/// An item that was read and can be judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its own id, cut to [`ITEM_ID_BYTES_MAX`].
    pub id: Option<String>,
    /// Its type, in lower case: `text`, `code`, `event` or a name of the user's.
    pub item_type: Option<String>,
    /// The text that is judged.
    pub body: String,
    /// Which field the body came from.
    pub body_kind: BodyKind,
    /// The body held invalid UTF-8 or lone surrogates, which were replaced.
    pub lossy: bool,
    /// A file name, whose ending tells a language or a domain.
    pub name: Option<String>,
    /// What it says of itself.
    pub declared: Declared,
    /// What surrounds it.
    pub context: Context,
    /// The weighting that the caller asked for; `None` means the one of the domain.
    pub profile: Option<Profile>,
    /// What a reader sees of it, where the body is a mail or a page.
    pub(crate) shown: Option<Shown>,
}

/// What a reader sees of a body that is not read as it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shown {
    /// Of a mail.
    Mail(Mail),
    /// Of a page of HTML.
    Page(String),
}

impl Item {
    /// Reads an item.
    ///
    /// # Errors
    /// Broken JSON (with line and column), a field of the wrong type, nesting beyond
    /// [`NESTING_DEPTH_MAX`], no body, a body over [`BODY_BYTES_MAX`], an unknown profile.
    pub fn read(bytes: &[u8], hint: &Hint) -> Result<Item, ItemError> {
        let mut item = match hint.form {
            Form::Json => read_json(bytes)?,
            Form::Plain => read_plain(bytes),
        };
        if item.item_type.is_none() {
            item.item_type = hint.item_type.as_deref().map(type_name);
        }
        item.name.clone_from(&hint.name);
        item.profile = Profile::asked(hint.profile.as_deref())?;
        let as_sent = match hint.form {
            Form::Json => item.body.as_bytes(),
            Form::Plain => bytes,
        };
        item.shown = Shown::of(&item, as_sent);
        // A mail says itself what its bytes mean.
        item.lossy &= !matches!(item.shown, Some(Shown::Mail(_)));
        if item.body.len() > BODY_BYTES_MAX {
            return Err(error(
                ItemErrorKind::TooLarge,
                format!(
                    "the body is {} bytes, over the {BODY_BYTES_MAX} that are judged; split it",
                    item.body.len()
                ),
            ));
        }
        if is_blank(&item.body) {
            return Err(error(
                ItemErrorKind::Empty,
                "there is nothing to judge: give `content`, `code` or `event` a body that is not blank".into(),
            ));
        }
        Ok(item)
    }

    /// The text that is read: the body, or what a reader sees of it.
    pub(crate) fn text(&self) -> &str {
        match &self.shown {
            None => &self.body,
            Some(Shown::Mail(mail)) => &mail.text,
            Some(Shown::Page(text)) => text,
        }
    }
}

impl Shown {
    fn of(item: &Item, as_sent: &[u8]) -> Option<Shown> {
        if route::may_be_mail(item)
            && let Some(mail) = mail::read(as_sent)
        {
            return Some(Shown::Mail(mail));
        }
        // What is handed to a model is read as the model will see it.
        let route = route::route(item);
        let is_page = page::begins_like_one(&item.body)
            && item.body_kind == BodyKind::Content
            && route.family == Family::Text
            && route.domain != Some(Domain::Prompt);
        is_page.then(|| Shown::page(&item.body)).filter(|page| !is_blank(page)).map(Shown::Page)
    }

    fn page(html: &str) -> String {
        let page = page::read(html);
        [&[page.text.as_str()], &page.links[..]].concat().join("\n")
    }
}

fn error(kind: ItemErrorKind, message: String) -> ItemError {
    ItemError { kind, message }
}

/// Blank also means: nothing but characters that show nothing.
fn is_blank(body: &str) -> bool {
    body.chars().all(|c| c.is_whitespace() || crate::fold::is_invisible(c) || c.is_control())
}

fn type_name(name: &str) -> String {
    cut(name.trim(), TYPE_BYTES_MAX).to_lowercase()
}

/// The longest prefix of at most `max` bytes that ends between characters.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

fn read_plain(bytes: &[u8]) -> Item {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(body) => Item::of(body.to_owned()),
        Err(_) => Item { lossy: true, ..Item::of(String::from_utf8_lossy(bytes).into_owned()) },
    }
}

impl Item {
    fn of(body: String) -> Item {
        Item {
            id: None,
            item_type: None,
            body,
            body_kind: BodyKind::Content,
            lossy: false,
            name: None,
            declared: Declared::default(),
            context: Context::default(),
            profile: None,
            shown: None,
        }
    }
}

fn read_json(bytes: &[u8]) -> Result<Item, ItemError> {
    let repaired;
    let (bytes, lossy) = if std::str::from_utf8(bytes).is_ok() {
        (bytes, false)
    } else {
        repaired = String::from_utf8_lossy(bytes).into_owned();
        (repaired.as_bytes(), true)
    };
    // An editor's byte order mark is not the user's mistake.
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let fields = json.deserialize_any(FieldsVisitor).and_then(|fields| json.end().map(|()| fields));
    let fields = fields.map_err(|source| json_error(&source))?;
    let mut item = fields.into_item();
    item.lossy |= lossy;
    Ok(item)
}

/// The id of an item that cannot be read, if it comes before what cannot.
pub fn item_id(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut id = None;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    // What is found before the mistake counts.
    let _mistake = json.deserialize_map(IdVisitor(&mut id));
    id
}

struct IdVisitor<'a>(&'a mut Option<String>);

impl<'de> Visitor<'de> for IdVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Text>()? {
            if key.text == "id" {
                *self.0 = map.next_value_seed(Scalar(ITEM_ID_BYTES_MAX))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

const TOO_DEEP: &str = "nested too deep";
const TOO_LONG: &str = "too long as a text";

/// What is told of why an item cannot be read: where a text stands in an object's place, that says all of the text.
const SAID_BYTES_MAX: usize = 256;

fn json_error(source: &serde_json::Error) -> ItemError {
    let (line, column) = (source.line(), source.column());
    let mut said = source.to_string();
    if said.starts_with("recursion limit") || said.starts_with(TOO_DEEP) {
        return error(
            ItemErrorKind::WrongType,
            format!(
                "nested deeper than {NESTING_DEPTH_MAX} levels at line {line} column {column}; flatten it"
            ),
        );
    }
    if said.starts_with(TOO_LONG) {
        let said =
            format!("the event is over {BODY_BYTES_MAX} bytes as a text, a line a value; split it");
        return error(ItemErrorKind::TooLarge, said);
    }
    if said.len() > SAID_BYTES_MAX {
        said = format!("{} … at line {line} column {column}", cut(&said, SAID_BYTES_MAX));
    }
    if source.is_data() {
        return error(ItemErrorKind::WrongType, format!("the item cannot be read: {said}"));
    }
    error(
        ItemErrorKind::InvalidJson,
        format!(
            "invalid JSON: {said}; send one JSON object, or mark the bytes as plain text (`cynicctl judge --type text`)"
        ),
    )
}

/// The fields of an item, as found.
#[derive(Default)]
struct Fields {
    id: Option<String>,
    item_type: Option<String>,
    content: Option<Text>,
    code: Option<Text>,
    event: Option<Text>,
    declared: Declared,
    context: Context,
}

impl Fields {
    /// All bodies are judged: what hides in a second field would otherwise pass unread.
    fn into_item(self) -> Item {
        let mut body = String::new();
        let mut lossy = false;
        let mut body_kind = None;
        let parts = [
            (BodyKind::Content, self.content),
            (BodyKind::Code, self.code),
            (BodyKind::Event, self.event),
        ];
        for (kind, part) in parts {
            let Some(part) = part else { continue };
            lossy |= part.lossy;
            if is_blank(&part.text) && !body.is_empty() {
                continue;
            }
            if body.is_empty() {
                body = part.text;
            } else {
                let _infallible = write!(body, "\n\n{}", part.text);
            }
            body_kind.get_or_insert(kind);
        }
        Item {
            id: self.id,
            item_type: self.item_type,
            body_kind: body_kind.unwrap_or(BodyKind::Content),
            lossy,
            declared: self.declared,
            context: self.context,
            ..Item::of(body)
        }
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object with `content`, `code` or `event`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<Text>()? {
            match key.text.as_str() {
                "id" => fields.id = map.next_value_seed(Scalar(ITEM_ID_BYTES_MAX))?,
                "type" => {
                    fields.item_type =
                        Some(type_name(&map.next_value_seed(StringField("type"))?.text));
                }
                "content" => {
                    add(&mut fields.content, map.next_value_seed(Body("content"))?);
                }
                "code" => add(&mut fields.code, map.next_value_seed(Body("code"))?),
                "event" => {
                    let event = fields.event.get_or_insert_default();
                    map.next_value_seed(Flatten { out: event, key: "", depth: 0 })?;
                }
                "context" => fields.context = map.next_value_seed(ContextSeed)?,
                "sha256" => {
                    fields.declared.sha256 = map.next_value_seed(Scalar(DECLARED_BYTES_MAX))?;
                }
                "signature" => {
                    fields.declared.claims += 1;
                    fields.declared.signature = map.next_value_seed(Scalar(DECLARED_BYTES_MAX))?;
                }
                other => {
                    fields.declared.note(other);
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

/// A field that is given again is read too: what hides in the first would otherwise pass unread.
fn add(field: &mut Option<Text>, again: Option<Text>) {
    let Some(again) = again else { return };
    match field {
        None => *field = Some(again),
        Some(text) => {
            text.text.push_str("\n\n");
            text.text.push_str(&again.text);
            text.lossy |= again.lossy;
        }
    }
}

impl Declared {
    fn note(&mut self, field: &str) {
        match field {
            "author" | "verified" | "sources" | "source" | "citations" | "votes" | "upvotes"
            | "likes" | "rating" | "reputation" | "trusted" | "trust" | "signed" | "reviewed"
            | "approved" | "endorsements" | "references" | "certified" | "hash" | "proof"
            | "consensus" | "provenance" | "license" => self.claims += 1,
            "q_score" | "qScore" | "score" | "scores" | "verdict" | "dimensions" | "axioms"
            | "confidence" | "Q" => self.scores = true,
            _ => {}
        }
    }
}

/// A string that may hold invalid UTF-8 or lone surrogates; those are replaced and noted.
#[derive(Default)]
struct Text {
    text: String,
    lossy: bool,
}

impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        StringField("key").deserialize(deserializer)
    }
}

/// Reads a string by its bytes, so that a lone surrogate is replaced and not an error.
struct StringField(&'static str);

impl<'de> DeserializeSeed<'de> for StringField {
    type Value = Text;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for StringField {
    type Value = Text;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a string for `{}` (an object or a list goes under `event`)", self.0)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text { text: text.to_owned(), lossy: false })
    }
    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Text, E> {
        // Nearly all of it is valid, which the check alone finds out soonest.
        let valid = std::str::from_utf8(bytes).map(str::to_owned);
        let lossy = valid.is_err();
        let text = valid.unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned());
        Ok(Text { text, lossy })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Text, A::Error> {
        Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self))
    }
}

/// A body that may be null, which counts as absent.
struct Body(&'static str);

impl<'de> DeserializeSeed<'de> for Body {
    type Value = Option<Text>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Body {
    type Value = Option<Text>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a string for `{}`", self.0)
    }
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        StringField(self.0).deserialize(deserializer).map(Some)
    }
}

/// A string or a number as text of at most so many bytes; anything else counts as absent.
struct Scalar(usize);

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = Option<String>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar {
    type Value = Option<String>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string or a number")
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(cut(text, self.0).to_owned()))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// Turns an event into lines of `key: value`, in order.
struct Flatten<'a> {
    out: &'a mut Text,
    key: &'a str,
    depth: usize,
}

impl Flatten<'_> {
    fn line<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        let out = &mut self.out.text;
        // A key is repeated for each value of a list: a short event can be a long text.
        if out.len() > BODY_BYTES_MAX {
            return Err(E::custom(TOO_LONG));
        }
        if !out.is_empty() {
            out.push('\n');
        }
        if !self.key.is_empty() {
            out.push_str(self.key);
            out.push_str(": ");
        }
        out.push_str(value);
        Ok(())
    }

    fn descend<E: serde::de::Error>(&self) -> Result<usize, E> {
        if self.depth >= NESTING_DEPTH_MAX {
            return Err(E::custom(TOO_DEEP));
        }
        Ok(self.depth + 1)
    }
}

impl<'de> DeserializeSeed<'de> for Flatten<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flatten<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an event: any JSON value")
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.line(text)
    }
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        self.line(&number.to_string())
    }
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        self.line(&number.to_string())
    }
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        self.line(&number.to_string())
    }
    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.line(if value { "true" } else { "false" })
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let depth = self.descend()?;
        while let Some(key) = map.next_key::<Text>()? {
            let key = cut(&key.text, EVENT_KEY_BYTES_MAX);
            map.next_value_seed(Flatten { out: &mut *self.out, key, depth })?;
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth = self.descend()?;
        while seq
            .next_element_seed(Flatten { out: &mut *self.out, key: self.key, depth })?
            .is_some()
        {}
        Ok(())
    }
}

struct ContextSeed;

impl<'de> DeserializeSeed<'de> for ContextSeed {
    type Value = Context;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Context, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ContextSeed {
    type Value = Context;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object (or a string) for `context`")
    }
    fn visit_str<E>(self, text: &str) -> Result<Context, E> {
        Ok(Context {
            text: Some(cut(text, CONTEXT_TEXT_BYTES_MAX).to_owned()),
            ..Context::default()
        })
    }
    fn visit_unit<E>(self) -> Result<Context, E> {
        Ok(Context::default())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Context, A::Error> {
        let mut context = Context::default();
        while let Some(key) = map.next_key::<Text>()? {
            match key.text.as_str() {
                "type" | "kind" => {
                    context.kind = map
                        .next_value_seed(Scalar(TYPE_BYTES_MAX))?
                        .map(|kind| kind.to_lowercase());
                }
                "question" | "text" | "topic" | "task" => {
                    if let Some(text) = map.next_value_seed(Scalar(CONTEXT_TEXT_BYTES_MAX))? {
                        let all = context.text.get_or_insert_default();
                        if !all.is_empty() && all.len() < CONTEXT_TEXT_BYTES_MAX {
                            all.push('\n');
                        }
                        all.push_str(cut(&text, CONTEXT_TEXT_BYTES_MAX.saturating_sub(all.len())));
                    }
                }
                "k_score" | "kScore" | "k" => {
                    let figure = map.next_value_seed(Scalar(TYPE_BYTES_MAX))?;
                    context.k_score = figure
                        .and_then(|text| text.parse::<f32>().ok())
                        .filter(|k| (0.0..=100.0).contains(k));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(context)
    }
}
