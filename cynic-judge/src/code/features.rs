//! What is measured of source code, and what it says for which dimension: the rubric for code.
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

/// A count by the root of the number of lines.
fn rate(scan: &Scan, count: f32) -> f32 {
    count / (scan.lines as f32 + 2.0).sqrt()
}

fn share(count: f32, of: f32) -> f32 {
    count / (of + 2.0)
}

fn few(count: f32) -> f32 {
    count.min(1.0) + (count - 1.0).clamp(0.0, 2.0) * 0.5
}

fn of(scan: &Scan, class: Class) -> f32 {
    rate(scan, scan.class(class))
}

/// How much of what allocates is freed, how much of what copies is measured, and so on.
fn balance(guard: f32, risk: f32) -> f32 {
    libm::logf((guard + 1.0) / (risk + 1.0))
}

features! { s: Scan;
    // FIDELITY
    "name.kept" Commitment Learned 0.6 [0.0] NO_SLOT, "comes back to what it is named for" = libm::log1pf(s.first_name_again as f32);
    "doc.given" Commitment Learned 0.5 [0.03] class(Class::Doc), "documents itself" = of(s, Class::Doc);
    "error.handled" Attunement Learned 0.8 [0.15] class(Class::Error), "handles errors" = of(s, Class::Error);
    "error.returned" Attunement Learned 0.5 [0.2] hit(Hit::ErrorReturned), "returns or raises errors" = rate(s, s.hit(Hit::ErrorReturned));
    "timing.told" Attunement Fixed -0.8 [-0.8] hit(Hit::TimingTold), "compares secrets in a time that tells them" = few(s.hit(Hit::TimingTold));
    "errors.swallowed" Attunement Fixed -0.9 [-0.5] hit(Hit::ErrorsSwallowed), "goes on as if nothing had failed" = few(s.hit(Hit::ErrorsSwallowed));
    "comment.share" Candor Learned 0.7 [0.03] NO_SLOT, "is commented" = share(s.comment_bytes as f32, s.bytes as f32);
    "secret.logged" Candor Fixed -1.0 [-1.1] hit(Hit::SecretLogged), "writes secrets into a log" = few(s.hit(Hit::SecretLogged));
    "secret.literal" Congruence Fixed -1.2 [-1.3] hit(Hit::SecretLiteral), "holds a secret as a literal" = few(s.hit(Hit::SecretLiteral));
    "encoded.part" Congruence Fixed -1.2 [-1.0] hit(Hit::Encoded), "hides a part in an encoding" = few(s.hit(Hit::Encoded));
    "cast.used" Congruence Learned -0.5 [-0.02] class(Class::Cast), "changes types" = of(s, Class::Cast);
    "web.handled" Accountability Learned 0.5 [0.0] class(Class::Web), "answers requests" = of(s, Class::Web);
    "secret.handled" Accountability Learned -0.5 [-0.02] class(Class::Secret), "handles secrets" = of(s, Class::Secret);
    "debug.on" Accountability Fixed -0.9 [-0.9] hit(Hit::DebugOn), "leaves debugging on" = few(s.hit(Hit::DebugOn));
    "origin.any" Accountability Fixed -1.0 [-1.0] hit(Hit::OriginAny), "lets any site ask in its users' names" = few(s.hit(Hit::OriginAny));
    "guard.words" Vigilance Learned 0.8 [0.3] class(Class::Guard), "checks, escapes or validates" = of(s, Class::Guard);
    "tls.off" Vigilance Fixed -1.4 [-1.0] hit(Hit::TlsOff), "does not verify certificates" = few(s.hit(Hit::TlsOff));
    "signature.skipped" Vigilance Fixed -1.4 [-1.6] hit(Hit::SignatureSkipped), "takes tokens without checking their signature" = few(s.hit(Hit::SignatureSkipped));
    "guard.balance" Vigilance Learned 0.6 [0.25] NO_SLOT, "guards what it does" = balance(s.class(Class::Guard) + s.hit(Hit::SizeCompared), s.class(Class::UnsafeRun) + s.class(Class::UnsafeMemory) + s.class(Class::UnsafeHtml) + s.class(Class::Sql));
    "null.words" Kenosis Learned 0.7 [0.05] class(Class::Null), "reckons with nothing being there" = of(s, Class::Null);
    "null.checked" Kenosis Learned 0.5 [0.1] hit(Hit::NullChecked), "checks for nothing" = rate(s, s.hit(Hit::NullChecked));
    "memory.assumed" Kenosis Fixed -0.9 [-0.8] hit(Hit::AllocUnchecked), "takes memory without asking whether there is any" = few(s.hit(Hit::AllocUnchecked));
    // PHI
    "brackets.wrong" Coherence Count -0.6 [-0.05] hit(Hit::Unbalanced), "leaves brackets unbalanced" = few(s.hit(Hit::Unbalanced));
    "cipher.weak" Coherence Fixed -1.0 [-1.3] hit(Hit::CipherWeak), "encrypts in a way that is broken" = few(s.hit(Hit::CipherWeak));
    "names.again" Coherence Learned 0.6 [0.0] NO_SLOT, "uses its names again" = 1.0 - s.distinct as f32 / (s.words as f32 + 1.0);
    "depth.most" Elegance Learned -0.7 [0.0] NO_SLOT, "nests deeply" = s.depth_max as f32;
    "increments.used" Elegance Learned -0.4 [0.0] NO_SLOT, "counts by hand" = rate(s, s.increments as f32);
    "lines.number" Structure Learned 0.6 [0.0] NO_SLOT, "has length in lines" = libm::log1pf(s.lines as f32);
    "lines.blank" Structure Learned 0.5 [0.0] NO_SLOT, "sets its parts apart" = share(s.blank_lines as f32, s.lines as f32);
    "lines.long" Harmony Learned -0.6 [0.0] NO_SLOT, "has very long lines" = share(s.long_lines as f32, s.lines as f32);
    "indent.depth" Harmony Learned -0.5 [0.0] NO_SLOT, "is indented far" = s.depth_sum as f32 / (s.lines as f32 + 1.0);
    "numbers.given" Precision Learned 0.5 [0.0] NO_SLOT, "gives numbers" = rate(s, s.numbers as f32);
    "compares.made" Precision Learned 0.6 [0.15] NO_SLOT, "compares" = rate(s, s.compares as f32);
    "numbers.big" Precision Learned -0.4 [0.0] NO_SLOT, "holds numbers without a name" = rate(s, s.big_numbers as f32);
    "returns.given" Completeness Learned 0.7 [0.05] class(Class::Return), "returns" = of(s, Class::Return);
    "branches.taken" Completeness Learned 0.4 [0.1] class(Class::Branch), "tells cases apart" = of(s, Class::Branch);
    "line.spread" Proportion Learned -0.6 [0.0] NO_SLOT, "mixes short and long lines" = spread(s);
    "calls.per" Proportion Learned 0.4 [0.0] NO_SLOT, "shares its work among calls" = share(s.calls as f32, s.words as f32);
    // VERIFY
    "asserted.size" Accuracy Learned 0.8 [0.2] hit(Hit::SizeCompared), "compares against sizes" = rate(s, s.hit(Hit::SizeCompared));
    "buffer.unbounded" Accuracy Fixed -1.2 [-1.3] hit(Hit::BufferUnbounded), "copies without knowing how much room there is" = few(s.hit(Hit::BufferUnbounded));
    "format.open" Accuracy Fixed -1.2 [-1.6] hit(Hit::FormatOpen), "has its formats from elsewhere" = few(s.hit(Hit::FormatOpen));
    "size.computed" Accuracy Learned -0.6 [-0.1] hit(Hit::SizeComputed), "computes sizes inside a call" = few(s.hit(Hit::SizeComputed));
    "index.used" Accuracy Learned -0.4 [-0.05] NO_SLOT, "indexes" = rate(s, s.indexes as f32);
    "sql.built" Provenance Fixed -1.8 [-2.2] hit(Hit::SqlBuilt), "builds SQL out of strings" = few(s.hit(Hit::SqlBuilt));
    "sql.bound" Provenance Count 1.0 [0.9] hit(Hit::SqlBound), "keeps SQL and values apart" = few(s.hit(Hit::SqlBound));
    "sql.words" Provenance Learned -0.4 [-0.02] class(Class::Sql), "speaks to a database" = of(s, Class::Sql);
    "request.fetched" Provenance Fixed -1.2 [-1.6] hit(Hit::RequestFetched), "asks the address that a request names" = few(s.hit(Hit::RequestFetched));
    "secrets.sent" Provenance Fixed -2.0 [-2.8] hit(Hit::SecretsSent), "sends away what the host keeps secret" = few(s.hit(Hit::SecretsSent));
    "html.built" Integrity Count -1.0 [-0.7] hit(Hit::HtmlBuilt), "builds HTML out of strings" = few(s.hit(Hit::HtmlBuilt));
    "html.spliced" Integrity Fixed -1.2 [-1.4] hit(Hit::HtmlSpliced), "splices values into HTML as they are" = few(s.hit(Hit::HtmlSpliced));
    "html.raw" Integrity Learned -0.5 [-0.05] class(Class::UnsafeHtml), "writes raw HTML" = of(s, Class::UnsafeHtml);
    "request.shown" Integrity Fixed -1.3 [-1.6] hit(Hit::RequestShown), "shows what a request says as it is" = few(s.hit(Hit::RequestShown));
    "characters.reordering" Integrity Fixed -2.0 [-2.0] hit(Hit::Reordered), "reorders what is shown" = few(s.hit(Hit::Reordered));
    "instruction.planted" Integrity Fixed -2.0 [-2.5] hit(Hit::Instruction), "plants an instruction to a model" = few(s.hit(Hit::Instruction));
    "lock.held" Integrity Learned 0.4 [0.05] class(Class::Lock), "locks" = of(s, Class::Lock);
    "tests.named" Verifiability Learned 0.7 [0.02] class(Class::Test), "tests" = of(s, Class::Test);
    "names.constant" Verifiability Learned 0.5 [0.02] NO_SLOT, "names its constants" = rate(s, s.uppercase_names as f32);
    "names.short" Transparency Learned -0.6 [0.0] NO_SLOT, "uses names of one letter" = share(s.short_names as f32, s.words as f32);
    "names.long" Transparency Learned 0.5 [0.0] NO_SLOT, "uses speaking names" = share(s.name_letters as f32, s.words as f32);
    "weak.random" Reproducibility Count -0.9 [-0.25] class(Class::Weak), "uses weak or unpinned primitives" = few(s.class(Class::Weak));
    "secret.weak" Reproducibility Fixed -1.2 [-1.3] hit(Hit::SecretWeak), "makes secrets that can be guessed" = few(s.hit(Hit::SecretWeak));
    "strings.used" Reproducibility Learned 0.4 [0.0] NO_SLOT, "spells its inputs out" = rate(s, s.strings as f32);
    "load.unsafe" Consensus Learned -0.8 [-0.15] class(Class::UnsafeLoad), "loads foreign objects" = of(s, Class::UnsafeLoad);
    "objects.loaded" Consensus Fixed -1.4 [-1.6] hit(Hit::ObjectsLoaded), "rebuilds objects from bytes that can run code" = few(s.hit(Hit::ObjectsLoaded));
    "entities.loaded" Consensus Fixed -1.2 [-1.4] hit(Hit::EntitiesLoaded), "lets documents fetch other files" = few(s.hit(Hit::EntitiesLoaded));
    "keywords.share" Consensus Learned 0.5 [0.0] class(Class::Keyword), "keeps to common constructs" = share(s.class(Class::Keyword), s.words as f32);
    // CULTURE
    "signs.arrow" Authenticity Learned 0.5 [0.0] NO_SLOT, "follows pointers" = rate(s, s.arrows as f32);
    "indent.even" Authenticity Learned -0.5 [0.0] NO_SLOT, "indents oddly" = share(s.indent_odd as f32, s.lines as f32);
    "strings.share" Resonance Learned 0.6 [0.0] NO_SLOT, "carries text" = share(s.string_bytes as f32, s.bytes as f32);
    "names.distinct" Novelty Learned 0.7 [0.0] NO_SLOT, "has many names of its own" = s.distinct as f32 / libm::powf(s.words as f32 + 1.0, 0.7);
    "run.unsafe" Alignment Learned -0.8 [-0.15] class(Class::UnsafeRun), "runs commands" = of(s, Class::UnsafeRun);
    "shell.true" Alignment Fixed -1.2 [-1.0] hit(Hit::ShellTrue), "runs commands through a shell" = few(s.hit(Hit::ShellTrue));
    "list.arguments" Alignment Count 0.6 [0.3] hit(Hit::ListArguments), "gives commands their arguments as a list" = few(s.hit(Hit::ListArguments));
    "request.redirect" Alignment Fixed -1.0 [-1.2] hit(Hit::RequestRedirects), "sends people where a request says" = few(s.hit(Hit::RequestRedirects));
    "request.assigned" Alignment Fixed -1.0 [-1.1] hit(Hit::RequestAssigned), "sets whatever fields a request names" = few(s.hit(Hit::RequestAssigned));
    "file.handled" Relevance Learned 0.6 [0.0] class(Class::File), "works on files" = of(s, Class::File);
    "access.open" Relevance Fixed -1.0 [-1.1] hit(Hit::AccessOpen), "lets everybody write" = few(s.hit(Hit::AccessOpen));
    "temporary.guessed" Relevance Fixed -0.8 [-0.8] hit(Hit::TempGuessed), "makes temporary files that can be foreseen" = few(s.hit(Hit::TempGuessed));
    "shell.built" Impact Fixed -1.2 [-1.1] hit(Hit::ShellBuilt), "builds commands out of strings" = few(s.hit(Hit::ShellBuilt));
    "request.run" Impact Fixed -1.8 [-2.4] hit(Hit::RequestRun), "runs what a request says" = few(s.hit(Hit::RequestRun));
    "remote.run" Impact Fixed -2.0 [-3.0] hit(Hit::RemoteRun), "runs what comes from elsewhere or is hidden in an encoding" = few(s.hit(Hit::RemoteRun));
    "negations.used" Impact Learned 0.6 [0.1] NO_SLOT, "stops where something is missing" = rate(s, s.negations as f32);
    "signs.dot" Lineage Learned 0.6 [0.0] NO_SLOT, "builds on modules and objects" = rate(s, s.sign(b'.'));
    "python.like" Lineage Learned 0.4 [0.0] NO_SLOT, "is written in a scripting language" = libm::log1pf(s.python as f32);
    // BURN
    "signs.call" Utility Learned 0.6 [0.0] NO_SLOT, "calls others" = rate(s, s.calls as f32);
    "memory.unsafe" Sustainability Learned -0.8 [-0.1] class(Class::UnsafeMemory), "copies memory unchecked" = of(s, Class::UnsafeMemory);
    "freed.used" Sustainability Fixed -1.3 [-1.6] hit(Hit::FreedUsed), "uses memory after it gave it back" = few(s.hit(Hit::FreedUsed));
    "free.balanced" Sustainability Learned 0.4 [0.05] NO_SLOT, "frees what it takes" = balance(s.class(Class::Free), s.class(Class::Alloc));
    "loops.run" Efficiency Learned -0.7 [-0.02] class(Class::Loop), "loops" = of(s, Class::Loop);
    "pattern.slow" Efficiency Fixed -1.0 [-0.8] hit(Hit::PatternSlow), "searches by a pattern that can take ages" = few(s.hit(Hit::PatternSlow));
    "assigns.made" Efficiency Learned -0.4 [0.0] NO_SLOT, "assigns" = rate(s, s.assigns as f32);
    "returns.early" ValueCreation Learned 0.7 [0.2] NO_SLOT, "leaves early when it must" = rate(s, s.early_returns as f32);
    "race.left" ValueCreation Fixed -0.7 [-0.7] hit(Hit::RaceLeft), "asks first and does it later, when it may be otherwise" = few(s.hit(Hit::RaceLeft));
    "bounds.words" Sacrifice Learned 0.7 [0.12] class(Class::Bounds), "speaks of bounds and sizes" = of(s, Class::Bounds);
    "input.unbounded" Sacrifice Fixed -0.8 [-0.7] hit(Hit::ReadUnbounded), "reads as much as is sent" = few(s.hit(Hit::ReadUnbounded));
    "ands.joined" Contribution Learned 0.6 [0.1] NO_SLOT, "joins conditions" = rate(s, s.ands as f32);
    "free.cleared" Irreversibility Learned 0.5 [0.15] hit(Hit::FreedCleared), "clears what it frees" = few(s.hit(Hit::FreedCleared));
    "free.called" Irreversibility Learned -0.6 [0.0] class(Class::Free), "frees or deletes" = of(s, Class::Free);
    "path.checked" Irreversibility Count 0.8 [0.7] hit(Hit::PathChecked), "refuses paths that go up" = few(s.hit(Hit::PathChecked));
    "code.evaluated" Irreversibility Fixed -1.4 [-1.3] hit(Hit::Evaluated), "runs text as code" = few(s.hit(Hit::Evaluated));
    "path.built" Irreversibility Learned -0.4 [-0.15] hit(Hit::PathBuilt), "builds paths out of strings" = few(s.hit(Hit::PathBuilt));
    "request.path" Irreversibility Fixed -1.4 [-1.7] hit(Hit::RequestPath), "opens files that others name" = few(s.hit(Hit::RequestPath));
}

fn spread(scan: &Scan) -> f32 {
    let lines = scan.lines as f32;
    let variance = scan.line_squares / lines - (scan.bytes as f32 / lines).powi(2);
    libm::log1pf(variance.max(0.0).sqrt())
}
