//! What one pass over a text found: counts, and the places of what may be quoted. Plain data; the scanner fills it.

use super::lexicon::Class;
use crate::fold;
use crate::spec::Span;

/// What a rule over several words found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Hit {
    /// "ignore … previous … instructions".
    Override,
    /// "forget everything", "ignore all".
    LooseOverride,
    /// "print your system prompt".
    RevealPrompt,
    /// "send me your password".
    SecretRequest,
    /// A call to act that is not negated.
    Demand,
    /// "do not click".
    NegatedDemand,
    /// A demand at the start of a sentence.
    Imperative,
    /// A task for a model at the start of a sentence that follows others.
    TaskSwitch,
    /// A call to act with urgency.
    UrgentDemand,
    /// A known name with a threat.
    BrandThreat,
    /// Violence against somebody addressed or named.
    Menace,
    /// An insult at somebody addressed.
    Abuse,
    /// A role marker at the start of a line, such as `System:`.
    RoleMarker,
    /// A shortened link.
    ShortLink,
    /// A link to a bare address or a look-alike name.
    BadLink,
    /// A link to a name under a well-known ending.
    Link,
    /// Link text that names one place and a target at another.
    LinkMismatch,
    /// An instruction inside a comment or hidden element.
    HiddenInstruction,
    /// Encoded text that decodes to readable text.
    Encoded,
    /// A word that mixes scripts.
    MixedScript,
    /// A word spelt with digits or signs for letters, or in single letters.
    Leet,
    /// A long number, as of a telephone or an account.
    LongNumber,
    /// A short code or a price with a currency sign.
    Price,
    /// A run of blanks or line ends that pushes text out of sight.
    Padding,
    /// A wrong statement that can be checked.
    Wrong,
    /// A right statement that can be checked.
    Right,
    /// A comment of HTML or Markdown.
    Comment,
    /// A shouted word.
    Shout,
    /// Quoted text.
    Quotation,
    /// A model or assistant is told to do something.
    ModelTold,
    /// Money, secrets or a meeting are asked for and nobody is to know.
    Secrecy,
    /// Whoever judges the text is told what to find.
    Courting,
    /// Money is asked for, and the number or the account is a new one.
    Diverted,
    /// A text turns to the model that may read it, and bids it do something.
    Planted,
    /// Words that printers put where a text will be.
    Filler,
}

/// How many hits there are.
pub(crate) const HITS: usize = Hit::Filler as usize + 1;

/// What one pass over a text found.
pub(crate) struct Scan {
    pub(crate) classes: [u32; Class::COUNT],
    pub(crate) hits: [u32; HITS],
    /// First place of each class, then of each hit.
    pub(crate) spans: [Option<Span>; Class::COUNT + HITS],
    pub(crate) characters: usize,
    pub(crate) words: u32,
    /// What stands between blanks, and how much of it is written for programs.
    pub(crate) chunks: u32,
    pub(crate) technical: u32,
    pub(crate) known: u32,
    pub(crate) letters: u32,
    pub(crate) upper_letters: u32,
    pub(crate) upper_words: u32,
    pub(crate) title_words: u32,
    pub(crate) odd_words: u32,
    pub(crate) long_words: u32,
    pub(crate) short_words: u32,
    pub(crate) vowelless: u32,
    /// Unknown words of neighbouring keys.
    pub(crate) walks: u32,
    pub(crate) elongated: u32,
    pub(crate) length_squares: f32,
    pub(crate) digits: u32,
    pub(crate) numbers: u32,
    pub(crate) mixed: u32,
    pub(crate) signs: [u32; 128],
    pub(crate) sign_runs: u32,
    pub(crate) sign_characters: u32,
    pub(crate) emoji: u32,
    pub(crate) others: u32,
    pub(crate) mentions: u32,
    pub(crate) hashtags: u32,
    pub(crate) breaks: u32,
    pub(crate) paragraphs: u32,
    pub(crate) sentences: u32,
    pub(crate) questions: u32,
    pub(crate) lower_starts: u32,
    pub(crate) sentence_squares: f32,
    pub(crate) longest_sentence: u32,
    pub(crate) distinct: u32,
    pub(crate) repeats: u32,
    pub(crate) content_words: u32,
    pub(crate) carried: u32,
    pub(crate) order_pairs: u32,
    pub(crate) order_sum: i64,
    pub(crate) hiding: u32,
    pub(crate) bidi: u32,
    pub(crate) control: u32,
    pub(crate) replaced: u32,
    pub(crate) encoded_bytes: u32,
    pub(crate) verbs_ing: u32,
    pub(crate) verbs_past: u32,
    pub(crate) nominal: u32,
    pub(crate) ends_closed: bool,
    pub(crate) starts_upper: bool,
    pub(crate) non_latin: u32,
    pub(crate) context_hits: u32,
    pub(crate) brackets: i32,
    pub(crate) bracket_errors: u32,
}

