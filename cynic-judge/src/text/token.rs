//! Splits a text into tokens in one pass and hands each to a sink; holds nothing of the text.
//!
//! Characters are folded on the way (case, accents, look-alikes, invisible ones), so that spellings that
//! read alike hash alike.

use crate::fold::{self, Script};

/// Longest folded word that is kept, in bytes; longer ones are blobs, and their tail tells nothing.
const FOLDED_BYTES_MAX: usize = 48;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Letters, with apostrophes inside.
    Word,
    /// Digits, with separators inside.
    Number,
    /// Letters and digits.
    Mixed,
    /// A run of one ASCII sign.
    Sign(u8),
    /// A pictograph.
    Emoji,
    /// Any other character.
    Other,
    /// A web address.
    Url,
    /// A mail address.
    Email,
    /// `@name`.
    Mention,
    /// `#name`.
    Hashtag,
    /// One or more line ends; the number of them is the token's `letters`.
    Break,
}

/// How a word is cased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Lower,
    Title,
    Upper,
    Odd,
}

/// A token and where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Hash of the folded form.
    pub(crate) hash: u64,
    pub(crate) case: Case,
    /// Characters shown, at most 65,535.
    pub(crate) letters: u16,
    /// Latin and look-alike letters in one word.
    pub(crate) mixed_script: bool,
    /// Characters in it that show nothing and shape nothing.
    pub(crate) hiding: u16,
    /// What its folded letters are like.
    pub(crate) look: Look,
}

/// What the bytes of a folded word are like.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Look {
    /// There is a vowel, or a letter that is not of ASCII.
    pub(crate) vowel: bool,
    /// One byte comes three times in a row.
    pub(crate) elongated: bool,
}

/// The hash of a folded word and its look, in one pass that branches on nothing but its length.
fn measure(folded: &[u8]) -> (u64, Look) {
    let mut hash = fold::SEED;
    let (mut vowel, mut elongated) = (0, 0);
    // No word holds the byte 0.
    let (mut second, mut first) = (0, 0);
    for byte in folded {
        hash = fold::step(hash, *byte);
        vowel |= VOWELS[usize::from(*byte)];
        elongated |= u8::from((second ^ *byte) | (first ^ *byte) == 0);
        (second, first) = (first, *byte);
    }
    (fold::finish(hash), Look { vowel: vowel != 0, elongated: elongated != 0 })
}

const VOWELS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'a' | b'e' | b'i' | b'o' | b'u' | b'y' | 0x80..) as u8;
        byte += 1;
    }
    table
};

/// Takes the tokens of a text.
pub(crate) trait Sink {
    /// A token with its folded form.
    fn token(&mut self, token: &Token, folded: &[u8]);
    /// A run of bytes between blanks, before its tokens. `true` if the sink has dealt with it and it
    /// must not be split into tokens.
    fn chunk(&mut self, start: usize, end: usize, signs: Signs) -> bool;
    /// A character that reorders or hides text, or a control character.
    fn odd(&mut self, c: char, at: usize);
    /// A run of blanks of this many bytes.
    fn blank(&mut self, length: usize);
}

/// Which kinds of bytes a chunk holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Signs(u16);

impl Signs {
    pub(crate) const DOT: u16 = 1;
    pub(crate) const AT: u16 = 2;
    pub(crate) const SLASH: u16 = 4;
    pub(crate) const PERCENT: u16 = 8;
    pub(crate) const ANGLE: u16 = 16;
    pub(crate) const HIGH: u16 = 32;
    pub(crate) const UPPER: u16 = 64;
    pub(crate) const DIGIT: u16 = 128;
    pub(crate) const OTHER: u16 = 256;
    /// What parts chunks, and is in none.
    const BLANK: u16 = 512;

    /// The kinds in a chunk.
    #[cfg(test)]
    pub(crate) fn of(chunk: &str) -> Signs {
        Signs(chunk.bytes().fold(0, |signs, byte| signs | SIGNS[usize::from(byte)]))
    }

    /// Whether any of these kinds is there.
    pub(crate) fn any(self, kinds: u16) -> bool {
        self.0 & kinds != 0
    }

    /// Whether there are only small letters of ASCII: most chunks of any text.
    pub(crate) fn none(self) -> bool {
        self.0 == 0
    }
}

const SIGNS: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'.' => Signs::DOT,
            b'@' => Signs::AT,
            b'/' | b':' => Signs::SLASH,
            b'%' | b'\\' => Signs::PERCENT,
            b'<' | b'>' => Signs::ANGLE,
            b'A'..=b'Z' => Signs::UPPER,
            b'0'..=b'9' => Signs::DIGIT,
            0x80.. => Signs::HIGH,
            b'a'..=b'z' => 0,
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Signs::BLANK,
            _ => Signs::OTHER,
        };
        byte += 1;
    }
    table
};

fn is_blank(byte: u8) -> bool {
    SIGNS[usize::from(byte)] == Signs::BLANK
}

