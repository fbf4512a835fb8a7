//! Commands for a shell: words, operators and rules over them. One pass; never runs or expands anything.

pub(crate) mod features;
mod rules;

use self::rules::Marks;
use crate::facets;
use crate::fold;
use crate::lexicon::{Classes, Lexicon, classes};
use crate::spec::Span;
use crate::text::scan::{GRAM_TOKENS_MAX, Grams};

classes! {
    Destroy "destroy", Fetch "fetch", Run "run", Secret "secret", Recon "recon", Persist "persist",
    Evade "evade", GuardOff "guard_off", Privilege "privilege", Force "force", Guard "guard",
    Inform "inform", Make "make", Media "media", Block "block", Nullify "nullify",
    Service "service", Mine "mine", Cover "cover",
}

/// What a rule over a command line found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Hit {
    /// Destruction of the root, the system, a home or a device.
    Ruin,
    /// Destruction of something else, forced.
    ForcedDelete,
    /// What is fetched is run.
    FetchRun,
    /// A shell handed to another host.
    ReverseShell,
    /// Encoded text that is run.
    EncodedRun,
    /// A write to a system path.
    SystemWrite,
    /// A system path is read or named.
    SystemPath,
    /// A program or script in a place for temporary files.
    TemporaryRun,
    /// Rights for everybody, or a set-user-id bit.
    Rights,
    /// A safeguard is switched off.
    GuardOff,
    /// Traces are removed.
    Cover,
    /// A secret is read.
    SecretRead,
    /// Data leaves for another host.
    Exfiltration,
    /// A process that multiplies without end.
    ForkBomb,
    /// A library or service that loads by itself.
    Persistence,
    /// Something is checked, listed or tried first.
    Guarded,
    /// Part of a command hidden in an encoding.
    Encoded,
    /// A bare network address.
    BareAddress,
    /// A registry path.
    Registry,
    /// Credentials of a host are dumped.
    CredentialDump,
    /// What is fetched and run, or sent away, comes from or goes to an address that nobody vouches for.
    Blind,
    /// All rights over what is managed elsewhere are handed out, or everybody may write there.
    AllRights,
}

const HITS: usize = Hit::AllRights as usize + 1;

/// The lexicon of commands.
static LEXICON: Lexicon<2048> = Lexicon::build(include_str!("lexicon.txt"), &Class::NAMES);

/// What one pass over a command found.
pub(crate) struct Scan {
    pub(crate) classes: [u32; Class::COUNT],
    pub(crate) hits: [u32; HITS],
    pub(crate) spans: [Option<Span>; Class::COUNT + HITS],
    pub(crate) bytes: usize,
    pub(crate) words: u32,
    pub(crate) lines: u32,
    pub(crate) commands: u32,
    pub(crate) pipes: u32,
    pub(crate) redirects: u32,
    pub(crate) chains: u32,
    pub(crate) flags: u32,
    pub(crate) long_flags: u32,
    pub(crate) paths: u32,
    pub(crate) backslashes: u32,
    pub(crate) variables: u32,
    pub(crate) substitutions: u32,
    pub(crate) quotes: u32,
    pub(crate) digits: u32,
    pub(crate) upper: u32,
    pub(crate) letters: u32,
    pub(crate) signs: u32,
    pub(crate) longest: u32,
    pub(crate) length_squares: f32,
    pub(crate) urls: u32,
    pub(crate) comments: u32,
    pub(crate) quiet: u32,
    pub(crate) background: u32,
    pub(crate) braces: u32,
    pub(crate) assignments: u32,
    pub(crate) distinct: u32,
    pub(crate) extensions: u32,
    pub(crate) first_known: bool,
}

impl Scan {
    pub(crate) fn class(&self, class: Class) -> f32 {
        self.classes[class as usize] as f32
    }

    pub(crate) fn hit(&self, hit: Hit) -> f32 {
        self.hits[hit as usize] as f32
    }

    /// Where it is.
    pub(crate) fn place(&self, hit: Hit) -> Option<Span> {
        self.spans[Class::COUNT + hit as usize]
    }

