//! Mails: what their reader sees, without the forms in which it travels.
//!
//! `mailparse` reads fields, `charset` and `quoted_printable` decode; the parts are found here, in one pass and without recursion:
//! whoever sends a mail chooses how many there are and how deep they lie. Never judges.

use std::borrow::Cow;
use std::collections::HashSet;

use charset::Charset;
use mailparse::{MailHeader, MailHeaderMap, ParsedContentType};

use crate::envelope::Envelope;
use crate::{decode, page};

/// Longest head of a mail or of a part, in bytes: mails that went through many hands have ten kilobytes of fields.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Longest type of a part that is read, in bytes: a type, a boundary, a name.
const TYPE_BYTES_MAX: usize = 1024;
/// What all decoding of a mail's fields may cost: the places where encoded words begin in a field, times those where they
/// end, times its length, which is how long it takes. A field of two words takes some hundreds.
const DECODING_MAX: usize = 4 << 20;
/// Pairs of words of a text that are kept to find what a page says beside it; a page beside a longer one is read as it is.
const PAIRS_MAX: usize = 1 << 18;
/// Most parts that are told apart; what follows is read as it is.
const PARTS_MAX: usize = 1000;
/// Most multiparts that are open at once.
const OPEN_MAX: usize = 32;
/// Mails that are encoded within mails that are encoded, and so on.
const ENCODED_DEPTH_MAX: usize = 3;
/// Share of readable characters from which on bytes are a text, whatever they are called.
const READABLE_SHARE: f32 = 0.95;
/// Links behind a text of their own that are shown.
const LINKS_MAX: usize = 2;

/// Fields that a mail has beside its sender, put there by programs.
const TELLING: [&str; 6] =
    ["date", "message-id", "received", "mime-version", "return-path", "delivered-to"];

/// What is read of a mail.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Mail {
    /// The subject, and all texts.
    pub(crate) text: String,
    /// What readers are not shown: the fields of all heads, the markup of pages, what stands behind the last part.
    pub(crate) unseen: String,
    /// It brings something that is no text.
    pub(crate) attached: bool,
    /// What tells of it beside its words.
    pub(crate) envelope: Envelope,
    /// Where the last text begins that no page was compared with: each is looked at once, however many parts there are.
    plain: Option<usize>,
    /// How many links are in it.
    links: usize,
    /// What is left of [`DECODING_MAX`].
    decoding_left: usize,
}

/// Reads a mail, if the bytes are one: they begin with the fields of its head, and it says something.
pub(crate) fn read(bytes: &[u8]) -> Option<Mail> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    if !begins_like_one(bytes) {
        return None;
    }
    let mut mail = Mail { decoding_left: DECODING_MAX, ..Mail::default() };
    mail.add(bytes, ENCODED_DEPTH_MAX);
    mail.envelope.read_text(&mail.text);
    Some(mail).filter(|mail| !mail.text.trim().is_empty())
}

/// Whether the bytes begin with the fields of a mail's head, the sender and what a program adds among them, up to an
/// empty line.
fn begins_like_one(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let (mut from, mut telling, mut before) = (false, false, false);
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let line = line.trim_ascii_end();
        match line.first() {
            None => return from && telling,
            Some(b' ' | b'\t') if before => continue,
            Some(_) => before = true,
        }
        let Some(end) = line.iter().position(|byte| *byte == b':') else { return false };
        let name = line[..end].trim_ascii_end();
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return false;
        }
        from |= name.eq_ignore_ascii_case(b"from");
        telling |= TELLING.iter().any(|telling| name.eq_ignore_ascii_case(telling.as_bytes()));
    }
    false
}

/// What decoding a field costs: see [`DECODING_MAX`].
fn decoding_cost(field: &MailHeader<'_>) -> usize {
    let raw = field.get_value_raw();
    let count = |sign: &[u8]| raw.windows(2).filter(|pair| *pair == sign).count();
    count(b"=?").saturating_mul(count(b"?=").max(1)).saturating_mul(raw.len())
}

/// How a part is sent.
struct Form {
    kind: ParsedContentType,
    encoding: String,
    /// The name under which it is attached.
    name: Option<String>,
}

