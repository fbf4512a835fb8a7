//! One pass over a text: counts of what its words and signs do. Bounded memory; linear.

mod rules;

use super::lexicon::{Class, LEXICON, Lexicon};
use super::order;
use super::token::{Case, Kind, Sink, Token};
use crate::facets;
use crate::fold;
use crate::lexicon::{Classes, Entry};
use crate::spec::Span;

pub(crate) use super::found::{Hit, Scan};

/// Bits of the sieve that estimates distinct words; cleared every [`SIEVE_WORDS`] words.
const SIEVE_BITS: usize = 4096;
/// Words between two clearings of the sieve: few enough that it stays sparse.
const SIEVE_WORDS: u32 = 512;
/// Words and signs of text that are read for n-grams; beyond them a text is sampled enough. Rules read all.
pub(crate) const GRAM_TOKENS_MAX: u32 = 1024;
/// Words a rule looks back: a clause.
const FAR: u32 = 1 << 30;

/// What is said of a word that offends wherever it is not innocent.
const HARSH: Classes = Class::Profanity.bit() | Class::Slur.bit() | Class::Violence.bit();
/// Words that offend in English and are ordinary ones in another language.
const FALSE_FRIENDS: [(u64, Class); 4] = [
    (fold::hash(b"retard"), Class::French),
    (fold::hash(b"dick"), Class::German),
    (fold::hash(b"negro"), Class::Spanish),
    (fold::hash(b"negra"), Class::Spanish),
];
/// Pairs of words of the text that printers put where another will be.
const FILLER: [(u64, u64); 4] = [
    (fold::hash(b"lorem"), fold::hash(b"ipsum")),
    (fold::hash(b"dolor"), fold::hash(b"sit")),
    (fold::hash(b"consectetur"), fold::hash(b"adipiscing")),
    (fold::hash(b"eiusmod"), fold::hash(b"tempor")),
];
/// Words within which a small word of a language tells that it is spoken.
const LANGUAGE_WORDS: u32 = 8;
/// No word of a phrase is longer.
const PHRASE_WORD_CHARACTERS_MAX: usize = 24;

/// Takes the n-grams of a text.
pub(crate) trait Grams {
    /// An n-gram by its hash, with the dimension it speaks to and the token it ends with.
    fn gram(&mut self, hash: u64, facet: u8, token: Span);
}

/// The scanner: the counts so far, and the little of the past that rules look back on.
pub(crate) struct Scanner<'a, G> {
    pub(crate) scan: Scan,
    pub(crate) grams: G,
    pub(crate) text: &'a str,
    pub(crate) depth: u8,
    pub(crate) in_comment: bool,
    lexicon: &'static Lexicon,
    order: &'a [i8],
    context: &'a [u64],
    /// Word number where a class was last seen, and where that was in the text.
    last: [u32; Class::COUNT],
    last_start: [usize; Class::COUNT],
    recent: [(u64, usize); 3],
    position: u32,
    /// Number of the last word of the first sentence, once that has ended.
    opening: u32,
    tokens: u32,
    sentence_words: u32,
    order_before: u8,
    last_word: u64,
    sieve: [u64; SIEVE_BITS / 64],
    content: [u64; SIEVE_BITS / 64],
    sentence_content: [u64; 16],
    sentence_contents: usize,
    spelled: Vec<u8>,
    spelled_start: usize,
    /// Blanks between its letters, and since the last one: words of such letters are set farther apart.
    spelled_gap: usize,
    blanks: usize,
    line_start: bool,
    marker: Option<Span>,
}

