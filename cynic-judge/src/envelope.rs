//! What tells of a mail beside its words: who it says it is from, where answers go, what is attached to it. Never judges.

use mailparse::{MailHeader, MailHeaderMap};

use crate::brands;

/// What was found. Each part is there or not; what it weighs is said in [`Envelope::parts`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
pub(crate) struct Envelope {
    /// The worst of what is attached.
    attached: Attached,
    /// An archive that is locked is attached: its key in the text keeps scanners out, and nobody else.
    locked: bool,
    /// The sender's name is a company's, or another's address, and the sender is not there.
    poses: bool,
    /// A link shows another host than the one that it leads to, and neither is the sender's.
    masked: bool,
    /// It is sent to many, by a service that counts who follows its links.
    bulk: bool,
    /// Answers go to a mailbox that anybody can have, and the sender is not there.
    diverted: bool,
}

/// How dangerous it is to open what is attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Attached {
    /// As far as its name tells, no more than any file.
    #[default]
    Plain,
    /// A page that poses as a document: it asks for passwords where no filter sees it.
    Page,
    /// A disk image or a document with macros: programs reach the host in it unmarked.
    Carrier,
    /// A program or a script.
    Program,
    /// A program whose name ends as a document's, or is turned round.
    Disguised,
}

/// Something found, for the judgment.
pub(crate) struct Part {
    pub(crate) code: &'static str,
    pub(crate) about: &'static str,
    /// What it says of the mail (logits).
    pub(crate) logit: f32,
}

const fn part(code: &'static str, about: &'static str, logit: f32) -> Part {
    Part { code, about, logit }
}

/// Weights: what nobody sends who means well is severe, what is odd only adds to what the words say.
const DISGUISED: Part =
    part("attachment.disguised", "attaches a program that poses as a document", -3.2);
const PROGRAM: Part = part("attachment.program", "attaches a program", -2.6);
const CARRIER: Part =
    part("attachment.carrier", "attaches a file in which programs travel unmarked", -1.5);
const PAGE: Part = part("attachment.page", "attaches a page that poses as a document", -2.2);
const LOCKED: Part = part("attachment.locked", "attaches a locked archive and gives its key", -2.4);
const POSES: Part = part("sender.poses", "is from somebody else than its sender's name says", -2.2);
const MASKED: Part = part("link.masked", "shows one address and leads to another", -2.0);
const DIVERTED: Part =
    part("reply.diverted", "leads answers to a mailbox of somebody unnamed", -0.8);

const PROGRAMS: [&str; 24] = [
    "exe", "scr", "pif", "com", "bat", "cmd", "js", "jse", "vbs", "vbe", "wsf", "wsh", "hta",
    "ps1", "lnk", "cpl", "msi", "jar", "chm", "reg", "url", "scf", "appx", "xll",
];
const CARRIERS: [&str; 9] = ["iso", "img", "vhd", "vhdx", "docm", "xlsm", "pptm", "xlam", "one"];
const PAGES: [&str; 5] = ["html", "htm", "shtml", "xhtml", "svg"];
/// Endings before the last one by which a program poses as something else.
const DOCUMENTS: [&str; 14] = [
    "pdf", "doc", "docx", "xls", "xlsx", "txt", "jpg", "jpeg", "png", "mp3", "mp4", "zip", "csv",
    "rtf",
];
/// What documents are called that somebody waits for or is afraid of.
const AWAITED: [&str; 22] = [
    "invoice",
    "payment",
    "remittance",
    "statement",
    "voicemail",
    "voice",
    "fax",
    "scan",
    "document",
    "secure",
    "swift",
    "order",
    "receipt",
    "payroll",
    "salary",
    "contract",
    "shared",
    "rechnung",
    "mahnung",
    "facture",
    "factura",
    "fattura",
];
/// Companies whose names are put before a stranger's address, beside those of [`brands`], and the words that stand with them.
const COMPANIES: [&str; 4] = ["docusign", "coinbase", "binance", "linkedin"];
const COMPANY_WORDS: [&str; 38] = [
    "support",
    "service",
    "services",
    "security",
    "team",
    "id",
    "account",
    "accounts",
    "billing",
    "customer",
    "care",
    "help",
    "helpdesk",
    "alert",
    "alerts",
    "notification",
    "notifications",
    "center",
    "centre",
    "inc",
    "online",
    "express",
    "delivery",
    "payments",
    "verification",
    "noreply",
    "store",
    "365",
    "office",
    "prime",
    "international",
    "kundenservice",
    "sicherheit",
    "kundendienst",
    "info",
    "update",
    "parcel",
    "de",
];
/// Hosts of mailboxes that anybody can have.
const MAILBOXES: [&str; 14] = [
    "gmail.com",
    "googlemail.com",
    "outlook.com",
    "hotmail.com",
    "yahoo.com",
    "proton.me",
    "protonmail.com",
    "gmx.de",
    "gmx.net",
    "web.de",
    "aol.com",
    "mail.com",
    "yandex.com",
    "mail.ru",
];
/// Senders that answer for others: forms and systems.
const SYSTEMS: [&str; 8] = [
    "noreply",
    "no-reply",
    "donotreply",
    "form",
    "wordpress",
    "contact",
    "notification",
    "website",
];

