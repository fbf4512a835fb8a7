//! Source code of any language with C-like or Python-like signs: words, strings, comments and rules over
//! them. One pass; never parses a language fully and never runs anything.

mod dangers;
pub(crate) mod features;
mod flow;
mod rules;
#[cfg(test)]
mod tests;

use crate::facets;
use crate::fold;
use crate::lexicon::{Classes, Lexicon, classes};
use crate::spec::Span;
use crate::text::scan::{GRAM_TOKENS_MAX, Grams};

classes! {
    UnsafeMemory "unsafe_memory", UnsafeRun "unsafe_run", UnsafeLoad "unsafe_load",
    UnsafeHtml "unsafe_html", Weak "weak", Guard "guard", Bounds "bounds", Null "null",
    Error "error", Free "free", Alloc "alloc", Lock "lock", Branch "branch", Loop "loop",
    Return "return", Keyword "keyword", Sql "sql", Web "web", File "file", Test "test", Doc "doc",
    Cast "cast", Secret "secret", Convert "convert",
}

/// What a rule over code found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Hit {
    /// SQL put together from strings.
    SqlBuilt,
    /// SQL with placeholders and values apart.
    SqlBound,
    /// A shell command put together from strings.
    ShellBuilt,
    /// `shell=True` and its like.
    ShellTrue,
    /// A command as a list of arguments.
    ListArguments,
    /// HTML put together from strings.
    HtmlBuilt,
    /// Values put into HTML where it is shown.
    HtmlSpliced,
    /// A comparison against a size.
    SizeCompared,
    /// A value checked for null or emptiness.
    NullChecked,
    /// An error returned or raised.
    ErrorReturned,
    /// A pointer set to null after it is freed.
    FreedCleared,
    /// A path checked for going up.
    PathChecked,
    /// A path joined from parts without a check.
    PathBuilt,
    /// A sum or product inside an allocation or copy.
    SizeComputed,
    /// Code built from text and run.
    Evaluated,
    /// A certificate that is not verified.
    TlsOff,
    /// A secret written into the code.
    SecretLiteral,
    /// An instruction to a model in a comment or string.
    Instruction,
    /// Characters that reorder what is shown.
    Reordered,
    /// A long encoded part.
    Encoded,
    /// Objects rebuilt from bytes by a means that runs what is in them.
    ObjectsLoaded,
    /// A document that may have other files fetched into it.
    EntitiesLoaded,
    /// A token taken without its signature.
    SignatureSkipped,
    /// A secret from random numbers that can be guessed, or a password hashed fast.
    SecretWeak,
    /// A broken cipher, a mode or a start that shows what is alike.
    CipherWeak,
    DebugOn,
    /// Any site may ask in its users' names.
    OriginAny,
    /// Everybody may write.
    AccessOpen,
    /// A temporary file whose name is known before.
    TempGuessed,
    /// A copy that ends where its source does.
    BufferUnbounded,
    /// Memory that is used without asking whether there was any.
    AllocUnchecked,
    /// A format that is no literal.
    FormatOpen,
    /// Memory that was given back.
    FreedUsed,
    ErrorsSwallowed,
    /// A secret compared sign by sign.
    TimingTold,
    /// A pattern that takes ages over some texts.
    PatternSlow,
    /// What a request says is run, opened, fetched, shown, followed, stored as it is.
    RequestRun,
    RequestPath,
    RequestFetched,
    RequestShown,
    RequestRedirects,
    RequestAssigned,
    /// What another host says, or what is encoded, is run.
    RemoteRun,
    /// A secret is written where many read it.
    SecretLogged,
    /// As much is read as is sent.
    ReadUnbounded,
    /// What is asked first may be otherwise when it is done.
    RaceLeft,
    /// What the host keeps secret leaves it.
    SecretsSent,
    /// A bracket that closes nothing or stays open.
    Unbalanced,
}

const HITS: usize = Hit::Unbalanced as usize + 1;

/// The lexicon of code.
static LEXICON: Lexicon<2048> = Lexicon::build(include_str!("lexicon.txt"), &Class::NAMES);

