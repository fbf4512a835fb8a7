//! Pages of HTML: the text that a reader is shown, without the markup. One pass, linear, for any bytes.

use std::borrow::Cow;

/// Links of different hosts that are told.
const LINKS_MAX: usize = 3;
/// Elements inside of a word or a line.
const INLINE: [&str; 22] = [
    "a", "abbr", "b", "bdi", "bdo", "big", "code", "em", "font", "i", "ins", "kbd", "mark", "s",
    "small", "span", "strong", "sub", "sup", "tt", "u", "wbr",
];
/// Elements whose content is a program's or a style's.
const PROGRAMS: [&str; 2] = ["script", "style"];
/// Longest name of an entity that is looked for, in bytes.
const ENTITY_BYTES_MAX: usize = 32;

/// What a page says.
pub(crate) struct Page<'a> {
    pub(crate) text: String,
    /// Where its links lead: the first of each of the first few hosts.
    pub(crate) links: Vec<&'a str>,
    /// Links whose words are a host of another name: what is shown, and the host that they lead to.
    pub(crate) masked: Vec<(String, &'a str)>,
    /// The host of a link that is open, and where its words begin.
    anchor: Option<(&'a str, usize)>,
    open: Open,
}

/// What was found not to end: looking for its end again and again would take long.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
struct Open {
    quotes: bool,
    tags: bool,
    comments: bool,
    programs: bool,
}

/// Whether a text begins as a page does.
pub(crate) fn begins_like_one(text: &str) -> bool {
    let begins = |with: &str| {
        let start = text.trim_start().as_bytes().get(..with.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
    };
    begins("<!doctype html") || begins("<html")
}

/// Reads a page.
pub(crate) fn read(html: &str) -> Page<'_> {
    let (text, links, masked, open) = Default::default();
    let mut page = Page { text, links, masked, anchor: None, open };
    page.read(html);
    page
}

/// The host of an address, empty where it has none.
pub(crate) fn host(address: &str) -> &str {
    let (_, rest) = address.split_once("//").unwrap_or_default();
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

impl<'a> Page<'a> {
    fn read(&mut self, html: &'a str) {
        let mut rest = html;
        while let Some(start) = rest.find('<') {
            self.words(&rest[..start]);
            let tag = &rest[start + 1..];
            rest = if let Some(comment) = tag.strip_prefix("!--") {
                // One that never ends is shown.
                let end = if self.open.comments { None } else { comment.find("-->") };
                self.open.comments = end.is_none();
                end.map_or(comment, |end| &comment[end + 3..])
            } else if tag.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c)) {
                match self.tag_end(tag) {
                    Some(end) => self.tag(&tag[..end], &tag[end + 1..]),
                    None => tag,
                }
            } else {
                self.text.push('<');
                tag
            };
        }
        self.words(rest);
    }

    /// Where a tag ends: quoted values may hold its sign.
    fn tag_end(&mut self, tag: &str) -> Option<usize> {
        if !self.open.quotes {
            let mut quote = None;
            let end = tag.find(|c| match quote {
                Some(open) => {
                    quote = quote.filter(|_| c != open);
                    false
                }
                None if c == '"' || c == '\'' => {
                    quote = Some(c);
                    false
                }
                None => c == '>',
            });
            self.open.quotes = end.is_none();
            if end.is_some() {
                return end;
            }
        }
        let end = if self.open.tags { None } else { tag.find('>') };
        self.open.tags = end.is_none();
        end
    }

    /// Reads a tag; says where to go on.
    fn tag(&mut self, tag: &'a str, after: &'a str) -> &'a str {
        let name = tag.strip_prefix('/').unwrap_or(tag);
        let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let among = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
        if name.eq_ignore_ascii_case("td") || name.eq_ignore_ascii_case("th") {
            self.space();
        } else if !among(&INLINE) {
            self.line();
        }
        let address = reference(tag);
        if name.eq_ignore_ascii_case("a") {
            self.end_anchor();
            self.anchor = address.map(|address| (host(address), self.text.len()));
        }
        if let Some(address) = address {
            self.link(address);
        }
        if !among(&PROGRAMS) || tag.starts_with('/') || self.open.programs {
            return after;
        }
        let end = after.as_bytes().windows(2 + name.len()).position(|window| {
            window.starts_with(b"</") && window[2..].eq_ignore_ascii_case(name.as_bytes())
        });
        // One that never ends is shown.
        self.open.programs = end.is_none();
        &after[end.unwrap_or(0)..]
    }

    /// Adds text between tags, its entities decoded, with single spaces.
    fn words(&mut self, text: &str) {
        let mut space = text.starts_with(|c: char| c.is_whitespace());
        for word in text.split_whitespace() {
            if space {
                self.space();
            }
            self.text.push_str(&decoded(word));
            space = true;
        }
        if text.ends_with(|c: char| c.is_whitespace()) {
            self.space();
        }
    }

    fn space(&mut self) {
        if self.text.ends_with(|c: char| !c.is_whitespace()) {
            self.text.push(' ');
        }
    }

    fn line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.truncate(self.text.trim_end().len());
            self.text.push('\n');
        }
    }

    fn end_anchor(&mut self) {
        let Some((target, start)) = self.anchor.take() else { return };
        let shown = shown_host(self.text.get(start..).unwrap_or_default());
        if self.masked.len() < LINKS_MAX
            && !target.is_empty()
            && let Some(shown) = shown.filter(|shown| !target.eq_ignore_ascii_case(shown))
        {
            self.masked.push((shown.to_ascii_lowercase(), target));
        }
    }

    fn link(&mut self, address: &'a str) {
        let known = self.links.iter().any(|link| host(link) == host(address));
        if !host(address).is_empty() && self.links.len() < LINKS_MAX && !known {
            self.links.push(address);
        }
    }
}

