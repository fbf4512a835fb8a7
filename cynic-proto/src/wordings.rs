//! The list of wordings, and the way from a wording to its number. Both are made by the compiler, so that a worker's start
//! pays nothing for them. Codes by themselves are told apart in the daemon only.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A code and a text.
pub(crate) type Words<'a> = (&'a str, Option<&'a str>);

/// Code and text of a wording in each line.
const LIST: &str = include_str!("wordings.tsv");

/// How many wordings there are.
pub(crate) const COUNT: usize = Lines::of(LIST).count();

/// Places in the table of numbers: a power of two that the list fills by half at most.
const SLOTS: usize = 2048;

const FREE: u16 = u16::MAX;

static LINES: [Line; COUNT] = Lines::of(LIST).all();
static NUMBERS: [u16; SLOTS] = numbers();

/// Where a line of the list has its code and its text. There is no text where the code ends the line.
#[derive(Clone, Copy)]
struct Line {
    start: u16,
    code_end: u16,
    end: u16,
}

impl Line {
    const fn code(self) -> &'static [u8] {
        let (_, from) = LIST.as_bytes().split_at(self.start as usize);
        from.split_at((self.code_end - self.start) as usize).0
    }

    const fn text(self) -> Option<&'static [u8]> {
        if self.code_end == self.end {
            return None;
        }
        let (_, from) = LIST.as_bytes().split_at(self.code_end as usize + 1);
        Some(from.split_at((self.end - self.code_end - 1) as usize).0)
    }
}

/// The lines of a list that are still to come.
struct Lines<'a> {
    list: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    const fn of(list: &'a str) -> Lines<'a> {
        assert!(list.len() < u16::MAX as usize, "the list is longer than its places can say");
        Lines { list: list.as_bytes(), at: 0 }
    }

    const fn next(&mut self) -> Option<Line> {
        if self.at == self.list.len() {
            return None;
        }
        let start = self.at;
        let mut code_end = None;
        while self.at < self.list.len() && self.list[self.at] != b'\n' {
            if self.list[self.at] == b'\t' && code_end.is_none() {
                code_end = Some(self.at);
            }
            self.at += 1;
        }
        let end = self.at;
        self.at += (self.at < self.list.len()) as usize;
        let code_end = match code_end {
            Some(tab) => tab,
            None => end,
        };
        Some(Line { start: start as u16, code_end: code_end as u16, end: end as u16 })
    }

    const fn count(mut self) -> usize {
        let mut count = 0;
        while self.next().is_some() {
            count += 1;
        }
        count
    }

    const fn all<const N: usize>(mut self) -> [Line; N] {
        let mut lines = [Line { start: 0, code_end: 0, end: 0 }; N];
        let mut n = 0;
        while let Some(line) = self.next() {
            lines[n] = line;
            n += 1;
        }
        lines
    }
}

const fn numbers() -> [u16; SLOTS] {
    const { assert!(COUNT * 2 <= SLOTS, "the list fills more than half the slots: double them") };
    let lines: [Line; COUNT] = Lines::of(LIST).all();
    let mut numbers = [FREE; SLOTS];
    let mut n = 0;
    while n < COUNT {
        let mut slot = slot(lines[n].code(), lines[n].text());
        while numbers[slot] != FREE {
            slot = (slot + 1) % SLOTS;
        }
        numbers[slot] = n as u16;
        n += 1;
    }
    numbers
}

/// Where a wording's number is looked for first: by its lengths and the ends of its code and text.
const fn slot(code: &[u8], text: Option<&[u8]>) -> usize {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hash = ends(code).wrapping_mul(ODD);
    if let Some(text) = text {
        hash = (hash.rotate_left(32) ^ ends(text)).wrapping_mul(ODD);
    }
    (hash >> 32) as usize % SLOTS
}

const fn ends(bytes: &[u8]) -> u64 {
    let mut ends = 0;
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        ends = u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(27);
    } else {
        let mut n = 0;
        while n < bytes.len() {
            ends = ends << 8 | bytes[n] as u64;
            n += 1;
        }
    }
    ends ^ (bytes.len() as u64) << 57
}

/// The number of a wording, if the list has it.
pub(crate) fn number((code, text): Words<'_>) -> Option<u16> {
    let (code, text) = (code.as_bytes(), text.map(str::as_bytes));
    let mut slot = slot(code, text);
    loop {
        let number = NUMBERS[slot];
        // Free places have a number that no line has.
        let line = LINES.get(usize::from(number))?;
        if line.code() == code && line.text() == text {
            return Some(number);
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// The wording with that number, if the list is that long.
pub(crate) fn wording(number: u16) -> Option<Words<'static>> {
    let line = LINES.get(usize::from(number))?;
    let place = |start: u16, end: u16| LIST.get(usize::from(start)..usize::from(end));
    let text = if line.code_end == line.end { None } else { place(line.code_end + 1, line.end) };
    Some((place(line.start, line.code_end)?, text))
}

/// A line's code, as the number of the first line that has it; `None` beyond the list.
pub(crate) fn code(number: u16) -> Option<u16> {
    CODES.1.get(usize::from(number)).copied()
}

/// A code as the number of the first line that has it; `None` if no line has.
pub(crate) fn code_of(code: &str) -> Option<u16> {
    CODES.0.get(code).copied()
}

/// The first line with each code, and for each line the first one with its code.
static CODES: LazyLock<(HashMap<&str, u16>, Vec<u16>)> = LazyLock::new(|| {
    let mut first = HashMap::new();
    let lines = (0_u16..).map_while(|number| Some((number, wording(number)?.0)));
    let of_lines = lines.map(|(number, code)| *first.entry(code).or_insert(number)).collect();
    (first, of_lines)
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_number() {
        assert_eq!(COUNT, LIST.lines().count());
        for (n, line) in LIST.lines().enumerate() {
            let words = match line.split_once('\t') {
                Some((code, text)) => (code, Some(text)),
                None => (line, None),
            };
            assert!(!words.0.is_empty());
            assert_eq!(number(words), Some(n as u16), "{line}");
            assert_eq!(wording(n as u16), Some(words));
            let first = LIST.lines().position(|line| line.split('\t').next() == Some(words.0));
            assert_eq!(code(n as u16).map(usize::from), first);
            assert_eq!(code_of(words.0), code(n as u16));
        }
        assert_eq!(wording(COUNT as u16), None);
        assert_eq!((code(COUNT as u16), code_of("no code")), (None, None));
    }

    #[test]
    fn what_is_not_on_the_list_has_no_number() {
        for words in
            [("whole", None), ("whole", Some("one")), ("", None), ("", Some("")), ("whole.", None)]
        {
            let known = LIST.lines().any(|line| words.1.is_none() && line == words.0);
            assert_eq!(number(words).is_some(), known, "{words:?}");
        }
        let (code, text) = wording(1).unwrap();
        assert_eq!(number((code, None)).is_some(), LIST.lines().any(|line| line == code));
        assert_eq!(number((text.unwrap(), Some(code))), None);
    }
}
