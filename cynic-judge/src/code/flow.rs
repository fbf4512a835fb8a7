//! Where what others say goes: names that hold it, statement by statement, from where it comes in to where it does harm.
//! No types, no calls of one's own, no branches: an approximation that one pass can make. A check of any kind between the
//! two is believed.

use super::dangers::{ASKED, FOREIGN, KEPT, Looker, Meaning, SECRET, TYPED};
use super::{Class, Hit, Scan};
use crate::fold;
use crate::lexicon::Classes;
use crate::spec::Span;

/// Where what others say does harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Sink {
    /// It is run as a command.
    Run,
    /// It is run as code.
    Eval,
    /// It names a file.
    Path,
    /// It is an address that is asked.
    Fetch,
    /// It is where people are sent.
    Redirect,
    /// It is shown as it is.
    Html,
    /// It leaves the host.
    Send,
    /// It is written where many read it.
    Log,
}

/// What it is when something of a kind gets to a place.
const HARMS: [(Sink, u8, Hit); 13] = [
    (Sink::Run, ASKED, Hit::RequestRun),
    (Sink::Run, TYPED, Hit::RequestRun),
    (Sink::Run, FOREIGN, Hit::RemoteRun),
    (Sink::Eval, ASKED, Hit::RequestRun),
    (Sink::Eval, TYPED, Hit::RequestRun),
    (Sink::Eval, FOREIGN, Hit::RemoteRun),
    (Sink::Path, ASKED, Hit::RequestPath),
    (Sink::Fetch, ASKED, Hit::RequestFetched),
    (Sink::Redirect, ASKED, Hit::RequestRedirects),
    (Sink::Html, ASKED, Hit::RequestShown),
    (Sink::Log, SECRET, Hit::SecretLogged),
    (Sink::Send, KEPT, Hit::SecretsSent),
    (Sink::Fetch, KEPT, Hit::SecretsSent),
];

/// Names that hold what others say, at most.
const HELD_MAX: usize = 64;
/// Blocks in blocks that are told apart, at most.
const BLOCKS_MAX: usize = 128;
/// What is found in one statement, at most.
const FOUND_MAX: usize = 16;
/// Names between braces that are kept, at most.
const BRACED_MAX: usize = 8;
/// What checks or escapes, and what makes a number of anything.
const GUARDS: Classes = Class::Guard.bit() | Class::Convert.bit();

#[derive(Default)]
pub(super) struct Flow {
    looker: Looker,
    held: Vec<Held>,
    /// Statements so far, by which what comes in is told apart.
    statements: u32,
    /// Round and square brackets that are open in this statement.
    open: u32,
    /// The same where each open block began; `None` for a block that is part of a statement.
    blocks: Vec<Option<u32>>,
    statement: Statement,
    /// Names between the braces that were closed last: they may be assigned to.
    braced: Vec<u64>,
    /// The sign before, with blanks left out; 0 after a name or a string.
    sign_before: u8,
    /// The next list of parameters is a handler's: a framework fills them with what is asked.
    handler: bool,
    /// The name that was given to `free` and not assigned to since.
    freed: Vec<u64>,
    /// The name that is given back at the end of this statement.
    deleted: Option<u64>,
}

/// A name that holds what others say.
struct Held {
    name: u64,
    kinds: u8,
    /// The statement in which it came in: what checks a part of it checks all of it.
    origin: u32,
}

/// What is known of the statement that is read.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing seen or not")]
struct Statement {
    /// Names so far, and the last one.
    names: u32,
    last: u64,
    /// Begins as a declaration or an answer does, not as a block.
    declares: bool,
    /// Names between braces of the statement.
    braced: Vec<u64>,
    /// What is named next holds what the statement carries.
    alias: bool,
    /// The first name is one of a condition.
    condition: bool,
    loops: bool,
    /// What is assigned to.
    targets: Vec<u64>,
    /// Adds to what the target held.
    adds: bool,
    /// Kinds of what is in it after the assignment.
    carries: u8,
    /// Where what its names hold came in.
    origins: Vec<u32>,
    /// The head of a handler: the types of its parameters check nothing.
    heads: bool,
    /// Something in it checks or escapes.
    guarded: bool,
    /// Something in it escapes, or makes a number of anything.
    escaped: bool,
    sinks: u16,
    /// What it does, unless it is guarded; and unless it is escaped.
    found: Vec<(Hit, Span)>,
    suspected: Vec<(Hit, Span)>,
}