impl<'a, G: Grams> Scanner<'a, G> {
    pub(crate) fn new(
        text: &'a str,
        order: &'a [i8],
        context: &'a [u64],
        grams: G,
        depth: u8,
    ) -> Self {
        Scanner {
            scan: Scan::new(text),
            grams,
            text,
            depth,
            in_comment: false,
            lexicon: &LEXICON,
            order,
            context,
            last: [FAR; Class::COUNT],
            last_start: [0; Class::COUNT],
            recent: [(0, 0); 3],
            position: FAR + FAR,
            opening: u32::MAX,
            tokens: 0,
            sentence_words: 0,
            order_before: order::BOUNDARY,
            last_word: 0,
            sieve: [0; SIEVE_BITS / 64],
            content: [0; SIEVE_BITS / 64],
            sentence_content: [0; 16],
            sentence_contents: 0,
            spelled: Vec::new(),
            spelled_start: 0,
            spelled_gap: 0,
            blanks: 0,
            line_start: true,
            marker: None,
        }
    }

    /// Scans the text to its end.
    pub(crate) fn run(mut self) -> (Scan, G) {
        super::token::tokenise(self.text, &mut self);
        self.end_spelled(self.text.len());
        self.scan.ends_closed = self.sentence_words == 0 && self.scan.words > 0;
        self.end_sentence(b'.');
        (self.scan, self.grams)
    }

    fn near(&self, class: Class, words: u32) -> bool {
        self.position.saturating_sub(self.last[class as usize]) <= words
    }

    fn from(&self, class: Class, end: usize) -> Span {
        (self.last_start[class as usize].min(end), end)
    }

    fn end_sentence(&mut self, sign: u8) {
        if self.sentence_words == 0 {
            return;
        }
        self.opening = self.opening.min(self.position);
        let scan = &mut self.scan;
        scan.sentences += 1;
        scan.questions += u32::from(sign == b'?');
        scan.longest_sentence = scan.longest_sentence.max(self.sentence_words);
        scan.sentence_squares += (self.sentence_words as f32).powi(2);
        self.sentence_words = 0;
        for hash in self.sentence_content.iter().take(self.sentence_contents) {
            let bit = *hash as usize % SIEVE_BITS;
            self.content[bit / 64] |= 1 << (bit % 64);
        }
        self.sentence_contents = 0;
        self.step_order(order::BOUNDARY);
    }

    fn step_order(&mut self, class: u8) {
        let pair = usize::from(self.order_before) * order::CLASSES + usize::from(class);
        if let Some(value) = self.order.get(pair) {
            self.scan.order_sum += i64::from(*value);
        }
        self.scan.order_pairs += 1;
        if self.tokens <= GRAM_TOKENS_MAX {
            self.grams.gram(pair as u64, ORDER_FACET, (0, 0));
        }
        self.order_before = class;
    }

    fn word(&mut self, token: &Token, folded: &[u8]) {
        self.position += 1;
        let mut entry = self.lexicon.look_up(token.hash);
        if entry.classes == 0 && token.kind == Kind::Mixed {
            entry = self.unleet(token, folded);
        }
        let mut classes = entry.classes;
        let mut start = token.start;
        if entry.phrase_ends != 0 {
            classes |= self.phrases(entry, token.hash, &mut start);
        }
        if classes & HARSH != 0 && self.is_innocent(classes, token) {
            classes &= !HARSH;
        }
        classes &= !Class::Innocent.bit();
        self.spell(token, folded);
        self.shape(token, folded, classes);
        if self.sentence_words == 0 {
            self.sentence_start(token, classes);
        }
        if classes != 0 {
            self.scan.known += 1;
            self.mark(classes, start, token.end);
            self.rules(classes, token.start, token.end);
        }
        self.sentence_words += 1;
        let class = if entry.order != 0 {
            entry.order
        } else {
            order::by_shape(folded, token.case == Case::Title && self.sentence_words > 1)
        };
        self.step_order(class);
        self.content_word(token, entry);
        self.word_grams(token, folded, classes);
        let pair = (self.recent[2].0, token.hash);
        if FILLER.contains(&pair) {
            self.scan.record(Hit::Filler, (self.recent[2].1, token.end));
        }
        self.recent = [self.recent[1], self.recent[2], (token.hash, token.start)];
    }

