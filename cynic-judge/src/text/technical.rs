//! Which chunks of a text are written for programs: paths, options, names with signs in them, keys of settings. Never judges.

use super::token::Signs;

/// What a byte inside a chunk tells.
const SIGN: u8 = 1;
const LOWER: u8 = 2;
const UPPER: u8 = 4;
/// Joins two names: `a/b`, `a.b`, `a:b`.
const JOINT: u8 = 8;
const DIGIT: u8 = 16;
/// Belongs to the sentence around a chunk.
const MARGIN: u8 = 32;

const KINDS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'_' | b'=' | b'\\' | b'$' | b'{' | b'}' | b'<' | b'>' | b'|' | b'`' | b'[' | b']'
            | b'^' | b'~' => SIGN,
            b'a'..=b'z' => LOWER,
            b'A'..=b'Z' => UPPER,
            b'0'..=b'9' => DIGIT,
            b'/' => JOINT,
            b'.' | b':' => JOINT | MARGIN,
            b',' | b';' | b'!' | b'?' | b'(' | b')' | b'"' | b'\'' | b'*' => MARGIN,
            _ => 0,
        };
        byte += 1;
    }
    table
};

fn kind(byte: u8) -> u8 {
    KINDS[usize::from(byte)]
}

/// Longest chunk that is looked at, in bytes: the beginning of a longer one tells.
const CHUNK_BYTES_MAX: usize = 80;

/// Whether a chunk is one of those that people do not write to each other; `first` of its line. Links and addresses are not:
/// messages hold them as well.
pub(super) fn is_one(chunk: &str, first: bool, signs: Signs) -> bool {
    const TELLING: u16 = Signs::DOT
        | Signs::SLASH
        | Signs::PERCENT
        | Signs::ANGLE
        | Signs::UPPER
        | Signs::DIGIT
        | Signs::OTHER;
    if !signs.any(TELLING) || signs.any(Signs::AT | Signs::HIGH) {
        return false;
    }
    let bytes = &chunk.as_bytes()[..chunk.len().min(CHUNK_BYTES_MAX)];
    let margin = |byte: &&u8| kind(**byte) & MARGIN != 0;
    let left = bytes.iter().take_while(margin).count();
    let right = bytes.iter().rev().take_while(margin).count();
    let bare = &bytes[left..bytes.len().saturating_sub(right).max(left)];
    let Some(begin) = bare.first() else { return false };
    // A lone `>` quotes a mail.
    if *begin == b'#' || bare == b">" || is_link(bare) {
        return false;
    }
    // `key:` and `key =`, as settings begin a line.
    let key = first && begin.is_ascii_lowercase() && bytes.ends_with(b":");
    let option = match bare {
        [b'-', b'-', name, _, ..] | [b'-' | b'/' | b'%' | b'+', name, _, ..] => {
            kind(*name) & (LOWER | UPPER) != 0
        }
        _ => false,
    };
    key || option || bytes.starts_with(b"./") || is_joined(bare)
}

fn is_link(bare: &[u8]) -> bool {
    let begins =
        |with: &[u8]| bare.len() >= with.len() && bare[..with.len()].eq_ignore_ascii_case(with);
    begins(b"http") || begins(b"www.")
}

/// Whether signs, capitals or joints are within names; or a version.
fn is_joined(bare: &[u8]) -> bool {
    // Nearly all that come here are words, many with a capital in front.
    if let [first, rest @ ..] = bare
        && first.is_ascii_alphabetic()
        && rest.iter().all(u8::is_ascii_lowercase)
    {
        return false;
    }
    let (mut before, mut at_joint, mut lower, mut dots) = (0, false, 0, 0);
    let mut joined = false;
    for byte in bare {
        let kind = kind(*byte);
        if kind & SIGN != 0 || kind & UPPER != 0 && before & LOWER != 0 {
            return true;
        }
        let letter = kind & (LOWER | UPPER) != 0;
        joined |= at_joint && letter;
        at_joint = kind & JOINT != 0 && before & (LOWER | UPPER | JOINT) != 0;
        lower += usize::from(kind & LOWER != 0);
        dots += usize::from(*byte == b'.' && before & DIGIT != 0);
        before = kind;
    }
    joined && lower >= 2 || dots >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(text: &str) -> usize {
        let is_one = |(n, chunk): (usize, &str)| {
            let signs = Signs::of(chunk);
            usize::from(is_one(chunk, n == 0, signs))
        };
        text.split_whitespace().enumerate().map(is_one).sum()
    }

    #[test]
    fn what_is_written_for_programs_is_told_from_what_is_written_to_people() {
        for text in [
            "name: build",
            "runs-on= x",
            "--locked",
            "/etc/fstab",
            "./configure",
            "max_connections",
            "$(CC)",
            "std::fs",
            "systemd-analyze.service",
            "getElementById",
            "1.4.2",
            "src/main.rs,",
            "{",
        ] {
            assert_eq!(share(text), 1, "{text}");
        }
        for text in [
            "Hi Anna, see you at 10:30 or 4.30pm!",
            "Note: the door is open... (really)",
            "WINNER!! Call 09061701461 now; 50% off, only £3.99 - it's free",
            "http://example.org/a_b=c www.example.org/x anna.b@example.org #topic_x @user_name",
            "I / we don't -",
        ] {
            assert_eq!(share(text), 0, "{text}");
        }
    }
}
