//! What stands between two blanks and is not plain words: links, addresses, markup, encoded parts.

use super::scan::{Grams, Hit, Scanner};
use super::token::{Kind, Signs, Sink, plain};
use crate::spec::Span;
use crate::{brands, decode};

/// Shortest chunk that is tried as an encoded part, in bytes: shorter ones hold no sentence.
const ENCODED_BYTES_MIN: usize = 20;

/// Endings of names that make `name.ending` a link without a scheme.
const ENDINGS: [&str; 44] = [
    "com", "net", "org", "info", "biz", "io", "co", "uk", "de", "fr", "es", "it", "nl", "ru", "cn",
    "tk", "ml", "ga", "cf", "gq", "xyz", "top", "site", "online", "club", "shop", "ly", "me", "tv",
    "us", "ca", "au", "in", "eu", "edu", "gov", "app", "dev", "link", "click", "live", "gl", "be",
    "at",
];
/// Endings that cost little and are used for little else.
const CHEAP: [&str; 14] = [
    "tk", "ml", "ga", "cf", "gq", "xyz", "top", "click", "link", "club", "icu", "buzz", "rest",
    "zip",
];
/// Services that hide where a link leads.
const SHORTENERS: [&str; 22] = [
    "bit.ly",
    "tinyurl.com",
    "goo.gl",
    "t.co",
    "ow.ly",
    "is.gd",
    "buff.ly",
    "adf.ly",
    "cutt.ly",
    "rb.gy",
    "shorturl.at",
    "tiny.cc",
    "bit.do",
    "lnkd.in",
    "rebrand.ly",
    "t.ly",
    "v.gd",
    "soo.gd",
    "s.id",
    "youtu.be.link",
    "linktr.ee",
    "tr.im",
];
/// Names that impostors imitate in hosts, beside those of [`brands`].
const BRANDS: [&str; 3] = ["sparkasse", "chase", "outlook"];

/// Words that mark a speaker in a dialogue with a model.
pub(super) fn is_role(folded: &[u8]) -> bool {
    matches!(
        folded,
        b"system"
            | b"assistant"
            | b"user"
            | b"human"
            | b"ai"
            | b"instruction"
            | b"instructions"
            | b"response"
            | b"output"
            | b"input"
            | b"prompt"
    )
}

/// Reads a chunk; `true` if it was dealt with as a whole.
pub(super) fn read<G: Grams>(
    scanner: &mut Scanner<'_, G>,
    start: usize,
    end: usize,
    signs: Signs,
) -> bool {
    let text = scanner.text;
    let length = end - start;
    if signs.none() && length < ENCODED_BYTES_MIN {
        return false;
    }
    if signs.any(Signs::ANGLE) {
        markup(scanner, start, end);
    } else if text.as_bytes()[start] == b'[' && text[start..end].starts_with("[//]:") {
        scanner.scan.record(Hit::Comment, (start, end));
        scanner.in_comment = true;
    }
    if signs.any(Signs::HIGH) {
        foreign(scanner, start, end);
        tags(scanner, start, end);
    }
    if length >= ENCODED_BYTES_MIN && encoded(scanner, start, end, signs) {
        return true;
    }
    if signs.any(Signs::PERCENT) && percent(scanner, start, end) {
        return true;
    }
    if signs.any(Signs::AT) || text.as_bytes()[start] == b'#' {
        return handle(scanner, start, end);
    }
    signs.any(Signs::DOT | Signs::SLASH) && length >= 4 && link(scanner, start, end)
}

/// Beginnings of words for "ignore" and "instructions" in scripts that the lexicon does not hold, and words for "system
/// prompt" in those that set no blanks.
const FOREIGN_OVERRIDES: [&str; 18] = [
    "忽略",
    "无视",
    "無視",
    "忘记",
    "忘記",
    "忘れ",
    "무시",
    "잊어",
    "تجاهل",
    "انس ",
    "התעלם",
    "תתעלם",
    "ไม่ต้องสนใจ",
    "เพิกเฉย",
    "अनदेखा",
    "भूल जा",
    "игнорируй",
    "забудь",
];
const FOREIGN_INSTRUCTIONS: [&str; 18] = [
    "指令",
    "指示",
    "提示",
    "规则",
    "規則",
    "说明",
    "說明",
    "命令",
    "지시",
    "명령",
    "프롬프트",
    "تعليمات",
    "הוראות",
    "הנחיות",
    "คำสั่ง",
    "निर्देश",
    "инструкц",
    "указани",
];
const UNSPACED_PROMPTS: [&str; 5] =
    ["系统提示", "系統提示", "システムプロンプト", "시스템프롬프트", "初始提示"];

/// Bytes behind a chunk in which an instruction's other half may stand.
const FOREIGN_BYTES: usize = 160;
/// Bytes of a chunk that are searched: a page without any blank is still a few clauses.
const UNSPACED_BYTES_MAX: usize = 4096;

