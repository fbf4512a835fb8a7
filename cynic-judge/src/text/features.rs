//! What is measured of a text, and what it says for which dimension: the rubric for texts.
//!
//! Columns: code, dimension, norm, lean, risk as a [message, prompt, prose], place of the span, words.

use super::lexicon::Class;
use super::scan::{Hit, Scan};
use crate::spec::{NO_SLOT, features};

const fn class(class: Class) -> u8 {
    class as u8
}

const fn hit(hit: Hit) -> u8 {
    Class::COUNT as u8 + hit as u8
}

/// Words from which on a text is long: in one of ten thousand words everything occurs, and often.
const LONG_WORDS: f32 = 200.0;

/// A count as it would be in as much of a long text as is no longer long.
fn thinned(scan: &Scan, count: f32) -> f32 {
    count * (LONG_WORDS / (scan.words as f32).max(LONG_WORDS))
}

/// A count by the root of the length: one word in a short text tells more than one in a long one, and
/// many in a long one more than one.
fn rate(scan: &Scan, count: f32) -> f32 {
    thinned(scan, count) / ((scan.words as f32).min(LONG_WORDS) + 4.0).sqrt()
}

fn share(count: f32, of: f32) -> f32 {
    count / (of + 2.0)
}

fn of(scan: &Scan, class: Class) -> f32 {
    rate(scan, scan.class(class))
}

/// Counts above two say little more.
fn few(count: f32) -> f32 {
    count.min(1.0) + (count - 1.0).clamp(0.0, 2.0) * 0.5
}

fn foreign(scan: &Scan) -> [f32; 5] {
    [Class::English, Class::German, Class::French, Class::Spanish, Class::Italian]
        .map(|class| scan.class(class))
}

/// How much the strongest language leads the second: 1 for one language.
fn one_language(scan: &Scan) -> f32 {
    let mut counts = foreign(scan);
    counts.sort_by(|a, b| b.total_cmp(a));
    (counts[0] - counts[1]) / (counts[0] + counts[1] + 1.0)
}

fn deviation(squares: f32, sum: f32, count: f32) -> f32 {
    if count < 1.0 {
        return 0.0;
    }
    (squares / count - (sum / count).powi(2)).max(0.0).sqrt()
}

/// Warnings speak of demands without making them.
fn warns(scan: &Scan) -> f32 {
    few(scan.class(Class::Warning)) + few(scan.hit(Hit::NegatedDemand)) * 0.5
}

/// Who has reasons needs neither: "everyone knows" and "trust me" together.
fn insists(scan: &Scan) -> f32 {
    few(scan.class(Class::TrustMe)) * few(scan.class(Class::Popular))
}

