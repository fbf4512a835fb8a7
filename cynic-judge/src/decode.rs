//! Decoding of parts that hide text: base64, base32, hexadecimal, escapes and entities. Bounded, and linear.

use crate::spec::Span;

/// How deep an encoded part inside an encoded part is followed.
pub(crate) const DEPTH_MAX: u8 = 2;
/// Most bytes that are decoded of one part: an instruction fits many times over.
const DECODED_BYTES_MAX: usize = 4096;
/// Share of readable characters from which decoded bytes count as text.
const READABLE_MIN: f32 = 0.9;

/// The text that base64 hides, if the chunk is base64 and hides text.
pub(crate) fn base64(chunk: &str) -> Option<String> {
    let bytes = chunk.trim_end_matches(['=', '.', ',', '"', '\'']).as_bytes();
    let bytes = bytes.strip_prefix(b"\"").unwrap_or(bytes);
    if bytes.len() < 16 {
        return None;
    }
    let decoded = unpack(bytes, 6, sextet)?;
    readable(&decoded).or_else(|| readable(&narrow(&decoded)?))
}

/// What a digit of base64 stands for, in either of its alphabets.
fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// The bytes of a part of a mail in base64, where whatever is no digit does not count (RFC 2045).
pub(crate) fn base64_part(digits: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    let (mut buffer, mut bits) = (0_u32, 0);
    for value in digits.iter().filter_map(|digit| sextet(*digit)) {
        buffer = buffer << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits) as u8);
        }
    }
    bytes
}

/// The bytes of which each digit gives so many bits, up to a limit; `None` where something else is among the digits.
fn unpack(digits: &[u8], each: u32, value: impl Fn(u8) -> Option<u8>) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(digits.len().min(DECODED_BYTES_MAX) + 3);
    let (mut buffer, mut bits) = (0_u32, 0);
    for digit in digits {
        let value = value(*digit)?;
        if bytes.len() < DECODED_BYTES_MAX {
            buffer = buffer << each | u32::from(value);
            bits += each;
            if bits >= 8 {
                bits -= 8;
                bytes.push((buffer >> bits) as u8);
            }
        }
    }
    Some(bytes)
}

/// Bytes of UTF-16 that stand for ASCII, as ASCII.
fn narrow(bytes: &[u8]) -> Option<Vec<u8>> {
    let zeros = |from: usize| bytes.iter().skip(from).step_by(2).all(|byte| *byte == 0);
    let ascii = |from: usize| bytes.iter().copied().skip(from).step_by(2).collect();
    if bytes.is_empty() {
        None
    } else if zeros(1) {
        Some(ascii(0))
    } else {
        zeros(0).then(|| ascii(1))
    }
}

/// The text that base32 hides.
pub(crate) fn base32(chunk: &str) -> Option<String> {
    const CHARACTERS_MIN: usize = 24;
    let digits = chunk.trim_end_matches('=');
    if digits.len() < CHARACTERS_MIN {
        return None;
    }
    let quintet = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'2'..=b'7' => Some(byte - b'2' + 26),
        _ => None,
    };
    let decoded = unpack(digits.as_bytes(), 5, quintet)?;
    readable(&decoded)
}

/// Fewest escapes that are resolved: one is a sign that could not be typed.
const ESCAPES_MIN: u32 = 2;
/// Fewest bytes set apart that are read as text.
const BYTES_APART_MIN: usize = 8;

/// A text as a browser, a shell or a model reads it: HTML entities, `%41`, `\x41`, `\u0041` and bytes set apart
/// (`49 67 6e`, `0x49, 0x67`) are what they stand for. With the place from the first to the last of them; `None` if there are
/// hardly any.
pub(crate) fn unescaped(text: &str) -> Option<(String, Span)> {
    let (once, span) = resolve(text)?;
    // `%2541` hides `%41`.
    let twice = resolve(&once).map(|(twice, _)| twice);
    Some((twice.unwrap_or(once), span))
}

/// Begins an escape wherever it stands.
const SIGN: u8 = 1;
/// Begins bytes set apart, where no letter or digit stands before it.
const DIGIT: u8 = 2;

/// What each byte may begin, and what may begin behind it.
const BEGINS: [u8; 256] = tables().0;
const BEHIND: [u8; 256] = tables().1;