    /// Whether a word that offends elsewhere is an ordinary one here: by the word before it or after it, or in a text
    /// of another language.
    fn is_innocent(&self, classes: Classes, token: &Token) -> bool {
        let phrase = || {
            let rest =
                self.text[token.end..].trim_start_matches(|c: char| c.is_whitespace() || c == '-');
            let mut next = String::new();
            for c in
                rest.chars().take_while(|c| c.is_alphanumeric()).take(PHRASE_WORD_CHARACTERS_MAX)
            {
                fold::fold(c, |c| next.push(c));
            }
            let hash = fold::join(token.hash, fold::hash(next.as_bytes()));
            self.lexicon.look_up(hash).classes & Class::Innocent.bit() != 0
        };
        classes & Class::Innocent.bit() != 0
            || FALSE_FRIENDS
                .iter()
                .any(|(word, language)| token.hash == *word && self.speaks(*language))
            || phrase()
    }

    /// Whether the text so far is rather in this language than in English, and still is.
    fn speaks(&self, language: Class) -> bool {
        self.near(language, LANGUAGE_WORDS)
            && self.scan.class(language) >= self.scan.class(Class::English)
    }

    fn unleet(&mut self, token: &Token, folded: &[u8]) -> Entry {
        let plain: Vec<u8> = folded.iter().map(|byte| fold::unleet(*byte)).collect();
        let entry = self.lexicon.look_up(fold::hash(&plain));
        if entry.classes != 0 && plain.len() > 3 {
            self.scan.record(Hit::Leet, (token.start, token.end));
            entry
        } else {
            Entry::default()
        }
    }

    /// Letters that stand alone are joined: `f r e e` is `free`.
    fn spell(&mut self, token: &Token, folded: &[u8]) {
        let gap = std::mem::take(&mut self.blanks);
        if token.letters == 1 && token.kind == Kind::Word && self.spelled.len() < 32 {
            match self.spelled.len() {
                0 => {}
                1 => self.spelled_gap = gap,
                _ if gap > self.spelled_gap => self.end_spelled(token.start),
                _ => {}
            }
            if self.spelled.is_empty() {
                self.spelled_start = token.start;
            }
            self.spelled.extend_from_slice(folded);
        } else {
            self.end_spelled(token.start);
        }
    }

    fn end_spelled(&mut self, end: usize) {
        let letters = self.spelled.len();
        if letters >= 3 {
            let entry = self.lexicon.look_up(fold::hash(&self.spelled));
            if entry.classes != 0 {
                let start = self.spelled_start;
                // It stands for one word, in the place of its letters.
                self.position -= letters as u32 - 1;
                self.mark(entry.classes, start, end);
                self.rules(entry.classes, start, end);
                if letters >= 4 {
                    self.scan.record(Hit::Leet, (start, end));
                }
            }
        }
        self.spelled.clear();
    }

    fn phrases(&self, entry: Entry, hash: u64, start: &mut usize) -> Classes {
        let [third, second, first] = self.recent;
        let mut classes = 0;
        let mut check = |joined: u64, begin: usize| {
            let found = self.lexicon.look_up(joined).classes;
            if found != 0 {
                classes |= found;
                *start = begin.min(*start);
            }
        };
        if entry.phrase_ends & 1 << 2 != 0 {
            check(fold::join(first.0, hash), first.1);
        }
        if entry.phrase_ends & 1 << 3 != 0 {
            check(fold::join(fold::join(second.0, first.0), hash), second.1);
        }
        if entry.phrase_ends & 1 << 4 != 0 {
            check(fold::join(fold::join(fold::join(third.0, second.0), first.0), hash), third.1);
        }
        classes
    }

