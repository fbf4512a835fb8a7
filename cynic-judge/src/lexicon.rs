//! A table from folded words and phrases to what they do, built from a list when the judge is compiled.

use crate::fold;

/// Declares a family's classes of words, by their names in its list.
macro_rules! classes {
    ($($variant:ident $name:literal),+ $(,)?) => {
        /// What a word or phrase does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Class { $($variant),+ }

        impl Class {
            pub(crate) const COUNT: usize = [$($name),+].len();
            pub(crate) const NAMES: [&'static str; Class::COUNT] = [$($name),+];

            /// The bit of this class in a set of classes.
            pub(crate) const fn bit(self) -> $crate::lexicon::Classes {
                1 << self as u8
            }
        }
    };
}
pub(crate) use classes;

/// A set of classes, one bit each.
pub(crate) type Classes = u128;

/// What the lexicon knows of a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Bit `n` is set where a phrase of `n` words ends with this word.
    pub(crate) phrase_ends: u8,
    /// Its place in the table of word orders, 0 where it has none.
    pub(crate) order: u8,
    pub(crate) classes: Classes,
}

/// The table of `SLOTS` places, a power of two that the words fill by half at most; open addressing over 32 bits of a
/// word's hash. Keys lie apart from entries, because most look-ups miss and then touch nothing else. Made by the compiler:
/// a worker's start pays nothing for it, and all workers share its memory.
pub(crate) struct Lexicon<const SLOTS: usize> {
    keys: [u32; SLOTS],
    entries: [Entry; SLOTS],
}

impl<const SLOTS: usize> Lexicon<SLOTS> {
    /// Builds the table from a list of classes with their words, folded as words are before they are looked up. A class
    /// that is not declared and a table more than half full do not compile.
    pub(crate) const fn build(list: &str, names: &[&str]) -> Self {
        let nothing = Entry { phrase_ends: 0, order: 0, classes: 0 };
        let mut lexicon = Lexicon { keys: [0; SLOTS], entries: [nothing; SLOTS] };
        let mut words = Words::of(list);
        let mut class = 0;
        while let Some((word, first_of_line)) = words.next() {
            if first_of_line {
                class = place(names, word);
                assert!(
                    class < names.len(),
                    "a line of the list begins with a class that is not declared"
                );
            } else {
                lexicon.add(word, 1 << class);
            }
        }
        assert!(
            lexicon.filled() * 2 < SLOTS,
            "the list has more words than half the slots: double them"
        );
        lexicon
    }

    pub(crate) const fn filled(&self) -> usize {
        let (mut filled, mut slot) = (0, 0);
        while slot < SLOTS {
            filled += (self.keys[slot] != 0) as usize;
            slot += 1;
        }
        filled
    }

    /// Gives the words of a list a place in the table of word orders and a class.
    pub(crate) const fn number(mut self, list: &str, first: u8, class: Classes) -> Self {
        let mut words = Words::of(list);
        let mut order = first;
        while let Some((word, _)) = words.next() {
            let entry = self.entry(fold::hash(word));
            entry.order = order;
            entry.classes |= class;
            order += 1;
        }
        self
    }

    /// Adds a word, or a phrase whose words are joined by `_`.
    const fn add(&mut self, phrase: &[u8], classes: Classes) {
        let (mut rest, mut length, mut hash) = (phrase, 0, 0);
        loop {
            let (word, behind) = cut(rest, b'_');
            let word_hash = fold::hash(word);
            hash = if length == 0 { word_hash } else { fold::join(hash, word_hash) };
            length += 1;
            let Some(behind) = behind else {
                self.entry(hash).classes |= classes;
                if length > 1 {
                    self.entry(word_hash).phrase_ends |= 1 << length;
                }
                return;
            };
            rest = behind;
        }
    }

    const fn entry(&mut self, hash: u64) -> &mut Entry {
        let key = key(hash);
        let mut slot = hash as usize % SLOTS;
        while self.keys[slot] != 0 && self.keys[slot] != key {
            slot = (slot + 1) % SLOTS;
        }
        self.keys[slot] = key;
        &mut self.entries[slot]
    }

    /// What is known of the word (or phrase) with that hash.
    #[inline]
    pub(crate) fn look_up(&self, hash: u64) -> Entry {
        let key = key(hash);
        let mut slot = hash as usize % SLOTS;
        loop {
            match self.keys[slot] {
                found if found == key => return self.entries[slot],
                0 => return Entry::default(),
                _ => {}
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// Never 0, which marks a free slot.
#[inline]
const fn key(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

/// The words of a list, without the lines that begin with `#`; whether each is the first of its line.
pub(crate) struct Words<'a> {
    rest: &'a [u8],
    at_start: bool,
}

impl<'a> Words<'a> {
    pub(crate) const fn of(list: &'a str) -> Self {
        Words { rest: list.as_bytes(), at_start: true }
    }

    pub(crate) const fn next(&mut self) -> Option<(&'a [u8], bool)> {
        loop {
            match self.rest {
                [] => return None,
                [b'\n', rest @ ..] => (self.rest, self.at_start) = (rest, true),
                [b' ', rest @ ..] => self.rest = rest,
                [b'#', ..] if self.at_start => {
                    let (_, Some(rest)) = cut(self.rest, b'\n') else { return None };
                    self.rest = rest;
                }
                _ => {
                    let mut end = 0;
                    while end < self.rest.len() && self.rest[end] != b' ' && self.rest[end] != b'\n'
                    {
                        end += 1;
                    }
                    let (word, rest) = self.rest.split_at(end);
                    let first = self.at_start;
                    (self.rest, self.at_start) = (rest, false);
                    return Some((word, first));
                }
            }
        }
    }
}

/// What is before the first such byte, and what is behind it if there is one.
const fn cut(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    let mut n = 0;
    while n < bytes.len() {
        if bytes[n] == at {
            let (before, rest) = bytes.split_at(n);
            return (before, Some(rest.split_at(1).1));
        }
        n += 1;
    }
    (bytes, None)
}

/// The place of a name; how many names there are where it is none of them.
pub(crate) const fn place(names: &[&str], word: &[u8]) -> usize {
    let mut n = 0;
    while n < names.len() && !equal(names[n].as_bytes(), word) {
        n += 1;
    }
    n
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut n = 0;
    while n < a.len() && n < b.len() && a[n] == b[n] {
        n += 1;
    }
    n == a.len() && n == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_folded() {
        for list in [
            include_str!("text/lexicon.txt"),
            include_str!("shell/lexicon.txt"),
            include_str!("code/lexicon.txt"),
        ] {
            for word in
                list.lines().filter(|l| !l.starts_with('#')).flat_map(str::split_ascii_whitespace)
            {
                let mut folded = String::new();
                word.chars().for_each(|c| fold::fold(c, |c| folded.push(c)));
                assert_eq!(folded, word);
            }
        }
    }
}
