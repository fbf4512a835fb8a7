//! What the parts of code do together: the rules for values built into commands, and for what guards them.

use super::{Class, Hit, Scanner};
use crate::decode;
use crate::lexicon::Classes;
use crate::spec::Span;
use crate::text::scan::{Grams, Hit as TextHit};
use crate::unlearned;

/// What came before in the same statement.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing seen or not")]
pub(super) struct Past {
    /// Classes seen in this statement, and in the one before.
    statement: Classes,
    before: Classes,
    /// A string that holds SQL, a shell command or HTML, and was not yet closed off.
    sql: Option<Span>,
    sql_marks: bool,
    html: Option<Span>,
    command: Option<Span>,
    freed: bool,
    /// The last token was a number.
    number: bool,
    /// The last token was a string.
    string: Option<Span>,
    /// Open call of an allocation, a copy, a run or a database.
    call: Classes,
    last: Classes,
    f_string: bool,
    /// A call that fills a format is in this statement.
    formats: bool,
}

impl Past {
    pub(super) fn number(&mut self) {
        self.number = true;
        self.string = None;
    }
}

impl<G: Grams> Scanner<'_, G> {
    pub(super) fn end_statement(&mut self) {
        let past = &mut self.past;
        past.before = past.statement;
        past.statement = 0;
        past.call = 0;
        past.f_string = false;
        past.formats = false;
        if !self.flow.runs() {
            past.command = None;
        }
        // A query is often built over several lines; what it is made of is looked at for as long.
    }

    pub(super) fn name_rules(&mut self, classes: Classes, folded: &[u8], span: Span) {
        let has = |class: Class| classes & class.bit() != 0;
        if self.scan.words > 3 && fold_hash(folded) == self.scan.first_name {
            self.scan.first_name_again += 1;
        }
        match folded {
            b"f" | b"fr" | b"rf" => self.past.f_string = true,
            b"format" if self.past.sql.is_some() => self.built(Hit::SqlBuilt),
            b"format" if self.past.command.is_some() => self.built(Hit::ShellBuilt),
            b"def" | b"self" | b"elif" | b"none" => self.scan.python += 1,
            b"sprintf" | b"snprintf" | b"asprintf" | b"format" => self.past.formats = true,
            // A model's `.eval()` runs nothing.
            b"eval" if !self.text[span.1..].starts_with("()") => {
                self.scan.record(Hit::Evaluated, span);
            }
            _ => {}
        }
        let branched = (self.past.statement | self.past.before) & Class::Branch.bit() != 0;
        if folded == b"return" && branched {
            self.scan.early_returns += 1;
        }
        let branch = self.past.statement & Class::Branch.bit() != 0;
        if has(Class::Null) && branch {
            self.scan.record(Hit::NullChecked, span);
        }
        if has(Class::Bounds) && branch {
            self.scan.record(Hit::SizeCompared, span);
        }
        if has(Class::Error) && self.past.statement & Class::Return.bit() != 0
            || matches!(folded, b"raise" | b"throw")
        {
            self.scan.record(Hit::ErrorReturned, span);
        }
        if has(Class::Null) && self.past.freed {
            self.scan.record(Hit::FreedCleared, span);
            self.past.freed = false;
        }
        self.past.freed |= has(Class::Free);
        self.past.statement |= classes;
        self.past.last = classes;
        self.past.number = false;
        self.past.string = None;
    }

    fn built(&mut self, hit: Hit) {
        let span = match hit {
            Hit::SqlBuilt => self.past.sql.take(),
            Hit::ShellBuilt => self.past.command.take(),
            _ => self.past.html.take(),
        };
        if let Some(span) = span {
            self.flow.suspect(hit, span);
        }
    }

    pub(super) fn string_rules(&mut self, span: Span) {
        let text = crate::item::cut(&self.text[span.0..span.1], LOOKED_AT_BYTES_MAX);
        let inside = text.trim_matches(['"', '\'', '`']);
        let lower = inside.to_ascii_lowercase();
        let documents = self.flow.is_bare() && text.starts_with(TRIPLE);
        let sql = !documents && is_sql(inside, &lower);
        let open = self.is_filled(inside, span);
        let formatted =
            || self.past.formats && ["%s", "%v", "{}"].iter().any(|mark| lower.contains(mark));
        if sql {
            let formatted = formatted();
            self.past.sql = Some(span);
            self.past.sql_marks = ["?", "%s", ":", "$1"].iter().any(|mark| lower.contains(mark));
            if open
                || formatted
                || lower.bytes().filter(|byte| *byte == b'\'').count() % 2 == 1
                || lower.contains("'%s'")
                || lower.contains("'{")
                || lower.contains("\"%s\"")
            {
                self.built(Hit::SqlBuilt);
            }
        } else if lower.contains("</") || lower.starts_with('<') && lower.len() > 2 {
            self.past.html = Some(span);
            if open && self.flow.shows() {
                self.flow.suspect(Hit::HtmlSpliced, span);
            }
            if open {
                self.built(Hit::HtmlBuilt);
            }
        } else if self.flow.runs() && lower.len() > 2 {
            self.past.command = Some(span);
            if open {
                self.built(Hit::ShellBuilt);
            }
        }
        if inside == ".." || lower.contains("../") || inside == "..\\\\" {
            self.scan.record(Hit::PathChecked, span);
        }
        let line = self.text.get(self.line_start..span.1).unwrap_or_default();
        let named = self.past.statement & Class::Secret.bit() != 0;
        if unlearned::is_known_secret(inside)
            || named && line.len() <= LOOKED_AT_BYTES_MAX && unlearned::secret_in(line).is_some()
        {
            self.scan.record(Hit::SecretLiteral, span);
        }
        if (0..inside.len()).any(|at| is_slow(inside.as_bytes(), at)) {
            self.scan.record(Hit::PatternSlow, span);
        }
        if inside.len() >= 40 && (decode::base64(inside).is_some() || decode::hex(inside).is_some())
        {
            self.scan.record(Hit::Encoded, span);
        }
        self.prose_rules(span);
        self.past.string = Some(span);
        self.past.number = false;
        self.past.f_string = false;
    }

    /// Whether names are put into a string: as each language does that. Names all in capitals are constants.
    fn is_filled(&self, inside: &str, span: Span) -> bool {
        let quote = self.text.as_bytes()[span.0];
        let php = self.scan.signs[usize::from(b'$')] > 0;
        let marks: &[&str] = match quote {
            b'`' => &["${"],
            _ if self.past.f_string || self.text[..span.0].ends_with(['$', '@']) => &["{"],
            b'"' if php => &["#{", "{$", "$"],
            b'"' => &["#{"],
            _ => &[],
        };
        marks.iter().any(|mark| {
            inside.split(mark).skip(1).any(|rest| {
                let name = rest
                    .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .next()
                    .unwrap_or_default();
                let first = name.bytes().next().unwrap_or_default();
                (first.is_ascii_alphabetic() || first == b'_' || quote == b'`')
                    && name.bytes().any(|byte| byte.is_ascii_lowercase())
            })
        })
    }

    /// Instructions to a model hide in comments and strings.
    pub(super) fn prose_rules(&mut self, span: Span) {
        let text = crate::item::cut(&self.text[span.0..span.1], LOOKED_AT_BYTES_MAX);
        if text.len() < 24 {
            return;
        }
        if !text.is_ascii() && text.chars().any(crate::fold::is_bidi_control) {
            self.scan.record(Hit::Reordered, span);
        }
        // The shortest instruction has three words.
        if text.split_ascii_whitespace().nth(2).is_none() || !crate::text::may_instruct(text) {
            return;
        }
        let found = crate::text::scan_part(text);
        let told = [TextHit::Override, TextHit::RevealPrompt];
        if told.iter().any(|hit| found.hits[*hit as usize] > 0) {
            self.scan.record(Hit::Instruction, span);
        }
    }

    pub(super) fn sign_rules(&mut self, byte: u8, next: u8, length: usize, at: usize) {
        let span = (at, at + length);
        match byte {
            b')' if is_slow(self.text.as_bytes(), at) => self.scan.record(Hit::PatternSlow, span),
            b'(' => {
                self.scan.calls += u32::from(self.recent[1] != 0);
                self.past.call |= self.past.last;
                if takes_format(self.text, at) {
                    self.scan.record(Hit::FormatOpen, span);
                }
            }
            b'[' => {
                self.scan.indexes += 1;
                if self.past.call & Class::UnsafeRun.bit() != 0 {
                    self.scan.record(Hit::ListArguments, span);
                }
            }
            b'+' | b'%' | b'.'
                if length == 1
                    && (byte != b'.' || self.scan.signs[usize::from(b'$')] > 0 || next == b' ')
                    && (self.past.string.is_some() || next == b'"' || next == b'\'')
                    && !is_between_literals(self.past.string.is_some(), &self.text[span.1..]) =>
            {
                self.joined(span);
            }
            b'+' | b'*'
                if length == 1
                    && self.past.call & (Class::Alloc.bit() | Class::UnsafeMemory.bit()) != 0 =>
            {
                self.scan.record(Hit::SizeComputed, span);
            }
            b',' | b')'
                if self.past.string.is_some() && self.past.sql.is_some() && self.past.sql_marks =>
            {
                if byte == b',' {
                    self.scan.record(Hit::SqlBound, span);
                }
                self.past.sql = None;
            }
            b';' => {
                self.past.sql = None;
                self.past.html = None;
                self.past.command = None;
                self.end_statement();
            }
            b'{' | b'}' => self.end_statement(),
            _ => {}
        }
        if byte != b'(' {
            self.past.last = 0;
        }
        if !matches!(byte, b' ' | b')') {
            self.past.string = None;
        }
        if byte == b'=' && self.text[at..].len() > 5 {
            let rest = &self.text.as_bytes()[at + 1..];
            if self.text[..at].ends_with("shell") && rest.starts_with(b"True") {
                self.scan.record(Hit::ShellTrue, (at - 5, at + 5));
            }
            if self.text[..at].ends_with("verify") && rest.starts_with(b"False") {
                self.scan.record(Hit::TlsOff, (at - 6, at + 6));
            }
        }
    }

    /// A string joined with something.
    fn joined(&mut self, span: Span) {
        if self.past.sql.is_some() {
            self.built(Hit::SqlBuilt);
        } else if self.past.command.is_some() {
            self.built(Hit::ShellBuilt);
        } else if let Some(html) = self.past.html {
            if self.flow.shows() {
                self.flow.suspect(Hit::HtmlSpliced, html);
            }
            self.built(Hit::HtmlBuilt);
        } else if self.past.statement & Class::File.bit() != 0 {
            self.scan.record(Hit::PathBuilt, span);
        }
    }
}