    fn shape(&mut self, token: &Token, folded: &[u8], classes: Classes) {
        let scan = &mut self.scan;
        let letters = u32::from(token.letters);
        scan.words += 1;
        scan.letters += letters;
        scan.length_squares += (letters * letters) as f32;
        scan.long_words += u32::from(letters >= 7);
        scan.short_words += u32::from(letters <= 2);
        scan.mixed += u32::from(token.kind == Kind::Mixed);
        match token.case {
            Case::Lower => {}
            Case::Title => {
                scan.title_words += 1;
                scan.upper_letters += 1;
            }
            Case::Upper => {
                scan.upper_letters += letters;
                if letters >= 2 {
                    scan.upper_words += 1;
                    if letters >= 4 {
                        scan.record(Hit::Shout, (token.start, token.end));
                    }
                }
            }
            Case::Odd => {
                scan.odd_words += 1;
                scan.upper_letters += letters / 2;
            }
        }
        if token.mixed_script {
            scan.record(Hit::MixedScript, (token.start, token.end));
        }
        scan.hiding += u32::from(token.hiding);
        let vowelless = letters >= 2 && classes == 0 && !token.look.vowel;
        scan.vowelless += u32::from(vowelless);
        scan.walks += u32::from(classes == 0 && !vowelless && walks(folded));
        scan.elongated += u32::from(token.look.elongated);
        scan.non_latin += u32::from(folded.first().is_some_and(|byte| !byte.is_ascii()));
        if classes == 0 && folded.len() > 4 {
            scan.verbs_ing += u32::from(folded.ends_with(b"ing"));
            scan.verbs_past += u32::from(folded.ends_with(b"ed"));
            scan.nominal += u32::from(
                folded.ends_with(b"tion") || folded.ends_with(b"ment") || folded.ends_with(b"ity"),
            );
        }
    }

    fn sentence_start(&mut self, token: &Token, classes: Classes) {
        let upper = token.case != Case::Lower;
        self.scan.starts_upper |= self.scan.words == 1 && upper;
        self.scan.lower_starts += u32::from(!upper);
        let span = (token.start, token.end);
        if classes & (Class::Cta.bit() | Class::Task.bit() | Class::Override.bit()) != 0 {
            self.scan.record(Hit::Imperative, span);
            if self.scan.sentences > 0 && classes & Class::Task.bit() != 0 {
                self.scan.record(Hit::TaskSwitch, span);
            }
        }
    }

    fn mark(&mut self, classes: Classes, start: usize, end: usize) {
        let mut rest = classes;
        while rest != 0 {
            let class = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            self.scan.classes[class] += 1;
            self.scan.spans[class].get_or_insert((start, end));
        }
    }

    pub(crate) fn hit(&mut self, hit: Hit, span: Span) {
        self.scan.record(hit, span);
        if self.in_comment
            && matches!(
                hit,
                Hit::Override
                    | Hit::LooseOverride
                    | Hit::RevealPrompt
                    | Hit::SecretRequest
                    | Hit::Demand
                    | Hit::ModelTold
                    | Hit::Secrecy
                    | Hit::Courting
                    | Hit::Planted
            )
        {
            self.scan.record(Hit::HiddenInstruction, span);
        }
    }

    /// Distinct words, repetitions, and terms carried from one sentence to the next.
    fn content_word(&mut self, token: &Token, entry: Entry) {
        let bit = token.hash as usize % SIEVE_BITS;
        let (slot, mask) = (bit / 64, 1 << (bit % 64));
        if self.scan.words.is_multiple_of(SIEVE_WORDS) {
            self.sieve.fill(0);
            self.content.fill(0);
        }
        if self.sieve[slot] & mask == 0 {
            self.sieve[slot] |= mask;
            self.scan.distinct += 1;
        }
        self.scan.repeats += u32::from(token.hash == self.last_word);
        self.last_word = token.hash;
        if entry.order == 0 && token.letters >= 4 {
            self.scan.content_words += 1;
            self.scan.carried += u32::from(self.content[slot] & mask != 0);
            self.scan.context_hits += u32::from(self.context.binary_search(&token.hash).is_ok());
            if self.sentence_contents < self.sentence_content.len() {
                self.sentence_content[self.sentence_contents] = token.hash;
                self.sentence_contents += 1;
            }
        }
    }