/// What one pass over code found.
pub(crate) struct Scan {
    pub(crate) classes: [u32; Class::COUNT],
    pub(crate) hits: [u32; HITS],
    pub(crate) spans: [Option<Span>; Class::COUNT + HITS],
    pub(crate) bytes: usize,
    pub(crate) lines: u32,
    pub(crate) blank_lines: u32,
    pub(crate) long_lines: u32,
    pub(crate) line_squares: f32,
    pub(crate) words: u32,
    pub(crate) name_letters: u32,
    pub(crate) short_names: u32,
    pub(crate) distinct: u32,
    pub(crate) numbers: u32,
    pub(crate) big_numbers: u32,
    pub(crate) strings: u32,
    pub(crate) string_bytes: u32,
    pub(crate) comment_bytes: u32,
    pub(crate) comments: u32,
    pub(crate) signs: [u32; 128],
    pub(crate) compares: u32,
    pub(crate) ands: u32,
    pub(crate) arrows: u32,
    pub(crate) increments: u32,
    pub(crate) calls: u32,
    pub(crate) indexes: u32,
    pub(crate) depth_max: u32,
    pub(crate) depth_sum: u32,
    pub(crate) indent_odd: u32,
    pub(crate) uppercase_names: u32,
    pub(crate) negations: u32,
    pub(crate) early_returns: u32,
    pub(crate) first_name: u64,
    pub(crate) first_name_again: u32,
    pub(crate) assigns: u32,
    pub(crate) python: u32,
}

impl Scan {
    fn new(bytes: usize) -> Scan {
        Scan {
            classes: [0; Class::COUNT],
            hits: [0; HITS],
            spans: [None; Class::COUNT + HITS],
            bytes,
            lines: 1,
            blank_lines: 0,
            long_lines: 0,
            line_squares: 0.0,
            words: 0,
            name_letters: 0,
            short_names: 0,
            distinct: 0,
            numbers: 0,
            big_numbers: 0,
            strings: 0,
            string_bytes: 0,
            comment_bytes: 0,
            comments: 0,
            signs: [0; 128],
            compares: 0,
            ands: 0,
            arrows: 0,
            increments: 0,
            calls: 0,
            indexes: 0,
            depth_max: 0,
            depth_sum: 0,
            indent_odd: 0,
            uppercase_names: 0,
            negations: 0,
            early_returns: 0,
            first_name: 0,
            first_name_again: 0,
            assigns: 0,
            python: 0,
        }
    }

    pub(crate) fn class(&self, class: Class) -> f32 {
        self.classes[class as usize] as f32
    }

    pub(crate) fn hit(&self, hit: Hit) -> f32 {
        self.hits[hit as usize] as f32
    }

    pub(crate) fn sign(&self, sign: u8) -> f32 {
        self.signs[usize::from(sign & 127)] as f32
    }

    pub(crate) fn record(&mut self, hit: Hit, span: Span) {
        self.hits[hit as usize] += 1;
        self.spans[Class::COUNT + hit as usize].get_or_insert(span);
    }
}

pub(crate) struct Scanner<'a, G> {
    scan: Scan,
    grams: G,
    text: &'a str,
    /// Hashes of the last two tokens.
    recent: [u64; 2],
    tokens: u32,
    depth: u32,
    line_start: usize,
    sieve: [u64; 64],
    past: rules::Past,
    flow: flow::Flow,
}

/// Scans source code.
pub(crate) fn scan<G: Grams>(text: &str, grams: G) -> (Scan, G) {
    let text = text.trim_end();
    let returns = fold::count(text.as_bytes(), |byte| byte == b'\r');
    let mut scanner = Scanner {
        scan: Scan::new(text.len() - returns),
        grams,
        text,
        recent: [0; 2],
        tokens: 0,
        depth: 0,
        line_start: 0,
        sieve: [0; 64],
        past: rules::Past::default(),
        flow: flow::Flow::default(),
    };
    scanner.run();
    scanner.flow.end(&mut scanner.scan);
    if scanner.depth > 0 {
        scanner.scan.record(Hit::Unbalanced, (text.len(), text.len()));
    }
    (scanner.scan, scanner.grams)
}

fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// A name is known by itself or by its parts: `check_bounds` checks bounds.
fn known(folded: &[u8], hash: u64) -> Classes {
    if !folded.contains(&b'_') {
        return LEXICON.look_up(hash).classes;
    }
    let parts = || folded.split(|b| *b == b'_');
    let whole = parts().map(fold::hash).reduce(fold::join).unwrap_or(hash);
    let whole = LEXICON.look_up(whole).classes;
    if whole != 0 {
        return whole;
    }
    parts()
        .filter(|part| part.len() > 2)
        .fold(0, |all, part| all | LEXICON.look_up(fold::hash(part)).classes)
        & !(Class::Keyword.bit() | Class::Branch.bit() | Class::Loop.bit() | Class::Convert.bit())
}

