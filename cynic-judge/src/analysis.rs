//! The analysis of one item: everything that the dimensions read, computed once.

use std::sync::OnceLock;

use cynic_proto::model::{AXIOMS, DIMENSIONS_PER_AXIOM, Domain, POSITION_WEIGHTS};
use sha2::{Digest, Sha256};

use crate::checks::{self, Checks};
use crate::facets::FACETS;
use crate::family::Family;
use crate::item::{Item, Shown};
use crate::learned::{self, Learned, Sum};
use crate::profile::Profile;
use crate::route::{self, Route};
use crate::spec::{DOMAINS, NO_SLOT, Norm, Span, Spec};
use crate::text::scan::{Grams, Hit, Scan};
use crate::weights::Weights;
use crate::{code, fold, reading, shell, text, unlearned};

/// The degree from which on a text of no stated type is of no domain that something was learned from.
const PROGRAMS_DEGREE: f32 = 0.5;

/// Logits of what the rubric alone decides (a planted instruction, a ruinous command) from which on nothing else of an
/// item makes up for it, and how much all else may then still speak for it: a page of good words in front is padding.
const SEVERE_FROM: f32 = -0.8;
const BESIDE_SEVERE_MAX: f32 = 1.0;
/// The same for records, of which little is known that could speak for them.
const RECORD_BESIDE_SEVERE_MAX: f32 = 0.3;
/// The most that speaks for a text in a script that no evidence covers.
const FOREIGN_MAX: f32 = 0.6;
/// The same for one of which hardly a word is known: it is not praised.
const UNKNOWN_MAX: f32 = 5.0;
/// Share of known words below which that is so.
const KNOWN_MIN: f32 = 0.05;
/// The least logit of a code of no words in which nothing risky was found; it falls to none at so many words.
const HARMLESS_LEAN: f32 = 0.8;
/// The logit that code begins with. What was learned of it tells code before a fix from the same after it, in halves; most
/// code is neither, and ordinary.
const CODE_LEAN: f32 = 0.5;
const HARMLESS_WORDS_MAX: f32 = 24.0;
/// How much the wording of such a code counts against it.
const HARMLESS_SHARE: f32 = 0.25;

/// Logits from which on the rubric holds something against a code.
const HARMFUL_RISK: f32 = -0.05;

/// What one pass over an item found. Immutable; shared by all scorers of one judgment.
#[derive(Debug)]
pub struct Analysis {
    pub(crate) item: Item,
    pub(crate) family: Family,
    pub(crate) domain: Domain,
    /// The domain was said, not detected.
    pub(crate) routed: bool,
    /// It says that it is of a type that nothing is known of.
    pub(crate) strange: bool,
    pub(crate) sha256: [u8; 32],
    pub(crate) checks: Checks,
    /// The features, made comparable.
    pub(crate) z: Vec<f32>,
    /// Where features are, by slot.
    pub(crate) spans: Vec<Option<Span>>,
    pub(crate) learned: Learned,
    /// Words, or what counts as words in code.
    pub(crate) words: u32,
    /// Share of a text's words that the lexicon knows.
    pub(crate) known: f32,
    /// Something was found that decides by itself, in however few words.
    pub(crate) severe: bool,
    /// Logit that all dimensions start from.
    pub(crate) level: f32,
    /// Each dimension's own reading, in spreads around the usual.
    pub(crate) readings: [f32; FACETS],
    /// What is subtracted from the readings of each axiom, so that they share out the level.
    pub(crate) centres: [f32; AXIOMS],
    /// The note on the whole, once it was asked for.
    pub(crate) whole: OnceLock<String>,
}

/// What a scanner found, whatever the family.
pub(crate) struct Scanned<G> {
    pub(crate) values: Vec<f32>,
    pub(crate) spans: Vec<Option<Span>>,
    pub(crate) grams: G,
    pub(crate) words: u32,
    pub(crate) known: f32,
    /// Share of a text's words in scripts other than Latin.
    pub(crate) foreign: f32,
    /// To what degree it is of a kind that nothing was learned from.
    pub(crate) unlearned: f32,
}