impl Statement {
    /// Nothing came in it, not even a place to show what comes.
    fn is_blank(&self) -> bool {
        self.names == 0 && self.sinks == 0 && self.carries == 0 && self.suspected.is_empty()
    }
}

impl Flow {
    pub(super) fn name(
        &mut self,
        all: &mut Scan,
        text: &str,
        line_start: usize,
        (folded, hash, classes): (&[u8], u64, Classes),
        span: Span,
    ) {
        let statement = &mut self.statement;
        if classes & GUARDS != 0 {
            statement.guarded = true;
            statement.escaped |= escapes(folded, classes);
        }
        if statement.names == 0 {
            statement.condition = matches!(folded, b"if" | b"elif" | b"unless" | b"while");
            statement.loops = folded == b"for" || folded == b"foreach";
            statement.declares =
                matches!(folded, b"const" | b"let" | b"var" | b"return" | b"export");
        }
        statement.names += 1;
        match folded {
            b"in" | b"of" if statement.loops && statement.targets.is_empty() => {
                statement.targets = vec![statement.last];
            }
            b"in" if statement.condition => statement.guarded = true,
            b"def" | b"fun" if self.handler => {
                self.handler = false;
                self.statement.heads = true;
                self.parameters(text, span.1, false);
            }
            b"actionresult" | b"iactionresult" | b"iresult" => {
                self.statement.heads = true;
                self.parameters(text, span.1, true);
            }
            b"requestparam" | b"pathvariable" | b"requestheader" | b"fromquery" | b"frombody"
            | b"fromroute" => {
                self.statement.heads = true;
                self.annotated(text, span.1);
            }
            b"route" | b"get" | b"post" | b"put" | b"delete" | b"patch"
                if text[..span.0].ends_with('.')
                    && span.0 - line_start <= DECORATOR_BYTES_MAX
                    && text[line_start..span.0].trim_start().starts_with('@') =>
            {
                self.handler = true;
            }
            b"delete" => self.delete(text, span.1),
            _ => {}
        }
        self.use_after_free(all, text, hash, span);
        self.mention(hash, span, text[..span.0].ends_with('.'));
        for meaning in self.looker.look(all, text, span, hash) {
            match meaning {
                Meaning::Danger(hit) => all.record(hit, span),
                Meaning::Source(kind) => self.carry(kind, span),
                Meaning::Sink(sink) => self.statement.sinks |= 1 << sink as u16,
            }
        }
        let statement = &mut self.statement;
        if statement.alias {
            statement.alias = false;
            let carries = statement.carries;
            let origin = statement.origins.first().copied().unwrap_or(self.statements + 1);
            self.hold(hash, carries, origin);
        }
        let statement = &mut self.statement;
        statement.alias = folded == b"as" && statement.carries != 0;
        if matches!(self.blocks.last(), Some(None)) && statement.braced.len() < BRACED_MAX {
            statement.braced.push(hash);
        }
        statement.last = hash;
        self.sign_before = 0;
    }

    /// `delete name;`
    fn delete(&mut self, text: &str, from: usize) {
        let rest = text.as_bytes()[from..].strip_prefix(b" ").unwrap_or_default();
        let name = name_at(rest.iter());
        if name > 0 && rest.get(name) == Some(&b';') && self.freed.len() < FOUND_MAX {
            self.deleted = Some(fold::hash(&rest[..name].to_ascii_lowercase()));
        }
    }

    fn use_after_free(&mut self, all: &mut Scan, text: &str, hash: u64, span: Span) {
        if let Some(place) = self.freed.iter().position(|freed| *freed == hash) {
            let rest = text[span.1..].trim_start();
            let assigned = rest.starts_with('=') && !rest.starts_with("==");
            let member = text[..span.0].ends_with(['.', '>', '&']);
            if assigned || self.statement.condition {
                self.freed.swap_remove(place);
            } else if !member {
                all.record(Hit::FreedUsed, span);
                self.freed.swap_remove(place);
            }
        }
    }

