//! Where items come from: files, directories and standard input become a stream of [`Event`]s.
//!
//! Owns how an input is recognised and what is refused without being read whole. Holds one item at a time
//! and never judges or prints.

mod lines;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use cynic_proto::item::Form;
use cynic_proto::limits::FRAME_BYTES_MAX;
use walkdir::WalkDir;

use lines::Line;

/// Largest item that is sent: what a frame holds beside the request around it.
pub const ITEM_BYTES_MAX: usize = FRAME_BYTES_MAX - 4096;

/// How much of a body is searched for NUL bytes to tell binary from text, as git does.
const BINARY_PROBE_BYTES: usize = 8 * 1024;

/// How much is read at once, and looked at to recognise an input: larger than any first line of a person's.
const READ_BYTES: usize = 64 * 1024;

/// Endings of files that the judge takes for commands or code by their names.
const PROGRAM_ENDINGS: &[&str] = &[
    "sh", "bash", "zsh", "ksh", "fish", "ps1", "bat", "cmd", "py", "c", "h", "cc", "cpp", "hpp",
    "rs", "go", "js", "ts", "jsx", "tsx", "java", "kt", "rb", "php", "pl", "cs", "swift", "scala",
    "lua", "sql", "m", "r", "hs", "ex", "erl", "zig", "diff", "patch",
];

/// What some programs write before UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// One input that the user named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file or a directory.
    Path(PathBuf),
}

/// How to read the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// By name and first bytes.
    Detect,
    /// JSON items, one a line.
    Lines,
    /// Each input is a body, whatever it looks like; JSON lines by their name are still lines.
    Body,
}

/// What reading comes upon, in input order.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// An item.
    Item(Item),
    /// An input or a line that cannot be an item.
    Problem(Problem),
    /// Something that the user should know though reading goes on.
    Note(String),
    /// How many bytes there are to read in all, as far as that can be known beforehand.
    Total(u64),
}

/// An item's bytes and what is known of them.
#[derive(Debug, PartialEq)]
pub struct Item {
    /// Where it comes from, for people: `mail.eml`, `items.jsonl:12`.
    pub label: String,
    /// What the bytes are.
    pub form: Form,
    /// The file's name without its directory.
    pub name: Option<String>,
    /// The bytes.
    pub bytes: Bytes,
    /// One of many: a line of JSON lines, a file of a directory.
    pub bulk: bool,
}

/// Why something is not an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was found.
    pub label: String,
    /// What is wrong, for programs.
    pub kind: ProblemKind,
    /// What is wrong and what to do, for people.
    pub message: String,
}

/// The kinds of [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// It cannot be read.
    Unreadable,
    /// It is larger than a frame.
    TooLarge,
    /// There is nothing in it.
    Empty,
    /// It is not text.
    Binary,
}

/// Takes the events; `Break` stops reading.
pub type Sink<'a> = &'a mut dyn FnMut(Event) -> ControlFlow<()>;

/// Reads all inputs in order.
pub fn read_all(sources: &[Source], reading: Reading, sink: Sink<'_>) -> ControlFlow<()> {
    if let Some(total) = total_bytes(sources) {
        sink(Event::Total(total))?;
    }
    for source in sources {
        match source {
            Source::Stdin => {
                let input = Input { label: "-", name: None, bulk: false };
                read_stream(&input, io::stdin().lock(), reading, sink)?;
            }
            Source::Path(path) if path.is_dir() => read_directory(path, reading, sink)?,
            Source::Path(path) => read_file(path, reading, false, sink)?,
        }
    }
    ControlFlow::Continue(())
}

/// The sum of the files' sizes; `None` with standard input, pipes or directories among them.
fn total_bytes(sources: &[Source]) -> Option<u64> {
    sources
        .iter()
        .map(|source| match source {
            Source::Stdin => None,
            Source::Path(path) => {
                let metadata = fs::metadata(path).ok()?;
                metadata.is_file().then_some(metadata.len())
            }
        })
        .sum()
}