features! { s: Scan;
    // FIDELITY
    "promise.made" Commitment Learned -0.5 [-0.05, 0.0, 0.0] class(Class::Promise), "promises or announces" = of(s, Class::Promise);
    "end.closed" Commitment Learned 0.6 [0.0, 0.0, 0.1] NO_SLOT, "ends with a closed sentence" = f32::from(u8::from(s.ends_closed));
    "oblige.others" Commitment Learned 0.3 [-0.05, -0.1, 0.1] class(Class::Oblige), "says what must be done" = of(s, Class::Oblige);
    "contrast.weighed" Attunement Learned 0.7 [0.1, 0.0, 0.2] class(Class::Contrast), "weighs one thing against another" = of(s, Class::Contrast);
    "condition.named" Attunement Learned 0.5 [0.05, 0.0, 0.05] class(Class::Condition), "names conditions" = of(s, Class::Condition);
    "answer.direct" Attunement Learned 0.4 [0.1, 0.0, 0.0] class(Class::Polite), "answers or acknowledges" = of(s, Class::Polite);
    "secrecy.demanded" Candor Fixed -1.2 [-0.8, -1.2, -0.4] hit(Hit::Secrecy), "wants something kept from others" = few(s.hit(Hit::Secrecy));
    "hype.used" Candor Learned -0.6 [-0.1, -0.05, -0.05] class(Class::Hype), "praises in superlatives" = of(s, Class::Hype);
    "flattery.used" Candor Count -0.9 [-0.5, -0.2, 0.0] class(Class::Flatter), "flatters or addresses nobody in particular" = few(thinned(s, s.class(Class::Flatter)));
    "limits.stated" Candor Learned 0.6 [0.2, 0.1, 0.1] class(Class::Limits), "states limits or bad news" = of(s, Class::Limits);
    "negative.said" Candor Learned 0.4 [0.1, 0.0, 0.05] class(Class::Negative), "says unpleasant things plainly" = of(s, Class::Negative);
    "link.mismatch" Congruence Fixed -2.0 [-2.2, -1.5, -1.0] hit(Hit::LinkMismatch), "shows one link and leads to another" = few(s.hit(Hit::LinkMismatch));
    "script.mixed" Congruence Fixed -1.2 [-1.2, -1.0, -1.0] hit(Hit::MixedScript), "mixes look-alike letters of two scripts in a word" = few(s.hit(Hit::MixedScript));
    "spelling.disguised" Congruence Fixed -0.8 [-0.7, -0.7, -0.3] hit(Hit::Leet), "disguises words with digits or gaps" = few(s.hit(Hit::Leet));
    "words.mixed" Congruence Learned -0.7 [-0.1, -0.1, -0.1] NO_SLOT, "mixes letters and digits in words" = rate(s, s.mixed as f32);
    "language.one" Congruence Learned 0.5 [0.0, 0.0, 0.0] NO_SLOT, "keeps to one language" = one_language(s);
    "encoded.whole" Congruence Fixed -1.2 [-1.6, -1.8, -1.4] hit(Hit::Encoded), "is encoded for the most part" = f32::from(u8::from(2 * s.encoded_bytes as usize > s.characters));
    "encoded.text" Congruence Fixed -1.5 [-1.6, -1.6, -1.2] hit(Hit::Encoded), "hides text in an encoding" = few(s.hit(Hit::Encoded));
    "first.person" Accountability Learned 0.7 [0.25, -0.05, 0.0] class(Class::First), "speaks for itself in the first person" = of(s, Class::First);
    "closing.signed" Accountability Learned 0.4 [0.05, 0.0, 0.0] class(Class::Closing), "closes with a greeting" = of(s, Class::Closing);
    "names.share" Accountability Learned 0.4 [0.0, 0.0, 0.05] NO_SLOT, "names people or places" = share(s.title_words as f32, s.words as f32);
    "warning.given" Vigilance Count 1.0 [0.9, 0.1, 0.6] class(Class::Warning), "warns" = warns(s);
    "safety.named" Vigilance Learned 0.4 [0.0, 0.0, 0.0] class(Class::Safety), "speaks of checking or protecting" = of(s, Class::Safety);
    "override.instructions" Vigilance Fixed -2.2 [-2.6, -3.0, -2.0] hit(Hit::Override), "tells its reader to ignore earlier instructions" = few(s.hit(Hit::Override));
    "override.loose" Vigilance Fixed -1.0 [-0.4, -2.0, -0.6] hit(Hit::LooseOverride), "tells its reader to forget what came before" = few(s.hit(Hit::LooseOverride));
    "danger.named" Vigilance Learned -0.5 [-0.1, -0.3, 0.0] class(Class::Danger), "names dangerous or illegal things" = of(s, Class::Danger);
    "hedge.used" Kenosis Learned 0.8 [0.15, 0.05, 0.05] class(Class::Hedge), "leaves room for doubt" = of(s, Class::Hedge);
    "absolute.used" Kenosis Learned -0.7 [-0.05, -0.1, -0.05] class(Class::Absolute), "speaks in absolutes" = of(s, Class::Absolute);
    "question.asked" Kenosis Learned 0.4 [0.1, 0.3, -0.05] NO_SLOT, "asks" = share(s.questions as f32, s.sentences as f32);
    // PHI
    "order.natural" Coherence Learned 0.9 [0.2, 0.1, 0.15] NO_SLOT, "puts its words in a natural order" = s.order_sum as f32 / (s.order_pairs as f32 + 3.0);
    "terms.carried" Coherence Learned 0.5 [0.0, 0.0, 0.1] NO_SLOT, "carries its terms from sentence to sentence" = rate(s, s.carried as f32);
    "letters.random" Coherence Fixed -1.6 [-2.2, -2.2, -2.2] NO_SLOT, "is letters at random" = random_letters(s);
    "brackets.wrong" Coherence Count -0.5 [-0.05, -0.05, -0.1] NO_SLOT, "leaves brackets unbalanced" = few(s.bracket_errors as f32 + s.brackets as f32);
    "vague.words" Elegance Learned -0.6 [0.05, 0.0, -0.1] class(Class::Vague), "uses vague words" = of(s, Class::Vague);
    "words.short" Elegance Learned 0.5 [0.0, 0.0, -0.05] NO_SLOT, "uses very short words" = share(s.short_words as f32, s.words as f32);
    "words.repeated" Elegance Count -0.8 [-0.2, -0.1, -0.1] NO_SLOT, "repeats words at once" = few(s.repeats as f32);
    "sentences.number" Structure Learned 0.6 [0.0, -0.3, 0.2] NO_SLOT, "has several sentences" = libm::log1pf(s.sentences as f32);
    "starts.lower" Structure Learned -0.6 [0.0, 0.0, -0.1] NO_SLOT, "starts sentences in lower case" = share(s.lower_starts as f32, s.sentences as f32);
    "lines.number" Structure Learned 0.4 [0.0, -0.15, 0.05] NO_SLOT, "has lines and paragraphs" = libm::log1pf(s.breaks as f32);
    "shouting.letters" Harmony Fixed -0.9 [-1.1, -0.9, -0.9] hit(Hit::Shout), "is written in capitals" = shouting(s);
    "exclamation.marks" Harmony Learned -0.7 [-0.25, -0.05, -0.1] NO_SLOT, "uses exclamation marks" = rate(s, s.sign(b'!')).min(4.0);
    "signs.runs" Harmony Learned -0.5 [0.0, 0.0, -0.1] NO_SLOT, "repeats signs in runs" = rate(s, s.sign_runs as f32);
    "words.stretched" Harmony Learned -0.3 [0.0, 0.0, -0.05] NO_SLOT, "stretches words" = rate(s, s.elongated as f32);
    "chat.spelling" Harmony Learned -0.2 [0.15, 0.1, -0.15] class(Class::Chat), "uses chat spellings" = of(s, Class::Chat);
    "numbers.given" Precision Learned 0.7 [-0.2, 0.0, 0.05] NO_SLOT, "gives numbers" = rate(s, s.numbers as f32);
    "units.given" Precision Learned 0.5 [0.0, 0.0, 0.05] class(Class::Unit), "gives units" = of(s, Class::Unit);
    "words.long" Precision Learned 0.4 [0.0, 0.0, 0.15] NO_SLOT, "uses specific, long words" = share(s.long_words as f32, s.words as f32);
    "length.words" Completeness Learned 0.8 [0.0, -0.35, 0.5] NO_SLOT, "has length" = libm::log1pf(s.words as f32);
    "length.root" Completeness Learned 0.3 [0.0, -0.1, 0.3] NO_SLOT, "goes into length" = (s.words as f32).min(400.0).sqrt();
    "greeting.given" Completeness Learned 0.4 [0.0, 0.0, -0.05] class(Class::Greeting), "greets" = of(s, Class::Greeting);
    "sentence.spread" Proportion Learned 0.6 [0.0, 0.0, 0.1] NO_SLOT, "varies the length of its sentences" = libm::log1pf(deviation(s.sentence_squares, s.words as f32, s.sentences as f32));
    "word.spread" Proportion Learned 0.4 [0.0, 0.0, 0.05] NO_SLOT, "varies the length of its words" = deviation(s.length_squares, s.letters as f32, s.words as f32);
    "signs.share" Proportion Learned -0.6 [-0.05, -0.05, -0.1] NO_SLOT, "is full of signs" = share(s.sign_characters as f32, s.letters as f32);
    // VERIFY
    "statement.wrong" Accuracy Fixed -2.0 [-0.8, -0.3, -0.8] hit(Hit::Wrong), "states something that does not check out" = few(s.hit(Hit::Wrong));
    "statement.right" Accuracy Fixed 0.8 [0.2, 0.1, 0.2] hit(Hit::Right), "states something that checks out" = few(s.hit(Hit::Right));
    "words.unpronounceable" Accuracy Learned -0.6 [-0.05, -0.05, -0.1] NO_SLOT, "has words without vowels" = rate(s, s.vowelless as f32);
    "dates.given" Accuracy Learned 0.6 [0.1, 0.0, 0.0] class(Class::Date), "gives dates or weekdays" = of(s, Class::Date);
    "past.told" Accuracy Learned 0.4 [0.1, 0.0, 0.1] NO_SLOT, "tells what happened" = rate(s, s.verbs_past as f32);
    "link.named" Provenance Learned 0.2 [-0.3, 0.0, 0.0] hit(Hit::Link), "links" = few(thinned(s, s.hit(Hit::Link)));
    "link.shortened" Provenance Count -1.2 [-0.7, -0.5, -0.5] hit(Hit::ShortLink), "hides where a link leads" = few(s.hit(Hit::ShortLink));
    "link.untrustworthy" Provenance Fixed -1.5 [-1.6, -1.0, -0.8] hit(Hit::BadLink), "links to a bare, look-alike or throw-away address" = few(s.hit(Hit::BadLink));
    "quotation.given" Provenance Learned 0.6 [0.1, 0.0, 0.05] hit(Hit::Quotation), "quotes" = rate(s, s.sign(b'"'));
    "brand.named" Provenance Learned -0.2 [-0.15, 0.0, 0.0] class(Class::Brand), "names a company" = of(s, Class::Brand);
    "characters.invisible" Integrity Count -0.6 [-0.25, -0.3, -0.2] NO_SLOT, "holds invisible characters inside words" = few(s.hiding as f32 / 2.0);
    "characters.reordering" Integrity Fixed -1.8 [-1.5, -1.5, -1.2] NO_SLOT, "reorders what is shown" = few(s.bidi as f32);
    "characters.control" Integrity Count -0.8 [-0.5, -0.5, -0.4] NO_SLOT, "holds control or broken characters" = few((s.control + s.replaced) as f32 / 2.0);
    "markers.role" Integrity Fixed -1.2 [-0.7, -0.9, -0.7] hit(Hit::RoleMarker), "poses as a speaker of the dialogue" = few(s.hit(Hit::RoleMarker));
    "prompt.revealed" Integrity Fixed -1.8 [-1.6, -2.4, -1.0] hit(Hit::RevealPrompt), "asks for the hidden prompt" = few(s.hit(Hit::RevealPrompt));
    "instruction.hidden" Integrity Fixed -2.0 [-2.0, -2.2, -1.5] hit(Hit::HiddenInstruction), "hides an instruction" = few(s.hit(Hit::HiddenInstruction));
    "judge.courted" Integrity Fixed -1.5 [-1.0, -1.6, -0.9] hit(Hit::Courting), "tells its judge what to find" = few(s.hit(Hit::Courting));
    "padding.long" Integrity Fixed -0.6 [-0.3, -0.5, -0.3] hit(Hit::Padding), "pushes text out of sight" = few(s.hit(Hit::Padding));
    "signs.foreign" Integrity Learned -0.4 [0.0, 0.0, 0.0] NO_SLOT, "uses unusual signs" = rate(s, s.others as f32);
    "evidence.named" Verifiability Learned 0.8 [0.1, 0.0, 0.25] class(Class::Evidence), "names evidence or examples" = of(s, Class::Evidence);
    "trust.demanded" Verifiability Count -1.2 [-0.5, -0.3, -0.8] class(Class::TrustMe), "asks to be believed" = few(thinned(s, s.class(Class::TrustMe)));
    "claim.empty" Verifiability Fixed -1.2 [-0.7, -0.2, -2.0] class(Class::TrustMe), "wants to be believed because everybody agrees" = insists(s);
    "words.nominal" Verifiability Learned 0.4 [0.0, 0.0, 0.1] NO_SLOT, "speaks of matters, not persons" = rate(s, s.nominal as f32);
    "cause.given" Transparency Learned 0.8 [0.2, 0.0, 0.25] class(Class::Cause), "gives reasons" = of(s, Class::Cause);
    "prompt.spoken" Transparency Count -0.9 [-0.3, -0.6, -0.1] class(Class::SysPrompt), "speaks of hidden prompts" = few(thinned(s, s.class(Class::SysPrompt)));
    "steps.given" Reproducibility Learned 0.7 [0.0, 0.0, 0.1] class(Class::Step), "gives steps" = of(s, Class::Step);
    "time.named" Reproducibility Learned 0.6 [0.2, 0.0, 0.0] class(Class::Time), "says when" = of(s, Class::Time);
    "third.person" Consensus Learned 0.7 [0.15, 0.1, 0.05] class(Class::Third), "speaks of others" = of(s, Class::Third);
    "popularity.claimed" Consensus Count -0.8 [-0.3, -0.1, -0.5] class(Class::Popular), "claims to be popular" = few(thinned(s, s.class(Class::Popular)));
    "speech.reported" Consensus Learned 0.5 [0.1, 0.0, 0.05] class(Class::Quote), "reports what others said" = of(s, Class::Quote);
    // CULTURE
    "words.function" Authenticity Learned 0.6 [0.2, 0.05, 0.05] NO_SLOT, "is built with the small words of ordinary speech" = share(s.class(Class::English) + foreign(s)[1..].iter().sum::<f32>(), s.words as f32);
    "contractions.used" Authenticity Learned 0.4 [0.1, 0.0, 0.0] NO_SLOT, "contracts words as in speech" = rate(s, s.sign(b'\'') + s.class(Class::Negation));
    "brand.threat" Authenticity Fixed -1.6 [-2.0, -1.0, -1.0] hit(Hit::BrandThreat), "threatens in a company's name" = few(s.hit(Hit::BrandThreat));
    "adult.offer" Authenticity Learned -0.3 [-0.25, -0.1, 0.0] class(Class::Adult), "speaks of sex" = of(s, Class::Adult);
    "role.assigned" Authenticity Count -1.0 [-0.3, -1.0, -0.3] class(Class::Role), "assigns its reader a role" = few(thinned(s, s.class(Class::Role)));
    "second.person" Resonance Learned 0.3 [-0.1, -0.1, -0.05] class(Class::Second), "addresses its reader" = of(s, Class::Second);
    "positive.words" Resonance Learned 0.6 [0.15, 0.0, 0.0] class(Class::Positive), "uses warm words" = of(s, Class::Positive);
    "threat.made" Resonance Learned -0.6 [-0.3, -0.1, 0.0] class(Class::Threat), "threatens with consequences" = of(s, Class::Threat);
    "words.distinct" Novelty Learned 0.6 [0.05, 0.0, 0.3] NO_SLOT, "varies its words" = s.distinct as f32 / (s.words as f32 + 1.0).sqrt();
    "words.own" Novelty Learned 0.6 [0.1, 0.0, 0.05] NO_SLOT, "uses words beyond the common stock" = 1.0 - share(s.known as f32, s.words as f32);
    "profanity.used" Alignment Count -0.9 [-2.6, -1.6, -2.2] class(Class::Profanity), "swears" = few(s.class(Class::Profanity));
    "slur.used" Alignment Count -1.3 [-2.8, -1.8, -2.6] class(Class::Slur), "uses slurs" = few(s.class(Class::Slur));
    "abuse.directed" Alignment Fixed -1.0 [-0.9, -0.7, -1.2] hit(Hit::Abuse), "insults its reader" = few(s.hit(Hit::Abuse));
    "menace.made" Alignment Fixed -1.4 [-1.4, -0.8, -1.4] hit(Hit::Menace), "threatens violence" = few(s.hit(Hit::Menace) + s.class(Class::Menacing));
    "insult.used" Alignment Learned -0.5 [-0.4, -0.2, -0.3] class(Class::Insult), "insults" = of(s, Class::Insult);
    "polite.words" Alignment Learned 0.3 [0.1, 0.0, 0.0] class(Class::Polite), "is polite" = share(s.class(Class::Polite), s.sentences as f32);
    "question.words" Relevance Learned 0.7 [0.1, 0.35, 0.0] class(Class::Question), "asks a question of somebody" = of(s, Class::Question);
    "task.switch" Relevance Fixed -0.9 [-0.1, -0.8, -0.1] hit(Hit::TaskSwitch), "turns to a new task midway" = few(thinned(s, s.hit(Hit::TaskSwitch)));
    "filler.placed" Relevance Fixed -1.6 [-2.2, -2.2, -2.2] hit(Hit::Filler), "holds filler where a text should be" = f32::from(u8::from(s.hit(Hit::Filler) >= 2.0));
    "context.overlap" Relevance Count 1.0 [0.1, 0.1, 0.1] NO_SLOT, "takes up the given context" = few(s.context_hits as f32 / 2.0);
    "model.told" Impact Fixed -1.0 [-1.0, -0.7, -0.8] hit(Hit::ModelTold), "tells a model what to do" = few(s.hit(Hit::ModelTold));
    "instruction.planted" Impact Fixed -2.0 [-2.0, -2.2, -2.4] hit(Hit::Planted), "turns to a model that reads it" = few(s.hit(Hit::Planted));
    "ai.addressed" Impact Learned -0.4 [0.0, -0.2, 0.0] class(Class::Ai), "addresses a model" = of(s, Class::Ai);
    "start.formal" Impact Learned 0.4 [0.0, 0.0, 0.05] NO_SLOT, "starts like a written text" = f32::from(u8::from(s.starts_upper));
    "argue.words" Impact Learned 0.6 [0.1, 0.05, 0.2] class(Class::Argue), "argues about what matters to many" = of(s, Class::Argue);
    "prior.referred" Lineage Learned 0.4 [0.0, -0.5, 0.0] class(Class::Prior), "refers back" = of(s, Class::Prior);
    "mention.made" Lineage Learned 0.6 [0.15, 0.0, 0.0] NO_SLOT, "mentions or answers somebody" = rate(s, (s.mentions + s.hashtags) as f32);
    "credit.given" Lineage Learned 0.4 [0.05, 0.0, 0.05] class(Class::Credit), "gives credit or references" = of(s, Class::Credit);
    // BURN
    "prize.promised" Utility Learned -0.8 [-0.5, -0.1, -0.2] class(Class::Prize), "baits with gains" = of(s, Class::Prize);
    "action.told" Utility Learned 0.5 [0.05, 0.0, 0.05] NO_SLOT, "tells what is going on" = rate(s, s.verbs_ing as f32);
    "urgency.pressed" Sustainability Learned -0.8 [-0.25, -0.1, 0.0] class(Class::Urgent), "presses for haste" = of(s, Class::Urgent);
    "urgent.demand" Sustainability Fixed -1.2 [-0.9, -0.4, -0.5] hit(Hit::UrgentDemand), "demands haste" = few(thinned(s, s.hit(Hit::UrgentDemand)));
    "space.used" Efficiency Learned -0.6 [-0.05, -0.1, 0.0] NO_SLOT, "spends many characters on each word" = s.characters as f32 / (s.words as f32 + 1.0);
    "emoji.used" Efficiency Learned -0.4 [0.0, 0.0, -0.05] NO_SLOT, "uses pictographs" = rate(s, s.emoji as f32);
    "words.length" Efficiency Learned 0.5 [0.0, 0.0, 0.1] NO_SLOT, "uses long words" = s.letters as f32 / (s.words as f32 + 1.0);
    "demand.made" ValueCreation Learned -0.8 [-0.45, -0.05, -0.2] hit(Hit::Demand), "demands clicks, calls or replies" = rate(s, s.hit(Hit::Demand));
    "imperative.used" ValueCreation Learned -0.4 [-0.15, -0.3, 0.0] hit(Hit::Imperative), "commands" = rate(s, s.hit(Hit::Imperative));
    "money.named" Sacrifice Learned -0.6 [-0.25, -0.05, 0.0] class(Class::Money), "speaks of money" = of(s, Class::Money);
    "secret.requested" Sacrifice Fixed -1.8 [-2.0, -1.5, -0.6] hit(Hit::SecretRequest), "asks for secrets" = few(s.hit(Hit::SecretRequest));
    "payment.diverted" Sacrifice Fixed -1.6 [-2.0, -0.6, -0.4] hit(Hit::Diverted), "asks for money by a new number or account" = few(s.hit(Hit::Diverted));
    "price.named" Sacrifice Learned -0.5 [-0.25, 0.0, 0.0] hit(Hit::Price), "names prices" = few(thinned(s, s.hit(Hit::Price)));
    "number.long" Sacrifice Learned -0.6 [-0.4, -0.05, 0.0] hit(Hit::LongNumber), "gives telephone or account numbers" = few(thinned(s, s.hit(Hit::LongNumber)));
    "help.offered" Contribution Learned 0.7 [0.05, 0.0, 0.05] class(Class::Help), "helps or explains" = of(s, Class::Help);
    "promotion.own" Contribution Learned -0.9 [-0.6, -0.1, -0.2] class(Class::Promo), "promotes itself" = of(s, Class::Promo);
    "violence.words" Irreversibility Learned -0.6 [-0.15, -0.15, 0.0] class(Class::Violence), "speaks of violence" = of(s, Class::Violence);
    "secret.named" Irreversibility Learned -0.4 [-0.15, -0.3, 0.0] class(Class::Secret), "speaks of secrets" = of(s, Class::Secret);
    "negation.used" Irreversibility Learned 0.5 [0.1, 0.0, 0.0] class(Class::Negation), "holds back, refuses or denies" = of(s, Class::Negation);
    "destroy.words" Irreversibility Learned -0.5 [-0.05, -0.15, 0.0] class(Class::Destroy), "speaks of deleting or destroying" = of(s, Class::Destroy);
}