    /// A name is read: it may hold something.
    fn mention(&mut self, hash: u64, span: Span, is_member: bool) {
        if is_member {
            return;
        }
        let Some(held) = self.held.iter().find(|held| held.name == hash) else { return };
        let kinds = held.kinds;
        if self.statement.origins.len() < HELD_MAX {
            self.statement.origins.push(held.origin);
        }
        self.carry(kinds, span);
    }

    fn carry(&mut self, kinds: u8, span: Span) {
        let statement = &mut self.statement;
        statement.carries |= kinds;
        for (sink, kind, hit) in HARMS {
            if statement.sinks & 1 << sink as u16 != 0
                && kinds & kind != 0
                && statement.found.len() < FOUND_MAX
            {
                statement.found.push((hit, span));
            }
        }
    }

    /// Something is found that escaping makes good, here or in the rest of the statement.
    pub(super) fn suspect(&mut self, hit: Hit, span: Span) {
        if self.statement.suspected.len() < FOUND_MAX {
            self.statement.suspected.push((hit, span));
        }
    }

    /// Whether nothing is named in this statement so far.
    pub(super) fn is_bare(&self) -> bool {
        self.statement.names == 0
    }

    /// Whether what comes next is shown as HTML.
    pub(super) fn shows(&self) -> bool {
        self.statement.sinks & 1 << Sink::Html as u16 != 0
    }

    /// Whether what comes next is run as a command.
    pub(super) fn runs(&self) -> bool {
        self.statement.sinks & 1 << Sink::Run as u16 != 0
    }

    /// A string: what is put into it is read.
    pub(super) fn string(&mut self, all: &mut Scan, text: &str, span: Span) {
        let inside = crate::item::cut(&text[span.0..span.1], INTERPOLATED_BYTES_MAX);
        let mut rest = 0;
        let marks = |byte: &u8| matches!(byte, b'{' | b'$' | b'#');
        while let Some(found) = inside.as_bytes()[rest..].iter().position(marks) {
            let at = rest + found;
            rest = at + 1;
            let body = inside[rest..].trim_start_matches('{');
            let start = inside.len() - body.len();
            let length = body
                .find(|c: char| !(c.is_alphanumeric() || "_.>-[]'\"()".contains(c)))
                .unwrap_or(body.len());
            let mut place = start;
            for part in body[..length].split(|c: char| !(c.is_alphanumeric() || c == '_')) {
                if !part.is_empty() && part.len() <= super::NAME_BYTES_MAX {
                    let folded = part.to_ascii_lowercase();
                    let own = (span.0 + place, span.0 + place + part.len());
                    let hash = fold::hash(folded.as_bytes());
                    self.mention(hash, own, text[..own.0].ends_with('.'));
                    let classes = super::known(folded.as_bytes(), hash);
                    self.statement.guarded |= classes & GUARDS != 0;
                    self.statement.escaped |= escapes(folded.as_bytes(), classes);
                    for meaning in self.looker.look(all, text, own, hash) {
                        if let Meaning::Source(kind) = meaning {
                            self.carry(kind, own);
                        }
                    }
                }
                place += part.len() + 1;
            }
            rest = rest.max(start + length);
            if rest >= inside.len() {
                break;
            }
        }
        if inside.contains('.') && KEPT_FILES.iter().any(|file| inside.contains(file)) {
            self.carry(KEPT, span);
        }
        if self.statement.sinks & RUNS != 0 && is_fetched_and_run(inside) {
            all.record(Hit::RemoteRun, span);
        }
        self.sign_before = 0;
    }

