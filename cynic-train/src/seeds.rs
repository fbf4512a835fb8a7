//! The project's own labelled texts that every training includes: what the public sets lack. They are never
//! measured on; the gates have own texts of their own.

use crate::corpus::{Labelled, item_bytes};

/// A domain, the type that its items are given, and its texts: `+` or `-` and the text, `\n` for a line end.
const FILES: [(&str, &str, &str); 11] = [
    ("social", "text", include_str!("../seeds/social.txt")),
    ("social_mails", "text", include_str!("../seeds/mails.txt")),
    ("abuse_bully", "text", include_str!("../seeds/bully.txt")),
    ("abuse_groups", "text", include_str!("../seeds/groups.txt")),
    ("abuse_threats", "text", include_str!("../seeds/threats.txt")),
    ("prompt", "text", include_str!("../seeds/prompt.txt")),
    ("prompt_documents", "text", include_str!("../seeds/documents.txt")),
    ("prompt_passages", "text", include_str!("../seeds/passages.txt")),
    ("prose", "text", include_str!("../seeds/prose.txt")),
    ("shell", "command", include_str!("../seeds/shell.txt")),
    ("code", "source", include_str!("../seeds/code.txt")),
];

/// What the names of the sets of seeds end with.
pub const SUFFIX: &str = "_seeds";

/// All seeds.
pub fn items() -> Vec<Labelled> {
    let of_file = |(domain, item_type, text): (&'static str, &'static str, &'static str)| {
        let lines = text.lines().filter(|line| !line.starts_with('#')).enumerate();
        lines.filter_map(move |(n, line)| {
            let (sign, body) = line.split_once(' ')?;
            let id = format!("{domain}-seed-{n}");
            Some(Labelled {
                group: id.clone(),
                id,
                set: format!("{domain}{SUFFIX}"),
                item: item_bytes(item_type, &body.replace("\\n", "\n").replace("\\t", "\t")),
                good: sign == "+",
            })
        })
    };
    FILES.into_iter().flat_map(of_file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_labelled_text_and_none_is_measured_on() {
        let seeds = items();
        let lines: usize = FILES.iter().map(|(_, _, text)| text.lines().count() - 1).sum();
        assert_eq!(seeds.len(), lines);
        for (domain, ..) in FILES {
            for good in [true, false] {
                let set = format!("{domain}_seeds");
                let some = seeds.iter().filter(|s| s.set == set && s.good == good).count();
                assert!(some >= 10, "{some} of {domain}");
            }
        }
        let measured = include_str!("../pairs/own.jsonl");
        for seed in &seeds {
            let text = String::from_utf8(seed.item.clone()).expect("text");
            let content = &text[text.find("\"content\":").expect("content") + 10..];
            let content = content.split(",\"type\"").next().expect("a part").trim_end_matches('}');
            assert!(!measured.contains(content), "{content}");
        }
    }
}