    fn word_grams(&mut self, token: &Token, folded: &[u8], classes: Classes) {
        if self.tokens > GRAM_TOKENS_MAX {
            return;
        }
        let span = (token.start, token.end);
        let facet = facets::of_word(classes, token.hash);
        let before = self.recent[2];
        self.grams.gram(fold::join(before.0, token.hash), facet, (before.1, token.end));
        if classes & (Class::Profanity.bit() | Class::Slur.bit()) != 0 {
            return; // the rubric weighs these; no set that lacks their meaning may unlearn it
        }
        self.grams.gram(token.hash, facet, span);
        if folded.len() < 3 || classes != 0 {
            return; // the letters of a word that the lexicon knows tell nothing more
        }
        let facet = facets::of_letters(token.hash);
        let mut window = 0x20_u32;
        for (n, byte) in folded.iter().chain(b" ").enumerate() {
            window = window << 8 | u32::from(*byte);
            if n >= 2 {
                self.grams.gram(fold::finish(u64::from(window) ^ LETTERS), facet, span);
            }
        }
    }

    fn number(&mut self, token: &Token, folded: &[u8]) {
        let scan = &mut self.scan;
        let digits = folded.iter().filter(|byte| byte.is_ascii_digit()).count() as u32;
        scan.numbers += 1;
        scan.digits += digits;
        if digits >= 7 {
            scan.record(Hit::LongNumber, (token.start, token.end));
        }
        // Numbers of one length are one word: it is their kind that tells, not their value.
        let shape = fold::finish(NUMBERS ^ u64::from(digits.min(12)));
        if self.tokens <= GRAM_TOKENS_MAX {
            self.grams.gram(shape, facets::NUMBER, (token.start, token.end));
            self.grams.gram(
                fold::join(self.recent[2].0, shape),
                facets::NUMBER,
                (token.start, token.end),
            );
        }
        self.recent = [self.recent[1], self.recent[2], (shape, token.start)];
        self.step_order(order::NUMBER);
    }

    fn sign(&mut self, sign: u8, token: &Token) {
        let scan = &mut self.scan;
        scan.signs[usize::from(sign & 127)] += u32::from(token.letters);
        scan.sign_characters += u32::from(token.letters);
        scan.sign_runs += u32::from(token.letters >= 2);
        match sign {
            b'(' | b'[' | b'{' => scan.brackets += i32::from(token.letters),
            b')' | b']' | b'}' => {
                scan.brackets -= i32::from(token.letters);
                if scan.brackets < 0 {
                    scan.bracket_errors += 1;
                    scan.brackets = 0;
                }
            }
            b'$' => scan.record(Hit::Price, (token.start, token.end)),
            b'"' => scan.record(Hit::Quotation, (token.start, token.end)),
            b'.' | b'!' | b'?' => self.end_sentence(sign),
            b',' | b';' | b':' | b'-' => self.step_order(order::PAUSE),
            _ => {}
        }
        if sign == b':'
            && let Some(marker) = self.marker
        {
            self.scan.record(Hit::RoleMarker, marker);
        }
        if self.tokens <= GRAM_TOKENS_MAX {
            let hash = fold::finish(SIGNS ^ u64::from(sign) << 8 ^ u64::from(token.letters.min(3)));
            self.grams.gram(hash, facets::of_sign(sign), (token.start, token.end));
        }
    }

    fn thing(&mut self, token: &Token, hash: u64, facet: u8) {
        if self.tokens <= GRAM_TOKENS_MAX {
            self.grams.gram(hash, facet, (token.start, token.end));
        }
        self.step_order(order::THING);
    }
}

/// Least letters of a walk along a keyboard.
const WALK_LETTERS: usize = 4;