/// Splits the text.
pub(crate) fn tokenise(text: &str, sink: &mut impl Sink) {
    let bytes = text.as_bytes();
    let mut folded = Vec::with_capacity(FOLDED_BYTES_MAX + 8);
    let mut at = 0;
    while at < bytes.len() {
        if is_blank(bytes[at]) {
            at = blank(bytes, at, sink);
            continue;
        }
        let start = at;
        let mut signs = 0;
        for byte in &bytes[start..] {
            let sign = SIGNS[usize::from(*byte)];
            if sign == Signs::BLANK {
                break;
            }
            signs |= sign;
            at += 1;
        }
        let signs = Signs(signs);
        if sink.chunk(start, at, signs) {
            continue;
        }
        if signs.none() {
            lowercase(bytes, start, at, sink);
        } else {
            split(text, start, at, sink, &mut folded);
        }
    }
}

fn blank(bytes: &[u8], mut at: usize, sink: &mut impl Sink) -> usize {
    let start = at;
    let mut lines = 0_u16;
    while at < bytes.len() && is_blank(bytes[at]) {
        let line_end =
            bytes[at] == b'\n' || bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n');
        lines = lines.saturating_add(u16::from(line_end));
        at += 1;
    }
    if at == bytes.len() {
        return at; // a trailing line end says nothing
    }
    sink.blank(at - start);
    if lines > 0 {
        sink.token(&plain(Kind::Break, start, at, u64::from(lines.min(2)), lines), &[]);
    }
    at
}

pub(crate) fn plain(kind: Kind, start: usize, end: usize, hash: u64, letters: u16) -> Token {
    let (case, look) = (Case::Lower, Look::default());
    Token { kind, start, end, hash, case, letters, mixed_script: false, hiding: 0, look }
}

/// A chunk that is one word as it stands.
fn lowercase(bytes: &[u8], start: usize, end: usize, sink: &mut impl Sink) {
    let folded = &bytes[start..end.min(start + FOLDED_BYTES_MAX)];
    let letters = u16::try_from(end - start).unwrap_or(u16::MAX);
    let (hash, look) = measure(folded);
    sink.token(&Token { look, ..plain(Kind::Word, start, end, hash, letters) }, folded);
}

/// Splits one chunk into words, numbers and signs.
fn split(text: &str, start: usize, end: usize, sink: &mut impl Sink, folded: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut at = start;
    while at < end {
        let byte = bytes[at];
        if byte.is_ascii_alphanumeric() {
            at = word(text, at, end, sink, folded);
        } else if byte.is_ascii() {
            at = sign(bytes, at, end, sink);
        } else {
            let c = text[at..].chars().next().unwrap_or('\0');
            if c.is_alphanumeric() || fold::is_invisible(c) && !fold::is_bidi_control(c) {
                at = word(text, at, end, sink, folded);
            } else {
                at = other(c, at, sink);
            }
        }
    }
}

fn sign(bytes: &[u8], mut at: usize, end: usize, sink: &mut impl Sink) -> usize {
    let (start, byte) = (at, bytes[at]);
    if byte.is_ascii_control() {
        sink.odd(byte as char, at);
        return at + 1;
    }
    while at < end && bytes[at] == byte {
        at += 1;
    }
    let length = (at - start).min(usize::from(u16::MAX)) as u16;
    sink.token(&plain(Kind::Sign(byte), start, at, u64::from(byte), length), &[byte]);
    at
}

fn other(c: char, at: usize, sink: &mut impl Sink) -> usize {
    let end = at + c.len_utf8();
    if fold::is_bidi_control(c) || c.is_control() || c == '\u{fffd}' {
        sink.odd(c, at);
    } else if !c.is_whitespace() && !unicode_normalization::char::is_combining_mark(c) {
        let kind = match c {
            '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' => Kind::Emoji,
            _ => Kind::Other,
        };
        // Typographic quotes and dashes are signs like their plain forms.
        let kind = match c {
            '“' | '”' | '„' | '«' | '»' => Kind::Sign(b'"'),
            '–' | '—' => Kind::Sign(b'-'),
            '…' => Kind::Sign(b'.'),
            '‘' | '’' => Kind::Sign(b'\''),
            '¿' => Kind::Sign(b'?'),
            '¡' => Kind::Sign(b'!'),
            _ => kind,
        };
        let length = if c == '…' { 3 } else { 1 };
        sink.token(&plain(kind, at, end, u64::from(c as u32), length), &[]);
    }
    end
}

/// What a word is made of, gathered while it is read.
#[derive(Default)]
struct Make {
    upper: u16,
    lower: u16,
    digits: u16,
    shown: u16,
    first_upper: bool,
    latin: bool,
    lookalike: bool,
    hiding: u16,
}