impl Scan {
    pub(super) fn new(text: &str) -> Scan {
        // Characters begin with these; U+0300 to U+037F, the combining marks, with the two that are left out.
        let begins = |byte| !matches!(byte, b'\r' | 0x80..=0xBF | 0xCC | 0xCD);
        let characters = fold::count(text.as_bytes(), begins);
        // A plain zero of everything; the arrays make `Default` unavailable.
        Scan {
            classes: [0; Class::COUNT],
            hits: [0; HITS],
            spans: [None; Class::COUNT + HITS],
            characters,
            words: 0,
            chunks: 0,
            technical: 0,
            known: 0,
            letters: 0,
            upper_letters: 0,
            upper_words: 0,
            title_words: 0,
            odd_words: 0,
            long_words: 0,
            short_words: 0,
            vowelless: 0,
            walks: 0,
            elongated: 0,
            length_squares: 0.0,
            digits: 0,
            numbers: 0,
            mixed: 0,
            signs: [0; 128],
            sign_runs: 0,
            sign_characters: 0,
            emoji: 0,
            others: 0,
            mentions: 0,
            hashtags: 0,
            breaks: 0,
            paragraphs: 0,
            sentences: 0,
            questions: 0,
            lower_starts: 0,
            sentence_squares: 0.0,
            longest_sentence: 0,
            distinct: 0,
            repeats: 0,
            content_words: 0,
            carried: 0,
            order_pairs: 0,
            order_sum: 0,
            hiding: 0,
            bidi: 0,
            control: 0,
            replaced: 0,
            encoded_bytes: 0,
            verbs_ing: 0,
            verbs_past: 0,
            nominal: 0,
            ends_closed: false,
            starts_upper: false,
            non_latin: 0,
            context_hits: 0,
            brackets: 0,
            bracket_errors: 0,
        }
    }

    pub(crate) fn class(&self, class: Class) -> f32 {
        self.classes[class as usize] as f32
    }

    pub(crate) fn hit(&self, hit: Hit) -> f32 {
        self.hits[hit as usize] as f32
    }

    pub(crate) fn sign(&self, sign: u8) -> f32 {
        self.signs[usize::from(sign & 127)] as f32
    }

    pub(crate) fn record(&mut self, hit: Hit, span: Span) {
        self.hits[hit as usize] += 1;
        self.spans[Class::COUNT + hit as usize].get_or_insert(span);
    }

    /// Adds what another reading of the text finds that this one did not. Where this one could make nothing of the text
    /// and the other can, it was meant to be read so.
    pub(crate) fn reveal(&mut self, other: &Scan, span: Span, unread: bool) {
        const HIDDEN: [Hit; 9] = [
            Hit::Override,
            Hit::LooseOverride,
            Hit::RevealPrompt,
            Hit::SecretRequest,
            Hit::UrgentDemand,
            Hit::Menace,
            Hit::HiddenInstruction,
            Hit::ModelTold,
            Hit::Courting,
        ];
        let mut revealed = unread && other.words >= 4 && other.known * 2 >= other.words;
        if revealed {
            self.encoded_bytes = self.encoded_bytes.saturating_add((span.1 - span.0) as u32);
        }
        for hit in HIDDEN {
            if other.hits[hit as usize] > self.hits[hit as usize] {
                self.record(hit, span);
                self.record(Hit::HiddenInstruction, span);
                revealed = true;
            }
        }
        if revealed {
            self.record(Hit::Encoded, span);
        }
    }

    /// Adds what a decoded part holds of risk; its words count as said, at the place of the blob.
    pub(crate) fn absorb(&mut self, inner: &Scan, span: Span) {
        const RISKY: [Hit; 12] = [
            Hit::Override,
            Hit::LooseOverride,
            Hit::RevealPrompt,
            Hit::SecretRequest,
            Hit::Demand,
            Hit::UrgentDemand,
            Hit::Menace,
            Hit::Abuse,
            Hit::HiddenInstruction,
            Hit::ModelTold,
            Hit::Secrecy,
            Hit::Courting,
        ];
        for hit in RISKY {
            if inner.hits[hit as usize] > 0 {
                self.record(hit, span);
                self.record(Hit::HiddenInstruction, span);
            }
        }
        for class in [Class::Role, Class::Secret, Class::Profanity, Class::Slur, Class::Prize] {
            self.classes[class as usize] += inner.classes[class as usize];
        }
    }
}