impl<G: Grams> Scanner<'_, G> {
    fn run(&mut self) {
        let bytes = self.text.as_bytes();
        let mut folded = Vec::with_capacity(64);
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            at = match byte {
                b'\n' => self.new_line(at),
                b' ' | b'\t' | b'\r' => at + 1,
                b'"' | b'\'' | b'`' => self.string(at),
                b'/' if bytes.get(at + 1) == Some(&b'/') => self.comment(at, "\n"),
                b'/' if bytes.get(at + 1) == Some(&b'*') => self.comment(at, "*/"),
                b'#' if !self.text[at..].starts_with("#include")
                    && !self.text[at..].starts_with("#define")
                    && !self.text[at..].starts_with("#if") =>
                {
                    self.comment(at, "\n")
                }
                byte if in_name(byte) => self.name(at, &mut folded),
                _ => self.sign(at),
            };
        }
        self.measure_line(bytes.len());
    }

    fn new_line(&mut self, at: usize) -> usize {
        self.measure_line(at);
        self.scan.lines += u32::from(at + 1 < self.text.len());
        self.line_start = at + 1;
        self.flow.new_line(&mut self.scan, self.text, at);
        self.end_statement();
        at + 1
    }

    fn measure_line(&mut self, at: usize) {
        let line = &self.text.as_bytes()[self.line_start.min(at)..at];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let indent = line.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let length = line.len();
        self.scan.blank_lines += u32::from(indent == length);
        self.scan.long_lines += u32::from(length > 100);
        self.scan.line_squares += (length as f32).powi(2);
        self.scan.depth_sum += indent.min(80) as u32;
        self.scan.indent_odd += u32::from(indent % 2 == 1 && line[..indent].contains(&b' '));
    }

    fn gram(&mut self, hash: u64, facet: u8, span: Span) {
        if self.tokens <= GRAM_TOKENS_MAX {
            self.grams.gram(hash, facet, span);
        }
    }

    /// A token's n-grams: itself, and it after one and after two others.
    fn token(&mut self, hash: u64, facet: u8, span: Span) {
        self.tokens += 1;
        let [second, first] = self.recent;
        self.gram(hash, facet, span);
        let pair = fold::join(first, hash);
        self.gram(pair, facet, span);
        self.gram(fold::join(second, pair), facets::by_hash(pair), span);
        self.recent = [first, hash];
    }

    fn name(&mut self, start: usize, folded: &mut Vec<u8>) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = start;
        folded.clear();
        let mut upper = 0_u32;
        while at < bytes.len() && in_name(bytes[at]) {
            upper += u32::from(bytes[at].is_ascii_uppercase());
            if folded.len() < NAME_BYTES_MAX {
                folded.push(bytes[at].to_ascii_lowercase());
            }
            at += 1;
        }
        let span = (start, at);
        let counts = &mut self.scan;
        if bytes[start].is_ascii_digit() {
            counts.numbers += 1;
            counts.big_numbers += u32::from(at - start >= 3);
            self.past.number();
            self.token(fold::finish(NUMBERS ^ (at - start).min(4) as u64), facets::NUMBER, span);
            return at;
        }
        let hash = fold::hash(folded);
        let length = (at - start) as u32;
        counts.words += 1;
        counts.name_letters += length;
        counts.short_names += u32::from(length == 1);
        counts.uppercase_names += u32::from(upper == length && length > 2);
        if counts.first_name == 0 {
            counts.first_name = hash;
        }
        let bit = hash as usize % 4096;
        if self.sieve[bit / 64] & 1 << (bit % 64) == 0 {
            self.sieve[bit / 64] |= 1 << (bit % 64);
            counts.distinct += 1;
        }
        let found = known(folded, hash);
        self.count(found, span);
        self.name_rules(found, folded, span);
        self.flow.name(&mut self.scan, self.text, self.line_start, (folded, hash, found), span);
        self.token(hash, facets::by_hash(hash), span);
        at
    }

    fn count(&mut self, classes: Classes, span: Span) {
        let mut rest = classes;
        while rest != 0 {
            let class = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            self.scan.classes[class] += 1;
            self.scan.spans[class].get_or_insert(span);
        }
    }

    fn string(&mut self, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        let quote = bytes[start];
        let triple = bytes[start..].starts_with(&[quote; 3]);
        let mut at = start + if triple { 3 } else { 1 };
        while at < bytes.len() {
            if bytes[at] == b'\\' {
                at += 2;
                continue;
            }
            if bytes[at] == quote && (!triple || bytes[at..].starts_with(&[quote; 3])) {
                break;
            }
            if bytes[at] == b'\n' {
                if !triple && quote != b'`' {
                    break; // an apostrophe in prose, or a string left open
                }
                self.measure_line(at);
                self.scan.lines += 1;
                self.line_start = at + 1;
            }
            at += 1;
        }
        let end = (at + if triple { 3 } else { 1 }).min(bytes.len());
        let open = at < bytes.len() && bytes[at] == b'\n';
        let end = if open { at - usize::from(bytes[at - 1] == b'\r') } else { end };
        let end = self.text.ceil_char_boundary(end);
        self.scan.strings += 1;
        self.scan.string_bytes = self.scan.string_bytes.saturating_add((end - start) as u32);
        self.string_rules((start, end));
        self.flow.string(&mut self.scan, self.text, (start, end));
        self.words_inside((start, end), STRINGS);
        end
    }

    fn comment(&mut self, start: usize, close: &str) -> usize {
        let tail = &self.text.as_bytes()[start..];
        let close_bytes = close.as_bytes();
        let found = tail.windows(close_bytes.len()).position(|w| w == close_bytes);
        let end = match found {
            Some(at) if close == "\n" => start + at - usize::from(at > 0 && tail[at - 1] == b'\r'),
            Some(at) => start + at + close.len(),
            None => self.text.len(),
        };
        for (at, byte) in (start..end).zip(&self.text.as_bytes()[start..end]) {
            if *byte == b'\n' {
                self.measure_line(at);
                self.scan.lines += 1;
                self.line_start = at + 1;
            }
        }
        self.scan.comments += 1;
        self.scan.comment_bytes = self.scan.comment_bytes.saturating_add((end - start) as u32);
        self.prose_rules((start, end));
        self.words_inside((start, end), COMMENTS);
        end
    }

    /// Words in strings and comments are n-grams of their own kind.
    fn words_inside(&mut self, span: Span, kind: u64) {
        let text = crate::item::cut(&self.text[span.0..span.1], INSIDE_BYTES_MAX);
        self.token(fold::finish(kind), facets::by_hash(kind), span);
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 1) {
            let mut hash = fold::SEED ^ kind;
            for byte in word.bytes().take(NAME_BYTES_MAX) {
                hash = fold::step(hash, byte.to_ascii_lowercase());
            }
            let hash = fold::finish(hash);
            self.gram(hash, facets::by_hash(hash), span);
        }
    }

    fn sign(&mut self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        let byte = bytes[at];
        let next = bytes.get(at + 1).copied().unwrap_or(0);
        let scan = &mut self.scan;
        let mut length = 1;
        if byte.is_ascii_control() || byte >= 0x80 {
            return at + 1;
        }
        scan.signs[usize::from(byte)] += 1;
        match (byte, next) {
            (b'=' | b'!' | b'<' | b'>', b'=') => (scan.compares, length) = (scan.compares + 1, 2),
            (b'-', b'>') => (scan.arrows, length) = (scan.arrows + 1, 2),
            (b'&', b'&') | (b'|', b'|') => (scan.ands, length) = (scan.ands + 1, 2),
            (b'+', b'+') | (b'-', b'-') => (scan.increments, length) = (scan.increments + 1, 2),
            (b'<' | b'>', other) if other != byte => scan.compares += 1,
            (b'!', _) => scan.negations += 1,
            (b'=', _) => scan.assigns += 1,
            _ => {}
        }
        self.bracket(byte, at);
        self.sign_rules(byte, next, length, at);
        self.flow.sign(&mut self.scan, self.text, at, length);
        let text = &bytes[at..at + length];
        self.token(
            fold::finish(fold::hash(text) ^ SIGNS),
            facets::of_sign(byte),
            (at, at + length),
        );
        at + length
    }

    fn bracket(&mut self, byte: u8, at: usize) {
        match byte {
            b'(' | b'[' | b'{' => {
                self.depth += 1;
                self.scan.depth_max = self.scan.depth_max.max(self.depth);
            }
            b')' | b']' | b'}' => match self.depth.checked_sub(1) {
                Some(depth) => self.depth = depth,
                None => self.scan.record(Hit::Unbalanced, (at, at + 1)),
            },
            _ => {}
        }
    }
}

/// Longest name that is kept, in bytes.
const NAME_BYTES_MAX: usize = 48;
/// Bytes of one string or comment that are read word by word.
const INSIDE_BYTES_MAX: usize = 512;
/// Keeps the kinds of n-grams apart in the table.
const SIGNS: u64 = 0x71;
const NUMBERS: u64 = 0x72_0000_0000;
const STRINGS: u64 = 0x73_0000_0000;
const COMMENTS: u64 = 0x74_0000_0000;