/// Everything below a directory, sorted by name; hidden entries are skipped, links to directories are not followed.
fn read_directory(root: &Path, reading: Reading, sink: Sink<'_>) -> ControlFlow<()> {
    let hidden = |entry: &walkdir::DirEntry| {
        entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let mut walk = WalkDir::new(root).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        match entry {
            Ok(entry) if hidden(&entry) => {
                if entry.file_type().is_dir() {
                    walk.skip_current_dir();
                }
                sink(skipped(&entry, "hidden"))?;
            }
            // A link counts as what it leads to, but is not descended into.
            Ok(entry) if entry.path().is_file() => read_file(entry.path(), reading, true, sink)?,
            Ok(entry) => {
                if let Some(what) = no_file(&entry) {
                    sink(skipped(&entry, what))?;
                }
            }
            Err(error) => {
                let path = error.path().unwrap_or(root).display().to_string();
                let cause = error.io_error().map_or_else(|| error.to_string(), describe);
                sink(problem(
                    &path,
                    ProblemKind::Unreadable,
                    format!("could not read it: {cause}"),
                ))?;
            }
        }
    }
    ControlFlow::Continue(())
}

fn skipped(entry: &walkdir::DirEntry, why: &str) -> Event {
    let label = entry.path().strip_prefix(".").unwrap_or(entry.path()).display();
    Event::Note(format!("{label}: skipped, {why}"))
}

/// What an entry of a directory is that cannot be read as a file; `None` for a directory.
fn no_file(entry: &walkdir::DirEntry) -> Option<&'static str> {
    match (entry.path_is_symlink(), entry.path().is_dir()) {
        (true, true) => Some("a link to a directory"),
        (true, false) if !entry.path().exists() => Some("a link to nothing"),
        (false, true) => None,
        (_, false) => Some("neither a file nor a directory"),
    }
}

fn read_file(path: &Path, reading: Reading, bulk: bool, sink: Sink<'_>) -> ControlFlow<()> {
    // What is found below `.` is named without it.
    let label = path.strip_prefix(".").unwrap_or(path).display().to_string();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            let message = format!("could not open it: {}", describe(&error));
            return sink(problem(&label, ProblemKind::Unreadable, message));
        }
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let input = Input { label: &label, name, bulk };
    // Said before a byte is read: a gigabyte must cost nothing. Lines may be any number.
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    if length > ITEM_BYTES_MAX as u64 && input.format(reading) == Format::Plain {
        return sink(input.too_large(Some(length)));
    }
    read_stream(&input, file, reading, sink)
}

/// One input that is being read.
struct Input<'a> {
    label: &'a str,
    name: Option<String>,
    bulk: bool,
}

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// JSON items, one a line.
    Lines,
    /// One JSON item, or several lines of them: the bytes tell.
    Json,
    /// A body.
    Plain,
    /// The bytes tell.
    Unknown,
}

impl Input<'_> {
    /// As far as the name tells.
    fn format(&self, reading: Reading) -> Format {
        let ending = self.name.as_deref().map(Path::new).map(|name| {
            name.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
        });
        match (reading, ending.as_deref()) {
            (Reading::Lines, _) | (_, Some("jsonl" | "ndjson")) => Format::Lines,
            (Reading::Detect, Some("json")) => Format::Json,
            (Reading::Detect, None | Some("")) => Format::Unknown,
            (Reading::Body, _) | (Reading::Detect, Some(_)) => Format::Plain,
        }
    }

    /// Whether name or first bytes say that it is run or compiled.
    fn is_program(&self, bytes: &[u8]) -> bool {
        let ending = self.name.as_deref().and_then(|name| name.rsplit_once('.'));
        let named = ending.is_some_and(|(_, ending)| {
            PROGRAM_ENDINGS.iter().any(|program| ending.eq_ignore_ascii_case(program))
        });
        named || bytes.starts_with(b"#!")
    }

    fn item(&self, form: Form, bytes: Vec<u8>) -> Event {
        Event::Item(Item {
            label: self.label.to_owned(),
            form,
            name: self.name.clone(),
            bytes: bytes.into(),
            bulk: self.bulk,
        })
    }

    fn problem(&self, kind: ProblemKind, message: impl Into<String>) -> Event {
        problem(self.label, kind, message.into())
    }

    fn note(&self, text: &str) -> Event {
        Event::Note(format!("{}: {text}", self.label))
    }

    fn too_large(&self, length: Option<u64>) -> Event {
        let bytes = crate::text::grouped;
        let length =
            length.map_or_else(|| "it is".to_owned(), |n| format!("{} bytes are", bytes(n)));
        let message = format!(
            "{length} over the limit of {} bytes for one item: split it, or give its parts as JSON lines",
            bytes(ITEM_BYTES_MAX as u64)
        );
        self.problem(ProblemKind::TooLarge, message)
    }
}

