//! What the parts of code do together: the rules for values built into commands, and for what guards them.

use super::{Class, Hit, Scanner};
use crate::decode;
use crate::lexicon::Classes;
use crate::spec::Span;
use crate::text::scan::{Grams, Hit as TextHit};

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
            b"eval" => self.scan.record(Hit::Evaluated, span),
            b"cert_none" | b"verify_none" | b"insecureskipverify" => {
                self.scan.record(Hit::TlsOff, span);
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
            self.scan.record(hit, span);
        }
    }

    pub(super) fn string_rules(&mut self, span: Span) {
        let text = crate::item::cut(&self.text[span.0..span.1], LOOKED_AT_BYTES_MAX);
        let inside = text.trim_matches(['"', '\'', '`']);
        let lower = inside.to_ascii_lowercase();
        let sql = [
            "select ",
            "insert into",
            "update ",
            "delete from",
            " where ",
            "replace into",
            " values",
            "drop table",
        ]
        .iter()
        .any(|word| lower.contains(word));
        let open = self.past.f_string && lower.contains('{');
        if sql {
            self.past.sql = Some(span);
            self.past.sql_marks = ["?", "%s", ":", "$1"].iter().any(|mark| lower.contains(mark));
            if open || lower.contains("'%s'") || lower.contains("'{") || lower.contains("\"%s\"") {
                self.built(Hit::SqlBuilt);
            }
        } else if lower.contains("</") || lower.starts_with('<') && lower.len() > 2 {
            self.past.html = Some(span);
            if open {
                self.built(Hit::HtmlBuilt);
            }
        } else if self.past.statement & Class::UnsafeRun.bit() != 0 && lower.len() > 2 {
            self.past.command = Some(span);
            if open {
                self.built(Hit::ShellBuilt);
            }
        }
        if inside == ".." || lower.contains("../") || inside == "..\\\\" {
            self.scan.record(Hit::PathChecked, span);
        }
        if self.past.statement & Class::Secret.bit() != 0 && secret_like(inside) {
            self.scan.record(Hit::SecretLiteral, span);
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

    /// Instructions to a model hide in comments and strings.
    pub(super) fn prose_rules(&mut self, span: Span) {
        let text = crate::item::cut(&self.text[span.0..span.1], LOOKED_AT_BYTES_MAX);
        if text.len() < 24 {
            return;
        }
        if !text.is_ascii() && text.chars().any(crate::fold::is_bidi_control) {
            self.scan.record(Hit::Reordered, span);
        }
        if !text.contains(' ') {
            return;
        }
        let found = crate::text::scan_part(text);
        let told = [TextHit::Override, TextHit::RevealPrompt, TextHit::SecretRequest];
        if told.iter().any(|hit| found.hits[*hit as usize] > 0) {
            self.scan.record(Hit::Instruction, span);
        }
    }

    pub(super) fn sign_rules(&mut self, byte: u8, next: u8, length: usize, at: usize) {
        let span = (at, at + length);
        match byte {
            b'(' => {
                self.scan.calls += u32::from(self.recent[1] != 0);
                self.past.call |= self.past.last;
            }
            b'[' => {
                self.scan.indexes += 1;
                if self.past.call & Class::UnsafeRun.bit() != 0 {
                    self.scan.record(Hit::ListArguments, span);
                }
            }
            b'+' | b'%'
                if length == 1 && (self.past.string.is_some() || next == b'"' || next == b'\'') =>
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
        } else if self.past.html.is_some() {
            self.built(Hit::HtmlBuilt);
        } else if self.past.statement & Class::File.bit() != 0 {
            self.scan.record(Hit::PathBuilt, span);
        }
    }
}

fn fold_hash(folded: &[u8]) -> u64 {
    crate::fold::hash(folded)
}

/// Bytes of a string or comment that rules look at.
const LOOKED_AT_BYTES_MAX: usize = 2048;

/// Whether a literal looks like a real secret rather than a name or a place holder.
fn secret_like(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    text.len() >= 8
        && text.len() <= 128
        && digits >= 1
        && !text.contains(' ')
        && !text.contains('%')
        && !text.contains('{')
}