/// Instructions in other scripts: the words that make one stand close together, in either order.
fn foreign<G: Grams>(scanner: &mut Scanner<'_, G>, start: usize, end: usize) {
    let begins = |byte: &u8| matches!(byte, 0xd0 | 0xd1 | 0xd7..=0xd9 | 0xe0 | 0xe3..=0xed);
    if !scanner.text.as_bytes()[start..end].iter().any(begins) {
        return;
    }
    let chunk = crate::item::cut(&scanner.text[start..end], UNSPACED_BYTES_MAX);
    let behind = crate::item::cut(&scanner.text[start..], chunk.len() + FOREIGN_BYTES);
    let holds = |text: &str, words: &[&str]| words.iter().any(|word| text.contains(word));
    if holds(chunk, &FOREIGN_OVERRIDES) && holds(behind, &FOREIGN_INSTRUCTIONS)
        || holds(chunk, &FOREIGN_INSTRUCTIONS) && holds(behind, &FOREIGN_OVERRIDES)
    {
        scanner.hit(Hit::Override, (start, end));
    }
    if holds(chunk, &UNSPACED_PROMPTS) {
        scanner.hit(Hit::RevealPrompt, (start, end));
    }
}

/// More tags than the flag of a country's part has.
const TAGS_MIN: usize = 8;

/// Tag characters show nothing and spell ASCII: a text of them is there for a model's eyes only.
fn tags<G: Grams>(scanner: &mut Scanner<'_, G>, start: usize, end: usize) {
    let chunk = &scanner.text[start..end];
    if !chunk.as_bytes().windows(2).any(|pair| pair == [0xf3, 0xa0]) {
        return;
    }
    // Variation selectors after the first sixteen stand for bytes from 16 on.
    let tag = |c: char| match (c as u32).wrapping_sub(0xe0000) {
        code @ 0x20..0x7f => Some(char::from(code as u8)),
        code @ 0x110..0x16f => Some(char::from((code - 0x100 + 16) as u8)),
        _ => None,
    };
    let spelled: String = chunk.chars().filter_map(tag).take(UNSPACED_BYTES_MAX).collect();
    if spelled.len() >= TAGS_MIN && scanner.depth < decode::DEPTH_MAX {
        inner(scanner, &spelled, (start, end));
        scanner.scan.record(Hit::HiddenInstruction, (start, end));
    }
}

/// Comments of HTML hide text from people and not from models.
fn markup<G: Grams>(scanner: &mut Scanner<'_, G>, start: usize, end: usize) {
    let chunk = &scanner.text[start..end];
    if chunk.contains("<!--") {
        scanner.in_comment = true;
        scanner.scan.record(Hit::Comment, (start, end));
    }
    if chunk.contains("-->") {
        scanner.in_comment = false;
    }
    if chunk.starts_with("<|") || chunk.contains("[INST]") || chunk.contains("<<SYS") {
        scanner.scan.record(Hit::RoleMarker, (start, end));
    }
}

fn encoded<G: Grams>(scanner: &mut Scanner<'_, G>, start: usize, end: usize, signs: Signs) -> bool {
    if signs.any(Signs::HIGH | Signs::AT | Signs::ANGLE) || scanner.depth >= decode::DEPTH_MAX {
        return false;
    }
    let chunk = &scanner.text[start..end];
    let decoded = decode::base64(chunk).or_else(|| decode::hex(chunk));
    let Some(plain_text) = decoded.or_else(|| decode::base32(chunk)) else { return false };
    inner(scanner, &plain_text, (start, end));
    true
}

fn percent<G: Grams>(scanner: &mut Scanner<'_, G>, start: usize, end: usize) -> bool {
    let chunk = &scanner.text[start..end];
    if scanner.depth >= decode::DEPTH_MAX {
        return false;
    }
    let Some(plain_text) = decode::percent(chunk) else { return false };
    inner(scanner, &plain_text, (start, end));
    true
}

/// What an encoded part says counts as said; that it was encoded counts besides.
fn inner<G: Grams>(scanner: &mut Scanner<'_, G>, plain_text: &str, span: Span) {
    let decoded = super::scan_plain(plain_text, scanner.depth + 1);
    scanner.scan.record(Hit::Encoded, span);
    scanner.scan.encoded_bytes =
        scanner.scan.encoded_bytes.saturating_add((span.1 - span.0) as u32);
    scanner.scan.absorb(&decoded, span);
    scanner.token(&plain(Kind::Other, span.0, span.1, 0xe0c0, 1), &[]);
}

/// Trims what punctuation leaves at the ends of a chunk.
fn trimmed(text: &str, start: usize, end: usize) -> Span {
    let chunk = &text[start..end];
    let left = chunk.trim_start_matches(['(', '[', '<', '"', '\'', '*', '_']);
    let right = left
        .trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '>', '"', '\'', '*', '_', '…']);
    let begin = start + (chunk.len() - left.len());
    (begin, begin + right.len())
}