/// Least words that tell letters at random from names and numbers.
const RANDOM_WORDS_MIN: u32 = 6;

/// Whether hardly a word is known, and so many have no vowel or walk along a keyboard as no language has it.
fn random_letters(scan: &Scan) -> f32 {
    let odd = scan.vowelless + scan.walks;
    let few_known = scan.known * 12 <= scan.words;
    // Data and names of programs are no letters at random.
    let is_data = (scan.numbers + scan.mixed) * 4 > scan.words || scan.technical * 8 > scan.chunks;
    let random = scan.words >= RANDOM_WORDS_MIN && few_known && !is_data && odd * 3 >= scan.words;
    f32::from(u8::from(random))
}

/// Share of capitals, felt only where there are enough letters to shout with.
fn shouting(scan: &Scan) -> f32 {
    if scan.letters < 8 {
        return 0.0;
    }
    let share = scan.upper_letters as f32 / scan.letters as f32;
    share + if share > 0.6 { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{NoGrams, scan};

    #[test]
    fn what_occurs_in_a_long_text_counts_by_how_often_it_does() {
        let page = "Call the list to update it; the text of ticket 1030347 names a free port, which is 25. ".repeat(20);
        let of = |text: &str| values(&scan(text, &[], &[], NoGrams).0);
        let (one, all) = (of(&page), of(&page.repeat(50)));
        for code in ["demand.made", "prize.promised", "numbers.given", "number.long"] {
            let place = SPECS.iter().position(|spec| spec.code == code).expect("a feature");
            assert!(
                one[place] > 0.0 && all[place] < 1.1 * one[place],
                "{code}: {} {}",
                one[place],
                all[place]
            );
        }
    }
}