/// Scans an item's body with its family's scanner.
pub(crate) fn scan<G: Grams>(item: &Item, family: Family, order: &[i8], grams: G) -> Scanned<G> {
    match family {
        Family::Text => {
            let context = context_words(item);
            let (mut scan, grams) = text::scan(item.text(), order, &context, grams);
            checks::statements(item.text(), &mut scan);
            match &item.shown {
                Some(Shown::Mail(mail)) => tell_models(&mail.unseen, &mut scan),
                Some(Shown::Page(_)) => tell_models(&item.body, &mut scan),
                None => {}
            }
            let known = scan.known as f32 / (scan.words as f32 + 1.0);
            let foreign = scan.non_latin as f32 / (scan.words as f32 + 1.0);
            let values = text::features::values(&scan);
            let spans = scan.spans.to_vec();
            let unlearned = unlearned::degree(scan.technical, scan.chunks);
            Scanned { values, spans, grams, words: scan.words, known, foreign, unlearned }
        }
        Family::Shell => {
            let (scan, grams) = shell::scan(&item.body, grams);
            let values = shell::features::values(&scan);
            let unlearned = unlearned::script_degree(scan.commands);
            Scanned { unlearned, ..Scanned::worded(values, &scan.spans, grams, scan.words) }
        }
        Family::Code => {
            let (scan, grams) = code::scan(&item.body, grams);
            Scanned::worded(code::features::values(&scan), &scan.spans, grams, scan.words)
        }
    }
}

/// What is said to models where people do not see it: in a head, a comment, an attribute. Models are given the whole.
fn tell_models(unseen: &str, scan: &mut Scan) {
    const TOLD: [Hit; 5] =
        [Hit::Override, Hit::LooseOverride, Hit::Planted, Hit::RevealPrompt, Hit::Courting];
    let unseen = text::scan_part(unseen);
    for hit in TOLD {
        if scan.hit(hit) == 0.0 && unseen.hit(hit) > 0.0 {
            scan.record(hit, (0, 0));
        }
    }
}

impl<G> Scanned<G> {
    /// What is read of commands and code, whose words are known ones and of no language.
    fn worded(values: Vec<f32>, spans: &[Option<Span>], grams: G, words: u32) -> Scanned<G> {
        let (spans, known, foreign, unlearned) = (spans.to_vec(), 1.0, 0.0, 0.0);
        Scanned { values, spans, grams, words, known, foreign, unlearned }
    }
}

/// Sorted hashes of the telling words of the item's context.
fn context_words(item: &Item) -> Vec<u64> {
    let Some(context) = &item.context.text else { return Vec::new() };
    let mut hashes: Vec<u64> = context
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() >= 4)
        .map(|word| {
            let mut folded = String::new();
            word.chars().for_each(|c| fold::fold(c, |c| folded.push(c)));
            fold::hash(folded.as_bytes())
        })
        .collect();
    hashes.sort_unstable();
    hashes
}

impl Analysis {
    /// The item.
    pub fn item(&self) -> &Item {
        &self.item
    }

    /// A place in the text that is read, as one in the body, if the text is the body.
    pub(crate) fn place(&self, span: Option<Span>) -> Option<Span> {
        span.filter(|_| self.item.shown.is_none())
    }

    /// What the item is judged as.
    pub fn domain(&self) -> Domain {
        self.domain
    }

    /// The logit of being good that all evidence supports; zero where good and bad are equally likely.
    pub fn logit(&self) -> f32 {
        self.learned.logit
    }