const fn tables() -> ([u8; 256], [u8; 256]) {
    let (mut begins, mut behind) = ([0; 256], [SIGN | DIGIT; 256]);
    let mut byte = 0_u8;
    loop {
        let at = byte as usize;
        if byte.is_ascii_hexdigit() {
            begins[at] = DIGIT;
        }
        if matches!(byte, b'&' | b'%' | b'\\') {
            begins[at] = SIGN;
        }
        if byte.is_ascii_alphanumeric() {
            behind[at] = SIGN;
        }
        if byte == u8::MAX {
            return (begins, behind);
        }
        byte += 1;
    }
}

/// Where the next escape may begin.
fn next_escape(bytes: &[u8], at: usize) -> Option<usize> {
    let mut before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
    let begins = |byte: &u8| {
        let behind = BEHIND[usize::from(std::mem::replace(&mut before, *byte))];
        BEGINS[usize::from(*byte)] & behind != 0
    };
    bytes.get(at..)?.iter().position(begins).map(|next| at + next)
}

fn resolve(text: &str) -> Option<(String, Span)> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let (mut at, mut copied, mut escapes) = (0, 0, 0_u32);
    let mut span: Option<Span> = None;
    while let Some(next) = next_escape(bytes, at) {
        at = next;
        let found = match bytes[at] {
            b'&' => entity(&bytes[at..]),
            b'%' => hex_byte(bytes.get(at + 1..at + 3)).map(|byte| (Unit::Byte(byte), 3)),
            b'\\' => escape(&bytes[at..]),
            _ if begins_apart(&bytes[at..]) => {
                let (apart, length) = bytes_apart(&bytes[at..]);
                if apart.len() < BYTES_APART_MIN {
                    at += length.max(1);
                    continue;
                }
                out.extend_from_slice(&bytes[copied..at]);
                out.extend_from_slice(&apart);
                escapes += apart.len() as u32;
                span = Some((span.map_or(at, |(from, _)| from), at + length));
                at += length;
                copied = at;
                continue;
            }
            _ => None,
        };
        let Some((unit, length)) = found else {
            at += 1;
            continue;
        };
        if escapes == 0 {
            // What it stands for is never longer.
            out.reserve_exact(bytes.len());
        }
        out.extend_from_slice(&bytes[copied..at]);
        match unit {
            Unit::Byte(byte) => out.push(byte),
            Unit::Character(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        span = Some((span.map_or(at, |(from, _)| from), at + length));
        at += length;
        copied = at;
        escapes += 1;
    }
    if escapes < ESCAPES_MIN {
        return None;
    }
    out.extend_from_slice(&bytes[copied..]);
    let text = String::from_utf8(out);
    let text = text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Some((text, span?))
}

/// What an escape stands for.
enum Unit {
    Byte(u8),
    Character(char),
}

fn hex_byte(digits: Option<&[u8]>) -> Option<u8> {
    let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    Some(nibble(digits[0]) << 4 | nibble(digits[1]))
}

/// `&#73;`, `&#x49;`, and the names that stand for signs of ASCII.
fn entity(bytes: &[u8]) -> Option<(Unit, usize)> {
    const BYTES_MAX: usize = 12;
    let end = bytes.iter().take(BYTES_MAX).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(&bytes[1..end]).ok()?;
    let number = match name.strip_prefix('#') {
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        },
        None => u32::from(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            "nbsp" => ' ',
            "colon" => ':',
            "comma" => ',',
            "period" => '.',
            "sol" => '/',
            "excl" => '!',
            "lpar" => '(',
            "rpar" => ')',
            "Tab" => '\t',
            "NewLine" => '\n',
            _ => return None,
        }),
    };
    Some((Unit::Character(char::from_u32(number)?), end + 1))
}

/// `\x49`, `\u0049` and `\u{49}`.
fn escape(bytes: &[u8]) -> Option<(Unit, usize)> {
    match bytes.get(1)? {
        b'x' => hex_byte(bytes.get(2..4)).map(|byte| (Unit::Byte(byte), 4)),
        b'u' if bytes.get(2) == Some(&b'{') => {
            let end = bytes.iter().take(12).position(|byte| *byte == b'}')?;
            let digits = std::str::from_utf8(&bytes[3..end]).ok()?;
            let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
            Some((Unit::Character(c), end + 1))
        }
        b'u' => {
            let digits = std::str::from_utf8(bytes.get(2..6)?).ok()?;
            let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
            Some((Unit::Character(c), 6))
        }
        _ => None,
    }
}