impl Make {
    fn see(&mut self, c: char) {
        if c.is_uppercase() {
            self.first_upper |= self.shown == 0;
            self.upper = self.upper.saturating_add(1);
        } else if c.is_numeric() {
            self.digits = self.digits.saturating_add(1);
        } else {
            self.lower = self.lower.saturating_add(1);
        }
        self.shown = self.shown.saturating_add(1);
        match fold::script(c) {
            Script::Latin => self.latin = true,
            Script::Lookalike => self.lookalike = true,
            Script::Other => {}
        }
    }

    fn case(&self) -> Case {
        match (self.upper, self.lower) {
            (0, _) => Case::Lower,
            (1, _) if self.first_upper => Case::Title,
            (_, 0) => Case::Upper,
            _ => Case::Odd,
        }
    }

    fn kind(&self) -> Kind {
        match (self.digits, self.shown - self.digits) {
            (0, _) => Kind::Word,
            (_, 0) => Kind::Number,
            _ => Kind::Mixed,
        }
    }
}

/// Reads a word or number. Signs inside numbers (`3.50`, `12:30`, `1,000`) and apostrophes inside words
/// belong to them.
fn word(text: &str, start: usize, end: usize, sink: &mut impl Sink, folded: &mut Vec<u8>) -> usize {
    let bytes = text.as_bytes();
    let mut make = Make::default();
    folded.clear();
    let mut at = start;
    while at < end {
        let byte = bytes[at];
        if byte.is_ascii_lowercase() {
            // Most of any text: a run of these at once.
            let run = bytes[at..end].iter().take_while(|byte| byte.is_ascii_lowercase()).count();
            make.see_lowercase(run);
            let room = FOLDED_BYTES_MAX.saturating_sub(folded.len());
            folded.extend_from_slice(&bytes[at..at + run.min(room)]);
            at += run;
            continue;
        }
        if byte.is_ascii() {
            if byte.is_ascii_alphanumeric() {
                make.see_ascii(byte);
                push(folded, byte.to_ascii_lowercase());
            } else if joins(bytes, at, end, &make) {
                push(folded, byte);
            } else {
                break;
            }
            at += 1;
            continue;
        }
        let c = text[at..].chars().next().unwrap_or('\0');
        let apostrophe = matches!(c, '\u{2019}' | '\u{2bc}')
            && make.digits == 0
            && bytes.get(at + c.len_utf8()).is_some_and(u8::is_ascii_alphabetic);
        if c.is_alphanumeric() {
            make.see(c);
        } else if fold::is_invisible(c) && !fold::is_bidi_control(c) {
            make.hiding += u16::from(fold::is_hiding(c) && make.hiding < u16::MAX);
        } else if !apostrophe && !unicode_normalization::char::is_combining_mark(c) {
            break;
        }
        fold::fold(c, |part| push_char(folded, part));
        at += c.len_utf8();
    }
    if make.shown == 0 {
        return at;
    }
    let mixed_script = make.latin && make.lookalike;
    if mixed_script {
        fold_lookalikes(folded);
    }
    let (hash, look) = measure(folded);
    let token = Token {
        kind: make.kind(),
        start,
        end: at,
        hash,
        look,
        case: make.case(),
        letters: make.shown,
        mixed_script,
        hiding: make.hiding,
    };
    sink.token(&token, folded);
    at
}

impl Make {
    #[inline]
    fn see_lowercase(&mut self, run: usize) {
        let run = u16::try_from(run).unwrap_or(u16::MAX);
        self.lower = self.lower.saturating_add(run);
        self.shown = self.shown.saturating_add(run);
        self.latin = true;
    }

    /// A capital or a digit.
    #[inline]
    fn see_ascii(&mut self, byte: u8) {
        if byte.is_ascii_digit() {
            self.digits = self.digits.saturating_add(1);
        } else {
            self.first_upper |= self.shown == 0;
            self.upper = self.upper.saturating_add(1);
            self.latin = true;
        }
        self.shown = self.shown.saturating_add(1);
    }
}

/// Whether the sign at `at` joins what stands before and after it into one token.
fn joins(bytes: &[u8], at: usize, end: usize, make: &Make) -> bool {
    let next = if at + 1 < end { bytes[at + 1] } else { return false };
    let number = make.digits > 0 && make.lower == 0 && make.upper == 0;
    match bytes[at] {
        b'\'' => !number && next.is_ascii_alphabetic(),
        b'.' | b',' | b':' => number && next.is_ascii_digit(),
        _ => false,
    }
}

fn push(folded: &mut Vec<u8>, byte: u8) {
    if folded.len() < FOLDED_BYTES_MAX {
        folded.push(byte);
    }
}

fn push_char(folded: &mut Vec<u8>, c: char) {
    if folded.len() + 4 <= FOLDED_BYTES_MAX {
        let mut buffer = [0; 4];
        folded.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    }
}

/// A word that mixes scripts is read as the Latin word that it looks like.
fn fold_lookalikes(folded: &mut Vec<u8>) {
    let plain: String =
        String::from_utf8_lossy(folded).chars().map(|c| fold::lookalike(c).unwrap_or(c)).collect();
    folded.clear();
    folded.extend_from_slice(plain.as_bytes());
}