    pub(crate) fn of(item: Item, weights: &Weights, trusted_keys: &[[u8; 32]]) -> Analysis {
        let sha256: [u8; 32] = Sha256::digest(item.body.as_bytes()).into();
        let Route { family, domain: said } = route::route(&item);
        let is_record = said == Some(Domain::General);
        let mut checks = checks::of(&item, &sha256, trusted_keys, is_record);
        let own = &weights.families[family.index()];
        let scanned = scan(&item, family, &weights.order, Sum::new(own));
        let z = learned::normalise(own, family, &scanned.values);
        let mut learned = learned::weigh(own, family, &z, &scanned.grams, said);
        let degree = scanned.unlearned;
        unlearned::unask(family, &mut learned, degree);
        if family == Family::Text && !is_record {
            checks.held = unlearned::held(item.text(), degree);
        }
        let severe = learned::severe(family, &learned);
        let mut beside = learned.logit - severe;
        beside = if is_record {
            unlearned::believed(beside)
        } else {
            unlearned::believed_to(degree, beside)
        };
        if family == Family::Code {
            beside += CODE_LEAN;
        }
        let ruinous = severe + checks.severe();
        if ruinous < SEVERE_FROM {
            beside =
                beside.min(if is_record { RECORD_BESIDE_SEVERE_MAX } else { BESIDE_SEVERE_MAX });
        }
        if scanned.foreign > 0.5 {
            beside = beside.min(FOREIGN_MAX);
        } else if scanned.known < KNOWN_MIN {
            beside = beside.min(UNKNOWN_MAX);
        }
        let short = 1.0 - scanned.words as f32 / HARMLESS_WORDS_MAX;
        if family == Family::Code && short > 0.0 && is_harmless(&z, &scanned.spans) {
            beside = beside.max(HARMLESS_SHARE * beside + HARMLESS_LEAN * short);
        }
        learned.logit = beside + severe + checks.logit();
        let domain = said.unwrap_or_else(|| match family {
            Family::Text if degree >= PROGRAMS_DEGREE => Domain::General,
            _ => detected(family, &learned.mixture),
        });
        let target = reading::level(learned.logit);
        let mut readings = reading::raw(family, &z, &learned);
        reading::own_part(&mut readings, own, target);
        let centres = centres(&readings);
        let level = reading::settled(target, &readings, &centres, Profile::of_domain(domain));
        Analysis {
            family,
            domain,
            strange: item.item_type.as_deref().is_some_and(|name| !route::is_known_type(name)),
            routed: said.is_some_and(|domain| domain != Domain::General),
            sha256,
            checks,
            spans: scanned.spans,
            words: scanned.words,
            known: scanned.known,
            severe: ruinous < SEVERE_FROM,
            level,
            item,
            z,
            learned,
            readings,
            centres,
            whole: OnceLock::new(),
        }
    }
}

fn detected(family: Family, mixture: &[f32; DOMAINS]) -> Domain {
    let domains = family.domains();
    let mut best = 0;
    for domain in 0..domains.len() {
        if mixture[domain] > mixture[best] {
            best = domain;
        }
    }
    domains[best]
}

/// Whether nothing was found in a code that the rubric holds against it.
fn is_harmless(z: &[f32], spans: &[Option<Span>]) -> bool {
    let found = |spec: &Spec, z: f32| match spec.norm {
        Norm::Count | Norm::Fixed => z > 0.0,
        Norm::Learned | Norm::Neutral => {
            spec.slot != NO_SLOT && spans[usize::from(spec.slot)].is_some()
        }
    };
    let mut measured = Family::Code.specs().iter().zip(z);
    !measured.any(|(spec, z)| spec.risk[0] <= HARMFUL_RISK && found(spec, *z))
}

/// The weighted mean of an axiom's readings, mostly; and a little of all axioms' mean, so that axioms
/// may differ while their mean stays at the level.
fn centres(readings: &[f32; FACETS]) -> [f32; AXIOMS] {
    let weights: f64 = POSITION_WEIGHTS.iter().sum();
    let mut means = [0.0; AXIOMS];
    for (mean, readings) in means.iter_mut().zip(readings.chunks_exact(DIMENSIONS_PER_AXIOM)) {
        let weighted = readings.iter().zip(POSITION_WEIGHTS).zip(reading::SWING);
        let sum: f64 = weighted.map(|((r, w), swing)| f64::from(r * swing) * w).sum();
        *mean = (sum / weights) as f32;
    }
    let all = means.iter().sum::<f32>() / AXIOMS as f32;
    means.map(|mean| reading::CENTRED * mean + (1.0 - reading::CENTRED) * all)
}