/// Whether a byte stands here that may be set apart from others: most words that begin with `a` to `f` are none.
fn begins_apart(bytes: &[u8]) -> bool {
    bytes.starts_with(b"0x")
        || bytes.get(1).is_some_and(u8::is_ascii_hexdigit)
            && bytes.get(2).is_some_and(|byte| matches!(byte, b' ' | b',' | b':' | b';' | b'\n'))
}

/// The bytes that hexadecimal pairs with signs between them give, and how far they reach.
fn bytes_apart(bytes: &[u8]) -> (Vec<u8>, usize) {
    let mut decoded = Vec::new();
    let (mut at, mut end) = (0, 0);
    loop {
        let prefix = if bytes[at..].starts_with(b"0x") { 2 } else { 0 };
        let Some(byte) = hex_byte(bytes.get(at + prefix..at + prefix + 2)) else { break };
        at += prefix + 2;
        if bytes.get(at).is_some_and(u8::is_ascii_alphanumeric) {
            break;
        }
        decoded.push(byte);
        end = at;
        let gap = bytes[at..]
            .iter()
            .take(3)
            .take_while(|byte| matches!(byte, b' ' | b',' | b':' | b';' | b'\n'))
            .count();
        if gap == 0 {
            break;
        }
        at += gap;
    }
    (decoded, end)
}

/// The text with each letter thirteen places on.
pub(crate) fn rotated(text: &str) -> String {
    let rotate = |c: char| match c {
        'a'..='z' => char::from((c as u8 - b'a' + 13) % 26 + b'a'),
        'A'..='Z' => char::from((c as u8 - b'A' + 13) % 26 + b'A'),
        _ => c,
    };
    text.chars().map(rotate).collect()
}

/// The text from its end to its beginning.
pub(crate) fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

/// The text that hexadecimal digits hide.
pub(crate) fn hex(chunk: &str) -> Option<String> {
    let digits: &str = chunk.strip_prefix("0x").unwrap_or(chunk);
    if digits.len() < 16 || !digits.len().is_multiple_of(2) {
        return None;
    }
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = digits.as_bytes().chunks_exact(2).take(DECODED_BYTES_MAX);
    let decoded: Vec<u8> = pairs.map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect();
    readable(&decoded)
}

/// The text that `%41` or `\x41` escapes hide; at least three of them.
pub(crate) fn percent(chunk: &str) -> Option<String> {
    const ESCAPES_MIN: usize = 3;
    let bytes = chunk.as_bytes();
    let mut decoded = Vec::new();
    let (mut at, mut escapes) = (0, 0);
    while at < bytes.len() && decoded.len() < DECODED_BYTES_MAX {
        let skip = match bytes[at] {
            b'%' => 1,
            b'\\' if matches!(bytes.get(at + 1), Some(b'x')) => 2,
            _ => 0,
        };
        let digits =
            bytes.get(at + skip..at + skip + 2).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
        match digits {
            Some(digits) if skip > 0 => {
                decoded.push(nibble(digits[0]) << 4 | nibble(digits[1]));
                escapes += 1;
                at += skip + 2;
            }
            _ => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    if escapes < ESCAPES_MIN || escapes * 6 < decoded.len() {
        return None;
    }
    readable(&decoded)
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

/// The bytes as text, if nearly all of it is letters, digits and blanks.
fn readable(bytes: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // A cut at the limit may split the last character.
        Err(error) if error.valid_up_to() + 4 > bytes.len() && error.valid_up_to() > 0 => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let (mut plain, mut all) = (0_u32, 0_u32);
    for c in text.chars() {
        all += 1;
        plain += u32::from(
            c.is_alphanumeric()
                || c.is_whitespace()
                || matches!(
                    c,
                    '.' | ','
                        | '\''
                        | '!'
                        | '?'
                        | '-'
                        | '/'
                        | ':'
                        | '"'
                        | '('
                        | ')'
                        | '_'
                        | '@'
                        | '#'
                        | '$'
                        | '&'
                        | ';'
                        | '='
                ),
        );
    }
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    (all >= 8 && plain as f32 >= all as f32 * READABLE_MIN && letters * 2 > all as usize)
        .then(|| text.to_owned())
}

/// The bytes that hexadecimal or base64 text stands for, readable or not.
pub(crate) fn binary(text: &str, length: usize) -> Option<Vec<u8>> {
    let text = text.trim();
    if text.len() == length * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let pairs = text.as_bytes().chunks_exact(2);
        return Some(pairs.map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect());
    }
    let bytes = unpack(text.trim_end_matches('=').as_bytes(), 6, sextet)?;
    (bytes.len() == length).then_some(bytes)
}