fn fold_hash(folded: &[u8]) -> u64 {
    crate::fold::hash(folded)
}

/// How a string begins that documents, where nothing else is in its statement.
const TRIPLE: &str = "\"\"\"";
/// Bytes of a string or comment that rules look at.
const LOOKED_AT_BYTES_MAX: usize = 2048;

/// Whether a sign stands between a literal and another, as in a text that is too long for one line.
fn is_between_literals(after_string: bool, rest: &str) -> bool {
    let rest = rest.trim_start();
    after_string && rest.starts_with(['"', '\'', '`'])
}

/// Whether a string holds a query, or the part of one that tells it: statements that are prose have no such form.
fn is_sql(text: &str, lower: &str) -> bool {
    let start = lower.trim_start().trim_start_matches('(');
    let begins = |verb: &str| start.starts_with(verb);
    let has = |word: &str| lower.contains(word);
    begins("select ") && (has(" from ") || has("\nfrom ") || text.contains("SELECT "))
        || begins("insert into ")
        || begins("replace into ")
        || begins("delete from ")
        || begins("drop table ")
        || begins("update ") && (has(" set ") || has("\nset ") || text.contains("UPDATE "))
        || (begins("where ") || begins("and ") || has(" where "))
            && (has(" = ") || has("='") || has(" like ") || has(" in ("))
}

