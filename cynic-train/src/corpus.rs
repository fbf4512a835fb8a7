//! Labelled data: reading it and splitting it into folds. Never judges.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A labelled item.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// Its id in its set.
    pub id: String,
    /// The set it comes from; never shown to the judge.
    pub set: String,
    /// The item as the judge gets it: `type` and `content` only.
    pub item: Vec<u8>,
    /// Good (1) or bad (0).
    pub good: bool,
    /// Items of one group never fall on both sides of a fold.
    pub group: String,
}

/// Two arguments, one of them more convincing.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Its id.
    pub id: String,
    /// The items as the judge gets them.
    pub items: [Vec<u8>; 2],
    /// Whether the first is the better one.
    pub first_better: bool,
    /// Pairs and items of one group never fall on both sides of a fold.
    pub group: String,
}

/// All labelled data.
#[derive(Debug, Clone, Default)]
pub struct Corpus {
    /// Labelled items, set by set in the order of file names.
    pub items: Vec<Labelled>,
    /// Pairs of arguments.
    pub pairs: Vec<Pair>,
}

/// Why data could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A directory or file could not be read.
    #[error("could not read {}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("{} line {line} is not a labelled item or pair", .path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Row {
    Item(ItemRow),
    Pair(PairRow),
}

#[derive(Deserialize)]
struct ItemRow {
    id: String,
    set: String,
    #[serde(rename = "type")]
    item_type: String,
    label: u8,
    content: String,
    #[serde(default)]
    meta: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct PairRow {
    id: String,
    better: String,
    a1: String,
    a2: String,
    topic: String,
}

/// An item of this type and content as the judge gets it.
pub fn item_bytes(item_type: &str, content: &str) -> Vec<u8> {
    serde_json::json!({ "type": item_type, "content": content }).to_string().into_bytes()
}

/// The side of a debate (`…_yes`) is cut off, so that both sides of one question stay together.
fn question(topic: &str) -> String {
    topic.split('_').next().unwrap_or(topic).to_owned()
}

impl Corpus {
    /// Reads all `*.jsonl` of a directory in the order of their names.
    ///
    /// # Errors
    /// The directory or a file cannot be read, or a line is neither an item nor a pair.
    pub fn read(directory: &Path) -> Result<Corpus, CorpusError> {
        let read_error = |path: &Path| {
            let path = path.to_owned();
            move |source| CorpusError::Read { path, source }
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory).map_err(read_error(directory))? {
            let path = entry.map_err(read_error(directory))?.path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut corpus = Corpus::default();
        for path in paths {
            let text = fs::read_to_string(&path).map_err(read_error(&path))?;
            for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let row = serde_json::from_str(line).map_err(|source| CorpusError::Line {
                    path: path.clone(),
                    line: n + 1,
                    source,
                })?;
                corpus.push(row);
            }
        }
        Ok(corpus)
    }

    fn push(&mut self, row: Row) {
        match row {
            Row::Item(row) => {
                let meta = |key: &str| row.meta.get(key).and_then(|value| value.as_str());
                let group = match (meta("commit"), meta("topic")) {
                    (Some(commit), _) => commit.to_owned(),
                    (None, Some(topic)) => question(topic),
                    (None, None) => row.id.clone(),
                };
                self.items.push(Labelled {
                    item: item_bytes(&row.item_type, &row.content),
                    id: row.id,
                    set: row.set,
                    good: row.label == 1,
                    group,
                });
            }
            Row::Pair(row) => self.pairs.push(Pair {
                id: row.id,
                items: [item_bytes("text", &row.a1), item_bytes("text", &row.a2)],
                first_better: row.better == "a1",
                group: question(&row.topic),
            }),
        }
    }

    /// The sets, in order.
    pub fn sets(&self) -> Vec<String> {
        let mut sets: Vec<String> = Vec::new();
        for item in &self.items {
            if !sets.contains(&item.set) {
                sets.push(item.set.clone());
            }
        }
        sets
    }
}

/// The fold (0 to `folds` − 1) of a group: a hash of its name, so that a group is in one fold in
/// every set and in every run.
pub fn fold_of(group: &str, folds: u32) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in group.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    ((hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as u32 % folds
}