    pub(super) fn sign(&mut self, all: &mut Scan, text: &str, at: usize, length: usize) {
        let bytes = text.as_bytes();
        let (byte, next) = (bytes[at], bytes.get(at + length).copied().unwrap_or(0));
        match byte {
            b'(' => self.open += 1,
            b'[' => {
                self.open += 1;
                // Arguments as a list are no command line, unless a shell is given one.
                let shell = || {
                    text[at + 1..]
                        .trim_start()
                        .get(1..)
                        .is_some_and(|rest| SHELLS.iter().any(|shell| rest.starts_with(shell)))
                };
                if self.sign_before == b'(' && !shell() {
                    self.statement.sinks &= !(1 << Sink::Run as u16);
                }
            }
            b')' | b']' => self.open = self.open.saturating_sub(1),
            b'{' => self.open_block(all),
            b'}' => self.close_block(all),
            b';' => self.end(all),
            // `<?= … ?>`
            b'=' if text[..at].ends_with("<?") => {
                self.end(all);
                self.statement.sinks = 1 << Sink::Html as u16;
            }
            b'?' if next == b'>' => self.end(all),
            b'=' if length == 1 && next != b'>' => self.assign(),
            _ => {}
        }
        if byte == b')' {
            self.free(text, at);
        }
        self.sign_before = byte;
    }

    /// `free(name)`: the name alone.
    fn free(&mut self, text: &str, at: usize) {
        let head = text.as_bytes()[..at].trim_ascii_end();
        let name = head.len() - name_at(head.iter().rev());
        let Some(before) = head[..name].trim_ascii_end().strip_suffix(b"(") else { return };
        let before = before.trim_ascii_end();
        let freed = &before[before.len() - name_at(before.iter().rev())..];
        let names: [&[u8]; 4] = [b"free", b"kfree", b"g_free", b"av_free"];
        if names.contains(&freed) && name < head.len() && self.freed.len() < FOUND_MAX {
            self.freed.push(fold::hash(&head[name..].to_ascii_lowercase()));
        }
    }

    fn assign(&mut self) {
        let statement = &mut self.statement;
        if self.open > 0 && !statement.loops || !statement.targets.is_empty() {
            return;
        }
        statement.adds = matches!(self.sign_before, b'+' | b'.' | b'|');
        statement.carries = 0;
        if self.sign_before == b'}' && !self.braced.is_empty() {
            statement.targets = std::mem::take(&mut self.braced);
        } else if statement.last != 0 {
            statement.targets = vec![statement.last];
        }
    }

    fn open_block(&mut self, all: &mut Scan) {
        let part = matches!(self.sign_before, b'(' | b',' | b'=' | b':' | b'[' | b'?')
            || self.statement.declares && self.statement.names == 1;
        if self.blocks.len() < BLOCKS_MAX {
            self.blocks.push((!part).then_some(self.open));
        }
        self.braced.clear();
        if !part {
            self.end(all);
            self.open = 0;
        }
    }

    fn close_block(&mut self, all: &mut Scan) {
        match self.blocks.pop() {
            Some(None) => {
                // `const { a, b } = …`
                if self.open == 0 && self.statement.targets.is_empty() {
                    self.braced = std::mem::take(&mut self.statement.braced);
                }
            }
            block => {
                self.end(all);
                self.open = block.flatten().unwrap_or(0);
                self.freed.clear();
            }
        }
    }

    pub(super) fn new_line(&mut self, all: &mut Scan, text: &str, at: usize) {
        let unfinished = matches!(self.sign_before, b',' | b'+' | b'=' | b'\\' | b'.');
        if self.open > 0 || unfinished || matches!(self.blocks.last(), Some(None)) {
            return;
        }
        let rest = &text.as_bytes()[at + 1..];
        let first = rest.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
        if !first.is_some_and(|byte| b".+?:|&)".contains(byte)) {
            self.end(all);
        }
    }

    /// The statement ends: what was found in it counts, unless something guards it.
    pub(super) fn end(&mut self, all: &mut Scan) {
        if self.statement.is_blank() && self.deleted.is_none() {
            return;
        }
        let statement = std::mem::take(&mut self.statement);
        self.statements += 1;
        self.freed.extend(self.deleted.take());
        if !statement.escaped {
            for (hit, span) in statement.suspected {
                all.record(hit, span);
            }
        }
        if statement.heads {
            return;
        }
        if statement.guarded {
            let kept = |held: &Held| {
                !statement.origins.contains(&held.origin)
                    && (statement.adds || !statement.targets.contains(&held.name))
            };
            self.held.retain(kept);
            return;
        }
        for (hit, span) in statement.found {
            all.record(hit, span);
        }
        let origin = statement.origins.first().copied().unwrap_or(self.statements);
        for target in statement.targets {
            if !statement.adds {
                self.held.retain(|held| held.name != target);
            }
            if statement.carries & !SECRET != 0 {
                self.hold(target, statement.carries & !SECRET, origin);
            }
        }
    }