impl Form {
    fn of(fields: &[MailHeader<'_>]) -> Form {
        let kind = fields.get_first_header("Content-Type");
        let kind = kind.filter(|kind| kind.get_value_raw().len() <= TYPE_BYTES_MAX);
        let kind = kind.map(|kind| mailparse::parse_content_type(&kind.get_value()));
        let encoding = fields.get_first_value("Content-Transfer-Encoding").unwrap_or_default();
        let kind = kind.unwrap_or_default();
        let placed = fields.get_first_header("Content-Disposition");
        let placed = placed.filter(|placed| placed.get_value_raw().len() <= TYPE_BYTES_MAX);
        let placed = placed.map(|placed| mailparse::parse_content_disposition(&placed.get_value()));
        let named = placed.as_ref().and_then(|placed| placed.params.get("filename"));
        let name = named.or_else(|| kind.params.get("name")).cloned();
        Form { kind, encoding: encoding.trim().to_ascii_lowercase(), name }
    }

    fn is(&self, kind: &str) -> bool {
        self.kind.mimetype.starts_with(kind)
    }

    fn is_encoded(&self) -> bool {
        matches!(&self.encoding[..], "base64" | "quoted-printable")
    }

    /// The text that the bytes are. Letters that are said to be wide but are not are read as they are.
    fn letters<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        let said = Charset::for_label(self.kind.charset.as_bytes());
        let is_plain = !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok();
        match said.filter(|said| !is_plain || said.is_ascii_compatible() && !bytes.is_ascii()) {
            Some(said) if self.kind.charset != "us-ascii" => said.decode(bytes).0,
            _ => String::from_utf8_lossy(bytes),
        }
    }

    fn decoded(&self, body: &[u8]) -> Vec<u8> {
        match &self.encoding[..] {
            "base64" => decode::base64_part(body),
            "quoted-printable" => {
                let robust = quoted_printable::ParseMode::Robust;
                quoted_printable::decode(body, robust).unwrap_or_else(|_| body.to_vec())
            }
            _ => body.to_vec(),
        }
    }
}

