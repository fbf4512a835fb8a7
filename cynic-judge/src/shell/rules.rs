//! What the words of a command line do together: the rules for ruinous, hidden and guarded commands.

use super::{Class, Hit, Scanner, Word};
use crate::decode;
use crate::text::scan::Grams;

/// Places whose loss or change breaks a host.
const SYSTEM: [&str; 24] = [
    "/etc",
    "/usr",
    "/bin",
    "/sbin",
    "/boot",
    "/lib",
    "/lib64",
    "/sys",
    "/proc",
    "/dev",
    "/root",
    "/var/lib",
    "/var/log",
    "/opt",
    "/system",
    "/library",
    "c:\\windows",
    "%systemroot%",
    "%windir%",
    "system32",
    "\\windows\\",
    "$env:windir",
    "%programdata%",
    "/srv",
];
const TEMPORARY: [&str; 12] = [
    "/tmp/",
    "/var/tmp/",
    "/dev/shm/",
    "%temp%",
    "$env:temp",
    "%tmp%",
    "\\temp\\",
    "appdata",
    "\\users\\public",
    "%public%",
    "programdata",
    "\\downloads\\",
];
const SECRETS: [&str; 14] = [
    "/etc/shadow",
    "/etc/passwd",
    "/etc/sudoers",
    "id_rsa",
    "id_ed25519",
    ".ssh/",
    ".aws/cred",
    ".kube/config",
    "ntds.dit",
    "lsass",
    "login.keychain",
    "hklm\\sam",
    "hklm\\security",
    ".bash_history",
];

/// Which signs a word holds, so that most words are never searched for anything.
#[derive(Clone, Copy)]
struct Marks(u8);

impl Marks {
    const SLASH: u8 = 1;
    const BACKSLASH: u8 = 2;
    const VARIABLE: u8 = 4;
    const DOT: u8 = 8;
    const UNDERSCORE: u8 = 16;
    const AT: u8 = 32;
    const DIGIT: u8 = 64;
    const COLON: u8 = 128;

    fn of(word: &str) -> Marks {
        word.bytes().fold(Marks(0), |marks, byte| Marks(marks.0 | MARKS[usize::from(byte)]))
    }

    fn any(self, marks: u8) -> bool {
        self.0 & marks != 0
    }

    /// Paths of either kind of system, and variables that stand for them.
    fn place(self) -> bool {
        self.any(Marks::SLASH | Marks::BACKSLASH | Marks::VARIABLE)
    }
}

const MARKS: [u8; 256] = {
    let mut table = [0; 256];
    table[b'/' as usize] = Marks::SLASH;
    table[b'\\' as usize] = Marks::BACKSLASH;
    table[b'$' as usize] = Marks::VARIABLE;
    table[b'%' as usize] = Marks::VARIABLE;
    table[b'.' as usize] = Marks::DOT;
    table[b'_' as usize] = Marks::UNDERSCORE;
    table[b'@' as usize] = Marks::AT;
    table[b':' as usize] = Marks::COLON;
    let mut digit = b'0';
    while digit <= b'9' {
        table[digit as usize] = Marks::DIGIT;
        digit += 1;
    }
    table
};

/// Words shorter than this hold none of the long names that are searched for inside words.
const LONG_NAME: usize = 8;

