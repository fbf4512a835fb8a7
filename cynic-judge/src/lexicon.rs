//! A table from folded words and phrases to what they do, built once from a list.

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

/// Slots of the table: a power of two, under half full with the words of the two lists.
const SLOTS: usize = 8192;

/// The table; open addressing over 32 bits of a word's hash. Keys lie apart from entries, because most look-ups
/// miss and then touch nothing else.
pub(crate) struct Lexicon {
    pub(crate) keys: Vec<u32>,
    entries: Vec<Entry>,
}

impl Lexicon {
    /// Builds the table from a list of classes with their words, folded as words are before they are looked up.
    pub(crate) fn build(list: &str, names: &[&str]) -> Lexicon {
        let mut lexicon = Lexicon { keys: vec![0; SLOTS], entries: vec![Entry::default(); SLOTS] };
        for line in list.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_ascii_whitespace();
            let Some(class) = words.next() else { continue };
            let Some(bit) = names.iter().position(|name| *name == class) else { continue };
            for word in words {
                lexicon.add(word, 1 << bit);
            }
        }
        lexicon
    }

    /// Gives the words of a list a place in the table of word orders and a class.
    pub(crate) fn number(&mut self, list: &str, first: u8, class: Classes) {
        let lines = list.lines().filter(|line| !line.starts_with('#'));
        for (n, word) in lines.flat_map(str::split_ascii_whitespace).enumerate() {
            let entry = self.entry(fold::hash(word.as_bytes()));
            entry.order = first + n as u8;
            entry.classes |= class;
        }
    }

    fn add(&mut self, phrase: &str, classes: Classes) {
        let mut length = 0;
        let mut hash = 0;
        for word in phrase.split('_') {
            let word_hash = fold::hash(word.as_bytes());
            hash = if length == 0 { word_hash } else { fold::join(hash, word_hash) };
            length += 1;
        }
        self.entry(hash).classes |= classes;
        if length > 1
            && let Some(last) = phrase.rsplit('_').next()
        {
            self.entry(fold::hash(last.as_bytes())).phrase_ends |= 1 << length;
        }
    }

    fn entry(&mut self, hash: u64) -> &mut Entry {
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
fn key(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
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