impl Mail {
    /// Reads a mail part for part: a head, and behind it a text, or further parts up to the boundaries that are open.
    fn add(&mut self, bytes: &[u8], depth: usize) {
        let mut open: Vec<Vec<u8>> = Vec::new();
        let mut sender = String::new();
        let mut rest = bytes;
        for _ in 0..PARTS_MAX {
            let head = &rest[..rest.len().min(HEAD_BYTES_MAX)];
            let Ok((mut fields, head_bytes)) = mailparse::parse_headers(head) else { break };
            let left = &mut self.decoding_left;
            let is_endless = |field: &mut MailHeader<'_>| {
                let cost = decoding_cost(field);
                let fits = cost <= *left;
                *left -= if fits { cost } else { 0 };
                !fits
            };
            let endless: Vec<_> = fields.extract_if(.., is_endless).collect();
            for field in endless {
                self.hide(&field.get_key_ref());
                self.hide(&String::from_utf8_lossy(field.get_value_raw()));
            }
            let form = Form::of(&fields);
            self.shown_fields(&fields);
            for field in &fields {
                self.hide(&field.get_key_ref());
                self.hide(&field.get_value());
            }
            if let Some(from) = fields.get_first_value("From") {
                if sender.is_empty() {
                    self.envelope.read_head(&fields);
                }
                sender = domain_of(&from);
            }
            rest = &rest[head_bytes..];
            if form.is("message/") && !form.is_encoded() && !form.is("message/delivery") {
                continue;
            }
            let boundary = form.kind.params.get("boundary").filter(|_| form.is("multipart/"));
            let is_multipart = boundary.is_some() && open.len() < OPEN_MAX;
            open.extend(boundary.filter(|_| is_multipart).map(|b| [b"--", b.as_bytes()].concat()));
            let (body, behind, after) = to_boundary(rest, &mut open);
            self.hide(&String::from_utf8_lossy(behind));
            if is_multipart {
                // What stands before the first part; or all of it, where none begins.
                self.paragraph(&String::from_utf8_lossy(body));
            } else {
                self.leaf(&form, body, &sender, depth);
            }
            match after {
                Some(after) => rest = after,
                None => return,
            }
        }
        // More parts than anybody sends, or no head where one should be.
        self.paragraph(&String::from_utf8_lossy(rest));
    }

    /// What a reader is shown of a head.
    fn shown_fields(&mut self, fields: &[MailHeader<'_>]) {
        // A name of so many words is none.
        const NAME_WORDS_MAX: usize = 4;
        for from in fields.get_all_values("From") {
            let name = from.split('<').next().unwrap_or_default();
            if name.split_whitespace().count() > NAME_WORDS_MAX {
                self.paragraph(name);
            }
        }
        for subject in fields.get_all_values("Subject") {
            self.paragraph(&format!("Subject: {subject}"));
        }
    }

    /// Reads a part that has no further parts.
    fn leaf(&mut self, form: &Form, body: &[u8], sender: &str, depth: usize) {
        let bytes = form.decoded(body);
        if form.is("message/") && depth > 0 && begins_like_one(&bytes) {
            return self.add(&bytes, depth - 1);
        }
        if let Some(name) = &form.name {
            self.envelope.read_attached(name, &bytes);
        }
        let text = form.letters(&bytes);
        if is_readable(&text) {
            if form.is("text/html") || page::begins_like_one(&text) {
                self.page(&text, sender);
            } else if form.is("text/calendar") {
                self.hide(&text);
                self.paragraph(&invitation(&text));
            } else {
                self.plain = Some(self.text.len());
                self.paragraph(&text);
            }
        } else {
            self.attached = true;
        }
        // Words that are said to be base64 are shown as they are by whoever cannot decode them.
        if form.encoding == "base64" && body.trim_ascii().contains(&b' ') {
            self.paragraph(&String::from_utf8_lossy(body));
        }
    }

    /// A page is mostly a text once more: of it the lines are read that say something else.
    fn page(&mut self, html: &str, sender: &str) {
        self.hide(html);
        let page = page::read(html);
        let plain = self.plain.take().unwrap_or(self.text.len());
        let said: HashSet<(&str, &str)> = pairs(&self.text[plain..]).take(PAIRS_MAX).collect();
        let is_new = |line: &&str| pairs(line).any(|pair| !said.contains(&pair));
        let new: Vec<&str> = page.text.lines().filter(is_new).collect();
        let new = new.join("\n");
        self.paragraph(&new);
        for (shown, target) in &page.masked {
            self.envelope.read_masked(&domain_of(shown), &domain_of(target), sender);
        }
        for link in page.links {
            let host = page::host(link).to_ascii_lowercase();
            let below = host.strip_suffix(sender).filter(|_| !sender.is_empty());
            let is_own = below.is_some_and(|below| below.is_empty() || below.ends_with('.'));
            if !is_own && self.links < LINKS_MAX {
                self.links += 1;
                self.paragraph(link);
            }
        }
    }

    fn hide(&mut self, text: &str) {
        self.unseen.push_str(text);
        self.unseen.push('\n');
    }

    fn paragraph(&mut self, text: &str) {
        let text = text.trim();
        if !text.is_empty() {
            self.text.push_str(text);
            self.text.push_str("\n\n");
        }
    }
}

/// What stands before the next boundary of those that are open; what stands between it and the next part, where it closes;
/// and that part. Inner boundaries end with an outer one.
fn to_boundary<'a>(
    bytes: &'a [u8],
    open: &mut Vec<Vec<u8>>,
) -> (&'a [u8], &'a [u8], Option<&'a [u8]>) {
    let (mut at, mut end) = (0, None);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let start = at;
        at += line.len();
        if !line.starts_with(b"--") {
            continue;
        }
        let line = line.trim_ascii_end();
        let closes = |boundary: &[u8]| line.strip_prefix(boundary) == Some(b"--");
        let found = open.iter().rposition(|boundary| *boundary == line || closes(boundary));
        let Some(found) = found else { continue };
        let end = *end.get_or_insert(start);
        if open[found] == line {
            open.truncate(found + 1);
            return (&bytes[..end], &bytes[end..start], Some(&bytes[at..]));
        }
        open.truncate(found);
    }
    let (body, behind) = bytes.split_at(end.unwrap_or(bytes.len()));
    (body, behind, None)
}