    fn hold(&mut self, name: u64, kinds: u8, origin: u32) {
        if self.held.len() < HELD_MAX {
            self.held.push(Held { name, kinds, origin });
        }
    }

    /// The same of what a framework hands over: each by itself.
    fn hold_asked(&mut self, name: &str) {
        self.statements += 1;
        self.hold(fold::hash(name.as_bytes()), ASKED, self.statements);
    }

    /// The parameters of a handler hold what is asked; those that are numbers or come from the program itself do not.
    fn parameters(&mut self, text: &str, from: usize, typed_before: bool) {
        let rest = crate::item::cut(&text[from..], PARAMETERS_BYTES_MAX);
        let Some((name, rest)) = rest.split_once('(') else { return };
        if name.contains(['\n', ';', '{', '=']) {
            return;
        }
        let list = rest.split(')').next().unwrap_or_default();
        for parameter in list.split(',') {
            let lower = parameter.to_ascii_lowercase();
            let given = [
                "int", "float", "bool", "depends", "uuid", "request", "session", "self", "db",
                "guid", "long",
            ];
            if given.iter().any(|word| lower.contains(word)) {
                continue;
            }
            let words = |c: char| !(c.is_alphanumeric() || c == '_');
            let mut words = lower.split(words).filter(|word| !word.is_empty());
            let name = if typed_before { words.nth(1) } else { words.next() };
            if let Some(name) = name {
                self.hold_asked(name);
            }
        }
    }

    /// `@RequestParam("x") String name`
    fn annotated(&mut self, text: &str, from: usize) {
        let rest = crate::item::cut(&text[from..], PARAMETERS_BYTES_MAX).to_ascii_lowercase();
        let rest = match rest.strip_prefix('(') {
            Some(inner) => inner.split_once(')').map_or("", |(_, rest)| rest),
            None => &rest,
        };
        let declared = rest.split([',', ')']).next().unwrap_or_default();
        let words = declared.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let numbers = ["int", "integer", "long", "uuid", "boolean", "guid"];
        if let [.., kind, name] = words[..]
            && !numbers.contains(&kind)
        {
            self.hold_asked(name);
        }
    }
}

/// Where on its line a decorator's method is, at most.
const DECORATOR_BYTES_MAX: usize = 200;
/// Bytes of a string in which names are looked for, and of a list of parameters.
const INTERPOLATED_BYTES_MAX: usize = 512;
const PARAMETERS_BYTES_MAX: usize = 512;

/// Length of the name that bytes begin with.
fn name_at<'b>(bytes: impl Iterator<Item = &'b u8>) -> usize {
    bytes.take(super::NAME_BYTES_MAX).take_while(|byte| super::in_name(**byte)).count()
}

/// Whether a name is of what escapes or converts, rather than only checks.
fn escapes(folded: &[u8], classes: Classes) -> bool {
    let parts: [&[u8]; 6] = [b"escape", b"quot", b"sanit", b"encode", b"purify", b"chars"];
    classes & Class::Convert.bit() != 0
        || parts.iter().any(|part| folded.windows(part.len()).any(|window| window == *part))
}

/// Shells, as the first of a list of arguments.
const SHELLS: [&str; 5] = ["sh\"", "bash\"", "sh'", "bash'", "/bin/"];

const RUNS: u16 = 1 << Sink::Run as u16 | 1 << Sink::Eval as u16;

/// Files that hold what nobody sends away.
const KEPT_FILES: [&str; 6] =
    [".ssh/id_", ".aws/credentials", ".npmrc", ".netrc", ".kube/config", "wallet.dat"];

/// `curl … | sh`
fn is_fetched_and_run(command: &str) -> bool {
    let fetched = ["curl ", "wget "].iter().any(|word| command.contains(word));
    fetched
        && ["| sh", "|sh", "| bash", "|bash", "chmod +x", "| python", "; sh ", "&& sh "]
            .iter()
            .any(|word| command.contains(word))
}