/// Longest field that is read, in bytes.
const FIELD_BYTES_MAX: usize = 1024;

impl Envelope {
    /// Reads the head of the mail itself.
    pub(crate) fn read_head(&mut self, fields: &[MailHeader<'_>]) {
        let field = |name: &str| {
            let field = fields.get_first_header(name)?;
            (field.get_value_raw().len() <= FIELD_BYTES_MAX).then(|| field.get_value())
        };
        let has = |names: &[&str]| names.iter().any(|name| fields.get_first_header(name).is_some());
        self.bulk = has(&["List-Unsubscribe", "List-Id"]);
        // Lists send for others, under their own address.
        let Some(from) = field("From").filter(|_| !has(&["List-Id", "List-Post"])) else { return };
        let (name, address) = name_and_address(&from);
        let sender = crate::mail::domain_of(address);
        if sender.is_empty() {
            return;
        }
        self.poses |= poses(name, address, &sender);
        if let Some(answers) = field("Reply-To") {
            let to = crate::mail::domain_of(name_and_address(&answers).1);
            let local = address.split('@').next().unwrap_or_default().to_ascii_lowercase();
            self.diverted |= MAILBOXES.contains(&&*to)
                && !MAILBOXES.contains(&&*sender)
                && !SYSTEMS.iter().any(|system| local.contains(system));
        }
    }

    /// Reads the name under which a part is attached, and its first bytes.
    pub(crate) fn read_attached(&mut self, name: &str, bytes: &[u8]) {
        self.attached = self.attached.max(attached(name));
        // A ZIP's first file: its flags, and the length and letters of its name.
        if let [b'P', b'K', 3, 4, _, _, flags, ..] = bytes {
            self.locked |= flags & 1 != 0;
            let length =
                bytes.get(26..28).map_or(0, |n| usize::from(n[0]) | usize::from(n[1]) << 8);
            let held = bytes.get(30..30 + length).map(String::from_utf8_lossy).unwrap_or_default();
            let held = attached(&held);
            self.attached =
                self.attached.max(if held >= Attached::Program { held } else { Attached::Plain });
        }
        self.locked |= bytes.starts_with(b"7z\xbc\xaf\x27\x1c") || bytes.starts_with(b"Rar!");
    }

    /// Reads a link that shows an address, by the domains of what it shows and leads to.
    pub(crate) fn read_masked(&mut self, shown: &str, target: &str, sender: &str) {
        self.masked |= !self.bulk
            && !target.is_empty()
            && shown != target
            && ![shown, target].contains(&sender);
    }

    /// Reads the text, once all of it is known.
    pub(crate) fn read_text(&mut self, text: &str) {
        self.locked = self.locked && gives_key(text);
    }

    /// What was found.
    pub(crate) fn parts(self) -> impl Iterator<Item = Part> {
        let attached = match self.attached {
            Attached::Plain => None,
            Attached::Page => Some(PAGE),
            Attached::Carrier => Some(CARRIER),
            Attached::Program => Some(PROGRAM),
            Attached::Disguised => Some(DISGUISED),
        };
        let locked = self.locked.then_some(LOCKED);
        let sender = self.poses.then_some(POSES).or(self.diverted.then_some(DIVERTED));
        let masked = self.masked.then_some(MASKED);
        [attached, locked, sender, masked].into_iter().flatten()
    }

    /// What all of it says of the mail (logits).
    pub(crate) fn logit(self) -> f32 {
        self.parts().map(|part| part.logit).sum()
    }
}

fn attached(name: &str) -> Attached {
    let low = name.trim().to_ascii_lowercase();
    let mut endings = low.rsplit('.');
    let last = endings.next().unwrap_or_default();
    let before = endings.next().unwrap_or_default();
    if before.is_empty() {
        return Attached::Plain;
    }
    // `invoice_pdf.exe`, `invoice.pdf      .exe`
    let poses = DOCUMENTS.iter().any(|document| before.trim_end().ends_with(document));
    let is_awaited = AWAITED.iter().any(|awaited| low.contains(awaited));
    match last {
        _ if name.contains(crate::fold::is_bidi_control) => Attached::Disguised,
        last if PROGRAMS.contains(&last) && poses => Attached::Disguised,
        last if PROGRAMS.contains(&last) => Attached::Program,
        last if CARRIERS.contains(&last) => Attached::Carrier,
        last if PAGES.contains(&last) && (is_awaited || poses) => Attached::Page,
        _ => Attached::Plain,
    }
}

/// `Name <address>`, `"Name" <address>` or an address alone.
fn name_and_address(field: &str) -> (&str, &str) {
    match field.rsplit_once('<') {
        Some((name, address)) => {
            let address = address.split('>').next().unwrap_or_default();
            (name.trim().trim_matches(['"', '\'']).trim(), address.trim())
        }
        None => ("", field.trim()),
    }
}

fn poses(name: &str, address: &str, sender: &str) -> bool {
    // Another's address as a name, and nothing beside it: `"service@bank.example" <x@y.example>`.
    if name.contains('@') && !name.contains(char::is_whitespace) {
        let shown = crate::mail::domain_of(name);
        return !shown.is_empty() && shown != sender;
    }
    let low = name.to_ascii_lowercase();
    let mut words = low.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let Some(company) =
        words.next().filter(|first| brands::is_one(first) || COMPANIES.contains(first))
    else {
        return false;
    };
    let host = address.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    // `paypal.com`, `mail.paypal.de`, `facebookmail.com`; `paypal-secure.example` is not.
    let is_own = |label: &str| label.starts_with(company) && !label.contains('-');
    words.all(|word| COMPANY_WORDS.contains(&word))
        && !host.split('.').any(is_own)
        && !runs(&host, company)
}

/// Whether a company's mails come from a host that has another name.
fn runs(host: &str, company: &str) -> bool {
    const RUN: [(&str, &str); 9] = [
        ("icloud", "apple.com"),
        ("whatsapp", "facebookmail.com"),
        ("instagram", "facebookmail.com"),
        ("facebook", "meta.com"),
        ("google", "youtube.com"),
        ("microsoft", "office.com"),
        ("microsoft", "microsoftonline.com"),
        ("microsoft", "live.com"),
        ("dhl", "deutschepost.de"),
    ];
    RUN.iter().any(|(name, own)| *name == company && host.ends_with(own))
}

/// Words for a key, and how far behind one it is given, in bytes.
const KEY_WORDS: [&str; 7] =
    ["password", "passwort", "kennwort", "passcode", "mot de passe", "contrase", "pwd"];
const GIVEN_BYTES: usize = 40;
/// Bytes of a text in which a key is looked for.
const KEY_BYTES_MAX: usize = 64 * 1024;

/// Whether a text gives a key: `password: 4711`, "the password is 4711".
fn gives_key(text: &str) -> bool {
    let low = crate::item::cut(text, KEY_BYTES_MAX).to_ascii_lowercase();
    KEY_WORDS.iter().any(|word| {
        low.match_indices(word).any(|(at, _)| {
            let behind = crate::item::cut(&low[at..], word.len() + GIVEN_BYTES);
            let behind = &behind[word.len()..];
            let signs = [":", " is ", " ist ", "=", " es "];
            let given = signs.iter().find_map(|sign| behind.split_once(sign));
            let key = given.and_then(|(_, key)| key.split_ascii_whitespace().next());
            key.is_some_and(|key| key.len() >= 3 && key.bytes().any(|b| b.is_ascii_digit()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dangerous_to_open_is_told_by_its_name() {
        for (name, expected) in [
            ("setup.exe", Attached::Program),
            ("photo.SCR", Attached::Program),
            ("order.js", Attached::Program),
            ("invoice.pdf.exe", Attached::Disguised),
            ("invoice_pdf.vbs", Attached::Disguised),
            ("scan.pdf       .js", Attached::Disguised),
            ("annexe\u{202e}fdp.exe", Attached::Disguised),
            ("Invoice_2231.html", Attached::Page),
            ("report.pdf.htm", Attached::Page),
            ("backup.iso", Attached::Carrier),
            ("budget.xlsm", Attached::Carrier),
            ("coverage.html", Attached::Plain),
            ("report.pdf", Attached::Plain),
            ("0001-fix.patch", Attached::Plain),
            ("node.js.pdf", Attached::Plain),
            ("exe", Attached::Plain),
            (".js", Attached::Plain),
            ("", Attached::Plain),
        ] {
            assert_eq!(attached(name), expected, "{name}");
        }
    }

    #[test]
    fn an_archive_is_looked_into_as_far_as_its_first_name() {
        let zip = |flags: u8, name: &str| {
            let mut bytes = vec![b'P', b'K', 3, 4, 20, 0, flags];
            bytes.resize(26, 0);
            bytes.extend([name.len() as u8, 0, 0, 0]);
            bytes.extend(name.as_bytes());
            bytes
        };
        let read = |bytes: &[u8], text: &str| {
            let mut envelope = Envelope::default();
            envelope.read_attached("files.zip", bytes);
            envelope.read_text(text);
            envelope
        };
        assert_eq!(read(&zip(0, "invoice.pdf.exe"), "").attached, Attached::Disguised);
        assert_eq!(read(&zip(0, "invoice.html"), "").attached, Attached::Plain);
        assert!(read(&zip(1, "a.doc"), "Password: 4711ab").locked);
        assert!(read(&zip(1, "a.doc"), "The password for the archive is 2231").locked);
        assert!(!read(&zip(1, "a.doc"), "I'll tell you the password by phone: it is long").locked);
        assert!(!read(&zip(0, "a.doc"), "Password: 4711ab").locked, "it is not locked");
        assert!(!read(b"PK\x03\x04", "Password: 4711ab").locked);
    }

    #[test]
    fn a_name_is_held_against_the_address() {
        let from = |field: &str| {
            let (name, address) = name_and_address(field);
            poses(name, address, &crate::mail::domain_of(address))
        };
        for field in [
            "PayPal <x@random.example>",
            "\"PayPal Service\" <noreply@paypal-secure.example>",
            "Microsoft account team <a@b.example>",
            "\"service@bank.example\" <x@y.biz>",
            "DHL Express <dhl@gmail.com>",
        ] {
            assert!(from(field), "{field}");
        }
        for field in [
            "PayPal <service@paypal.com>",
            "Amazon.de <versand@amazon.de>",
            "Facebook <notification@facebookmail.com>",
            "Google <no-reply@accounts.google.com>",
            "iCloud <noreply@apple.com>",
            "Apple Growers Union <office@orchards.example>",
            "Fiona Apple <fiona@music.example>",
            "\"anna@example.org\" <anna@mail.example.org>",
            "anna@example.org via list <list@lists.example.net>",
            "anna@example.org",
            "<>",
            "",
        ] {
            assert!(!from(field), "{field}");
        }
    }
}
