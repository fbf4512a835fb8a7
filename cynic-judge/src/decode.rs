//! Decoding of parts that hide text: base64, hexadecimal, percent and backslash escapes. Bounded.

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
    let mut decoded = Vec::with_capacity(bytes.len().min(DECODED_BYTES_MAX) * 3 / 4 + 3);
    let (mut buffer, mut bits) = (0_u32, 0);
    for byte in bytes {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        if decoded.len() < DECODED_BYTES_MAX {
            buffer = buffer << 6 | u32::from(value);
            bits += 6;
            if bits >= 8 {
                bits -= 8;
                decoded.push((buffer >> bits) as u8);
            }
        }
    }
    readable(&decoded)
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
    let (mut buffer, mut bits, mut bytes) = (0_u32, 0, Vec::with_capacity(length));
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        buffer = buffer << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits) as u8);
        }
    }
    (bytes.len() == length).then_some(bytes)
}