/// The host that the words of a link name, if they are nothing but an address.
fn shown_host(words: &str) -> Option<&str> {
    const BYTES_MAX: usize = 200;
    let words = words.trim();
    let rest = words.split_once("://").map_or(words, |(_, rest)| rest);
    let shown = rest.split(['/', '?', '#', ':']).next()?;
    let (name, ending) = shown.rsplit_once('.')?;
    let plain =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    let is_host = !name.is_empty()
        && plain(name)
        && ending.len() >= 2
        && ending.bytes().all(|b| b.is_ascii_alphabetic());
    (words.len() <= BYTES_MAX && is_host && !words.contains(char::is_whitespace)).then_some(shown)
}

/// What a tag refers to.
fn reference(tag: &str) -> Option<&str> {
    const NAME: &[u8] = b"href";
    let at = tag.as_bytes().windows(NAME.len()).position(|w| w.eq_ignore_ascii_case(NAME))?;
    let value = tag[at + NAME.len()..].trim_start().strip_prefix('=')?.trim_start();
    match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next(),
        _ => value.split(|c: char| c.is_whitespace()).next(),
    }
}

/// A word with its entities as the letters that they stand for; unknown ones stay.
fn decoded(word: &str) -> Cow<'_, str> {
    if !word.contains('&') {
        return Cow::Borrowed(word);
    }
    let mut text = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((before, entity)) = rest.split_once('&') {
        text.push_str(before);
        let name = entity.bytes().take(ENTITY_BYTES_MAX).position(|byte| byte == b';');
        let letter = name.and_then(|end| Some((letter(&entity[..end])?, end)));
        rest = if let Some((letter, end)) = letter {
            text.push(letter);
            &entity[end + 1..]
        } else {
            text.push('&');
            entity
        };
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The letter of an entity: by its number, one of markup's own, or a letter with an accent.
fn letter(entity: &str) -> Option<char> {
    if let Some(number) = entity.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        return char::from_u32(code.ok()?);
    }
    Some(match entity {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" | "rsquo" | "lsquo" => '\'',
        "ldquo" => '“',
        "rdquo" => '”',
        "nbsp" | "ensp" | "emsp" | "thinsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "euro" => '€',
        "pound" => '£',
        "copy" => '©',
        "szlig" => 'ß',
        "shy" | "zwnj" | "zwj" => '\u{ad}',
        _ => accented(entity)?,
    })
}

/// `eacute` and its like: a letter, and the name of what is on or under it.
fn accented(entity: &str) -> Option<char> {
    let (letter, mark) = entity.split_at_checked(1)?;
    let mark = match mark {
        "grave" => '\u{300}',
        "acute" => '\u{301}',
        "circ" => '\u{302}',
        "tilde" => '\u{303}',
        "uml" => '\u{308}',
        "ring" => '\u{30a}',
        "cedil" => '\u{327}',
        "caron" => '\u{30c}',
        _ => return None,
    };
    unicode_normalization::char::compose(letter.chars().next()?, mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        read(html).text.trim().to_owned()
    }

    #[test]
    fn a_page_is_read_without_its_markup() {
        let page = "<!DOCTYPE html>\n<html><head><title>Caf&eacute; menu</title>\
            <style>p { margin: 0 }</style><script>var a = 1 < 2;</script></head>\n\
            <body class='x > y'>  <!-- not shown --> <h1>Soups</h1><p>Leek &amp; potato,\n  a <b>large</b>&nbsp;bowl</p>\
            <p>1 < 2, s<i></i>aid</p><tr><td>4</td><td>&#8364;&#x20AC;</td></tr></body></html>";
        assert!(begins_like_one(page));
        let shown = "Café menu\nSoups\nLeek & potato, a large bowl\n1 < 2, said\n4 €€";
        assert_eq!(text(page), shown);
        assert!(begins_like_one("\n <HTML lang=en>") && !begins_like_one("<p>text</p>"));
        assert_eq!(text("&unknown; &#xd800; &; & &amp"), "&unknown; &#xd800; &; & &amp");
    }

    #[test]
    fn what_never_ends_is_shown() {
        for page in [
            "<html><!-- a b c",
            "<html><script>a b c",
            "<html><p title=\"x>a b c",
            "<head>a b c",
            "<p>a b c <a",
        ] {
            assert!(text(page).contains("a b c"), "{page}: {}", text(page));
        }
    }

    #[test]
    fn links_are_told_by_their_hosts() {
        let page = "<a href=\"http://evil.example/pay\">Pay</a> <a HREF = //evil.example/b>b</a>\
            <a href=\"/local\">there</a><a href='https://other.example?a=\"'>c</a>";
        assert_eq!(read(page).links, ["http://evil.example/pay", "https://other.example?a=\""]);
    }

    #[test]
    fn hostile_pages_take_linear_time() {
        for part in [
            "<a \"",
            "<a '",
            "<",
            "<!--",
            "<script>",
            "<a href=\"x://",
            "&",
            "&#",
            "</",
            "<p",
            "<a href>",
        ] {
            let read = text(&format!("<html>{}", part.repeat(400_000)));
            assert!(read.len() <= 16 * 400_000, "{part}");
        }
    }
}
