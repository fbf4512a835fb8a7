//! What is measured of a command, and what it says for which dimension: the rubric for commands.
//!
//! Columns: code, dimension, norm, lean, risk, place of the span, words.

use super::{Class, Hit, Scan};
use crate::spec::{NO_SLOT, features};

const fn class(class: Class) -> u8 {
    class as u8
}

const fn hit(hit: Hit) -> u8 {
    Class::COUNT as u8 + hit as u8
}

fn rate(scan: &Scan, count: f32) -> f32 {
    count / (scan.words as f32 + 2.0).sqrt()
}

fn share(count: f32, of: f32) -> f32 {
    count / (of + 2.0)
}

fn few(count: f32) -> f32 {
    count.min(1.0) + (count - 1.0).clamp(0.0, 2.0) * 0.5
}

/// Words from which on commands are a script: in a long one every command occurs.
const LONG_WORDS: f32 = 60.0;

/// How often a class occurs, as it would in as much of a script as is no longer long.
fn thinned(scan: &Scan, class: Class) -> f32 {
    few(scan.class(class) * (LONG_WORDS / (scan.words as f32).max(LONG_WORDS)))
}

fn mean_length(scan: &Scan) -> f32 {
    scan.bytes as f32 / (scan.words as f32 + 1.0)
}