impl<G: Grams> Scanner<'_, G> {
    pub(super) fn rules(&mut self, word: &Word<'_>) {
        let has = |class: Class| word.classes & class.bit() != 0;
        let folded = word.folded;
        let marks = Marks::of(folded);
        if has(Class::Destroy)
            && (word.leads
                || self.past.command
                    & (Class::Privilege.bit()
                        | Class::Make.bit()
                        | Class::Inform.bit()
                        | Class::Run.bit())
                    != 0)
        {
            self.past.destroys = Some(word.span);
        }
        let system = marks.place() && SYSTEM.iter().any(|path| place(folded, path));
        self.destruction(word, system);
        if system && !folded.starts_with("/dev/null") {
            let writes = self.past.redirect
                || self.before(Class::Media) && !self.before(Class::Inform)
                || self.past.hashes[1] == crate::fold::hash(b"tee")
                || self.past.hashes[1] == crate::fold::hash(b"-a");
            self.scan.record(if writes { Hit::SystemWrite } else { Hit::SystemPath }, word.span);
        }
        if marks.place() && TEMPORARY.iter().any(|path| folded.contains(path)) {
            self.scan.record(Hit::TemporaryRun, word.span);
        }
        let named = marks.any(Marks::SLASH | Marks::BACKSLASH | Marks::DOT | Marks::UNDERSCORE);
        if has(Class::Secret) || named && SECRETS.iter().any(|path| folded.contains(path)) {
            self.scan.record(Hit::SecretRead, word.span);
            if self.past.line & Class::Fetch.bit() != 0 {
                self.scan.record(Hit::Exfiltration, word.span);
            }
        }
        if folded.starts_with("hk")
            && (folded.starts_with("hklm")
                || folded.starts_with("hkcu")
                || folded.starts_with("hkey_"))
        {
            self.scan.record(Hit::Registry, word.span);
        }
        self.execution(word, marks);
        self.safety(word);
        self.network(word, marks);
    }

    fn before(&self, class: Class) -> bool {
        self.past.command & class.bit() != 0
    }

    /// Removing is ordinary; what is removed, and whether it is forced, is not.
    fn destruction(&mut self, word: &Word<'_>, system: bool) {
        let folded = word.folded;
        let Some(begin) = self.past.destroys else {
            if word.classes & Class::Block.bit() != 0
                && (self.past.redirect || folded.starts_with("of="))
            {
                self.scan.record(Hit::Ruin, word.span);
            }
            return;
        };
        let span = (begin.0, word.span.1);
        let everything = matches!(
            folded,
            "/" | "/*"
                | "~"
                | "~/"
                | "~/*"
                | "*"
                | "."
                | "./"
                | ".."
                | "$home"
                | "$home/*"
                | "${home}"
                | "/home"
                | "/home/*"
                | "c:"
                | "c:\\"
                | "c:\\*"
                | "c:/"
                | "--no-preserve-root"
                | "/var"
                | "/."
                | "*.*"
                | "$home/"
        );
        let shallow_system = system && folded.matches('/').count() <= 2;
        if everything || shallow_system || word.classes & Class::Block.bit() != 0 {
            self.scan.record(Hit::Ruin, span);
        } else if word.classes & Class::Force.bit() != 0 || is_rf(folded) {
            self.scan.record(Hit::ForcedDelete, span);
        }
    }

    fn execution(&mut self, word: &Word<'_>, marks: Marks) {
        let has = |class: Class| word.classes & class.bit() != 0;
        let long = word.folded.len() >= LONG_NAME;
        if has(Class::Fetch)
            || long
                && (word.folded.contains("downloadstring") || word.folded.contains("net.webclient"))
        {
            self.past.fetched = Some(word.span);
        }
        let from_text = long && word.folded.contains("frombase64");
        let decodes = from_text
            || matches!(word.folded, "-enc" | "-encodedcommand" | "-ec" | "--decode")
            || matches!(word.folded, "-d" | "-D")
                && self.past.hashes[1] == crate::fold::hash(b"base64");
        if decodes {
            self.past.decoded = Some(word.span);
            if word.folded.starts_with("-e") || from_text {
                self.scan.record(Hit::EncodedRun, word.span);
            }
        }
        let invoked = word.folded.starts_with("iex") || word.folded.ends_with("iex");
        let runs = has(Class::Run) || invoked;
        if runs
            && (self.past.piped && word.leads
                || invoked
                || word.folded == "eval"
                || word.folded == "-c")
        {
            if let Some(begin) = self.past.fetched {
                self.scan.record(Hit::FetchRun, (begin.0.min(word.span.0), word.span.1));
            }
            if let Some(begin) = self.past.decoded {
                self.scan.record(Hit::EncodedRun, (begin.0.min(word.span.0), word.span.1));
            }
        }
        if has(Class::Fetch) && self.past.line & Class::Run.bit() != 0 {
            self.scan.record(Hit::FetchRun, word.span);
        }
        let plain = word.text.len() >= 20
            && (decode::base64(word.text).is_some() || decode::hex(word.text).is_some());
        if plain || marks.any(Marks::BACKSLASH) && word.text.matches("\\x").count() >= 4 {
            self.scan.record(Hit::Encoded, word.span);
        }
        let same = self.past.hashes[1] == crate::fold::hash(word.folded.as_bytes());
        let unknown = word.classes == 0 && self.scan.braces > 0;
        if same && word.leads && self.past.piped && (unknown || word.folded == "%0") {
            // A function that pipes itself into itself.
            self.scan.record(Hit::ForkBomb, word.span);
        }
        if word.folded == "while" && self.past.hashes[1] == crate::fold::hash(b"fork") {
            self.scan.record(Hit::ForkBomb, word.span);
        }
    }

    /// What talks to other hosts, or hands them a shell or a file.
    fn network(&mut self, word: &Word<'_>, marks: Marks) {
        let folded = word.folded;
        if marks.any(Marks::DOT) && marks.any(Marks::DIGIT) {
            let host = folded.split("://").last().unwrap_or(folded);
            let host = host.split(['/', ':', '@']).next().unwrap_or(host);
            if host.bytes().filter(|b| *b == b'.').count() == 3
                && host.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            {
                self.scan.record(Hit::BareAddress, word.span);
            }
        }
        let after = |words: &[&[u8]]| {
            words.iter().any(|word| self.past.hashes[1] == crate::fold::hash(word))
        };
        let device = marks.any(Marks::SLASH)
            && (folded.contains("/dev/tcp/") || folded.contains("/dev/udp/"));
        let shell = folded == "-e" && after(&[b"nc", b"ncat"])
            || folded == "-i" && after(&[b"bash", b"sh", b"/bin/sh", b"/bin/bash"])
            || folded == "mkfifo"
            || marks.any(Marks::DOT) && folded.contains("socket.socket")
            || marks.any(Marks::COLON) && folded.contains("exec:") && folded.contains("sh");
        if device || shell {
            self.scan.record(Hit::ReverseShell, word.span);
        }
        let fetches = self.before(Class::Fetch);
        let file = marks.any(Marks::AT)
            && (folded.starts_with('@') && after(&[b"-d", b"--data", b"--data-binary", b"-f"])
                || fetches && folded.contains("=@"));
        let uploads = matches!(folded, "--upload-file" | "--post-file")
            || fetches && after(&[b"-t"]) && folded.starts_with(['/', '.', '~']);
        if file || uploads {
            self.scan.record(Hit::Exfiltration, word.span);
        }
    }

    fn safety(&mut self, word: &Word<'_>) {
        let has = |class: Class| word.classes & class.bit() != 0;
        let rights = matches!(
            word.folded,
            "777"
                | "0777"
                | "a+rwx"
                | "+s"
                | "u+s"
                | "g+s"
                | "4755"
                | "6755"
                | "a+w"
                | "o+w"
                | "666"
                | "4777"
                | "ugo+rwx"
        );
        if rights || word.folded.len() >= LONG_NAME && word.folded.contains("nopasswd") {
            self.scan.record(Hit::Rights, word.span);
        }
        if has(Class::GuardOff) || has(Class::Evade) && word.folded.len() > 3 {
            self.scan.record(Hit::GuardOff, word.span);
        }
        if has(Class::Cover) {
            self.scan.record(Hit::Cover, word.span);
        }
        if has(Class::Persist) {
            self.scan.record(Hit::Persistence, word.span);
        }
        if has(Class::Guard) && !word.leads {
            self.scan.record(Hit::Guarded, word.span);
        }
    }
}

/// Whether a word names a place or something in it.
fn place(word: &str, path: &str) -> bool {
    let word = word.trim_start_matches(['"', '\'', '=', '@']);
    let word = word.strip_prefix("of=").unwrap_or(word);
    if !path.starts_with('/') {
        return word.contains(path);
    }
    word.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `-rf`, `-fr`, `-rfv`.
fn is_rf(flag: &str) -> bool {
    flag.starts_with('-') && flag.len() <= 4 && flag.contains('r') && flag.contains('f')
}
