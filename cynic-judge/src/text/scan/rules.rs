//! What neighbouring words do together: an instruction that is to be ignored, a password that is asked for.

use super::{Grams, Scanner};
use crate::lexicon::Classes;
use crate::text::found::Hit;
use crate::text::lexicon::Class;

impl<G: Grams> Scanner<'_, G> {
    /// Rules over neighbouring words. What is negated ("never click", "do not ignore") is not demanded.
    pub(super) fn rules(&mut self, classes: Classes, start: usize, end: usize) {
        let has = |class: Class| classes & class.bit() != 0;
        let negated = self.near(Class::Negation, 4);
        if (has(Class::Instruction) || has(Class::SysPrompt))
            && self.near(Class::Override, 8)
            && !self.negated_override()
        {
            let strong = self.near(Class::Prior, 8)
                || self.near(Class::Every, 8)
                || self.near(Class::Second, 5)
                || has(Class::SysPrompt);
            let hit = if strong { Hit::Override } else { Hit::LooseOverride };
            self.hit(hit, self.from(Class::Override, end));
        } else if (has(Class::Prior) || has(Class::Every))
            && self.near(Class::Override, 3)
            && !self.negated_override()
            && !self.near(Class::First, 2)
        {
            // "Ignore my previous mail" takes back what oneself said.
            self.hit(Hit::LooseOverride, self.from(Class::Override, end));
        }
        if has(Class::SysPrompt) && self.near(Class::Reveal, 7) && !negated {
            self.hit(Hit::RevealPrompt, self.from(Class::Reveal, end));
        }
        if has(Class::Secret)
            && !self.near(Class::Negation, 9)
            && !self.near(Class::Warning, 12)
            && !self.within_name(start, end)
        {
            for class in [Class::Cta, Class::Reveal, Class::Exfiltrate] {
                if self.near(class, 7) {
                    self.hit(Hit::SecretRequest, self.from(class, end));
                    break;
                }
            }
        }
        if has(Class::Conceal) && !self.near(Class::Warning, 12) {
            self.hit(Hit::Secrecy, (self.last_start[Class::Conceal as usize].min(start), end));
        }
        if has(Class::Courting) && !self.near(Class::Warning, 12) {
            self.hit(Hit::Courting, (start, end));
        }
        let told = Class::Cta.bit()
            | Class::Task.bit()
            | Class::Override.bit()
            | Class::Oblige.bit()
            | Class::Reveal.bit()
            | Class::Conceal.bit()
            | Class::Exfiltrate.bit();
        if classes & told != 0 && !has(Class::Ai) && self.near(Class::Ai, 12) {
            self.hit(Hit::ModelTold, self.from(Class::Ai, end));
        }
        if has(Class::Cta) {
            let span = (start, end);
            if negated || self.near(Class::Warning, 6) {
                self.hit(Hit::NegatedDemand, span);
            } else {
                self.hit(Hit::Demand, span);
                if self.near(Class::Urgent, 10) {
                    self.hit(Hit::UrgentDemand, self.from(Class::Urgent, end));
                }
            }
        }
        if has(Class::Urgent) && self.near(Class::Cta, 8) && !negated {
            self.hit(Hit::UrgentDemand, self.from(Class::Cta, end));
        }
        if has(Class::Threat) && self.near(Class::Brand, 25) && !self.near(Class::Warning, 25) {
            self.hit(Hit::BrandThreat, self.from(Class::Brand, end));
        }
        // Who speaks to a model from the first sentence on writes a prompt.
        let later = |class: Class| self.last[class as usize] > self.opening;
        let bids = classes & (told | Class::Bid.bit()) != 0;
        if bids && !self.near(Class::Warning, 12) {
            if self.near(Class::Addressed, 25) && later(Class::Addressed) {
                self.hit(Hit::Planted, self.from(Class::Addressed, end));
            } else if self.near(Class::Supposed, 16) && later(Class::Supposed) && self.supposes() {
                self.hit(Hit::Planted, self.from(Class::Supposed, end));
            }
        }
        // "This is my new number. Can you lend me 900 pounds?"; "pay to our new account".
        let asks = |s: &Self, k| has(Class::Remit) || s.near(Class::Remit, k);
        let diverts = if has(Class::Changed) {
            asks(self, 20) && self.near(Class::Money, 25)
        } else {
            (has(Class::Remit) || has(Class::Money))
                && self.near(Class::Changed, 60)
                && asks(self, 12)
                && (has(Class::Money) || self.near(Class::Money, 12))
        };
        if diverts && !self.near(Class::Warning, 60) {
            self.hit(Hit::Diverted, self.from(Class::Changed, end));
        }
        self.people_rules(classes, start, end);
        let mut rest = classes;
        while rest != 0 {
            let class = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            self.last[class] = self.position;
            self.last_start[class] = start;
        }
    }

    /// Whether a word is a part of a name that programs use: `rsa_private_key`, `//root:password@`.
    fn within_name(&self, start: usize, end: usize) -> bool {
        let bytes = self.text.as_bytes();
        let joins = |at: Option<usize>| {
            at.and_then(|at| bytes.get(at))
                .is_some_and(|byte| matches!(byte, b'_' | b'/' | b'$' | b'@' | b'='))
        };
        joins(start.checked_sub(1)) || joins(Some(end))
    }

    /// Whether what the reader is supposed to be stands behind an "if".
    fn supposes(&self) -> bool {
        let (at, condition) =
            (self.last[Class::Supposed as usize], self.last[Class::Condition as usize]);
        condition <= at && at - condition <= 5
    }

    fn people_rules(&mut self, classes: Classes, start: usize, end: usize) {
        let has = |class: Class| classes & class.bit() != 0;
        let thing = self.text.get(start..end).is_some_and(|word| word.eq_ignore_ascii_case("it"));
        let person = has(Class::Second) || has(Class::Third) && !thing;
        if person && self.near(Class::Violence, 2) {
            self.hit(Hit::Menace, self.from(Class::Violence, end));
        } else if has(Class::Menacing) {
            self.hit(Hit::Menace, (start, end));
        }
        let offensive = |s: &Self, k| {
            s.near(Class::Insult, k) || s.near(Class::Profanity, k) || s.near(Class::Slur, k)
        };
        let insult = has(Class::Insult) || has(Class::Profanity) || has(Class::Slur);
        if insult && self.near(Class::Second, 4) {
            self.hit(Hit::Abuse, self.from(Class::Second, end));
        } else if has(Class::Second) && offensive(self, 2) {
            self.hit(Hit::Abuse, (start, end));
        }
    }

    fn negated_override(&self) -> bool {
        let at = self.last[Class::Override as usize];
        let negation = self.last[Class::Negation as usize];
        negation <= at && at - negation <= 2
    }
}