/// Each two words that follow on each other, and each by itself.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let words = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let alone = words().map(|word| ("", word));
    words().zip(words().skip(1)).chain(alone)
}

/// What an invitation says to people.
fn invitation(text: &str) -> String {
    let says = |line: &&str| {
        let name = line.split([':', ';']).next().unwrap_or_default();
        matches!(name, "SUMMARY" | "DESCRIPTION" | "LOCATION" | "COMMENT")
    };
    let unfolded = text.replace("\r\n ", "").replace("\n ", "");
    let said = unfolded.lines().filter(says).filter_map(|line| line.split_once(':'));
    said.map(|(_, said)| said).collect::<Vec<_>>().join("\n")
}

/// Whether characters are mostly such as people write.
fn is_readable(text: &str) -> bool {
    let unreadable =
        text.chars().filter(|c| c.is_control() && !c.is_whitespace() || *c == '\u{fffd}').count();
    unreadable as f32 <= (1.0 - READABLE_SHARE) * text.len() as f32
}

/// The last two labels of the sender's host.
pub(crate) fn domain_of(sender: &str) -> String {
    let host = sender.rsplit('@').next().unwrap_or_default();
    let host = host.split(|c: char| !c.is_ascii_alphanumeric() && !".-".contains(c)).next();
    let labels: Vec<&str> = host.unwrap_or_default().rsplit('.').take(2).collect();
    if labels.len() == 2 {
        format!("{}.{}", labels[1], labels[0]).to_ascii_lowercase()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "From: Marek <marek@example.net>\r\nTo: anna@example.org\r\n\
        Date: Tue, 24 Nov 2026 09:12:44 +0100\r\nSubject: =?utf-8?q?Der_gr=C3=BCne_Entwurf?=\r\n";
    const SUBJECT: &str = "Subject: Der grüne Entwurf\n\n";

    fn text(rest: &str) -> String {
        read(format!("{HEAD}{rest}").as_bytes()).expect("a mail").text
    }

    fn two(first: &str, second: &str) -> String {
        format!(
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n\
             --b\r\n{first}\r\n--b\r\n{second}\r\n--b--\r\n"
        )
    }

    #[test]
    fn a_mail_begins_with_its_fields() {
        assert!(begins_like_one(format!("{HEAD}\r\nHello").as_bytes()));
        assert!(begins_like_one(b"Received: from a\n\tby b\nFROM : c@d\n\n"));
        assert!(read(format!("\u{feff}{HEAD}\r\nHello").as_bytes()).is_some());
        for other in [
            "",
            "\n\n",
            "Hello Anna,\n\nthe draft: see below.\n",
            "From: somebody\nSubject: no program wrote this\n\nHello",
            "Date: today\nSubject: nobody sent it\n\nHello",
            " From: a@b\nDate: today\n\nHello",
            "From: a@b\nDate: today\nand then a sentence\n\nHello",
            "From: a@b\nDate: it never ends\n",
            "From a@b Tue Nov 24 09:12:44 2026\nFrom: a@b\nDate: a box of many mails\n\nHello",
        ] {
            assert!(!begins_like_one(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let base64 = "Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8g\r\nQW5uYQ==\r\n";
        assert_eq!(text(base64), format!("{SUBJECT}Hello Anna\n\n"));
        let latin = "Content-Type: text/plain; charset=iso-8859-1\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe=20an=\r\n alle\r\n";
        assert_eq!(text(latin), format!("{SUBJECT}Grüße an alle\n\n"));
        let chinese = "Content-Type: text/plain; charset=gb2312\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nxOO6ww==\r\n";
        assert_eq!(text(chinese), format!("{SUBJECT}你好\n\n"));
    }

    #[test]
    fn what_is_said_in_two_forms_is_read_once_and_what_differs_twice() {
        let html = |html: &str| format!("Content-Type: text/html\r\n\r\n{html}");
        let same = two(
            "\r\nHello Anna, about tomorrow",
            &html("<p>Hello <b>Anna</b>, about tomorrow</p>"),
        );
        assert_eq!(text(&same), format!("{SUBJECT}Hello Anna, about tomorrow\n\n"));
        let more =
            text(&two("\r\nHello Anna", &html("<p>Hello Anna, your parcel awaits payment</p>")));
        assert!(
            more.ends_with("Hello Anna\n\nHello Anna, your parcel awaits payment\n\n"),
            "{more}"
        );
        let long =
            "All is well with the house and the garden, and the children are back at school. "
                .repeat(9);
        let added = text(&two(
            &format!("\r\n{long}"),
            &html(&format!("<p>{long}</p><p>Pay the fee now</p>")),
        ));
        assert!(
            added.ends_with("Pay the fee now\n\n") && added.matches("garden").count() == 9,
            "{added}"
        );
        let glued =
            text(&two("\r\nHelloAnna,yourparcel", &html("<p>Hello Anna, your parcel waits</p>")));
        assert!(glued.contains("HelloAnna") && glued.contains("your parcel waits"), "{glued}");
        let linked = |from: &str| {
            text(&two("\r\nHello", &html(&format!("<a href=\"http://{from}/a\">Pay</a>"))))
        };
        assert!(linked("evil.example").contains("http://evil.example/a"));
        assert!(linked("badexample.net").contains("http://badexample.net/a"));
        assert!(!linked("www.example.net").contains("http"), "it is the sender's");
    }

    #[test]
    fn nothing_that_can_be_read_is_left_out() {
        let words = "Send me the password of the account";
        let encoded = "U2VuZCBtZSB0aGUgcGFzc3dvcmQgb2YgdGhlIGFjY291bnQ=";
        for rest in [
            format!("Content-Type: application/json\r\n\r\n{words}"),
            format!("From: \"{words}\" <a@b.example>\r\n\r\nHello"),
            format!(
                "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n{encoded}"
            ),
            format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{words}\r\n"),
            format!("Content-Type: multipart/mixed\r\n\r\n{words}\r\n"),
            format!("Content-Transfer-Encoding: base64\r\n\r\n{words}"),
            format!("Content-Type: text/plain; charset=utf-16\r\n\r\n{words}"),
            format!("Content-Type: text/plain; charset=nonsense\r\n\r\n{words}"),
            format!("{}\r\n{words}", "Content-Type: message/rfc822\r\n\r\n".repeat(900)),
            two(
                "\r\nHello",
                &format!("Content-Type: message/rfc822\r\n\r\nFrom: c@d\r\nSubject: {words}\r\n"),
            ),
            two("\r\nHello", &format!("{}{words}", "\r\n\r\n--b\r\n".repeat(2000))),
            two("no head here", &format!("\r\n{words}")),
        ] {
            assert!(text(&rest).contains(words), "{rest}: {}", text(&rest));
        }
        let pdf = "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0A/wD/AP8A/w==";
        let mail = read(format!("{HEAD}{}", two("\r\nHello", pdf)).as_bytes()).expect("a mail");
        assert_eq!((mail.text, mail.attached), (format!("{SUBJECT}Hello\n\n"), true));
    }

    #[test]
    fn hostile_mails_take_linear_time_and_little_stack() {
        for part in [
            "Content-Type: message/rfc822\r\n\r\n",
            "Content-Type: multipart/x; boundary=zz\r\n\r\n--b\r\n",
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
            "--b\r\n\r\n",
            "a:\r\n",
            "Content-Type: text/html\r\n\r\na line\r\n--b\r\n\r\na text\r\n--b\r\n<a href=\"http://a.example\">a</a>\r\n--b\r\n",
        ] {
            let many = part.repeat(4_000_000 / part.len());
            let first = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n";
            assert!(read(format!("{HEAD}{first}{many}Hello").as_bytes()).is_some());
            assert!(read(format!("{HEAD}\r\n{many}").as_bytes()).is_some());
        }
        let parameters: Vec<_> = (0..5000).map(|n| format!(" a*{n}=x;\r\n")).collect();
        let parameters = parameters.concat();
        assert!(
            text(&format!("Content-Type: text/plain;\r\n{parameters} b=c\r\n\r\nHello"))
                .contains("Hello")
        );
        let mut nested = format!("{HEAD}\r\nHello");
        for _ in 0..8 {
            nested = format!(
                "{HEAD}Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}",
                nested.replace('=', "=3D")
            );
        }
        assert!(read(nested.as_bytes()).expect("a mail").text.contains("Hello"));
    }
}