/// Whether a word holds a run of neighbouring keys of one row.
fn walks(folded: &[u8]) -> bool {
    let (mut run, mut before) = (1, 0_u8);
    for byte in folded {
        let place = KEYS[usize::from(*byte)];
        run = if place != 0 && before != 0 && place.abs_diff(before) == 1 { run + 1 } else { 1 };
        if run == WALK_LETTERS {
            return true;
        }
        before = place;
    }
    false
}

/// Where the keys are: neighbours in a row differ by one.
const KEYS: [u8; 256] = {
    let rows = b"qwertyuiop...asdfghjkl...zxcvbnm";
    let mut table = [0; 256];
    let mut at = 0;
    while at < rows.len() {
        if rows[at] != b'.' {
            table[rows[at] as usize] = at as u8 + 1;
        }
        at += 1;
    }
    table
};

/// Marks pairs of word orders among the n-grams; the trainer counts them, the judge does not.
pub(crate) const ORDER_FACET: u8 = 255;
/// Keeps the kinds of n-grams apart in the table.
const LETTERS: u64 = 0x51;
const NUMBERS: u64 = 0x52_0000_0000;
const SIGNS: u64 = 0x53_0000_0000;
const THINGS: u64 = 0x54_0000_0000;

impl<G: Grams> Sink for Scanner<'_, G> {
    fn token(&mut self, token: &Token, folded: &[u8]) {
        self.tokens += 1;
        let marker = self.line_start && token.kind == Kind::Word && super::chunk::is_role(folded);
        match token.kind {
            Kind::Word | Kind::Mixed => self.word(token, folded),
            Kind::Number => self.number(token, folded),
            Kind::Sign(sign) => self.sign(sign, token),
            Kind::Break => {
                self.scan.breaks += u32::from(token.letters);
                self.scan.paragraphs += u32::from(token.letters >= 2);
                if token.letters >= 15 {
                    self.scan.record(Hit::Padding, (token.start, token.end));
                }
                self.end_sentence(b'\n');
            }
            Kind::Emoji => {
                self.scan.emoji += 1;
                self.thing(token, fold::finish(THINGS ^ token.hash << 8), facets::EMOJI);
            }
            Kind::Other => {
                self.scan.others += 1;
                if matches!(token.hash as u32, 0xa3 | 0x20ac | 0xa5) {
                    self.scan.record(Hit::Price, (token.start, token.end));
                }
                self.thing(token, fold::finish(THINGS ^ token.hash << 8), facets::EMOJI);
            }
            Kind::Url => self.thing(token, fold::finish(THINGS ^ 1), facets::LINK),
            Kind::Email => self.thing(token, fold::finish(THINGS ^ 2), facets::LINK),
            Kind::Mention => {
                self.scan.mentions += 1;
                self.thing(token, fold::finish(THINGS ^ 3), facets::MENTION);
            }
            Kind::Hashtag => {
                self.scan.hashtags += 1;
                self.thing(token, fold::finish(THINGS ^ 4), facets::MENTION);
            }
        }
        self.marker = marker.then_some((token.start, token.end));
        let opens = matches!(token.kind, Kind::Break)
            || matches!(token.kind, Kind::Sign(b'#' | b'[' | b'<' | b'*' | b'>' | b'|'));
        self.line_start = opens;
    }

    fn chunk(&mut self, start: usize, end: usize, signs: super::token::Signs) -> bool {
        self.scan.chunks += 1;
        let is_technical = super::technical::is_one(&self.text[start..end], self.line_start, signs);
        self.scan.technical += u32::from(is_technical);
        super::chunk::read(self, start, end, signs)
    }

    fn odd(&mut self, c: char, at: usize) {
        let scan = &mut self.scan;
        if fold::is_bidi_control(c) {
            scan.bidi += 1;
        } else if c == '\u{fffd}' {
            scan.replaced += 1;
        } else {
            scan.control += 1;
        }
        let _ = at;
    }

    fn blank(&mut self, length: usize) {
        self.blanks += length;
        if length >= 60 {
            self.scan.record(Hit::Padding, (0, 0));
        }
    }
}