    pub(crate) fn record(&mut self, hit: Hit, span: Span) {
        self.hits[hit as usize] += 1;
        self.spans[Class::COUNT + hit as usize].get_or_insert(span);
    }
}

/// A word of a command line.
#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    folded: &'a str,
    marks: Marks,
    span: Span,
    classes: Classes,
    /// First word of a command.
    leads: bool,
}

/// What came before on the same command and line.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
struct Past {
    /// Classes seen in this command, and in this whole line.
    command: Classes,
    line: Classes,
    /// The last sign between words was a pipe.
    piped: bool,
    /// A redirect whose target is expected.
    redirect: bool,
    destroys: Option<Span>,
    fetched: Option<Span>,
    decoded: Option<Span>,
    /// What is fetched and run, or sent, on this line; and an address on it that nobody vouches for.
    handed: Option<Span>,
    unvouched: bool,
    hashes: [u64; 2],
    search: Option<Search>,
    /// An earlier command went to such a place.
    at_root: bool,
}

/// A search for files.
#[derive(Clone, Copy)]
struct Search {
    begin: usize,
    /// It starts where all of a host or a user is.
    everywhere: bool,
    /// It looks for names, so that not everything is found.
    narrowed: bool,
}

pub(crate) struct Scanner<'a, G> {
    scan: Scan,
    grams: G,
    text: &'a str,
    past: Past,
    sieve: [u64; 32],
}

/// Scans a command or script.
pub(crate) fn scan<G: Grams>(text: &str, grams: G) -> (Scan, G) {
    let text = text.trim_end();
    let scan = Scan {
        classes: [0; Class::COUNT],
        hits: [0; HITS],
        spans: [None; Class::COUNT + HITS],
        bytes: text.len() - fold::count(text.as_bytes(), |byte| byte == b'\r'),
        words: 0,
        lines: 1,
        commands: 0,
        pipes: 0,
        redirects: 0,
        chains: 0,
        flags: 0,
        long_flags: 0,
        paths: 0,
        backslashes: 0,
        variables: 0,
        substitutions: 0,
        quotes: 0,
        digits: 0,
        upper: 0,
        letters: 0,
        signs: 0,
        longest: 0,
        length_squares: 0.0,
        urls: 0,
        comments: 0,
        quiet: 0,
        background: 0,
        braces: 0,
        assignments: 0,
        distinct: 0,
        extensions: 0,
        first_known: false,
    };
    let mut scanner = Scanner { scan, grams, text, past: Past::default(), sieve: [0; 32] };
    scanner.run();
    (scanner.scan, scanner.grams)
}

/// The signs that end a word.
const ENDS_WORD: [bool; 256] = {
    let signs = b" \t\n\r|;&><`()\"'{},";
    let mut table = [false; 256];
    let mut at = 0;
    while at < signs.len() {
        table[signs[at] as usize] = true;
        at += 1;
    }
    table
};

fn ends_word(byte: u8) -> bool {
    ENDS_WORD[usize::from(byte)]
}

/// What kind of character a byte is, one count for each kind in twelve bits: a look-up and a sum for each byte.
const KINDS: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let c = byte as u8;
        table[byte] = c.is_ascii_digit() as u64
            | (c.is_ascii_uppercase() as u64) << 12
            | (c.is_ascii_alphabetic() as u64) << 24
            | ((c == b'\\') as u64) << 36
            | ((c == b'$' || c == b'%') as u64) << 48;
        byte += 1;
    }
    table
};
/// So many bytes are summed up at once that no count overflows.
const KINDS_BYTES_MAX: usize = 0xfff;