/// Whether a bracket here ends a repeated part of a pattern that is repeated, with nothing in it that tells where one ends:
/// `(a+)+` takes ages over some texts.
fn is_slow(bytes: &[u8], at: usize) -> bool {
    if bytes[at] != b')' || !matches!(bytes.get(at + 1), Some(b'+' | b'*')) {
        return false;
    }
    let head = &bytes[at.saturating_sub(PART_BYTES_MAX)..at];
    let Some(open) = head.iter().rposition(|byte| *byte == b'(') else { return false };
    let part = &head[open + 1..];
    let part = part.strip_prefix(b"?:").unwrap_or(part);
    let [b'+' | b'*', rest @ ..] = &part[atom(part)..] else { return false };
    rest.is_empty() || matches!(rest[atom(rest)..], [b'?' | b'*'])
}

/// Length of the one thing that a pattern begins with.
fn atom(pattern: &[u8]) -> usize {
    match pattern {
        [b'\\', _, ..] => 2,
        [b'[', inner @ ..] => inner.iter().position(|byte| *byte == b']').map_or(0, |end| end + 2),
        [single, ..] if single.is_ascii_alphanumeric() || *single == b'.' => 1,
        _ => 0,
    }
}

/// Longest repeated part of a pattern that is looked at, in bytes.
const PART_BYTES_MAX: usize = 40;

/// The place of the format among the arguments.
const FORMATS: [(&str, usize); 7] = [
    ("printf", 0),
    ("wprintf", 0),
    ("fprintf", 1),
    ("dprintf", 1),
    ("sprintf", 1),
    ("syslog", 1),
    ("snprintf", 2),
];
/// Bytes of arguments that are looked at.
const ARGUMENTS_BYTES_MAX: usize = 120;

/// Whether the call that opens here has a name for its format, and nothing to fill it with.
fn takes_format(text: &str, at: usize) -> bool {
    let Some((_, place)) = FORMATS.iter().find(|(name, _)| {
        let head = text[..at].strip_suffix(name);
        head.is_some_and(|head| !head.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    }) else {
        return false;
    };
    let rest = crate::item::cut(&text[at + 1..], ARGUMENTS_BYTES_MAX);
    let Some((arguments, _)) = rest.split_once(')') else { return false };
    let mut arguments = arguments.split(',').map(str::trim);
    let format = arguments.nth(*place).unwrap_or_default();
    arguments.next().is_none()
        && format.starts_with(|c: char| c.is_ascii_alphabetic())
        && format.bytes().any(|byte| byte.is_ascii_lowercase())
        && format.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_->.[]".contains(&byte))
}