fn handle<G: Grams>(scanner: &mut Scanner<'_, G>, start: usize, end: usize) -> bool {
    let (from, to) = trimmed(scanner.text, start, end);
    let chunk = &scanner.text[from..to];
    let bytes = chunk.as_bytes();
    let name = |rest: &[u8]| {
        !rest.is_empty()
            && rest.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | 0x80..))
    };
    let kind = match bytes.first() {
        Some(b'@') if name(&bytes[1..]) => Kind::Mention,
        Some(b'#') if name(&bytes[1..]) && !bytes[1].is_ascii_digit() => Kind::Hashtag,
        _ => match chunk.split_once('@') {
            Some((user, host)) if !user.is_empty() && host.contains('.') && !host.contains('@') => {
                Kind::Email
            }
            _ => return false,
        },
    };
    if kind == Kind::Email {
        scanner.scan.signs[b'@' as usize] += 1;
        if let Some((_, host)) = chunk.split_once('@') {
            judge_host(scanner, host, (from, to));
        }
    }
    scanner.token(&plain(kind, from, to, 0, 1), &[]);
    rest(scanner, to, end);
    true
}

/// The signs after a link still end its sentence.
fn rest<G: Grams>(scanner: &mut Scanner<'_, G>, from: usize, end: usize) {
    let tail = scanner.text[from..end].bytes().find(|b| matches!(b, b'.' | b'!' | b'?' | b','));
    if let Some(sign) = tail {
        scanner.token(&plain(Kind::Sign(sign), from, end, u64::from(sign), 1), &[sign]);
    }
}

fn link<G: Grams>(scanner: &mut Scanner<'_, G>, start: usize, end: usize) -> bool {
    let (mut from, to) = trimmed(scanner.text, start, end);
    let mut chunk = &scanner.text[from..to];
    if !chunk.bytes().any(|b| matches!(b, b'.' | b'/' | b':')) {
        return false; // the last word of a sentence
    }
    // `[text](target)`: the text is judged against the target.
    let mut shown = None;
    if let Some((text, target)) = chunk.split_once("](") {
        shown = Some(text.to_ascii_lowercase());
        from += text.len() + 2;
        chunk = target;
    }
    let lower = chunk.get(..chunk.len().min(8)).unwrap_or_default().to_ascii_lowercase();
    let schemed =
        ["http://", "https://", "http:/", "ftp://"].into_iter().find(|s| lower.starts_with(s));
    let rest_of = schemed.map_or(chunk, |scheme| &chunk[scheme.len()..]);
    let host_end = rest_of.find(['/', '?', '#']).unwrap_or(rest_of.len());
    let host = &rest_of[..host_end];
    if schemed.is_none() && !lower.starts_with("www.") && !is_name(host) {
        return false;
    }
    let span = (from, to);
    scanner.scan.record(Hit::Link, span);
    judge_host(scanner, host, span);
    if let Some(shown) = shown
        && shown.contains('.')
        && is_name(shown.trim_start_matches("www."))
        && !host.to_ascii_lowercase().contains(shown.trim_start_matches("www."))
    {
        scanner.scan.record(Hit::LinkMismatch, span);
    }
    scanner.token(&plain(Kind::Url, from, to, 0, 1), &[]);
    rest(scanner, to, end);
    true
}

/// Whether `host` looks like `name.ending`.
fn is_name(host: &str) -> bool {
    let Some((name, ending)) = host.rsplit_once('.') else { return false };
    !name.is_empty()
        && ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending))
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && name.bytes().any(|b| b.is_ascii_alphabetic())
}

fn judge_host<G: Grams>(scanner: &mut Scanner<'_, G>, host: &str, span: Span) {
    let host = host.rsplit('@').next().unwrap_or(host);
    let host = host.split(':').next().unwrap_or(host).to_ascii_lowercase();
    let bare = host.strip_prefix("www.").unwrap_or(&host);
    if SHORTENERS.contains(&bare) {
        scanner.scan.record(Hit::ShortLink, span);
    }
    if is_untrustworthy(bare) {
        scanner.scan.record(Hit::BadLink, span);
    }
}

/// Whether a host, in small letters, is a bare address, one under an ending that costs little, or one that looks like another.
pub(crate) fn is_untrustworthy(host: &str) -> bool {
    let bare = host.strip_prefix("www.").unwrap_or(host);
    // Four numbers: `tool@1.71.0` names a version.
    let address = bare.bytes().filter(|b| *b == b'.').count() >= 3
        && bare.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let cheap = bare.rsplit_once('.').is_some_and(|(_, ending)| CHEAP.contains(&ending));
    let name = bare.rsplit_once('.').map_or(bare, |(name, _)| name);
    let is_own = |brand: &str| {
        name == brand || name.strip_suffix(brand).is_some_and(|before| before.ends_with('.'))
    };
    let imitates = name.split('.').next_back() != Some("co")
        && unleet(name).split(['-', '.']).any(|part| is_brand(part) && !is_own(part));
    address || cheap || imitates || !bare.is_ascii() || bare.contains("xn--")
}

fn is_brand(part: &str) -> bool {
    brands::is_one(part) || BRANDS.contains(&part)
}

fn unleet(name: &str) -> String {
    name.bytes().map(|byte| char::from(crate::fold::unleet(byte))).collect()
}