impl<G: Grams> Scanner<'_, G> {
    fn run(&mut self) {
        let bytes = self.text.as_bytes();
        let mut folded = String::with_capacity(64);
        let mut at = 0;
        let mut leads = true;
        while at < bytes.len() {
            if ends_word(bytes[at]) || bytes[at] == b'$' && bytes.get(at + 1) == Some(&b'(') {
                at = self.sign(bytes, at, &mut leads);
                continue;
            }
            let start = at;
            while at < bytes.len() && !ends_word(bytes[at]) {
                at += 1;
            }
            if leads && self.text.as_bytes()[start] == b'#' {
                self.scan.comments += 1;
                while at < bytes.len() && bytes[at] != b'\n' {
                    at += 1;
                }
                continue;
            }
            folded.clear();
            let text = &self.text[start..at];
            if text.is_ascii() {
                folded.push_str(&text[..text.len().min(WORD_CHARACTERS_MAX)]);
                folded.make_ascii_lowercase();
            } else {
                for c in text.chars().take(WORD_CHARACTERS_MAX) {
                    fold::fold(c, |c| folded.push(c));
                }
            }
            self.word(text, &folded, start, leads);
            leads = false;
        }
    }

    fn sign(&mut self, bytes: &[u8], at: usize, leads: &mut bool) -> usize {
        let next = bytes.get(at + 1).copied();
        let scan = &mut self.scan;
        let mut length = 1;
        match bytes[at] {
            b' ' | b'\t' | b'\r' => return at + 1,
            b'\n' => {
                scan.lines += u32::from(at + 1 < bytes.len());
                self.new_line();
                *leads = true;
                return at + 1;
            }
            b'|' if next == Some(b'|') => {
                (length, scan.chains, *leads) = (2, scan.chains + 1, true);
            }
            b'|' => {
                scan.pipes += 1;
                self.past.piped = true;
                *leads = true;
            }
            b'&' if next == Some(b'&') => {
                (length, scan.chains, *leads) = (2, scan.chains + 1, true);
            }
            b'&' if next != Some(b'>') && at > 0 && bytes[at - 1] != b'>' => {
                scan.background += 1;
                *leads = true;
            }
            b';' => (scan.chains, *leads) = (scan.chains + 1, true),
            b'>' => {
                scan.redirects += 1;
                self.past.redirect = true;
                length = 1 + usize::from(next == Some(b'>'));
            }
            b'`' | b'$' => {
                scan.substitutions += 1;
                *leads = true;
            }
            b'"' | b'\'' => scan.quotes += 1,
            b'{' | b'}' => scan.braces += 1,
            _ => {}
        }
        if *leads {
            self.past.command = 0;
            self.past.destroys = None;
        }
        self.scan.signs += 1;
        let hash = fold::finish(SIGNS ^ u64::from(bytes[at]));
        self.gram(hash, facets::of_sign(bytes[at]), (at, at + length));
        at + length
    }

    fn new_line(&mut self) {
        let Past { hashes, at_root, .. } = self.past;
        self.past = Past { hashes, at_root, ..Past::default() };
    }

    fn gram(&mut self, hash: u64, facet: u8, span: Span) {
        if self.scan.words <= GRAM_TOKENS_MAX {
            self.grams.gram(hash, facet, span);
        }
    }

    fn word(&mut self, text: &str, folded: &str, start: usize, leads: bool) {
        let span = (start, start + text.len());
        let hash = fold::hash(folded.as_bytes());
        let mut classes = self.classes_of(folded, hash);
        if leads && classes == 0 {
            // `/usr/bin/rm` is `rm`.
            let name = folded.rsplit(['/', '\\']).next().unwrap_or(folded);
            classes = LEXICON.look_up(fold::hash(name.as_bytes())).classes;
        }
        let word = Word { text, folded, marks: Marks::of(folded), span, classes, leads };
        self.measure(&word, hash);
        self.rules(&word);
        self.word_grams(&word, hash);
        self.past.hashes = [self.past.hashes[1], hash];
        self.past.command |= classes;
        self.past.line |= classes;
        self.past.redirect = false;
        // `| sudo sh` pipes into `sh`.
        if leads && classes & Class::Privilege.bit() == 0 {
            self.past.piped = false;
        }
    }

    fn classes_of(&self, folded: &str, hash: u64) -> Classes {
        let entry = LEXICON.look_up(hash);
        let mut classes = entry.classes;
        if entry.phrase_ends & 1 << 2 != 0 {
            classes |= LEXICON.look_up(fold::join(self.past.hashes[1], hash)).classes;
        }
        if classes == 0 && folded.starts_with('-') && folded.contains('=') {
            let flag = folded.split('=').next().unwrap_or(folded);
            classes = LEXICON.look_up(fold::hash(flag.as_bytes())).classes;
        }
        classes
    }

    fn measure(&mut self, word: &Word<'_>, hash: u64) {
        let Word { text, folded, marks, classes, leads, .. } = *word;
        let scan = &mut self.scan;
        let length = text.len() as u32;
        scan.words += 1;
        scan.commands += u32::from(leads);
        scan.longest = scan.longest.max(length);
        scan.length_squares += (length as f32).powi(2);
        scan.flags += u32::from(folded.starts_with('-') && !folded.starts_with("--"));
        scan.long_flags += u32::from(folded.starts_with("--"));
        scan.paths += u32::from(marks.any(Marks::SLASH | Marks::BACKSLASH));
        scan.urls += u32::from(marks.any(Marks::COLON) && folded.contains("://"));
        scan.assignments += u32::from(marks.any(Marks::EQUALS) && !folded.starts_with('-'));
        scan.quiet += u32::from(
            folded.ends_with("/dev/null")
                || matches!(folded, "-q" | "-qq" | "--quiet" | "--silent" | "-s"),
        );
        let extends = |(name, ending): (&str, &str)| {
            !name.is_empty()
                && (1..=4).contains(&ending.len())
                && ending.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        scan.extensions +=
            u32::from(marks.any(Marks::DOT) && folded.rsplit_once('.').is_some_and(extends));
        if scan.words == 1 {
            scan.first_known =
                classes & (Class::Inform.bit() | Class::Make.bit() | Class::Media.bit()) != 0;
        }
        for bytes in text.as_bytes().chunks(KINDS_BYTES_MAX) {
            let kinds: u64 = bytes.iter().map(|byte| KINDS[usize::from(*byte)]).sum();
            let count = |place: u32| (kinds >> place) as u32 & 0xfff;
            scan.digits += count(0);
            scan.upper += count(12);
            scan.letters += count(24);
            scan.backslashes += count(36);
            scan.variables += count(48);
        }
        let bit = hash as usize % 2048;
        if self.sieve[bit / 64] & 1 << (bit % 64) == 0 {
            self.sieve[bit / 64] |= 1 << (bit % 64);
            scan.distinct += 1;
        }
        let mut rest = classes;
        while rest != 0 {
            scan.classes[rest.trailing_zeros() as usize] += 1;
            rest &= rest - 1;
        }
    }

    fn word_grams(&mut self, word: &Word<'_>, hash: u64) {
        let facet = facets::by_hash(hash);
        self.gram(fold::finish(hash ^ WORDS), facet, word.span);
        self.gram(fold::join(self.past.hashes[1], hash), facet, word.span);
        let spread = facets::of_letters(hash);
        let mut window = 0x20_u32;
        for (n, byte) in word.folded.bytes().chain(*b" ").enumerate().take(WORD_CHARACTERS_MAX) {
            window = window << 8 | u32::from(byte);
            if n >= 2 {
                self.gram(fold::finish(u64::from(window) ^ LETTERS), spread, word.span);
            }
        }
        let mut rest = word.classes;
        while rest != 0 {
            let class = u64::from(rest.trailing_zeros());
            rest &= rest - 1;
            self.scan.spans[class as usize].get_or_insert(word.span);
        }
    }
}

/// Longest word that is read letter by letter: a path or flag fits, a blob is cut.
const WORD_CHARACTERS_MAX: usize = 96;
/// Keeps the kinds of n-grams apart in the table.
const SIGNS: u64 = 0x61_0000_0000;
const WORDS: u64 = 0x62;
const LETTERS: u64 = 0x63;

/// Whether a word is the name of a known command.
pub(crate) fn is_command(word: &str) -> bool {
    LEXICON.look_up(fold::hash(word.to_ascii_lowercase().as_bytes())).classes != 0
}