features! { s: Scan;
    // FIDELITY
    "tool.known" Commitment Count 0.8 [0.5] NO_SLOT, "starts with an everyday tool" = f32::from(u8::from(s.first_known));
    "flags.long" Commitment Learned 0.6 [0.1] NO_SLOT, "spells its options out" = rate(s, s.long_flags as f32);
    "checks.chained" Attunement Learned 0.6 [0.0] NO_SLOT, "chains commands on their results" = rate(s, s.chains as f32);
    "errors.silenced" Attunement Count -0.8 [-0.2] NO_SLOT, "silences its errors" = few(s.quiet as f32);
    "comments.given" Candor Count 0.7 [0.05] NO_SLOT, "explains itself in comments" = few(s.comments as f32);
    "case.odd" Candor Learned -0.6 [-0.15] NO_SLOT, "uses capitals" = share(s.upper as f32, s.letters as f32);
    "encoded.run" Congruence Fixed -1.8 [-2.2] hit(Hit::EncodedRun), "runs what is encoded" = few(s.hit(Hit::EncodedRun));
    "encoded.part" Congruence Fixed -1.2 [-1.2] hit(Hit::Encoded), "hides a part in an encoding" = few(s.hit(Hit::Encoded));
    "signs.share" Congruence Learned -0.6 [-0.1] NO_SLOT, "is full of signs" = share(s.signs as f32, s.bytes as f32);
    "privilege.used" Accountability Learned -0.6 [-0.2] class(Class::Privilege), "acts with higher rights" = thinned(s, Class::Privilege);
    "background.run" Accountability Count -0.8 [-0.2] NO_SLOT, "goes on in the background" = few(s.background as f32);
    "variables.named" Accountability Learned 0.4 [-0.05] NO_SLOT, "names variables" = rate(s, s.variables as f32);
    "guard.off" Vigilance Count -1.4 [-1.0] hit(Hit::GuardOff), "switches a safeguard off" = few(s.hit(Hit::GuardOff));
    "guard.first" Vigilance Count 0.9 [0.6] hit(Hit::Guarded), "lists, checks or tries first" = few(s.hit(Hit::Guarded));
    "rights.wide" Vigilance Fixed -1.2 [-1.2] hit(Hit::Rights), "gives rights to everybody or lasting ones" = few(s.hit(Hit::Rights));
    "rights.all" Vigilance Fixed -1.4 [-1.8] hit(Hit::AllRights), "hands out all rights over what it manages" = few(s.hit(Hit::AllRights));
    "force.used" Kenosis Learned -0.8 [-0.15] class(Class::Force), "forces" = thinned(s, Class::Force);
    "flags.short" Kenosis Learned 0.4 [0.0] NO_SLOT, "uses short options" = rate(s, s.flags as f32);
    // PHI
    "quotes.unbalanced" Coherence Count -0.8 [-0.05] NO_SLOT, "leaves a quotation open" = (s.quotes % 2) as f32;
    "words.repeated" Coherence Learned -0.6 [0.0] NO_SLOT, "repeats its words" = 1.0 - s.distinct as f32 / (s.words as f32 + 1.0);
    "lines.number" Elegance Neutral -0.5 [0.0] NO_SLOT, "takes many lines" = libm::log1pf(s.lines as f32);
    "pipes.used" Elegance Learned 0.5 [0.0] NO_SLOT, "pipes" = rate(s, s.pipes as f32);
    "substitution.used" Structure Learned -0.6 [-0.1] NO_SLOT, "substitutes commands in commands" = rate(s, s.substitutions as f32);
    "commands.number" Structure Neutral -0.5 [0.0] NO_SLOT, "runs several commands" = libm::log1pf(s.commands as f32);
    "backslashes.used" Harmony Neutral -0.7 [0.0] NO_SLOT, "is full of backslashes" = rate(s, s.backslashes as f32).min(6.0);
    "word.spread" Harmony Learned -0.5 [-0.05] NO_SLOT, "mixes very short and very long words" = spread(s);
    "digits.share" Precision Learned -0.5 [-0.1] NO_SLOT, "is full of digits" = share(s.digits as f32, s.bytes as f32);
    "files.named" Precision Learned 0.6 [0.0] NO_SLOT, "names files" = rate(s, s.extensions as f32);
    "length.words" Completeness Neutral 0.6 [0.0] NO_SLOT, "has length" = libm::log1pf(s.words as f32);
    "assignments.made" Completeness Learned 0.4 [-0.05] NO_SLOT, "sets what it needs" = rate(s, s.assignments as f32);
    "word.longest" Proportion Learned -0.7 [-0.15] NO_SLOT, "holds a very long word" = libm::log1pf(s.longest as f32);
    // VERIFY
    "quotes.used" Accuracy Learned 0.6 [-0.05] NO_SLOT, "quotes its arguments" = rate(s, s.quotes as f32);
    "address.bare" Provenance Count -1.2 [-0.7] hit(Hit::BareAddress), "talks to a bare network address" = few(s.hit(Hit::BareAddress));
    "links.given" Provenance Learned -0.5 [-0.15] NO_SLOT, "fetches by address" = few(s.urls as f32);
    "paths.named" Provenance Learned 0.4 [-0.05] NO_SLOT, "names paths" = rate(s, s.paths as f32);
    "traces.removed" Integrity Fixed -1.4 [-1.5] hit(Hit::Cover), "removes traces or reads histories" = few(s.hit(Hit::Cover));
    "registry.changed" Integrity Count -0.8 [-0.5] hit(Hit::Registry), "reaches into the registry" = few(s.hit(Hit::Registry));
    "inform.only" Verifiability Learned 0.8 [0.25] class(Class::Inform), "looks things up" = rate(s, s.class(Class::Inform));
    "dry.run" Verifiability Learned 0.5 [0.1] class(Class::Guard), "can be tried" = rate(s, s.class(Class::Guard));
    "words.plain" Transparency Learned -0.6 [-0.1] NO_SLOT, "uses long words" = mean_length(s);
    "braces.used" Transparency Learned -0.5 [-0.1] NO_SLOT, "nests blocks" = rate(s, s.braces as f32);
    "fetch.run" Reproducibility Fixed -1.6 [-2.0] hit(Hit::FetchRun), "runs what it fetches" = few(s.hit(Hit::FetchRun));
    "fetch.used" Reproducibility Learned -0.6 [-0.25] class(Class::Fetch), "depends on the network" = thinned(s, Class::Fetch);
    "build.tool" Consensus Learned 0.8 [0.3] class(Class::Make), "uses a common build or package tool" = thinned(s, Class::Make);
    // CULTURE
    "temporary.place" Authenticity Count -1.0 [-0.5] hit(Hit::TemporaryRun), "works in a place for temporary files" = few(s.hit(Hit::TemporaryRun));
    "media.tool" Authenticity Learned 0.6 [0.2] class(Class::Media), "copies, packs or converts" = thinned(s, Class::Media);
    "recon.done" Resonance Learned -0.9 [-0.4] class(Class::Recon), "spies out the host" = thinned(s, Class::Recon);
    "text.short" Novelty Neutral -0.6 [0.0] NO_SLOT, "is short" = -libm::log1pf(s.bytes as f32);
    "interpreter.called" Alignment Learned -0.7 [-0.25] class(Class::Run), "calls an interpreter" = thinned(s, Class::Run);
    "redirects.used" Relevance Learned -0.5 [-0.05] NO_SLOT, "redirects" = rate(s, s.redirects as f32);
    "words.known" Relevance Learned 0.6 [0.0] NO_SLOT, "uses known words" = share(known(s), s.words as f32);
    "system.write" Impact Fixed -1.4 [-1.2] hit(Hit::SystemWrite), "writes to system paths" = few(s.hit(Hit::SystemWrite));
    "system.path" Impact Count -0.7 [-0.2] hit(Hit::SystemPath), "names system paths" = few(s.hit(Hit::SystemPath));
    "persistence.made" Lineage Count -1.0 [-0.7] hit(Hit::Persistence), "makes something start by itself" = few(s.hit(Hit::Persistence));
    "arguments.per" Lineage Learned 0.5 [0.0] NO_SLOT, "gives each command its arguments" = s.words as f32 / (s.commands as f32 + 1.0);
    // BURN
    "evasion.words" Utility Count -0.9 [-0.5] class(Class::Evade), "uses words of evasion" = few(s.class(Class::Evade));
    "letters.share" Utility Learned 0.6 [0.1] NO_SLOT, "is made of letters" = share(s.letters as f32, s.bytes as f32);
    "service.stopped" Sustainability Learned -0.9 [-0.3] class(Class::Service), "stops services or processes" = thinned(s, Class::Service);
    "fork.bomb" Sustainability Fixed -2.0 [-3.0] hit(Hit::ForkBomb), "multiplies without end" = few(s.hit(Hit::ForkBomb));
    "bytes.length" Efficiency Neutral -0.7 [0.0] NO_SLOT, "takes many characters" = libm::log1pf(s.bytes as f32 / 40.0);
    "mining.done" ValueCreation Fixed -1.6 [-2.5] class(Class::Mine), "mines coins" = few(s.class(Class::Mine));
    "wipe.source" ValueCreation Count -0.6 [-0.2] class(Class::Nullify), "reads noise or discards output" = few(s.class(Class::Nullify));
    "secret.read" Sacrifice Count -1.2 [-0.9] hit(Hit::SecretRead), "reads secrets" = few(s.hit(Hit::SecretRead));
    "secret.dumped" Sacrifice Fixed -1.6 [-2.2] hit(Hit::CredentialDump), "dumps or sends the credentials of its host" = few(s.hit(Hit::CredentialDump));
    "data.sent" Sacrifice Fixed -1.2 [-1.4] hit(Hit::Exfiltration), "sends data away" = few(s.hit(Hit::Exfiltration));
    "shell.handed" Contribution Fixed -1.8 [-3.0] hit(Hit::ReverseShell), "hands a shell to another host" = few(s.hit(Hit::ReverseShell));
    "flags.share" Contribution Learned 0.5 [0.05] NO_SLOT, "is steered by options" = share((s.flags + s.long_flags) as f32, s.words as f32);
    "ruin.done" Irreversibility Fixed -2.5 [-3.5] hit(Hit::Ruin), "destroys a system, a home or a device" = few(s.hit(Hit::Ruin));
    "delete.forced" Irreversibility Count -0.9 [-0.5] hit(Hit::ForcedDelete), "deletes by force" = few(s.hit(Hit::ForcedDelete));
    "delete.words" Irreversibility Learned -0.8 [-0.3] class(Class::Destroy), "deletes or overwrites" = thinned(s, Class::Destroy);
}

fn known(scan: &Scan) -> f32 {
    scan.classes.iter().sum::<u32>() as f32
}

fn spread(scan: &Scan) -> f32 {
    let words = scan.words as f32 + 1.0;
    let variance = scan.length_squares / words - (scan.bytes as f32 / words).powi(2);
    libm::log1pf(variance.max(0.0).sqrt())
}
