//! What the words of a command line do together: the rules for ruinous, hidden and guarded commands.

use super::{Class, Hit, Scan, Scanner, Word};
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

impl<G: Grams> Scanner<'_, G> {
    pub(super) fn rules(&mut self, word: &Word<'_>) {
        let has = |class: Class| word.classes & class.bit() != 0;
        let folded = word.folded;
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
        let system = SYSTEM.iter().any(|path| place(folded, path));
        self.destruction(word, system);
        if system {
            let writes = self.past.redirect
                || self.before(Class::Media) && !self.before(Class::Inform)
                || self.past.hashes[1] == crate::fold::hash(b"tee")
                || self.past.hashes[1] == crate::fold::hash(b"-a");
            let hit =
                if writes && folded != "/dev/null" { Hit::SystemWrite } else { Hit::SystemPath };
            if !folded.starts_with("/dev/null") {
                self.scan.record(hit, word.span);
            }
        }
        if TEMPORARY.iter().any(|path| folded.contains(path)) {
            self.scan.record(Hit::TemporaryRun, word.span);
        }
        if SECRETS.iter().any(|path| folded.contains(path)) || has(Class::Secret) {
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
        self.execution(word);
        self.safety(word);
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

    fn execution(&mut self, word: &Word<'_>) {
        let has = |class: Class| word.classes & class.bit() != 0;
        if has(Class::Fetch)
            || word.folded.contains("downloadstring")
            || word.folded.contains("net.webclient")
        {
            self.past.fetched = Some(word.span);
        }
        let decodes = matches!(
            word.folded,
            "-enc" | "-encodedcommand" | "-ec" | "frombase64string" | "--decode"
        ) || word.folded.contains("frombase64string")
            || matches!(word.folded, "-d" | "-D")
                && self.past.hashes[1] == crate::fold::hash(b"base64");
        if decodes {
            self.past.decoded = Some(word.span);
            if word.folded.starts_with("-e") || word.folded.contains("frombase64") {
                self.scan.record(Hit::EncodedRun, word.span);
            }
        }
        let runs = has(Class::Run) || word.folded.contains("iex");
        if runs
            && (self.past.piped && word.leads
                || word.folded.contains("iex")
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
        if plain || word.text.matches("\\x").count() >= 4 {
            self.scan.record(Hit::Encoded, word.span);
        }
        let host = word.folded.split("://").last().unwrap_or(word.folded);
        let host = host.split(['/', ':', '@']).next().unwrap_or(host);
        if host.bytes().filter(|b| *b == b'.').count() == 3
            && host.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        {
            self.scan.record(Hit::BareAddress, word.span);
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
        if rights || word.folded.contains("nopasswd") {
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

/// Ways to hand a shell to another host.
const SHELLS: [&str; 9] = [
    "/dev/tcp/",
    "/dev/udp/",
    "nc -e",
    "ncat -e",
    "bash -i",
    "sh -i",
    "mkfifo",
    "socket.socket",
    "exec:bash",
];

/// Patterns that words alone do not show.
pub(super) fn whole(scan: &mut Scan, text: &str) {
    let head = crate::item::cut(text, WHOLE_BYTES_MAX);
    let lower = head.to_ascii_lowercase();
    for pattern in SHELLS {
        if let Some(at) = lower.find(pattern) {
            scan.record(Hit::ReverseShell, (at, at + pattern.len()));
        }
    }
    for pattern in [":(){", ":|:", "fork while", "%0|%0", "while true; do fork"] {
        if let Some(at) = lower.find(pattern) {
            scan.record(Hit::ForkBomb, (at, at + pattern.len()));
        }
    }
    for pattern in [
        "-d @",
        "--data-binary @",
        "-t /",
        "--upload-file",
        "--post-file",
        "-f \"file=@",
        "curl -t",
    ] {
        if let Some(at) = lower.find(pattern) {
            scan.record(Hit::Exfiltration, (at, at + pattern.len()));
        }
    }
}

/// Bytes of a script in which whole patterns are looked for: several searches over it must stay cheap.
const WHOLE_BYTES_MAX: usize = 16 * 1024;
