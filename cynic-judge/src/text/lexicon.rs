//! What words and phrases do in a text.

use crate::lexicon::{self, classes};

classes! {
    Override "override", Prior "prior", Every "every", Instruction "instruction", Role "role",
    Secret "secret", SysPrompt "sysprompt", Reveal "reveal", Exfiltrate "exfiltrate",
    Oblige "oblige", Urgent "urgent", Money "money", Prize "prize", Cta "cta", Threat "threat",
    Violence "violence", Profanity "profanity", Slur "slur", Insult "insult", Flatter "flatter",
    Absolute "absolute", Hedge "hedge", Cause "cause", Contrast "contrast",
    Condition "condition", Evidence "evidence", Argue "argue", Warning "warning",
    Negation "negation", Greeting "greeting", Closing "closing", Polite "polite",
    First "first", Second "second", Third "third", Question "question", Date "date",
    Time "time", Unit "unit", Vague "vague", Hype "hype", Chat "chat", Task "task", Ai "ai",
    Credit "credit", Help "help", Step "step", Safety "safety", Destroy "destroy",
    Promo "promo", Adult "adult", Quote "quote", Positive "positive", Negative "negative",
    Brand "brand", Popular "popular", TrustMe "trustme", Limits "limits", Promise "promise",
    Danger "danger", Conceal "conceal", Courting "courting", Changed "changed", Remit "remit",
    Menacing "menacing", Addressed "addressed", Supposed "supposed", Bid "bid",
    German "func_de", French "func_fr", Spanish "func_es",
    Italian "func_it", English "func_en", Innocent "innocent",
}

/// The lexicon of texts.
pub(crate) type Lexicon = lexicon::Lexicon<8192>;

/// One class a line, its words behind it.
pub(super) const LIST: &str = include_str!("lexicon.txt");

pub(crate) static LEXICON: Lexicon = Lexicon::build(LIST, &Class::NAMES).number(
    include_str!("order.txt"),
    super::order::FIRST_WORD,
    Class::English.bit(),
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold;
    use crate::lexicon::Entry;

    #[test]
    fn words_and_phrases_are_found() {
        let lexicon = &LEXICON;
        let word = |word: &str| lexicon.look_up(fold::hash(word.as_bytes()));
        assert_ne!(word("ignore").classes & Class::Override.bit(), 0);
        assert_ne!(word("prompt").phrase_ends & 1 << 2, 0);
        assert_eq!(word("xyzzy"), Entry::default());
        // With the words of the order, which are added last.
        assert!(lexicon.filled() * 2 < 8192, "{}", lexicon.filled());
    }
}