fn problem(label: &str, kind: ProblemKind, message: String) -> Event {
    Event::Problem(Problem { label: label.to_owned(), kind, message })
}

fn read_stream(
    input: &Input<'_>,
    stream: impl Read,
    reading: Reading,
    sink: Sink<'_>,
) -> ControlFlow<()> {
    let mut stream = BufReader::with_capacity(READ_BYTES, stream);
    let result = match input.format(reading) {
        Format::Lines => read_lines(input, &mut stream, None, sink),
        Format::Plain => read_body(input, stream, sink),
        Format::Json => read_json(input, stream, sink),
        Format::Unknown => {
            let mut head = Vec::new();
            match looks_like_json(&mut stream, &mut head) {
                Ok(true) => read_json(input, head.chain(stream), sink),
                Ok(false) => read_body(input, head.chain(stream), sink),
                Err(error) => Err(error),
            }
        }
    };
    result.unwrap_or_else(|error| {
        let message = format!("could not read it: {}", describe(&error));
        sink(input.problem(ProblemKind::Unreadable, message))
    })
}

/// An object's opening and its first key, or its end: `{"` or `{}`; a block of a shell script is neither. Reads into
/// `head` until that is certain: a pipe may bring any few bytes at once.
fn looks_like_json(stream: &mut impl BufRead, head: &mut Vec<u8>) -> io::Result<bool> {
    let mut opened = false;
    for byte in stream.take(READ_BYTES as u64).bytes() {
        let byte = byte?;
        head.push(byte);
        match byte {
            _ if BOM.starts_with(head) || byte.is_ascii_whitespace() => {}
            b'{' if !opened => opened = true,
            _ => return Ok(opened && matches!(byte, b'"' | b'}')),
        }
    }
    Ok(false)
}

/// One JSON item; or lines of them, if the first line is one by itself and others follow. Blank lines before it count
/// as lines only.
fn read_json(
    input: &Input<'_>,
    mut stream: impl BufRead,
    sink: Sink<'_>,
) -> io::Result<ControlFlow<()>> {
    let (mut first, mut number) = (Vec::new(), 0);
    while first.trim_ascii().is_empty() {
        number += 1;
        match lines::read_line(&mut stream, ITEM_BYTES_MAX, &mut first)? {
            Line::TooLong => return Ok(sink(input.too_large(None))),
            Line::End => return Ok(sink(input.problem(ProblemKind::Empty, EMPTY))),
            Line::Read => first = strip_bom(first),
        }
    }
    if is_whole_object(&first) {
        if stream.fill_buf()?.is_empty() {
            return Ok(sink(input.item(Form::Json, first)));
        }
        return read_lines(input, &mut stream, Some((number, first)), sink);
    }
    if !stream.fill_buf()?.is_empty() {
        first.push(b'\n');
    }
    match read_rest(stream, first)? {
        Some(bytes) => Ok(sink(input.item(Form::Json, bytes))),
        None => Ok(sink(input.too_large(None))),
    }
}

fn is_whole_object(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"{")
        && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

/// JSON items, one a line; `first` is a line that was read already, and its number. Constant memory.
fn read_lines(
    input: &Input<'_>,
    stream: &mut impl BufRead,
    first: Option<(u64, Vec<u8>)>,
    sink: Sink<'_>,
) -> io::Result<ControlFlow<()>> {
    let mut pending = first.is_some().then_some(Line::Read);
    let (mut number, mut line) = first.unwrap_or((1, Vec::new()));
    loop {
        let read = match pending.take() {
            Some(read) => read,
            None => lines::read_line(stream, ITEM_BYTES_MAX, &mut line)?,
        };
        let label = format!("{}:{number}", input.label);
        let here = Input { label: &label, name: input.name.clone(), bulk: true };
        let flow = match read {
            Line::End if number == 1 => {
                return Ok(sink(input.problem(ProblemKind::Empty, EMPTY)));
            }
            Line::End => return Ok(ControlFlow::Continue(())),
            Line::TooLong => sink(here.too_large(None)),
            Line::Read if line.trim_ascii().is_empty() => ControlFlow::Continue(()),
            Line::Read => sink(here.item(Form::Json, strip_bom(std::mem::take(&mut line)))),
        };
        if flow.is_break() {
            return Ok(flow);
        }
        line.clear();
        number += 1;
    }
}

const EMPTY: &str = "there is nothing in it to judge";

/// A body: text of any kind.
fn read_body(
    input: &Input<'_>,
    stream: impl BufRead,
    sink: Sink<'_>,
) -> io::Result<ControlFlow<()>> {
    let Some(bytes) = read_rest(stream, Vec::new())? else {
        return Ok(sink(input.too_large(None)));
    };
    let found = if bytes.is_empty() {
        Some((ProblemKind::Empty, EMPTY.to_owned()))
    } else {
        binary(&bytes).map(|why| (ProblemKind::Binary, why))
    };
    if let Some((kind, why)) = found {
        return Ok(match (input.bulk, kind) {
            // In a directory, pictures and empty marker files are no mistake.
            (true, ProblemKind::Empty) => sink(input.note("skipped, empty")),
            (true, ProblemKind::Binary) if !input.is_program(&bytes) => {
                sink(input.note("skipped, binary"))
            }
            // A shell runs a script with NUL bytes in it: a gate must not let it through unseen.
            (_, kind) => sink(input.problem(kind, why)),
        });
    }
    if let Some(note) = not_utf8(&bytes)
        && sink(input.note(&note)).is_break()
    {
        return Ok(ControlFlow::Break(()));
    }
    Ok(sink(input.item(Form::Plain, bytes)))
}

/// Why the bytes are not text, if they are not.
fn binary(bytes: &[u8]) -> Option<String> {
    let probe = &bytes[..bytes.len().min(BINARY_PROBE_BYTES)];
    if probe.starts_with(&[0xff, 0xfe]) || probe.starts_with(&[0xfe, 0xff]) {
        return Some("UTF-16 text: turn it into UTF-8 first (iconv -f UTF-16 -t UTF-8)".to_owned());
    }
    let at = memchr::memchr(0, probe)?;
    Some(format!(
        "binary, not text (a NUL byte at offset {at}): give the text that it holds, or a JSON item"
    ))
}

fn not_utf8(bytes: &[u8]) -> Option<String> {
    let at = std::str::from_utf8(bytes).err()?.valid_up_to();
    Some(format!("not UTF-8 at byte {at}; each bad byte is judged as U+FFFD"))
}

/// The rest of the stream behind `bytes`; `None` when it is more than an item may be.
fn read_rest(stream: impl Read, mut bytes: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let room = (ITEM_BYTES_MAX - bytes.len().min(ITEM_BYTES_MAX)) as u64;
    let read = stream.take(room + 1).read_to_end(&mut bytes)?;
    Ok((read as u64 <= room).then_some(bytes))
}

fn strip_bom(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.starts_with(BOM) {
        bytes.drain(..BOM.len());
    }
    bytes
}

/// What the system said, in the user's words where there are some.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "you are not permitted to read it".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
